#include "sim/run.h"

#include <stdio.h>
#include <stdlib.h>

static uint64_t live_sessions(const struct hf_run *run)
{
    return hf_fleet_measure(&run->fleet, run->now_ms).sessions;
}

static void add_text(struct hf_sim_event *row, const struct hf_scenario_event *event)
{
    size_t used = strlen(row->text);
    const char *comma = used > 0 ? ", " : "";
    const char *word = hf_event_kind_word(event->kind);
    if (event->kind == HF_EVENT_ADD)
        snprintf(row->text + used, sizeof(row->text) - used, "%s%s %u", comma, word, event->value);
    else if (event->kind == HF_EVENT_WEIGHT)
        snprintf(row->text + used, sizeof(row->text) - used, "%s%s %s to %u", comma, word,
                 event->server, event->value);
    else
        snprintf(row->text + used, sizeof(row->text) - used, "%s%s %s", comma, word, event->server);
}

void hf_record_events(struct hf_run *run)
{
    const struct hf_scenario *scenario = run->scenario;
    struct hf_sim_event *row = NULL;
    while (run->next_event < scenario->event_count &&
           scenario->events[run->next_event].at_ms <= run->now_ms) {
        const struct hf_scenario_event *event = &scenario->events[run->next_event++];
        if (row == NULL) {
            hf_fleet_remember(&run->fleet);
            row = &run->result->events[run->result->event_count++];
            *row = (struct hf_sim_event){.at_ms = run->now_ms,
                                         .sessions = (uint32_t)live_sessions(run)};
        }
        add_text(row, event);
        int64_t died = hf_fleet_apply(&run->fleet, event, run->now_ms);
        if (died < 0) {
            run->result->error = (int)died;
            return;
        }
        row->died += (uint32_t)died;
    }
}

static int compare_floats(const void *a, const void *b)
{
    const float *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

static void keep_loads(struct hf_run *run)
{
    struct hf_sim_result *result = run->result;
    result->load_count = 0;
    for (unsigned i = 0; i < run->fleet.member_count; i++) {
        double share = hf_fleet_share(&run->fleet, i, run->now_ms);
        if (share >= 0)
            result->loads[result->load_count++] = (float)share;
    }
    qsort(result->loads, result->load_count, sizeof(result->loads[0]), compare_floats);
}

void hf_record_sample(struct hf_run *run)
{
    struct hf_sim_result *result = run->result;
    struct hf_fleet_load load = hf_fleet_measure(&run->fleet, run->now_ms);
    struct hf_sim_sample *sample = &result->samples[run->sample_count++];
    *sample = (struct hf_sim_sample){.at_ms = run->now_ms,
                                     .sessions = (uint32_t)load.sessions,
                                     .load_max = (float)load.max,
                                     .load_min = (float)load.min,
                                     .requests = result->requests,
                                     .moved = run->moved};
    for (unsigned i = 0; i < result->event_count; i++)
        sample->lost += result->events[i].lost;
    if (result->event_count > 1 || load.sessions <= result->peak)
        return;
    result->peak = (uint32_t)load.sessions;
    result->peak_max = sample->load_max;
    result->peak_min = sample->load_min;
    keep_loads(run);
}

void hf_record_sums(struct hf_run *run)
{
    struct hf_sim_result *result = run->result;
    for (unsigned i = 0; i < run->sample_count; i++) {
        const struct hf_sim_sample *sample = &result->samples[i];
        if (sample->sessions >= result->peak / 2 && sample->load_max > result->worst_max)
            result->worst_max = sample->load_max;
    }
    for (unsigned i = 0; i < result->event_count; i++) {
        result->refused += result->events[i].refused;
        result->lost += result->events[i].lost;
        result->needless += result->events[i].needless;
    }
    for (unsigned i = 0; i < HF_AFFINITY_VERDICT_COUNT; i++)
        result->verdicts[i] = run->fleet.verdicts[i] + run->fleet.worker.verdicts[i];
    result->requests_max = (float)hf_fleet_requests_max(&run->fleet);
    result->server_added = run->fleet.added;
    result->table_bytes = hf_fleet_table_bytes(&run->fleet);
    result->sealed = run->visitor.sealed;
    result->checked = run->visitor.checked;
    result->user_bytes = (uint64_t)run->population.count * sizeof(struct hf_user) +
                         ((uint64_t)run->users.tick_count + run->flights.tick_count) * 4 +
                         (uint64_t)run->flight_room * sizeof(struct hf_flight);
}
