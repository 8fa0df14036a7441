/* The backend of `mode: external` and of `mode: transition` with peers: sessions live in the fabric
 * (replicated.h), and what no agent has is looked for in the external store.
 *
 * Rules:
 *   a miss   of the fabric is asked of the store. What that has is adopted: an operation of the
 *            fabric (HF_OPERATION_ADOPTS) that does nothing where the key is there by now, and is
 *            dropped where the key or its session was deleted. Then the operation is done again
 *   making   what an operation makes may be in the store: it is looked for before. But not by what
 *            overwrites it whatever it is
 *   away     a miss that is not known to come from a delete is UNSURE. A plain SET, and SET NX,
 *            begin a session: an id that no agent knows is taken for a new one
 * Writing to the store is the owner's: outbox.h.
 *
 * Threads: the agent's loop. Layer: agent. */
#pragma once
#include "agent/external/outbox.h"

enum {
    HF_EXTERNAL_FABRIC_TRIES_MAX = 3, /* adoptions of one operation, before it is UNSURE */
    HF_EXTERNAL_FABRIC_CALLS_MAX = 65536,
    HF_EXTERNAL_FABRIC_ROOM = 32 << 20, /* of what is being adopted */
};

struct hf_external_fabric;
struct hf_external_fabric_settings {
    struct hf_outbox_settings outbox; /* but for remote */
    struct hf_remote_settings remote; /* but for changed and owner */
};
/* 0, -ENOTSUP (hf_remote_new), -ENOMEM. The caller frees, before `replicated` and after the
 * sessions have another backend. */
int hf_external_fabric_new(const struct hf_external_fabric_settings *settings,
                           struct hf_external_fabric **ret_fabric);
/* Calls under way end as UNSURE. */
void hf_external_fabric_free(struct hf_external_fabric **fabric);
/* Borrowed as long as the fabric. */
const struct hf_sessions_backend *
hf_external_fabric_backend(const struct hf_external_fabric *fabric);
/* No call is under way. */
bool hf_external_fabric_is_idle(const struct hf_external_fabric *fabric);
struct hf_outbox *hf_external_fabric_outbox(const struct hf_external_fabric *fabric);
struct hf_remote *hf_external_fabric_remote(const struct hf_external_fabric *fabric);
