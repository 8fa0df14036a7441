/* The schema: one table of keys for each mapping, and the interpreter that reads a node by it into
 * a struct. A new key is one row; a new kind of value is one struct hf_type.
 * Threads: one a load. Layer: config. */
#pragma once
#include "config/yaml.h"

struct hf_loader;
struct hf_schema;
struct hf_key;

struct hf_type {      /* a kind of value */
    const char *word; /* as the documentation calls it: "time", "size", "whole number"... */
    /* Reads node into *field (key->width bytes of it; 0 = only looked at). 0, or -EINVAL and told.
     */
    int (*read)(struct hf_loader *loader, const struct hf_key *key, const struct hf_yaml *node,
                void *field);
};

struct hf_word { /* a choice; ends with word NULL */
    const char *word;
    int value;
};

struct hf_key { /* one row */
    const char *key;
    const struct hf_type *type;
    uint16_t offset, width; /* of the field in the target; width 0: nothing is stored */
    uint64_t low, high;     /* bounds of times (ms), sizes (bytes), numbers; lengths of lists */
    bool required;
    const char *fallback;        /* what an absent key means, in the file's words; NULL = nothing */
    const char *example;         /* what to write: "connect: 2s" is said as `connect: %s` */
    const struct hf_word *words; /* choices, and words besides numbers ("auto") */
    const struct hf_schema *schema; /* of a mapping, or of each mapping in a list */
    const struct hf_type *item;     /* of each value in a list of values: checks it */
    /* Lists of mappings: where entry `index` is read into; NULL = told already, or pass it over.
     * Lists of values: takes a value that `item` found right; the answer is not looked at. */
    void *(*place)(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                   unsigned index);
};

struct hf_schema {
    const char *path; /* "pools[].servers[]": its heading in docs/configuration.md */
    const char *noun; /* "a server" */
    const struct hf_key *keys;
    unsigned key_count;
    /* What one row cannot say: relations between keys. After all keys of a mapping without
     * mistakes. */
    void (*check)(struct hf_loader *loader, const struct hf_yaml *node, void *target);
};

#define HF_KEYS(table) .keys = (table), .key_count = sizeof(table) / sizeof((table)[0])
#define HF_FIELD(type, member)                                                                     \
    .offset = offsetof(type, member), .width = sizeof(((type *)0)->member)
enum { HF_SCHEMA_KEYS_MAX = 32 };

/* Reads every key of a mapping. What is wrong was told to the loader. */
void hf_schema_read(struct hf_loader *loader, const struct hf_schema *schema,
                    const struct hf_yaml *node, void *target);

extern const struct hf_type hf_type_mapping, hf_type_list, hf_type_mappings, hf_type_text,
    hf_type_name, hf_type_number, hf_type_size, hf_type_time, hf_type_seconds, hf_type_percent,
    hf_type_boolean, hf_type_word, hf_type_address, hf_type_ratio, hf_type_file;

/* The text of a value, or NULL and told when it is a mapping, a list or empty. */
const char *hf_type_scalar(struct hf_loader *loader, const struct hf_key *key,
                           const struct hf_yaml *node);
/* "500ms", "30m": a whole number and its unit, or a bare 0. 0 or -EINVAL. Ms. */
int hf_type_parse_time(const char *text, uint64_t *ret_ms);
/* "32KiB", "4MB": a whole number and its unit, or a bare 0. 0 or -EINVAL. Bytes. */
int hf_type_parse_size(const char *text, uint64_t *ret_bytes);
/* yes, no, true, false, on, off. 0 or -EINVAL. */
int hf_type_parse_boolean(const char *text, bool *ret_value);
enum { HF_TYPE_TEXT_MAX = 32 };
/* Writes a time, a size as the file would: "1h", "32KiB". */
void hf_type_format_time(uint64_t ms, char out[HF_TYPE_TEXT_MAX]);
void hf_type_format_size(uint64_t bytes, char out[HF_TYPE_TEXT_MAX]);

/* What is understood but not built yet: told as a mistake of its own kind. Called with each value
 * that is right in itself. */
void hf_unsupported_check(struct hf_loader *loader, const struct hf_schema *schema,
                          const struct hf_key *key, const struct hf_yaml *node);
/* Whether a value (NULL: the key whatever its value) is in the table. */
bool hf_unsupported_find(const char *path, const char *key, const char *value);

extern const struct hf_schema hf_schema_proxy, hf_schema_agent, hf_schema_scenario;
