/* One run of reading a file: what the tables read into before it becomes a snapshot.
 * Threads: one a load. Layer: config. */
#pragma once
#include "config/report.h"
#include "config/schema.h"

struct hf_server_draft {
    const struct hf_yaml *node;
    const char *name; /* borrowed from the tree, as every text of a draft */
    struct hf_address address;
    uint32_t weight;
    bool backup;
};

struct hf_affinity_draft {
    const char *cookie, *path, *domain;
    const char *route, *separator;
    const char *header, *query, *path_param;
    int mode, hash, source_ip; /* enums of schema_pool.h */
    uint64_t idle_s, lifetime_s, max_age_s;
    int same_site, secure;
    bool http_only, partitioned;
    uint8_t ipv4_prefix, ipv6_prefix;
    uint32_t bounded_percent;
};

struct hf_pool_draft {
    const struct hf_yaml *node;
    struct hf_server_draft *servers; /* owned; [server_count] */
    unsigned server_count;
    const struct hf_yaml *affinity_nodes[HF_AFFINITIES_MAX];
    bool serves_tcp; /* a tcp listener names it */
};

struct hf_route_draft {
    const struct hf_yaml *node;
    const char *host, *path, *pool;
};

struct hf_listener_draft {
    const struct hf_yaml *node;
    const char *name, *pool;
    struct hf_address bind;
    int protocol;
};

struct hf_key_draft {
    const struct hf_yaml *node;
    uint32_t id;
    const char *file;
};

struct hf_agent_draft {
    const char *node_name;
    struct hf_address redis, memcached, peer;
    const char *peer_key_file, *external_url;
    int mode, backups;
    const struct hf_yaml *peers; /* a list of nodes, when it is one */
    bool peers_set;
};

struct hf_loader {
    struct hf_config_report *report;
    const char *file;
    char *folder; /* owned: of the file; relative paths start there */
    bool generate_keys;
    unsigned mistakes;    /* told so far, not counting what is merely not built yet */
    unsigned unsupported; /* of those */
    bool out_of_memory;
    const struct hf_yaml *root;
    struct hf_config *config; /* owned until it is given out */

    struct hf_pool_draft *pools;       /* owned; [config->pool_count] */
    struct hf_pool_draft *pool;        /* the one being read */
    struct hf_affinity_draft affinity; /* the one being read */
    struct hf_route_draft *routes;     /* owned; [route_count] */
    unsigned route_count;
    struct hf_listener_draft listeners[HF_LISTENERS_MAX];
    unsigned listener_count;
    struct hf_key_draft keys[HF_TOKEN_KEYS_MAX];
    unsigned key_count;
    const char *admin_token_file;
    const char *access;
    const char *state_dir;
    struct hf_agent_draft agent;
};

/* Tells a mistake: "what is wrong: what to write instead". */
void hf_loader_tell(struct hf_loader *loader, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A path of the file, made absolute or left relative to the working folder as the file itself is;
 * malloc'd. NULL without memory (noted). */
char *hf_loader_path(struct hf_loader *loader, const char *path);
/* strdup that notes a lack of memory. */
char *hf_loader_copy(struct hf_loader *loader, const char *text);

/* Loopback or a local socket: reached from this machine alone. */
bool hf_loader_is_local(const struct hf_address *address);

/* From drafts to the snapshot: names, references, relations between parts. In load order. */
void hf_finish_general(struct hf_loader *loader);    /* admin, log, state_dir, listeners */
void hf_finish_affinity(struct hf_loader *loader);   /* names, scopes, attributes of cookies */
void hf_finish_strategies(struct hf_loader *loader); /* those of a pool beside each other */
void hf_finish_pools(struct hf_loader *loader);      /* servers, health, weights */
void hf_finish_routes(struct hf_loader *loader);  /* references to pools, what is never reached */
void hf_finish_cookies(struct hf_loader *loader); /* pools whose cookies would collide */
void hf_finish_servers(struct hf_loader *loader); /* acquires them: only when nothing is wrong */

/* Reads cookie keys and the admin token, makes a first key. A file that cannot run yet, for what is
 * not built, is not asked for its secrets. */
void hf_secrets_load(struct hf_loader *loader);
