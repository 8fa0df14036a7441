/* One run of reading a file: what the tables read into before it becomes a snapshot.
 * Threads: one a load. Layer: config. */
#pragma once
#include "config/agent.h"
#include "config/report.h"
#include "config/scenario.h"
#include "config/schema.h"

struct hf_server_draft {
    const struct hf_yaml *node;
    const char *name; /* borrowed from the tree, as every text of a draft */
    struct hf_address address;
    uint32_t weight;
    bool backup;
    struct hf_address agent; /* size 0 = none */
};

struct hf_affinity_draft {
    const char *cookie, *path, *domain;
    const char *route, *separator, *learn;
    const char *header, *query, *path_param;
    int mode, hash, source_ip; /* enums of schema_pool.h */
    int from;                  /* of `learn`: 1 = a header field */
    uint64_t idle_s, lifetime_s, max_age_s, expire_s, size;
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

enum {
    HF_AGENT_PATTERNS_MAX = 256,
    HF_AGENT_PREFIXES_MAX = 256,
    HF_AGENT_MEMORY_DEFAULT = 1 << 30,
};

struct hf_agent_list { /* values of a list, with their lines */
    const struct hf_yaml *nodes[HF_AGENT_PATTERNS_MAX];
    unsigned count;
};

struct hf_agent_draft {
    const char *node_name;
    struct hf_address admin_bind;
    const char *admin_token_file, *password_file, *state_dir;
    int log_level, when_full, flush;
    uint64_t memory;
    struct hf_agent_list session_keys, strict, miss;
    struct hf_address redis, memcached, peer;
    const char *peer_key_file, *external_url, *external_password_file;
    int external_write;
    bool is_external;
    int mode, backups, acknowledge_memory, consistent;
    const struct hf_yaml *peers; /* a list of nodes, when it is one */
    bool peers_set, replicated;
};

struct hf_event_draft { /* of a scenario; one of `servers` or `add` is set */
    uint64_t at_ms;
    const char *servers[HF_EVENT_KIND_COUNT]; /* by kind */
    uint32_t add, to;
};

/* The servers of a scenario's pools that list none. */
struct hf_fleet_draft {
    const struct hf_yaml *node; /* NULL = not given */
    uint32_t count;
    const char *prefix;
    uint32_t weights[HF_SCENARIO_WEIGHTS_MAX]; /* taken in turn */
    unsigned weight_count;
};

enum { /* kinds of algorithms that a scenario compares, as bits */
       HF_COMPARE_BALANCE = 1,
       HF_COMPARE_HASH = 2,
       HF_COMPARE_SOURCE_IP = 4,
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

    struct hf_scenario *scenario; /* borrowed; of a scenario's file */
    struct hf_event_draft event;  /* the one being read */
    struct hf_fleet_draft fleet;
    uint8_t compare; /* HF_COMPARE_... */
};

/* Starts a run: *loader is zeroed but for these. Finish it with hf_loader_fini. */
void hf_loader_init(struct hf_loader *loader, const char *file, struct hf_config_report *report);
void hf_loader_fini(struct hf_loader *loader);
/* The whole file, malloc'd and without NUL; or a negative errno and one message. */
int hf_loader_read_file(const char *file, struct hf_config_report *report, char **ret_text,
                        size_t *ret_size);
/* What a run answers after rc so far: 0 only without any message; those are sorted. */
int hf_loader_finish(struct hf_loader *loader, int rc);

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
/* An address of a network without one: nothing can be reached there. */
bool hf_loader_lacks_port(const struct hf_address *address);

/* From drafts to the snapshot: names, references, relations between parts. In load order. */
void hf_finish_general(struct hf_loader *loader);    /* admin, log, state_dir, listeners */
void hf_finish_affinity(struct hf_loader *loader);   /* names, scopes, attributes of cookies */
void hf_finish_strategies(struct hf_loader *loader); /* those of a pool beside each other */
void hf_finish_pools(struct hf_loader *loader);      /* servers, health, weights */
void hf_finish_sessions(struct hf_loader *loader);   /* sessions, and agents beside servers */
void hf_finish_routes(struct hf_loader *loader);  /* references to pools, what is never reached */
void hf_finish_cookies(struct hf_loader *loader); /* pools whose cookies would collide */
void hf_finish_servers(struct hf_loader *loader); /* acquires them: only when nothing is wrong */

/* An agent's file as a whole, from loader->agent. NULL after it told a mistake, or without memory.
 */
struct hf_agent_config *hf_finish_agent(struct hf_loader *loader);
/* Its store, if it has an external one. */
void hf_finish_external(struct hf_loader *loader, struct hf_agent_config *config);
/* From loader->agent.peers to config->replication, and which of them this agent is. */
void hf_finish_peers(struct hf_loader *loader, struct hf_agent_config *config);
/* The words and the key in the files that an agent's configuration names. Texts are owned. */
void hf_secrets_load_agent(struct hf_loader *loader, struct hf_agent_config *config);

/* Reads cookie keys and the admin token, makes a first key. A file that cannot run yet, for what is
 * not built, is not asked for its secrets. */
void hf_secrets_load(struct hf_loader *loader);

/* A scenario's pools, after all its other keys. files: [HF_SCENARIO_TEXTS_MAX], zeroed; what was
 * read into drafts points there, so the caller finishes them after the loader. */
enum { HF_SCENARIO_TEXTS_MAX = HF_POOLS_MAX + 1 /* servers of each pool, and those compared */ };
void hf_scenario_read_pools(struct hf_loader *loader, const struct hf_yaml *root,
                            struct hf_yaml_file *files);
