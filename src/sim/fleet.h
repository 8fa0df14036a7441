/* The servers of a simulated pool and what befalls them. Each change of configuration makes a
 * snapshot and a worker anew, as a reload does; state changes are written where health checks and
 * the admin API write them. A member keeps its number however the pool's positions shift.
 * Never decides where a request goes. Threads: one a fleet, and no two fleets of one pool at a
 * time: servers are the process's. Layer: sim. */
#pragma once
#include "affinity/affinity.h"
#include "config/scenario.h"

#define HF_FLEET_NEVER UINT32_MAX

struct hf_fleet_member {
    struct hf_server *server; /* counted */
    struct hf_pool_server configured;
    bool present;          /* in the configuration */
    bool from_start;       /* and always was */
    bool dead;             /* the process is gone: nothing answers there */
    uint8_t life;          /* raised by each crash */
    uint8_t life_before;   /* life as of hf_fleet_remember */
    uint32_t judged_at_ms; /* when checks find out that it died, or lives; or NEVER */
    uint32_t sessions;     /* held in its memory */
    uint64_t requests;     /* answered */
};

struct hf_fleet {
    const struct hf_pool *original; /* borrowed */
    const struct hf_config *keys;   /* borrowed: whose cookie keys */
    struct hf_config *config;       /* owned: a snapshot of one pool */
    struct hf_affinity_worker worker;
    struct hf_fleet_member *members; /* owned; [member_count] of [member_room] */
    unsigned member_count, member_room;
    unsigned added;                          /* so far, for names */
    uint16_t member_at[HF_POOL_SERVERS_MAX]; /* of the pool's position */
    uint64_t seed, generation;
    uint32_t next_judgement_ms;
    uint64_t verdicts[HF_AFFINITY_VERDICT_COUNT]; /* of workers that are gone */
};

/* Virtual time 0 is this in the clocks the product reads: every server is long up then. */
enum { HF_FLEET_EPOCH_MS = 24 * 3600 * 1000, HF_FLEET_EPOCH_WALL_S = 1700000000 };
static inline uint64_t hf_fleet_monotonic_ms(uint32_t now_ms)
{
    return (uint64_t)HF_FLEET_EPOCH_MS + now_ms;
}

/* The pool's servers, all ready. room: how many more may be added. 0 or negative errno. */
int hf_fleet_init(struct hf_fleet *fleet, const struct hf_config *config,
                  const struct hf_pool *pool, unsigned room, uint64_t seed);
/* Leaves the servers as it found them. */
void hf_fleet_fini(struct hf_fleet *fleet);

const struct hf_pool *hf_fleet_pool(const struct hf_fleet *fleet);
/* The member of that identity, which was present at some time. */
uint16_t hf_fleet_member_of(const struct hf_fleet *fleet, uint64_t server_id);
/* The event, as far as it concerns this pool. Answers how many sessions died, or negative errno. */
int64_t hf_fleet_apply(struct hf_fleet *fleet, const struct hf_scenario_event *event,
                       uint32_t now_ms);
/* Notes each member's life, so that it can be told later which sessions were alive now. */
void hf_fleet_remember(struct hf_fleet *fleet);
/* What checks have found out by now. */
void hf_fleet_judge(struct hf_fleet *fleet, uint32_t now_ms);

/* Bytes of the tables by which the pool's hashes find servers, in the snapshot of now. */
uint64_t hf_fleet_table_bytes(const struct hf_fleet *fleet);

struct hf_fleet_load { /* of the servers that take new clients now */
    uint64_t sessions; /* on all servers */
    double max, min;   /* sessions / fair share by weight; 0 without sessions */
};
struct hf_fleet_load hf_fleet_measure(const struct hf_fleet *fleet, uint32_t now_ms);
/* A member's sessions / fair share by weight, or -1 when it takes no new clients. */
double hf_fleet_share(const struct hf_fleet *fleet, unsigned member, uint32_t now_ms);
/* Most requests of a member / fair share, of those that were there from the start to now. */
double hf_fleet_requests_max(const struct hf_fleet *fleet);
