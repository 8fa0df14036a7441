/* bench-clients: very many distinct clients of a proxy, and the servers behind it.
 *
 *   bench-clients serve PORT,PORT,...       servers that set a session id and say who they are
 *   bench-clients ask PORT HOW COUNT FILE   asks once for each client; FILE holds who served whom
 *
 * HOW is `address` (a client is an X-Forwarded-For), `learn` (a client is a session cookie, which
 * the first answer sets), or `race` (as address, each client's request 100 times in a row over as
 * many connections). The first time FILE is written; then every client must meet the server it has
 * there. One line of JSON; exit 1 when a client met another server or a request failed. */
#include "wire.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 100, SERVERS_MAX = 16, MESSAGE_MAX = 2048, RACE = 100, NOBODY = 0 };

/* --- servers --- */

struct server_conn {
    struct bench_handler handler; /* first */
    unsigned server;
    size_t have;
    char in[MESSAGE_MAX];
};

struct server {
    struct bench_handler handler; /* first */
    struct bench_loop *loop;      /* borrowed */
    unsigned index;
};

/* A new client is told the session id that it asks for, so that nobody must remember a million. */
static size_t answer(const struct server_conn *conn, size_t head, char out[MESSAGE_MAX])
{
    const char *wish = NULL, *cookie = NULL;
    size_t position = 0, wished = bench_head_field(conn->in, head, "X-Wish", &position, &wish);
    position = 0;
    if (bench_head_field(conn->in, head, "Cookie", &position, &cookie) > 0)
        wished = 0;
    int size = snprintf(out, MESSAGE_MAX, "HTTP/1.1 200 OK\r\n%s%.*s%sContent-Length: 1\r\n\r\n%c",
                        wished > 0 ? "Set-Cookie: SID=" : "", (int)wished, wished > 0 ? wish : "",
                        wished > 0 ? "; Path=/\r\n" : "", 'a' + (int)conn->server);
    return size > 0 ? (size_t)size : 0;
}

static void server_conn_ready(struct bench_handler *handler, uint32_t events)
{
    struct server_conn *conn = (struct server_conn *)handler;
    (void)events;
    for (;;) {
        ssize_t got = recv(handler->fd, conn->in + conn->have, sizeof(conn->in) - conn->have, 0);
        if (got <= 0) {
            if (got == 0) {
                close(handler->fd);
                free(conn);
            }
            return;
        }
        conn->have += (size_t)got;
        size_t head = bench_head_length(conn->in, conn->have);
        if (head == 0)
            continue;
        char out[MESSAGE_MAX];
        size_t size = answer(conn, head, out);
        if (send(handler->fd, out, size, MSG_NOSIGNAL) != (ssize_t)size)
            return;
        memmove(conn->in, conn->in + head, conn->have - head);
        conn->have -= head;
    }
}

static void server_ready(struct bench_handler *handler, uint32_t events)
{
    struct server *server = (struct server *)handler;
    (void)events;
    for (int fd = bench_accept(handler->fd); fd >= 0; fd = bench_accept(handler->fd)) {
        struct server_conn *conn = calloc(1, sizeof(*conn));
        if (conn == NULL)
            bench_die("calloc");
        conn->handler = (struct bench_handler){.ready = server_conn_ready, .fd = fd};
        conn->server = server->index;
        bench_loop_add(server->loop, &conn->handler);
    }
}

_Noreturn static void serve(const char *ports)
{
    static struct server servers[SERVERS_MAX];
    struct bench_loop loop;
    bench_loop_init(&loop);
    char *next = NULL;
    for (unsigned i = 0; i < SERVERS_MAX && *ports != '\0'; i++) {
        servers[i].handler.ready = server_ready;
        servers[i].handler.fd = bench_listen((uint16_t)strtoul(ports, &next, 10));
        servers[i].loop = &loop;
        servers[i].index = i;
        bench_loop_add(&loop, &servers[i].handler);
        ports = *next == ',' ? next + 1 : next;
    }
    puts("ready");
    fflush(stdout);
    for (;;)
        bench_loop_once(&loop, -1);
}

/* --- clients --- */

struct asker {
    uint16_t port;
    bool learn;
    unsigned repeat; /* requests of each client */
    uint64_t count, next, done, failed, strayed;
    unsigned char *servers; /* [count]; NOBODY = not known yet */
    bool known;             /* servers holds what an earlier run saw */
};

struct asking {
    struct bench_handler handler; /* first */
    struct asker *asker;          /* borrowed */
    uint64_t client;
    size_t have;
    char in[MESSAGE_MAX];
};

static void ask_next(struct asking *one)
{
    struct asker *asker = one->asker;
    if (asker->next >= asker->count * asker->repeat)
        return;
    char out[MESSAGE_MAX], who[128];
    one->client = asker->next++ / asker->repeat;
    unsigned long long id = one->client * 0x9e3779b97f4a7c15u;
    if (!asker->learn)
        snprintf(who, sizeof(who), "X-Forwarded-For: 10.%u.%u.%u", (unsigned)(one->client >> 16),
                 (unsigned)(one->client >> 8 & 255), (unsigned)(one->client & 255));
    else
        snprintf(who, sizeof(who), asker->known ? "Cookie: SID=%016llx" : "X-Wish: %016llx", id);
    int size = snprintf(out, sizeof(out), "GET / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", who);
    if (send(one->handler.fd, out, (size_t)size, MSG_NOSIGNAL) != (ssize_t)size)
        bench_die("send");
}

static void note(struct asking *one, size_t head)
{
    struct asker *asker = one->asker;
    unsigned char server = (unsigned char)one->in[head];
    asker->done++;
    if (memcmp(one->in, "HTTP/1.1 200", 12) != 0)
        asker->failed++;
    else if (asker->servers[one->client] == NOBODY)
        asker->servers[one->client] = server;
    else
        asker->strayed += asker->servers[one->client] != server;
}

static void asking_ready(struct bench_handler *handler, uint32_t events)
{
    struct asking *one = (struct asking *)handler;
    (void)events;
    for (;;) {
        ssize_t got = recv(handler->fd, one->in + one->have, sizeof(one->in) - one->have, 0);
        if (got == 0)
            bench_die("the proxy closed a connection");
        if (got < 0)
            return;
        one->have += (size_t)got;
        size_t head = bench_head_length(one->in, one->have);
        if (head == 0 || one->have < head + 1)
            continue;
        note(one, head);
        one->have = 0;
        ask_next(one);
    }
}

static void load_known(struct asker *asker, const char *path)
{
    FILE *file = fopen(path, "rb");
    asker->known = file != NULL && fread(asker->servers, 1, asker->count, file) == asker->count;
    if (file != NULL)
        fclose(file);
}

static void store_known(const struct asker *asker, const char *path)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(asker->servers, 1, asker->count, file) != asker->count)
        bench_die(path);
    fclose(file);
}

static unsigned count_servers(const struct asker *asker)
{
    bool seen[256] = {false};
    unsigned servers = 0;
    for (uint64_t i = 0; i < asker->count; i++)
        seen[asker->servers[i]] = true;
    for (unsigned i = 1; i < 256; i++)
        servers += seen[i];
    return servers;
}

static int ask(char **argv)
{
    static struct asking connections[CONNECTIONS];
    struct bench_loop loop;
    struct asker asker = {.port = (uint16_t)bench_number("PORT", argv[2], 1, 65535),
                          .learn = strcmp(argv[3], "learn") == 0,
                          .repeat = strcmp(argv[3], "race") == 0 ? RACE : 1,
                          .count = bench_number("COUNT", argv[4], 1, 16 * 1024 * 1024)};
    asker.servers = calloc(asker.count, 1);
    if (asker.servers == NULL)
        bench_die("calloc");
    load_known(&asker, argv[5]);
    bench_loop_init(&loop);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        connections[i].handler.ready = asking_ready;
        connections[i].handler.fd = bench_connect(asker.port, 0);
        connections[i].asker = &asker;
        bench_loop_add(&loop, &connections[i].handler);
    }
    uint64_t began = bench_now_ns();
    for (unsigned i = 0; i < CONNECTIONS; i++)
        ask_next(&connections[i]);
    while (asker.done < asker.count * asker.repeat)
        bench_loop_once(&loop, -1);
    double seconds = (double)(bench_now_ns() - began) / BENCH_NS_PER_S;
    store_known(&asker, argv[5]);
    printf("{\"clients\": %llu, \"requests\": %llu, \"strayed\": %llu, \"failed\": %llu, "
           "\"servers\": %u, \"seconds\": %.2f, \"first\": %s}\n",
           (unsigned long long)asker.count, (unsigned long long)asker.done,
           (unsigned long long)asker.strayed, (unsigned long long)asker.failed,
           count_servers(&asker), seconds, asker.known ? "false" : "true");
    free(asker.servers);
    return asker.strayed == 0 && asker.failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "serve") == 0)
        serve(argv[2]);
    if (argc == 6 && strcmp(argv[1], "ask") == 0)
        return ask(argv);
    fputs("usage: bench-clients serve PORT,... | ask PORT address|learn|race COUNT FILE\n", stderr);
    return 2;
}
