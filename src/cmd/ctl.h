/* What the parts of `holdfast ctl` share. Threads: the main one. Layer: cmd. */
#pragma once
#include "cmd/ctl_http.h"
#include <jansson.h>
#include <stdbool.h>

struct hf_ctl {
    struct hf_ctl_target target;
    bool json;
};

/* Print an answer of the API as tables for people. HF_EXIT_DONE or HF_EXIT_FAILED. */
int hf_ctl_print_status(const json_t *status);
int hf_ctl_print_servers(const json_t *servers);
/* "shop/app1: drain, 3 active" */
int hf_ctl_print_server(const json_t *server);

/* Where to ask: from --admin, or from the configuration of -c, or the default; and the token. */
struct hf_ctl_source {
    const char *admin, *config, *token_file; /* or NULL each; borrowed */
};
struct hf_ctl_place { /* owns what the target points to */
    char base[HF_CTL_URL_MAX];
    char socket[108];
    char *token;
};
/* 0, or an exit code with the reason told on stderr. */
int hf_ctl_locate(const struct hf_ctl_source *source, struct hf_ctl_place *place,
                  struct hf_ctl_target *ret_target);
void hf_ctl_place_fini(struct hf_ctl_place *place);
