#include "table/table.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "table/keeper.h"
#include <stdarg.h>
#include <stdio.h>

enum { NOTICE_MAX = 4096 + 256 };

uint32_t hf_table_second(const struct hf_table *table, uint64_t now_ms)
{
    return now_ms > table->origin_ms ? (uint32_t)((now_ms - table->origin_ms) / HF_MS_PER_S) + 1
                                     : 1;
}

void hf_table_notice(const struct hf_table *table, bool bad, const char *format, ...)
{
    char text[NOTICE_MAX];
    if (table->notice == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    table->notice(bad, text);
}

const char *hf_table_name(const struct hf_table *table)
{
    return table->name;
}

uint64_t hf_table_hash(const struct hf_table *table, struct hf_slice key)
{
    REQUIRE(HF_MAGIC_OK(table, HF_TABLE_MAGIC));
    uint64_t hash = hf_hash_keyed(key, table->secret);
    return hash != 0 ? hash : 1;
}

/* Who has a lane to himself needs no locked instruction, which would hold up the loads of the next
 * look-up until this one is over. Threads beyond them share lane 0. */
static void count_look_up(struct hf_table *table, bool hit)
{
    static _Thread_local unsigned mine; /* 0 = none yet */
    static atomic_uint next;
    if (mine == 0)
        mine = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) + 1;
    bool shared = mine >= HF_TABLE_LANES;
    struct hf_table_lane *lane = &table->lanes[shared ? 0 : mine];
    _Atomic uint64_t *counter = hit ? &lane->hits : &lane->misses;
    if (shared)
        atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    else
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                              memory_order_relaxed);
}

static uint32_t bounded_s(uint64_t expire_s)
{
    return expire_s < HF_TABLE_EXPIRE_MAX_S ? (uint32_t)expire_s : HF_TABLE_EXPIRE_MAX_S;
}

/* The end of a life that began or was prolonged now: late enough that the next refresh, which comes
 * when less than expire_s is left, is no write for every request. */
static uint32_t end_of(uint32_t now_s, uint32_t expire_s)
{
    return now_s + expire_s + expire_s / HF_TABLE_SLACK_PARTS + 1;
}

/* acquire: the space behind the pointer is complete */
static struct hf_space *current(const struct hf_table *table)
{
    return atomic_load_explicit(&table->current, memory_order_acquire);
}

void hf_table_announce(const struct hf_table *table, uint64_t hash)
{
    REQUIRE(hash != 0);
    hf_space_announce(current(table), hash);
}

/* Whoever carries a space over publishes the new one first and then reads each bucket of the old
 * under its lock: a writer that came too late for that sees the new one here, and does it there
 * again. */
static uint16_t settle(struct hf_table *table, struct hf_space *space,
                       const struct hf_space_entry *entry, uint16_t owner, uint32_t now_s)
{
    while (space != current(table)) {
        struct hf_space_entry same = *entry;
        same.server = owner;
        space = current(table);
        owner = hf_space_claim(space, &same, now_s);
    }
    return owner;
}

static uint16_t claim(struct hf_table *table, const struct hf_space_entry *entry, uint32_t now_s)
{
    struct hf_space *space = current(table);
    uint16_t owner = hf_space_claim(space, entry, now_s);
    return settle(table, space, entry, owner, now_s);
}

/* In the space that is being carried over. No lock: who carries it may be held up. */
static uint16_t find_draining(struct hf_table *table, uint64_t hash, uint32_t now_s,
                              uint32_t life_s, uint32_t expiry_s)
{
    struct hf_space *old = atomic_load_explicit(&table->draining, memory_order_acquire);
    uint16_t server = old != NULL ? hf_space_find(old, hash, now_s, life_s, expiry_s) : 0;
    if (server == 0)
        return 0;
    /* Carried over between the two looks: its longer life belongs there, and a move is known. */
    uint16_t there = hf_space_find(current(table), hash, now_s, life_s, expiry_s);
    return there != 0 ? there : server;
}

/* In the file, while that is not in memory yet. */
static uint16_t find_on_disk(struct hf_table *table, uint64_t hash, uint32_t now_s,
                             uint32_t expiry_s)
{
    uint32_t left_s;
    if (!atomic_load_explicit(&table->loading, memory_order_acquire))
        return 0;
    uint64_t server_id = hf_keeper_probe(table, hash, &left_s);
    if (server_id == 0)
        return 0;
    struct hf_space_entry entry = {.hash = hash,
                                   .expiry_s = expiry_s,
                                   .server = hf_dictionary_number(&table->dictionary, server_id)};
    return entry.server != 0 ? claim(table, &entry, now_s) : 0;
}

uint64_t hf_table_find(struct hf_table *table, uint64_t hash, uint64_t expire_s, uint64_t now_ms)
{
    REQUIRE(hash != 0);
    uint32_t life_s = bounded_s(expire_s), now_s = hf_table_second(table, now_ms);
    uint32_t expiry_s = end_of(now_s, life_s);
    unsigned changes = atomic_load_explicit(&table->changes, memory_order_acquire), before;
    uint16_t server;
    do {
        before = changes;
        server = hf_space_find(current(table), hash, now_s, life_s, expiry_s);
        if (server == 0)
            server = find_draining(table, hash, now_s, life_s, expiry_s);
        if (server == 0)
            server = find_on_disk(table, hash, now_s, expiry_s);
        /* The entry may have come to where it was looked for first, and gone from where it was
         * looked for last. */
        changes = atomic_load_explicit(&table->changes, memory_order_acquire);
    } while (server == 0 && changes != before);
    count_look_up(table, server != 0);
    return server != 0 ? hf_dictionary_id(&table->dictionary, server) : 0;
}

static uint16_t number_of(struct hf_table *table, uint64_t server_id)
{
    uint16_t number = hf_dictionary_number(&table->dictionary, server_id);
    if (number == 0)
        atomic_fetch_add_explicit(&table->refused, 1, memory_order_relaxed);
    return number;
}

uint64_t hf_table_claim(struct hf_table *table, uint64_t hash, uint64_t server_id,
                        uint64_t expire_s, uint64_t now_ms)
{
    uint32_t now_s = hf_table_second(table, now_ms);
    struct hf_space_entry entry = {.hash = hash,
                                   .expiry_s = end_of(now_s, bounded_s(expire_s)),
                                   .server = number_of(table, server_id)};
    if (entry.server == 0)
        return 0;
    return hf_dictionary_id(&table->dictionary, claim(table, &entry, now_s));
}

uint64_t hf_table_move(struct hf_table *table, uint64_t hash, const struct hf_table_move *move,
                       uint64_t expire_s, uint64_t now_ms)
{
    uint32_t now_s = hf_table_second(table, now_ms);
    uint16_t from = hf_dictionary_number(&table->dictionary, move->from_id);
    struct hf_space_entry entry = {.hash = hash,
                                   .expiry_s = end_of(now_s, bounded_s(expire_s)),
                                   .server = number_of(table, move->to_id)};
    if (entry.server == 0)
        return 0;
    struct hf_space *space = current(table);
    uint16_t owner = hf_space_move(space, &entry, from, now_s);
    while (space != current(table)) {
        space = current(table);
        owner = hf_space_move(space, &entry, from, now_s);
    }
    return hf_dictionary_id(&table->dictionary, owner);
}

/* --- figures --- */

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void add_spaces(struct hf_table *table, struct hf_table_stats *stats)
{
    const struct hf_space *space = current(table);
    stats->size = space->size;
    stats->bytes = space->mapped + space->bucket_count / 8;
    stats->inserts = load(&table->before.inserts);
    stats->evictions = load(&table->before.evictions);
    stats->expired = load(&table->before.expired);
    stats->moves = load(&table->before.moves);
    for (uint32_t i = 0; i < space->shard_count; i++) {
        stats->entries += load(&space->shards[i].entries);
        stats->inserts += load(&space->shards[i].inserts);
        stats->evictions += load(&space->shards[i].evictions);
        stats->expired += load(&space->shards[i].expired);
        stats->moves += load(&space->shards[i].moves);
    }
    for (uint64_t i = 0; stats->persistent && i <= space->bucket_count / 64; i++)
        stats->unwritten += (unsigned)__builtin_popcountll(load(&space->dirty[i]));
}

void hf_table_stats(struct hf_table *table, struct hf_table_stats *ret_stats)
{
    REQUIRE(HF_MAGIC_OK(table, HF_TABLE_MAGIC));
    struct hf_table_stats stats = {
        .refused = load(&table->refused),
        .written = load(&table->written),
        .write_errors = load(&table->write_errors),
        .loaded = load(&table->loaded),
        .load_errors = load(&table->load_errors),
        .loading = atomic_load_explicit(&table->loading, memory_order_relaxed),
        .persistent = atomic_load_explicit(&table->persistent, memory_order_relaxed),
    };
    add_spaces(table, &stats);
    for (unsigned i = 0; i < HF_TABLE_LANES; i++) {
        stats.hits += load(&table->lanes[i].hits);
        stats.misses += load(&table->lanes[i].misses);
    }
    uint64_t now_ms = hf_clock_monotonic_ms(), at_ms = load(&table->flushed_at_ms);
    stats.lag_ms = stats.persistent && now_ms > at_ms ? now_ms - at_ms : 0;
    *ret_stats = stats;
}
