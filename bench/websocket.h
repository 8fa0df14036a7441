/* Opens idle WebSockets through a proxy and holds them while somebody measures the proxy.
 * Threads: one. Layer: bench. */
#pragma once
#include "wire.h"

enum { BENCH_WEBSOCKETS_MAX = 100000 };

/* Opens `count` of them to 127.0.0.1:port, has each echo one message, writes "ready COUNT" to
 * stdout, waits for a line on stdin, has each echo again, writes a JSON line and answers 0; answers
 * 1 with a message on stderr when any of them failed. */
int bench_websockets_hold(struct bench_loop *loop, uint16_t port, unsigned count);
