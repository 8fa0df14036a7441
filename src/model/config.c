#include "model/config.h"

#include "base/assert.h"
#include "base/log.h"
#include "proto/http.h"
#include "proto/uri.h"
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

enum { HF_CONFIG_MAGIC = 0x434f4e46 };

static const struct balancer {
    const char *word;
    bool needs_cost;
} balancers[HF_BALANCE_COUNT] = {
#define HF_BALANCER_ROW(id, word, needs_cost, ...) [HF_BALANCE_##id] = {word, needs_cost},
#define HF_HASH_ROW(id, word, balancer_id, balancer_word, ...)                                     \
    [HF_BALANCE_##balancer_id] = {balancer_word, false},
#include "balance/algorithms.def"
#undef HF_BALANCER_ROW
#undef HF_HASH_ROW
};
enum { FIRST_HASH = HF_BALANCE_COUNT - HF_HASH_COUNT };

const char *hf_balance_word(enum hf_balance balance)
{
    REQUIRE((unsigned)balance < HF_BALANCE_COUNT);
    return balancers[balance].word;
}

bool hf_balance_is_hash(enum hf_balance balance, enum hf_hash *ret_hash)
{
    REQUIRE((unsigned)balance < HF_BALANCE_COUNT);
    if ((unsigned)balance < FIRST_HASH)
        return false;
    *ret_hash = (enum hf_hash)((unsigned)balance - FIRST_HASH);
    return true;
}

bool hf_balance_needs_cost(enum hf_balance balance)
{
    REQUIRE((unsigned)balance < HF_BALANCE_COUNT);
    return balancers[balance].needs_cost;
}

bool hf_affinity_is_hash(const struct hf_affinity *affinity)
{
    switch (affinity->kind) {
    case HF_AFFINITY_COOKIE_INSERT:
    case HF_AFFINITY_COOKIE_PREFIX:
    case HF_AFFINITY_ROUTE:
    case HF_AFFINITY_SOURCE_IP_TABLE:
    case HF_AFFINITY_HEADER_TABLE:
    case HF_AFFINITY_QUERY_TABLE:
    case HF_AFFINITY_PATH_PARAM_TABLE:
    case HF_AFFINITY_LEARN:
        return false;
    case HF_AFFINITY_HASH_COOKIE:
    case HF_AFFINITY_SOURCE_IP:
    case HF_AFFINITY_HEADER:
    case HF_AFFINITY_QUERY:
    case HF_AFFINITY_PATH_PARAM:
        return true;
    }
    REQUIRE(!"a kind of the enumeration");
    return false;
}

bool hf_affinity_has_table(const struct hf_affinity *affinity)
{
    return affinity->kind >= HF_AFFINITY_SOURCE_IP_TABLE && affinity->kind <= HF_AFFINITY_LEARN;
}

struct hf_config *hf_config_new(void)
{
    struct hf_config *config = calloc(1, sizeof(*config));
    if (config == NULL)
        return NULL;
    config->magic = HF_CONFIG_MAGIC;
    atomic_init(&config->references, 1);
    config->generation = 1;
    config->workers = 1;
    config->log_level = HF_LOG_INFO;
    config->access_format = HF_ACCESS_JSON;
    config->limits = (struct hf_limits){
        .connections = 20000, .request_head = 32 * 1024, .headers = 128, .request_body = 0};
    config->timeouts = (struct hf_timeouts){.client_head = 10 * 1000,
                                            .client_idle = 60 * 1000,
                                            .connect = 2 * 1000,
                                            .response_head = 60 * 1000,
                                            .response_idle = 60 * 1000,
                                            .tunnel_idle = 3600 * 1000};
    return config;
}

void hf_pool_init(struct hf_pool *pool)
{
    *pool = (struct hf_pool){
        .balance = HF_BALANCE_ROUND_ROBIN,
        .failback = HF_FAILBACK_STAY,
        .on_loss = HF_ON_LOSS_FRESH,
        .health = {.kind = HF_CHECK_TCP,
                   .expect_low = 200,
                   .expect_high = 399,
                   .interval_ms = 1000,
                   .timeout_ms = 500,
                   .rise = 2,
                   .fall = 2},
        .passive = {.failures = 5,
                    .window_ms = 10 * 1000,
                    .eject_ms = 10 * 1000,
                    .ejected_percent_max = 50,
                    .probes = 3},
        .retry = {.attempts = 2,
                  .budget_percent = 20,
                  .on = HF_RETRY_CONNECT | HF_RETRY_RESET,
                  .backoff_ms = 25},
    };
}

struct hf_config *hf_config_ref(struct hf_config *config)
{
    REQUIRE(HF_MAGIC_OK(config, HF_CONFIG_MAGIC));
    /* relaxed: who refs already holds a reference */
    unsigned before = atomic_fetch_add_explicit(&config->references, 1, memory_order_relaxed);
    REQUIRE(before > 0 && before < UINT32_MAX);
    return config;
}

void hf_pool_unindex(struct hf_pool *pool)
{
    free(pool->places);
    pool->places = NULL;
    free(pool->agents);
    pool->agents = NULL;
    for (enum hf_hash hash = 0; hash < HF_HASH_COUNT; hash++)
        hf_balance_table_free(&pool->tables[hash]);
}

static void pool_fini(struct hf_pool *pool)
{
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        free(pool->affinities[i].cookie);
        free(pool->affinities[i].name);
        free(pool->affinities[i].path);
        free(pool->affinities[i].domain);
        free(pool->affinities[i].scope_text);
        free(pool->affinities[i].param);
    }
    for (unsigned i = 0; i < pool->server_count; i++)
        hf_server_unref(&pool->servers[i].server);
    free(pool->servers);
    hf_pool_unindex(pool);
    free(pool->session.name);
    free(pool->on_loss_location);
    free(pool->health.path);
    free(pool->health.host);
}

static void config_free(struct hf_config *config)
{
    for (unsigned i = 0; i < config->pool_count; i++)
        pool_fini(&config->pools[i]);
    for (unsigned i = 0; i < config->route_count; i++) {
        free(config->routes[i].host);
        free(config->routes[i].path);
    }
    if (config->admin_token != NULL)
        explicit_bzero(config->admin_token, strlen(config->admin_token));
    explicit_bzero(config->cookie_keys, sizeof(config->cookie_keys));
    explicit_bzero(config->agent_key, sizeof(config->agent_key));
    free(config->pools);
    free(config->routes);
    free(config->file);
    free(config->admin_token);
    free(config->state_dir);
    free(config->access_path);
    config->magic = 0;
    free(config);
}

void hf_config_unref(struct hf_config **config)
{
    struct hf_config *gone = *config;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, HF_CONFIG_MAGIC));
    *config = NULL;
    /* release for what this holder did with it, acquire for the one who frees */
    unsigned before = atomic_fetch_sub_explicit(&gone->references, 1, memory_order_acq_rel);
    REQUIRE(before > 0);
    if (before == 1)
        config_free(gone);
}

bool hf_config_trusts(const struct hf_config *config, const struct hf_address *peer)
{
    REQUIRE(HF_MAGIC_OK(config, HF_CONFIG_MAGIC));
    for (unsigned i = 0; i < config->trusted_count; i++) {
        if (hf_network_contains(&config->trusted[i], peer))
            return true;
    }
    return false;
}

const struct hf_pool *hf_config_pool(const struct hf_config *config, struct hf_slice name)
{
    REQUIRE(HF_MAGIC_OK(config, HF_CONFIG_MAGIC));
    for (unsigned i = 0; i < config->pool_count; i++) {
        if (hf_slice_equal(name, hf_slice_text(config->pools[i].name)))
            return &config->pools[i];
    }
    return NULL;
}

static bool host_matches(const char *pattern, struct hf_slice host)
{
    if (pattern == NULL)
        return true;
    if (pattern[0] != '*')
        return hf_slice_equal_nocase(host, hf_slice_text(pattern));
    struct hf_slice tail = hf_slice_text(pattern + 1); /* ".example.com" */
    if (host.size <= tail.size)
        return false;
    host = hf_slice(host.bytes + (host.size - tail.size), tail.size);
    return hf_slice_equal_nocase(host, tail);
}

const struct hf_pool *hf_config_route(const struct hf_config *config, struct hf_slice host,
                                      struct hf_slice path)
{
    REQUIRE(HF_MAGIC_OK(config, HF_CONFIG_MAGIC));
    if (host.size > 1 && host.bytes[host.size - 1] == '.')
        host.size--; /* the rooted form of the same name, RFC 3986 3.2.2 */
    for (unsigned i = 0; i < config->route_count; i++) {
        const struct hf_route *route = &config->routes[i];
        if (host_matches(route->host, host) && hf_uri_path_under(path, hf_slice_text(route->path)))
            return route->pool;
    }
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const struct hf_pool_server *const *one = a, *const *other = b;
    return hf_server_compare_names((*one)->server->name, (*other)->server->name);
}

/* Several strategies with one hash share its table. */
static int make_table(struct hf_pool *pool, enum hf_hash hash)
{
    const struct hf_pool_server *named[HF_POOL_SERVERS_MAX];
    struct hf_balance_member members[HF_POOL_SERVERS_MAX];
    if (pool->tables[hash] != NULL)
        return 0;
    for (unsigned i = 0; i < pool->server_count; i++)
        named[i] = &pool->servers[i];
    qsort(named, pool->server_count, sizeof(named[0]), by_name);
    for (unsigned rank = 0; rank < pool->server_count; rank++) {
        const struct hf_pool_server *one = named[rank];
        members[one - pool->servers] = (struct hf_balance_member){
            .id = one->server->id, .weight = one->backup ? 0 : one->weight, .rank = rank};
    }
    return hf_balance_table_new(hash, members, pool->server_count, &pool->tables[hash]);
}

static int make_tables(struct hf_pool *pool)
{
    enum hf_hash hash = HF_HASH_MOD;
    int result = hf_balance_is_hash(pool->balance, &hash) ? make_table(pool, hash) : 0;
    for (unsigned i = 0; result == 0 && i < pool->affinity_count; i++) {
        if (hf_affinity_is_hash(&pool->affinities[i]))
            result = make_table(pool, pool->affinities[i].hash);
    }
    return result;
}

/* An open-addressed table of twice the servers, so that a look-up reads two places on average. */
static int make_places(struct hf_pool *pool)
{
    unsigned size = 4;
    while (size < pool->server_count * 2)
        size *= 2;
    struct hf_pool_place *places = calloc(size, sizeof(*places));
    if (places == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < pool->server_count; i++) {
        uint64_t id = pool->servers[i].server->id;
        unsigned at = (unsigned)id & (size - 1);
        while (places[at].server_id != 0)
            at = (at + 1) & (size - 1);
        places[at] = (struct hf_pool_place){.server_id = id, .index = i};
    }
    pool->places = places;
    pool->place_mask = size - 1;
    return 0;
}

static struct hf_slice cookie_of(const struct hf_pool *pool, enum hf_affinity_kind kind)
{
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        if (pool->affinities[i].kind == kind)
            return pool->affinities[i].attributes.name;
    }
    return hf_slice(NULL, 0);
}

/* What requests ask of all strategies, so that none walks through them. */
static void sum_up_strategies(struct hf_pool *pool)
{
    pool->own_cookie = cookie_of(pool, HF_AFFINITY_COOKIE_INSERT);
    pool->prefix_cookie = cookie_of(pool, HF_AFFINITY_COOKIE_PREFIX);
    pool->learns = pool->has_tables = false;
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        pool->learns |= pool->affinities[i].kind == HF_AFFINITY_LEARN;
        pool->has_tables |= hf_affinity_has_table(&pool->affinities[i]);
    }
}

static unsigned agents_of(const struct hf_pool *pool, struct hf_slice names[HF_POOL_SERVERS_MAX])
{
    unsigned count = 0;
    for (unsigned i = 0; i < pool->server_count; i++) {
        if (pool->servers[i].agent.size != 0)
            names[count++] = hf_slice_text(pool->servers[i].server->name);
    }
    return count;
}

static int rank_agents(struct hf_pool *pool)
{
    struct hf_slice names[HF_POOL_SERVERS_MAX];
    unsigned count = agents_of(pool, names);
    if (count == 0)
        return 0;
    struct hf_pool_agents *agents = calloc(1, sizeof(*agents));
    if (agents == NULL)
        return -ENOMEM;
    pool->agents = agents;
    int result = hf_rank_init(&agents->rank, names, count);
    for (unsigned i = 0; result == 0 && i < pool->server_count; i++) {
        if (pool->servers[i].agent.size == 0)
            continue;
        int number = hf_rank_number(&agents->rank, hf_slice_text(pool->servers[i].server->name));
        REQUIRE(number >= 0);
        agents->servers[number] = (uint16_t)i;
    }
    return result;
}

int hf_pool_index(struct hf_pool *pool)
{
    REQUIRE(pool->places == NULL && pool->server_count <= HF_POOL_SERVERS_MAX);
    sum_up_strategies(pool);
    int result = make_places(pool);
    if (result == 0)
        result = make_tables(pool);
    return result == 0 ? rank_agents(pool) : result;
}

int hf_pool_find(const struct hf_pool *pool, uint64_t server_id)
{
    REQUIRE(pool->server_count <= HF_POOL_SERVERS_MAX);
    if (pool->places == NULL) {
        for (unsigned i = 0; i < pool->server_count; i++) {
            if (pool->servers[i].server->id == server_id)
                return (int)i;
        }
        return -1;
    }
    if (server_id == 0) /* marks a free place; no server has it */
        return -1;
    unsigned at = (unsigned)server_id & pool->place_mask;
    while (pool->places[at].server_id != 0) {
        if (pool->places[at].server_id == server_id)
            return (int)pool->places[at].index;
        at = (at + 1) & pool->place_mask;
    }
    return -1;
}
