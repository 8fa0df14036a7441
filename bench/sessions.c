/* bench-sessions: clients of session stores that speak the protocol of Redis. Closed loop: each
 * sends its next command when the answer is there, as one worker of a web application does. Every
 * answer is looked at. Writes one line of JSON a store. With --once each session has its turn once.
 *
 * Stores that are compared take turns of --slice-ms within one run: a machine that is slow for half
 * a second, as virtual ones often are, is slow for all of them. */
#include "measure.h"
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

enum {
    CLIENTS_MAX = 1000,
    VALUE_MAX = 64 * 1024,
    REQUEST_MAX = VALUE_MAX + 256,
    STORES_MAX = 8,
    KEY_SIZE = 5 + 32, /* "sess:" and 32 digits */
    NS_PER_MS = 1000000,
};
#define LATE_NS_MAX (5ULL * BENCH_NS_PER_S) /* for answers after the measured time */

enum operation { GET, SET, SET_WAIT };

struct settings {
    uint64_t port, clients, value_size;
    enum operation operation;
    uint64_t first, keys, warmup_ns, duration_ns, slice_ns;
    bool once;
    struct bench_watch watch;
};

struct client {
    struct bench_handler handler;
    struct run *run; /* borrowed */
    uint64_t session, sent_ns;
    size_t request_size, request_sent, answer_size;
    char request[REQUEST_MAX];
    char answer[REQUEST_MAX];
};

struct run {
    const struct settings *settings;
    struct bench_loop loop;
    struct client *clients; /* owned */
    uint64_t stop_ns, random, turn;
    bool measured; /* the slice under way */
    uint64_t measured_ns, cpu_ns;
    uint64_t answers, wrong;
    struct bench_samples samples;
    unsigned busy;
};

/* Of a session: its number, spread over all bits (splitmix64), and again. */
static void make_key(uint64_t session, char out[KEY_SIZE + 1])
{
    uint64_t mixed = (session + 1) * 0x9e3779b97f4a7c15ULL;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ULL;
    snprintf(out, KEY_SIZE + 1, "sess:%016llx%016llx", (unsigned long long)mixed,
             (unsigned long long)(mixed ^ session));
}

/* The value begins with its own key, so that a wrong one is seen. */
static void put_value(const char *key, size_t size, char *out)
{
    memset(out, 'v', size);
    memcpy(out, key, size < KEY_SIZE ? size : KEY_SIZE);
}

static void make_request(struct client *client)
{
    const struct settings *settings = client->run->settings;
    char key[KEY_SIZE + 1];
    make_key(client->session, key);
    if (settings->operation == GET) {
        client->request_size = (size_t)snprintf(client->request, REQUEST_MAX,
                                                "*2\r\n$3\r\nGET\r\n$%d\r\n%s\r\n", KEY_SIZE, key);
        return;
    }
    size_t size = (size_t)snprintf(client->request, REQUEST_MAX,
                                   "*4\r\n$5\r\nSETEX\r\n$%d\r\n%s\r\n$4\r\n1800\r\n$%zu\r\n",
                                   KEY_SIZE, key, settings->value_size);
    put_value(key, settings->value_size, client->request + size);
    size += settings->value_size;
    /* One replica, within a second. */
    const char *end = settings->operation == SET_WAIT
                          ? "\r\n*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$4\r\n1000\r\n"
                          : "\r\n";
    memcpy(client->request + size, end, strlen(end));
    client->request_size = size + strlen(end);
}

/* -1: more is to come; else whether the answer is the right one. */
static int judge(const struct client *client)
{
    static const char stored[] = "+OK\r\n", kept[] = "+OK\r\n:1\r\n";
    const struct settings *settings = client->run->settings;
    char head[32], key[KEY_SIZE + 1];
    if (client->answer_size > 0 && client->answer[0] == '-')
        return 0;
    if (settings->operation != GET) {
        const char *wanted = settings->operation == SET_WAIT ? kept : stored;
        if (client->answer_size < strlen(wanted))
            return -1;
        return client->answer_size == strlen(wanted) &&
               memcmp(client->answer, wanted, client->answer_size) == 0;
    }
    if (client->answer_size >= 5 && memcmp(client->answer, "$-1\r\n", 5) == 0)
        return 0;
    size_t head_size = (size_t)snprintf(head, sizeof(head), "$%zu\r\n", settings->value_size);
    if (client->answer_size < head_size + settings->value_size + 2)
        return -1;
    make_key(client->session, key);
    size_t compared = settings->value_size < KEY_SIZE ? settings->value_size : KEY_SIZE;
    return memcmp(client->answer, head, head_size) == 0 &&
           memcmp(client->answer + head_size, key, compared) == 0;
}

static void send_rest(struct client *client)
{
    while (client->request_sent < client->request_size) {
        ssize_t sent = send(client->handler.fd, client->request + client->request_sent,
                            client->request_size - client->request_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0)
            bench_die("send");
        client->request_sent += (size_t)sent;
    }
}

static void begin(struct client *client)
{
    struct run *run = client->run;
    const struct settings *settings = run->settings;
    if (settings->once ? run->turn == settings->keys : bench_now_ns() >= run->stop_ns) {
        run->busy--;
        return;
    }
    client->session = settings->first +
                      (settings->once ? run->turn++ : bench_random(&run->random) % settings->keys);
    client->answer_size = client->request_sent = 0;
    make_request(client);
    client->sent_ns = bench_now_ns();
    send_rest(client);
}

static void answered(struct client *client, bool right)
{
    struct run *run = client->run;
    uint64_t now = bench_now_ns();
    run->wrong += !right;
    if (!right && run->wrong == 1)
        fprintf(stderr, "bench-sessions: wrong answer: %.*s\n",
                (int)(client->answer_size < 80 ? client->answer_size : 80), client->answer);
    if (run->measured) {
        run->answers++;
        bench_samples_add(&run->samples, now - client->sent_ns);
    }
    begin(client);
}

static void ready(struct bench_handler *handler, uint32_t events)
{
    struct client *client = (struct client *)handler;
    (void)events;
    send_rest(client);
    for (;;) {
        size_t room = sizeof(client->answer) - client->answer_size;
        ssize_t got = recv(handler->fd, client->answer + client->answer_size, room, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            bench_die("the store closed a connection");
        client->answer_size += (size_t)got;
        int verdict = judge(client);
        if (verdict >= 0)
            answered(client, verdict == 1);
        if ((size_t)got < room)
            return;
    }
}

static void print_result(struct run *run)
{
    const struct bench_samples *samples = &run->samples;
    double seconds = (double)run->measured_ns / 1e9, cpu_ns = (double)run->cpu_ns;
    bench_samples_sort(&run->samples);
    printf("{\"seconds\": %.3f, \"answers\": %lu, \"rate\": %.1f, \"wrong\": %lu, "
           "\"cpu_us\": %.3f, \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, "
           "\"max\": %.1f}}\n",
           seconds, run->answers, (double)run->answers / seconds, run->wrong,
           run->answers > 0 ? cpu_ns / 1e3 / (double)run->answers : 0,
           bench_samples_quantile_us(samples, 0.5), bench_samples_quantile_us(samples, 0.99),
           bench_samples_quantile_us(samples, 0.999), bench_samples_quantile_us(samples, 1));
}

static void open_clients(struct run *run)
{
    for (unsigned i = 0; i < run->settings->clients; i++) {
        struct client *client = &run->clients[i];
        client->run = run;
        client->handler.ready = ready;
        client->handler.fd = bench_connect((uint16_t)run->settings->port, 0);
        bench_loop_add(&run->loop, &client->handler);
    }
}

static void init_run(struct run *run, const struct settings *settings)
{
    run->settings = settings;
    run->random = BENCH_RANDOM_SEED;
    run->clients = calloc(settings->clients, sizeof(*run->clients));
    bench_samples_init(&run->samples);
    if (run->clients == NULL)
        bench_die("memory");
    bench_loop_init(&run->loop);
    open_clients(run);
}

/* All clients work for so long; it is over when the last of them has its answer. */
static void run_slice(struct run *run, uint64_t duration_ns, bool measured)
{
    const struct settings *settings = run->settings;
    uint64_t from_ns = bench_now_ns(), from_cpu = bench_watch_cpu_ns(&settings->watch);
    run->stop_ns = from_ns + duration_ns;
    run->measured = measured;
    run->busy = (unsigned)settings->clients;
    for (unsigned i = 0; i < settings->clients; i++)
        begin(&run->clients[i]);
    while (run->busy > 0 && (settings->once || bench_now_ns() < run->stop_ns + LATE_NS_MAX))
        bench_loop_once(&run->loop, 100LL * NS_PER_MS);
    if (run->busy > 0)
        bench_die("answers that are late by seconds");
    if (!measured)
        return;
    run->measured_ns += bench_now_ns() - from_ns;
    run->cpu_ns += bench_watch_cpu_ns(&settings->watch) - from_cpu;
}

/* Turn by turn, until each has had its time. */
static int run_stores(const struct settings *settings, unsigned count)
{
    static struct run runs[STORES_MAX];
    uint64_t wrong = 0;
    for (unsigned i = 0; i < count; i++) {
        init_run(&runs[i], &settings[i]);
        if (settings[i].warmup_ns > 0)
            run_slice(&runs[i], settings[i].warmup_ns, false);
    }
    for (uint64_t done_ns = 0; done_ns < settings->duration_ns; done_ns += settings->slice_ns)
        for (unsigned i = 0; i < count; i++)
            run_slice(&runs[i], settings->slice_ns, true);
    for (unsigned i = 0; i < count; i++) {
        print_result(&runs[i]);
        wrong += runs[i].wrong;
    }
    return wrong > 0;
}

static const char usage[] =
    "usage: bench-sessions --port PORT [--operation get|set|set-wait] [--once]\n"
    "  [--clients 50] [--value 1000] [--first 0] [--keys 10000]\n"
    "  [--warmup-ms 500] [--duration-ms 3000] [--slice-ms MS] [--cpu-of PID]...\n"
    "  [--next --port PORT ...]\n"
    "set-wait: SETEX, and WAIT for one replica. --once: each key once.\n"
    "--next: another store, with what was said of the one before but --port and\n"
    "--cpu-of; they take turns of --slice-ms, each for as long as the first.\n";

static enum operation operation_of(const char *word)
{
    static const char *const words[] = {[GET] = "get", [SET] = "set", [SET_WAIT] = "set-wait"};
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i], word) == 0)
            return (enum operation)i;
    }
    bench_usage(usage);
}

static void parse_store(struct settings *settings, int argc, char **argv)
{
    const char *operation = NULL;
    const struct bench_option options[] = {
        {"port", .number = &settings->port, .low = 1, .high = UINT16_MAX},
        {"operation", .text = &operation},
        {"clients", .number = &settings->clients, .low = 1, .high = CLIENTS_MAX},
        {"value", .number = &settings->value_size, .low = 1, .high = VALUE_MAX},
        {"keys", .number = &settings->keys, .low = 1, .high = 100000000},
        {"warmup-ms", .number = &settings->warmup_ns, .low = 0, .high = 600000, .unit = NS_PER_MS},
        {"duration-ms", .number = &settings->duration_ns, .low = 1, .high = 600000,
         .unit = NS_PER_MS},
        {"slice-ms", .number = &settings->slice_ns, .low = 1, .high = 600000, .unit = NS_PER_MS},
        {"cpu-of", .watch = &settings->watch},
        {"first", .number = &settings->first, .low = 0, .high = 100000000},
        {"once", .flag = &settings->once},
        {0}};
    bench_options(argc, argv, options, usage);
    if (operation != NULL)
        settings->operation = operation_of(operation);
}

/* What was said of the store before holds for the next, but for who it is. */
static struct settings next_store(const struct settings *before)
{
    struct settings settings = *before;
    settings.port = 0;
    settings.watch = (struct bench_watch){0};
    return settings;
}

static void complete_settings(struct settings *settings)
{
    if (settings->port == 0)
        bench_usage(usage);
    if (settings->once)
        settings->warmup_ns = 0;
    if (settings->once || settings->slice_ns == 0)
        settings->slice_ns = settings->duration_ns;
}

static bool is_next(const char *word)
{
    return strcmp(word, "--next") == 0;
}

int main(int argc, char **argv)
{
    static struct settings stores[STORES_MAX];
    unsigned count = 0;
    struct settings settings = {.clients = 50,
                                .value_size = 1000,
                                .keys = 10000,
                                .warmup_ns = 500ULL * NS_PER_MS,
                                .duration_ns = 3000ULL * NS_PER_MS};
    for (int at = 0, end = 1; at < argc; at = end++) {
        while (end < argc && !is_next(argv[end]))
            end++;
        if (count == STORES_MAX)
            bench_usage(usage);
        parse_store(&settings, end - at, argv + at);
        stores[count++] = settings;
        settings = next_store(&settings);
    }
    for (unsigned i = 0; i < count; i++)
        complete_settings(&stores[i]);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* or every wait is up to 50 us late */
    return run_stores(stores, count);
}
