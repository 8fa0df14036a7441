/* The client side of an exchange: all that a step may ask of it, whatever the protocol version.
 * HTTP/1 is client_h1.c; HTTP/2 will be another table.
 * Threads: the worker's. Layer: proxy. */
#pragma once
#include "proxy/exchange.h"

enum hf_flow {                /* what a side answers when content is to move */
               HF_FLOW_MOVED, /* there was something; ask again */
               HF_FLOW_WAIT,  /* nothing now: an event will come */
               HF_FLOW_END,   /* all of it is through */
               HF_FLOW_GONE,  /* the peer closed or broke the connection too early */
               HF_FLOW_BAD,   /* the peer broke the protocol */
};

struct hf_client_side {
    const char *protocol; /* "HTTP/1.1", for the log */
    /* Request content: the next run, borrowed until consume; MOVED, WAIT, END, GONE, BAD. */
    enum hf_flow (*read_content)(struct hf_exchange *x, struct hf_slice *ret_piece);
    void (*consume)(struct hf_exchange *x);
    /* Lets the client send the content it holds back (100 Continue). */
    bool (*send_continue)(struct hf_exchange *x);
    /* Stages an interim (1xx but 101) or final response head. False: it does not fit. */
    bool (*write_head)(struct hf_exchange *x, const struct hf_outgoing *outgoing);
    /* Stages or sends content; takes all of it. False: the client is gone. */
    bool (*write_content)(struct hf_exchange *x, struct hf_slice piece);
    bool (*write_end)(struct hf_exchange *x);
    /* END when everything staged is with the kernel, WAIT, GONE. */
    enum hf_flow (*flush)(struct hf_exchange *x);
    /* Bytes staged and not yet with the kernel. */
    size_t (*staged)(const struct hf_exchange *x);
    /* Has the exchange woken once more in this turn, after others. */
    void (*again)(struct hf_exchange *x);
    /* Can content of unknown length be told from a broken one by this client? */
    bool (*can_frame)(const struct hf_exchange *x);
    /* The client hung up and nothing it sent is left to serve. */
    bool (*gone)(struct hf_exchange *x);
    /* The exchange ends here; clean: the next request may follow, else the connection ends. The
     * side must not touch x afterwards. */
    void (*release)(struct hf_exchange *x, bool clean);
    /* The connection becomes a tunnel to x->origin; takes both over and forgets x. */
    void (*tunnel)(struct hf_exchange *x);
    /* Runs the exchange and whatever follows it on that connection. */
    void (*wake)(struct hf_client_h1 *client);
};

extern const struct hf_client_side hf_client_h1_side;
