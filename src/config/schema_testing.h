/* All mappings of the schema, each once, for tests that go through them. For one test program each.
 * To be included behind cmocka.h. Threads: one. Layer: config. */
#pragma once
#include "config/schema.h"

enum { SCHEMAS_MAX = 64 };

static const struct hf_schema *schemas[SCHEMAS_MAX];
static unsigned schema_count;

static inline void hf_schema_collect(const struct hf_schema *schema)
{
    for (unsigned i = 0; i < schema_count; i++) {
        if (schemas[i] == schema)
            return;
    }
    assert_true(schema_count < SCHEMAS_MAX);
    schemas[schema_count++] = schema;
    for (unsigned i = 0; i < schema->key_count; i++) {
        if (schema->keys[i].schema != NULL)
            hf_schema_collect(schema->keys[i].schema);
    }
}

/* Those of the proxy's file, the agent's and the simulator's. */
static inline void hf_schema_collect_all(void)
{
    schema_count = 0;
    hf_schema_collect(&hf_schema_proxy);
    hf_schema_collect(&hf_schema_agent);
    hf_schema_collect(&hf_schema_scenario);
}
