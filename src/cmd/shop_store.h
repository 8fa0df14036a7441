/* What the demo shop remembers: sessions and their carts. The store keeps them in this process's
 * memory and nowhere else, as in the applications that need affinity. Never does I/O.
 * Threads: one, the owner's. Layer: cmd. */
#pragma once
#include "base/list.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>

enum {
    HF_SHOP_SESSIONS_MAX = 10000, /* the longest unused one makes room for a new one */
    HF_SHOP_BUCKETS = 4096,       /* a power of two */
    HF_SHOP_ITEMS_MAX = 32,
    HF_SHOP_TEXT_MAX = 64, /* bytes of a name or an item, NUL included; longer ones are cut */
    HF_SHOP_ID_SIZE = 32,  /* hexadecimal digits of a session id: 128 random bits */
};

struct hf_shop_session {
    struct hf_list bucket;
    struct hf_list used; /* the store's, last used first */
    char id[HF_SHOP_ID_SIZE + 1];
    char user[HF_SHOP_TEXT_MAX]; /* "" = nobody logged in */
    char items[HF_SHOP_ITEMS_MAX][HF_SHOP_TEXT_MAX];
    unsigned item_count;
};

struct hf_shop_store {
    struct hf_list buckets[HF_SHOP_BUCKETS];
    struct hf_list used;
    unsigned count;
    unsigned sessions_max; /* HF_SHOP_SESSIONS_MAX, or less in a test */
};

void hf_shop_store_init(struct hf_shop_store *store);
void hf_shop_store_fini(struct hf_shop_store *store);
/* The session of that id, now the last used one, or NULL. Borrowed until the next open. */
struct hf_shop_session *hf_shop_store_find(struct hf_shop_store *store, struct hf_slice id);
/* A new, empty session with a fresh random id. NULL without memory. Borrowed as above. */
struct hf_shop_session *hf_shop_store_open(struct hf_shop_store *store);
/* Gives an empty session, not of a store, its random id. */
void hf_shop_session_begin(struct hf_shop_session *session);
void hf_shop_session_login(struct hf_shop_session *session, struct hf_slice user);
/* 0, or -ENOSPC when the cart is full. */
int hf_shop_session_add(struct hf_shop_session *session, struct hf_slice item);
