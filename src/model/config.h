/* An immutable snapshot of a configuration: what the whole process works by until the next reload.
 * Made by config/, read by everyone, never changed after it was published. Times are ms, sizes
 * bytes. Threads: any reader; references are counted. Layer: model. */
#pragma once
#include "balance/rank.h"
#include "balance/table.h"
#include "model/server.h"
#include "net/address.h"
#include "proto/cookie.h"
#include "proto/session_id.h"
#include "proto/token.h"

enum {
    HF_POOLS_MAX = 256,
    HF_POOL_SERVERS_MAX = 1024,
    HF_LISTENERS_MAX = 64,
    HF_ROUTES_MAX = 4096,
    HF_AFFINITIES_MAX = 8, /* strategies in one pool */
    HF_TRUSTED_MAX = 256,
};

enum hf_log_format { HF_ACCESS_JSON, HF_ACCESS_COMMON };

struct hf_limits {
    uint32_t connections;  /* client connections of the whole process */
    uint32_t request_head; /* bytes, <= HF_HEAD_SIZE_MAX */
    uint16_t headers;      /* fields, <= HF_FIELDS_MAX */
    uint64_t request_body; /* bytes; 0 = unlimited */
};

struct hf_timeouts { /* ms */
    uint32_t client_head, client_idle, connect, response_head, response_idle, tunnel_idle;
};

enum hf_listener_protocol { HF_PROTOCOL_HTTP, HF_PROTOCOL_TCP };

struct hf_listener_config {
    char name[HF_NAME_MAX];
    struct hf_address bind;
    enum hf_listener_protocol protocol;
    unsigned line; /* of the configuration file, for messages */
};

/* Pure algorithms first, then those that hash the client's address, in the order of enum hf_hash.
 */
enum hf_balance {
#define HF_BALANCER_ROW(id, ...) HF_BALANCE_##id,
#define HF_HASH_ROW(id, word, balancer_id, ...) HF_BALANCE_##balancer_id,
#include "balance/algorithms.def"
#undef HF_BALANCER_ROW
#undef HF_HASH_ROW
    HF_BALANCE_COUNT
};
const char *hf_balance_word(enum hf_balance balance);
/* Whether the balancer is a hash, and which. */
bool hf_balance_is_hash(enum hf_balance balance, enum hf_hash *ret_hash);
/* Whether it goes by the servers' response times, which are not measured otherwise. */
bool hf_balance_needs_cost(enum hf_balance balance);

enum hf_affinity_kind {
    HF_AFFINITY_COOKIE_INSERT,
    HF_AFFINITY_COOKIE_PREFIX,
    HF_AFFINITY_ROUTE,
    HF_AFFINITY_HASH_COOKIE,
    HF_AFFINITY_SOURCE_IP,
    HF_AFFINITY_HEADER,
    HF_AFFINITY_QUERY,
    HF_AFFINITY_PATH_PARAM,
    HF_AFFINITY_SOURCE_IP_TABLE, /* from here on those with a table */
    HF_AFFINITY_HEADER_TABLE,
    HF_AFFINITY_QUERY_TABLE,
    HF_AFFINITY_PATH_PARAM_TABLE,
    HF_AFFINITY_LEARN
};
enum hf_secure { HF_SECURE_AUTO, HF_SECURE_ALWAYS, HF_SECURE_NEVER };

struct hf_affinity { /* one strategy of a pool; owned texts */
    enum hf_affinity_kind kind;
    char *cookie;                           /* name; of the kinds that look for a cookie, and of
                                               LEARN with learn_header that of the field */
    char *name;                             /* HEADER, QUERY, PATH_PARAM and their tables: of what
                                               is looked at */
    struct hf_cookie_attributes attributes; /* texts point into owned strings; of COOKIE_PREFIX and
                                               ROUTE the name alone */
    char *path, *domain; /* owned, what attributes point to; domain may be NULL */
    enum hf_secure secure;
    uint64_t idle_s, lifetime_s; /* 0 = unlimited */
    struct hf_slice scope;       /* of the token: "pool\0cookie", owned by `scope_text` */
    char *scope_text;
    uint8_t ipv4_prefix, ipv6_prefix; /* SOURCE_IP, SOURCE_IP_TABLE */
    enum hf_hash hash;                /* where hf_affinity_is_hash */
    uint32_t bounded_percent;         /* of its fair share a server may take; 0 = no bound */
    char separator;                   /* ROUTE: in front of the server's name */
    char *param;                      /* owned; ROUTE: the cookie's name in lower case */
    bool learn_header;                /* LEARN: `cookie` is the name of a header field */
    uint64_t expire_s, table_size;    /* SOURCE_IP_TABLE and LEARN */
};

/* Whether its server follows from a hash of the key, so that `hash` means something. */
bool hf_affinity_is_hash(const struct hf_affinity *affinity);
/* Whether it remembers clients in a table. */
bool hf_affinity_has_table(const struct hf_affinity *affinity);

enum hf_failback { HF_FAILBACK_STAY, HF_FAILBACK_RETURN, HF_FAILBACK_TEMPORARY };
enum hf_on_loss { HF_ON_LOSS_FRESH, HF_ON_LOSS_ERROR, HF_ON_LOSS_REDIRECT };

/* Checks start so much of the interval early or late, so that proxies do not check in step. */
enum { HF_CHECK_JITTER_PERCENT = 10 };
enum hf_check_kind { HF_CHECK_NONE, HF_CHECK_TCP, HF_CHECK_HTTP };
struct hf_health_check {
    enum hf_check_kind kind;
    char *path; /* owned; HTTP */
    char *host; /* owned; Host field of the check; NULL = the server's address */
    uint16_t expect_low, expect_high; /* status range */
    uint32_t interval_ms, timeout_ms;
    uint16_t rise, fall;
};

struct hf_passive {
    uint32_t failures; /* 0 = off */
    uint32_t window_ms, eject_ms;
    uint8_t ejected_percent_max;
    uint8_t failed_percent_min; /* of the requests since the window began; 0 = any share */
    uint8_t probes;             /* requests let through once eject_ms is over; all must succeed */
    bool count_5xx;             /* an answer with a 5xx status is a failure too */
};

struct hf_breaker {       /* limits of one server */
    uint32_t connections; /* requests and tunnels at once, all workers; 0 = unlimited */
    uint32_t pending;     /* requests that wait for one of those to end */
    uint32_t pending_timeout_ms;
};

enum hf_retry_on { HF_RETRY_CONNECT = 1, HF_RETRY_RESET = 2, HF_RETRY_5XX = 4 };
struct hf_retry {
    uint8_t attempts;       /* further tries after the first */
    uint8_t budget_percent; /* of the pool's requests in the last 10 s */
    uint8_t on;             /* enum hf_retry_on bits */
    uint32_t backoff_ms;    /* a retry waits a random part of it first; 0 = none */
};

struct hf_pool_server {       /* a server as this configuration has it */
    struct hf_server *server; /* counted */
    struct hf_address address;
    char address_text[HF_ADDRESS_TEXT_MAX];
    uint32_t weight;         /* 1-256; 0 = only sessions it has */
    bool backup;             /* used when no other server is usable */
    struct hf_address agent; /* of the session agent beside it; size 0 = it has none */
};

struct hf_pool_agents {  /* the servers with an agent, ranked as their agents rank each other */
    struct hf_rank rank; /* of their names, borrowed from the servers */
    uint16_t servers[HF_RANK_NODES_MAX]; /* number in the rank -> position in pool->servers */
};

struct hf_session_cookie {
    char *name; /* owned; NULL = sessions are not told apart */
    enum hf_session_format format;
};

struct hf_pool_place { /* of the table id -> position; server_id 0 = free */
    uint64_t server_id;
    unsigned index;
};

struct hf_pool {
    char name[HF_NAME_MAX];
    enum hf_balance balance;
    uint32_t bounded_percent; /* as in hf_affinity, of a balancer that is a hash */
    struct hf_affinity affinities[HF_AFFINITIES_MAX];
    unsigned affinity_count;
    struct hf_session_cookie session;
    enum hf_failback failback;
    enum hf_on_loss on_loss;
    char *on_loss_location; /* owned; REDIRECT */
    struct hf_health_check health;
    struct hf_passive passive;
    struct hf_retry retry;
    struct hf_breaker breaker;
    uint32_t slow_start_ms;         /* 0 = a server that comes back has its full share at once */
    struct hf_pool_server *servers; /* owned; [server_count] */
    unsigned server_count;
    unsigned index;                /* in config->pools */
    bool has_tables, learns;       /* of its strategies; set by hf_pool_index */
    struct hf_slice own_cookie;    /* name of the first COOKIE_INSERT, or empty; as has_tables */
    struct hf_slice prefix_cookie; /* name of the first COOKIE_PREFIX, or empty; as has_tables */
    struct hf_pool_agents *agents; /* owned; NULL = no server has one; set by hf_pool_index */
    struct hf_pool_place *places;  /* owned; NULL = hf_pool_find walks the servers */
    unsigned place_mask;           /* places - 1 */
    struct hf_balance_table *tables[HF_HASH_COUNT]; /* owned; NULL = nobody asks for that hash */
};

struct hf_route {
    char *host;                 /* owned, lower case; NULL = any; "*.example.com" = one or
                                   more labels in front */
    char *path;                 /* owned, a prefix; "/" = all */
    const struct hf_pool *pool; /* borrowed from the same snapshot */
};

struct hf_config {
    uint32_t magic;
    atomic_uint references;
    uint64_t generation; /* counts reloads; 1 when new: who reloads sets it before publishing */
    char *file;          /* owned: where it was read from */
    char node[HF_NAME_MAX];
    unsigned workers;             /* 1..HF_WORKERS_MAX, `auto` resolved */
    struct hf_address admin_bind; /* size 0 = no admin server */
    char *admin_token;            /* owned; NULL = none */
    char *state_dir;              /* owned */
    int log_level;                /* enum hf_log_level */
    char *access_path;            /* owned; NULL = off; "-" = stdout */
    enum hf_log_format access_format;
    struct hf_token_key cookie_keys[HF_TOKEN_KEYS_MAX]; /* [0] seals */
    unsigned cookie_key_count;
    uint8_t agent_key[HF_TOKEN_KEY_SIZE]; /* what session agents know proxies by: their peer key */
    bool has_agent_key;
    struct hf_limits limits;
    struct hf_timeouts timeouts;
    struct hf_network trusted[HF_TRUSTED_MAX];
    unsigned trusted_count;
    struct hf_listener_config listeners[HF_LISTENERS_MAX];
    unsigned listener_count;
    struct hf_route *routes; /* owned; [route_count], first match wins; one catch-all is made when
                                there are none and exactly one pool serves http */
    unsigned route_count;
    struct hf_pool *pools; /* owned; [pool_count] */
    unsigned pool_count;
};

/* An empty snapshot with every default set; one reference. NULL without memory. */
struct hf_config *hf_config_new(void);
struct hf_config *hf_config_ref(struct hf_config *config);
/* The last one frees everything and wipes the keys. */
void hf_config_unref(struct hf_config **config);
bool hf_config_trusts(const struct hf_config *config, const struct hf_address *peer);
const struct hf_pool *hf_config_pool(const struct hf_config *config, struct hf_slice name);
/* The first route for a host (no port, any case) and a normalised path, or NULL. */
const struct hf_pool *hf_config_route(const struct hf_config *config, struct hf_slice host,
                                      struct hf_slice path);
/* Sets the defaults of a pool: zeroes it but for what absent keys mean. */
void hf_pool_init(struct hf_pool *pool);
/* Builds what is looked up by: what the strategies are together, the places of hf_pool_find, a
 * table for each hash that balancer and strategies ask for, over the servers that are no backups,
 * and the rank of the agents. After the last server and strategy was added, and once. 0 or -ENOMEM;
 * -EINVAL: more agents than HF_RANK_NODES_MAX. */
int hf_pool_index(struct hf_pool *pool);
/* Frees what hf_pool_index built. */
void hf_pool_unindex(struct hf_pool *pool);
/* The position of a server in the pool, or -1. O(1) after hf_pool_index. */
int hf_pool_find(const struct hf_pool *pool, uint64_t server_id);
