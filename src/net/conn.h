/* A connected byte stream: what HTTP sides read and write, whatever is below (TCP now, TLS later).
 * Never parses, never closes by itself, never allocates but a lent buffer.
 * Threads: the worker's. Layer: net. */
#pragma once
#include "base/buffer.h"
#include "net/address.h"
#include "net/loop.h"
#include <sys/types.h>

struct hf_conn;

/* The layer below; all of non-blocking read/write style, answering bytes, 0 at the end of the
 * stream, or negative errno (-EAGAIN = wait for the next edge). */
struct hf_transport {
    const char *name;
    ssize_t (*receive)(struct hf_conn *conn, char *out, size_t size);
    ssize_t (*send)(struct hf_conn *conn, const char *bytes, size_t size, bool more);
    int (*shutdown_write)(struct hf_conn *conn);
};
extern const struct hf_transport hf_transport_tcp;

struct hf_conn {
    struct hf_event event; /* first: the loop hands it back */
    const struct hf_transport *transport;
    struct hf_loop *loop;
    struct hf_buffer_pool *buffers; /* borrowed: the worker's */
    struct hf_buffer *in;           /* lent while received bytes wait; NULL when there are none */
    struct hf_buffer *out;          /* lent while bytes wait to be sent; NULL when there are none */
    bool can_read;                  /* the edge was seen and not used up */
    bool can_write;
    bool peer_closed;  /* FIN announced; reading on until 0 gives what is left */
    bool read_ended;   /* 0 was read: nothing more comes */
    bool write_ending; /* shutdown_write asked for; done when `out` is empty */
    bool write_ended;  /* shutdown_write done */
    bool broken;       /* error: nothing goes either way */
};

/* Wraps a connected or connecting socket. 0 or negative errno; owns fd on success. can_write is set
 * by the first edge; who knows that the socket is connected may set it at once. */
int hf_conn_open(struct hf_conn *conn, struct hf_loop *loop, struct hf_buffer_pool *buffers, int fd,
                 hf_ready_fn ready, hf_closed_fn closed);
/* Returns both buffers, closes the event (`closed` follows at the end of the turn). Harmless when
 * closed. */
void hf_conn_close(struct hf_conn *conn);
/* Close with RST instead of FIN: the peer must not take what it got for complete. */
void hf_conn_reset(struct hf_conn *conn);
/* Call first in `ready`: folds the bits into can_read, can_write, peer_closed, broken. After an
 * error of the socket with received bytes waiting, only peer_closed is set: hf_conn_receive answers
 * the bytes first, then the error. */
void hf_conn_note_ready(struct hf_conn *conn, unsigned ready);

/* Receives once into `in` (borrowed if needed, compacted if full), at most size_max bytes. A short
 * read clears can_read (unless peer_closed: the end must still be read; a transport other than TCP
 * clears it by -EAGAIN alone). Without can_read it answers -EAGAIN and asks nothing of the kernel.
 * > 0 bytes, 0 at the end (read_ended is set), -EAGAIN nothing now, -ENOBUFS the pool is at its
 * limit or `in` is full, or another negative errno (broken is set). */
ssize_t hf_conn_receive(struct hf_conn *conn, size_t size_max);
/* Drops `size` bytes of `in` from the front; an emptied buffer goes back to the pool. */
void hf_conn_consume(struct hf_conn *conn, size_t size);
static inline struct hf_slice hf_conn_input(const struct hf_conn *conn)
{
    return conn->in ? hf_buffer_slice(conn->in) : hf_slice(NULL, 0);
}

/* Room to stage an outgoing message: the `out` buffer, borrowed if needed; NULL at the limit.
 * Append to it, then hf_conn_flush. */
struct hf_buffer *hf_conn_output(struct hf_conn *conn);
/* Sends what `out` holds. 0 when all is sent (the buffer went back), -EAGAIN when bytes are left
 * (can_write is false; try at the next edge), or another negative errno (broken is set).
 * more: further bytes follow at once (MSG_MORE). */
int hf_conn_flush(struct hf_conn *conn, bool more);
/* Sends caller's bytes without staging; only when `out` is empty. Bytes taken (>= 0, fewer than
 * size when the socket is full), or negative errno (broken is set; never -EAGAIN). */
ssize_t hf_conn_send(struct hf_conn *conn, struct hf_slice bytes);
static inline bool hf_conn_has_output(const struct hf_conn *conn)
{
    return conn->out != NULL;
}
/* FIN after everything staged was sent: now, or by the hf_conn_flush that empties `out`. Nothing
 * may be staged or sent after it; the reading side stays. 0 or negative errno. */
int hf_conn_shutdown_write(struct hf_conn *conn);

/* Starts a non-blocking TCP or unix connect with TCP_NODELAY. A descriptor, or negative errno
 * (-ECONNREFUSED can come at once). The result shows in the first edge: hf_conn_connect_result. */
int hf_connect_start(const struct hf_address *address);
/* 0 = connected, -EINPROGRESS, or the negative errno the connect failed with (by the first call
 * that asks; -ECONNRESET afterwards). */
int hf_conn_connect_result(const struct hf_conn *conn);
