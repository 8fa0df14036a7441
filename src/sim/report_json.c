#include "sim/report.h"

#include <jansson.h>

enum { DIGITS = 6 };

static json_t *events_of(const struct hf_sim_result *result)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < result->event_count; i++) {
        const struct hf_sim_event *event = &result->events[i];
        json_array_append_new(
            rows,
            json_pack("{si,ss,si,si,si,si,sI,sI,sI,sI}", "at_ms", (int)event->at_ms, "event",
                      event->text, "sessions", (int)event->sessions, "died", (int)event->died,
                      "returned", (int)event->returned, "moved", (int)event->moved, "lost",
                      (json_int_t)event->lost, "needless", (json_int_t)event->needless, "refused",
                      (json_int_t)event->refused, "stood_in", (json_int_t)event->stood_in));
    }
    return rows;
}

static json_t *samples_of(const struct hf_sim_result *result)
{
    json_t *rows = json_array();
    for (unsigned i = 0; i < HF_SIM_SAMPLES; i++) {
        const struct hf_sim_sample *sample = &result->samples[i];
        json_array_append_new(
            rows, json_pack("{si,si,sf,sf,sI,sI,sI}", "at_ms", (int)sample->at_ms, "sessions",
                            (int)sample->sessions, "load_max", (double)sample->load_max, "load_min",
                            (double)sample->load_min, "requests", (json_int_t)sample->requests,
                            "moved", (json_int_t)sample->moved, "lost", (json_int_t)sample->lost));
    }
    return rows;
}

static json_t *verdicts_of(const struct hf_sim_result *result)
{
    json_t *verdicts = json_object();
    for (unsigned i = 0; i < HF_AFFINITY_VERDICT_COUNT; i++) {
        if (result->verdicts[i] > 0)
            json_object_set_new(verdicts, hf_affinity_verdict_word((enum hf_affinity_verdict)i),
                                json_integer((json_int_t)result->verdicts[i]));
    }
    return verdicts;
}

static json_t *loads_of(const struct hf_sim_result *result)
{
    json_t *loads = json_array();
    for (unsigned i = 0; i < result->load_count; i++)
        json_array_append_new(loads, json_real((double)result->loads[i]));
    return loads;
}

static json_t *result_json(const struct hf_sim_result *result)
{
    json_t *one =
        json_pack("{ss,ss,s{si,si},si,si}", "pool", result->pool->name, "balance",
                  hf_balance_word(result->pool->balance), "nat", "share_percent",
                  result->nat.share_percent, "addresses", (int)result->nat.addresses, "servers",
                  (int)result->server_count, "servers_added", (int)result->server_added);
    json_t *counts =
        json_pack("{sI,sI,sI,sI,sI,sI,sI,sI}", "table_bytes", (json_int_t)result->table_bytes,
                  "requests", (json_int_t)result->requests, "refused", (json_int_t)result->refused,
                  "sessions", (json_int_t)result->sessions, "lost", (json_int_t)result->lost,
                  "lost_needlessly", (json_int_t)result->needless, "tokens_written",
                  (json_int_t)result->sealed, "tokens_checked", (json_int_t)result->checked);
    json_t *load = json_pack(
        "{si,sf,sf,sf,sf}", "peak_sessions", (int)result->peak, "max_over_mean",
        (double)result->peak_max, "min_over_mean", (double)result->peak_min, "worst_max_over_mean",
        (double)result->worst_max, "requests_max_over_mean", (double)result->requests_max);
    json_object_update_missing(one, counts);
    json_decref(counts);
    json_object_set_new(one, "load", load);
    json_object_set_new(one, "servers_at_peak", loads_of(result));
    json_object_set_new(one, "events", events_of(result));
    json_object_set_new(one, "verdicts", verdicts_of(result));
    json_object_set_new(one, "samples", samples_of(result));
    json_object_set_new(one, "cost",
                        json_pack("{sI,sI}", "user_bytes", (json_int_t)result->user_bytes,
                                  "wall_ms", (json_int_t)result->wall_ms));
    return one;
}

char *hf_sim_report_json(const struct hf_sim_report *report)
{
    json_t *results = json_array();
    for (unsigned i = 0; i < report->count; i++)
        json_array_append_new(results, result_json(&report->results[i]));
    json_t *root = json_pack(
        "{sI,sI,si,so,s{sI,sI,sI}}", "seed", (json_int_t)report->scenario->seed, "duration_ms",
        (json_int_t)report->scenario->duration_ms, "users", (int)report->scenario->users.count,
        "results", results, "cost", "wall_ms", (json_int_t)report->wall_ms, "cpu_ms",
        (json_int_t)report->cpu_ms, "rss_peak_bytes", (json_int_t)report->rss_peak_bytes);
    if (root == NULL)
        return NULL;
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(DIGITS));
    json_decref(root);
    return text;
}
