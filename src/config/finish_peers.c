/* From the list of agents to who they are, and which of them this one is. */
#include "config/loader.h"
#include <stdio.h>
#include <stdlib.h>

/* The entry that stands for this agent: the one with the address that others reach it at. */
static void find_self(struct hf_loader *loader, struct hf_agent_config *config)
{
    const struct hf_agent_draft *draft = &loader->agent;
    struct hf_agent_replication *replication = &config->replication;
    char text[HF_ADDRESS_TEXT_MAX];
    unsigned found = 0;
    hf_address_format(&draft->peer, text);
    for (unsigned i = 0; i < replication->peer_count; i++) {
        if (!hf_address_equal(&replication->peers[i].address, &draft->peer))
            continue;
        replication->self = i;
        found++;
    }
    const char *name = found == 1 ? replication->peers[replication->self].name : "";
    if (found != 1)
        hf_loader_tell(loader, replication->line,
                       "'peer' is %s, and 'peers' has %s: name this agent there, with that address",
                       text, found == 0 ? "no such address" : "that address twice");
    else if (draft->node_name != NULL && strcmp(draft->node_name, name) != 0)
        hf_loader_tell(loader, replication->line,
                       "'peer' is %s, which 'peers' gives to '%s' and not to this node, '%s': "
                       "correct one of them",
                       text, name, draft->node_name);
    else
        snprintf(config->process->node, sizeof(config->process->node), "%s", name);
}

/* Where nobody can be reached, or somebody else. Our own entry: find_self. */
static void check_others(struct hf_loader *loader, const struct hf_agent_replication *replication)
{
    const struct hf_yaml *node = loader->agent.peers->first;
    for (unsigned i = 0; i < replication->peer_count; i++, node = node->next) {
        const struct hf_address *address = &replication->peers[i].address;
        if (hf_loader_lacks_port(address) || hf_address_is_any(address))
            hf_loader_tell(loader, node->key_line,
                           "'%s' is '%s', where nobody can be reached: write the address and the "
                           "port that its 'peer' has",
                           node->key, node->text);
        for (unsigned j = 0; j < i; j++)
            if (i != replication->self && j != replication->self &&
                hf_address_equal(address, &replication->peers[j].address))
                hf_loader_tell(loader, node->key_line,
                               "'%s' has the address of '%s': write the one that its own 'peer' "
                               "has",
                               node->key, replication->peers[j].name);
    }
}

static void check_addresses(struct hf_loader *loader,
                            const struct hf_agent_replication *replication)
{
    const struct hf_yaml *node = loader->agent.peers->first;
    bool told = loader->agent.peer_key_file != NULL;
    for (unsigned i = 0; i < replication->peer_count && !told; i++, node = node->next) {
        told = !hf_loader_is_local(&replication->peers[i].address);
        if (told && i != replication->self)
            hf_loader_tell(loader, node->key_line,
                           "'%s' is not on loopback and there is no 'peer_key_file': add "
                           "peer_key_file: /etc/holdfast/peer.key",
                           node->key);
    }
}

void hf_finish_peers(struct hf_loader *loader, struct hf_agent_config *config)
{
    const struct hf_agent_draft *draft = &loader->agent;
    struct hf_agent_replication *replication = &config->replication;
    if (draft->peers == NULL || loader->report->count > 0)
        return;
    replication->peers = calloc(draft->peers->count, sizeof(*replication->peers));
    if (replication->peers == NULL) {
        loader->out_of_memory = true;
        return;
    }
    replication->on = true;
    replication->line = hf_yaml_line(hf_yaml_get(loader->root, "agent"), "peer");
    replication->backups = (unsigned)draft->backups;
    replication->acknowledge_memory = draft->acknowledge_memory;
    replication->consistent = draft->consistent;
    for (const struct hf_yaml *node = draft->peers->first; node != NULL; node = node->next) {
        struct hf_agent_peer *peer = &replication->peers[replication->peer_count++];
        peer->name = hf_loader_copy(loader, node->key);
        if (peer->name == NULL) /* out of memory: noted there */
            return;
        (void)hf_address_parse(hf_slice_text(node->text), &peer->address);
    }
    find_self(loader, config);
    check_others(loader, replication);
    check_addresses(loader, replication);
}

bool hf_agent_config_same_replication(const struct hf_agent_config *a,
                                      const struct hf_agent_config *b)
{
    const struct hf_agent_replication *x = &a->replication, *y = &b->replication;
    bool same = x->on == y->on && x->peer_count == y->peer_count && x->self == y->self &&
                x->backups == y->backups && x->acknowledge_memory == y->acknowledge_memory &&
                x->consistent == y->consistent && x->has_key == y->has_key &&
                memcmp(x->key, y->key, sizeof(x->key)) == 0;
    for (unsigned i = 0; same && i < x->peer_count; i++)
        same = strcmp(x->peers[i].name, y->peers[i].name) == 0 &&
               hf_address_equal(&x->peers[i].address, &y->peers[i].address);
    return same;
}
