/* The session store alone, at a million sessions: bytes beside key and value, by the store's own
 * count and by what the system says the process holds; CPU time an operation; and the longest that
 * any single call took while the store filled, churned, packed and expired. Prints JSON.
 *
 * usage: bench-store [SESSIONS [VALUE_BYTES]]
 *
 * "nothing" is timed as everything is: its longest times are the machine's own (interrupts, a
 * hypervisor), which all others contain. Run it several times and take the least. */
#include "store/store.h"
#include "base/assert.h"
#include "base/histogram.h"
#include "base/rng.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    SESSIONS = 1000000,
    VALUE_SIZE = 1024,
    VALUE_SIZE_MAX = 4000,
    OPERATIONS = 2000000,
    TTL_MS = 1440000,
    ID_SIZE = 32,
};
static const size_t memory = (size_t)16 << 30;
static const uint8_t hash_key[16] = "bench-bench-benc";

struct timing {
    uint64_t count, sum_ns, max_ns, over_1ms;
    struct hf_histogram spread; /* ns */
};

struct load {
    struct hf_store *store;
    struct hf_rng rng;
    uint32_t sessions;
    size_t value_size, value_size_min;
    struct hf_slice prefix;
    uint64_t now_ms;
    char value[VALUE_SIZE_MAX];
};

static uint64_t clock_cost_ns;

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void measure_clock(void)
{
    enum { READS = 200000 };
    uint64_t begin_ns = cpu_ns(), end_ns = begin_ns;
    for (int i = 0; i < READS; i++)
        end_ns = cpu_ns();
    clock_cost_ns = (end_ns - begin_ns) / READS;
}

static void note(struct timing *timing, uint64_t begin_ns)
{
    uint64_t took = cpu_ns() - begin_ns;
    took -= took < clock_cost_ns ? took : clock_cost_ns;
    timing->count++;
    timing->sum_ns += took;
    timing->over_1ms += took > 1000000;
    hf_histogram_record(&timing->spread, took);
    timing->max_ns = took > timing->max_ns ? took : timing->max_ns;
}

static void show(const char *name, const struct timing *timing)
{
    printf("  \"%s\": {\"operations\": %" PRIu64 ", \"ns\": %" PRIu64, name, timing->count,
           timing->sum_ns / (timing->count + !timing->count));
    if (timing->spread.count > 0)
        printf(", \"p99_us\": %.1f, \"p9999_us\": %.1f, \"max_us\": %.1f, \"over_1ms\": %" PRIu64,
               (double)hf_histogram_quantile(&timing->spread, 0.99) / 1000,
               (double)hf_histogram_quantile(&timing->spread, 0.9999) / 1000,
               (double)timing->max_ns / 1000, timing->over_1ms);
    printf("},\n");
}

/* 32 hexadecimal digits, as PHP makes them. */
static struct hf_store_key key_of(const struct load *load, uint32_t number, char id[ID_SIZE + 1])
{
    uint64_t high = hf_hash_mix(number, 1), low = hf_hash_mix(number, 2);
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < ID_SIZE / 2; i++) {
        id[i] = digits[high >> (4 * i) & 15];
        id[ID_SIZE / 2 + i] = digits[low >> (4 * i) & 15];
    }
    struct hf_slice text = hf_slice(id, ID_SIZE);
    return (struct hf_store_key){
        .id = text, .id_hash = hf_store_hash(hash_key, text), .prefix = load->prefix};
}

static struct hf_slice value_of(struct load *load, uint64_t salt)
{
    size_t size = load->value_size;
    if (load->value_size_min < size)
        size = load->value_size_min +
               (size_t)(hf_hash_mix(salt, 3) % (load->value_size - load->value_size_min));
    memcpy(load->value, &salt, sizeof(salt));
    return hf_slice(load->value, size);
}

static void set(struct load *load, uint32_t number, uint64_t salt, struct timing *timing)
{
    char id[ID_SIZE + 1];
    struct hf_store_key key = key_of(load, number, id);
    struct hf_store_set how = {.value = value_of(load, salt), .deadline_ms = load->now_ms + TTL_MS};
    struct hf_store_write write = {.now_ms = load->now_ms, .fresh = {1, 0, 1}};
    struct hf_store_change change;
    uint64_t begin_ns = cpu_ns();
    enum hf_store_status status = hf_store_set(load->store, &key, &how, &write, &change);
    note(timing, begin_ns);
    REQUIRE(status == HF_STORE_OK);
}

static void open_load(struct load *load)
{
    struct hf_store_options options = {.memory = memory, .grace_ms = 5000, .now_ms = load->now_ms};
    memcpy(options.hash_key, hash_key, sizeof(hash_key));
    REQUIRE(hf_store_new(&options, &load->store) == 0);
    hf_rng_seed(&load->rng, 1);
}

static void fill(struct load *load, struct timing *timing)
{
    for (uint32_t i = 0; i < load->sessions; i++)
        set(load, i, i, timing);
}

static double overhead(const struct load *load)
{
    struct hf_store_stats stats;
    hf_store_stats(load->store, &stats);
    return ((double)stats.bytes_used - (double)stats.bytes_logical) / (double)stats.keys;
}

static uint64_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    unsigned long all, pages = 0;
    if (file != NULL && fscanf(file, "%lu %lu", &all, &pages) != 2)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* ---- steps ---- */

static void measure_nothing(void)
{
    struct timing timing = {0};
    for (uint32_t i = 0; i < OPERATIONS; i++)
        note(&timing, cpu_ns());
    show("nothing", &timing);
}

static void measure_gets(struct load *load)
{
    struct timing timing = {.count = OPERATIONS};
    uint64_t begin_ns = cpu_ns(), found = 0;
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        char id[ID_SIZE + 1];
        struct hf_store_key key = key_of(load, hf_rng_below(&load->rng, load->sessions), id);
        struct hf_store_value value;
        found += hf_store_get(load->store, &key, load->now_ms, &value) == HF_STORE_OK &&
                 value.bytes.bytes[value.bytes.size - 1] == 0;
    }
    timing.sum_ns = cpu_ns() - begin_ns;
    REQUIRE(found == OPERATIONS);
    show("get", &timing);
}

static void measure_sets(struct load *load, const char *name)
{
    struct timing timing = {0};
    for (uint32_t i = 0; i < OPERATIONS; i++)
        set(load, hf_rng_below(&load->rng, load->sessions), hf_rng_u64(&load->rng), &timing);
    show(name, &timing);
}

static void measure_touches(struct load *load)
{
    struct timing timing = {0};
    for (uint32_t i = 0; i < OPERATIONS; i++) {
        char id[ID_SIZE + 1];
        struct hf_store_key key = key_of(load, hf_rng_below(&load->rng, load->sessions), id);
        struct hf_store_write write = {.now_ms = load->now_ms, .fresh = {1, 0, 1}};
        struct hf_store_change change;
        uint64_t begin_ns = cpu_ns();
        REQUIRE(hf_store_expire(load->store, &key, load->now_ms + TTL_MS + i, &write, &change) ==
                HF_STORE_OK);
        note(&timing, begin_ns);
    }
    show("touch", &timing);
}

static void measure_deletes(struct load *load)
{
    struct timing timing = {0};
    struct hf_store_delete how = {0};
    for (uint32_t i = 0; i < load->sessions; i += 2) {
        char id[ID_SIZE + 1];
        struct hf_store_key key = key_of(load, i, id);
        struct hf_store_write write = {.now_ms = load->now_ms, .fresh = {1, 0, 1}};
        struct hf_store_change change;
        uint64_t begin_ns = cpu_ns();
        REQUIRE(hf_store_delete(load->store, &key, &how, &write, &change) == HF_STORE_OK);
        note(&timing, begin_ns);
    }
    show("delete_half", &timing);
    printf("  \"after_delete_bytes\": %.1f,\n", overhead(load));
    timing = (struct timing){0};
    for (bool more = true; more;) {
        uint64_t begin_ns = cpu_ns();
        more = hf_store_tick(load->store, load->now_ms, HF_STORE_TICK_BUDGET);
        note(&timing, begin_ns);
    }
    show("pack_tick", &timing);
    printf("  \"after_pack_bytes\": %.1f,\n", overhead(load));
}

static void measure_expiry(struct load *load)
{
    struct timing timing = {0};
    load->now_ms += 2 * TTL_MS + OPERATIONS;
    for (bool more = true; more;) {
        uint64_t begin_ns = cpu_ns();
        more = hf_store_tick(load->store, load->now_ms, HF_STORE_TICK_BUDGET);
        note(&timing, begin_ns);
    }
    struct hf_store_stats stats;
    hf_store_stats(load->store, &stats);
    REQUIRE(stats.keys == 0);
    show("expiry_tick", &timing);
    printf("  \"expired\": %" PRIu64 ", \"bytes_left\": %" PRIu64 ",\n", stats.expired,
           stats.bytes_used);
}

/* Overhead alone, for another shape of session. */
static void measure_shape(struct load *load, const char *name, struct hf_slice prefix,
                          size_t value_size_min)
{
    struct timing timing = {0};
    load->prefix = prefix;
    load->value_size_min = value_size_min;
    load->value_size = value_size_min < load->value_size ? VALUE_SIZE_MAX : load->value_size;
    open_load(load);
    fill(load, &timing);
    printf("  \"%s_bytes\": %.1f,\n", name, overhead(load));
    hf_store_free(&load->store);
}

int main(int count, char **arguments)
{
    static struct load load = {.sessions = SESSIONS, .value_size = VALUE_SIZE, .now_ms = 1000000};
    if (count > 1)
        load.sessions = (uint32_t)strtoul(arguments[1], NULL, 10);
    if (count > 2)
        load.value_size = strtoul(arguments[2], NULL, 10);
    REQUIRE(load.sessions > 0 && load.value_size >= 16 && load.value_size <= VALUE_SIZE_MAX);
    size_t value_size = load.value_size_min = load.value_size;
    load.prefix = HF_SLICE("PHPREDIS_SESSION:");
    struct timing timing = {0};
    measure_clock();
    uint64_t before = resident();
    open_load(&load);
    fill(&load, &timing);
    uint64_t after = resident();
    struct hf_store_stats stats;
    hf_store_stats(load.store, &stats);
    printf("{\n  \"clock_cost_ns\": %" PRIu64 ",\n", clock_cost_ns);
    printf("  \"sessions\": %u, \"value_bytes\": %zu, \"key_bytes\": %zu,\n", load.sessions,
           value_size, load.prefix.size + ID_SIZE);
    printf("  \"beside_key_and_value_bytes\": %.1f,\n", overhead(&load));
    printf("  \"resident_beside_key_and_value_bytes\": %.1f,\n",
           ((double)(after - before) - (double)stats.bytes_logical) / load.sessions);
    measure_nothing();
    show("fill", &timing);
    measure_gets(&load);
    measure_sets(&load, "set_same_size");
    measure_touches(&load);
    load.value_size_min = value_size * 9 / 10;
    measure_sets(&load, "set_other_size");
    printf("  \"after_churn_bytes\": %.1f,\n", overhead(&load));
    measure_deletes(&load);
    measure_expiry(&load);
    hf_store_free(&load.store);
    measure_shape(&load, "whole_key_is_id", HF_SLICE(""), value_size);
    measure_shape(&load, "sizes_200_to_4000", HF_SLICE("PHPREDIS_SESSION:"), 200);
    printf("  \"tick_budget\": %d\n}\n", HF_STORE_TICK_BUDGET);
    return 0;
}
