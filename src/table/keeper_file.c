#include "base/assert.h"
#include "base/clock.h"
#include "table/keeper.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct hf_table_geometry geometry_of(const struct hf_space *space)
{
    return (struct hf_table_geometry){space->shard_count, space->shard_buckets};
}

static bool same_geometry(struct hf_table_geometry a, struct hf_table_geometry b)
{
    return a.shard_count == b.shard_count && a.shard_buckets == b.shard_buckets;
}

/* --- before the thread runs --- */

/* What is damaged is kept for whoever wants to know why. */
static void move_aside(struct hf_table *table, const char *why)
{
    char aside[HF_TABLE_PATH_MAX + 16];
    snprintf(aside, sizeof(aside), "%s.corrupt", table->path);
    bool moved = rename(table->path, aside) == 0;
    hf_table_notice(table, true, "%s: %s; %s%s; the table '%s' starts empty", table->path, why,
                    moved ? "moved to " : "it cannot be moved aside", moved ? aside : "",
                    table->name);
}

static void give_up_file(struct hf_table *table, int error)
{
    hf_table_notice(table, true,
                    "%s: %s; the table '%s' is kept in memory alone and will not survive a restart",
                    table->path, strerror(-error), table->name);
    atomic_store_explicit(&table->persistent, false, memory_order_relaxed);
}

/* A new file is under a name of its own until it is worth more than the one it replaces. */
static void tmp_path(const struct hf_table *table, char out[HF_TABLE_PATH_MAX + 16])
{
    snprintf(out, HF_TABLE_PATH_MAX + 16, "%s.new", table->path);
}

static int make_file(struct hf_table *table)
{
    char path[HF_TABLE_PATH_MAX + 16];
    struct hf_table_file file = {.fd = -1, .geometry = geometry_of(hf_keeper_current(table))};
    memcpy(file.secret, table->secret, sizeof(file.secret));
    tmp_path(table, path);
    int result = hf_table_file_make(&file, path);
    if (result == 0)
        table->keeper.file = file;
    else
        (void)unlink(path);
    return result;
}

void hf_keeper_name_file(struct hf_table *table)
{
    char path[HF_TABLE_PATH_MAX + 16];
    tmp_path(table, path);
    table->keeper.unnamed = false;
    hf_table_file_close(&table->keeper.replaced);
    if (rename(path, table->path) == 0)
        return;
    give_up_file(table, -errno);
    hf_table_file_close(&table->keeper.file);
}

void hf_keeper_prepare(struct hf_table *table)
{
    int result = hf_table_file_open(&table->probe, table->path);
    atomic_store_explicit(&table->persistent, true, memory_order_relaxed);
    if (result == -EBADMSG)
        move_aside(table, "it is no table of this version, or its head is damaged");
    if (result == 0) {
        memcpy(table->secret, table->probe.secret, sizeof(table->secret));
        atomic_store_explicit(&table->loading, true, memory_order_release);
        return;
    }
    if (result == -ENOENT || result == -EBADMSG)
        result = make_file(table);
    if (result == 0)
        hf_keeper_name_file(table);
    else
        give_up_file(table, result);
}

/* --- the file of an earlier process --- */

/* Of one record; false: damaged. *ret_entry: as the table's clock has it. */
static bool living(const struct hf_table_file_entry *from, uint64_t wall_s, uint32_t *ret_left_s)
{
    if (from->hash == 0 || from->server_id == 0 || from->expiry_wall_s <= wall_s)
        return false;
    uint64_t left_s = from->expiry_wall_s - wall_s;
    *ret_left_s = left_s < HF_TABLE_EXPIRE_MAX_S ? (uint32_t)left_s : HF_TABLE_EXPIRE_MAX_S;
    return true;
}

uint64_t hf_keeper_probe(const struct hf_table *table, uint64_t hash, uint32_t *ret_left_s)
{
    struct hf_space at = {.shard_count = table->probe.geometry.shard_count,
                          .shard_buckets = table->probe.geometry.shard_buckets};
    uint64_t buckets[2], wall_s = hf_clock_wall_s();
    hf_space_locate(&at, hash, buckets);
    for (unsigned i = 0; i < 2; i++) {
        struct hf_table_file_record record;
        if (hf_table_file_read(&table->probe, buckets[i], 1, &record) != 1 ||
            !hf_table_file_sound(&record, buckets[i]))
            continue;
        for (unsigned way = 0; way < HF_TABLE_FILE_WAYS; way++) {
            if (record.entries[way].hash == hash &&
                living(&record.entries[way], wall_s, ret_left_s))
                return record.entries[way].server_id;
        }
    }
    return 0;
}

static void load_record(struct hf_table *table, const struct hf_table_file_record *record,
                        uint64_t bucket, uint32_t now_s)
{
    uint64_t wall_s = hf_clock_wall_s();
    for (unsigned way = 0; way < HF_TABLE_FILE_WAYS; way++) {
        uint32_t left_s;
        if (!living(&record->entries[way], wall_s, &left_s))
            continue;
        struct hf_space_entry entry = {
            .hash = record->entries[way].hash,
            .expiry_s = now_s + left_s,
            .server = hf_dictionary_number(&table->dictionary, record->entries[way].server_id)};
        if (entry.server == 0)
            hf_keeper_count(&table->refused, 1);
        else if (hf_space_restore(hf_keeper_current(table), &entry, now_s, bucket))
            hf_keeper_count(&table->loaded, 1);
    }
}

/* Records from `bucket` on; how many there were, or 0 at the end or an error. */
static unsigned load_run(struct hf_table *table, uint64_t bucket, uint64_t end, bool in_place)
{
    uint64_t left = end - bucket;
    unsigned wanted = left < HF_TABLE_FILE_RUN ? (unsigned)left : HF_TABLE_FILE_RUN;
    struct hf_table_file_record *run = table->keeper.run;
    int got = hf_table_file_read(&table->probe, bucket, wanted, run);
    uint32_t now_s = hf_table_second(table, hf_clock_monotonic_ms());
    for (int i = 0; i < got; i++) {
        uint64_t at = bucket + (unsigned)i;
        if (hf_table_file_sound(&run[i], at)) {
            load_record(table, &run[i], in_place ? at : UINT64_MAX, now_s);
            continue;
        }
        hf_keeper_count(&table->load_errors, 1);
        if (in_place)
            hf_space_mark(hf_keeper_current(table), at); /* written anew */
    }
    return got > 0 ? (unsigned)got : 0;
}

static void load_all(struct hf_table *table)
{
    uint64_t began_ms = hf_clock_monotonic_ms(), end = hf_table_file_buckets(&table->probe);
    bool in_place = same_geometry(table->probe.geometry, geometry_of(hf_keeper_current(table)));
    (void)posix_fadvise(table->probe.fd, 0, 0, POSIX_FADV_WILLNEED);
    uint64_t bucket = 0;
    for (unsigned got = 1; bucket < end && got > 0; bucket += got)
        got = load_run(table, bucket, end, in_place);
    if (bucket < end)
        hf_keeper_count(&table->load_errors, end - bucket);
    uint64_t errors = atomic_load_explicit(&table->load_errors, memory_order_relaxed);
    if (errors > 0)
        hf_table_notice(table, true,
                        "%s: %llu of %llu records are damaged or missing: their clients are new "
                        "ones, all others keep their servers",
                        table->path, (unsigned long long)errors, (unsigned long long)end);
    hf_table_notice(table, false, "table '%s': %llu entries loaded in %llu ms", table->name,
                    (unsigned long long)atomic_load(&table->loaded),
                    (unsigned long long)(hf_clock_monotonic_ms() - began_ms));
}

void hf_keeper_replace_file(struct hf_table *table)
{
    hf_table_file_close(&table->keeper.replaced);
    table->keeper.replaced = table->keeper.file; /* locked until the new one has its name */
    table->keeper.file.fd = -1;
    int result = make_file(table);
    if (result < 0) {
        hf_table_file_close(&table->keeper.replaced);
        give_up_file(table, result);
        return;
    }
    table->keeper.unnamed = true;
    struct hf_space *space = hf_keeper_current(table);
    for (uint64_t bucket = 0; bucket < space->bucket_count; bucket++)
        hf_space_mark(space, bucket);
}

/* False: another process has the path by now, or this file has been replaced there. */
static bool still_there(const struct hf_table *table)
{
    struct stat here, there;
    return fstat(table->probe.fd, &here) == 0 && stat(table->path, &there) == 0 &&
           here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

/* An earlier process that drains may write to its file for a while. */
static int lock_probe(struct hf_table *table)
{
    int result = hf_table_file_lock(&table->probe);
    if (result == -EBUSY && !table->keeper.busy_told)
        hf_table_notice(table, false,
                        "%s: another process has it; until that ends, its entries are looked up "
                        "there and nothing is written",
                        table->path);
    table->keeper.busy_told |= result == -EBUSY;
    return result;
}

void hf_keeper_take_over(struct hf_table *table)
{
    int result = lock_probe(table);
    if (result == -EBUSY)
        return;
    load_all(table);
    if (result == 0) {
        table->keeper.file = table->probe;
        table->keeper.file.fd = dup(table->probe.fd); /* one lock, held by both */
        bool usable = table->keeper.file.fd >= 0 && still_there(table);
        if (!usable || !same_geometry(table->probe.geometry, geometry_of(hf_keeper_current(table))))
            hf_keeper_replace_file(table);
    } else {
        give_up_file(table, result); /* a file system without locks */
    }
    atomic_fetch_add_explicit(&table->changes, 1, memory_order_release);
    atomic_store_explicit(&table->loading, false, memory_order_release);
}
