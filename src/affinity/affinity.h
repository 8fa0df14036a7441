/* Who serves this client? Runs a pool's strategies in order; the first that names a usable server
 * wins, else the balancer chooses. One folder a strategy; the table of strategies is affinity.c.
 * Never does I/O, never writes to the client: it says what should be written.
 * Threads: everything belongs to one worker but the snapshot. Layer: affinity. */
#pragma once
#include "balance/balance.h"
#include "model/config.h"
#include "proto/http.h"

/* What a strategy found; one row gives enum, word for log and explain, metric label, help. */
#define HF_AFFINITY_VERDICTS(ROW)                                                                  \
    ROW(NONE, "none", "the client brought no key")                                                 \
    ROW(PINNED, "pinned", "the key names a usable server")                                         \
    ROW(REFRESHED, "refreshed", "pinned, and the token was sealed again")                          \
    ROW(RETURNED, "returned", "the server that the client was moved from is back")                 \
    ROW(HASHED, "hashed", "the server follows from a hash of the key")                             \
    ROW(BOUNDED, "bounded", "the server of the hash has its full share of the load")               \
    ROW(DOWN, "down", "the server named is down")                                                  \
    ROW(MAINTENANCE, "maintenance", "the server named is in maintenance")                          \
    ROW(GONE, "gone", "the server named is no longer configured")                                  \
    ROW(FORGED, "forged", "the token does not verify")                                             \
    ROW(MALFORMED, "malformed", "the value has not the form of a token")                           \
    ROW(UNKNOWN_KEY, "unknown_key", "the token was sealed by a key that is not configured")        \
    ROW(EXPIRED_IDLE, "expired_idle", "the token was not used for too long")                       \
    ROW(EXPIRED_LIFETIME, "expired_lifetime", "the token is too old")                              \
    ROW(FUTURE, "future", "the token is from the future beyond clock skew")                        \
    ROW(DUPLICATE, "duplicate", "the cookie or field came more than once")                         \
    ROW(UNLISTED, "unlisted", "the table does not have the key")
enum hf_affinity_verdict {
#define HF_AFFINITY_ENUM(id, word, help) HF_AFFINITY_##id,
    HF_AFFINITY_VERDICTS(HF_AFFINITY_ENUM)
#undef HF_AFFINITY_ENUM
        HF_AFFINITY_VERDICT_COUNT
};
const char *hf_affinity_verdict_word(enum hf_affinity_verdict verdict);

enum {
    HF_CLOCK_SKEW_S = 300,            /* tokens this far in the future are still believed */
    HF_COOKIE_PREFIX_SEPARATOR = '~', /* stands in no server's name: config/types.c */
};

struct hf_affinity_request { /* what a strategy may look at; borrowed for the call */
    const struct hf_head *head;
    const struct hf_address *client; /* believed: the peer's, or what a trusted proxy says */
    bool secure;                     /* came by TLS, here or at a trusted proxy */
    uint64_t now_ms;                 /* monotonic */
    uint64_t wall_s;
};

/* How a worker opens and seals tokens: by its sealer. Who drives a worker without clients (sim/)
 * may put its own in place after init, keep what the tokens say, and so spare ten million clients
 * the cipher. Both as hf_token_open and hf_token_seal but for `user`. */
struct hf_affinity_cipher {
    enum hf_token_verdict (*open)(void *user, struct hf_slice scope, struct hf_slice text,
                                  struct hf_token *ret_token);
    void (*seal)(void *user, struct hf_slice scope, const struct hf_token *token,
                 char out[HF_TOKEN_TEXT_SIZE]);
    void *user;
};

struct hf_affinity_announced {          /* the client whose request is about to be read */
    const struct hf_affinity *affinity; /* `source_ip: table` of the only pool that requests lead
                                           to; borrowed from the configuration; NULL = none */
    struct hf_table *table;             /* its own, borrowed from `tables` */
    struct hf_address address;          /* of the last one; size 0 = none yet */
    uint64_t hash;                      /* of it, in that table */
};

struct hf_affinity_worker {         /* one a worker and snapshot */
    struct hf_token_sealer *sealer; /* owned */
    struct hf_affinity_cipher cipher;
    struct hf_rng rng;
    struct hf_balance_state *balance; /* owned, [pool_count] */
    struct hf_table **tables;         /* owned, counted each: [pool_count * HF_AFFINITIES_MAX], or
                                         NULL when no strategy has one */
    struct hf_affinity_announced announced;
    unsigned pool_count;
    uint64_t verdicts[HF_AFFINITY_VERDICT_COUNT]; /* the owner copies these into its counters */
};
/* 0 or negative errno; -EINVAL when a pool writes a cookie and there is no key. */
int hf_affinity_worker_init(struct hf_affinity_worker *worker, const struct hf_config *config);
void hf_affinity_worker_fini(struct hf_affinity_worker *worker);

/* The slow path of the one below. */
void hf_affinity_announce_peer(struct hf_affinity_worker *worker, const struct hf_address *peer);
/* A request of that peer is about to be read: asks memory for the client's entry, which is there
 * when identify looks, one receive and one parse later. Only `source_ip: table` of a configuration
 * with one route and no trusted proxies knows so early who asks; a no-op for all others. */
static inline void hf_affinity_announce(struct hf_affinity_worker *worker,
                                        const struct hf_address *peer)
{
    if (worker->announced.table != NULL)
        hf_affinity_announce_peer(worker, peer);
}

/* The answer to a request, and what finish needs. Zeroed by identify. */
struct hf_affinity_choice {
    int owner;          /* index in pool->servers of the server that holds the session by a valid
                           key (usable or not), or -1 */
    int server;         /* index to try now, or -1: no usable server in the pool */
    uint64_t client_id; /* of the token, or fresh: ranks fall-back servers, so that all requests
                           of a client meet on the same one */
    uint64_t issued_s, seen_s;
    uint64_t session_hash; /* what the session is ranked by; 0 = not looked for, or not known */
    uint64_t home_id;      /* failback: return: the server the client was moved from, or 0 */
    uint64_t owner_id;     /* the server that the table named, also when it is gone */
    uint64_t unlisted_key; /* a learned cookie's that the table does not have; 0 = none */
    uint64_t claimed_id;   /* the server that new entries of the table were made for */
    uint32_t epoch;
    uint8_t verdict; /* enum hf_affinity_verdict of the strategy that decided, or the last that
                        found anything; worker->verdicts counts those of all */
    int8_t strategy; /* index of it, or -1: the balancer chose */
    uint8_t claimed; /* bits by strategy: this request made the table's entry */
    bool pin_valid;  /* a valid key for `owner` came with the request */
    bool refresh;    /* the token should be sealed again though the server stays */
    bool lost;       /* the owner is judged down, in maintenance or gone: on_loss applies */
    bool returning;  /* `server` is not the owner but the client's home, which is back */
    bool named;      /* the application's own cookie or URL names the owner: the session is there,
                        though there is no token to move */
    bool by_url;     /* it stood in the URL alone */
};

/* Looks for the client's key and chooses. The first strategy that names a usable server decides,
 * with two exceptions. A URL never outranks a sealed cookie: what only a URL names gives way to a
 * valid token, wherever that strategy stands. And a token whose owner is unusable ends the search,
 * but an unusable server named by the application's cookie does not: the client cannot be told to
 * forget that name, so a later strategy may know where it has gone. */
void hf_affinity_identify(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                          const struct hf_affinity_request *request,
                          struct hf_affinity_choice *ret_choice);
/* The next candidate after choice->server failed, never one already tried; -1 when none is left.
 * A client with a key meets the same fall-back each time: the next of a hash's own sequence, within
 * its bound, else the next of the session's rank (choice->session_hash, see successor.h), else
 * rendezvous on client_id. tried: indexes already used, [tried_count]. */
int hf_affinity_next(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                     const struct hf_affinity_choice *choice, const uint16_t *tried,
                     unsigned tried_count, uint64_t now_ms);

/* Whether an answer from pool->servers[served] should carry a Set-Cookie, and its value: when the
 * pin is new, moves because its owner was judged unusable, or is to be refreshed. A server that
 * merely stood in for one failed request gets no pin; nor does a stand-in of failback: temporary.
 * Does the same in the tables. out: the whole field value. Answers its size, 0 = write none.
 * *ret_moved: the client had another owner before. */
size_t hf_affinity_pin(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                       const struct hf_affinity_request *request,
                       const struct hf_affinity_choice *choice, unsigned served, char *out,
                       size_t room, bool *ret_moved);
/* Learns from an answer of pool->servers[served] which session it has. Only for pools that learn
 * (pool->learns). Answers whether a client is known that was not. */
bool hf_affinity_learn(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                       const struct hf_affinity_request *request, const struct hf_head *response,
                       unsigned served);
/* The cookie name that the application must not see (cookie insert), or an empty slice. */
static inline struct hf_slice hf_affinity_own_cookie(const struct hf_pool *pool)
{
    return pool->own_cookie;
}
/* The application's cookie that carries a server's name in front of its value between client and
 * proxy (cookie prefix), or an empty slice. The separator is HF_COOKIE_PREFIX_SEPARATOR. */
static inline struct hf_slice hf_affinity_prefix_cookie(const struct hf_pool *pool)
{
    return pool->prefix_cookie;
}
