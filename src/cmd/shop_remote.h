/* The demo shop's sessions in a store that speaks the protocol of Redis, as an ordinary web
 * framework keeps them there: one key a session, read when a request begins, written when it ends.
 * Knows nothing of agents. Blocks for at most HF_SHOP_REMOTE_MS; the shop has one thread, and each
 * of its visitors waits for the store anyway. Threads: one, the owner's. Layer: cmd. */
#pragma once
#include "cmd/shop_store.h"

enum {
    HF_SHOP_REMOTE_MS = 2000,          /* for a connection, and for an answer */
    HF_SHOP_REMOTE_LIFE_S = 30 * 60,   /* of a session that is not used */
    HF_SHOP_REMOTE_KEY_SIZE_MAX = 128, /* "sess:" and the id */
};

struct hf_shop_remote;

/* `address`: "127.0.0.1:6380". Connects when it is first used. 0, -EINVAL, -ENOMEM. */
int hf_shop_remote_new(const char *address, struct hf_shop_remote **ret_remote);
void hf_shop_remote_free(struct hf_shop_remote **remote);
/* 0; -ENOENT: there is no such session; -EIO: the store did not answer, or with an error, and
 * hf_shop_remote_error says which. *ret_session is filled by 0 alone. */
int hf_shop_remote_load(struct hf_shop_remote *remote, struct hf_slice id,
                        struct hf_shop_session *ret_session);
/* Writes the session, or with `changed` false only prolongs its life. 0 or -EIO as above. */
int hf_shop_remote_save(struct hf_shop_remote *remote, const struct hf_shop_session *session,
                        bool changed);
/* Whether the store answers: 0 or -EIO. */
int hf_shop_remote_ping(struct hf_shop_remote *remote);
const char *hf_shop_remote_error(const struct hf_shop_remote *remote);
