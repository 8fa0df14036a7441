#include "websocket.h"

#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    IN_FLIGHT_MAX = 64, /* handshakes or echoes under way at once */
    INPUT_SIZE = 1024,
    PAYLOAD_SIZE = 16,
    STEP_TIMEOUT_S = 30,
};

/* The key of RFC 6455 1.3; a proxy may not cache by it, so every client can use the same. */
static const char sample_key[] = "dGhlIHNhbXBsZSBub25jZQ==";
static const char sample_accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

struct holder;

struct websocket {
    struct bench_handler handler;
    struct holder *holder; /* borrowed for the process's life */
    bool open;             /* the handshake is over */
    unsigned echoes;
    size_t used;
    char input[INPUT_SIZE];
};

struct holder {
    struct bench_loop *loop;
    struct websocket *sockets; /* owned, count of them */
    uint16_t port;
    unsigned count;
    unsigned started, finished; /* of the step that is under way */
    unsigned failed;
};

/* The payload names the socket and the round, so that a crossed tunnel shows. */
static void payload_of(const struct websocket *socket, char out[PAYLOAD_SIZE + 1])
{
    unsigned number = (unsigned)(socket - socket->holder->sockets);
    snprintf(out, PAYLOAD_SIZE + 1, "s%08ur%06u", number, socket->echoes % 1000000);
}

static bool handshake_done(struct websocket *socket)
{
    const char *value = NULL;
    size_t position = 0;
    size_t head = bench_head_length(socket->input, socket->used);
    if (head == 0) {
        return false;
    }
    size_t size = bench_head_field(socket->input, head, "Sec-WebSocket-Accept", &position, &value);
    socket->open = head == socket->used && memcmp(socket->input, "HTTP/1.1 101 ", 13) == 0 &&
                   size == sizeof sample_accept - 1 && memcmp(value, sample_accept, size) == 0;
    socket->holder->failed += !socket->open;
    return true;
}

static bool echo_done(struct websocket *socket)
{
    char expected[PAYLOAD_SIZE + 1];
    if (socket->used < BENCH_FRAME_HEAD_SIZE + PAYLOAD_SIZE) {
        return false;
    }
    payload_of(socket, expected);
    socket->holder->failed +=
        socket->used != BENCH_FRAME_HEAD_SIZE + PAYLOAD_SIZE ||
        memcmp(socket->input + BENCH_FRAME_HEAD_SIZE, expected, PAYLOAD_SIZE) != 0;
    socket->echoes++;
    return true;
}

static void socket_ready(struct bench_handler *handler, uint32_t events)
{
    struct websocket *socket = (struct websocket *)handler;
    struct holder *holder = socket->holder;
    ssize_t got =
        recv(handler->fd, socket->input + socket->used, sizeof socket->input - socket->used, 0);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        holder->failed++;
        holder->finished++;
        return;
    }
    socket->used += (size_t)got;
    if (socket->open ? echo_done(socket) : handshake_done(socket)) {
        socket->used = 0;
        holder->finished++;
    }
}

static void start_handshake(struct websocket *socket)
{
    char request[INPUT_SIZE];
    int size = snprintf(request, sizeof request,
                        "GET /ws HTTP/1.1\r\n"
                        "Host: shop.example.com\r\n"
                        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) "
                        "Gecko/20100101 Firefox/128.0\r\n"
                        "Origin: http://shop.example.com\r\n"
                        "Connection: Upgrade\r\n"
                        "Upgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: %s\r\n\r\n",
                        sample_key);
    socket->handler =
        (struct bench_handler){.ready = socket_ready, .fd = bench_connect(socket->holder->port, 0)};
    bench_loop_add(socket->holder->loop, &socket->handler);
    if (send(socket->handler.fd, request, (size_t)size, MSG_NOSIGNAL) != size) {
        bench_die("handshake");
    }
}

static void start_echo(struct websocket *socket)
{
    enum { FINAL_TEXT = 0x81, MASKED = 0x80 };
    const unsigned char mask[BENCH_FRAME_MASK_SIZE] = {0x37, 0xfa, 0x21, 0x3d};
    const size_t prefix = BENCH_FRAME_HEAD_SIZE + BENCH_FRAME_MASK_SIZE;
    unsigned char frame[BENCH_FRAME_HEAD_SIZE + BENCH_FRAME_MASK_SIZE + PAYLOAD_SIZE];
    char payload[PAYLOAD_SIZE + 1];
    payload_of(socket, payload);
    frame[0] = FINAL_TEXT;
    frame[1] = MASKED | PAYLOAD_SIZE;
    memcpy(frame + BENCH_FRAME_HEAD_SIZE, mask, sizeof mask);
    for (size_t i = 0; i < PAYLOAD_SIZE; i++) {
        frame[prefix + i] = (unsigned char)payload[i] ^ mask[i % sizeof mask];
    }
    if (send(socket->handler.fd, frame, sizeof frame, MSG_NOSIGNAL) != sizeof frame) {
        socket->holder->failed++; /* a hang-up event follows and finishes the step */
    }
}

/* Runs one step on every socket, IN_FLIGHT_MAX at a time; false when one failed or time is over. */
static bool run_step(struct holder *holder, void (*start)(struct websocket *socket))
{
    uint64_t deadline = bench_now_ns() + (uint64_t)STEP_TIMEOUT_S * BENCH_NS_PER_S;
    holder->started = holder->finished = 0;
    while (holder->finished < holder->count && holder->failed == 0) {
        while (holder->started < holder->count &&
               holder->started - holder->finished < IN_FLIGHT_MAX) {
            start(&holder->sockets[holder->started++]);
        }
        bench_loop_once(holder->loop, BENCH_NS_PER_S);
        if (bench_now_ns() > deadline) {
            break;
        }
    }
    return holder->finished == holder->count && holder->failed == 0;
}

static void stdin_ready(struct bench_handler *handler, uint32_t events)
{
    handler->fd = -1; /* seen */
}

/* Serves the loop until a line (or the end) arrives on stdin, so that the backends stay alive. */
static void wait_for_line(struct bench_loop *loop)
{
    struct bench_handler input = {.ready = stdin_ready, .fd = STDIN_FILENO};
    bench_loop_add(loop, &input);
    while (input.fd >= 0) {
        bench_loop_once(loop, -1);
    }
}

int bench_websockets_hold(struct bench_loop *loop, uint16_t port, unsigned count)
{
    struct holder holder = {.loop = loop, .port = port, .count = count};
    holder.sockets = calloc(count, sizeof *holder.sockets);
    if (holder.sockets == NULL) {
        bench_die("sockets");
    }
    for (unsigned i = 0; i < count; i++) {
        holder.sockets[i].holder = &holder;
    }
    bool good = run_step(&holder, start_handshake) && run_step(&holder, start_echo);
    if (good) {
        printf("ready %u\n", count);
        fflush(stdout);
        wait_for_line(loop);
        good = run_step(&holder, start_echo);
    }
    if (!good) {
        fprintf(stderr, "bench-load: %u of %u WebSockets finished the step, %u failed\n",
                holder.finished, count, holder.failed);
    } else {
        printf("{\"websockets\": %u, \"failed\": 0}\n", count);
    }
    free(holder.sockets); /* exit closes what they hold */
    return good ? 0 : 1;
}
