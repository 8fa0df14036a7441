/* Servers of pools, and the cookies that pools write. */
#include "base/assert.h"
#include "config/loader.h"
#include "proto/uri.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void check_server(struct hf_loader *loader, const struct hf_pool_draft *pool, unsigned index)
{
    const struct hf_server_draft *draft = &pool->servers[index];
    if (draft->address.size != 0 && hf_loader_lacks_port(&draft->address))
        hf_loader_tell(loader, hf_yaml_line(draft->node, "address"),
                       "'address' has port 0: write the port the server listens on");
    for (unsigned i = 0; draft->name != NULL && i < index; i++) {
        const struct hf_server_draft *other = &pool->servers[i];
        if (other->name != NULL && strcmp(other->name, draft->name) == 0) {
            hf_loader_tell(loader, hf_yaml_line(draft->node, "name"),
                           "two servers of the pool are called '%s' (the other on line %u): a "
                           "name is a server's identity; rename one",
                           draft->name, other->node->line);
            return;
        }
    }
}

/* Someone must be there for a client without a session. */
static void check_weights(struct hf_loader *loader, const struct hf_pool_draft *draft)
{
    bool backups_only = true;
    for (unsigned i = 0; i < draft->server_count; i++) {
        if (draft->servers[i].backup)
            continue;
        if (draft->servers[i].weight > 0)
            return;
        backups_only = false;
    }
    if (draft->server_count == 0)
        return;
    if (backups_only)
        hf_loader_tell(loader, hf_yaml_line(draft->node, "servers"),
                       "every server of the pool is a backup: leave 'backup' out for one");
    else
        hf_loader_tell(loader, hf_yaml_line(draft->node, "servers"),
                       "no server of the pool takes new clients, all weights are 0: write weight: "
                       "1 for one (to drain a server use the admin API)");
}

/* A redirected client lands on another server by its new pin, and a temporary guest gets none. */
static void check_failback(struct hf_loader *loader, const struct hf_pool *pool,
                           const struct hf_pool_draft *draft)
{
    if (pool->failback == HF_FAILBACK_TEMPORARY && pool->on_loss == HF_ON_LOSS_REDIRECT)
        hf_loader_tell(loader, hf_yaml_line(draft->node, "on_loss"),
                       "'on_loss' redirects, but with failback: temporary the client keeps its pin "
                       "and would be redirected for ever: write failback: return, or on_loss: "
                       "error");
}

static void check_bounded(struct hf_loader *loader, const struct hf_pool *pool,
                          const struct hf_pool_draft *draft)
{
    enum hf_hash hash = HF_HASH_MOD;
    if (pool->bounded_percent > 0 && !hf_balance_is_hash(pool->balance, &hash))
        hf_loader_tell(
            loader, hf_yaml_line(draft->node, "bounded_load"),
            "'bounded_load' with balance: %s: it bounds a hash; write balance: maglev, or "
            "leave it out",
            hf_balance_word(pool->balance));
}

void hf_finish_pools(struct hf_loader *loader)
{
    const struct hf_config *config = loader->config;
    unsigned servers = 0;
    for (unsigned p = 0; p < config->pool_count; p++) {
        const struct hf_pool_draft *draft = &loader->pools[p];
        servers += draft->server_count;
        for (unsigned i = 0; i < p && config->pools[p].name[0] != '\0'; i++) {
            if (strcmp(config->pools[i].name, config->pools[p].name) == 0)
                hf_loader_tell(loader, hf_yaml_line(draft->node, "name"),
                               "two pools are called '%s' (the other on line %u): rename one",
                               config->pools[p].name, loader->pools[i].node->line);
        }
        for (unsigned i = 0; i < draft->server_count; i++)
            check_server(loader, draft, i);
        check_weights(loader, draft);
        check_failback(loader, &config->pools[p], draft);
        check_bounded(loader, &config->pools[p], draft);
    }
    if (servers > HF_SERVERS_MAX)
        hf_loader_tell(loader, hf_yaml_line(loader->root, "pools"),
                       "%u servers in all pools: at most %d are possible", servers, HF_SERVERS_MAX);
}

static int make_servers(struct hf_loader *loader, struct hf_pool *pool,
                        const struct hf_pool_draft *draft)
{
    pool->servers = calloc(draft->server_count, sizeof(*pool->servers));
    if (pool->servers == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < draft->server_count; i++) {
        const struct hf_server_draft *from = &draft->servers[i];
        struct hf_pool_server *to = &pool->servers[i];
        to->server = hf_server_acquire(pool->name, from->name, loader->config->workers + 1);
        if (to->server == NULL) {
            hf_loader_tell(loader, from->node->line,
                           "no room for the server: at most %d servers can live at once, those of "
                           "the running configuration included; use fewer",
                           HF_SERVERS_MAX);
            return -EINVAL;
        }
        pool->server_count = i + 1;
        to->address = from->address;
        to->weight = from->weight;
        to->backup = from->backup;
        to->agent = from->agent;
        hf_address_format(&to->address, to->address_text);
    }
    return hf_pool_index(pool);
}

void hf_finish_servers(struct hf_loader *loader)
{
    struct hf_config *config = loader->config;
    for (unsigned p = 0; p < config->pool_count; p++) {
        REQUIRE(config->pools[p].servers == NULL && loader->pools[p].server_count > 0);
        int rc = make_servers(loader, &config->pools[p], &loader->pools[p]);
        if (rc == -ENOMEM)
            loader->out_of_memory = true;
        if (rc != 0)
            return;
    }
}

static void make_scope(struct hf_loader *loader, const struct hf_pool *pool,
                       struct hf_affinity *affinity)
{
    size_t pool_size = strlen(pool->name), cookie_size = strlen(affinity->cookie);
    size_t size = pool_size + 1 + cookie_size;
    REQUIRE(size <= HF_TOKEN_SCOPE_MAX);
    affinity->scope_text = malloc(size);
    if (affinity->scope_text == NULL) {
        loader->out_of_memory = true;
        return;
    }
    memcpy(affinity->scope_text, pool->name, pool_size + 1);
    memcpy(affinity->scope_text + pool_size + 1, affinity->cookie, cookie_size);
    affinity->scope = hf_slice(affinity->scope_text, size);
}

static void finish_insert(struct hf_loader *loader, const struct hf_pool *pool,
                          struct hf_affinity *affinity, const struct hf_yaml *node)
{
    const char *wrong = hf_cookie_attributes_check(&affinity->attributes);
    bool lacks_secure =
        wrong != NULL && !affinity->attributes.secure && strstr(wrong, "secure") != NULL;
    if (wrong != NULL)
        hf_loader_tell(loader, hf_yaml_line(node, "cookie"), "cookie '%s': %s%s", affinity->cookie,
                       wrong, lacks_secure ? ": write secure: always" : "");
    if (affinity->lifetime_s != 0 && affinity->idle_s > affinity->lifetime_s)
        hf_loader_tell(loader, hf_yaml_line(node, "idle"),
                       "'idle' is longer than 'lifetime' and would never end a session: write a "
                       "shorter idle, or leave it out");
    make_scope(loader, pool, affinity);
}

/* Links are passed on: one must not decide over the pin of who follows it. */
static void check_order(struct hf_loader *loader, const struct hf_pool *pool,
                        const struct hf_pool_draft *draft, unsigned inserted)
{
    for (unsigned i = 0; i < inserted; i++) {
        enum hf_affinity_kind kind = pool->affinities[i].kind;
        if (kind == HF_AFFINITY_QUERY || kind == HF_AFFINITY_PATH_PARAM ||
            kind == HF_AFFINITY_QUERY_TABLE || kind == HF_AFFINITY_PATH_PARAM_TABLE)
            hf_loader_tell(
                loader, draft->affinity_nodes[i]->line,
                "a part of the URL stands before the cookie '%s' and would decide over a "
                "client's own pin: write the cookie first",
                pool->affinities[inserted].cookie);
    }
}

void hf_finish_affinity(struct hf_loader *loader)
{
    for (unsigned p = 0; p < loader->config->pool_count; p++) {
        struct hf_pool *pool = &loader->config->pools[p];
        const struct hf_yaml *inserted = NULL;
        for (unsigned i = 0; i < pool->affinity_count; i++) {
            struct hf_affinity *affinity = &pool->affinities[i];
            const struct hf_yaml *node = loader->pools[p].affinity_nodes[i];
            if (affinity->kind != HF_AFFINITY_COOKIE_INSERT || affinity->cookie == NULL ||
                affinity->path == NULL)
                continue;
            if (inserted != NULL)
                hf_loader_tell(loader, node->line,
                               "a second inserted cookie in the pool (the first on line %u): one "
                               "pins a client; leave one out",
                               inserted->line);
            inserted = node;
            check_order(loader, pool, &loader->pools[p], i);
            finish_insert(loader, pool, affinity, node);
        }
    }
}

static const struct hf_affinity *inserted_cookie(const struct hf_pool *pool)
{
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        const struct hf_affinity *affinity = &pool->affinities[i];
        if (affinity->kind == HF_AFFINITY_COOKIE_INSERT && affinity->cookie && affinity->path)
            return affinity;
    }
    return NULL;
}

/* Whether some host name could match both patterns (NULL = any, "*.example.com"). */
static bool hosts_meet(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return true;
    if (a[0] == '*' && b[0] == '*') {
        size_t a_size = strlen(a), b_size = strlen(b);
        return a_size < b_size ? strcmp(b + (b_size - a_size) + 1, a + 1) == 0
                               : strcmp(a + (a_size - b_size) + 1, b + 1) == 0;
    }
    if (b[0] == '*') {
        const char *swap = a;
        a = b;
        b = swap;
    }
    size_t tail = strlen(a + 1), size = strlen(b);
    if (a[0] == '*')
        return size > tail && strcmp(b + (size - tail), a + 1) == 0;
    return strcmp(a, b) == 0;
}

static bool pools_meet(const struct hf_config *config, const struct hf_pool *a,
                       const struct hf_pool *b)
{
    for (unsigned i = 0; i < config->route_count; i++) {
        for (unsigned j = 0; config->routes[i].pool == a && j < config->route_count; j++) {
            if (config->routes[j].pool == b &&
                hosts_meet(config->routes[i].host, config->routes[j].host))
                return true;
        }
    }
    return false;
}

/* A browser would send one pool's cookie to the other, which finds it sealed for someone else and
 * writes its own: every change of pool would cost the client its server. */
void hf_finish_cookies(struct hf_loader *loader)
{
    const struct hf_config *config = loader->config;
    for (unsigned b = 1; b < config->pool_count; b++) {
        const struct hf_affinity *second = inserted_cookie(&config->pools[b]);
        for (unsigned a = 0; second != NULL && a < b; a++) {
            const struct hf_affinity *first = inserted_cookie(&config->pools[a]);
            if (first == NULL || strcmp(first->cookie, second->cookie) != 0)
                continue;
            struct hf_slice path = hf_slice_text(first->path), other = hf_slice_text(second->path);
            if (!hf_uri_path_under(path, other) && !hf_uri_path_under(other, path))
                continue;
            if (!pools_meet(config, &config->pools[a], &config->pools[b]))
                continue;
            hf_loader_tell(loader, hf_yaml_line(loader->pools[b].affinity_nodes[0], "cookie"),
                           "pools '%s' and '%s' write the same cookie '%s' to the same clients and "
                           "would overwrite each other's: name one differently",
                           config->pools[a].name, config->pools[b].name, second->cookie);
        }
    }
}
