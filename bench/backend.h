/* The application that the benchmark's proxies stand in front of: HTTP/1.1 keep-alive GET with one
 * fixed answer, and WebSocket echo. One `struct bench_backend` is one server with its own port.
 * Never: closes first, allocates while answering; sets a cookie only when asked for its login page.
 * Threads: one. Layer: bench. */
#pragma once
#include "wire.h"

enum {
    BENCH_BACKENDS_MAX = 16,
    BENCH_BODY_SIZE_MIN = 64,
    BENCH_BODY_SIZE_MAX = 65536,
    BENCH_BODY_SIZE_DEFAULT = 250,
    BENCH_FRAME_PAYLOAD_MAX = 125, /* of a WebSocket frame with a one-byte length, RFC 6455 5.2 */
    BENCH_FRAME_HEAD_SIZE = 2,
    BENCH_FRAME_MASK_SIZE = 4,
};

#define BENCH_LOGIN_PATH "/login" /* answered with a new session cookie, `sid` */

struct bench_backend {
    struct bench_handler listener;
    struct bench_loop *loop; /* borrowed for the process's life */
    char *response;          /* owned; head and body */
    size_t response_size;
    size_t response_head_size; /* of it, the empty line left out */
    uint64_t logins;           /* how many sessions it has begun; makes their ids its own */
    unsigned index;
};

/* The body of backend `index`, exactly `size` bytes, which names the backend; no NUL is stored. */
void bench_backend_body(unsigned index, char *out, size_t size);
/* Listens on 127.0.0.1:port and serves from `loop` from then on; dies when it cannot. */
void bench_backend_open(struct bench_backend *backend, struct bench_loop *loop, unsigned index,
                        uint16_t port, size_t body_size);
/* Opens one backend for each port of "PORT,PORT,..."; answers how many. Bad text = message, exit 2.
 */
unsigned bench_backends_open(struct bench_backend backends[BENCH_BACKENDS_MAX],
                             struct bench_loop *loop, const char *ports, size_t body_size);
