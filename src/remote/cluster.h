/* Which node of a Redis Cluster has a key, and what nodes say about that. Inside of remote/.
 * Pure. Source: redis.io "Redis cluster specification". Threads: any. Layer: remote. */
#pragma once
#include "net/address.h"
#include "proto/resp.h"

enum { HF_CLUSTER_SLOTS = 16384 };

/* The slot of a key: of what stands in its first {...}, if that is not empty. */
unsigned hf_cluster_slot(struct hf_slice key);

struct hf_cluster_move { /* "MOVED 3999 127.0.0.1:6381", "ASK 3999 [::1]:6381" */
    unsigned slot;
    bool ask; /* for one request alone */
    struct hf_address address;
};
/* False: it is no such error, or names no numeric address. */
bool hf_cluster_parse_move(struct hf_slice error, struct hf_cluster_move *ret_move);

struct hf_cluster_range {
    unsigned first, last;      /* slots */
    struct hf_address address; /* of the master */
};
struct hf_cluster_cursor { /* .items = {.reply = what CLUSTER SLOTS answered}, the rest zeroed */
    struct hf_resp_cursor items;
    struct hf_resp_item item;
    bool over;
};
/* The ranges of slots whose master has a numeric address. False at the end. */
bool hf_cluster_next_range(struct hf_cluster_cursor *cursor, struct hf_cluster_range *ret_range);
