/* A real store as a child of the test: its own folder, a unix socket and nothing else, gone with
 * the test. Threads: one. */
#pragma once
#include "base/slice.h"
#include <sys/types.h>

enum {
    STORE_SERVER_REPLY_MAX = 256 * 1024,
    STORE_SERVER_ARGUMENTS_MAX = 24,
    STORE_SERVER_WAIT_MS = 20000, /* for its start, and for each answer */
};

struct store_server {
    pid_t pid;       /* owned: ours to end */
    char folder[32]; /* owned: removed with what is in it */
    char socket[64];
};

/* Starts the program, found by name on the PATH. An argument "@" stands for the socket's path, and
 * NULL ends them. False when there is no such program: the test is then to be skipped. */
bool store_server_start(struct store_server *server, const char *const arguments[]);
void store_server_stop(struct store_server *server);
/* A connected socket, to be closed by the caller. */
int store_server_connect(const struct store_server *server);

void store_server_send(int socket, struct hf_slice bytes);
/* What has come so far, and more; `reply` is the part before. False at the end of the connection.
 */
bool store_server_receive(int socket, char *buffer, size_t *size);
