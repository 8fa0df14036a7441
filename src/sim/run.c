#include "sim/run.h"

#include "base/clock.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TICKS_MAX = 4 * 1000 * 1000 };

static void run_ticks(struct hf_run *run)
{
    uint64_t duration_ms = run->scenario->duration_ms;
    for (uint32_t tick = 0; tick < run->users.tick_count; tick++) {
        run->now_ms = tick * run->tick_ms;
        hf_record_events(run);
        if (run->result->error != 0)
            return;
        hf_fleet_judge(&run->fleet, run->now_ms);
        hf_turns_take(run, tick);
        if (run->now_ms >= duration_ms * (run->sample_count + 1) / (HF_SIM_SAMPLES + 1) &&
            run->sample_count < HF_SIM_SAMPLES)
            hf_record_sample(run);
    }
    while (run->sample_count < HF_SIM_SAMPLES) /* a duration of fewer ticks */
        hf_record_sample(run);
}

static unsigned servers_to_come(const struct hf_scenario *scenario)
{
    unsigned count = 0;
    for (unsigned i = 0; i < scenario->event_count; i++) {
        if (scenario->events[i].kind == HF_EVENT_ADD)
            count += scenario->events[i].value;
    }
    return count;
}

static int set_up(struct hf_run *run)
{
    const struct hf_scenario *scenario = run->scenario;
    struct hf_sim_result *result = run->result;
    unsigned room = servers_to_come(scenario);
    run->tick_ms = (uint32_t)(scenario->duration_ms / TICKS_MAX) + 1;
    uint32_t ticks = (uint32_t)(scenario->duration_ms / run->tick_ms) + 1;
    hf_rng_seed(&run->rng, scenario->seed);
    hf_sampler_init(&run->session, &scenario->users.session);
    hf_sampler_init(&run->think, &scenario->users.think);
    hf_sampler_init(&run->answer, &scenario->users.answer);
    hf_sampler_init(&run->away, &scenario->users.away);
    result->server_count = result->pool->server_count;
    result->events = calloc(scenario->event_count + 1, sizeof(*result->events));
    result->loads = calloc(result->server_count + room, sizeof(*result->loads));
    if (result->events == NULL || result->loads == NULL)
        return -ENOMEM;
    snprintf(result->events[0].text, HF_SIM_EVENT_TEXT_MAX, "start");
    result->event_count = 1;
    int rc = hf_fleet_init(&run->fleet, scenario->config, result->pool, room, scenario->seed + 1);
    if (rc == 0)
        rc = hf_population_init(&run->population, scenario, &result->nat);
    if (rc == 0)
        rc = hf_calendar_init(&run->users, ticks);
    if (rc == 0)
        rc = hf_calendar_init(&run->flights, ticks);
    if (rc == 0)
        rc = hf_visitor_init(&run->visitor, &run->fleet, &run->population);
    return rc;
}

void hf_run_pool(const struct hf_scenario *scenario, struct hf_sim_result *result)
{
    struct hf_run *run = calloc(1, sizeof(*run));
    uint64_t began_ms = hf_clock_monotonic_ms();
    if (run == NULL) {
        result->error = -ENOMEM;
        return;
    }
    run->scenario = scenario;
    run->result = result;
    run->flight_free = HF_CALENDAR_NONE;
    result->error = set_up(run);
    if (result->error == 0) {
        hf_turns_arrive(run);
        run_ticks(run);
        hf_record_sums(run);
    }
    hf_visitor_fini(&run->visitor);
    hf_calendar_fini(&run->flights);
    hf_calendar_fini(&run->users);
    hf_population_fini(&run->population);
    hf_fleet_fini(&run->fleet);
    free(run->flying);
    free(run);
    result->wall_ms = hf_clock_monotonic_ms() - began_ms;
}
