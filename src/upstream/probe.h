/* One active check of one server, once: connect, ask, judge. A part of health.
 * Never decides about health, never repeats itself. Threads: the control loop's. Layer: upstream.
 */
#pragma once
#include "model/config.h"
#include "net/conn.h"
#include "proto/http1.h"

enum {
    HF_PROBE_ANSWER_MAX = 16 * 1024, /* bytes of a response head */
    HF_PROBE_REASON_MAX = 160,
};

enum hf_probe_result {
    HF_PROBE_OK,
    HF_PROBE_FAILED,
    HF_PROBE_UNDECIDED, /* the proxy lacked memory or descriptors: says nothing about the server */
};

struct hf_probe;
/* reason: why it failed, in words; "" otherwise. Borrowed for the call. */
typedef void (*hf_probe_done_fn)(struct hf_probe *probe, enum hf_probe_result result,
                                 const char *reason);
/* The socket is gone: the memory may be used again. */
typedef void (*hf_probe_closed_fn)(struct hf_probe *probe);

struct hf_probe { /* embed it, zeroed */
    struct hf_conn conn;
    struct hf_timer deadline;
    const struct hf_health_check *settings; /* borrowed; the owner sets it again after a reload */
    const struct hf_address *address;       /* borrowed */
    hf_probe_done_fn done;
    hf_probe_closed_fn closed;
    bool open;    /* has a socket, or one whose end the loop has not told yet */
    bool running; /* done is still to come */
    bool connected;
    struct hf_http1_parser parser;
    struct hf_head head;
};

/* Starts it; settings, address, done and closed are set, open is false. `done` can come at once. */
void hf_probe_start(struct hf_probe *probe, struct hf_loop *loop, struct hf_buffer_pool *buffers);
/* Ends it without a result; harmless when it does not run. */
void hf_probe_cancel(struct hf_probe *probe);
