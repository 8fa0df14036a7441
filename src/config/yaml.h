/* A YAML text as a tree of nodes that know their lines, and nothing more of YAML than a
 * configuration needs: no anchors, aliases, tags, or keys that are not scalars, so a small file
 * stays a small tree. libyaml does the scanning.
 * Never interprets a value beyond ${NAME}. Threads: one a document. Layer: config. */
#pragma once
#include "base/slice.h"
#include "config/report.h"

enum {
    HF_YAML_DEPTH_MAX = 12,
    HF_YAML_NODES_MAX = 200 * 1000,
    HF_YAML_TEXT_MAX = 16 * 1024, /* bytes of one scalar, after ${NAME} */
    HF_YAML_DOCUMENTS_MAX = 8,
};

enum hf_yaml_kind { HF_YAML_SCALAR, HF_YAML_MAPPING, HF_YAML_SEQUENCE };

struct hf_yaml { /* a node; everything it points to belongs to the file */
    enum hf_yaml_kind kind;
    unsigned line;   /* from 1 */
    bool broken;     /* its mistake was told: say no more about it */
    bool plain;      /* scalar without quotes */
    char *text;      /* scalar: NUL-terminated, no control characters */
    const char *key; /* when the parent is a mapping */
    unsigned key_line;
    bool key_broken;
    struct hf_yaml *first, *last; /* children */
    struct hf_yaml *next;
    unsigned count;
    struct hf_yaml *allocated_next;
};

struct hf_yaml_file {
    struct hf_yaml *documents[HF_YAML_DOCUMENTS_MAX];
    unsigned count;
    struct hf_yaml *allocated; /* every node, for fini */
};

/* 0, or -EINVAL with at least one message; -ENOMEM. A mistake inside one scalar (an unset variable)
 * marks it broken and is told, and the tree is still made: 0. *ret_file is to be finished always.
 */
int hf_yaml_parse(struct hf_slice text, struct hf_config_report *report,
                  struct hf_yaml_file *ret_file);
void hf_yaml_fini(struct hf_yaml_file *file);

/* The value of a key of a mapping, or NULL. */
const struct hf_yaml *hf_yaml_get(const struct hf_yaml *mapping, const char *key);
/* Its line, or the mapping's own when the key is absent. */
unsigned hf_yaml_line(const struct hf_yaml *mapping, const char *key);
/* "a mapping", "a list", "a single value", "empty": for messages. */
const char *hf_yaml_kind_word(const struct hf_yaml *node);

/* Writes text with each ${NAME} replaced by the environment's value and $${ by ${. 0 and a malloc'd
 * text, or -EINVAL and what is wrong in `problem`; -ENOMEM. */
int hf_yaml_expand(const char *text, char *problem, size_t problem_size, char **ret_text);
