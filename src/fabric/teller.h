/* A proxy's side of what it tells an agent (docs/peer-protocol.md, "What proxies say"): one
 * connection to the agent's `peer` address, kept as long as there is something to say, made again
 * with back-off when it ends. Everything there is to say is said at once and again every few
 * seconds, so that an agent that comes back knows it, too.
 * Never: blocks, waits for an answer with anything but a timer, carries a session.
 * Threads: the loop's. Layer: fabric. */
#pragma once
#include "base/buffer.h"
#include "net/address.h"
#include "net/loop.h"

enum {
    HF_TELLER_REPEAT_MS = 5000,   /* three times as often as an agent needs it */
    HF_TELLER_PATIENCE_MS = 2000, /* for a connection with its handshake; for an answer */
    HF_TELLER_RETRY_MS = 200,     /* until it is tried again, at first; then twice as long */
    HF_TELLER_RETRY_MS_MAX = 10000,
    HF_TELLER_ASKS_MAX = 256,       /* questions under way */
    HF_TELLER_LINGER_MS = 1000,     /* with nothing to say, until the connection is ended */
    HF_TELLER_NAMES_MAX = 128 * 65, /* bytes of all names of servers that are dead */
};

struct hf_teller_words {
    bool drains;               /* the agent's server is to be drained */
    size_t size;               /* bytes of `dead` */
    const unsigned char *dead; /* names of servers seen dead: each its size, then its bytes */
};

struct hf_teller_host {
    void *user;
    /* The agent has what was said last. `before` is what it had confirmed before; both are borrowed
     * for the call. */
    void (*told)(void *user, const struct hf_teller_words *words,
                 const struct hf_teller_words *before);
    /* It could not be told, and is tried again; why in words, borrowed. refused: it does not listen
     * to who has not its key. */
    void (*failed)(void *user, const char *why, bool refused);
    /* What the agent knows of a session (enum hf_fabric_knowledge) that was asked about. */
    void (*known)(void *user, uint8_t tag, uint8_t knowledge);
};

struct hf_teller;
/* `key`: 32 bytes, all agents' peer key, or NULL when they have none; copied, as are address and
 * host. The pool of buffers is borrowed. 0 or -ENOMEM. Connects to nobody yet. */
int hf_teller_new(struct hf_loop *loop, struct hf_buffer_pool *buffers,
                  const struct hf_address *address, const uint8_t *key,
                  const struct hf_teller_host *host, struct hf_teller **ret_teller);
/* From now on that is to be said, until it is called again; copied. With nothing to say an agent is
 * told so once, if it was told something else. 0 or -ENOMEM: what was said before stands. */
int hf_teller_say(struct hf_teller *teller, const struct hf_teller_words *words);
/* Asks what the agent knows of a session, once, with nobody waiting for it; `known` is called in
 * any case, with NOTHING at the latest after HF_TELLER_PATIENCE_MS, and also inside of this. */
void hf_teller_ask(struct hf_teller *teller, struct hf_slice id, uint8_t tag);
/* Whether the agent has not confirmed yet what was said last. */
bool hf_teller_waits(const struct hf_teller *teller);
/* Ends the connection; what was said is forgotten there after a while. No callback follows. Its
 * memory goes at the end of the turn. */
void hf_teller_free(struct hf_teller **teller);
