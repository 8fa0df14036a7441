/* What this proxy tells session agents of what it sees: that an agent's server is to be drained, or
 * no longer, and which servers look dead. One connection to an agent (fabric/teller.h), and only
 * while there is something to say. A change is seen at most HF_TELLING_LOOK_MS later, and told
 * once. Never: blocks, carries a session, is waited for by a request. Threads: the control loop's.
 * Layer: proxy. */
#pragma once
#include "model/config.h"
#include "net/loop.h"

enum {
    HF_TELLING_LOOK_MS = 100, /* between two looks at the servers' states */
    HF_TELLING_CAUSES = 3,    /* of a failover: down, maintenance, gone */
};

struct hf_telling;
/* 0 or -ENOMEM. The loop is borrowed. */
int hf_telling_new(struct hf_loop *loop, struct hf_telling **ret_telling);
/* Goes on with the servers of another snapshot (referenced). 0 or -ENOMEM: the old one stays. */
int hf_telling_apply(struct hf_telling *telling, struct hf_config *config);
/* A server's state may have changed: looks at once. */
void hf_telling_look(struct hf_telling *telling);
/* Asks an agent what it knows of a session that moved to its server, and counts that by the cause
 * of the move. */
void hf_telling_ask(struct hf_telling *telling, const struct hf_address *agent, struct hf_slice id,
                    unsigned cause);
/* Ends all connections at the end of the turn. NULL is harmless. */
void hf_telling_free(struct hf_telling **telling);
