/* What an exchange waits for, how long, and what happens then. One timer an exchange.
 * Threads: the worker's. Layer: proxy. */
#pragma once
#include "proxy/exchange.h"

enum {
    /* Content slower than this is an attack or a dead link: the idle time-out alone would let one
     * byte a minute hold a server's connection for ever. */
    HF_CONTENT_RATE_MIN = 128, /* bytes a second, after a grace of timeouts.client_idle */
};

enum hf_deadline { /* one row in deadlines.c gives duration, answer, counter */
                   HF_DEADLINE_NONE,
                   HF_DEADLINE_PENDING, /* for a slot of the server */
                   HF_DEADLINE_BACKOFF, /* before a retry; no failure */
                   HF_DEADLINE_CONNECT,
                   HF_DEADLINE_CLIENT_BODY,
                   HF_DEADLINE_RESPONSE_HEAD,
                   HF_DEADLINE_RESPONSE_IDLE,
                   HF_DEADLINE_CLIENT_READ,
                   HF_DEADLINE_COUNT,
};

/* Sets the timer by what the exchange waits for; called whenever a step waits. */
void hf_deadline_arm(struct hf_exchange *x);
/* The timer's callback. */
void hf_deadline_expired(struct hf_timer *timer);
