/* What the two benchmark programs share: an edge-triggered loop, loopback sockets, HTTP head
 * scanning and time. It deliberately uses none of the product's code, so that one mistake cannot
 * hide in both. Never: used by the product. Threads: one. Layer: bench. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    BENCH_HEAD_SIZE_MAX = 8192, /* a request or response head, bytes */
    BENCH_NS_PER_US = 1000,
    BENCH_NS_PER_S = 1000000000,
};

/* Embedded in whatever owns the socket; the loop borrows it until the socket is closed. */
struct bench_handler {
    void (*ready)(struct bench_handler *handler, uint32_t events); /* EPOLL* bits */
    int fd;
};

struct bench_loop {
    int epoll_fd;
};

/* Writes "PROGRAM: what" and errno's text to stderr and exits with 1. */
_Noreturn void bench_die(const char *what);

void bench_loop_init(struct bench_loop *loop);
/* Watches handler->fd for input and hang-up, edge-triggered. */
void bench_loop_add(struct bench_loop *loop, struct bench_handler *handler);
/* Waits until something is ready or timeout_ns is over (negative = for ever), runs the handlers. */
void bench_loop_once(struct bench_loop *loop, int64_t timeout_ns);

/* Both use 127.0.0.1, answer a non-blocking socket with TCP_NODELAY, or die. */
int bench_listen(uint16_t port);
/* `source` is the client's own address, in host byte order; 0 = as the kernel chooses. */
int bench_connect(uint16_t port, uint32_t source);
/* The next connection, or -1 when none waits. */
int bench_accept(int listen_fd);

uint64_t bench_now_ns(void); /* CLOCK_MONOTONIC */
/* CPU consumed by this process so far: user and system time of all its threads, ns. */
uint64_t bench_self_cpu_ns(void);

/* Length of the head that `text` starts with, its empty line included; 0 when it is incomplete. */
size_t bench_head_length(const char *text, size_t size);
/* The value of the first field called `name` after *position (0 = the first line), which moves
 * behind the field found. Returns its length and sets *ret_value into `head`, or 0.
 * Case-insensitive. */
size_t bench_head_field(const char *head, size_t size, const char *name, size_t *position,
                        const char **ret_value);

enum { BENCH_ACCEPT_SIZE = 28 }; /* base64 of a SHA-1 */
/* Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 4.2.2); no NUL is stored. */
void bench_websocket_accept(const char *key, size_t key_size, char out[BENCH_ACCEPT_SIZE]);

/* A decimal option value within [low, high], or a message about `option` and exit 2. */
uint64_t bench_number(const char *option, const char *text, uint64_t low, uint64_t high);
