/* Addresses of external stores as URLs:
 *   redis://[USER@]ADDRESS:PORT[/DATABASE]            redis:///PATH[?db=DATABASE]  (a unix socket)
 *   redis+sentinel://[USER@]ADDRESS:PORT,.../MASTER[/DATABASE]
 *   redis+cluster://[USER@]ADDRESS:PORT,...
 *   memcached://ADDRESS:PORT                          memcached:///PATH
 * Never holds a password: that stands in a file. Pure. Threads: any. Layer: proto. */
#pragma once
#include "base/slice.h"

enum {
    HF_STORE_URL_HOSTS_MAX = 16,
    HF_STORE_URL_DATABASE_MAX = 65535,
};

enum hf_store_url_kind {
    HF_STORE_URL_REDIS,
    HF_STORE_URL_SENTINEL,
    HF_STORE_URL_CLUSTER,
    HF_STORE_URL_MEMCACHED,
    HF_STORE_URL_KINDS
};

struct hf_store_url { /* slices are borrowed from the text */
    uint8_t kind;     /* enum hf_store_url_kind */
    uint32_t database;
    unsigned host_count; /* 0: the store is at the socket `path` */
    struct hf_slice hosts[HF_STORE_URL_HOSTS_MAX];
    struct hf_slice path;   /* with its leading slash; else empty */
    struct hf_slice user;   /* empty: none */
    struct hf_slice master; /* SENTINEL */
};

/* NULL, or what is wrong with it, as the rest of a sentence ("names no port"). *ret_url is defined
 * with NULL alone. Whether an address is one is not looked at. */
const char *hf_store_url_parse(struct hf_slice text, struct hf_store_url *ret_url);
