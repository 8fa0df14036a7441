/* How fast, how large and how even the table is: fills it, asks it, lets all of it expire, and
 * carries it over to another size. One line a figure, and the same in build/bench-table.json.
 * Single operations are timed one by one, what the clock costs taken off; single loads from other
 * memory in the same way before and after the look-ups: memory is not as fast at every moment.
 *
 *   bench-table [ENTRIES]                               10,000,000
 *   bench-table make FOLDER POOL ENTRIES SERVER...      only makes the file of a table */
#include "table/table.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"
#include "model/server.h"
#include "net/address.h"
#include "proto/http1.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EXPIRE_S = 3600, SAMPLES = 1000 * 1000, SERVERS = 100, HAPROXY_BYTES = 239, RUN = 7 };

static uint64_t wrong_answers;
static uint64_t simulated_ns; /* added to the clock: how everything expires at once */

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0, unused;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%llu %llu", &unused, &pages) != 2)
        pages = 0;
    if (file != NULL)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t key_of(const struct hf_table *table, uint64_t client)
{
    char key[48]; /* as long as a session id */
    int size = snprintf(key, sizeof(key), "%016llx%016llx", (unsigned long long)client,
                        (unsigned long long)hf_hash_mix(client, 1));
    return hf_table_hash(table, hf_slice(key, (size_t)size));
}

static struct hf_table *acquire(const char *name, const char *folder, uint64_t size)
{
    struct hf_table_options options = {.name = name, .directory = folder, .size = size};
    struct hf_table *table = NULL;
    if (hf_table_acquire(&options, &table) < 0) {
        fputs("bench-table: no memory\n", stderr);
        exit(1);
    }
    return table;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

struct times { /* of single operations, ns; the clock's own cost taken off */
    uint32_t *samples;
    uint32_t count, most;
    long preempted;          /* switches to other processes that the kernel forced so far */
    uint64_t stalls, others; /* longer than 1 ms: of the table's doing; of another process's */
};

static long forced_switches(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

static uint32_t clock_cost(void)
{
    uint32_t least = UINT32_MAX;
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t from = hf_clock_monotonic_ns();
        uint32_t took = (uint32_t)(hf_clock_monotonic_ns() - from);
        least = took < least ? took : least;
    }
    return least;
}

static void note(struct times *times, uint64_t took_ns, uint32_t cost_ns)
{
    uint32_t took = took_ns > cost_ns ? (uint32_t)(took_ns - cost_ns) : 0;
    if (times->count < SAMPLES)
        times->samples[times->count++] = took;
    if (took <= 1000 * 1000) {
        times->most = took > times->most ? took : times->most;
        return;
    }
    /* Who waits for a lock, a page or a disk goes of his own will. */
    long forced = forced_switches();
    *(forced != times->preempted ? &times->others : &times->stalls) += 1;
    times->preempted = forced;
}

static uint32_t median(struct times *times)
{
    qsort(times->samples, times->count, sizeof(*times->samples), compare);
    return times->count > 0 ? times->samples[times->count / 2] : 0;
}

static void put(const char *name, double value, const char *unit)
{
    static bool some;
    printf("%-66s %10.1f %s\n", name, value, unit);
    FILE *json = fopen("build/bench-table.json", some ? "a" : "w");
    if (json == NULL)
        return;
    fprintf(json, "%s\"%s\": %.3f", some ? ",\n " : "{", name, value);
    fclose(json);
    some = true;
}

/* The second reading of the clock waits for the loads before it. */
static uint64_t timed_claim(struct hf_table *table, uint64_t hash, uint64_t client, uint64_t now_ms)
{
    uint64_t start = hf_clock_monotonic_ns();
    hf_table_claim(table, hash, client % SERVERS + 1, EXPIRE_S, now_ms);
    return hf_clock_monotonic_ns() - start;
}

/* Inserts [from, to), each timed: cold ones, and as the proxy does it, which first looked for the
 * client and found nothing. */
static void fill_in_turn(struct hf_table *table, uint64_t to, struct times *cold,
                         struct times *after)
{
    uint32_t cost = clock_cost();
    uint64_t now_ms = hf_clock_monotonic_ms(), found = 0;
    for (uint64_t i = 0; i < to; i++) {
        uint64_t hash = key_of(table, i);
        if (i % 2 == 1)
            found += hf_table_find(table, hash, EXPIRE_S / 2, now_ms) != 0;
        note(i % 2 == 1 ? after : cold, timed_claim(table, hash, i, now_ms), cost);
        if (i % 1024 == 0)
            now_ms = hf_clock_monotonic_ms();
    }
    wrong_answers += found;
}

/* Inserts [from, to), each timed. */
static void fill(struct hf_table *table, uint64_t from, uint64_t to, struct times *times)
{
    uint32_t cost = clock_cost();
    uint64_t now_ms = hf_clock_monotonic_ms();
    for (uint64_t i = from; i < to; i++) {
        uint64_t hash = key_of(table, i);
        note(times, timed_claim(table, hash, i, now_ms), cost);
        if (i % 1024 == 0)
            now_ms = hf_clock_monotonic_ms();
    }
}

static void ask(struct hf_table *table, uint64_t entries, struct times *times, uint64_t count)
{
    struct hf_rng rng;
    uint32_t cost = clock_cost();
    uint64_t now_ms = hf_clock_monotonic_ms(), wrong = 0;
    hf_rng_seed(&rng, 7);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t client = hf_rng_u64(&rng) % entries;
        uint64_t hash = key_of(table, client);
        uint64_t start = hf_clock_monotonic_ns();
        uint64_t server = hf_table_find(table, hash, EXPIRE_S / 2, now_ms);
        note(times, hf_clock_monotonic_ns() - start, cost);
        wrong += server != client % SERVERS + 1;
    }
    wrong_answers += wrong;
}

/* What lies between the proxy's announcement of a client and its look-up: a request is received and
 * parsed. */
static void receive_request(int from, int to)
{
    static const char text[] =
        "GET /shop/cart?item=4711 HTTP/1.1\r\nHost: shop.example.com\r\n"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
        "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
        "Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n"
        "Referer: https://shop.example.com/shop/\r\nCookie: theme=dark; SID=0123456789abcdef\r\n"
        "Connection: keep-alive\r\n\r\n";
    static const struct hf_http1_limits limits = {.head_size_max = 16384, .fields_max = 100};
    static struct hf_head head;
    struct hf_http1_parser parser = {0};
    char received[sizeof(text)];
    if (write(from, text, sizeof(text) - 1) < 0)
        exit(1);
    ssize_t got = recv(to, received, sizeof(received), 0);
    if (got < 0 ||
        hf_http1_parse_request(&parser, &head, received, (size_t)got, &limits) != HF_CODEC_DONE)
        wrong_answers++;
}

static void ask_announced(struct hf_table *table, uint64_t entries, struct times *times)
{
    struct hf_rng rng;
    int ends[2];
    uint32_t cost = clock_cost();
    uint64_t now_ms = hf_clock_monotonic_ms(), wrong = 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
        exit(1);
    hf_rng_seed(&rng, 9);
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t client = hf_rng_u64(&rng) % entries;
        uint64_t hash = key_of(table, client);
        hf_table_announce(table, hash);
        receive_request(ends[0], ends[1]);
        uint64_t start = hf_clock_monotonic_ns();
        uint64_t server = hf_table_find(table, hash, EXPIRE_S / 2, now_ms);
        note(times, hf_clock_monotonic_ns() - start, cost);
        wrong += server != client % SERVERS + 1;
    }
    close(ends[0]);
    close(ends[1]);
    wrong_answers += wrong;
}

static struct hf_table_stats stats(struct hf_table *table)
{
    struct hf_table_stats now;
    hf_table_stats(table, &now);
    return now;
}

static struct times *times_new(void)
{
    struct times *times = calloc(1, sizeof(*times));
    if (times != NULL)
        times->samples = malloc(SAMPLES * sizeof(*times->samples));
    if (times == NULL || times->samples == NULL)
        exit(1);
    memset(times->samples, 1, SAMPLES * sizeof(*times->samples)); /* present; zeroes need not be */
    return times;
}

static void times_free(struct times *times)
{
    free(times->samples);
    free(times);
}

/* Mean of a look-up where nothing is timed between: `group` clients are announced, then looked up;
 * 0: one after another, unannounced. */
static double ask_in_groups(struct hf_table *table, uint64_t entries, unsigned group)
{
    static uint64_t hashes[SAMPLES], wanted[SAMPLES];
    struct hf_rng rng;
    uint64_t now_ms = hf_clock_monotonic_ms(), wrong = 0;
    unsigned step = group > 0 ? group : 1;
    hf_rng_seed(&rng, 11 + group);
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t client = hf_rng_u64(&rng) % entries;
        hashes[i] = key_of(table, client);
        wanted[i] = client % SERVERS + 1;
    }
    uint64_t began = hf_clock_monotonic_ns();
    for (unsigned i = 0; i + step <= SAMPLES; i += step) {
        for (unsigned j = i; j < i + group; j++)
            hf_table_announce(table, hashes[j]);
        for (unsigned j = i; j < i + step; j++)
            wrong += hf_table_find(table, hashes[j], EXPIRE_S / 2, now_ms) != wanted[j];
    }
    double took = (double)(hf_clock_monotonic_ns() - began) / SAMPLES;
    wrong_answers += wrong;
    return took;
}

/* --- what this machine's memory gives: as much of it as the table has --- */

struct memory {
    size_t *lines; /* LINE_WORDS apart: the number of another, in one cycle through all (Sattolo) */
    size_t count;
};
enum { LINE_WORDS = 8 };

static struct memory memory_new(uint64_t bytes)
{
    size_t count = bytes / (LINE_WORDS * sizeof(size_t));
    struct memory memory = {aligned_alloc(2 * 1024 * 1024, bytes), count};
    struct hf_rng rng;
    if (memory.lines == NULL)
        exit(1);
    (void)madvise(memory.lines, bytes, MADV_HUGEPAGE);
    hf_rng_seed(&rng, 5);
    for (size_t i = 0; i < count; i++)
        memory.lines[i * LINE_WORDS] = i;
    for (size_t i = count - 1; i > 0; i--) {
        size_t *a = &memory.lines[i * LINE_WORDS];
        size_t *b = &memory.lines[hf_rng_u64(&rng) % i * LINE_WORDS], swapped = *a;
        *a = *b;
        *b = swapped;
    }
    return memory;
}

/* Each load needs the answer of the one before it. */
static double load_chained(const struct memory *memory)
{
    enum { LOADS = 2 * 1000 * 1000 };
    size_t at = 0;
    uint64_t began = hf_clock_monotonic_ns();
    for (unsigned i = 0; i < LOADS; i++)
        at = *(volatile size_t *)&memory->lines[at * LINE_WORDS];
    return (double)(hf_clock_monotonic_ns() - began) / LOADS;
}

static void load_single(const struct memory *memory, struct times *times)
{
    static uint64_t seed = 13;
    struct hf_rng rng;
    uint32_t cost = clock_cost();
    hf_rng_seed(&rng, seed++);
    for (unsigned i = 0; i < SAMPLES / 4; i++) {
        size_t at = hf_rng_u64(&rng) % memory->count;
        uint64_t start = hf_clock_monotonic_ns();
        (void)*(volatile size_t *)&memory->lines[at * LINE_WORDS];
        note(times, hf_clock_monotonic_ns() - start, cost);
    }
}

static uint64_t shifted_ns(void *user)
{
    (void)user;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec +
           __atomic_load_n(&simulated_ns, __ATOMIC_RELAXED);
}

static uint64_t shifted_wall_ms(void *user)
{
    (void)user;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u +
           __atomic_load_n(&simulated_ns, __ATOMIC_RELAXED) / 1000000u;
}

static void put_median(const char *what, struct times *times)
{
    put(what, median(times), "ns");
    times->count = times->most = 0;
    times->stalls = times->others = 0;
}

static void put_times(const char *what, struct times *times)
{
    char name[96];
    snprintf(name, sizeof(name), "%s, median", what);
    put(name, median(times), "ns");
    snprintf(name, sizeof(name), "%s, 99.9 %%", what);
    put(name, times->samples[times->count - times->count / 1000 - 1], "ns");
    snprintf(name, sizeof(name), "%s, longest below 1 ms", what);
    put(name, times->most / 1000.0, "us");
    snprintf(name, sizeof(name), "%s, over 1 ms", what);
    put(name, (double)times->stalls, "times");
    snprintf(name, sizeof(name), "%s, over 1 ms for another process", what);
    put(name, (double)times->others, "times");
    times->count = times->most = 0;
    times->stalls = times->others = 0;
}

/* Between two measurements of the memory, so that they can be compared. */
static void ask_all(struct hf_table *table, uint64_t entries, struct times *times)
{
    struct memory memory = memory_new(stats(table).bytes);
    load_single(&memory, times);
    put_median("one random load, before the look-ups, median", times);
    ask(table, entries, times, SAMPLES);
    put_times("look-up of a random client", times);
    ask_announced(table, entries, times);
    put_times("look-up of a random client announced before its request is read", times);
    put("look-ups one after another, mean", ask_in_groups(table, entries, 0), "ns");
    put("look-ups announced in groups of 8, mean", ask_in_groups(table, entries, 8), "ns");
    put("look-ups announced in groups of 64, mean", ask_in_groups(table, entries, 64), "ns");
    load_single(&memory, times);
    put_median("one random load, after the look-ups, median", times);
    put("one random load that depends on the one before it, mean", load_chained(&memory), "ns");
    free(memory.lines);
}

/* A table that is being carried over to another size while it is asked. */
static void grow(struct hf_table *table, uint64_t entries, struct times *times)
{
    struct hf_table *same = acquire("bench", NULL, entries * 2);
    while (stats(table).size != entries * 2)
        ask(table, entries, times, SAMPLES / 4);
    put_times("look-up while growing to twice the size", times);
    hf_table_release(&same);
}

static void measure(uint64_t entries)
{
    struct times *times = times_new(), *after = times_new();
    uint64_t before = resident_bytes();
    uint64_t began = hf_clock_monotonic_ns();
    struct hf_table *table = acquire("bench", NULL, entries);
    put("acquiring it, its memory made present", (double)(hf_clock_monotonic_ns() - began) / 1e6,
        "ms");
    fill_in_turn(table, entries, times, after);
    put_times("insert into a table that fills, nobody looked before", times);
    put_times("insert into a table that fills, looked for in vain before", after);
    double bytes = (double)(resident_bytes() - before) / (double)entries;
    put("resident bytes for one entry", bytes, "bytes");
    put("HAProxy's stick table, for one entry", HAPROXY_BYTES, "bytes");
    put("evictions", (double)stats(table).evictions, "");
    ask_all(table, entries, times);
    grow(table, entries, times);
    __atomic_store_n(&simulated_ns, 2ull * EXPIRE_S * 1000000000u, __ATOMIC_RELAXED);
    fill(table, entries, entries + entries / 4, times);
    put_times("insert while all older entries expire", times);
    put("clients not found or found wrongly", (double)wrong_answers, "");
    put("evictions at the end", (double)stats(table).evictions, "");
    hf_table_release(&table);
    hf_table_wait_ended(60 * 1000);
    FILE *json = fopen("build/bench-table.json", "a");
    if (json != NULL) {
        fputs("}\n", json);
        fclose(json);
    }
    times_free(times);
    times_free(after);
}

/* The table of a pool's `source_ip: table`, with clients from 10.0.0.0 on and the servers in turn.
 */
static int make(int argc, char **argv)
{
    uint64_t entries = strtoull(argv[4], NULL, 10);
    unsigned servers = (unsigned)(argc - 5);
    char name[HF_TABLE_NAME_MAX];
    snprintf(name, sizeof(name), "%s source_ip 32 64", argv[3]);
    struct hf_table *table = acquire(name, argv[2], entries);
    for (uint64_t i = 0; i < entries; i++) {
        struct hf_address client = {.size = sizeof(client.v4), .v4 = {.sin_family = AF_INET}};
        uint8_t key[16];
        client.v4.sin_addr.s_addr = htonl(0x0a000000u + (uint32_t)i);
        hf_address_key(&client, 32, 64, key);
        uint64_t server_id =
            hf_server_id(hf_slice_text(argv[3]), hf_slice_text(argv[5 + i / RUN % servers]));
        hf_table_claim(table, hf_table_hash(table, hf_slice((const char *)key, sizeof(key))),
                       server_id, EXPIRE_S, hf_clock_monotonic_ms());
    }
    hf_table_release(&table);
    return hf_table_wait_ended(600 * 1000) ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct hf_clock_source source = {.monotonic_ns = shifted_ns, .wall_ms = shifted_wall_ms};
    if (argc > 5 && strcmp(argv[1], "make") == 0)
        return make(argc, argv);
    hf_clock_override(&source);
    measure(argc > 1 ? strtoull(argv[1], NULL, 10) : 10ull * 1000 * 1000);
    return 0;
}
