#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS_MAX = 256, LISTEN_BACKLOG = 4096, KEY_SIZE_MAX = 64 };

_Noreturn void bench_die(const char *what)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
    exit(1);
}

void bench_loop_init(struct bench_loop *loop)
{
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        bench_die("epoll_create1");
    }
}

void bench_loop_add(struct bench_loop *loop, struct bench_handler *handler)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = handler};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, handler->fd, &event) != 0) {
        bench_die("epoll_ctl");
    }
}

void bench_loop_once(struct bench_loop *loop, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec timeout = {timeout_ns / BENCH_NS_PER_S, timeout_ns % BENCH_NS_PER_S};
    int count =
        epoll_pwait2(loop->epoll_fd, events, EVENTS_MAX, timeout_ns < 0 ? NULL : &timeout, NULL);
    if (count < 0 && errno != EINTR) {
        bench_die("epoll_pwait2");
    }
    for (int i = 0; i < count; i++) {
        struct bench_handler *handler = events[i].data.ptr;
        handler->ready(handler, events[i].events);
    }
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

int bench_listen(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* Accepted sockets inherit TCP_NODELAY from the listener. */
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, LISTEN_BACKLOG) != 0) {
        bench_die("cannot listen");
    }
    return fd;
}

int bench_connect(uint16_t port, uint32_t source)
{
    struct sockaddr_in address = loopback(port);
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
    int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) {
        bench_die("socket");
    }
    if (source != 0 && bind(fd, (struct sockaddr *)&own, sizeof own) != 0) {
        bench_die("cannot take a source address");
    }
    /* On loopback the handshake is over when connect returns, even though it says EINPROGRESS. */
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0 && errno != EINPROGRESS) {
        bench_die("cannot connect");
    }
    return fd;
}

int bench_accept(int listen_fd)
{
    return accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        bench_die("clock_gettime");
    }
    return (uint64_t)now.tv_sec * BENCH_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t bench_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t bench_self_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

size_t bench_head_length(const char *text, size_t size)
{
    const char *end = memmem(text, size, "\r\n\r\n", 4);
    return end == NULL ? 0 : (size_t)(end - text) + 4;
}

size_t bench_head_field(const char *head, size_t size, const char *name, size_t *position,
                        const char **ret_value)
{
    size_t name_size = strlen(name);
    const char *end = head + size;
    const char *line = head + *position;
    while ((line = memchr(line, '\n', (size_t)(end - line))) != NULL) {
        line++;
        if ((size_t)(end - line) <= name_size || line[name_size] != ':' ||
            strncasecmp(line, name, name_size) != 0) {
            continue;
        }
        const char *value = line + name_size + 1;
        const char *stop = memchr(value, '\r', (size_t)(end - value));
        if (stop == NULL) {
            return 0;
        }
        while (value < stop && *value == ' ') {
            value++;
        }
        *position = (size_t)(value - head);
        *ret_value = value;
        return (size_t)(stop - value);
    }
    return 0;
}

void bench_websocket_accept(const char *key, size_t key_size, char out[BENCH_ACCEPT_SIZE])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; /* RFC 6455 1.3 */
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char encoded[2 * EVP_MAX_MD_SIZE];
    char input[KEY_SIZE_MAX + sizeof guid];
    if (key_size > KEY_SIZE_MAX) {
        key_size = 0; /* the answer is then wrong, which the other side reports */
    }
    memcpy(input, key, key_size);
    memcpy(input + key_size, guid, sizeof guid - 1);
    unsigned int digest_size = 0;
    if (EVP_Digest(input, key_size + sizeof guid - 1, digest, &digest_size, EVP_sha1(), NULL) !=
        1) {
        bench_die("SHA-1");
    }
    EVP_EncodeBlock(encoded, digest, (int)digest_size);
    memcpy(out, encoded, BENCH_ACCEPT_SIZE);
}

uint64_t bench_number(const char *option, const char *text, uint64_t low, uint64_t high)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < low || value > high) {
        fprintf(stderr, "%s: --%s %s: a number from %llu to %llu is needed\n",
                program_invocation_short_name, option, text, (unsigned long long)low,
                (unsigned long long)high);
        exit(2);
    }
    return value;
}
