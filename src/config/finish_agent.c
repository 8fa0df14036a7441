/* From an agent's file to what it runs by: which keys make a session, and its secrets. */
#include "base/assert.h"
#include "config/loader.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATTERNS_MAX = HF_PATTERNS_MAX };
static const char marker[] = "{id}";

struct patterns {            /* those of the file, and the built-in ones that it changes */
    struct hf_pattern *rows; /* [PATTERNS_MAX]; the configuration's */
    unsigned count;
    unsigned lines[PATTERNS_MAX];
    char *texts; /* where made texts are written; room for all */
};

/* ---- patterns ---- */

static const struct hf_pattern *find_builtin(struct hf_slice text)
{
    unsigned count = 0;
    const struct hf_pattern *rows = hf_pattern_builtin(&count);
    for (unsigned i = 0; i < count; i++)
        if (hf_slice_equal(rows[i].text, text))
            return &rows[i];
    return NULL;
}

/* "{id}.lock", "sess:{id}_LOCK": who writes such a key locks a session, and ends none. */
static bool names_lock(struct hf_slice text)
{
    static const char word[] = "lock";
    for (size_t at = 0; at + sizeof(word) - 1 <= text.size; at++)
        if (strncasecmp(text.bytes + at, word, sizeof(word) - 1) == 0)
            return true;
    return false;
}

static struct hf_pattern *find_row(struct patterns *patterns, struct hf_slice text)
{
    for (unsigned i = 0; i < patterns->count; i++)
        if (hf_slice_equal(patterns->rows[i].text, text))
            return &patterns->rows[i];
    return NULL;
}

static struct hf_slice keep_text(struct patterns *patterns, const char *text, const char *behind)
{
    char *start = patterns->texts;
    size_t size = strlen(text), more = strlen(behind);
    memcpy(start, text, size);
    memcpy(start + size, behind, more);
    patterns->texts += size + more;
    return hf_slice(start, size + more);
}

static bool add_row(struct hf_loader *loader, struct patterns *patterns,
                    const struct hf_pattern *row, unsigned line)
{
    if (patterns->count == PATTERNS_MAX) {
        hf_loader_tell(loader, line,
                       "more than %d patterns with those of 'tombstones' and the built-in ones: "
                       "leave some out",
                       PATTERNS_MAX);
        return false;
    }
    patterns->lines[patterns->count] = line;
    patterns->rows[patterns->count++] = *row;
    return true;
}

static void add_session_key(struct hf_loader *loader, struct patterns *patterns,
                            const struct hf_yaml *node)
{
    struct hf_slice text = hf_slice_text(node->text);
    if (find_row(patterns, text) != NULL) {
        hf_loader_tell(loader, node->line, "'session_keys' has '%.60s' twice: leave one out",
                       node->text);
        return;
    }
    const struct hf_pattern *known = find_builtin(text);
    struct hf_pattern row = known ? *known : (struct hf_pattern){.satellite = names_lock(text)};
    row.text = keep_text(patterns, node->text, "");
    add_row(loader, patterns, &row, node->line);
}

/* What stands before the id. */
static struct hf_slice bare(struct hf_slice text)
{
    size_t size = 0;
    while (size < text.size && text.bytes[size] != '{')
        size++;
    return hf_slice(text.bytes, size);
}

/* Every pattern that the prefix begins; a prefix of none is a pattern of its own. */
static void add_tombstone(struct hf_loader *loader, struct patterns *patterns,
                          const struct hf_yaml *node, enum hf_pattern_tomb tomb)
{
    unsigned builtin_count = 0;
    const struct hf_pattern *builtin = hf_pattern_builtin(&builtin_count);
    struct hf_slice prefix = hf_slice_text(node->text);
    bool found = false; /* of a session; locks alone make none */
    for (unsigned i = 0; i < builtin_count; i++) {
        bool begins = hf_slice_starts(builtin[i].text, prefix);
        if (begins && find_row(patterns, builtin[i].text) == NULL &&
            !add_row(loader, patterns, &builtin[i], node->line))
            return;
    }
    for (unsigned i = 0; i < patterns->count; i++) {
        struct hf_pattern *row = &patterns->rows[i];
        if (!hf_slice_starts(row->text, prefix))
            continue;
        row->tomb = tomb; /* of a lock too, or it would make a session anew that is over */
        found |= !row->satellite || hf_slice_equal(bare(row->text), prefix);
    }
    if (found)
        return;
    const struct hf_pattern made = {.text = keep_text(patterns, node->text, marker), .tomb = tomb};
    const char *wrong = hf_pattern_check(made.text);
    if (wrong != NULL)
        hf_loader_tell(loader, node->line,
                       "the prefix '%.60s' makes a pattern that %s: write what "
                       "keys begin with, such as sess:",
                       node->text, wrong);
    else
        add_row(loader, patterns, &made, node->line);
}

static void check_contradictions(struct hf_loader *loader, const struct hf_agent_draft *draft)
{
    for (unsigned i = 0; i < draft->strict.count; i++)
        for (unsigned j = 0; j < draft->miss.count; j++)
            if (strcmp(draft->strict.nodes[i]->text, draft->miss.nodes[j]->text) == 0)
                hf_loader_tell(loader, draft->miss.nodes[j]->line,
                               "'%.60s' is in both 'strict' and 'miss': leave one out",
                               draft->miss.nodes[j]->text);
}

/* The shorter prefix first, so that a longer one, which is more particular, has the last word. */
static void add_tombstones(struct hf_loader *loader, struct patterns *patterns,
                           const struct hf_agent_draft *draft)
{
    for (size_t size = 1; size <= HF_PATTERN_TEXT_MAX + 1; size++) {
        for (unsigned i = 0; i < draft->strict.count + draft->miss.count; i++) {
            bool strict = i < draft->strict.count;
            const struct hf_yaml *node =
                strict ? draft->strict.nodes[i] : draft->miss.nodes[i - draft->strict.count];
            size_t own = strlen(node->text);
            if (own == size || (own > size && size > HF_PATTERN_TEXT_MAX))
                add_tombstone(loader, patterns, node,
                              strict ? HF_PATTERN_TOMB_STRICT : HF_PATTERN_TOMB_MISS);
        }
    }
}

static size_t texts_size(const struct hf_agent_draft *draft)
{
    const struct hf_agent_list *lists[] = {&draft->session_keys, &draft->strict, &draft->miss};
    size_t size = 1;
    for (unsigned i = 0; i < 3; i++)
        for (unsigned j = 0; j < lists[i]->count; j++)
            size += strlen(lists[i]->nodes[j]->text) + sizeof(marker);
    return size;
}

static void make_table(struct hf_loader *loader, struct hf_agent_config *config)
{
    const struct hf_agent_draft *draft = &loader->agent;
    unsigned bad = 0;
    struct patterns patterns = {.rows = calloc(PATTERNS_MAX, sizeof(*patterns.rows)),
                                .texts = malloc(texts_size(draft))};
    config->pattern_rows = patterns.rows;
    config->pattern_texts = patterns.texts;
    if (patterns.rows == NULL || patterns.texts == NULL) {
        loader->out_of_memory = true;
        return;
    }
    check_contradictions(loader, draft);
    for (unsigned i = 0; i < draft->session_keys.count; i++)
        add_session_key(loader, &patterns, draft->session_keys.nodes[i]);
    add_tombstones(loader, &patterns, draft);
    int rc = loader->mistakes > 0
                 ? 0
                 : hf_pattern_table_new(patterns.rows, patterns.count, &config->patterns, &bad);
    if (rc == -ENOMEM)
        loader->out_of_memory = true;
    else if (rc == -E2BIG)
        hf_loader_tell(loader, 0,
                       "more than %d patterns with the built-in ones: shorten "
                       "'session_keys'",
                       PATTERNS_MAX);
    else if (rc != 0)
        hf_loader_tell(loader, patterns.lines[bad], "the pattern '%.60s' %s: write another",
                       patterns.rows[bad].text.bytes, hf_pattern_check(patterns.rows[bad].text));
    config->pattern_count = patterns.count;
}

/* ---- the rest ---- */

static void finish_process(struct hf_loader *loader, struct hf_config *process)
{
    const struct hf_agent_draft *draft = &loader->agent;
    char host[HF_NAME_MAX] = "";
    if (draft->node_name == NULL && (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0'))
        memcpy(host, "localhost", sizeof("localhost"));
    snprintf(process->node, sizeof(process->node), "%s",
             draft->node_name ? draft->node_name : host);
    process->file = hf_loader_copy(loader, loader->file);
    process->state_dir =
        hf_loader_path(loader, draft->state_dir ? draft->state_dir : "/var/lib/holdfast-agent");
    process->log_level = draft->log_level;
    process->admin_bind = draft->admin_bind;
    const struct hf_yaml *admin = hf_yaml_get(loader->root, "admin");
    if (admin != NULL && draft->admin_bind.size > 0 && draft->admin_token_file == NULL &&
        !hf_loader_is_local(&draft->admin_bind))
        hf_loader_tell(loader, hf_yaml_line(admin, "bind"),
                       "the admin API is not on loopback and has no token: add token_file: "
                       "/etc/holdfast/admin.token, or bind it to 127.0.0.1");
}

/* Who reaches the application's side reads and ends every session. */
static void check_reach(struct hf_loader *loader, const char *key, const struct hf_address *address)
{
    const struct hf_yaml *agent = hf_yaml_get(loader->root, "agent");
    if (address->size > 0 && loader->agent.password_file == NULL && !hf_loader_is_local(address))
        hf_loader_tell(loader, hf_yaml_line(agent, key),
                       "'%s' is not on loopback and there is no 'password_file': add "
                       "password_file: /etc/holdfast/agent.pass, or bind it to 127.0.0.1",
                       key);
}

/* What one address serves cannot be served at it twice. */
static void check_own_addresses(struct hf_loader *loader)
{
    const struct hf_agent_draft *draft = &loader->agent;
    const struct hf_yaml *agent = hf_yaml_get(loader->root, "agent");
    static const struct hf_address none;
    const struct {
        const char *key;
        const struct hf_address *address;
        unsigned line;
    } rows[] = {
        {"redis", &draft->redis, hf_yaml_line(agent, "redis")},
        {"memcached", &draft->memcached, hf_yaml_line(agent, "memcached")},
        {"peer", draft->replicated ? &draft->peer : &none, hf_yaml_line(agent, "peer")},
        {"admin", &draft->admin_bind, hf_yaml_line(loader->root, "admin")},
    };
    for (unsigned i = 1; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (unsigned j = 0; j < i; j++)
            if (rows[i].address->size > 0 && !hf_loader_lacks_port(rows[i].address) &&
                hf_address_equal(rows[i].address, rows[j].address))
                hf_loader_tell(loader, rows[i].line,
                               "'%s' has the address of '%s': give it one of its own", rows[i].key,
                               rows[j].key);
}

struct hf_agent_config *hf_finish_agent(struct hf_loader *loader)
{
    const struct hf_agent_draft *draft = &loader->agent;
    const struct hf_yaml *node = hf_yaml_get(loader->root, "agent");
    struct hf_agent_config *config = calloc(1, sizeof(*config));
    if (config != NULL)
        config->process = hf_config_new();
    if (config == NULL || config->process == NULL) {
        free(config);
        loader->out_of_memory = true;
        return NULL;
    }
    config->redis = draft->redis;
    config->memcached = draft->memcached;
    config->redis_line = hf_yaml_line(node, "redis");
    config->memcached_line = hf_yaml_line(node, "memcached");
    config->memory = draft->memory;
    config->when_full = (enum hf_store_full)draft->when_full;
    config->flush_allowed = draft->flush;
    config->mode = (enum hf_agent_mode)draft->mode;
    finish_process(loader, config->process);
    check_reach(loader, "redis", &draft->redis);
    check_reach(loader, "memcached", &draft->memcached);
    check_own_addresses(loader);
    hf_finish_external(loader, config);
    make_table(loader, config);
    if (draft->replicated)
        hf_finish_peers(loader, config);
    if (loader->report->count == 0)
        hf_secrets_load_agent(loader, config);
    if (loader->report->count > 0 || loader->out_of_memory)
        hf_agent_config_free(&config);
    return config;
}

bool hf_agent_config_same_patterns(const struct hf_agent_config *a, const struct hf_agent_config *b)
{
    bool same = a->pattern_count == b->pattern_count;
    for (unsigned i = 0; same && i < a->pattern_count; i++) {
        const struct hf_pattern *x = &a->pattern_rows[i], *y = &b->pattern_rows[i];
        same =
            hf_slice_equal(x->text, y->text) && x->satellite == y->satellite && x->tomb == y->tomb;
    }
    return same;
}

const char *hf_agent_mode_word(enum hf_agent_mode mode)
{
    static const char *const words[] = {[HF_AGENT_LOCAL] = "local",
                                        [HF_AGENT_REPLICATED] = "replicated",
                                        [HF_AGENT_EXTERNAL] = "external",
                                        [HF_AGENT_TRANSITION] = "transition"};
    return words[mode];
}

static void free_secret(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

void hf_agent_config_free(struct hf_agent_config **config)
{
    struct hf_agent_config *gone = *config;
    *config = NULL;
    if (gone == NULL)
        return;
    hf_pattern_table_free(&gone->patterns);
    free_secret(gone->password);
    free_secret(gone->external.password);
    free(gone->external.url);
    for (unsigned i = 0; i < gone->replication.peer_count; i++)
        free(gone->replication.peers[i].name);
    free(gone->replication.peers);
    explicit_bzero(gone->replication.key, sizeof(gone->replication.key));
    free(gone->pattern_rows);
    free(gone->pattern_texts);
    hf_config_unref(&gone->process);
    free(gone);
}
