#include "table/table_metrics.h"

#include "base/metrics.h"
#include "table/table.h"
#include <pthread.h>
#include <stddef.h>

// clang-format off
static const struct row {
    const char *name, *type, *help;
    size_t offset;
} rows[] = {
#define ROW(field, name, type, help)                                                               \
    {name, type, help, offsetof(struct hf_table_stats, field)}
    ROW(entries, "holdfast_table_entries", "gauge", "Clients that the table knows."),
    ROW(size, "holdfast_table_size", "gauge", "Clients that have room."),
    ROW(bytes, "holdfast_table_bytes", "gauge", "Memory of the table, fixed by its size."),
    ROW(inserts, "holdfast_table_inserts_total", "counter",
        "Entries made, loaded or carried over."),
    ROW(hits, "holdfast_table_hits_total", "counter", "Look-ups that found an entry."),
    ROW(misses, "holdfast_table_misses_total", "counter", "Look-ups that found none."),
    ROW(moves, "holdfast_table_moves_total", "counter", "Entries given to another server."),
    ROW(evictions, "holdfast_table_evictions_total", "counter",
        "Living entries that went for a new one: the table is too small."),
    ROW(expired, "holdfast_table_expired_total", "counter", "Entries whose time was over."),
    ROW(refused, "holdfast_table_refused_total", "counter",
        "Entries not made: too many servers were ever named."),
    ROW(unwritten, "holdfast_table_unwritten_buckets", "gauge", "Buckets to be written to disk."),
    ROW(lag_ms, "holdfast_table_lag_milliseconds", "gauge",
        "Since all that was known then had been written."),
    ROW(written, "holdfast_table_written_buckets_total", "counter", "Buckets written to disk."),
    ROW(write_errors, "holdfast_table_write_errors_total", "counter", "Writes that failed."),
    ROW(loaded, "holdfast_table_loaded_entries", "gauge", "Entries that an earlier process left."),
    ROW(load_errors, "holdfast_table_load_errors", "gauge", "Damaged records of the file."),
#undef ROW
};
// clang-format on
enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]), LABEL_SIZE = 2 * HF_TABLE_NAME_MAX };

struct export
{
    struct hf_metrics_writer *writer;
    const struct row *row;
};

static void write_one(struct hf_table *table, void *user)
{
    const struct export *export = user;
    struct hf_table_stats stats;
    char label[LABEL_SIZE];
    hf_table_stats(table, &stats);
    hf_metrics_label(label, sizeof(label), "table", hf_table_name(table));
    uint64_t value;
    memcpy(&value, (const char *)&stats + export->row->offset, sizeof(value));
    hf_metrics_row(export->writer, export->row->name, label, (double)value);
}

static void collect(struct hf_metrics_collector *self, struct hf_metrics_writer *writer)
{
    (void)self;
    for (unsigned i = 0; i < ROW_COUNT; i++) {
        struct export export = {.writer = writer, .row = &rows[i]};
        hf_metrics_head(writer, rows[i].name, rows[i].help, rows[i].type);
        hf_table_each(write_one, &export);
    }
}

static void start(void)
{
    static struct hf_metrics_collector collector = {.collect = collect};
    hf_metrics_register_collector(&collector);
}

void hf_table_metrics_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
}
