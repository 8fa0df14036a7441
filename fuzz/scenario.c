/* Any bytes as a scenario: the loader may refuse them, never crash, leak or hang; what it accepts
 * is within the limits that the simulator builds on. */
#include "config/scenario.h"

#include "fuzz.h"
#include <errno.h>

static void judge_spread(const struct hf_spread *spread)
{
    if (spread->kind == HF_SPREAD_LOGNORMAL)
        REQUIRE(spread->median_ms > 0 && spread->median_ms < spread->mean_ms);
    if (spread->kind == HF_SPREAD_PARETO)
        REQUIRE(spread->minimum_ms > 0 && spread->minimum_ms < spread->mean_ms);
}

static void judge(const struct hf_scenario *scenario)
{
    const struct hf_scenario_users *users = &scenario->users;
    REQUIRE(scenario->config->pool_count > 0 && scenario->config->cookie_key_count > 0);
    REQUIRE(users->count > 0 && users->count <= HF_SCENARIO_USERS_MAX);
    REQUIRE(users->nat_count > 0 && users->nats[0].addresses > 0);
    REQUIRE(users->session.mean_ms > 0 && users->think.mean_ms > 0 && users->answer.mean_ms > 0);
    judge_spread(&users->session);
    judge_spread(&users->think);
    judge_spread(&users->answer);
    judge_spread(&users->away);
    for (unsigned i = 0; i < scenario->event_count; i++) {
        REQUIRE(scenario->events[i].at_ms < scenario->duration_ms);
        REQUIRE(i == 0 || scenario->events[i - 1].at_ms <= scenario->events[i].at_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(data, size);
    struct hf_config_report report;
    struct hf_scenario scenario = {0};
    int rc =
        hf_scenario_load_text(hf_slice(copy, size), "/nonexistent/fuzz.yaml", &scenario, &report);
    REQUIRE(rc == 0 || rc == -EINVAL);
    REQUIRE((rc == 0) == (report.count == 0));
    for (unsigned i = 0; i < report.count; i++)
        REQUIRE(report.messages[i].text[0] != '\0');
    if (rc == 0)
        judge(&scenario);
    hf_scenario_fini(&scenario);
    hf_config_report_fini(&report);
    free(copy);
    return 0;
}
