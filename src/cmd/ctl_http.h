/* Speaks to a running proxy's admin API (libcurl). Threads: the main one. Layer: cmd. */
#pragma once
#include "base/bytes.h"

enum {
    HF_CTL_ANSWER_MAX = 16 * 1024 * 1024,
    HF_CTL_CONNECT_MS = 5000,
    HF_CTL_TOTAL_MS = 15000,
    HF_CTL_ERROR_MAX = 512,
    HF_CTL_URL_MAX = 512,
};

struct hf_ctl_target {
    const char *base;   /* "http://127.0.0.1:9900", no slash at the end */
    const char *socket; /* path of a unix socket to connect to instead, or NULL */
    const char *token;  /* or NULL */
};

struct hf_ctl_answer {
    long status;
    struct hf_bytes body; /* a NUL stands behind it, if there is one */
};

/* body NULL = GET, else POST of that JSON. 0 and an answer of any status, or -EIO and why in error,
 * which says what to do. Proxies of the environment are not used: the token goes nowhere else. */
int hf_ctl_ask(const struct hf_ctl_target *target, const char *path, const char *body,
               struct hf_ctl_answer *ret_answer, char error[HF_CTL_ERROR_MAX]);
void hf_ctl_answer_fini(struct hf_ctl_answer *answer);
