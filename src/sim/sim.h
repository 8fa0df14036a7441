/* Runs the product's own choosing of servers (affinity, balance) over a described population, in
 * virtual time: what each pool does with the load, and with the sessions when servers come and go.
 * The same scenario and seed give the same result on every machine, but for what it cost.
 * Never opens a socket, never waits. Threads: hf_sim_run starts and joins its own; nothing else may
 * use the scenario's servers meanwhile. Layer: sim, over all that is pure; only cmd includes it. */
#pragma once
#include "affinity/affinity.h"
#include "config/scenario.h"

enum {
    HF_SIM_SAMPLES = 240,      /* of the load, evenly over the duration */
    HF_SIM_CHECKED_EVERY = 64, /* of so many users one has its token really sealed and opened */
    HF_SIM_THREADS_MAX = 64,
    HF_SIM_EVENT_TEXT_MAX = 160,
};

struct hf_sim_sample { /* the pool at one moment */
    uint32_t at_ms;
    uint32_t sessions; /* live ones, on all servers */
    float load_max;    /* of the servers that take new clients: sessions / fair share by weight */
    float load_min;
    uint64_t requests, moved, lost; /* since the start */
};

/* What happened at one time, and what came of it until the next. Row 0, "start", is what happens
 * without an event; its sessions are those that began. */
struct hf_sim_event {
    uint32_t at_ms;
    char text[HF_SIM_EVENT_TEXT_MAX]; /* "crash app7, add 10" */
    uint32_t sessions;                /* live just before */
    uint32_t died;                    /* of those, in the memory of servers that crashed */
    uint32_t returned;                /* of those, sent a request since */
    uint32_t moved;                   /* of those, were answered by another server than before */
    uint64_t lost;                    /* times a session was not where its request was answered */
    uint64_t needless;                /* of those, its server was in service: nothing forced it */
    uint64_t refused;                 /* requests that no server answered */
    uint64_t stood_in;                /* answered by another server while the pin stayed */
};

struct hf_sim_result {          /* one pool under one way of sharing addresses */
    const struct hf_pool *pool; /* borrowed from the scenario */
    struct hf_scenario_nat nat;
    int error; /* negative errno: the rest is void */
    unsigned server_count, server_added;
    uint64_t requests, refused, sessions, lost, needless;
    uint32_t peak;            /* most sessions at once, in the samples before the first event */
    float peak_max, peak_min; /* load then, as in a sample */
    float worst_max;    /* the highest load_max of samples with half the peak's sessions or more */
    float requests_max; /* most requests of a server / fair share by weight, of the servers that
                           were there from start to end */
    float *loads;       /* owned: each server's load at the peak, ascending; [load_count] */
    unsigned load_count;
    struct hf_sim_sample samples[HF_SIM_SAMPLES];
    struct hf_sim_event *events; /* owned; [event_count], row 0 is the start */
    unsigned event_count;
    uint64_t verdicts[HF_AFFINITY_VERDICT_COUNT];
    uint64_t sealed;      /* tokens written; one of HF_SIM_CHECKED_EVERY users' is real */
    uint64_t checked;     /* really sealed, opened and compared */
    uint64_t table_bytes; /* of the proxy: by which hashes find servers, at the end */
    /* What it cost; not the same in two runs. */
    uint64_t user_bytes; /* of the population and its calendar */
    uint64_t wall_ms;
};

struct hf_sim_report {
    const struct hf_scenario *scenario; /* borrowed */
    struct hf_sim_result *results;      /* owned; pool by pool, in the order of the file */
    unsigned count;
    uint64_t wall_ms, cpu_ms; /* cpu: of all threads, loading included */
    uint64_t rss_peak_bytes;  /* of the process */
};

/* Runs every pool with every way of sharing addresses. threads: 1 to HF_SIM_THREADS_MAX; two pools
 * run beside each other, one pool's runs never do. 0, or -ENOMEM, -EAGAIN (no thread). *ret_report
 * is to be finished when 0. */
int hf_sim_run(const struct hf_scenario *scenario, unsigned threads,
               struct hf_sim_report *ret_report);
void hf_sim_report_fini(struct hf_sim_report *report);

/* "no sharing", "33 % behind 50 addresses". */
enum { HF_SIM_NAT_TEXT_MAX = 64 };
void hf_sim_nat_text(const struct hf_scenario_nat *nat, char out[HF_SIM_NAT_TEXT_MAX]);
