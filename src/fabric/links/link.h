/* What the parts of hf_links share: a connection on its way to be a link, a peer, and all of them.
 * links.c owns the whole, link.c moves bytes and shakes hands, link_dial.c knows when a link begins
 * and ends, link_refuse.c says why one does not, link_teller.c listens to proxies, and link_look.c
 * looks whether a peer runs.
 * Threads: the loop's. Layer: fabric. */
#pragma once
#include "base/metrics.h"
#include "base/rng.h"
#include "base/slab.h"
#include "fabric/hello.h"
#include "fabric/links.h"
#include "net/conn.h"
#include "net/listener.h"

enum hf_link_state {
    HF_LINK_CLOSED,
    HF_LINK_CONNECTING,
    HF_LINK_AWAITS_HELLO,
    HF_LINK_AWAITS_PROOF,
    HF_LINK_UP,
    HF_LINK_TELLS, /* from a proxy: no link */
    HF_LINK_LOOKS, /* ours, to see whether somebody listens: no link */
};

/* Why a connection never becomes a link. The first are the verdicts on a HELLO, by number. */
enum hf_link_refusal {
    HF_LINK_GARBAGE = HF_HELLO_VERDICTS,
    HF_LINK_SLOW,
    HF_LINK_CROWDED,
    HF_LINK_DUPLICATE,
    HF_LINK_PROXIES, /* too many that tell */
    HF_LINK_REFUSALS,
};

enum hf_link_count {
#define HF_LINK_COUNT(id, name, labels, type, help) HF_LINK_COUNT_##id,
#include "fabric/links/link_counts.def"
#undef HF_LINK_COUNT
    HF_LINK_COUNTS,
};

struct hf_link {         /* from links->slab; goes back at the end of the turn it is closed in */
    struct hf_conn conn; /* first: the loop hands its event back */
    struct hf_links *links;
    struct hf_timer deadline; /* of the connect, the handshake, the next byte */
    struct hf_list node;      /* in links->open */
    struct hf_list fresh;     /* in links->fresh while accepted and not proved */
    int peer;                 /* -1: accepted, and no HELLO yet */
    uint8_t state;            /* enum hf_link_state */
    bool dialled;
    uint64_t begun_us, up_ms, heard_ms;
    struct hf_address remote;
    uint8_t nonce[HF_WIRE_NONCE_SIZE]; /* in our HELLO */
    struct hf_wire_message theirs;     /* their HELLO */
    struct {                           /* of a proxy: what it said last */
        bool drains;
        uint64_t dead[HF_RANK_NODES_MAX / 64];
    } says;
};

enum hf_link_told { HF_LINK_TOLD_NOTHING, HF_LINK_TOLD_UP, HF_LINK_TOLD_DOWN, HF_LINK_TOLD_GONE };

struct hf_link_peer {
    struct hf_links *links;
    unsigned number;
    struct hf_address address;
    struct hf_link *up;   /* the one proved link, or NULL */
    struct hf_link *dial; /* on its way, or NULL; never beside `up` */
    struct hf_link *look; /* under way, or NULL; only beside `up` */
    uint64_t looked_ms;   /* when the last one began; 0 = never */
    struct hf_timer retry;
    unsigned retry_ms;    /* what the next retry waits, before jitter */
    uint64_t incarnation; /* of the last link; 0 = none yet */
    uint8_t told;         /* enum hf_link_told: the host knows */
    uint32_t logged;      /* bit a refusal: said since the last link */
    struct hf_list node;  /* in links->woken */
};

struct hf_links {
    uint32_t magic;
    bool closing;
    struct hf_links_settings settings;
    struct hf_loop *loop; /* borrowed */
    struct hf_links_host host;
    struct hf_address bind;
    uint8_t key[HF_HELLO_KEY_SIZE]; /* zeros without one */
    struct hf_rng rng;
    struct hf_buffer_pool buffers;
    struct hf_slab slab;
    struct hf_listener listener;
    struct hf_list open;  /* every link that is not closed */
    struct hf_list fresh; /* accepted, not proved, oldest first */
    unsigned fresh_count;
    unsigned teller_count, drainer_count; /* proxies; those that say that we are to be drained */
    uint64_t drains_until_ms;             /* said by one that went since; 0 = by none */
    struct hf_list woken;                 /* peers for whom bytes wait */
    uint64_t logged_ms[HF_LINK_REFUSALS]; /* of strangers */
    _Atomic uint64_t counts[HF_LINK_COUNTS];
    struct hf_histogram handshake; /* us, from an open connection to a link */
    struct hf_metrics_source source;
    struct hf_metrics_collector collector;
    struct hf_link_peer peers[]; /* [rank->count] */
};

/* link.c */
/* A link over a connected or connecting socket, which it owns; NULL when there is no room, then
 * the socket is closed. */
struct hf_link *hf_link_open(struct hf_links *links, int fd, const struct hf_address *remote);
/* The socket is connected: HELLO. */
void hf_link_greet(struct hf_link *link);
/* What it says first. */
struct hf_wire_message hf_link_hello(const struct hf_link *link);
/* Sends what the host has for it. */
void hf_link_drain(struct hf_link *link);
/* Sends one message, at most a handshake's or an answer to a proxy. */
void hf_link_say(struct hf_link *link, const struct hf_wire_message *message);
/* One that is to become no link is refused; the other side is told why. */
void hf_link_refuse_aloud(struct hf_link *link, enum hf_hello_verdict verdict);
/* Of so many nodes: in the proportion of their leases. */
uint64_t hf_link_silent_ms(const struct hf_links *links);
/* Without a word to anybody. */
void hf_link_close(struct hf_link *link);

/* link_dial.c */
void hf_link_dial(struct hf_link_peer *peer);
/* Both sides have proved themselves: it is the link from now on. */
void hf_link_proved(struct hf_link *link);
/* Whether the lower side takes this connection although there may be a link already. */
bool hf_link_chosen(const struct hf_link *link);
/* The connection ended: negative errno, or 0 by FIN; `count` is the row of what ended a link. */
void hf_link_lost(struct hf_link *link, int error, enum hf_link_count count);
/* Closes a connection that does not become a link; its peer is dialled again, slowly if `slowly`.
 */
void hf_link_dropped(struct hf_link *link, bool slowly);

/* The peer's process has ended, whatever link to it there seemed to be. */
void hf_link_ended(struct hf_link_peer *peer);

/* link_teller.c */
/* A proxy introduces itself instead of saying HELLO. */
void hf_link_tells(struct hf_link *link, const struct hf_wire_message *teller);
/* Something came from it. */
void hf_link_hear(struct hf_link *link);
/* Its connection is about to be closed. */
void hf_link_fell_silent(struct hf_link *link);

/* link_look.c */
/* Looks whether the peer's process runs, unless that was done just now. */
void hf_link_look(struct hf_link_peer *peer);
/* Something happened on the connection that looks. */
void hf_link_looked(struct hf_link *link);
/* Nothing did, in its time. */
void hf_link_saw_nothing(struct hf_link *link);

/* link_refuse.c */
/* Counts, says once what to do about it, closes. `said`: by the peer, in a BYE. */
void hf_link_refuse(struct hf_link *link, enum hf_link_refusal refusal, bool said);

/* link_metrics.c */
void hf_link_metrics_register(struct hf_links *links);
void hf_link_metrics_unregister(struct hf_links *links);
static inline void hf_link_count(struct hf_links *links, enum hf_link_count row)
{
    hf_count(&links->counts[row]);
}
