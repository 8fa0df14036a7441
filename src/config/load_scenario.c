/* A scenario's file: read by its tables, its pools by those of the proxy's. */
#include "base/assert.h"
#include "config/loader.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void set_defaults(struct hf_scenario *scenario)
{
    *scenario = (struct hf_scenario){.seed = 1, .duration_ms = 3600 * 1000};
    struct hf_scenario_users *users = &scenario->users;
    users->arrive_ms = 600 * 1000;
    users->session = (struct hf_spread){.mean_ms = 1800 * 1000};
    users->think = (struct hf_spread){.mean_ms = 60 * 1000};
    users->answer = (struct hf_spread){.mean_ms = 50};
}

/* A key of the simulator's own: tokens of a simulation open nothing. */
static void make_key(struct hf_config *config)
{
    if (config->cookie_key_count > 0)
        return;
    config->cookie_keys[0] = (struct hf_token_key){.id = 1};
    memset(config->cookie_keys[0].bytes, 0x53, HF_TOKEN_KEY_SIZE);
    config->cookie_key_count = 1;
}

/* In order of time; those of one time stay in the order of the file. */
static void sort_events(struct hf_scenario *scenario)
{
    for (unsigned i = 1; i < scenario->event_count; i++) {
        struct hf_scenario_event event = scenario->events[i];
        unsigned at = i;
        while (at > 0 && scenario->events[at - 1].at_ms > event.at_ms) {
            scenario->events[at] = scenario->events[at - 1];
            at--;
        }
        scenario->events[at] = event;
    }
}

/* Whether a server of that name is in a pool, or is added by then. */
static bool is_known(const struct hf_config *config, const char *name, uint32_t added)
{
    for (uint32_t number = 1; number <= added; number++) {
        char new_name[HF_NAME_MAX];
        snprintf(new_name, sizeof(new_name), HF_SCENARIO_NEW_NAME, number);
        if (strcmp(new_name, name) == 0)
            return true;
    }
    for (unsigned p = 0; p < config->pool_count; p++) {
        for (unsigned i = 0; i < config->pools[p].server_count; i++) {
            if (strcmp(config->pools[p].servers[i].server->name, name) == 0)
                return true;
        }
    }
    return false;
}

static const char *nearest(const struct hf_config *config, const char *name)
{
    const char *names[HF_POOL_SERVERS_MAX];
    const struct hf_pool *pool = &config->pools[0];
    for (unsigned i = 0; i < pool->server_count; i++)
        names[i] = pool->servers[i].server->name;
    return hf_report_nearest(name, names, pool->server_count, sizeof(names[0]));
}

static void check_event(struct hf_loader *loader, const struct hf_scenario_event *event,
                        uint32_t added)
{
    if (event->at_ms >= loader->scenario->duration_ms)
        hf_loader_tell(loader, event->line, "an event behind 'duration': write a longer duration");
    if (event->kind == HF_EVENT_ADD || is_known(loader->config, event->server, added))
        return;
    const char *near = nearest(loader->config, event->server);
    hf_loader_tell(loader, event->line, "'%s' names '%s', which no pool has%s%s%s",
                   hf_event_kind_word(event->kind), event->server,
                   near ? ": did you mean '" : ": write the name of a server", near ? near : "",
                   near ? "'?" : "");
}

/* Whether the simulator's users bring what a strategy looks for. */
static bool is_simulated(enum hf_affinity_kind kind)
{
    return kind == HF_AFFINITY_COOKIE_INSERT || kind == HF_AFFINITY_HASH_COOKIE ||
           kind == HF_AFFINITY_SOURCE_IP || kind == HF_AFFINITY_HEADER ||
           kind == HF_AFFINITY_QUERY || kind == HF_AFFINITY_PATH_PARAM;
}

static void check_strategies(struct hf_loader *loader)
{
    const char *key = hf_yaml_get(loader->root, "pools") ? "pools" : "configuration";
    for (unsigned p = 0; p < loader->config->pool_count; p++) {
        const struct hf_pool *pool = &loader->config->pools[p];
        bool all = true;
        for (unsigned i = 0; i < pool->affinity_count; i++)
            all &= is_simulated(pool->affinities[i].kind);
        if (!all)
            hf_loader_tell(loader, hf_yaml_line(loader->root, key),
                           "pool '%s' has a strategy that is not simulated: write those among "
                           "cookie (insert or a hash), header, query, path_param, source_ip: hash",
                           pool->name);
    }
}

static void check_events(struct hf_loader *loader)
{
    const struct hf_scenario *scenario = loader->scenario;
    uint32_t added = 0;
    for (unsigned i = 0; i < scenario->event_count; i++) {
        if (scenario->events[i].kind == HF_EVENT_ADD)
            added += scenario->events[i].value;
        check_event(loader, &scenario->events[i], added);
    }
    for (unsigned p = 0; p < loader->config->pool_count; p++) {
        if (loader->config->pools[p].server_count + added > HF_POOL_SERVERS_MAX)
            hf_loader_tell(loader, hf_yaml_line(loader->root, "events"),
                           "pool '%s' would have more than %d servers: add fewer",
                           loader->config->pools[p].name, HF_POOL_SERVERS_MAX);
    }
}

static void build(struct hf_loader *loader, struct hf_yaml *root, struct hf_yaml_file *files)
{
    struct hf_scenario_users *users = &loader->scenario->users;
    loader->root = root;
    hf_schema_read(loader, &hf_schema_scenario, root, loader->scenario);
    hf_scenario_read_pools(loader, root, files);
    if (loader->report->count > 0 || loader->out_of_memory)
        return;
    if (users->nat_count == 0)
        users->nats[users->nat_count++] = (struct hf_scenario_nat){.addresses = 1};
    sort_events(loader->scenario);
    check_events(loader);
    check_strategies(loader);
    make_key(loader->config);
}

static void read_root(struct hf_loader *loader, const struct hf_yaml_file *yaml,
                      struct hf_yaml_file *files)
{
    if (yaml->count == 1 && yaml->documents[0]->kind == HF_YAML_MAPPING)
        build(loader, yaml->documents[0], files);
    else
        hf_loader_tell(loader, 0,
                       "this is not one mapping: write users: {count: 100000} and pools:");
}

int hf_scenario_load_text(struct hf_slice text, const char *name, struct hf_scenario *ret_scenario,
                          struct hf_config_report *report)
{
    struct hf_yaml_file yaml = {0};
    struct hf_scenario *scenario = malloc(sizeof(*scenario));
    struct hf_yaml_file *files = calloc(HF_SCENARIO_TEXTS_MAX, sizeof(*files));
    struct hf_loader *loader = calloc(1, sizeof(*loader));
    int rc = -ENOMEM;
    *report = (struct hf_config_report){0};
    if (scenario == NULL || files == NULL || loader == NULL) {
        hf_report_add(report, 0, "out of memory: free some");
        goto out;
    }
    set_defaults(scenario);
    hf_loader_init(loader, name, report);
    loader->scenario = scenario;
    loader->config = hf_config_new();
    rc = loader->config ? hf_yaml_parse(text, report, &yaml) : -ENOMEM;
    if (rc == 0)
        read_root(loader, &yaml, files);
    rc = hf_loader_finish(loader, rc);
    if (rc == 0) {
        *ret_scenario = *scenario;
        ret_scenario->config = loader->config;
        loader->config = NULL;
    }
    hf_loader_fini(loader);
out:
    for (unsigned i = 0; files != NULL && i < HF_SCENARIO_TEXTS_MAX; i++)
        hf_yaml_fini(&files[i]);
    hf_yaml_fini(&yaml);
    free(loader);
    free(files);
    free(scenario);
    return rc;
}

int hf_scenario_load(const char *file, struct hf_scenario *ret_scenario,
                     struct hf_config_report *report)
{
    char *text = NULL;
    size_t size = 0;
    *report = (struct hf_config_report){0};
    int rc = hf_loader_read_file(file, report, &text, &size);
    if (rc != 0)
        return rc;
    rc = hf_scenario_load_text(hf_slice(text, size), file, ret_scenario, report);
    free(text);
    return rc;
}

void hf_scenario_fini(struct hf_scenario *scenario)
{
    hf_config_unref(&scenario->config);
    *scenario = (struct hf_scenario){0};
}
