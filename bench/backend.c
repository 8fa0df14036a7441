#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    RESPONSE_HEAD_SIZE_MAX = 1024,
    LOGIN_FIELD_SIZE_MAX = 128,
    OPCODE_CLOSE = 8,
    OPCODE_MASK = 0x0f,
    MASKED = 0x80
};

struct backend_connection {
    struct bench_handler handler;
    struct bench_backend *backend; /* borrowed for the process's life */
    bool websocket;                /* after the 101 */
    size_t used;                   /* bytes of input waiting */
    char input[BENCH_HEAD_SIZE_MAX];
};

void bench_backend_body(unsigned index, char *out, size_t size)
{
    char name[BENCH_BODY_SIZE_MIN];
    int length = snprintf(name, sizeof name, "{\"server\":\"b%02u\",\"items\":\"", index);
    memset(out, 'x', size);
    memcpy(out, name, (size_t)length);
    memcpy(out + size - 3, "\"}\n", 3);
}

static void connection_close(struct backend_connection *connection)
{
    close(connection->handler.fd);
    free(connection);
}

/* A socket that is read before every answer never has a full send buffer: a short send is an error.
 */
static bool send_all(int fd, const void *bytes, size_t size)
{
    return send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static bool answer_upgrade(struct backend_connection *connection, const char *key, size_t key_size)
{
    static const char head[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Accept: ";
    char response[sizeof head + BENCH_ACCEPT_SIZE + 4];
    memcpy(response, head, sizeof head - 1);
    bench_websocket_accept(key, key_size, response + sizeof head - 1);
    memcpy(response + sizeof head - 1 + BENCH_ACCEPT_SIZE, "\r\n\r\n", 4);
    connection->websocket = true;
    return send_all(connection->handler.fd, response, sizeof head - 1 + BENCH_ACCEPT_SIZE + 4);
}

/* The usual answer, with a session cookie that no other login of any backend was given. */
static bool answer_login(struct backend_connection *connection)
{
    struct bench_backend *backend = connection->backend;
    char response[RESPONSE_HEAD_SIZE_MAX + LOGIN_FIELD_SIZE_MAX + BENCH_BODY_SIZE_MAX];
    const size_t head = backend->response_head_size;
    memcpy(response, backend->response, head);
    int field = snprintf(response + head, LOGIN_FIELD_SIZE_MAX,
                         "Set-Cookie: sid=b%02u%08lucq3v9k2m7x1d5w8r;"
                         " Path=/; HttpOnly\r\n",
                         backend->index, backend->logins++);
    const size_t rest = backend->response_size - head;
    memcpy(response + head + field, backend->response + head, rest);
    return send_all(connection->handler.fd, response, head + (size_t)field + rest);
}

/* Answers one request whose head is complete; only GET without a body is understood. */
static bool answer_request(struct backend_connection *connection, size_t head_size)
{
    const char *head = connection->input;
    const char *key = NULL;
    size_t position = 0;
    if (memcmp(head, "GET ", 4) != 0) {
        return false;
    }
    /* "/ws" is looked at first, so that an ordinary request is not searched for the key. */
    if (memcmp(head + 4, "/ws ", 4) == 0) {
        size_t size = bench_head_field(head, head_size, "Sec-WebSocket-Key", &position, &key);
        return size > 0 && answer_upgrade(connection, key, size);
    }
    if (memcmp(head + 4, BENCH_LOGIN_PATH " ", sizeof BENCH_LOGIN_PATH) == 0) {
        return answer_login(connection);
    }
    return send_all(connection->handler.fd, connection->backend->response,
                    connection->backend->response_size);
}

/* Echoes one masked frame of at most BENCH_FRAME_PAYLOAD_MAX bytes, unmasked as a server must.
 * Answers the bytes used, 0 when the frame is incomplete, -1 to close. */
static ssize_t echo_frame(struct backend_connection *connection)
{
    const unsigned char *frame = (const unsigned char *)connection->input;
    const size_t prefix = BENCH_FRAME_HEAD_SIZE + BENCH_FRAME_MASK_SIZE;
    unsigned char reply[BENCH_FRAME_HEAD_SIZE + BENCH_FRAME_PAYLOAD_MAX];
    if (connection->used < prefix) {
        return 0;
    }
    size_t payload = frame[1] & (unsigned char)~MASKED;
    if ((frame[0] & OPCODE_MASK) == OPCODE_CLOSE || !(frame[1] & MASKED) ||
        payload > BENCH_FRAME_PAYLOAD_MAX) {
        return -1;
    }
    if (connection->used < prefix + payload) {
        return 0;
    }
    reply[0] = frame[0];
    reply[1] = (unsigned char)payload;
    for (size_t i = 0; i < payload; i++) {
        reply[BENCH_FRAME_HEAD_SIZE + i] =
            frame[prefix + i] ^ frame[BENCH_FRAME_HEAD_SIZE + i % BENCH_FRAME_MASK_SIZE];
    }
    if (!send_all(connection->handler.fd, reply, BENCH_FRAME_HEAD_SIZE + payload)) {
        return -1;
    }
    return (ssize_t)(prefix + payload);
}

/* Handles every complete message of the input; false = close. */
static bool consume(struct backend_connection *connection)
{
    while (connection->used > 0) {
        size_t size = 0;
        if (connection->websocket) {
            ssize_t echoed = echo_frame(connection);
            if (echoed < 0) {
                return false;
            }
            size = (size_t)echoed;
        } else {
            size = bench_head_length(connection->input, connection->used);
            if (size > 0 && !answer_request(connection, size)) {
                return false;
            }
        }
        if (size == 0) {
            return connection->used < sizeof connection->input;
        }
        connection->used -= size;
        memmove(connection->input, connection->input + size, connection->used);
    }
    return true;
}

static void connection_ready(struct bench_handler *handler, uint32_t events)
{
    struct backend_connection *connection = (struct backend_connection *)handler;
    for (;;) {
        size_t room = sizeof connection->input - connection->used;
        ssize_t got = recv(handler->fd, connection->input + connection->used, room, 0);
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got <= 0) {
            connection_close(connection);
            return;
        }
        connection->used += (size_t)got;
        if (!consume(connection)) {
            connection_close(connection);
            return;
        }
        /* A short read means drained; only after a hang-up is there an end to be read. */
        if ((size_t)got < room && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
            return;
        }
    }
}

static void listener_ready(struct bench_handler *handler, uint32_t events)
{
    struct bench_backend *backend = (struct bench_backend *)handler;
    int fd;
    while ((fd = bench_accept(handler->fd)) >= 0) {
        struct backend_connection *connection = malloc(sizeof *connection);
        if (connection == NULL) {
            bench_die("connection");
        }
        connection->handler = (struct bench_handler){.ready = connection_ready, .fd = fd};
        connection->backend = backend;
        connection->websocket = false;
        connection->used = 0;
        bench_loop_add(backend->loop, &connection->handler);
    }
}

void bench_backend_open(struct bench_backend *backend, struct bench_loop *loop, unsigned index,
                        uint16_t port, size_t body_size)
{
    char *response = malloc(RESPONSE_HEAD_SIZE_MAX + body_size);
    if (response == NULL) {
        bench_die("response");
    }
    int head = snprintf(response, RESPONSE_HEAD_SIZE_MAX,
                        "HTTP/1.1 200 OK\r\n"
                        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                        "Content-Type: application/json; charset=utf-8\r\n"
                        "Content-Length: %zu\r\n"
                        "Cache-Control: private, no-cache\r\n"
                        "ETag: W/\"fa-2jmj7l5rSw0yVb\"\r\n"
                        "Vary: Accept-Encoding\r\n"
                        "X-Content-Type-Options: nosniff\r\n"
                        "X-Frame-Options: SAMEORIGIN\r\n"
                        "\r\n",
                        body_size);
    bench_backend_body(index, response + head, body_size);
    backend->response = response;
    backend->response_size = (size_t)head + body_size;
    backend->response_head_size = (size_t)head - 2;
    backend->index = index;
    backend->loop = loop;
    backend->listener = (struct bench_handler){.ready = listener_ready, .fd = bench_listen(port)};
    bench_loop_add(loop, &backend->listener);
}

unsigned bench_backends_open(struct bench_backend backends[BENCH_BACKENDS_MAX],
                             struct bench_loop *loop, const char *ports, size_t body_size)
{
    unsigned count = 0;
    const char *next = ports;
    while (*next != '\0') {
        char number[8] = "";
        size_t size = strcspn(next, ",");
        if (count == BENCH_BACKENDS_MAX || size >= sizeof number) {
            fprintf(stderr, "ports: at most %d of them, separated by commas\n", BENCH_BACKENDS_MAX);
            exit(2);
        }
        memcpy(number, next, size);
        uint16_t port = (uint16_t)bench_number("ports", number, 1, UINT16_MAX);
        bench_backend_open(&backends[count], loop, count, port, body_size);
        count++;
        next += size + (next[size] == ',');
    }
    return count;
}
