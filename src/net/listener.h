/* Listening sockets: one a worker, SO_REUSEPORT, so the kernel spreads connections.
 * Never reads a byte. Threads: the worker's. Layer: net. */
#pragma once
#include "net/address.h"
#include "net/loop.h"

struct hf_listener;
/* fd is non-blocking, TCP_NODELAY, owned by the callee. */
typedef void (*hf_accepted_fn)(struct hf_listener *listener, int fd, const struct hf_address *peer);

enum { HF_ACCEPT_BURST = 64, HF_LISTEN_BACKLOG = 4096 };

struct hf_listener {
    struct hf_event event;
    struct hf_loop *loop;
    hf_accepted_fn accepted;
    void *user;                /* borrowed */
    struct hf_address address; /* bound */
    struct hf_timer resume;    /* descriptors were used up: paused, tried again after 100 ms */
    uint64_t exhausted_count;  /* how often that was */
    bool paused;               /* by hf_listener_pause */
    bool closing;
};

/* Creates a bound, listening, non-blocking SO_REUSEPORT socket (a unix socket without it: one a
 * path; a socket file that nobody listens on is replaced). [::] takes IPv4 too, and is 0.0.0.0 on a
 * system without IPv6. Descriptor or negative errno. */
int hf_listen(const struct hf_address *address);
/* The same without SO_REUSEPORT: -EADDRINUSE while another socket listens there, so that whoever
 * connects knows whom it reaches. When the process is killed it refuses connections before the
 * first of those it had is closed: who sees that and connects again is not taken in by the dying.
 */
int hf_listen_alone(const struct hf_address *address);
/* What to do about their negative errno, to follow it in a message: "; choose another port", or ""
 * where there is nothing to say. */
const char *hf_listen_advice(const struct hf_address *address, int error);
/* Takes over fd, a listening non-blocking socket; on failure it stays the caller's. `accepted` may
 * pause or close the listener. 0 or negative errno. */
int hf_listener_open(struct hf_listener *listener, struct hf_loop *loop, int fd,
                     hf_accepted_fn accepted, void *user);
/* Stops accepting for a while (connection limit) or again. */
void hf_listener_pause(struct hf_listener *listener, bool paused);
/* Accepts what still waits in the backlog first, even if paused, so that no handshaken client is
 * reset. `closed` may be NULL. Harmless when closed. */
void hf_listener_close(struct hf_listener *listener, hf_closed_fn closed);
