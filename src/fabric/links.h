/* The sockets between agents: to each peer one proved link, found again whenever it ends. What is
 * said over a link is the host's (hf_links_host_of): whole frames in, bytes out. Proxies connect to
 * the same port, and tell of drains and deaths (teller.h is their side). How a link
 * comes to be, and when a peer's process is known to have ended: docs/peer-protocol.md, "Links".
 * Never: blocks, encrypts, looks into a frame once a link is proved, calls the host inside
 * hf_links_wake or hf_links_flush but for `pull`.
 * Threads: the loop's; metrics are read by any. Layer: fabric. */
#pragma once
#include "balance/rank.h"
#include "net/loop.h"

struct hf_address;

enum {
    HF_LINKS_CONNECT_MS = 300,    /* until a connect is tried again */
    HF_LINKS_HANDSHAKE_MS = 1000, /* from an open connection to both proofs */
    HF_LINKS_SILENT_MS = 700,     /* seven heartbeats missed: a new connection is tried; of
                                     many nodes longer, as their leases */
    HF_LINKS_ALIVE_MS = 300,      /* heard that lately, a link is not given up for another */
    HF_LINKS_STABLE_MS = 300,     /* a link that lasted as long is dialled again at once */
    HF_LINKS_RETRY_MS_MAX = 500,  /* between two dials */
    HF_LINKS_UNPROVED_MAX = 32,   /* accepted connections without proof, beyond one a peer */
    HF_LINKS_TELLERS_MAX = 32,    /* proxies that tell at once; more are refused */
    HF_LINKS_TELLER_MS = 15000,   /* what a proxy said stands so long beyond its last word */
    HF_LINKS_LOOK_MS = 100,       /* between two looks at a peer */
};

struct hf_links_host {
    void *user;
    /* A proved link begins. One that was up before has ended if nobody said so. */
    void (*up)(void *user, unsigned peer, uint64_t now_ms);
    /* The link ended, or there never was one. gone: the peer's process certainly ended too. May
     * follow a call without `gone`; is told once until the next `up`. */
    void (*down)(void *user, unsigned peer, bool gone, uint64_t now_ms);
    /* Takes whole frames from the front of the bytes, all that are there, and tells how many bytes
     * those were. False: the peer broke the protocol. */
    bool (*receive)(void *user, unsigned peer, struct hf_slice bytes, uint64_t now_ms,
                    size_t *ret_used);
    /* Writes waiting frames, whole ones, into out[size]; answers how many bytes. With
     * HF_BUFFER_SIZE of room it answers 0 only when nothing waits. */
    size_t (*pull)(void *user, unsigned peer, char *out, size_t size);
    /* A proxy asks: enum hf_fabric_knowledge of a session. NULL: nothing is known. */
    uint8_t (*know)(void *user, struct hf_slice id, uint64_t now_ms);
};

struct hf_links_settings {
    const struct hf_rank *rank;         /* the nodes; borrowed as long as the links */
    const struct hf_address *addresses; /* [rank->count], by number; copied. Our own is not used */
    const struct hf_address *bind;      /* where to listen; copied */
    unsigned self;                      /* our number in the rank */
    uint64_t incarnation;               /* of this process: random, never 0 */
    const uint8_t *key; /* HF_HELLO_KEY_SIZE bytes all nodes share; copied. NULL: none */
};

struct hf_links;
/* 0, or negative errno: -EPERM (there is no key, and an address is not on loopback), -EINVAL (self
 * is no number, incarnation 0), -ENOMEM. The loop is borrowed; the host is copied. */
int hf_links_new(const struct hf_links_settings *settings, struct hf_loop *loop,
                 const struct hf_links_host *host, struct hf_links **ret_links);
/* Listens, and dials every peer. Calls the host's `down` for peers that are known not to run. 0 or
 * negative errno: -EADDRINUSE (another process listens there), or what else listening met. */
int hf_links_open(struct hf_links *links);
/* Stops listening and ends all links at the end of the turn; the host hears nothing more. */
void hf_links_close(struct hf_links *links);
/* Only when closed and a turn of the loop has ended since, or the loop was freed. *links becomes
 * NULL; NULL is harmless. */
void hf_links_free(struct hf_links **links);

/* Bytes wait for the peer. Harmless when its link is down. */
void hf_links_wake(struct hf_links *links, unsigned peer);
/* Sends what waits for the peers that were woken. To be called at the end of every turn
 * (hf_loop_set_turn_end), so that what came up in one turn leaves as one segment. */
void hf_links_flush(struct hf_links *links);

struct hf_fabric;
/* The host that a fabric is: it gets the links' events and frames, and gives its own. Its
 * hf_fabric_host.wake is to call hf_links_wake. The fabric is borrowed as long as the links. */
struct hf_links_host hf_links_host_of(struct hf_fabric *fabric);

/* Whether a proxy says that this node is to be drained. */
bool hf_links_drains(const struct hf_links *links);
bool hf_links_up(const struct hf_links *links, unsigned peer);
/* Where it listens; the port is known from hf_links_open on. */
const struct hf_address *hf_links_address(const struct hf_links *links);
/* Whether every address is on loopback or local, so that no key is needed. */
bool hf_links_on_loopback(const struct hf_address *addresses, unsigned count);
