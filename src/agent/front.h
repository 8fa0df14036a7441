/* What a front end (RESP, memcached) is to the agent, and what a connection does for it.
 *
 * A front end is a table of functions that parse and execute; it never touches a socket. For each
 * connection it has state of its own (hf_connection_state), zeroed at the beginning.
 *
 * A request's way:
 *   1. `feed` gets all unread bytes, from the start of the request. Incomplete: HF_FRONT_MORE, and
 *      hf_connection_need says how many bytes would do. The bytes may be elsewhere next time.
 *   2. It is complete: fill a call, hf_connection_submit.
 *      True: `complete` has run. Write the answer there or now, go on (a row of keys: the next
 * call, in a loop), and finish with HF_FRONT_DONE and *ret_used. False: it is under way. Return
 * HF_FRONT_WAIT, with *ret_used set all the same. Until the end of the request the input stays
 * where it is, so slices into it stay valid, and nothing more of the connection is read or
 * executed: answers are in order for nothing.
 *   3. `complete` has run later, and the connection calls `resume`: go on where 2 stopped.
 * So a row is one function that loops over its keys and is called from feed and from resume, with
 * its place kept in the state; completion callbacks only note the result or write the answer.
 *
 *   static enum hf_front_step row_go_on(struct hf_connection *connection, struct row *row)
 *   {
 *       while (row->index < row->count) {
 *           fill(&row->call, row->index++);
 *           if (!hf_connection_submit(connection, &row->call))
 *               return HF_FRONT_WAIT; // resume comes back here
 *       }
 *       return HF_FRONT_DONE;
 *   }
 *
 * Back-pressure needs no thought: a client that does not read is not read from, and while much
 * output waits (HF_CONNECTION_OUTPUT_HIGH) a submitted call is put off, as if it were under way.
 *
 * Locks: a key whose pattern is a satellite, set IF_NEW without a deadline through a connection, is
 * deleted (if it still holds that value) when the connection ends.
 *
 * Threads: the agent's loop thread. Layer: agent. */
#pragma once
#include "agent/sessions.h"
#include "net/address.h"

struct hf_connection; /* of a client */

enum hf_front_step {
    HF_FRONT_MORE,  /* feed: not a whole request yet */
    HF_FRONT_DONE,  /* the request is over; *ret_used bytes were its. More than were there: as many
                       that are still to come are dropped (a refused value) */
    HF_FRONT_WAIT,  /* a call is under way */
    HF_FRONT_CLOSE, /* send what was written, then close */
};

struct hf_front {
    const char *name;   /* "redis", "memcached": of metrics and logs */
    size_t state_size;  /* bytes of each connection's state */
    size_t shared_size; /* bytes of what all connections share: a parsed request, for instance */
    struct hf_slice too_many; /* sent before closing a connection beyond the limit */
    /* Each may be NULL but feed and resume. */
    void (*open)(struct hf_connection *connection);
    enum hf_front_step (*feed)(struct hf_connection *connection, struct hf_slice input,
                               size_t *ret_used);
    enum hf_front_step (*resume)(struct hf_connection *connection);
    /* Frees what the state holds. Calls are abandoned before. */
    void (*close)(struct hf_connection *connection);
};

enum {
    HF_CONNECTION_OUTPUT_HIGH = 1 << 20,  /* bytes waiting: no further call begins */
    HF_CONNECTION_OUTPUT_MAX = 256 << 20, /* bytes waiting: the connection is given up */
    HF_CONNECTION_LOCKS_MAX = 64,         /* noted locks of a connection; more are not freed */
    HF_CONNECTION_AUTH_FAILURES_MAX = 8,  /* then authenticate answers CLOSE */
};

/* state_size bytes, zeroed at the beginning. */
void *hf_connection_state(struct hf_connection *connection);
/* shared_size bytes, zeroed when the agent starts. */
void *hf_connection_shared(struct hf_connection *connection);
struct hf_sessions *hf_connection_sessions(struct hf_connection *connection);

/* With HF_FRONT_MORE: feed need not be called before the input has as many bytes, counted from the
 * start of the request. They are read into place: no copies of a large value. */
void hf_connection_need(struct hf_connection *connection, size_t size);

/* hf_sessions_submit for a connection. One at a time. The call (in the state, say) must stay until
 * it completes; a connection that ends abandons it. */
bool hf_connection_submit(struct hf_connection *connection, struct hf_sessions_call *call);

/* Room for at least `room` bytes of output behind what waits; after writing,
 * hf_connection_wrote(writer.size). Nothing else of the connection may be called between the two.
 * Without memory, or beyond OUTPUT_MAX: room is 0, nothing will fit, the connection is closed after
 * this step. */
struct hf_writer hf_connection_writer(struct hf_connection *connection, size_t room);
void hf_connection_wrote(struct hf_connection *connection, const struct hf_writer *writer);
/* For small fixed texts. */
void hf_connection_write(struct hf_connection *connection, struct hf_slice bytes);
/* Bytes that wait to be sent: a mark to go back to with hf_connection_unwrite, in the same step
 * only (a reply that is taken back). */
size_t hf_connection_written(const struct hf_connection *connection);
void hf_connection_unwrite(struct hf_connection *connection, size_t mark);

/* AUTH. Before it a front end keeps to small requests, and refuses what needs it. */
bool hf_connection_authenticated(const struct hf_connection *connection); /* true: no password */
bool hf_connection_has_password(const struct hf_connection *connection);
enum hf_connection_auth {
    HF_CONNECTION_AUTH_OK,
    HF_CONNECTION_AUTH_WRONG,
    HF_CONNECTION_AUTH_CLOSE, /* wrong, and too often: answer, then HF_FRONT_CLOSE */
};
/* user: empty or "default". Compares in constant time. Without a configured password: WRONG. */
enum hf_connection_auth hf_connection_authenticate(struct hf_connection *connection,
                                                   struct hf_slice user, struct hf_slice password);
/* RESET: as a new connection, if there is a password. */
void hf_connection_deauthenticate(struct hf_connection *connection);

/* ---- about the connection and its listener: CLIENT, INFO, stats ---- */

uint64_t hf_connection_id(const struct hf_connection *connection); /* from 1; never again */
const struct hf_address *hf_connection_peer(const struct hf_connection *connection);

struct hf_front_counts {      /* of all connections of a front end */
    uint64_t opened, refused; /* refused: beyond the limit */
    uint64_t overdue;         /* closed: no password in time, half a request, output not taken */
    uint64_t forsaken;        /* hung up while this process was stopped (door.h, `shared`) */
    uint64_t open;            /* now */
    uint64_t requests, bytes_in, bytes_out;
    uint64_t auth_failures;
    uint64_t started_ms; /* monotonic: uptime is hf_sessions_now_ms less it */
    uint32_t connections_max;
    uint16_t port; /* bound; 0: a unix socket */
};
const struct hf_front_counts *hf_connection_counts(const struct hf_connection *connection);
