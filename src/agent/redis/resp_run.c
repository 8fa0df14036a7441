/* How a command becomes operations: the calls of one key, and of a row of keys. */
#include "agent/redis/resp_client.h"
#include "base/assert.h"
#include <stdlib.h>

static void complete(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct hf_resp_client *client = (struct hf_resp_client *)call->user;
    client->run.answer(client, result);
}

struct hf_operation *hf_resp_run_call(struct hf_resp_client *client, struct hf_slice key)
{
    bool starts = (client->run.command->flags & HF_RESP_COMMAND_START) != 0;
    client->call = (struct hf_sessions_call){
        .key = key,
        .operation = {.flags = starts ? HF_OPERATION_STARTS : 0, .deadline_ms = HF_DEADLINE_NEVER},
        .complete = complete,
        .user = client,
    };
    return &client->call.operation;
}

enum hf_front_step hf_resp_run_submit(struct hf_resp_client *client)
{
    return hf_connection_submit(client->connection, &client->call) ? HF_FRONT_DONE : HF_FRONT_WAIT;
}

void hf_resp_run_note(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    client->run.status = result->status;
    client->run.cas = result->cas;
}

struct hf_slice *hf_resp_run_fields(struct hf_resp_client *client, uint32_t count)
{
    REQUIRE(client->run.fields == NULL);
    if (count <= HF_RESP_CLIENT_FIELDS)
        return client->fields;
    client->run.fields = (struct hf_slice *)calloc(count, sizeof(*client->run.fields));
    return client->run.fields;
}

void hf_resp_run_fini(struct hf_resp_client *client)
{
    free(client->run.fields);
    client->run.fields = NULL;
    hf_resp_stage_fini(&client->run.stage);
}

uint64_t hf_resp_run_deadline(const struct hf_resp_client *client,
                              const struct hf_resp_expiry *expiry)
{
    struct hf_sessions *sessions = hf_resp_client_sessions(client);
    uint64_t now_ms = hf_sessions_now_ms(sessions);
    if (expiry->kind == HF_RESP_EXPIRY_NONE || expiry->kind == HF_RESP_EXPIRY_PERSIST)
        return HF_DEADLINE_NEVER;
    if (expiry->ms <= 0)
        return now_ms; /* due */
    if (expiry->kind == HF_RESP_EXPIRY_IN)
        return hf_deadline_after(now_ms, (uint64_t)expiry->ms);
    return hf_deadline_from_wall((uint64_t)expiry->ms, hf_sessions_wall_ms(sessions), now_ms);
}

enum hf_front_step hf_resp_go_once(struct hf_resp_client *client)
{
    if (client->run.answered)
        return HF_FRONT_DONE;
    struct hf_operation *operation = hf_resp_run_call(client, hf_resp_client_argument(client, 1));
    enum hf_resp_error error = client->run.row->prepare(client, operation);
    if (error != HF_RESP_ERROR_NONE)
        return hf_resp_client_refuse(client, error);
    return hf_resp_run_submit(client);
}

enum hf_front_step hf_resp_go_each(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    uint32_t count = hf_resp_client_request(client)->count - 1;
    while (!run->answered && run->index < count) {
        struct hf_slice key = hf_resp_client_argument(client, ++run->index);
        enum hf_resp_error error = run->row->prepare(client, hf_resp_run_call(client, key));
        REQUIRE(error == HF_RESP_ERROR_NONE);
        if (hf_resp_run_submit(client) == HF_FRONT_WAIT)
            return HF_FRONT_WAIT;
    }
    if (!run->answered)
        hf_resp_client_integer(client, run->total);
    return HF_FRONT_DONE;
}

/* Each key's value, or no value: an error of one is that of all, so the reply is made aside. */
static void stage_value(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    struct hf_resp_stage *stage = &client->run.stage;
    bool string = result->has_value && result->value_kind == HF_STORE_STRING;
    bool none = result->status == HF_OPERATION_MISSING || result->status == HF_OPERATION_WRONG_TYPE;
    if (result->status == HF_OPERATION_OK && string)
        hf_resp_stage_bulk(stage, result->value);
    else if (result->status == HF_OPERATION_OK || none)
        hf_resp_stage_append(stage, client->resp3 ? HF_SLICE("_\r\n") : HF_SLICE("$-1\r\n"));
    else
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
}

enum hf_front_step hf_resp_go_mget(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    uint32_t count = hf_resp_client_request(client)->count - 1;
    while (!run->answered && !run->stage.failed && run->index < count) {
        struct hf_slice key = hf_resp_client_argument(client, ++run->index);
        hf_resp_prepare_get(client, hf_resp_run_call(client, key));
        run->answer = stage_value;
        if (hf_resp_run_submit(client) == HF_FRONT_WAIT)
            return HF_FRONT_WAIT;
    }
    if (run->answered)
        return HF_FRONT_DONE;
    if (run->stage.failed)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_OUT_OF_MEMORY);
    hf_resp_client_array(client, count);
    hf_resp_client_staged(client, &run->stage);
    return HF_FRONT_DONE;
}
