/* Content through the proxy, one direction a call, with back-pressure: nothing is read from one
 * side while the other has staged bytes that its socket does not take.
 * Threads: the worker's. Layer: proxy. */
#pragma once
#include "proxy/exchange.h"

enum {
    HF_RELAY_BURST = 512 * 1024,    /* bytes of one exchange in a turn, then others come first */
    HF_RELAY_STAGE_MAX = 24 * 1024, /* staged bytes after which a send is due */
};

enum hf_relay {
    HF_RELAY_WAIT,
    HF_RELAY_DONE, /* all of it was taken and is with the kernel */
    HF_RELAY_SOURCE_GONE,
    HF_RELAY_SOURCE_BAD,
    HF_RELAY_SINK_GONE,
    HF_RELAY_FULL, /* the request is larger than limits.request_body */
};

/* Request content, client to server. */
enum hf_relay hf_relay_up(struct hf_exchange *x);
/* Response content, server to client. */
enum hf_relay hf_relay_down(struct hf_exchange *x);
