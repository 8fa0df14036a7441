/* Which session a key belongs to. A pattern is a text with one {id}: "PHPREDIS_SESSION:{id}_LOCK".
 * A key that fits no pattern is an id itself. Never allocates after the table is made.
 *
 * Several patterns may fit one key: "sess:{id}" and "sess:{id}_LOCK" both fit "sess:7_LOCK". The
 * one with the most literal bytes (prefix and suffix together) wins; of equal ones that with the
 * longer prefix. Two patterns cannot be equal in both and fit the same key, unless they are the
 * same text, which a table refuses. {id} stands for at least one byte.
 *
 * Threads: a table is immutable once made; any thread may match. Layer: store. */
#pragma once
#include "base/slice.h"
#include <stdint.h>

enum {
    HF_PATTERNS_MAX = 320,     /* of one table: 256 of a configuration, and the built-in ones */
    HF_PATTERN_TEXT_MAX = 255, /* bytes of one pattern */
};

enum hf_pattern_tomb {
    HF_PATTERN_TOMB_MISS,   /* an id may be used again after its session was deleted (PHP-like) */
    HF_PATTERN_TOMB_STRICT, /* it may not, until the tombstone ends */
};

struct hf_pattern {
    struct hf_slice text; /* borrowed as long as the table: configuration or a literal */
    bool satellite;       /* a lock or the like: its deletion ends no session */
    enum hf_pattern_tomb tomb;
};

struct hf_pattern_table;

/* Patterns of the well-known session stacks; *ret_count of them. */
const struct hf_pattern *hf_pattern_builtin(unsigned *ret_count);

/* Compiles `patterns`, then those built-in ones whose text is not among them. 0; -ENOMEM; -E2BIG:
 * more than HF_PATTERNS_MAX. -EINVAL: see hf_pattern_check; *ret_bad is the row. -EEXIST: a text
 * given twice; *ret_bad is the second. The caller frees. */
int hf_pattern_table_new(const struct hf_pattern *patterns, unsigned count,
                         struct hf_pattern_table **ret_table, unsigned *ret_bad);
void hf_pattern_table_free(struct hf_pattern_table **table);
/* NULL, or what is wrong with the text: for the configuration's messages. */
const char *hf_pattern_check(struct hf_slice text);

struct hf_pattern_match {
    struct hf_slice id, prefix, suffix; /* parts of the key */
    bool satellite;
    enum hf_pattern_tomb tomb;
    bool matched; /* false: the whole key is the id; tomb is MISS */
};
/* Always answers: a key without a pattern is its own id. Costs at most one comparison a pattern
 * that shares the key's first byte. */
void hf_pattern_match(const struct hf_pattern_table *table, struct hf_slice key,
                      struct hf_pattern_match *ret_match);
/* Every pattern: what stands before and behind the id. */
typedef void (*hf_pattern_visit_fn)(void *user, struct hf_slice prefix, struct hf_slice suffix,
                                    bool satellite);
void hf_pattern_each(const struct hf_pattern_table *table, hf_pattern_visit_fn visit, void *user);
