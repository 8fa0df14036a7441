/* Replies on a connection, and what is answered to an operation that failed. */
#include "agent/redis/resp_client.h"
#include "base/assert.h"

struct hf_resp_out hf_resp_client_out(struct hf_resp_client *client, size_t room)
{
    return (struct hf_resp_out){.writer = hf_connection_writer(client->connection, room),
                                .resp3 = client->resp3};
}

void hf_resp_client_wrote(struct hf_resp_client *client, const struct hf_resp_out *out)
{
    hf_connection_wrote(client->connection, &out->writer);
    client->run.answered = true;
}

void hf_resp_client_simple(struct hf_resp_client *client, struct hf_slice text)
{
    struct hf_resp_out out = hf_resp_client_out(client, text.size + HF_RESP_CLIENT_HEAD_ROOM);
    hf_resp_write_simple(&out, text);
    hf_resp_client_wrote(client, &out);
}

void hf_resp_client_ok(struct hf_resp_client *client)
{
    hf_resp_client_simple(client, HF_SLICE("OK"));
}

void hf_resp_client_integer(struct hf_resp_client *client, int64_t number)
{
    struct hf_resp_out out = hf_resp_client_out(client, HF_RESP_CLIENT_HEAD_ROOM);
    hf_resp_write_integer(&out, number);
    hf_resp_client_wrote(client, &out);
}

void hf_resp_client_bulk(struct hf_resp_client *client, struct hf_slice bytes)
{
    struct hf_resp_out out = hf_resp_client_out(client, bytes.size + HF_RESP_CLIENT_HEAD_ROOM);
    hf_resp_write_bulk(&out, bytes);
    hf_resp_client_wrote(client, &out);
}

void hf_resp_client_null(struct hf_resp_client *client)
{
    struct hf_resp_out out = hf_resp_client_out(client, HF_RESP_CLIENT_HEAD_ROOM);
    hf_resp_write_null(&out);
    hf_resp_client_wrote(client, &out);
}

void hf_resp_client_array(struct hf_resp_client *client, uint32_t count)
{
    struct hf_resp_out out = hf_resp_client_out(client, HF_RESP_CLIENT_HEAD_ROOM);
    hf_resp_write_array(&out, count);
    hf_resp_client_wrote(client, &out);
}

void hf_resp_client_map(struct hf_resp_client *client, uint32_t pairs)
{
    struct hf_resp_out out = hf_resp_client_out(client, HF_RESP_CLIENT_HEAD_ROOM);
    hf_resp_write_map(&out, pairs);
    hf_resp_client_wrote(client, &out);
}

void hf_resp_client_staged(struct hf_resp_client *client, const struct hf_resp_stage *stage)
{
    struct hf_slice bytes = hf_bytes_slice(&stage->bytes);
    struct hf_resp_out out = hf_resp_client_out(client, bytes.size);
    hf_writer_slice(&out.writer, bytes);
    hf_resp_client_wrote(client, &out);
}

void hf_resp_client_error(struct hf_resp_client *client, enum hf_resp_error error)
{
    const struct hf_resp_command *command = client->run.command;
    struct hf_resp_out out = hf_resp_client_out(client, HF_RESP_CLIENT_LINE_ROOM);
    hf_resp_write_error_of(&out, error, command != NULL ? command->name : hf_slice(NULL, 0));
    hf_resp_client_wrote(client, &out);
}

void hf_resp_client_failure(struct hf_resp_client *client, enum hf_operation_status status)
{
    /* The rest cannot come to a command that does not look for it; who holds the session is then as
     * unsure as anything else, and never a miss. */
    static const uint8_t errors[HF_OPERATION_STATUS_COUNT] = {
        [HF_OPERATION_WRONG_TYPE] = HF_RESP_ERROR_WRONG_TYPE,
        [HF_OPERATION_NOT_NUMBER] = HF_RESP_ERROR_HASH_NOT_INTEGER,
        [HF_OPERATION_OVERFLOW] = HF_RESP_ERROR_INCREMENT_OVERFLOW,
        [HF_OPERATION_TOO_LARGE] = HF_RESP_ERROR_TOO_LARGE,
        [HF_OPERATION_TOO_MANY] = HF_RESP_ERROR_TOO_MANY,
        [HF_OPERATION_BAD_KEY] = HF_RESP_ERROR_BAD_KEY,
        [HF_OPERATION_FULL] = HF_RESP_ERROR_OUT_OF_MEMORY,
        [HF_OPERATION_DENIED] = HF_RESP_ERROR_DENIED,
    };
    REQUIRE(status < HF_OPERATION_STATUS_COUNT);
    uint8_t error = errors[status];
    hf_resp_client_error(client, error != HF_RESP_ERROR_NONE ? (enum hf_resp_error)error
                                                             : HF_RESP_ERROR_TRY_AGAIN);
}

enum hf_front_step hf_resp_client_refuse(struct hf_resp_client *client, enum hf_resp_error error)
{
    struct hf_resp_call call = {client->run.command, client->run.subcommand};
    struct hf_resp_out out = hf_resp_client_out(client, HF_RESP_CLIENT_LINE_ROOM);
    hf_resp_write_refusal(&out, error, &call, hf_resp_client_request(client), client->wrong);
    hf_resp_client_wrote(client, &out);
    return HF_FRONT_DONE;
}
