/* Session agents beside servers, and the cookie by which their sessions are known. */
#include "config/loader.h"
#include "proto/scan.h"

/* Two servers with one agent would be one node of the rank under two names. */
static void check_agent(struct hf_loader *loader, const struct hf_pool_draft *draft, unsigned index)
{
    const struct hf_server_draft *one = &draft->servers[index];
    unsigned line = hf_yaml_line(one->node, "agent");
    if (hf_loader_lacks_port(&one->agent))
        hf_loader_tell(loader, line, "'agent' has port 0: write the port of the agent's 'peer'");
    for (unsigned i = 0; i < index; i++) {
        const struct hf_server_draft *other = &draft->servers[i];
        if (other->agent.size == 0 || !hf_address_equal(&other->agent, &one->agent))
            continue;
        hf_loader_tell(loader, line,
                       "the agent of line %u once more: each server has one of its own, called "
                       "like the server; write its address",
                       hf_yaml_line(other->node, "agent"));
        return;
    }
}

/* Answers how many servers have one. */
static unsigned check_agents(struct hf_loader *loader, const struct hf_pool_draft *draft)
{
    unsigned count = 0;
    for (unsigned i = 0; i < draft->server_count; i++) {
        if (draft->servers[i].agent.size == 0)
            continue;
        check_agent(loader, draft, i);
        if (++count == HF_RANK_NODES_MAX + 1)
            hf_loader_tell(loader, hf_yaml_line(draft->servers[i].node, "agent"),
                           "more than %d servers of the pool have an agent: leave the others out, "
                           "or split the pool",
                           HF_RANK_NODES_MAX);
    }
    return count;
}

static void check_session(struct hf_loader *loader, const struct hf_pool *pool,
                          const struct hf_yaml *node, unsigned agents)
{
    struct hf_slice name = hf_slice_text(pool->session.name);
    unsigned line = hf_yaml_line(node, "cookie");
    if (agents == 0)
        hf_loader_tell(loader, node->line,
                       "'session' but no server of the pool has an agent: write agent: "
                       "\"127.0.0.1:7401\" for each, or leave it out");
    if (hf_scan(name.bytes, 0, name.size, HF_SCAN_TOKEN) != name.size)
        hf_loader_tell(loader, line,
                       "'cookie' is '%.60s': no cookie can be called so: write the "
                       "application's, such as cookie: PHPSESSID",
                       pool->session.name);
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        const struct hf_affinity *affinity = &pool->affinities[i];
        if (affinity->kind == HF_AFFINITY_COOKIE_INSERT && affinity->cookie != NULL &&
            hf_slice_equal(hf_slice_text(affinity->cookie), name))
            hf_loader_tell(loader, line,
                           "'%s' is the cookie that the proxy itself inserts: write the "
                           "application's, such as cookie: PHPSESSID",
                           pool->session.name);
    }
}

void hf_finish_sessions(struct hf_loader *loader)
{
    for (unsigned p = 0; p < loader->config->pool_count; p++) {
        const struct hf_pool *pool = &loader->config->pools[p];
        const struct hf_pool_draft *draft = &loader->pools[p];
        unsigned agents = check_agents(loader, draft);
        if (pool->session.name != NULL)
            check_session(loader, pool, hf_yaml_get(draft->node, "session"), agents);
    }
}
