/* bench-load: the benchmark's clients. Closed loop: each client sends its next request when the
 * answer is there. Open loop (--rate): requests are due at fixed moments (a Poisson process with a
 * fixed seed, the same for every proxy), and latency counts from the moment a request was due, not
 * from when a client was free to send it: no coordinated omission. Writes one line of JSON. */
#include "client.h"
#include "measure.h"
#include "websocket.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

enum {
    CLIENTS_MAX = 4096,
    DRAIN_MS_MAX = 2000, /* how long the end waits for late answers */
    NS_PER_MS = 1000000,
};

struct settings {
    uint64_t port, clients, websockets, body_size;
    uint64_t warmup_ns, duration_ns, rate; /* rate 0 = closed loop */
    const char *serve;                     /* ports of backends in this process, or "" */
    bool login, sources;
    uint64_t backends; /* how many there are; set from `serve` */
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
    uint64_t due_count;           /* requests due within the window */
    struct bench_samples samples; /* ns from due to answered */
};

struct reading { /* what is read at both ends of the window */
    struct bench_counts counts;
    uint64_t time_ns, watched_ns, self_ns, machine_ns;
};

static void record(struct load *load, uint64_t intended_ns)
{
    if (intended_ns >= load->start_ns && intended_ns < load->stop_ns) {
        bench_samples_add(&load->samples, bench_now_ns() - intended_ns);
    }
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

/* Exponential gaps: independent users. */
static uint64_t next_gap_ns(struct load *load)
{
    double uniform = ((double)(bench_random(&load->random) >> 11) + 0.5) / (double)(1ULL << 53);
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

static void print_result(struct load *load, const struct reading *from, const struct reading *to)
{
    const struct bench_counts *all = &load->target.counts;
    double seconds = (double)(to->time_ns - from->time_ns) / BENCH_NS_PER_S;
    uint64_t answers = to->counts.answers - from->counts.answers;
    const struct bench_samples *samples = &load->samples;
    bench_samples_sort(&load->samples);
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
           bench_samples_quantile_us(samples, 0.5), bench_samples_quantile_us(samples, 0.9),
           bench_samples_quantile_us(samples, 0.99), bench_samples_quantile_us(samples, 0.999),
           bench_samples_quantile_us(samples, 1));
    printf("\"due\": %lu, \"sampled\": %u, \"behind\": %s, ", load->due_count, samples->count,
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
    load.random = BENCH_RANDOM_SEED;
    bench_target_init(&load.target, loop, (uint16_t)settings->port, (unsigned)settings->backends,
                      settings->body_size);
    load.target.login = settings->login;
    load.target.sources = settings->sources;
    load.target.user = &load;
    load.target.done = settings->rate > 0 ? open_done : closed_done;
    load.clients = calloc(settings->clients, sizeof *load.clients);
    bench_samples_init(&load.samples);
    if (load.clients == NULL) {
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

static const char usage[] =
    "usage: bench-load --port PORT (--serve PORT,PORT,... | --backends N)\n"
    "  [--clients 64] [--rate REQUESTS_PER_S] [--warmup-ms 500]\n"
    "  [--duration-ms 3000] [--body BYTES] [--cpu-of PID]...\n"
    "  [--login] [--sources] [--websockets N]\n"
    "--serve runs the backends in this process. --rate makes the loop open.\n"
    "--login: clients begin without a cookie, the backends give them one.\n"
    "--sources: each client comes from its own address in 127.1.0.0/16.\n";

int main(int argc, char **argv)
{
    static struct bench_backend backends[BENCH_BACKENDS_MAX];
    struct settings settings = {.clients = 64,
                                .warmup_ns = 500ULL * NS_PER_MS,
                                .duration_ns = 3000ULL * NS_PER_MS,
                                .body_size = BENCH_BODY_SIZE_DEFAULT,
                                .serve = ""};
    const struct bench_option options[] = {
        {"port", .number = &settings.port, .low = 1, .high = UINT16_MAX},
        {"serve", .text = &settings.serve},
        {"backends", .number = &settings.backends, .low = 1, .high = BENCH_BACKENDS_MAX},
        {"clients", .number = &settings.clients, .low = 1, .high = CLIENTS_MAX},
        {"rate", .number = &settings.rate, .low = 1, .high = 10000000},
        {"warmup-ms", .number = &settings.warmup_ns, .low = 0, .high = 600000, .unit = NS_PER_MS},
        {"duration-ms", .number = &settings.duration_ns, .low = 1, .high = 600000,
         .unit = NS_PER_MS},
        {"body", .number = &settings.body_size, .low = BENCH_BODY_SIZE_MIN,
         .high = BENCH_BODY_SIZE_MAX},
        {"cpu-of", .watch = &settings.watch},
        {"login", .flag = &settings.login},
        {"sources", .flag = &settings.sources},
        {"websockets", .number = &settings.websockets, .low = 1, .high = BENCH_WEBSOCKETS_MAX},
        {0}};
    bench_options(argc, argv, options, usage);
    struct bench_loop loop;
    bench_loop_init(&loop);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* or every wait is up to 50 us late */
    if (settings.serve[0] != '\0') {
        settings.backends =
            bench_backends_open(backends, &loop, settings.serve, settings.body_size);
    }
    if (settings.port == 0 || settings.backends == 0) {
        bench_usage(usage);
    }
    if (settings.websockets > 0) {
        return bench_websockets_hold(&loop, (uint16_t)settings.port, (unsigned)settings.websockets);
    }
    return run_clients(&settings, &loop);
}
