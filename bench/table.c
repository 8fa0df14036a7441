/* How fast, how large and how even the table is: fills it, asks it, lets all of it expire, and
 * carries it over to another size. One line a figure, and the same in build/bench-table.json.
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

/* Inserts [from, to), each timed. */
static void fill(struct hf_table *table, uint64_t from, uint64_t to, struct times *times)
{
    uint32_t cost = clock_cost();
    uint64_t now_ms = hf_clock_monotonic_ms();
    for (uint64_t i = from; i < to; i++) {
        uint64_t hash = key_of(table, i);
        uint64_t start = hf_clock_monotonic_ns();
        hf_table_claim(table, hash, i % SERVERS + 1, EXPIRE_S, now_ms);
        uint64_t end = hf_clock_monotonic_ns();
        note(times, end - start, cost);
        now_ms = end / 1000000;
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
    memset(times->samples, 0, SAMPLES * sizeof(*times->samples));
    return times;
}

/* What this machine takes for one load that depends on the one before it, in as much memory as the
 * table has: no look-up of a client can be faster by much. */
static double memory_latency(uint64_t bytes)
{
    enum { LINE = 64, LOADS = 2 * 1000 * 1000 };
    size_t count = bytes / LINE, at = 0;
    size_t *lines = aligned_alloc(2 * 1024 * 1024, count * LINE);
    struct hf_rng rng;
    if (lines == NULL)
        exit(1);
    (void)madvise(lines, count * LINE, MADV_HUGEPAGE);
    hf_rng_seed(&rng, 5);
    for (size_t i = 0; i < count; i++)
        lines[i * (LINE / sizeof(*lines))] = i;
    for (size_t i = count - 1; i > 0; i--) { /* one cycle through all (Sattolo) */
        size_t other = hf_rng_u64(&rng) % i, *a = &lines[i * (LINE / sizeof(*lines))];
        size_t *b = &lines[other * (LINE / sizeof(*lines))], swapped = *a;
        *a = *b;
        *b = swapped;
    }
    uint64_t began = hf_clock_monotonic_ns();
    for (unsigned i = 0; i < LOADS; i++)
        at = *(volatile size_t *)&lines[at * (LINE / sizeof(*lines))];
    double took = (double)(hf_clock_monotonic_ns() - began) / LOADS;
    free(lines);
    return took;
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
    struct times *times = times_new();
    uint64_t before = resident_bytes();
    uint64_t began = hf_clock_monotonic_ns();
    struct hf_table *table = acquire("bench", NULL, entries);
    put("acquiring it, its memory made present", (double)(hf_clock_monotonic_ns() - began) / 1e6,
        "ms");
    fill(table, 0, entries, times);
    put_times("insert into a table that fills", times);
    double bytes = (double)(resident_bytes() - before) / (double)entries;
    put("resident bytes for one entry", bytes, "bytes");
    put("HAProxy's stick table, for one entry", HAPROXY_BYTES, "bytes");
    put("evictions", (double)stats(table).evictions, "");
    ask(table, entries, times, SAMPLES);
    put_times("look-up of a random client", times);
    ask_announced(table, entries, times);
    put_times("look-up of a random client announced before its request is read", times);
    put("one random load from as much memory", memory_latency(stats(table).bytes), "ns");
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
    free(times->samples);
    free(times);
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
