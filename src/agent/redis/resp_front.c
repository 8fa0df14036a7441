/* From bytes to commands: requests are parsed, refused, queued or run, one after the other. */
#include "agent/redis/resp_client.h"
#include "base/assert.h"
#include <stdlib.h>

static struct hf_resp_client *client_of(struct hf_connection *connection)
{
    return (struct hf_resp_client *)hf_connection_state(connection);
}

static struct hf_resp_limits limits_of(const struct hf_resp_client *client)
{
    if (!hf_connection_authenticated(client->connection))
        return hf_resp_limits_before_auth;
    size_t value_max = hf_sessions_value_max(hf_resp_client_sessions(client));
    REQUIRE(value_max <= HF_RESP_REQUEST_SIZE_MAX - HF_RESP_FRONT_REQUEST_EXTRA_MAX);
    return (struct hf_resp_limits){
        .arguments_max = HF_RESP_ARGUMENTS_MAX,
        .bulk_size_max = (uint32_t)value_max,
        .request_size_max = (uint32_t)value_max + HF_RESP_FRONT_REQUEST_EXTRA_MAX,
    };
}

/* A request that was parsed before: from the queue of a transaction, or after waiting, when other
 * connections used the place where it was. */
static void load(struct hf_resp_client *client, struct hf_slice source)
{
    static const struct hf_resp_limits any = {HF_RESP_ARGUMENTS_MAX, HF_RESP_REQUEST_SIZE_MAX,
                                              HF_RESP_REQUEST_SIZE_MAX};
    struct hf_resp_parser parser = {0};
    struct hf_resp_request *request = &hf_resp_client_shared(client)->request;
    enum hf_codec parsed = hf_resp_parse_request(&parser, source.bytes, source.size, &any, request);
    REQUIRE(parsed == HF_CODEC_DONE);
    client->run.source = hf_slice(source.bytes, request->size);
}

static void set_run(struct hf_resp_client *client, const struct hf_resp_call *call,
                    struct hf_slice source)
{
    const struct hf_resp_command *command = call->command;
    client->run =
        (struct hf_resp_run){.command = command, .subcommand = call->subcommand, .source = source};
    if (command == NULL)
        return;
    client->run.row = hf_resp_row_of((enum hf_resp_command_id)command->id);
    client->run.answer = client->run.row->answer;
}

/* The next request of a transaction. What it asks for was looked at when it was queued. */
static void begin_queued(struct hf_resp_client *client, struct hf_slice rest)
{
    struct hf_resp_call call;
    load(client, rest);
    struct hf_slice source = client->run.source;
    enum hf_resp_error error = hf_resp_command_resolve(hf_resp_client_request(client), &call);
    REQUIRE(error == HF_RESP_ERROR_NONE);
    set_run(client, &call, source);
    hf_bytes_consume(&client->transaction.queue, source.size);
}

/* Runs the command, and behind an EXEC those of its transaction, until one has to wait. */
static enum hf_front_step drive(struct hf_resp_client *client)
{
    for (;;) {
        struct hf_slice rest;
        enum hf_front_step step = client->run.row->go(client);
        if (step == HF_FRONT_WAIT)
            return step;
        hf_resp_run_fini(client);
        if (step == HF_FRONT_CLOSE)
            return step;
        if (!client->transaction.running || !hf_resp_transaction_next(client, &rest))
            return HF_FRONT_DONE;
        begin_queued(client, rest);
    }
}

static enum hf_front_step begin(struct hf_resp_client *client, struct hf_slice source)
{
    struct hf_resp_call call;
    enum hf_resp_error error = hf_resp_command_resolve(hf_resp_client_request(client), &call);
    set_run(client, &call, source);
    if (error != HF_RESP_ERROR_NONE) {
        client->transaction.failed |= client->transaction.open;
        return hf_resp_client_refuse(client, error);
    }
    unsigned flags = call.command->flags;
    if ((flags & HF_RESP_COMMAND_BEFORE_AUTH) == 0 &&
        !hf_connection_authenticated(client->connection))
        return hf_resp_client_refuse(client, HF_RESP_ERROR_NO_AUTH);
    if (client->transaction.open && (flags & HF_RESP_COMMAND_TRANSACTION) == 0) {
        hf_resp_transaction_queue(client);
        return HF_FRONT_DONE;
    }
    return drive(client);
}

static enum hf_front_step refuse_bytes(struct hf_resp_client *client)
{
    struct hf_slice answer = hf_resp_reason_answer((enum hf_resp_reason)client->parser.reason);
    if (answer.size == 0)
        return HF_FRONT_CLOSE;
    struct hf_resp_out out = hf_resp_client_out(client, answer.size + HF_RESP_CLIENT_HEAD_ROOM);
    hf_resp_write_error(&out, answer);
    hf_resp_client_wrote(client, &out);
    return HF_FRONT_CLOSE;
}

static void front_open(struct hf_connection *connection)
{
    client_of(connection)->connection = connection;
}

static enum hf_front_step front_feed(struct hf_connection *connection, struct hf_slice input,
                                     size_t *ret_used)
{
    struct hf_resp_client *client = client_of(connection);
    struct hf_resp_request *request = &hf_resp_client_shared(client)->request;
    struct hf_resp_limits limits = limits_of(client);
    switch (hf_resp_parse_request(&client->parser, input.bytes, input.size, &limits, request)) {
    case HF_CODEC_NEED_MORE:
        hf_connection_need(connection, client->parser.needed);
        return HF_FRONT_MORE;
    case HF_CODEC_DONE:
        *ret_used = request->size;
        return begin(client, hf_slice(input.bytes, request->size));
    case HF_CODEC_BAD:
        break;
    }
    return refuse_bytes(client);
}

static enum hf_front_step front_resume(struct hf_connection *connection)
{
    struct hf_resp_client *client = client_of(connection);
    load(client, client->run.source);
    return drive(client);
}

static void front_close(struct hf_connection *connection)
{
    struct hf_resp_client *client = client_of(connection);
    hf_resp_run_fini(client);
    hf_resp_transaction_reset(client);
    free(client->name);
    client->name = NULL;
}

const struct hf_front hf_resp_front = {
    .name = "redis",
    .state_size = sizeof(struct hf_resp_client),
    .shared_size = sizeof(struct hf_resp_shared),
    .too_many = {"-ERR max number of clients reached\r\n", 36},
    .open = front_open,
    .feed = front_feed,
    .resume = front_resume,
    .close = front_close,
};
