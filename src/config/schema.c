#include "config/schema.h"

#include "base/assert.h"
#include "config/loader.h"
#include <stdio.h>

static const struct hf_key *find_key(const struct hf_schema *schema, const char *key)
{
    for (unsigned i = 0; i < schema->key_count; i++) {
        if (strcmp(schema->keys[i].key, key) == 0)
            return &schema->keys[i];
    }
    return NULL;
}

static void tell_unknown(struct hf_loader *loader, const struct hf_schema *schema,
                         const struct hf_yaml *node)
{
    const char *near = hf_report_nearest(node->key, &schema->keys[0].key, schema->key_count,
                                         sizeof(schema->keys[0]));
    if (near != NULL) {
        hf_loader_tell(loader, node->key_line, "unknown key '%.60s' in %s: did you mean '%s'?",
                       node->key, schema->noun, near);
        return;
    }
    char known[400];
    size_t size = 0;
    for (unsigned i = 0; i < schema->key_count && size < sizeof(known); i++)
        size += (size_t)snprintf(known + size, sizeof(known) - size, "%s%s", i ? ", " : "",
                                 schema->keys[i].key);
    hf_loader_tell(loader, node->key_line, "unknown key '%.60s' in %s: known are %s", node->key,
                   schema->noun, known);
}

static void read_key(struct hf_loader *loader, const struct hf_schema *schema,
                     const struct hf_key *key, const struct hf_yaml *node, void *target)
{
    if (node->broken) {
        loader->mistakes++; /* told when it was read; relations with it are not judged */
        return;
    }
    void *field = target != NULL ? (char *)target + key->offset : NULL; /* NULL: only checked */
    if (key->type->read(loader, key, node, field) == 0)
        hf_unsupported_check(loader, schema, key, node);
}

void hf_schema_read(struct hf_loader *loader, const struct hf_schema *schema,
                    const struct hf_yaml *node, void *target)
{
    REQUIRE(node->kind == HF_YAML_MAPPING && schema->key_count <= HF_SCHEMA_KEYS_MAX);
    unsigned seen[HF_SCHEMA_KEYS_MAX] = {0}; /* lines */
    unsigned before = loader->mistakes;
    for (const struct hf_yaml *child = node->first; child != NULL; child = child->next) {
        if (child->key_broken) {
            loader->mistakes++;
            continue;
        }
        const struct hf_key *key = find_key(schema, child->key);
        if (key == NULL) {
            tell_unknown(loader, schema, child);
            continue;
        }
        unsigned *line = &seen[key - schema->keys];
        if (*line != 0) {
            hf_loader_tell(loader, child->key_line,
                           "'%s' stands in %s twice, first on line %u: leave one out", key->key,
                           schema->noun, *line);
            continue;
        }
        *line = child->key_line;
        read_key(loader, schema, key, child, target);
    }
    for (unsigned i = 0; i < schema->key_count; i++) {
        if (schema->keys[i].required && seen[i] == 0)
            hf_loader_tell(loader, node->line, "%s has no '%s': write %s: %s", schema->noun,
                           schema->keys[i].key, schema->keys[i].key, schema->keys[i].example);
    }
    unsigned after = loader->mistakes;
    if (after == before && schema->check != NULL)
        schema->check(loader, node, target);
}
