#include "proxy/counters.h"
#include "base/assert.h"
#include <pthread.h>

const struct hf_metric hf_proxy_metrics[HF_PROXY_COUNTER_COUNT] = {
#define HF_PROXY_COUNTER_ROW(id, name, labels, help, type)                                         \
    [HF_PROXY_##id] = {name, labels, help, HF_METRIC_##type},
    HF_PROXY_COUNTERS(HF_PROXY_COUNTER_ROW)
#undef HF_PROXY_COUNTER_ROW
};

static const struct hf_metric verdict_metrics[HF_AFFINITY_VERDICT_COUNT] = {
#define VERDICT_ROW(id, word, help)                                                                \
    [HF_AFFINITY_##id] = {"holdfast_affinity_verdicts_total", "verdict=\"" word "\"",              \
                          "Requests by what the affinity strategies found.", HF_METRIC_COUNTER},
    HF_AFFINITY_VERDICTS(VERDICT_ROW)
#undef VERDICT_ROW
};

#define REASON_LABEL(word) "reason=\"" word "\""
static const struct hf_metric bad_request_metrics[HF_HTTP1_REASONS] = {
    [HF_HTTP1_OK] = {"holdfast_bad_requests_total", REASON_LABEL("none"),
                     "Requests refused as malformed, by reason.", HF_METRIC_COUNTER},
#define HF_HTTP1_REASON_ROW(id, status, word)                                                      \
    [HF_HTTP1_##id] = {"holdfast_bad_requests_total", REASON_LABEL(word),                          \
                       "Requests refused as malformed, by reason.", HF_METRIC_COUNTER},
#include "proto/http1_reasons.def"
#undef HF_HTTP1_REASON_ROW
};

static const struct hf_metric bad_response_metrics[HF_HTTP1_REASONS] = {
    [HF_HTTP1_OK] = {"holdfast_bad_responses_total", REASON_LABEL("none"),
                     "Server answers refused as malformed, by reason.", HF_METRIC_COUNTER},
#define HF_HTTP1_REASON_ROW(id, status, word)                                                      \
    [HF_HTTP1_##id] = {"holdfast_bad_responses_total", REASON_LABEL(word),                         \
                       "Server answers refused as malformed, by reason.", HF_METRIC_COUNTER},
#include "proto/http1_reasons.def"
#undef HF_HTTP1_REASON_ROW
};

/* Guards the list; taken by start, stop and the exporter, never by a running worker. */
static pthread_mutex_t counts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hf_proxy_counts *all_counts;

static const struct {
    const char *name, *help;
    size_t offset;
} histograms[] = {
    {"holdfast_request_duration_seconds",
     "From the complete request head to the end of the answer.",
     offsetof(struct hf_proxy_counts, duration_us)},
    {"holdfast_response_seconds", "From the request sent to the server's response head.",
     offsetof(struct hf_proxy_counts, response_us)},
    {"holdfast_recovery_seconds",
     "Requests whose first server failed: from the request head to another server's response head.",
     offsetof(struct hf_proxy_counts, recovery_us)},
    {"holdfast_recovery_detection_seconds",
     "Failures that moved sessions: from the server's last good sign to the judgement.",
     offsetof(struct hf_proxy_counts, detection_us)},
    {"holdfast_recovery_propagation_seconds",
     "Failures that moved sessions: from the judgement to the first request sent elsewhere.",
     offsetof(struct hf_proxy_counts, propagation_us)},
    {"holdfast_recovery_lookup_seconds",
     "Sessions that moved: from their first request sent elsewhere to the head of its answer.",
     offsetof(struct hf_proxy_counts, lookup_us)},
};

static void collect_histograms(struct hf_metrics_collector *self, struct hf_metrics_writer *writer)
{
    (void)self;
    pthread_mutex_lock(&counts_lock);
    for (size_t i = 0; i < sizeof(histograms) / sizeof(histograms[0]); i++) {
        struct hf_histogram sum = {0};
        for (struct hf_proxy_counts *one = all_counts; one; one = one->next)
            hf_histogram_merge(
                &sum, (const struct hf_histogram *)((const char *)one + histograms[i].offset));
        hf_metrics_head(writer, histograms[i].name, histograms[i].help, "histogram");
        hf_metrics_histogram(writer, histograms[i].name, "", &sum);
    }
    pthread_mutex_unlock(&counts_lock);
}

static struct hf_metrics_collector histogram_collector = {.collect = collect_histograms};

static void source_set(struct hf_metrics_source *source, const struct hf_metric *metrics,
                       size_t count, const _Atomic uint64_t *values)
{
    *source = (struct hf_metrics_source){.metrics = metrics, .count = count, .values = values};
    hf_metrics_register(source);
}

void hf_proxy_counts_register(struct hf_proxy_counts *counts)
{
    REQUIRE(counts != NULL);
    source_set(&counts->sources[0], hf_proxy_metrics, HF_PROXY_COUNTER_COUNT, counts->proxy);
    source_set(&counts->sources[1], verdict_metrics, HF_AFFINITY_VERDICT_COUNT, counts->verdicts);
    source_set(&counts->sources[2], bad_request_metrics, HF_HTTP1_REASONS, counts->bad_requests);
    source_set(&counts->sources[3], bad_response_metrics, HF_HTTP1_REASONS, counts->bad_responses);
    pthread_mutex_lock(&counts_lock);
    bool first = all_counts == NULL;
    counts->next = all_counts;
    all_counts = counts;
    pthread_mutex_unlock(&counts_lock);
    if (first)
        hf_metrics_register_collector(&histogram_collector);
}

void hf_proxy_counts_unregister(struct hf_proxy_counts *counts)
{
    REQUIRE(counts != NULL);
    for (size_t i = 0; i < 4; i++)
        hf_metrics_unregister(&counts->sources[i]);
    pthread_mutex_lock(&counts_lock);
    struct hf_proxy_counts **at = &all_counts;
    while (*at != counts)
        at = &(*at)->next;
    *at = counts->next;
    bool last = all_counts == NULL;
    pthread_mutex_unlock(&counts_lock);
    if (last)
        hf_metrics_unregister_collector(&histogram_collector);
}
