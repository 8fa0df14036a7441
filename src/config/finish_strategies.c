/* Strategies of one pool that would get in each other's way, or that nothing can satisfy. */
#include "config/loader.h"

/* A name stands in front of the value, or behind it: the application's cookie carries it. */
static bool carries_name(const struct hf_affinity *affinity)
{
    return affinity->kind == HF_AFFINITY_COOKIE_PREFIX || affinity->kind == HF_AFFINITY_ROUTE;
}

static bool is_written(const struct hf_affinity *affinity)
{
    return affinity->kind == HF_AFFINITY_COOKIE_INSERT ||
           affinity->kind == HF_AFFINITY_COOKIE_PREFIX;
}

static bool same_cookie(const struct hf_affinity *a, const struct hf_affinity *b)
{
    return a->cookie != NULL && b->cookie != NULL && strcmp(a->cookie, b->cookie) == 0;
}

/* Two inserted cookies are told by hf_finish_affinity. */
static void check_pair(struct hf_loader *loader, const struct hf_pool_draft *draft,
                       const struct hf_pool *pool, unsigned first, unsigned second)
{
    const struct hf_affinity *a = &pool->affinities[first], *b = &pool->affinities[second];
    const struct hf_yaml *node = draft->affinity_nodes[second];
    unsigned line = draft->affinity_nodes[first]->line;
    if (a->kind == HF_AFFINITY_COOKIE_PREFIX && b->kind == HF_AFFINITY_COOKIE_PREFIX)
        hf_loader_tell(
            loader, node->line,
            "a second prefixed cookie in the pool (the first on line %u): one says where "
            "the session is; leave one out",
            line);
    else if (same_cookie(a, b) && (is_written(a) || is_written(b)) && a->kind != b->kind)
        hf_loader_tell(loader, node->line,
                       "cookie '%s' is used by another strategy of the pool too (on line %u), and "
                       "the proxy writes into it: name one differently",
                       b->cookie, line);
}

static void check_cookie_name(struct hf_loader *loader, const struct hf_affinity *affinity,
                              const struct hf_yaml *node)
{
    struct hf_cookie_attributes name = {
        .name = hf_slice_text(affinity->cookie), .path = HF_SLICE("/"), .secure = true};
    const char *wrong = hf_cookie_attributes_check(&name);
    if (affinity->cookie != NULL && wrong != NULL)
        hf_loader_tell(loader, node->line, "cookie '%s': %s", affinity->cookie, wrong);
}

/* The last separator ends the application's part: names must have none. */
static void check_names(struct hf_loader *loader, const struct hf_pool_draft *draft,
                        const struct hf_affinity *affinity, unsigned line)
{
    for (unsigned i = 0; i < draft->server_count; i++) {
        const struct hf_server_draft *server = &draft->servers[i];
        if (server->name == NULL || strchr(server->name, affinity->separator) == NULL)
            continue;
        hf_loader_tell(loader, hf_yaml_line(server->node, "name"),
                       "the name '%s' holds '%c', which ends the session id before it (route on "
                       "line %u): rename the server, here and in the application, or write another "
                       "separator in both",
                       server->name, affinity->separator, line);
    }
}

/* A redirected client still sends the application's cookie, or has its entry, and would be
 * redirected for ever. */
static void check_redirect(struct hf_loader *loader, const struct hf_pool_draft *draft,
                           const struct hf_pool *pool)
{
    const struct hf_yaml *carrier = NULL;
    bool inserted = false;
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        inserted |= pool->affinities[i].kind == HF_AFFINITY_COOKIE_INSERT;
        if (carrier == NULL && carries_name(&pool->affinities[i]))
            carrier = draft->affinity_nodes[i];
        if (hf_affinity_has_table(&pool->affinities[i]) && pool->on_loss == HF_ON_LOSS_REDIRECT)
            hf_loader_tell(loader, hf_yaml_line(draft->node, "on_loss"),
                           "'on_loss' redirects, but the table of the strategy on line %u would "
                           "name the lost server again: write on_loss: fresh",
                           draft->affinity_nodes[i]->line);
    }
    if (carrier != NULL && !inserted && pool->on_loss == HF_ON_LOSS_REDIRECT)
        hf_loader_tell(loader, hf_yaml_line(draft->node, "on_loss"),
                       "'on_loss' redirects, but the cookie of the strategy on line %u would name "
                       "the lost server again: add {cookie: HOLDFAST} behind it, or write on_loss: "
                       "fresh",
                       carrier->line);
}

void hf_finish_strategies(struct hf_loader *loader)
{
    for (unsigned p = 0; p < loader->config->pool_count; p++) {
        const struct hf_pool *pool = &loader->config->pools[p];
        const struct hf_pool_draft *draft = &loader->pools[p];
        for (unsigned i = 0; i < pool->affinity_count; i++) {
            const struct hf_affinity *affinity = &pool->affinities[i];
            bool learned = affinity->kind == HF_AFFINITY_LEARN && !affinity->learn_header;
            if (carries_name(affinity) || learned)
                check_cookie_name(loader, affinity, draft->affinity_nodes[i]);
            if (affinity->kind == HF_AFFINITY_ROUTE)
                check_names(loader, draft, affinity, draft->affinity_nodes[i]->line);
            for (unsigned first = 0; first < i; first++)
                check_pair(loader, draft, pool, first, i);
        }
        check_redirect(loader, draft, pool);
    }
}
