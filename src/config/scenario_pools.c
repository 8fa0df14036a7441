/* The pools of a scenario: listed in it, one for each algorithm to compare, or a proxy's own. What
 * is not in the file is written in the words of the proxy's file and read as that is, so that a
 * scenario knows every algorithm as soon as a configuration does. */
#include "base/assert.h"
#include "config/loader.h"
#include "config/schema_pool.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { PORT = 80 };

/* The servers that a pool lists none of, in the words in which it would list them. */
static void write_fleet(const struct hf_fleet_draft *fleet, FILE *out)
{
    for (uint32_t i = 0; i < fleet->count; i++) {
        uint32_t weight =
            fleet->weight_count > 0 ? fleet->weights[i % fleet->weight_count] : (uint32_t)1;
        fprintf(out, "- {name: \"%s%u\", address: \"127.0.0.1:%d\", weight: %u}\n", fleet->prefix,
                i + 1, PORT, weight);
    }
}

static const struct hf_word *words_of(const struct hf_schema *schema, const char *key)
{
    for (unsigned i = 0; i < schema->key_count; i++) {
        if (strcmp(schema->keys[i].key, key) == 0)
            return schema->keys[i].words;
    }
    REQUIRE(!"a key of the schema");
    return NULL;
}

static void write_balancers(FILE *out)
{
    const struct hf_schema *schema = &hf_schema_pool;
    for (const struct hf_word *word = words_of(schema, "balance"); word->word != NULL; word++) {
        if (!hf_unsupported_find(schema->path, "balance", word->word))
            fprintf(out, "- {name: \"%s\", balance: %s, affinity: [{cookie: HOLDFAST}]}\n",
                    word->word, word->word);
    }
}

/* strategy: what stands in it beside the hash. */
static void write_hashes(const char *prefix, const char *strategy, FILE *out)
{
    const struct hf_schema *schema = &hf_schema_affinity;
    for (const struct hf_word *word = words_of(schema, "hash"); word->word != NULL; word++) {
        if (word->value != HF_HASH_OF_COOKIE && /* another word for mod */
            !hf_unsupported_find(schema->path, "hash", word->word))
            fprintf(out, "- {name: \"%s-%s\", affinity: [{%s, hash: %s}]}\n", prefix, word->word,
                    strategy, word->word);
    }
}

/* One pool for each algorithm of the kinds asked for. */
static void write_compared(unsigned compare, FILE *out)
{
    if (compare & HF_COMPARE_BALANCE)
        write_balancers(out);
    if (compare & HF_COMPARE_HASH)
        write_hashes("hash", "cookie: SESSION", out);
    if (compare & HF_COMPARE_SOURCE_IP)
        write_hashes("source_ip", "source_ip: hash", out);
}

/* A text that is cut for want of memory is none: a part of a fleet would be another fleet. */
static void finish_text(FILE *out, char **text)
{
    if (fclose(out) == 0)
        return;
    free(*text);
    *text = NULL;
}

/* Reads a text that was written here; every node gets the line of the key that asked for it. NULL
 * without memory (noted). */
static struct hf_yaml *read_text(struct hf_loader *loader, char *text, unsigned line,
                                 struct hf_yaml_file *file)
{
    int rc = text ? hf_yaml_parse(hf_slice_text(text), loader->report, file) : -ENOMEM;
    free(text);
    if (rc != 0) {
        REQUIRE(rc == -ENOMEM);
        loader->out_of_memory = true;
        return NULL;
    }
    REQUIRE(file->count == 1);
    for (struct hf_yaml *node = file->allocated; node != NULL; node = node->allocated_next)
        node->line = node->key_line = line;
    return file->documents[0];
}

static struct hf_yaml *fleet_node(struct hf_loader *loader, struct hf_yaml_file *file)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL) {
        write_fleet(&loader->fleet, out);
        finish_text(out, &text);
    }
    return read_text(loader, text, loader->fleet.node->line, file);
}

static void append(struct hf_yaml *mapping, const char *key, struct hf_yaml *child)
{
    child->key = key;
    child->next = NULL;
    if (mapping->last != NULL)
        mapping->last->next = child;
    else
        mapping->first = child;
    mapping->last = child;
    mapping->count++;
}

/* A pool without servers of its own gets those of the fleet. What drafts point to is in `file`. */
static void read_pool(struct hf_loader *loader, struct hf_yaml *node, struct hf_yaml_file *file)
{
    const struct hf_fleet_draft *fleet = &loader->fleet;
    if (loader->config->pool_count == HF_POOLS_MAX)
        return; /* told */
    void *target = hf_schema_place_pool(loader, NULL, node, loader->config->pool_count);
    if (target == NULL)
        return;
    if (hf_yaml_get(node, "servers") == NULL && fleet->node != NULL) {
        struct hf_yaml *servers = fleet_node(loader, file);
        if (servers == NULL)
            return;
        append(node, "servers", servers);
    }
    hf_schema_read(loader, &hf_schema_pool, node, target);
}

static void take_configuration(struct hf_loader *loader, const struct hf_yaml *node)
{
    struct hf_config_report report = {0};
    struct hf_config *config = NULL;
    char *path = hf_loader_path(loader, node->text);
    if (path == NULL)
        return;
    int rc = hf_config_load(path, false, &config, &report);
    if (rc == 0) {
        hf_config_unref(&loader->config);
        loader->config = config;
    } else {
        const struct hf_config_message *first = &report.messages[0];
        hf_loader_tell(loader, node->line,
                       "%.200s cannot be taken (line %u: %.200s): see holdfast check -c %.100s",
                       path, report.count > 0 ? first->line : 0,
                       report.count > 0 ? first->text : strerror(-rc), path);
    }
    hf_config_report_fini(&report);
    free(path);
}

static struct hf_yaml *compared_node(struct hf_loader *loader, const struct hf_yaml *root,
                                     struct hf_yaml_file *file)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out != NULL) {
        write_compared(loader->compare, out);
        finish_text(out, &text);
    }
    return read_text(loader, text, hf_yaml_line(root, "compare"), file);
}

/* Before pools are drafted: what their servers would take. */
static bool there_is_room(struct hf_loader *loader, const struct hf_yaml *root, uint64_t pools)
{
    if (pools > HF_POOLS_MAX)
        hf_loader_tell(loader, hf_yaml_line(root, "pools"),
                       "%llu pools with those of 'compare': at most %d are possible",
                       (unsigned long long)pools, HF_POOLS_MAX);
    else if (loader->fleet.node != NULL && pools * loader->fleet.count > HF_SERVERS_MAX)
        hf_loader_tell(loader, loader->fleet.node->line,
                       "%llu pools of %u servers: at most %d servers are possible in all; write a "
                       "smaller count, or fewer pools",
                       (unsigned long long)pools, loader->fleet.count, HF_SERVERS_MAX);
    else
        return true;
    return false;
}

static void read_listed(struct hf_loader *loader, const struct hf_yaml *root,
                        struct hf_yaml_file *files)
{
    const struct hf_yaml *listed = hf_yaml_get(root, "pools");
    const struct hf_yaml *compared =
        loader->compare != 0 ? compared_node(loader, root, files++) : NULL;
    uint64_t pools = (listed ? listed->count : 0) + (compared ? compared->count : 0);
    if (loader->out_of_memory || !there_is_room(loader, root, pools))
        return;
    for (struct hf_yaml *one = listed ? listed->first : NULL; one != NULL; one = one->next)
        read_pool(loader, one, files++);
    for (struct hf_yaml *one = compared ? compared->first : NULL; one != NULL; one = one->next)
        read_pool(loader, one, files++);
    hf_finish_pools(loader);
    hf_finish_affinity(loader);
    hf_finish_strategies(loader);
    if (loader->report->count == 0 && !loader->out_of_memory)
        hf_finish_servers(loader);
}

void hf_scenario_read_pools(struct hf_loader *loader, const struct hf_yaml *root,
                            struct hf_yaml_file *files)
{
    const struct hf_yaml *configuration = hf_yaml_get(root, "configuration");
    const struct hf_yaml *pools = hf_yaml_get(root, "pools");
    bool described = pools != NULL || loader->compare != 0;
    if (loader->mistakes > 0)
        return;
    if (described == (configuration != NULL)) {
        hf_loader_tell(loader, hf_yaml_line(root, described ? "configuration" : "pools"),
                       "a scenario has pools of its own, or those of a proxy's file: write one of "
                       "'pools' (with or without 'compare') and 'configuration'");
        return;
    }
    if (configuration != NULL)
        take_configuration(loader, configuration);
    else
        read_listed(loader, root, files);
}
