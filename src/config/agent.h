/* What an agent runs by: its file, read and checked. Immutable.
 * Threads: any reader. Layer: config. */
#pragma once
#include "config/config.h"
#include "proto/store_url.h"
#include "store/pattern.h"
#include "store/store.h"

enum hf_agent_mode {
    HF_AGENT_LOCAL,
    HF_AGENT_REPLICATED,
    HF_AGENT_EXTERNAL,  /* with peers or without */
    HF_AGENT_TRANSITION /* with peers: from an external store to them alone */
};
const char *hf_agent_mode_word(enum hf_agent_mode mode);

struct hf_agent_external { /* mode: external, transition */
    char *url;             /* owned; NULL: another mode */
    char *password;        /* owned; NULL: none */
    bool behind;
    uint8_t kind; /* enum hf_store_url_kind */
    uint32_t database;
    struct hf_slice user, master; /* in url; empty: none */
    struct hf_address addresses[HF_STORE_URL_HOSTS_MAX];
    unsigned address_count;
};

enum { HF_AGENT_PEERS_MAX = 128, HF_AGENT_KEY_SIZE = 32 };

struct hf_agent_peer { /* an agent, this one included */
    char *name;        /* owned */
    struct hf_address address;
};

/* How this agent's sessions have copies at others; zeroed = mode: local. */
struct hf_agent_replication {
    bool on;
    unsigned line;               /* of `peer` */
    struct hf_agent_peer *peers; /* owned, in the file's order, names differ */
    unsigned peer_count, self;   /* self: our place among them */
    unsigned backups;            /* 1 or 2, fewer than peers */
    bool acknowledge_memory, consistent;
    bool has_key;
    uint8_t key[HF_AGENT_KEY_SIZE];
};

struct hf_agent_config {
    /* counted: node, file, generation, log_level, state_dir, and what the admin server goes by:
     * admin_bind, admin_token. The rest of it is a proxy's and empty */
    struct hf_config *process;
    struct hf_address redis, memcached; /* size 0 = not served */
    unsigned redis_line, memcached_line;
    char *password;                    /* owned; NULL = none is asked for */
    struct hf_pattern_table *patterns; /* owned: session_keys, tombstones, the built-in ones */
    struct hf_pattern *pattern_rows;   /* owned: what it was made of, the built-in ones aside */
    unsigned pattern_count;
    char *pattern_texts; /* owned: what both borrow */
    uint64_t memory;     /* bytes */
    enum hf_store_full when_full;
    bool flush_allowed; /* mode: local alone */
    enum hf_agent_mode mode;
    struct hf_agent_replication replication;
    struct hf_agent_external external;
};

/* Reads and validates an agent's file, which has one agent's document, alone or behind a proxy's.
 * Secrets are read. 0 and a configuration, or as hf_config_load. */
int hf_config_load_agent(const char *file, struct hf_agent_config **ret_config,
                         struct hf_config_report *report);
int hf_config_load_agent_text(struct hf_slice text, const char *name,
                              struct hf_agent_config **ret_config, struct hf_config_report *report);
/* Whether both put the same keys into the same sessions, with the same tombstones. */
bool hf_agent_config_same_patterns(const struct hf_agent_config *a,
                                   const struct hf_agent_config *b);
/* Whether both name the same peers at the same addresses, with the same key, and treat copies
 * alike. */
bool hf_agent_config_same_replication(const struct hf_agent_config *a,
                                      const struct hf_agent_config *b);
void hf_agent_config_free(struct hf_agent_config **config);
