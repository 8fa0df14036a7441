/* Reads a configuration file (YAML) into a snapshot, or says for each mistake where it is, what is
 * wrong and what to write instead. The schema is one table a mapping (schema tables in this
 * folder). Never touches the running process. Threads: any, one call at a time a file. Layer:
 * config. */
#pragma once
#include "model/config.h"

enum {
    HF_CONFIG_ERRORS_MAX = 50,   /* more are counted, not told */
    HF_CONFIG_WARNINGS_MAX = 16, /* what a file can have at most */
    HF_CONFIG_FILE_MAX = 4 * 1024 * 1024,
};

struct hf_config_message {
    unsigned line; /* from 1; 0 = the file as a whole */
    char *text;    /* owned: "unknown key 'balanse': did you mean 'balance'?" */
};

struct hf_config_report {
    struct hf_config_message messages[HF_CONFIG_ERRORS_MAX];
    unsigned count;
    unsigned more; /* beyond the maximum */
    /* What is right and yet not what was meant, maybe; a configuration may come with them. */
    struct hf_config_message warnings[HF_CONFIG_WARNINGS_MAX];
    unsigned warning_count;
};
void hf_config_report_fini(struct hf_config_report *report);

/* Parses and validates the proxy's file. 0 and a snapshot, or -EINVAL and a report (also -ENOENT,
 * -EACCES..., with one message). Values may contain ${NAME}: the environment's, unset = a mistake.
 * Cookie key files are read; absent `cookie_keys` are made in state_dir when generate_keys is true
 * (the running proxy), and merely checked for otherwise (`holdfast check`): then the snapshot may
 * have no key, and must not serve. Documents behind the first one are agents' and validated. */
int hf_config_load(const char *file, bool generate_keys, struct hf_config **ret_config,
                   struct hf_config_report *report);
/* The same from memory; relative paths start at the folder of `name`. */
int hf_config_load_text(struct hf_slice text, const char *name, bool generate_keys,
                        struct hf_config **ret_config, struct hf_config_report *report);
/* Validates agents' documents as they are, without the secrets that they name. Reading one to run
 * by it: agent.h. */
int hf_config_check_agent_text(struct hf_slice text, const char *name,
                               struct hf_config_report *report);
/* The worst case that the configuration promises for each pool, term by term, as text for people:
 * detection (refused connection, reset, active check, passive ejection) + propagation + look-up.
 * malloc'd; the caller frees. NULL without memory. */
char *hf_config_recovery_text(const struct hf_config *config);
/* Worst-case ms until a server that hangs is judged down by active checks; 0 = no active check. */
uint64_t hf_config_detection_ms(const struct hf_pool *pool);
