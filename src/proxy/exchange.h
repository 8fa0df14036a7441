/* An exchange: one request and its answer, driven through the steps of steps.c.
 *
 * Signpost of proxy/:
 *   process.h     the running proxy: workers, snapshots, reload, drain
 *   worker.h      one thread: its loop, listeners, pools of memory
 *   client.h      what a client side can do for a step (client_h1.c: HTTP/1)
 *   origin.h      what a server side can do for a step (origin_h1.c: HTTP/1)
 *   steps.c       THE TABLE of steps and the driver
 *   slot.c        its place at a server: limits, the queue, the breaker's word
 *   step_*.c      the steps in the order of a request: route, choose, connect, send, respond, retry
 *   relay.c       content in both directions, with back-pressure
 *   failover.c    what became of a session whose server failed, and how long that took
 *   forward.c     which fields go on, which are added
 *   reply.c       answers that the proxy gives itself
 *   tunnel.c      connections after an upgrade
 *   deadlines.c   what an exchange waits for, and for how long
 *   access_log.c  a line an exchange
 *
 * Never: a step knows no protocol version and no socket; sides know no policy.
 * Threads: an exchange belongs to its worker's thread. Layer: proxy. */
#pragma once
#include "affinity/affinity.h"
#include "proto/http1.h"
#include "proxy/worker.h"
#include "upstream/limit.h"
#include "upstream/pool.h"

enum { HF_EXCHANGE_MAGIC = 0x45584348, HF_TRIES_MAX = 17, HF_ADDED_FIELDS_MAX = 12 };

/* The steps of a request; the table in steps.c gives each its function, and the order here is the
 * order of a request that goes well. */
enum hf_step {
    HF_STEP_ROUTE,    /* host and path -> pool */
    HF_STEP_IDENTIFY, /* who is it? which server holds the session? */
    HF_STEP_CHOOSE,   /* is that server to be used? what if the session is lost? */
    HF_STEP_ACQUIRE,  /* a slot of that server, if need be in its queue, then a connection to it */
    HF_STEP_CONNECT,  /* a new connection is being opened */
    HF_STEP_SEND,     /* the request head, rewritten */
    HF_STEP_AWAIT,    /* request content goes up; the response head comes */
    HF_STEP_STICK,    /* does the answer pin the client? response head, rewritten */
    HF_STEP_RELAY,    /* content in both directions until the answer is complete */
    HF_STEP_RETRY,    /* an attempt failed: another server, an answer of ours, or the end */
    HF_STEP_REPLY,    /* an answer that the proxy gives itself */
    HF_STEP_FINISH,   /* counts, log line, give everything back */
    HF_STEP_COUNT,
    HF_STEP_WAIT, /* not a step: an event or a deadline will run the same step again */
    HF_STEP_GONE, /* not a step: the exchange was freed or became a tunnel */
};

enum hf_failure { /* why an attempt failed */
                  HF_FAILURE_NONE,
                  HF_FAILURE_CONNECT, /* nothing was sent */
                  HF_FAILURE_STALE, /* a kept connection was closed before any byte of an answer */
                  HF_FAILURE_RESET, /* closed or reset before any byte of an answer */
                  HF_FAILURE_TIMEOUT, /* no response head in time */
                  HF_FAILURE_MALFORMED,
                  HF_FAILURE_STATUS, /* a 5xx that the pool wants tried elsewhere */
};

enum hf_end { /* how the exchange ended; one row in steps.c gives counter and log word */
              HF_END_COMPLETE,
              HF_END_REPLIED,
              HF_END_CLIENT_GONE,
              HF_END_SERVER_GONE,
              HF_END_DEADLINE,
              HF_END_SHUTDOWN,
              HF_END_COUNT,
};

enum hf_outcome { /* of a session whose server cannot serve; one row in failover.c: log word */
                  HF_OUTCOME_NONE,
                  HF_OUTCOME_MOVED,    /* to a server whose agent has it, or fetches it */
                  HF_OUTCOME_REPLACED, /* the same, but the answer gave the client another one */
                  HF_OUTCOME_UNKNOWN,  /* the same, but the answer is a 5xx: it tells nothing */
                  HF_OUTCOME_FRESH,    /* to a server that has it not */
                  HF_OUTCOME_REFUSED,  /* on_loss: the client got an error, or a redirect */
};

struct hf_content { /* one direction of message content as it is received */
    enum hf_body body;
    uint64_t left;                   /* of HF_BODY_LENGTH */
    size_t lent;                     /* input bytes behind the run handed out, framing included */
    struct hf_http1_chunked chunked; /* of HF_BODY_CHUNKED */
    uint64_t total;                  /* content bytes so far */
    bool ended;                      /* all of it was received */
    bool passed;                     /* and handed on, the end marker too */
};

struct hf_outgoing {            /* a message head to write, in terms of no protocol version */
    const struct hf_head *head; /* whose fields go on; NULL = none */
    uint64_t skip;              /* field ids left out (bit = 1ull << id) */
    unsigned status;            /* of a response */
    enum hf_body body;          /* LENGTH: content_length; CHUNKED: unknown length; NONE */
    uint64_t content_length;
    bool announce_length; /* write Content-Length although no content follows */
    bool upgrade;         /* Connection: upgrade, and the head's Upgrade field */
    bool close;           /* tell the receiver that the connection will close */
    unsigned added_count;
    struct {
        struct hf_slice name, value;
    } added[HF_ADDED_FIELDS_MAX];
};

struct hf_client_side;
struct hf_client_h1;

struct hf_exchange {
    uint32_t magic;
    enum hf_step step;
    struct hf_worker *worker;     /* borrowed: outlives it */
    struct hf_snapshot *snapshot; /* counted: the configuration this request works by */
    const struct hf_pool *pool;   /* borrowed from the snapshot; NULL before ROUTE */

    const struct hf_client_side *client_side;
    struct hf_client_h1 *client;         /* borrowed until client_side->release */
    struct hf_upstream_conn *origin;     /* lent by worker->upstreams; NULL between attempts */
    const struct hf_pool_server *target; /* of this attempt; borrowed from pool */
    struct hf_buffer *head_buffer;       /* lent: the request head's bytes */

    struct hf_server *slot_server; /* whose `active` includes this exchange; borrowed */
    struct hf_limit_waiter waiter;
    uint64_t probe;                      /* of hf_breaker_admit; 0 = none */
    uint64_t resume_ms;                  /* the back-off before a retry ends; 0 = none */
    struct hf_timer timer;               /* deadlines.c */
    uint8_t deadline;                    /* enum hf_deadline: what expires */
    uint64_t up_moved_ms, down_moved_ms; /* when content last moved that way */

    const struct hf_address *peer;           /* borrowed from the client side */
    struct hf_slice peer_ip;                 /* its text, borrowed from the client side */
    const struct hf_address *client_address; /* believed: peer, or &forwarded_address */
    struct hf_slice client_ip;               /* its text: peer_ip, or in the request head */
    struct hf_address forwarded_address;
    bool peer_trusted; /* is one of trusted_proxies */
    bool secure;       /* the client came by TLS, as far as is believed */

    struct hf_affinity_choice choice;
    uint16_t tried[HF_TRIES_MAX]; /* indexes in pool->servers, failed attempts */
    uint8_t tried_count;
    uint8_t retries;  /* attempts after the first that counted */
    uint8_t failure;  /* enum hf_failure of the last attempt */
    uint8_t end;      /* enum hf_end */
    uint8_t outcome;  /* enum hf_outcome */
    bool pending;     /* in the queue of choice.server */
    bool waited;      /* in that queue, for the slot it holds */
    bool queued;      /* was in a queue at all */
    bool rechosen;    /* chosen once more: the server was judged before it got the request */
    uint8_t refusals; /* by breakers */
    bool fresh_only;  /* the next connection must be a new one */
    bool origin_reused;
    bool up_broken;        /* the server takes no more content */
    bool response_seen;    /* a byte of an answer came on this attempt */
    bool response_started; /* a byte of a final head was staged for the client */
    bool client_keep_alive;
    bool continued; /* 100 Continue was sent */
    bool head_only; /* HEAD: the answer has no content */
    bool moved;     /* the answer moves the pin to another server */
    bool prefixed;  /* the answer sets the application's cookie, the server's name in front */

    struct hf_content up, down;
    enum hf_body down_framing; /* towards the client */
    struct hf_http1_parser response_parser;

    unsigned reply_status;      /* of REPLY */
    const char *reply_reason;   /* a literal */
    const char *reply_location; /* borrowed from the snapshot; NULL = none */
    bool reply_pins;            /* carry the pin for choice.server */

    uint64_t queued_at_ms, queued_ms;    /* when it entered the queue; how long it waited so far */
    uint64_t start_us, sent_us, head_us; /* loop time: request head, request sent, response head */
    unsigned status;                     /* sent to the client; 0 = none */

    struct hf_head request;
    struct hf_head response;
};

/* Takes one from the worker's slab, bound to the current snapshot. NULL at the limit. The request
 * head is for the client side to fill before hf_exchange_run. */
struct hf_exchange *hf_exchange_new(struct hf_worker *worker, const struct hf_client_side *side,
                                    struct hf_client_h1 *client);
/* Gives back everything without an answer or a log line: the head never became complete. */
void hf_exchange_discard(struct hf_exchange **exchange);
/* Runs steps until one waits or the exchange is gone. */
void hf_exchange_run(struct hf_exchange *exchange);
/* The client is gone, or the worker ends: stops where it is, logs, frees. */
void hf_exchange_abort(struct hf_exchange *exchange, enum hf_end end);

/* Counts what writing the pin for pool->servers[served], or writing none, means. */
void hf_exchange_count_pin(struct hf_exchange *x, unsigned served, bool written);
/* Whether on_loss keeps the request from pool->servers[index]: the owner of its session is judged,
 * or failed just now, and the session is not there. */
bool hf_failover_refuses(const struct hf_exchange *x, int index);
/* Counts a session that on_loss refuses. */
void hf_failover_refused(struct hf_exchange *x);
/* pool->servers[served] answered in the place of the session's server: notes what became of the
 * session; moves: its pin, too, which is counted and measured (model/recovery.h). */
void hf_failover_note(struct hf_exchange *x, unsigned served, bool moves);
const char *hf_outcome_word(enum hf_outcome outcome);
/* Why its server does not serve the session, as told to the application. */
const char *hf_failover_cause_word(const struct hf_exchange *x);
/* Counts, logs and frees one that no side knows any more. Answers GONE. */
enum hf_step hf_exchange_conclude(struct hf_exchange *x);

/* The steps (step_*.c, reply.c). Each answers the next step, WAIT or GONE. */
enum hf_step hf_step_route(struct hf_exchange *x);
enum hf_step hf_step_identify(struct hf_exchange *x);
enum hf_step hf_step_choose(struct hf_exchange *x);
enum hf_step hf_step_acquire(struct hf_exchange *x);
enum hf_step hf_step_connect(struct hf_exchange *x);
enum hf_step hf_step_send(struct hf_exchange *x);
enum hf_step hf_step_await(struct hf_exchange *x);
enum hf_step hf_step_stick(struct hf_exchange *x);
enum hf_step hf_step_relay(struct hf_exchange *x);
enum hf_step hf_step_retry(struct hf_exchange *x);
enum hf_step hf_step_reply(struct hf_exchange *x);
enum hf_step hf_step_finish(struct hf_exchange *x);

/* Sets an answer of ours and the step that gives it. `reason` is shown to the client: a literal. */
enum hf_step hf_reply_with(struct hf_exchange *x, unsigned status, const char *reason);
/* A 5xx answer that another server may do better: true = x->choice names it, the answer is dropped.
 */
bool hf_exchange_retry_status(struct hf_exchange *x);
/* Takes a slot of choice.server, or of another server for a client bound to none. ACQUIRE = it is
 * held; WAIT = in the queue; else where to go on without it. */
enum hf_step hf_slot_acquire(struct hf_exchange *x);
/* Gives back the slot, the place in the queue and what the breaker lent; harmless without. */
void hf_slot_release(struct hf_exchange *x);
/* A slot became free, or the server was judged: hf_limit_woken_fn. */
void hf_slot_woken(struct hf_limit_waiter *waiter, bool granted);
/* The answer's head speaks for the server: its probe succeeded. Harmless without one. */
void hf_slot_proved(struct hf_exchange *x);
/* The slot goes on to whoever took the connection (a tunnel), which must give it back. */
void hf_slot_hand_on(struct hf_exchange *x);
/* Gives the server connection back (reusable) or closes it, and the slot. */
void hf_origin_release(struct hf_exchange *x, bool reusable);
/* Counts a failure of x->target, ends its probe, and logs what the breaker makes of it. `reason`: a
 * literal, for the log. */
void hf_exchange_speak_against(struct hf_exchange *x, const char *reason);
const char *hf_end_word(enum hf_end end);
enum hf_proxy_counter hf_end_counter(enum hf_end end);
/* One line for a finished exchange (access_log.c). */
void hf_access_log(const struct hf_exchange *x);
/* What the strategies may look at. */
struct hf_affinity_request hf_exchange_affinity_request(const struct hf_exchange *x);
