#include "base/metrics.h"
#include "base/assert.h"
#include "base/bytes.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES_MAX = 64 /* distinct tables of rows in the process */ };

struct hf_metrics_writer {
    struct hf_bytes text;
    bool failed; /* no memory: nothing of it is usable */
};

struct table { /* one a table of rows ever registered; keeps what ended threads had counted */
    const struct hf_metric *metrics;
    size_t count;
    uint64_t *remainder; /* owned, [count] */
};

/* Guards all below; taken by start, stop and the exporter, never by a hot path. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hf_metrics_source *sources;
static struct hf_metrics_collector *collectors;
static struct table tables[TABLES_MAX];
static size_t table_count;

static struct table *find_table(const struct hf_metric *metrics)
{
    for (size_t i = 0; i < table_count; i++)
        if (tables[i].metrics == metrics)
            return &tables[i];
    return NULL;
}

void hf_metrics_register(struct hf_metrics_source *source)
{
    REQUIRE(source != NULL && source->metrics != NULL && source->values != NULL);
    pthread_mutex_lock(&lock);
    if (!find_table(source->metrics)) {
        REQUIRE(table_count < TABLES_MAX);
        uint64_t *remainder = calloc(source->count + 1, sizeof(*remainder));
        REQUIRE(remainder != NULL);
        tables[table_count++] = (struct table){source->metrics, source->count, remainder};
    }
    source->next = sources;
    sources = source;
    pthread_mutex_unlock(&lock);
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
    /* relaxed: each number for itself; the exporter promises no order between them */
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void hf_metrics_unregister(struct hf_metrics_source *source)
{
    pthread_mutex_lock(&lock);
    struct hf_metrics_source **at = &sources;
    while (*at != source) {
        REQUIRE(*at != NULL);
        at = &(*at)->next;
    }
    *at = source->next;
    struct table *table = find_table(source->metrics);
    for (size_t i = 0; i < source->count; i++)
        table->remainder[i] += read_counter(&source->values[i]);
    pthread_mutex_unlock(&lock);
}

void hf_metrics_register_collector(struct hf_metrics_collector *collector)
{
    REQUIRE(collector != NULL && collector->collect != NULL);
    pthread_mutex_lock(&lock);
    collector->next = collectors;
    collectors = collector;
    pthread_mutex_unlock(&lock);
}

void hf_metrics_unregister_collector(struct hf_metrics_collector *collector)
{
    pthread_mutex_lock(&lock);
    struct hf_metrics_collector **at = &collectors;
    while (*at != collector) {
        REQUIRE(*at != NULL);
        at = &(*at)->next;
    }
    *at = collector->next;
    pthread_mutex_unlock(&lock);
}

static uint64_t sum(const struct table *table, size_t row)
{
    uint64_t total = table->remainder[row];
    for (const struct hf_metrics_source *source = sources; source; source = source->next)
        if (source->metrics == table->metrics)
            total += read_counter(&source->values[row]);
    return total;
}

uint64_t hf_metrics_value(const struct hf_metric *metrics, size_t row)
{
    pthread_mutex_lock(&lock);
    const struct table *table = find_table(metrics);
    REQUIRE(!table || row < table->count);
    uint64_t total = table ? sum(table, row) : 0;
    pthread_mutex_unlock(&lock);
    return total;
}

__attribute__((format(printf, 2, 3))) static void put(struct hf_metrics_writer *writer,
                                                      const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    REQUIRE(size >= 0);
    struct hf_bytes *text = &writer->text;
    if (!hf_bytes_reserve(NULL, text, (size_t)size + 1))
        writer->failed = true;
    if (!writer->failed) {
        vsnprintf(text->bytes + text->end, text->room - text->end, format, again);
        text->end += (size_t)size;
    }
    va_end(again);
}

void hf_metrics_head(struct hf_metrics_writer *writer, const char *name, const char *help,
                     const char *type)
{
    put(writer, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_name(struct hf_metrics_writer *writer, const char *name, const char *labels)
{
    if (labels[0])
        put(writer, "%s{%s} ", name, labels);
    else
        put(writer, "%s ", name);
}

void hf_metrics_row(struct hf_metrics_writer *writer, const char *name, const char *labels,
                    double value)
{
    put_name(writer, name, labels);
    put(writer, "%.17g\n", value);
}

void hf_metrics_histogram(struct hf_metrics_writer *writer, const char *name, const char *labels,
                          const struct hf_histogram *histogram)
{
    static const uint64_t bounds_us[] = {100,     250,     500,     1000,     2500,     5000,
                                         10000,   25000,   50000,   100000,   250000,   500000,
                                         1000000, 2500000, 5000000, 10000000, 30000000, 100000000};
    const char *comma = labels[0] ? "," : "";
    for (size_t i = 0; i < sizeof(bounds_us) / sizeof(bounds_us[0]); i++)
        put(writer, "%s_bucket{%s%sle=\"%g\"} %llu\n", name, labels, comma,
            (double)bounds_us[i] / 1e6,
            (unsigned long long)hf_histogram_below(histogram, bounds_us[i]));
    /* the buckets' own sum, not `count`: +Inf must never be less than a bucket before it */
    uint64_t count = hf_histogram_below(histogram, UINT64_MAX);
    uint64_t sum_us = atomic_load_explicit(&histogram->sum, memory_order_relaxed);
    put(writer, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma,
        (unsigned long long)count);
    char part[256];
    snprintf(part, sizeof(part), "%s_sum", name);
    hf_metrics_row(writer, part, labels, (double)sum_us / 1e6);
    snprintf(part, sizeof(part), "%s_count", name);
    put_name(writer, part, labels);
    put(writer, "%llu\n", (unsigned long long)count);
}

size_t hf_metrics_label(char *out, size_t size, const char *key, const char *value)
{
    REQUIRE(out != NULL && size > 0);
    size_t used = (size_t)snprintf(out, size, "%s=\"", key);
    for (const char *at = value; *at && used + 3 < size; at++) {
        bool escaped = *at == '"' || *at == '\\' || *at == '\n';
        if (escaped)
            out[used++] = '\\';
        out[used++] = *at == '\n' ? 'n' : *at;
    }
    if (used + 1 < size)
        out[used++] = '"';
    used = used < size ? used : size - 1;
    out[used] = '\0';
    return used;
}

/* Was this name shown by an earlier row? Tables are short and scrapes are rare. */
static bool shown_before(size_t table, size_t row)
{
    const char *name = tables[table].metrics[row].name;
    for (size_t i = 0; i <= table; i++)
        for (size_t j = 0; j < (i == table ? row : tables[i].count); j++)
            if (strcmp(tables[i].metrics[j].name, name) == 0)
                return true;
    return false;
}

/* All rows of one name, from whichever table, stand together under one HELP and TYPE. */
static void write_name(struct hf_metrics_writer *writer, const struct hf_metric *first)
{
    hf_metrics_head(writer, first->name, first->help,
                    first->type == HF_METRIC_COUNTER ? "counter" : "gauge");
    for (size_t i = 0; i < table_count; i++)
        for (size_t j = 0; j < tables[i].count; j++) {
            const struct hf_metric *metric = &tables[i].metrics[j];
            if (strcmp(metric->name, first->name) != 0)
                continue;
            put_name(writer, metric->name, metric->labels);
            put(writer, "%lld\n", (long long)sum(&tables[i], j));
        }
}

char *hf_metrics_text(size_t *ret_size)
{
    struct hf_metrics_writer writer = {0};
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < table_count; i++)
        for (size_t j = 0; j < tables[i].count; j++)
            if (!shown_before(i, j))
                write_name(&writer, &tables[i].metrics[j]);
    for (struct hf_metrics_collector *one = collectors; one; one = one->next)
        one->collect(one, &writer);
    pthread_mutex_unlock(&lock);
    put(&writer, "%s", ""); /* its NUL, if there is not one row */
    if (writer.failed) {
        hf_bytes_clear(NULL, &writer.text);
        return NULL;
    }
    *ret_size = hf_bytes_size(&writer.text);
    return writer.text.bytes;
}
