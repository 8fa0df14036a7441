#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void client_ready(struct bench_handler *handler, uint32_t events);

void bench_target_init(struct bench_target *target, struct bench_loop *loop, uint16_t port,
                       unsigned backends, size_t body_size)
{
    *target = (struct bench_target){
        .loop = loop, .port = port, .backends = backends, .body_size = body_size};
    for (unsigned i = 0; i < backends; i++) {
        target->bodies[i] = malloc(body_size);
        if (target->bodies[i] == NULL) {
            bench_die("bodies");
        }
        bench_backend_body(i, target->bodies[i], body_size);
    }
}

static void build_request(struct bench_client *client)
{
    static const char head[] = " HTTP/1.1\r\n"
                               "Host: shop.example.com\r\n"
                               "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) "
                               "Gecko/20100101 Firefox/128.0\r\n"
                               "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n"
                               "Accept-Language: en-US,en;q=0.5\r\n"
                               "Accept-Encoding: gzip, deflate, br\r\n"
                               "Referer: http://shop.example.com/shop/list\r\n"
                               "Connection: keep-alive\r\n"
                               "Upgrade-Insecure-Requests: 1\r\n";
    const char *path = client->cookies == 0 ? BENCH_LOGIN_PATH : "/shop/cart?page=2";
    char *out = client->request;
    size_t size = (size_t)snprintf(out, sizeof client->request, "GET %s%s", path, head);
    for (unsigned i = 0; i < client->cookies; i++) {
        size += (size_t)snprintf(out + size, sizeof client->request - size, "%s%s",
                                 i > 0 ? "; " : "Cookie: ", client->cookie[i]);
    }
    size += (size_t)snprintf(out + size, sizeof client->request - size, "%s\r\n",
                             client->cookies > 0 ? "\r\n" : "");
    client->request_size = size;
}

static void client_connect(struct bench_client *client)
{
    client->handler = (struct bench_handler){
        .ready = client_ready, .fd = bench_connect(client->target->port, client->source)};
    client->used = 0;
    bench_loop_add(client->target->loop, &client->handler);
}

void bench_client_open(struct bench_client *client, struct bench_target *target, unsigned number)
{
    *client = (struct bench_client){.target = target,
                                    .backend = -1,
                                    .cookies = target->login ? 0 : 1,
                                    .source = target->sources ? BENCH_SOURCE_FIRST + number : 0};
    snprintf(client->cookie[0], sizeof client->cookie[0], "sid=s%08ucq3v9k2m7x1d5w8r", number);
    client->input = malloc(BENCH_HEAD_SIZE_MAX + target->body_size);
    if (client->input == NULL) {
        bench_die("client");
    }
    build_request(client);
    client_connect(client);
}

void bench_client_send(struct bench_client *client, uint64_t intended_ns)
{
    client->busy = true;
    client->intended_ns = intended_ns;
    ssize_t sent = send(client->handler.fd, client->request, client->request_size, MSG_NOSIGNAL);
    if (sent >= 0 && (size_t)sent != client->request_size) {
        bench_die("a request did not fit an empty socket buffer");
    }
    /* A failed send is followed by a hang-up event, which counts and mends it. */
}

/* Stores name=value of a Set-Cookie field, replacing a cookie of the same name. */
static void store_cookie(struct bench_client *client, const char *value, size_t size)
{
    const char *semicolon = memchr(value, ';', size);
    size_t pair = semicolon == NULL ? size : (size_t)(semicolon - value);
    const char *equals = memchr(value, '=', pair);
    if (equals == NULL || pair >= BENCH_COOKIE_SIZE_MAX) {
        return;
    }
    size_t name = (size_t)(equals - value) + 1;
    unsigned slot = 0;
    while (slot < client->cookies && strncmp(client->cookie[slot], value, name) != 0) {
        slot++;
    }
    if (slot == BENCH_COOKIES_MAX) {
        return;
    }
    memcpy(client->cookie[slot], value, pair);
    client->cookie[slot][pair] = '\0';
    client->cookies += slot == client->cookies;
    build_request(client);
}

static void take_cookies(struct bench_client *client, size_t head_size)
{
    const char *value = NULL;
    size_t position = 0, size;
    while ((size = bench_head_field(client->input, head_size, "Set-Cookie", &position, &value)) >
           0) {
        client->target->counts.set_cookies++;
        store_cookie(client, value, size);
    }
}

/* Which backend wrote the whole of this body, or -1. */
static int body_owner(const struct bench_client *client, const char *body)
{
    const struct bench_target *target = client->target;
    for (unsigned i = 0; i < target->backends; i++) {
        if (memcmp(body, target->bodies[i], target->body_size) == 0) {
            return (int)i;
        }
    }
    return -1;
}

static void judge(struct bench_client *client, size_t head_size)
{
    struct bench_target *target = client->target;
    int owner = body_owner(client, client->input + head_size);
    if (memcmp(client->input, "HTTP/1.1 200 ", 13) != 0 || owner < 0) {
        target->counts.wrong++;
        return;
    }
    take_cookies(client, head_size);
    target->counts.answers++;
    target->served[owner]++;
    if (client->backend < 0) {
        client->backend = owner;
    }
    target->counts.moved += client->backend != owner;
}

/* Looks for one whole answer in the input; false = it cannot be one that is expected. */
static bool consume(struct bench_client *client)
{
    struct bench_target *target = client->target;
    const char *value = NULL;
    size_t position = 0;
    size_t head_size = bench_head_length(client->input, client->used);
    if (head_size == 0) {
        return client->used < BENCH_HEAD_SIZE_MAX;
    }
    size_t size = bench_head_field(client->input, head_size, "Content-Length", &position, &value);
    if (size == 0 || strtoull(value, NULL, 10) != target->body_size) {
        return false;
    }
    if (client->used < head_size + target->body_size) {
        return true;
    }
    if (client->used > head_size + target->body_size || !client->busy) {
        return false;
    }
    judge(client, head_size);
    client->used = 0;
    client->busy = false;
    target->done(client);
    return true;
}

static void client_reopen(struct bench_client *client, uint64_t *count)
{
    bool was_busy = client->busy;
    ++*count;
    close(client->handler.fd);
    client->busy = false;
    client_connect(client);
    if (was_busy) {
        client->target->done(client);
    }
}

static void client_ready(struct bench_handler *handler, uint32_t events)
{
    struct bench_client *client = (struct bench_client *)handler;
    struct bench_counts *counts = &client->target->counts;
    const size_t capacity = BENCH_HEAD_SIZE_MAX + client->target->body_size;
    for (;;) {
        size_t room = capacity - client->used;
        ssize_t got = recv(handler->fd, client->input + client->used, room, 0);
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got <= 0) {
            client_reopen(client, client->busy ? &counts->broken : &counts->reconnects);
            return;
        }
        client->used += (size_t)got;
        if (!consume(client)) {
            client_reopen(client, &counts->wrong);
            return;
        }
        /* A short read means drained; only after a hang-up is there an end to be read. */
        if ((size_t)got < room && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
            return;
        }
    }
}
