/* One simulated browser: a keep-alive connection, a cookie jar, one request at a time. Every answer
 * is checked (status, length, each body byte, the same backend as before), so that a wrong proxy
 * cannot look fast. Never: decides when to send; `done` of its load does. Threads: one. Layer:
 * bench. */
#pragma once
#include "backend.h"

enum {
    BENCH_COOKIES_MAX = 4,
    BENCH_COOKIE_SIZE_MAX = 512, /* name=value, bytes */
    BENCH_REQUEST_SIZE_MAX = 4096,
    BENCH_SOURCE_FIRST = 0x7f010001, /* 127.1.0.1 */
};

struct bench_counts {
    uint64_t answers;     /* correct ones */
    uint64_t wrong;       /* not 200, no length, or a body that is no backend's */
    uint64_t moved;       /* correct, but from another backend than the client's first */
    uint64_t broken;      /* the connection ended with a request under way */
    uint64_t reconnects;  /* the proxy closed an idle connection */
    uint64_t set_cookies; /* Set-Cookie fields received */
};

struct bench_client;

struct bench_target { /* what all clients of a run share */
    struct bench_loop *loop;
    uint16_t port;
    unsigned backends;
    size_t body_size;
    bool login;   /* clients begin without a cookie and ask for the page that sets one */
    bool sources; /* each client has an address of its own, from BENCH_SOURCE_FIRST on */
    char *bodies[BENCH_BACKENDS_MAX]; /* owned; the expected bodies */
    struct bench_counts counts;
    uint64_t served[BENCH_BACKENDS_MAX]; /* answers by backend */
    /* Called when the client's request is answered, rightly or not; it may send the next. */
    void (*done)(struct bench_client *client);
    void *user; /* the owner's, for `done` */
};

struct bench_client {
    struct bench_handler handler;
    struct bench_target *target; /* borrowed for the process's life */
    uint64_t intended_ns;        /* when the request under way should have been sent */
    uint32_t source;             /* its own address; 0 = any */
    bool busy;
    int backend; /* that answered first, -1 before */
    unsigned cookies;
    char cookie[BENCH_COOKIES_MAX][BENCH_COOKIE_SIZE_MAX]; /* name=value, NUL-terminated */
    size_t request_size;
    char request[BENCH_REQUEST_SIZE_MAX];
    size_t used;
    char *input; /* owned, BENCH_HEAD_SIZE_MAX + body_size bytes */
};

void bench_target_init(struct bench_target *target, struct bench_loop *loop, uint16_t port,
                       unsigned backends, size_t body_size);
/* Connects; `number` makes this client's application cookie, or its address, its own. */
void bench_client_open(struct bench_client *client, struct bench_target *target, unsigned number);
/* Sends the client's next request, which counts as begun at intended_ns. It must not be busy. */
void bench_client_send(struct bench_client *client, uint64_t intended_ns);
