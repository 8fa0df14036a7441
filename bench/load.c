/* bench-load: the benchmark's clients. Closed loop: each client sends its next request when the
 * answer is there. Open loop (--rate): requests are due at fixed moments (a Poisson process with a
 * fixed seed, the same for every proxy), and latency counts from the moment a request was due, not
 * from when a client was free to send it: no coordinated omission. Writes one line of JSON. */
#include "client.h"
#include "watch.h"
#include "websocket.h"

#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

enum {
    CLIENTS_MAX = 4096,
    SAMPLES_MAX = 16 * 1024 * 1024,
    DRAIN_MS_MAX = 2000, /* how long the end waits for late answers */
    NS_PER_MS = 1000000,
};

struct settings {
    uint16_t port;
    unsigned clients, websockets;
    uint64_t warmup_ns, duration_ns, rate; /* rate 0 = closed loop */
    size_t body_size;
    const char *serve; /* ports of backends in this process, or "" */
    bool login, sources;
    unsigned backends; /* how many there are; set from `serve` */
    struct bench_watch watch;
};

struct load {
    const struct settings *settings;
    struct bench_target target;
    struct bench_client *clients;           /* owned */
    struct bench_client *idle[CLIENTS_MAX]; /* a ring of the free clients */
    unsigned idle_head, idle_count;
    uint64_t start_ns, stop_ns; /* the measured window */
    uint64_t due_ns;            /* open loop: when the next request should be sent */
    bool stopping;              /* the window is over: no new requests */
    uint64_t random;
    uint64_t due_count; /* requests due within the window */
    uint32_t *samples;  /* owned; ns from due to answered */
    uint32_t sample_count;
};

struct reading { /* what is read at both ends of the window */
    struct bench_counts counts;
    uint64_t time_ns, watched_ns, self_ns, machine_ns;
};

static void record(struct load *load, uint64_t intended_ns)
{
    if (intended_ns < load->start_ns || intended_ns >= load->stop_ns ||
        load->sample_count == SAMPLES_MAX) {
        return;
    }
    uint64_t latency = bench_now_ns() - intended_ns;
    load->samples[load->sample_count++] = latency > UINT32_MAX ? UINT32_MAX : (uint32_t)latency;
}

static void push_idle(struct load *load, struct bench_client *client)
{
    load->idle[(load->idle_head + load->idle_count++) % CLIENTS_MAX] = client;
}

static void closed_done(struct bench_client *client)
{
    struct load *load = client->target->user;
    record(load, client->intended_ns);
    if (load->stopping) {
        push_idle(load, client);
    } else {
        bench_client_send(client, bench_now_ns());
    }
}

/* Exponential gaps: independent users. xorshift64* (Vigna 2016). */
static uint64_t next_gap_ns(struct load *load)
{
    load->random ^= load->random >> 12;
    load->random ^= load->random << 25;
    load->random ^= load->random >> 27;
    uint64_t bits = (load->random * 0x2545f4914f6cdd1dULL) >> 11;
    double uniform = ((double)bits + 0.5) / (double)(1ULL << 53);
    return (uint64_t)(-log(uniform) * BENCH_NS_PER_S / (double)load->settings->rate);
}

/* Sends what is due as long as clients are free; what finds none stays due, and ages. */
static void send_due(struct load *load, uint64_t now_ns)
{
    while (load->due_ns <= now_ns && load->due_ns < load->stop_ns && load->idle_count > 0) {
        struct bench_client *client = load->idle[load->idle_head];
        load->idle_head = (load->idle_head + 1) % CLIENTS_MAX;
        load->idle_count--;
        bench_client_send(client, load->due_ns);
        load->due_count += load->due_ns >= load->start_ns;
        load->due_ns += next_gap_ns(load);
    }
}

static void open_done(struct bench_client *client)
{
    struct load *load = client->target->user;
    record(load, client->intended_ns);
    push_idle(load, client);
    send_due(load, bench_now_ns());
}

/* Serves until `until_ns`, or until every client is free and nothing is due if that comes first. */
static void run_until(struct load *load, uint64_t until_ns, bool drain)
{
    uint64_t now = bench_now_ns();
    while (now < until_ns) {
        uint64_t wake = until_ns;
        if (load->settings->rate > 0) {
            send_due(load, now);
            wake = load->due_ns < wake && load->idle_count > 0 ? load->due_ns : wake;
        }
        if (drain && load->due_ns >= load->stop_ns && load->idle_count == load->settings->clients) {
            return;
        }
        now = bench_now_ns();
        bench_loop_once(load->target.loop, wake > now ? (int64_t)(wake - now) : 0);
        now = bench_now_ns();
    }
}

static struct reading read_now(const struct load *load)
{
    return (struct reading){.counts = load->target.counts,
                            .time_ns = bench_now_ns(),
                            .watched_ns = bench_watch_cpu_ns(&load->settings->watch),
                            .self_ns = bench_self_cpu_ns(),
                            .machine_ns = bench_machine_busy_ns()};
}

static int compare_samples(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

/* The smallest sample that `quantile` of all are not above, in us; samples are sorted. */
static double quantile_us(const struct load *load, double quantile)
{
    if (load->sample_count == 0) {
        return 0;
    }
    uint32_t index = (uint32_t)(quantile * (load->sample_count - 1));
    return (double)load->samples[index] / BENCH_NS_PER_US;
}

static void print_result(struct load *load, const struct reading *from, const struct reading *to)
{
    const struct bench_counts *all = &load->target.counts;
    double seconds = (double)(to->time_ns - from->time_ns) / BENCH_NS_PER_S;
    uint64_t answers = to->counts.answers - from->counts.answers;
    qsort(load->samples, load->sample_count, sizeof *load->samples, compare_samples);
    printf("{\"seconds\": %.3f, \"answers\": %lu, \"rate\": %.1f, ", seconds, answers,
           (double)answers / seconds);
    printf("\"cpu_us_per_request\": %.3f, \"proxy_cores\": %.3f, ",
           answers == 0 ? 0 : (double)(to->watched_ns - from->watched_ns) / 1e3 / (double)answers,
           (double)(to->watched_ns - from->watched_ns) / 1e9 / seconds);
    printf("\"load_cores\": %.3f, \"machine_cores\": %.3f, ",
           (double)(to->self_ns - from->self_ns) / 1e9 / seconds,
           (double)(to->machine_ns - from->machine_ns) / 1e9 / seconds);
    printf("\"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f, "
           "\"max\": %.1f}, ",
           quantile_us(load, 0.5), quantile_us(load, 0.9), quantile_us(load, 0.99),
           quantile_us(load, 0.999), quantile_us(load, 1));
    printf("\"due\": %lu, \"sampled\": %u, \"behind\": %s, ", load->due_count, load->sample_count,
           load->due_ns < load->stop_ns && load->settings->rate > 0 ? "true" : "false");
    printf("\"wrong\": %lu, \"moved\": %lu, \"broken\": %lu, \"reconnects\": %lu, "
           "\"set_cookies\": %lu, \"served\": [",
           all->wrong, all->moved, all->broken, all->reconnects, all->set_cookies);
    for (unsigned i = 0; i < load->target.backends; i++) {
        printf("%s%lu", i > 0 ? ", " : "", load->target.served[i]);
    }
    printf("]}\n");
}

static int run_clients(const struct settings *settings, struct bench_loop *loop)
{
    static struct load load;
    load.settings = settings;
    load.random = 0x9e3779b97f4a7c15ULL;
    bench_target_init(&load.target, loop, settings->port, settings->backends, settings->body_size);
    load.target.login = settings->login;
    load.target.sources = settings->sources;
    load.target.user = &load;
    load.target.done = settings->rate > 0 ? open_done : closed_done;
    load.clients = calloc(settings->clients, sizeof *load.clients);
    load.samples = malloc(SAMPLES_MAX * sizeof *load.samples);
    if (load.clients == NULL || load.samples == NULL) {
        bench_die("memory");
    }
    load.due_ns = bench_now_ns();
    load.start_ns = load.due_ns + settings->warmup_ns;
    load.stop_ns = load.start_ns + settings->duration_ns;
    for (unsigned i = 0; i < settings->clients; i++) {
        bench_client_open(&load.clients[i], &load.target, i);
        if (settings->rate > 0) {
            push_idle(&load, &load.clients[i]);
        } else {
            bench_client_send(&load.clients[i], bench_now_ns());
        }
    }
    run_until(&load, load.start_ns, false);
    struct reading from = read_now(&load);
    run_until(&load, load.stop_ns, false);
    struct reading to = read_now(&load);
    /* No request is left under way: a proxy must not count this end as a failure of its backends.
     */
    load.stopping = true;
    run_until(&load, load.stop_ns + (uint64_t)DRAIN_MS_MAX * NS_PER_MS, true);
    print_result(&load, &from, &to);
    return 0;
}

static _Noreturn void usage(void)
{
    fprintf(stderr, "usage: bench-load --port PORT (--serve PORT,PORT,... | --backends N)\n"
                    "  [--clients 64] [--rate REQUESTS_PER_S] [--warmup-ms 500]\n"
                    "  [--duration-ms 3000] [--body BYTES] [--cpu-of PID]...\n"
                    "  [--login] [--sources] [--websockets N]\n"
                    "--serve runs the backends in this process. --rate makes the loop open.\n"
                    "--login: clients begin without a cookie, the backends give them one.\n"
                    "--sources: each client comes from its own address in 127.1.0.0/16.\n");
    exit(2);
}

static void parse_option(struct settings *settings, int option, const char *value)
{
    switch (option) {
    case 'p':
        settings->port = (uint16_t)bench_number("port", value, 1, UINT16_MAX);
        return;
    case 's':
        settings->serve = value;
        return;
    case 'n':
        settings->backends = (unsigned)bench_number("backends", value, 1, BENCH_BACKENDS_MAX);
        return;
    case 'c':
        settings->clients = (unsigned)bench_number("clients", value, 1, CLIENTS_MAX);
        return;
    case 'r':
        settings->rate = bench_number("rate", value, 1, 10000000);
        return;
    case 'w':
        settings->warmup_ns = bench_number("warmup-ms", value, 0, 600000) * NS_PER_MS;
        return;
    case 'd':
        settings->duration_ns = bench_number("duration-ms", value, 1, 600000) * NS_PER_MS;
        return;
    case 'b':
        settings->body_size = bench_number("body", value, BENCH_BODY_SIZE_MIN, BENCH_BODY_SIZE_MAX);
        return;
    case 'u':
        bench_watch_add(&settings->watch, (pid_t)bench_number("cpu-of", value, 1, INT32_MAX));
        return;
    case 'l':
        settings->login = true;
        return;
    case 'a':
        settings->sources = true;
        return;
    case 'W':
        settings->websockets = (unsigned)bench_number("websockets", value, 1, BENCH_WEBSOCKETS_MAX);
        return;
    default:
        usage();
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"serve", required_argument, NULL, 's'},
                                            {"backends", required_argument, NULL, 'n'},
                                            {"clients", required_argument, NULL, 'c'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"warmup-ms", required_argument, NULL, 'w'},
                                            {"duration-ms", required_argument, NULL, 'd'},
                                            {"body", required_argument, NULL, 'b'},
                                            {"cpu-of", required_argument, NULL, 'u'},
                                            {"login", no_argument, NULL, 'l'},
                                            {"sources", no_argument, NULL, 'a'},
                                            {"websockets", required_argument, NULL, 'W'},
                                            {0}};
    static struct bench_backend backends[BENCH_BACKENDS_MAX];
    struct settings settings = {.clients = 64,
                                .warmup_ns = 500ULL * NS_PER_MS,
                                .duration_ns = 3000ULL * NS_PER_MS,
                                .body_size = BENCH_BODY_SIZE_DEFAULT,
                                .serve = ""};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        parse_option(&settings, option, optarg);
    }
    struct bench_loop loop;
    bench_loop_init(&loop);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* or every wait is up to 50 us late */
    if (settings.serve[0] != '\0') {
        settings.backends =
            bench_backends_open(backends, &loop, settings.serve, settings.body_size);
    }
    if (settings.port == 0 || settings.backends == 0) {
        usage();
    }
    if (settings.websockets > 0) {
        return bench_websockets_hold(&loop, settings.port, settings.websockets);
    }
    return run_clients(&settings, &loop);
}
