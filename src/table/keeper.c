#include "table/keeper.h"

#include "base/assert.h"
#include "base/clock.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Static_assert((int)HF_TABLE_FILE_WAYS == (int)HF_SPACE_WAYS, "a record is a bucket");

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* --- write-behind --- */

static void fill_record(struct hf_table *table, uint64_t bucket, uint32_t now_s,
                        struct hf_table_file_record *out)
{
    struct hf_space_entry entries[HF_SPACE_WAYS];
    unsigned count = hf_space_read(hf_keeper_current(table), bucket, now_s, entries);
    uint64_t wall_s = hf_clock_wall_s();
    *out = (struct hf_table_file_record){0};
    for (unsigned i = 0; i < count; i++)
        out->entries[i] = (struct hf_table_file_entry){
            .hash = entries[i].hash,
            .server_id = hf_dictionary_id(&table->dictionary, entries[i].server),
            .expiry_wall_s = (uint32_t)(wall_s + entries[i].expiry_s - now_s)};
    hf_table_file_seal(out, bucket);
}

/* One run of neighbours; what could not be written is marked again. */
static void write_run(struct hf_table *table, uint64_t bucket, unsigned count)
{
    int result = hf_table_file_write(&table->keeper.file, bucket, count, table->keeper.run);
    if (result == 0) {
        hf_keeper_count(&table->written, count);
        if (table->keeper.failing)
            hf_table_notice(table, false, "%s: can be written again", table->path);
        table->keeper.failing = false;
        return;
    }
    for (unsigned i = 0; i < count; i++)
        hf_space_mark(hf_keeper_current(table), bucket + i);
    hf_keeper_count(&table->write_errors, 1);
    if (!table->keeper.failing)
        hf_table_notice(table, true, "%s: cannot be written: %s; trying on", table->path,
                        strerror(-result));
    table->keeper.failing = true;
}

struct pending_run {
    uint64_t bucket;
    unsigned count;
};

static void write_marked(struct hf_table *table, uint64_t group, uint32_t now_s,
                         struct pending_run *run)
{
    uint64_t marks = hf_space_take_marks(hf_keeper_current(table), group);
    while (marks != 0) {
        uint64_t bucket = group * 64 + (unsigned)__builtin_ctzll(marks);
        marks &= marks - 1;
        bool next = run->count > 0 && bucket == run->bucket + run->count;
        if (run->count > 0 && (!next || run->count == HF_TABLE_FILE_RUN)) {
            write_run(table, run->bucket, run->count);
            run->count = 0;
        }
        if (run->count == 0)
            run->bucket = bucket;
        fill_record(table, bucket, now_s, &table->keeper.run[run->count++]);
    }
}

/* All is on disk that was known at began_ms. */
static void settle_disk(struct hf_table *table, uint64_t began_ms)
{
    bool named = !table->keeper.unnamed;
    if (named && began_ms - table->keeper.synced_at_ms < HF_KEEPER_SYNC_MS)
        return;
    if (table->keeper.unsynced)
        (void)fdatasync(table->keeper.file.fd);
    table->keeper.unsynced = false;
    table->keeper.synced_at_ms = began_ms;
    if (!named)
        hf_keeper_name_file(table);
}

/* Every bucket marked before it began, or up to the first write that fails: the next round goes on
 * behind that one, so that neither a full disk costs a write for each bucket nor one bad place the
 * others. */
static void flush(struct hf_table *table)
{
    uint64_t began_ms = hf_clock_monotonic_ms();
    uint32_t now_s = hf_table_second(table, began_ms);
    uint64_t errors = load(&table->write_errors), written = load(&table->written);
    uint64_t groups = hf_keeper_current(table)->bucket_count / 64 + 1;
    struct pending_run run = {0};
    for (uint64_t i = 0; i < groups && load(&table->write_errors) == errors; i++) {
        table->keeper.flush_at = (table->keeper.flush_at + 1) % groups;
        write_marked(table, table->keeper.flush_at, now_s, &run);
    }
    if (run.count > 0)
        write_run(table, run.bucket, run.count);
    table->keeper.unsynced |= load(&table->written) != written;
    if (load(&table->write_errors) != errors)
        return;
    settle_disk(table, began_ms);
    atomic_store_explicit(&table->flushed_at_ms, began_ms, memory_order_relaxed);
}

/* --- another size --- */

static void count_retired(struct hf_table *table, const struct hf_space *space)
{
    for (uint32_t i = 0; i < space->shard_count; i++) {
        hf_keeper_count(&table->before.inserts, atomic_load(&space->shards[i].inserts));
        hf_keeper_count(&table->before.evictions, atomic_load(&space->shards[i].evictions));
        hf_keeper_count(&table->before.expired, atomic_load(&space->shards[i].expired));
        hf_keeper_count(&table->before.moves, atomic_load(&space->shards[i].moves));
    }
}

static void carry_over(struct hf_table *table, struct hf_space *from, struct hf_space *to)
{
    struct hf_space_entry entries[HF_SPACE_WAYS];
    for (uint64_t bucket = 0; bucket < from->bucket_count; bucket++) {
        uint32_t now_s = hf_table_second(table, hf_clock_monotonic_ms());
        unsigned count = hf_space_read(from, bucket, now_s, entries);
        for (unsigned i = 0; i < count; i++)
            (void)hf_space_restore(to, &entries[i], now_s, UINT64_MAX);
    }
}

static void resize(struct hf_table *table, uint64_t size)
{
    struct hf_table_retired *retired = calloc(1, sizeof(*retired));
    struct hf_space *space = calloc(1, sizeof(*space));
    if (retired == NULL || space == NULL || hf_space_init(space, size) < 0) {
        free(retired);
        free(space);
        hf_table_notice(table, true, "table '%s': no memory for %llu entries; it stays as it is",
                        table->name, (unsigned long long)size);
        /* asked for again by the next reload */
        atomic_store_explicit(&table->wanted_size, hf_keeper_current(table)->size,
                              memory_order_relaxed);
        return;
    }
    for (uint32_t i = 0; i < space->shard_count; i++)
        hf_space_populate(space, i);
    struct hf_space *old = hf_keeper_current(table);
    /* In this order: who finds nothing in the new one looks into the old one. */
    atomic_store_explicit(&table->draining, old, memory_order_release);
    atomic_store_explicit(&table->current, space, memory_order_release);
    carry_over(table, old, space);
    atomic_fetch_add_explicit(&table->changes, 1, memory_order_release);
    atomic_store_explicit(&table->draining, NULL, memory_order_release);
    count_retired(table, old);
    hf_space_drop(old);
    retired->space = old;
    retired->next = table->keeper.retired;
    table->keeper.retired = retired;
    table->keeper.populated = space->shard_count;
    table->keeper.sweep_at = 0;
}

/* --- rounds --- */

void hf_keeper_populate(struct hf_table *table)
{
    struct hf_space *space = hf_keeper_current(table);
    while (table->keeper.populated < space->shard_count)
        hf_space_populate(space, table->keeper.populated++);
}

static void sweep(struct hf_table *table)
{
    struct hf_space *space = hf_keeper_current(table);
    uint64_t part = space->bucket_count / (HF_KEEPER_SWEEP_MS / HF_KEEPER_TICK_MS) + 1;
    uint32_t now_s = hf_table_second(table, hf_clock_monotonic_ms());
    for (uint64_t i = 0; i < part; i++) {
        if (table->keeper.sweep_at >= space->bucket_count)
            table->keeper.sweep_at = 0;
        hf_space_sweep(space, table->keeper.sweep_at++, now_s);
    }
}

void hf_keeper_tick(struct hf_table *table)
{
    REQUIRE(HF_MAGIC_OK(table, HF_TABLE_MAGIC));
    if (atomic_load_explicit(&table->loading, memory_order_relaxed))
        hf_keeper_take_over(table);
    uint64_t wanted = atomic_load_explicit(&table->wanted_size, memory_order_relaxed);
    bool loading = atomic_load_explicit(&table->loading, memory_order_relaxed);
    if (wanted != hf_keeper_current(table)->size && !loading) {
        resize(table, wanted);
        if (table->keeper.file.fd >= 0)
            hf_keeper_replace_file(table);
    }
    sweep(table);
    if (table->keeper.file.fd >= 0)
        flush(table);
}

void hf_keeper_finish(struct hf_table *table)
{
    if (table->keeper.file.fd >= 0)
        (void)fdatasync(table->keeper.file.fd);
    hf_table_file_close(&table->keeper.file);
    hf_table_file_close(&table->keeper.replaced);
}
