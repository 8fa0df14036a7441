/* The users: 32 bytes each, and what follows from their number by hashing (address, session key,
 * whether they keep cookies), which is not stored.
 * Threads: one a population. Layer: sim. */
#pragma once
#include "config/scenario.h"

enum { HF_USER_NOWHERE = UINT16_MAX, HF_USER_KEY_SIZE = 16 };

enum hf_user_mark {
    HF_USER_KEYED = 1,   /* has got its session key */
    HF_USER_MOVED = 2,   /* was counted as moved since the event of `event` */
    HF_USER_WITNESS = 4, /* had a session when that event happened */
};

struct hf_user {
    uint32_t next;           /* hf_calendar's */
    uint32_t session_end_ms; /* 0 = has no session now */
    uint64_t client_id;      /* of the token, as the next four */
    uint64_t issued_s : 24;  /* since the start */
    uint64_t seen_s : 24;
    uint64_t away_from : 16; /* member it will return to (failback), or NOWHERE */
    uint16_t pinned;         /* member of the fleet, or NOWHERE: no token */
    uint16_t home;           /* member that answered last, or NOWHERE */
    uint8_t moves;           /* epoch of the token, as far as it is counted */
    uint8_t life;            /* of the home then: a crash raises the home's */
    uint8_t event;           /* the last row of events that it sent a request under */
    uint8_t marks;           /* enum hf_user_mark */
};
_Static_assert(sizeof(struct hf_user) == 32, "ten million of them are 320 MB");

struct hf_population {
    struct hf_user *users; /* owned; [count] */
    uint32_t count;
    uint64_t seed;
    struct hf_scenario_nat nat;
    uint8_t without_cookies_percent;
};

/* All without session, token and key. 0 or -ENOMEM. */
int hf_population_init(struct hf_population *population, const struct hf_scenario *scenario,
                       const struct hf_scenario_nat *nat);
void hf_population_fini(struct hf_population *population);

/* The address of a user: one of the shared ones, 10.0.0.0/8, or one of 2^32 that hardly anybody
 * else has. */
struct hf_address hf_population_address(const struct hf_population *population, uint32_t user);
bool hf_population_keeps_cookies(const struct hf_population *population, uint32_t user);
/* The value of its session cookie, tenant header and the like: hex digits, for life. */
void hf_population_key(const struct hf_population *population, uint32_t user,
                       char out[HF_USER_KEY_SIZE]);
