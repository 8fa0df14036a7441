/* The inside of a table, and its keeper: the thread that makes memory present, loads the file,
 * writes behind, frees what expired, and carries entries over to another size. Threads: as the
 * fields say. Locks: registry (table.c) is taken before none; a shard's and the dictionary's are
 * taken alone. Layer: table, an inside of it. */
#pragma once
#include "table/dictionary.h"
#include "table/file.h"
#include "table/space.h"
#include "table/table.h"

enum {
    HF_TABLE_MAGIC = 0x5441424c,
    HF_TABLE_LANES = 64, /* counters of look-ups: each of the first threads has its own */
    HF_TABLE_PATH_MAX = 4096,
    HF_KEEPER_TICK_MS = 100,
    HF_KEEPER_SWEEP_MS = 60 * 1000, /* every bucket is looked at so often */
    HF_KEEPER_SYNC_MS = 1000,
    HF_KEEPER_PRESENT_MS = 1000, /* a new table's memory is waited for so long */
};

struct hf_table_lane {
    _Atomic uint64_t hits, misses;
} __attribute__((aligned(64)));

struct hf_table_retired { /* a space that was replaced: readers may still look, and find nothing */
    struct hf_space *space; /* owned */
    struct hf_table_retired *next;
};

struct hf_table {
    uint32_t magic;
    char name[HF_TABLE_NAME_MAX];
    char path[HF_TABLE_PATH_MAX]; /* of the file; "" = none wanted */
    uint8_t secret[HF_TABLE_SECRET_SIZE];
    uint64_t origin_ms; /* monotonic: second 1 of this table */
    hf_table_notice_fn notice;
    struct hf_dictionary dictionary;
    struct hf_table_lane lanes[HF_TABLE_LANES];

    /* release by the keeper, acquire by all: the space is complete when it is seen */
    struct hf_space *_Atomic current;
    atomic_uint changes; /* raised before something stops being looked into: a miss looks again */
    struct hf_space *_Atomic draining; /* being carried over into current, or NULL */
    atomic_bool persistent;            /* has a file */
    atomic_bool loading;               /* the file may hold what memory does not */
    struct hf_table_file probe;        /* what is read while loading; open until the table ends */

    _Atomic uint64_t wanted_size;
    _Atomic uint64_t refused, loaded, load_errors, written, write_errors, flushed_at_ms;
    struct { /* of spaces that were replaced */
        _Atomic uint64_t inserts, evictions, expired, moves;
    } before;

    struct { /* the registry's lock */
        unsigned references;
        bool present; /* the memory is, all of it */
        struct hf_table *next;
    } registry;

    struct {                           /* the keeper's alone */
        struct hf_table_file file;     /* fd -1 = none */
        struct hf_table_file replaced; /* by a file that has not got its name yet */
        bool unnamed;                  /* that file is `file` */
        bool busy_told;
        uint64_t flush_at; /* group of buckets */
        struct hf_table_retired *retired;
        uint32_t populated; /* shards of current whose pages are present */
        uint64_t sweep_at;  /* bucket */
        uint64_t synced_at_ms;
        bool unsynced;
        bool failing; /* the last write failed, and that was told */
        struct hf_table_file_record run[HF_TABLE_FILE_RUN];
    } keeper;
};

/* Seconds of this table's clock; >= 1. */
uint32_t hf_table_second(const struct hf_table *table, uint64_t now_ms);
void hf_table_notice(const struct hf_table *table, bool bad, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static inline struct hf_space *hf_keeper_current(const struct hf_table *table)
{
    /* relaxed: the keeper alone replaces it */
    return atomic_load_explicit(&table->current, memory_order_relaxed);
}

static inline void hf_keeper_count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* --- the file: keeper_file.c --- */

/* Finds the file or makes one, and takes the secret from it. Before the keeper starts. */
void hf_keeper_prepare(struct hf_table *table);
/* The server's identity by the file of the earlier process, or 0; *ret_left_s: of its life. Any
 * thread, while table->loading. */
uint64_t hf_keeper_probe(const struct hf_table *table, uint64_t hash, uint32_t *ret_left_s);
/* While table->loading: loads the earlier process's file, once that process has let go of it, and
 * makes it this one's. */
void hf_keeper_take_over(struct hf_table *table);
/* Begins a file of the current geometry: all of memory is to be written, then it gets its name. */
void hf_keeper_replace_file(struct hf_table *table);
/* It takes the place of the one that was there. */
void hf_keeper_name_file(struct hf_table *table);

/* --- rounds: keeper.c --- */

/* Makes the memory of the current space present, a shard at a time. */
void hf_keeper_populate(struct hf_table *table);
/* One round; the thread calls it every HF_KEEPER_TICK_MS. */
void hf_keeper_tick(struct hf_table *table);
/* Closes the file, after the last round wrote what was left. */
void hf_keeper_finish(struct hf_table *table);
