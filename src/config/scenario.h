/* A scenario of `holdfast simulate`: a population, the pools it is let loose on, and what happens.
 * Pools stand in it exactly as in the proxy's file, or are taken from one.
 * Never runs anything. Threads: any, one call at a time a file. Layer: config. */
#pragma once
#include "config/config.h"

enum {
    HF_SCENARIO_USERS_MAX = 100 * 1000 * 1000,
    HF_SCENARIO_EVENTS_MAX = 200, /* at fewer different times than one byte counts */
    HF_SCENARIO_NATS_MAX = 8,
    HF_SCENARIO_WEIGHTS_MAX = 64,
};

/* Names of servers that join: behind app1, app2... in the order of names, by which jump hashing
 * counts, as whoever adds a server would choose them. */
#define HF_SCENARIO_NEW_NAME "new%u"

enum hf_spread_kind {
    HF_SPREAD_EXPONENTIAL,
    HF_SPREAD_FIXED,
    HF_SPREAD_LOGNORMAL, /* by mean and median */
    HF_SPREAD_PARETO,    /* by mean and minimum: a heavy tail */
};
struct hf_spread { /* how times are distributed */
    enum hf_spread_kind kind;
    uint64_t mean_ms;    /* 0 = there is no such time */
    uint64_t median_ms;  /* of LOGNORMAL: 0 < median < mean */
    uint64_t minimum_ms; /* of PARETO: 0 < minimum < mean */
};

struct hf_scenario_nat { /* how users share addresses */
    uint8_t share_percent;
    uint32_t addresses;
};

enum hf_session_key { HF_SESSION_KEY_ISSUED, HF_SESSION_KEY_KNOWN };

struct hf_scenario_users {
    uint32_t count;
    uint64_t arrive_ms;                            /* first requests are spread over it */
    struct hf_spread session, think, answer, away; /* away.mean_ms 0: nobody returns */
    enum hf_session_key session_key; /* from the server's first answer, or known before */
    uint8_t without_cookies_percent;
    struct hf_scenario_nat nats[HF_SCENARIO_NATS_MAX]; /* each is simulated; at least one */
    unsigned nat_count;
};

enum hf_event_kind {
    HF_EVENT_CRASH, /* the process dies with its sessions; checks find out in their time */
    HF_EVENT_RECOVER,
    HF_EVENT_DRAIN,
    HF_EVENT_MAINTENANCE,
    HF_EVENT_READY,
    HF_EVENT_REMOVE, /* out of the configuration */
    HF_EVENT_WEIGHT,
    HF_EVENT_ADD, /* `value` servers "new1", "new2"... of weight 1 */
    HF_EVENT_KIND_COUNT
};
const char *hf_event_kind_word(enum hf_event_kind kind); /* "crash", as the file has it */

struct hf_scenario_event {
    enum hf_event_kind kind;
    uint64_t at_ms;
    char server[HF_NAME_MAX]; /* not of ADD */
    uint32_t value;           /* the weight; how many are added */
    unsigned line;            /* of the file */
};

struct hf_scenario {
    struct hf_config *config; /* counted: its pools are simulated; its servers' states are the
                                 scenario's to change while nothing else runs in the process */
    uint64_t seed;
    uint64_t duration_ms;
    struct hf_scenario_users users;
    struct hf_scenario_event events[HF_SCENARIO_EVENTS_MAX]; /* in order of time */
    unsigned event_count;
};

/* As hf_config_load: 0, or -EINVAL and a report, or another negative errno with one message. */
int hf_scenario_load(const char *file, struct hf_scenario *ret_scenario,
                     struct hf_config_report *report);
/* The same from memory; relative paths start at the folder of `name`. */
int hf_scenario_load_text(struct hf_slice text, const char *name, struct hf_scenario *ret_scenario,
                          struct hf_config_report *report);
void hf_scenario_fini(struct hf_scenario *scenario);
