/* What modules count, and how the admin API finds it without knowing the modules.
 * A module owns plain arrays of numbers, one a thread, described by one table (an X-macro row gives
 * enum, name, label, help). The exporter sums over every registered array of the same table.
 * Threads: bump by the owner of the array; register, unregister and collect by any (one mutex).
 * Layer: base. */
#pragma once
#include "base/histogram.h"
#include <stddef.h>
#include <stdint.h>

enum hf_metric_type { HF_METRIC_COUNTER, HF_METRIC_GAUGE };

struct hf_metric {
    const char *name;   /* "holdfast_requests_total"; rows of one name stand together */
    const char *labels; /* "cause=\"forged\"" or "" */
    const char *help;   /* one sentence; the first row's of a name is shown */
    enum hf_metric_type type;
};

/* Single writer: a relaxed load and store, no locked instruction. */
static inline void hf_count_add(_Atomic uint64_t *counter, uint64_t amount)
{
    uint64_t now = __atomic_load_n((uint64_t *)counter, __ATOMIC_RELAXED);
    __atomic_store_n((uint64_t *)counter, now + amount, __ATOMIC_RELAXED);
}
static inline void hf_count(_Atomic uint64_t *counter)
{
    hf_count_add(counter, 1);
}

struct hf_metrics_source {           /* caller's memory; must stay until unregistered */
    struct hf_metrics_source *next;  /* the registry's */
    const struct hf_metric *metrics; /* table of `count` rows; pointer equality = same table */
    size_t count;
    const _Atomic uint64_t *values; /* [count] */
};

struct hf_metrics_writer; /* a growing text, owned by the exporter */

struct hf_metrics_collector { /* for values with labels known at run time (servers, pools) */
    struct hf_metrics_collector *next;
    void (*collect)(struct hf_metrics_collector *self, struct hf_metrics_writer *writer);
};

void hf_metrics_register(struct hf_metrics_source *source);
/* Its counts are kept: they are added to a remainder, so totals never go back. */
void hf_metrics_unregister(struct hf_metrics_source *source);
void hf_metrics_register_collector(struct hf_metrics_collector *collector);
void hf_metrics_unregister_collector(struct hf_metrics_collector *collector);

/* For collectors: a HELP/TYPE head, then rows "name{labels} value". Label values are escaped by
 * hf_metrics_label. type: "counter", "gauge", "histogram". */
void hf_metrics_head(struct hf_metrics_writer *writer, const char *name, const char *help,
                     const char *type);
void hf_metrics_row(struct hf_metrics_writer *writer, const char *name, const char *labels,
                    double value);
/* A Prometheus histogram in seconds from one recorded in microseconds: fixed bounds 0.1 ms..100 s.
 */
void hf_metrics_histogram(struct hf_metrics_writer *writer, const char *name, const char *labels,
                          const struct hf_histogram *histogram);
/* Writes `key="escaped value"` into out, NUL-terminated; answers its length, cut at size. */
size_t hf_metrics_label(char *out, size_t size, const char *key, const char *value);

/* The sum of one row over all sources of its table, the remainder of unregistered ones included. */
uint64_t hf_metrics_value(const struct hf_metric *metrics, size_t row);
/* The whole exposition (Prometheus text format 0.0.4), malloc'd, NUL-terminated; the caller frees.
 */
char *hf_metrics_text(size_t *ret_size);
