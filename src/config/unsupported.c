/* What the schema understands and the product does not do yet. Whoever builds one deletes its row
 * (and its mark in docs/configuration.md, which a test compares). */
#include "config/loader.h"

// clang-format off
static const struct row {
    const char *path, *key;
    const char *value;   /* NULL = whatever the value */
    const char *instead; /* what works today */
} rows[] = {
    {"listeners[]", "tls", NULL, "terminate TLS in front and list that proxy in trusted_proxies"},
    {"listeners[]", "proxy_protocol", "true", "use X-Forwarded-For and trusted_proxies"},
    {"listeners[]", "protocol", "tcp", "use http"},
    {"agent.peers", "dns", NULL, "name the agents and their addresses"},
    {"agent.peers", "etcd", NULL, "name the agents and their addresses"},
};
// clang-format on

static const struct row *find(const char *path, const char *key, const char *value)
{
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        if (strcmp(row->path, path) != 0 || strcmp(row->key, key) != 0)
            continue;
        if (row->value == NULL || (value != NULL && strcmp(row->value, value) == 0))
            return row;
    }
    return NULL;
}

bool hf_unsupported_find(const char *path, const char *key, const char *value)
{
    return find(path, key, value) != NULL;
}

void hf_unsupported_check(struct hf_loader *loader, const struct hf_schema *schema,
                          const struct hf_key *key, const struct hf_yaml *node)
{
    const char *value = node->kind == HF_YAML_SCALAR ? node->text : NULL;
    bool boolean = false;
    if (value != NULL && key->type == &hf_type_boolean &&
        hf_type_parse_boolean(value, &boolean) == 0)
        value = boolean ? "true" : "false";
    const struct row *row = find(schema->path, key->key, value);
    if (row == NULL)
        return;
    loader->unsupported++;
    hf_report_add(loader->report, node->key_line, "not supported yet: %s%s%s of %s: %s", key->key,
                  row->value ? ": " : "", row->value ? row->value : "", schema->noun, row->instead);
}
