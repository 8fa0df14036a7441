/* A real redis-server and one connection to it, speaking through our codec: where a reply ends is
 * for the codec to say. Threads: one. */
#pragma once
#include "base/test.h"
#include "proto/resp_testing.h"
#include "store_server.h"
#include <stdlib.h>
#include <unistd.h>

enum { REDIS_CLIENT_REQUEST_MAX = 16 * 1024 };

struct redis_client {
    struct store_server server;
    bool running;
    int socket;
    struct hf_resp_request request;
    char sent[REDIS_CLIENT_REQUEST_MAX];
    char received[STORE_SERVER_REPLY_MAX];
};

static inline void redis_client_start(struct redis_client *client)
{
    static const char *const arguments[] = {
        "redis-server", "--port", "0",           "--unixsocket", "@",  "--save", "",
        "--appendonly", "no",     "--databases", "16",           NULL,
    };
    client->running = store_server_start(&client->server, arguments);
    client->socket = -1;
}

static inline void redis_client_stop(struct redis_client *client)
{
    if (client->socket >= 0)
        close(client->socket);
    if (client->running)
        store_server_stop(&client->server);
}

static inline void redis_client_reconnect(struct redis_client *client)
{
    if (client->socket >= 0)
        close(client->socket);
    client->socket = store_server_connect(&client->server);
}

/* The answer to the bytes, valid until the next one. */
static inline struct hf_slice redis_client_exchange(struct redis_client *client,
                                                    struct hf_slice bytes)
{
    static const struct hf_resp_reply_limits limits = {STORE_SERVER_REPLY_MAX,
                                                       STORE_SERVER_REPLY_MAX, 100000};
    struct hf_resp_reply_parser parser = {0};
    size_t size = 0, used = 0;
    enum hf_codec answer = HF_CODEC_NEED_MORE;
    store_server_send(client->socket, bytes);
    while (answer == HF_CODEC_NEED_MORE) {
        assert_true(store_server_receive(client->socket, client->received, &size));
        answer = hf_resp_parse_reply(&parser, client->received, size, &limits, &used);
    }
    assert_int_equal(answer, HF_CODEC_DONE);
    assert_int_equal(used, size);
    return hf_slice(client->received, size);
}

/* Of client->request. */
static inline struct hf_slice redis_client_ask_request(struct redis_client *client)
{
    struct hf_resp_out out = {.writer = hf_writer(client->sent, sizeof(client->sent))};
    hf_resp_testing_encode(&out, &client->request);
    assert_true(hf_writer_fits(&out.writer));
    return redis_client_exchange(client, hf_slice(client->sent, out.writer.size));
}

/* Of the words of a line. */
static inline struct hf_slice redis_client_ask(struct redis_client *client, const char *line)
{
    hf_resp_testing_words(&client->request, hf_slice_text(line));
    return redis_client_ask_request(client);
}

static inline void redis_client_assert(struct redis_client *client, const char *line,
                                       struct hf_slice expected)
{
    struct hf_slice reply = redis_client_ask(client, line);
    if (!hf_slice_equal(reply, expected))
        fail_msg("%s: `%.*s` instead of `%.*s`", line, (int)expected.size, expected.bytes,
                 (int)reply.size, reply.bytes);
}

/* Each test begins with it: a new connection, or nothing to compare with. Texts change between
 * versions; ours are those of 7.0. */
static inline void redis_client_need(struct redis_client *client)
{
    if (!client->running)
        skip();
    redis_client_reconnect(client);
    struct hf_slice hello = redis_client_ask(client, "hello 2");
    if (memmem(hello.bytes, hello.size, "\r\n7.0.", 6) == NULL)
        skip();
}
