#include "affinity/table_pin.h"

#include "affinity/failback.h"
#include "affinity/header/header.h"
#include "affinity/learn/learn.h"
#include "affinity/path_param/path_param.h"
#include "affinity/query/query.h"
#include "base/assert.h"
#include "base/log.h"
#include "table/table.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Tables of keys that requests carry, found by one function each; whose first request pins. */
static const struct key {
    enum hf_key (*find)(const struct hf_head *head, struct hf_slice name, struct hf_slice *ret_key);
    const char *word;
} keys[] = {
    [HF_AFFINITY_HEADER_TABLE] = {hf_header_key, "header"},
    [HF_AFFINITY_QUERY_TABLE] = {hf_query_key, "query"},
    [HF_AFFINITY_PATH_PARAM_TABLE] = {hf_path_param_key, "path_param"},
};
enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

static const struct key *key_of(const struct hf_affinity *affinity)
{
    bool carried = (unsigned)affinity->kind < KEY_COUNT && keys[affinity->kind].find != NULL;
    return carried ? &keys[affinity->kind] : NULL;
}

static struct hf_table *table_of(const struct hf_affinity_worker *worker,
                                 const struct hf_pool *pool, const struct hf_affinity *affinity)
{
    size_t index = pool->index * HF_AFFINITIES_MAX + (size_t)(affinity - pool->affinities);
    REQUIRE(worker->tables != NULL && worker->tables[index] != NULL);
    return worker->tables[index];
}

static void notice(bool bad, const char *text)
{
    hf_log(bad ? HF_LOG_WARNING : HF_LOG_INFO, "%s", text);
}

/* What tells a table from others: another prefix makes other keys. */
static void name_table(const struct hf_pool *pool, const struct hf_affinity *affinity,
                       char out[HF_TABLE_NAME_MAX])
{
    if (affinity->kind == HF_AFFINITY_LEARN)
        snprintf(out, HF_TABLE_NAME_MAX, "%s learn %s%s", pool->name,
                 affinity->learn_header ? "header " : "", affinity->cookie);
    else if (key_of(affinity) != NULL)
        snprintf(out, HF_TABLE_NAME_MAX, "%s %s %s", pool->name, key_of(affinity)->word,
                 affinity->name);
    else
        snprintf(out, HF_TABLE_NAME_MAX, "%s source_ip %u %u", pool->name, affinity->ipv4_prefix,
                 affinity->ipv6_prefix);
}

static int open_one(const struct hf_config *config, const struct hf_pool *pool,
                    const struct hf_affinity *affinity, struct hf_table **ret_table)
{
    char name[HF_TABLE_NAME_MAX];
    name_table(pool, affinity, name);
    struct hf_table_options options = {.name = name,
                                       .directory = config->state_dir,
                                       .size = affinity->table_size,
                                       .notice = notice};
    if (config->state_dir != NULL)
        (void)mkdir(config->state_dir,
                    0700); /* if it fails, so does what comes next, and is told */
    return hf_table_acquire(&options, ret_table);
}

/* Where every request goes to one pool, that pool's clients are known before they say more than
 * their address. Behind a trusted proxy the peer is not the client. */
static void open_announced(struct hf_affinity_worker *worker, const struct hf_config *config)
{
    const struct hf_pool *pool = config->route_count == 1 ? config->routes[0].pool : NULL;
    for (unsigned i = 0; pool != NULL && config->trusted_count == 0 && i < pool->affinity_count;
         i++) {
        const struct hf_affinity *affinity = &pool->affinities[i];
        if (affinity->kind == HF_AFFINITY_SOURCE_IP_TABLE)
            worker->announced = (struct hf_affinity_announced){
                .affinity = affinity, .table = table_of(worker, pool, affinity)};
    }
}

int hf_table_pin_open(struct hf_affinity_worker *worker, const struct hf_config *config)
{
    bool some = false;
    for (unsigned p = 0; p < config->pool_count; p++)
        some |= config->pools[p].has_tables;
    if (!some)
        return 0;
    worker->tables =
        calloc((size_t)config->pool_count * HF_AFFINITIES_MAX, sizeof(*worker->tables));
    int result = worker->tables != NULL ? 0 : -ENOMEM;
    for (unsigned p = 0; p < config->pool_count; p++) {
        const struct hf_pool *pool = &config->pools[p];
        for (unsigned i = 0; result == 0 && i < pool->affinity_count; i++)
            if (hf_affinity_has_table(&pool->affinities[i]))
                result = open_one(config, pool, &pool->affinities[i],
                                  &worker->tables[p * HF_AFFINITIES_MAX + i]);
    }
    if (result == 0)
        open_announced(worker, config);
    return result;
}

void hf_table_pin_close(struct hf_affinity_worker *worker)
{
    for (unsigned i = 0; worker->tables != NULL && i < worker->pool_count * HF_AFFINITIES_MAX; i++)
        hf_table_release(&worker->tables[i]);
    free(worker->tables);
    worker->tables = NULL;
    worker->announced = (struct hf_affinity_announced){0};
}

static uint64_t hash_of_address(const struct hf_table *table, const struct hf_affinity *affinity,
                                const struct hf_address *client)
{
    uint8_t network[16];
    hf_address_key(client, affinity->ipv4_prefix, affinity->ipv6_prefix, network);
    return hf_table_hash(table, hf_slice((const char *)network, sizeof(network)));
}

void hf_affinity_announce_peer(struct hf_affinity_worker *worker, const struct hf_address *peer)
{
    struct hf_affinity_announced *announced = &worker->announced;
    announced->hash = hash_of_address(announced->table, announced->affinity, peer);
    announced->address = *peer;
    hf_table_announce(announced->table, announced->hash);
}

/* 0 = the request has no key for this strategy. */
static uint64_t hash_of(const struct hf_affinity_worker *worker, const struct hf_table *table,
                        const struct hf_affinity *affinity,
                        const struct hf_affinity_request *request)
{
    const struct hf_affinity_announced *announced = &worker->announced;
    const struct key *key = key_of(affinity);
    struct hf_slice value = {0};
    if (key != NULL) {
        bool found =
            key->find(request->head, hf_slice_text(affinity->name), &value) == HF_KEY_FOUND;
        return found ? hf_table_hash(table, value) : 0;
    }
    if (affinity->kind == HF_AFFINITY_LEARN) {
        struct hf_slice id = hf_learn_key(affinity, request->head);
        return id.size > 0 ? hf_table_hash(table, id) : 0;
    }
    if (affinity == announced->affinity && announced->hash != 0 &&
        hf_address_equal(request->client, &announced->address))
        return announced->hash;
    return hash_of_address(table, affinity, request->client);
}

enum hf_affinity_verdict hf_table_pin_identify(struct hf_affinity_worker *worker,
                                               const struct hf_pool *pool,
                                               const struct hf_affinity *affinity,
                                               const struct hf_affinity_request *request,
                                               struct hf_affinity_choice *choice)
{
    struct hf_table *table = table_of(worker, pool, affinity);
    uint64_t hash = hash_of(worker, table, affinity, request);
    if (hash == 0)
        return HF_AFFINITY_NONE;
    uint64_t owner_id = hf_table_find(table, hash, affinity->expire_s, request->now_ms);
    if (owner_id == 0) {
        if (affinity->kind == HF_AFFINITY_LEARN)
            choice->unlisted_key = hash;
        return HF_AFFINITY_UNLISTED;
    }
    choice->owner_id = owner_id;
    choice->pin_valid = true;
    choice->client_id = hash;
    /* An entry has no room for a home: under failback: return its client stays, as under stay. */
    struct hf_failback_pin pin = {.owner_id = owner_id};
    return hf_failback_choose(pool, &pin, request->now_ms, choice);
}

/* Another request of the client was first: this one goes where that one went. */
static void follow(const struct hf_pool *pool, const struct hf_affinity_request *request,
                   uint64_t owner_id, struct hf_affinity_choice *choice)
{
    int owner = hf_pool_find(pool, owner_id);
    if (owner < 0 || !hf_server_serves(pool->servers[owner].server, request->now_ms))
        return; /* judged between the two: the next request settles it */
    choice->owner = choice->server = owner;
    choice->owner_id = owner_id;
    choice->verdict = HF_AFFINITY_PINNED;
    choice->pin_valid = true;
}

void hf_table_pin_claim(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                        const struct hf_affinity_request *request, unsigned asked,
                        struct hf_affinity_choice *choice)
{
    REQUIRE(asked <= pool->affinity_count);
    for (unsigned i = 0; i < asked && choice->server >= 0; i++) {
        const struct hf_affinity *affinity = &pool->affinities[i];
        if (!hf_affinity_has_table(affinity) || affinity->kind == HF_AFFINITY_LEARN)
            continue;
        struct hf_table *table = table_of(worker, pool, affinity);
        uint64_t hash = hash_of(worker, table, affinity, request);
        if (hash == 0)
            continue;
        uint64_t chosen_id = pool->servers[choice->server].server->id;
        uint64_t owner_id =
            hf_table_claim(table, hash, chosen_id, affinity->expire_s, request->now_ms);
        if (owner_id == chosen_id) {
            choice->claimed |= (uint8_t)(1u << i);
            choice->claimed_id = chosen_id;
            /* If that server cannot be reached, all of them meet on one stand-in. */
            if (choice->strategy < 0 && choice->unlisted_key == 0)
                choice->client_id = hash;
        } else if (owner_id != 0 && choice->strategy < 0) {
            follow(pool, request, owner_id, choice);
            choice->client_id = choice->pin_valid ? hash : choice->client_id;
            choice->strategy = choice->pin_valid ? (int8_t)i : choice->strategy;
        }
    }
}

static void move(struct hf_affinity_worker *worker, const struct hf_pool *pool, unsigned strategy,
                 const struct hf_affinity_request *request, const struct hf_table_move *move)
{
    const struct hf_affinity *affinity = &pool->affinities[strategy];
    struct hf_table *table = table_of(worker, pool, affinity);
    uint64_t hash = hash_of(worker, table, affinity, request);
    if (hash != 0 && move->from_id != move->to_id)
        (void)hf_table_move(table, hash, move, affinity->expire_s, request->now_ms);
}

bool hf_table_pin_settle(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                         const struct hf_affinity_request *request,
                         const struct hf_affinity_choice *choice, unsigned served)
{
    uint64_t served_id = pool->servers[served].server->id;
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        /* The first answer of a new client: where it came from the session is. */
        struct hf_table_move first = {choice->claimed_id, served_id};
        if (choice->claimed >> i & 1)
            move(worker, pool, i, request, &first);
    }
    if (!choice->pin_valid || !hf_affinity_has_table(&pool->affinities[choice->strategy]))
        return false;
    struct hf_failback_pin next;
    if (!hf_failback_next(pool, choice, served, request->now_ms, &next))
        return false;
    struct hf_table_move lost = {choice->owner_id, served_id};
    move(worker, pool, (unsigned)choice->strategy, request, &lost);
    return true;
}

/* Whether an id that is another server's is to be learned anew: never while that server is well, or
 * may come back to it (failback: temporary). */
static bool given_up(const struct hf_pool *pool, uint64_t owner_id, uint64_t now_ms)
{
    int owner = hf_pool_find(pool, owner_id);
    return owner < 0 || (pool->failback != HF_FAILBACK_TEMPORARY &&
                         !hf_server_serves(pool->servers[owner].server, now_ms));
}

/* A server that answers for another sets an id of its own, or renews one that it does not have:
 * that moves nobody whose server is well. */
static bool learn(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                  const struct hf_affinity *affinity, struct hf_slice id, uint64_t now_ms,
                  unsigned served)
{
    struct hf_table *table = table_of(worker, pool, affinity);
    uint64_t hash = hf_table_hash(table, id), served_id = pool->servers[served].server->id;
    uint64_t owner_id = hf_table_find(table, hash, affinity->expire_s, now_ms);
    if (owner_id == 0)
        return hf_table_claim(table, hash, served_id, affinity->expire_s, now_ms) == served_id;
    struct hf_table_move change = {owner_id, served_id};
    if (owner_id != served_id && given_up(pool, owner_id, now_ms))
        (void)hf_table_move(table, hash, &change, affinity->expire_s, now_ms);
    return false;
}

bool hf_affinity_learn(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                       const struct hf_affinity_request *request, const struct hf_head *response,
                       unsigned served)
{
    REQUIRE(served < pool->server_count);
    bool learned = false;
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        const struct hf_affinity *affinity = &pool->affinities[i];
        if (affinity->kind != HF_AFFINITY_LEARN)
            continue;
        struct hf_slice id = hf_learn_from(affinity, response);
        if (id.size == 0)
            continue;
        learned |= learn(worker, pool, affinity, id, request->now_ms, served);
    }
    return learned;
}
