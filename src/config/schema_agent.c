/* The tables of an agent's file. */
#include "config/loader.h"
#include "proto/store_url.h"
#include "store/memory.h"
#include <errno.h>
#include <stdio.h>

/* NAME:PORT for a DNS name: address types are numeric only. */
static int read_host_port(struct hf_loader *loader, const struct hf_key *key,
                          const struct hf_yaml *node, void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    (void)field;
    if (text == NULL)
        return -EINVAL;
    size_t name = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
    uint64_t port = 0;
    if (name > 0 && text[name] == ':' && hf_slice_to_u64(hf_slice_text(text + name + 1), &port) &&
        port >= 1 && port <= 65535)
        return 0;
    hf_loader_tell(loader, node->line, "'%s' is '%.60s': write NAME:PORT, such as %s: %s", key->key,
                   text, key->key, key->example);
    return -EINVAL;
}

static const struct hf_type type_host_port = {"name and port", read_host_port};

/* A pattern of keys: one {id}, with something around it. */
static int read_pattern(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    const char *text = hf_type_scalar(loader, key, node);
    (void)field;
    if (text == NULL)
        return -EINVAL;
    const char *id = strstr(text, "{id}");
    if (id != NULL && strstr(id + 4, "{id}") == NULL && strlen(text) > 4)
        return 0;
    hf_loader_tell(loader, node->line,
                   "'%s' has '%.60s': write a pattern with one {id} in it, such as \"sess:{id}\"",
                   key->key, text);
    return -EINVAL;
}

static const struct hf_type type_pattern = {"pattern", read_pattern};

static int read_url(struct hf_loader *loader, const struct hf_key *key, const struct hf_yaml *node,
                    void *field)
{
    struct hf_store_url url;
    const char *text = hf_type_scalar(loader, key, node);
    if (text == NULL)
        return -EINVAL;
    const char *wrong = hf_store_url_parse(hf_slice_text(text), &url);
    if (wrong == NULL) {
        *(const char **)field = text;
        return 0;
    }
    hf_loader_tell(loader, node->line, "'%s' %s: write an address such as %s: %s", key->key, wrong,
                   key->key, key->example);
    return -EINVAL;
}

static const struct hf_type type_url = {"URL", read_url};

// clang-format off
static const struct hf_key etcd_keys[] = {
    {.key = "endpoints", .type = &hf_type_list, .item = &hf_type_text, .low = 1, .high = 16,
     .required = true, .example = "[\"http://127.0.0.1:2379\"]"},
    {.key = "prefix", .type = &hf_type_text, .high = 256, .fallback = "/holdfast/agents/",
     .example = "/holdfast/agents/"},
};
static const struct hf_schema etcd_schema = {"agent.peers.etcd", "etcd", HF_KEYS(etcd_keys)};

static const struct hf_key discovery_keys[] = {
    {.key = "dns", .type = &type_host_port, .example = "agents.example.com:7401"},
    {.key = "etcd", .type = &hf_type_mapping, .schema = &etcd_schema,
     .example = "{endpoints: [\"http://127.0.0.1:2379\"]}"},
};
static const struct hf_schema discovery_schema = {"agent.peers", "peers", HF_KEYS(discovery_keys)};
// clang-format on

static bool is_discovery(const struct hf_yaml *node)
{
    const struct hf_yaml *etcd = hf_yaml_get(node, "etcd");
    return hf_yaml_get(node, "dns") != NULL || (etcd != NULL && etcd->kind == HF_YAML_MAPPING);
}

static void check_peer(struct hf_loader *loader, const struct hf_key *row,
                       const struct hf_yaml *peers, const struct hf_yaml *node)
{
    const struct hf_key name = {.key = "name", .example = "app1"};
    const struct hf_yaml key = {
        .kind = HF_YAML_SCALAR, .line = node->key_line, .text = (char *)node->key};
    const struct hf_key address = {.key = node->key, .example = "\"127.0.0.1:7401\""};
    if (hf_type_name.read(loader, &name, &key, NULL) == 0 && !node->broken)
        hf_type_address.read(loader, &address, node, NULL);
    for (const struct hf_yaml *other = peers->first; other != node; other = other->next) {
        if (strcmp(other->key, node->key) != 0)
            continue;
        hf_loader_tell(loader, node->key_line,
                       "'%s' stands in %s twice, first on line %u: leave one out", node->key,
                       row->key, other->key_line);
        return;
    }
}

/* {NODE: ADDRESS, ...}, or {dns: NAME:PORT}, or {etcd: {...}}. */
static int read_peers(struct hf_loader *loader, const struct hf_key *key,
                      const struct hf_yaml *node, void *field)
{
    if (node->kind != HF_YAML_MAPPING)
        return hf_type_mapping.read(loader, key, node, field);
    loader->agent.peers_set = true;
    if (is_discovery(node)) {
        if (node->count > 1)
            hf_loader_tell(loader, node->line,
                           "'peers' mixes ways to find them: write nodes and addresses, or dns, or "
                           "etcd alone");
        else
            hf_schema_read(loader, &discovery_schema, node, NULL);
        return 0;
    }
    if (node->count == 0 || node->count > HF_AGENT_PEERS_MAX) {
        hf_loader_tell(loader, node->line, "'peers' has %u entries: write 1 to %d, such as %s",
                       node->count, HF_AGENT_PEERS_MAX, key->example);
        return -EINVAL;
    }
    loader->agent.peers = node;
    for (const struct hf_yaml *child = node->first; child != NULL; child = child->next)
        check_peer(loader, key, node, child);
    return 0;
}

static const struct hf_type type_peers = {"mapping", read_peers};

static void check_replication(struct hf_loader *loader, const struct hf_yaml *node)
{
    const struct hf_agent_draft *agent = &loader->agent;
    if (agent->peer.size == 0)
        hf_loader_tell(loader, node->line,
                       "a replicated agent has no 'peer': write peer: 127.0.0.1:7401, where the "
                       "others reach it");
    if (!agent->peers_set)
        hf_loader_tell(loader, node->line,
                       "a replicated agent has no 'peers': write peers: {app1: \"127.0.0.1:7401\", "
                       "app2: \"127.0.0.1:7402\"}, or mode: local");
    const char *name = agent->node_name;
    if (agent->peers != NULL && name != NULL && hf_yaml_get(agent->peers, name) == NULL)
        hf_loader_tell(loader, agent->peers->line,
                       "'peers' does not name this node, '%.63s': add %.63s with the address of "
                       "'peer'",
                       name, name);
    if (agent->peers != NULL && agent->peers->count <= (unsigned)agent->backups)
        hf_loader_tell(
            loader, hf_yaml_line(node, "backups"),
            "backups: %d with %u in 'peers': name at least %d there, or write mode: local",
            agent->backups, agent->peers->count, agent->backups + 1);
    if (agent->peer.size != 0 && !hf_loader_is_local(&agent->peer) && agent->peer_key_file == NULL)
        hf_loader_tell(loader, hf_yaml_line(node, "peer"),
                       "'peer' is not on loopback and there is no 'peer_key_file': add "
                       "peer_key_file: /etc/holdfast/peer.key");
}

/* What only copies at peers need, in an agent that has none. One warning names all of it. */
static void warn_of_copies(struct hf_loader *loader, const struct hf_yaml *node)
{
    static const char *const keys[] = {"peers",   "peer",        "peer_key_file",
                                       "backups", "acknowledge", "consistency"};
    char names[HF_REPORT_TEXT_MAX / 2] = "";
    size_t used = 0;
    unsigned line = 0;
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (hf_yaml_get(node, keys[i]) == NULL)
            continue;
        if (line == 0)
            line = hf_yaml_line(node, keys[i]);
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s'%s'", used > 0 ? ", " : "",
                                 keys[i]);
    }
    if (line > 0 && loader->agent.peers_set)
        hf_report_warn(loader->report, line,
                       "mode: local does not use %s, its sessions have no copies: write mode: "
                       "replicated to have them, or leave these out",
                       names);
    else if (line > 0)
        hf_report_warn(loader->report, line,
                       "without 'peers' there is no use of %s, sessions have no copies: add "
                       "peers: {app1: \"127.0.0.1:7401\", app2: \"127.0.0.1:7402\"} to have them, "
                       "or leave these out",
                       names);
}

/* Who names the mode may have the store of another one ready; who does not meant the store. */
static void check_unused_store(struct hf_loader *loader, const struct hf_yaml *node)
{
    unsigned line = hf_yaml_line(node, "external");
    if (hf_yaml_get(node, "mode") == NULL)
        hf_loader_tell(loader, line,
                       "'external' needs a mode that uses it: add mode: external, with copies at "
                       "'peers' where there are any, or leave it out");
    else
        hf_report_warn(loader->report, line,
                       "mode: %s does not use 'external', its store is not spoken to: write mode: "
                       "external to keep sessions there, with copies at 'peers' where there are "
                       "any, or leave it out",
                       hf_agent_mode_word((enum hf_agent_mode)loader->agent.mode));
}

static void check_agent(struct hf_loader *loader, const struct hf_yaml *node, void *target)
{
    _Static_assert(HF_CONFIG_WARNINGS_MAX == 2 * HF_YAML_DOCUMENTS_MAX, "two an agent");
    struct hf_agent_draft *agent = target;
    bool external = agent->mode == HF_AGENT_EXTERNAL || agent->mode == HF_AGENT_TRANSITION;
    loader->agent.is_external = external;
    if (agent->redis.size == 0 && agent->memcached.size == 0)
        hf_loader_tell(loader, node->line,
                       "the agent serves nobody: write redis: 127.0.0.1:6380, or memcached: "
                       "127.0.0.1:11311");
    agent->replicated = agent->mode == HF_AGENT_REPLICATED || agent->mode == HF_AGENT_TRANSITION ||
                        (agent->mode == HF_AGENT_EXTERNAL && agent->peers_set);
    if (agent->replicated)
        check_replication(loader, node);
    else
        warn_of_copies(loader, node);
    if (!external && agent->external_url != NULL)
        check_unused_store(loader, node);
    if (agent->flush && (agent->replicated || external))
        hf_loader_tell(loader, hf_yaml_line(node, "flush"),
                       "flush: allow would end the sessions of all servers: write flush: deny, or "
                       "mode: local");
    if (external && agent->external_url == NULL)
        hf_loader_tell(loader, hf_yaml_line(node, "mode"),
                       "the mode needs 'external': add external: {url: "
                       "\"redis://127.0.0.1:6379/0\"}");
}

static void *place_in(struct hf_agent_list *list, const struct hf_yaml *node)
{
    list->nodes[list->count++] = node; /* the list's length was looked at */
    return NULL;
}

static void *place_session_key(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                               unsigned index)
{
    (void)target;
    (void)index;
    return place_in(&loader->agent.session_keys, node);
}

static void *place_strict(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                          unsigned index)
{
    (void)target;
    (void)index;
    return place_in(&loader->agent.strict, node);
}

static void *place_miss(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                        unsigned index)
{
    (void)target;
    (void)index;
    return place_in(&loader->agent.miss, node);
}

// clang-format off
static const struct hf_word mode_words[] = {
    {"local", HF_AGENT_LOCAL}, {"replicated", HF_AGENT_REPLICATED}, {"external", HF_AGENT_EXTERNAL},
    {"transition", HF_AGENT_TRANSITION}, {NULL, 0}};
static const struct hf_word acknowledge_words[] = {{"backup", 0}, {"memory", 1}, {NULL, 0}};
static const struct hf_word full_words[] = {{"refuse", 0}, {"evict", 1}, {NULL, 0}};
static const struct hf_word flush_words[] = {{"deny", 0}, {"allow", 1}, {NULL, 0}};
static const struct hf_word consistency_words[] = {{"available", 0}, {"consistent", 1}, {NULL, 0}};
static const struct hf_word write_words[] = {{"through", 0}, {"behind", 1}, {NULL, 0}};
static const struct hf_word level_words[] = {{"error", 0}, {"warning", 1}, {"info", 2},
                                             {"debug", 3}, {NULL, 0}};

static const struct hf_key tombstones_keys[] = {
    {.key = "strict", .type = &hf_type_list, .item = &hf_type_text, .high = HF_AGENT_PREFIXES_MAX,
     .place = place_strict, .fallback = "[]", .example = "[\"sess:\"]"},
    {.key = "miss", .type = &hf_type_list, .item = &hf_type_text, .high = HF_AGENT_PREFIXES_MAX,
     .place = place_miss, .fallback = "[]", .example = "[\"PHPREDIS_SESSION:\"]"},
};
static const struct hf_schema tombstones_schema = {"agent.tombstones", "tombstones",
                                                   HF_KEYS(tombstones_keys)};

static const struct hf_key external_keys[] = {
    {.key = "url", .type = &type_url, HF_FIELD(struct hf_agent_draft, external_url),
     .required = true, .example = "\"redis://127.0.0.1:6379/0\""},
    {.key = "password_file", .type = &hf_type_file,
     HF_FIELD(struct hf_agent_draft, external_password_file),
     .example = "/etc/holdfast/redis.pass"},
    {.key = "write", .type = &hf_type_word, HF_FIELD(struct hf_agent_draft, external_write),
     .words = write_words, .fallback = "through", .example = "through"},
};
static const struct hf_schema external_schema = {"agent.external", "external",
                                                 HF_KEYS(external_keys)};

static const struct hf_key agent_keys[] = {
    {.key = "redis", .type = &hf_type_address, HF_FIELD(struct hf_agent_draft, redis),
     .example = "127.0.0.1:6380"},
    {.key = "memcached", .type = &hf_type_address, HF_FIELD(struct hf_agent_draft, memcached),
     .example = "127.0.0.1:11311"},
    {.key = "password_file", .type = &hf_type_file,
     HF_FIELD(struct hf_agent_draft, password_file), .example = "/etc/holdfast/agent.pass"},
    {.key = "peer", .type = &hf_type_address, HF_FIELD(struct hf_agent_draft, peer),
     .example = "127.0.0.1:7401"},
    {.key = "peer_key_file", .type = &hf_type_file,
     HF_FIELD(struct hf_agent_draft, peer_key_file), .example = "/etc/holdfast/peer.key"},
    {.key = "peers", .type = &type_peers, .schema = &discovery_schema,
     .example = "{app1: \"127.0.0.1:7401\", app2: \"127.0.0.1:7402\"}"},
    {.key = "mode", .type = &hf_type_word, HF_FIELD(struct hf_agent_draft, mode),
     .words = mode_words, .fallback = "replicated with peers, else local",
     .example = "replicated"},
    {.key = "backups", .type = &hf_type_number, HF_FIELD(struct hf_agent_draft, backups),
     .low = 1, .high = 2, .fallback = "1", .example = "1"},
    {.key = "acknowledge", .type = &hf_type_word,
     HF_FIELD(struct hf_agent_draft, acknowledge_memory), .words = acknowledge_words,
     .fallback = "backup", .example = "backup"},
    {.key = "session_keys", .type = &hf_type_list, .item = &type_pattern,
     .high = HF_AGENT_PATTERNS_MAX, .place = place_session_key,
     .fallback = "those of the well-known stacks",
     .example = "[\"sess:{id}\"]"},
    {.key = "tombstones", .type = &hf_type_mapping, .schema = &tombstones_schema,
     .example = "{strict: [\"sess:\"]}"},
    {.key = "memory", .type = &hf_type_size, HF_FIELD(struct hf_agent_draft, memory),
     .low = HF_STORE_MEMORY_MIN, .high = HF_MEMORY_ADDRESSES,
     .fallback = "1GiB", .example = "2GiB"},
    {.key = "when_full", .type = &hf_type_word, HF_FIELD(struct hf_agent_draft, when_full),
     .words = full_words, .fallback = "refuse", .example = "refuse"},
    {.key = "flush", .type = &hf_type_word, HF_FIELD(struct hf_agent_draft, flush),
     .words = flush_words, .fallback = "deny", .example = "deny"},
    {.key = "consistency", .type = &hf_type_word, HF_FIELD(struct hf_agent_draft, consistent),
     .words = consistency_words, .fallback = "available", .example = "available"},
    {.key = "external", .type = &hf_type_mapping, .schema = &external_schema,
     .example = "{url: \"redis://127.0.0.1:6379/0\"}"},
};
static const struct hf_schema agent_schema = {"agent", "agent", HF_KEYS(agent_keys),
                                              .check = check_agent};

static const struct hf_key admin_keys[] = {
    {.key = "bind", .type = &hf_type_address, HF_FIELD(struct hf_agent_draft, admin_bind),
     .fallback = "127.0.0.1:9911",
     .example = "127.0.0.1:9911"},
    {.key = "token_file", .type = &hf_type_file,
     HF_FIELD(struct hf_agent_draft, admin_token_file), .example = "/etc/holdfast/admin.token"},
};
static const struct hf_schema admin_schema = {"agent.yaml admin", "admin", HF_KEYS(admin_keys)};

static const struct hf_key log_keys[] = {
    {.key = "level", .type = &hf_type_word, HF_FIELD(struct hf_agent_draft, log_level),
     .words = level_words, .fallback = "info",
     .example = "info"},
};
static const struct hf_schema log_schema = {"agent.yaml log", "log", HF_KEYS(log_keys)};
// clang-format on

/* The mode and the name matter to checks of the rest, whatever the order in the file. */
static int read_agent(struct hf_loader *loader, const struct hf_key *key,
                      const struct hf_yaml *node, void *field)
{
    struct hf_agent_draft *agent = field;
    const struct hf_yaml *name = hf_yaml_get(loader->root, "node");
    agent->node_name = name && name->kind == HF_YAML_SCALAR && name->text[0] ? name->text : NULL;
    agent->mode = hf_yaml_get(node, "peers") ? HF_AGENT_REPLICATED : HF_AGENT_LOCAL;
    return hf_type_mapping.read(loader, key, node, field);
}

static const struct hf_type type_agent = {"mapping", read_agent};

/* As the proxy's: `admin: {}` means the usual address; without the key there is no admin server. */
static int read_admin(struct hf_loader *loader, const struct hf_key *key,
                      const struct hf_yaml *node, void *field)
{
    struct hf_agent_draft *agent = field;
    int rc = hf_type_mapping.read(loader, key, node, field);
    if (rc == 0 && hf_yaml_get(node, "bind") == NULL)
        rc = hf_address_parse(HF_SLICE("127.0.0.1:9911"), &agent->admin_bind);
    return rc;
}

static const struct hf_type type_admin = {"mapping", read_admin};

// clang-format off
static const struct hf_key file_keys[] = {
    {.key = "node", .type = &hf_type_name, .fallback = "the host name", .example = "app1"},
    {.key = "admin", .type = &type_admin, .schema = &admin_schema,
     .example = "{bind: 127.0.0.1:9911}"},
    {.key = "state_dir", .type = &hf_type_file, HF_FIELD(struct hf_agent_draft, state_dir),
     .fallback = "/var/lib/holdfast-agent",
     .example = "/var/lib/holdfast-agent"},
    {.key = "log", .type = &hf_type_mapping, .schema = &log_schema, .example = "{level: info}"},
    {.key = "agent", .type = &type_agent, .schema = &agent_schema, .required = true,
     .example = "{redis: 127.0.0.1:6380}"},
};
// clang-format on

const struct hf_schema hf_schema_agent = {"agent.yaml", "the agent's file", HF_KEYS(file_keys)};
