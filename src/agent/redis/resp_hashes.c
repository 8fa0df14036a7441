/* Hashes. */
#include "agent/redis/resp_client.h"
#include "proto/number.h"

/* ---- requests ---- */

/* The arguments from `first` on as the operation's fields. */
static enum hf_resp_error take_fields(struct hf_resp_client *client, uint32_t first,
                                      struct hf_operation *operation)
{
    const struct hf_resp_request *request = hf_resp_client_request(client);
    uint32_t count = request->count - first;
    struct hf_slice *fields = hf_resp_run_fields(client, count);
    if (fields == NULL)
        return HF_RESP_ERROR_OUT_OF_MEMORY;
    memcpy(fields, request->arguments + first, count * sizeof(*fields));
    operation->fields = fields;
    operation->field_count = count;
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_prepare_hget(struct hf_resp_client *client,
                                        struct hf_operation *operation)
{
    operation->kind = HF_OPERATION_HASH_GET;
    return take_fields(client, 2, operation);
}

enum hf_resp_error hf_resp_prepare_hall(struct hf_resp_client *client,
                                        struct hf_operation *operation)
{
    operation->kind = HF_OPERATION_HASH_ALL;
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_prepare_hset(struct hf_resp_client *client,
                                        struct hf_operation *operation)
{
    if (hf_resp_client_request(client)->count % 2 != 0)
        return HF_RESP_ERROR_WRONG_ARITY;
    operation->kind = HF_OPERATION_HASH_SET;
    return take_fields(client, 2, operation);
}

enum hf_resp_error hf_resp_prepare_hsetnx(struct hf_resp_client *client,
                                          struct hf_operation *operation)
{
    operation->when = HF_OPERATION_IF_NEW;
    return hf_resp_prepare_hset(client, operation);
}

enum hf_resp_error hf_resp_prepare_hdel(struct hf_resp_client *client,
                                        struct hf_operation *operation)
{
    operation->kind = HF_OPERATION_HASH_DELETE;
    return take_fields(client, 2, operation);
}

enum hf_resp_error hf_resp_prepare_hincrby(struct hf_resp_client *client,
                                           struct hf_operation *operation)
{
    int64_t amount;
    if (!hf_number_parse_i64(hf_resp_client_argument(client, 3), &amount))
        return HF_RESP_ERROR_NOT_INTEGER;
    operation->kind = HF_OPERATION_HASH_ADD;
    operation->sum = HF_STORE_SIGNED;
    operation->amount = (uint64_t)amount;
    client->fields[0] = hf_resp_client_argument(client, 2);
    operation->fields = client->fields;
    operation->field_count = 1;
    return HF_RESP_ERROR_NONE;
}

/* ---- replies ---- */

/* False: it is a failure, and was answered as one. */
static bool ok_or_missing(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_OK || result->status == HF_OPERATION_MISSING)
        return true;
    hf_resp_client_failure(client, (enum hf_operation_status)result->status);
    return false;
}

static void answer_field(struct hf_resp_client *client, const struct hf_operation_field *field)
{
    if (field->present)
        hf_resp_client_bulk(client, field->value);
    else
        hf_resp_client_null(client);
}

void hf_resp_answer_hget(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    struct hf_operation_cursor cursor = {0};
    struct hf_operation_field field = {0};
    if (!ok_or_missing(client, result))
        return;
    if (result->status == HF_OPERATION_OK)
        hf_operation_next_field(result, &cursor, &field);
    answer_field(client, &field);
}

void hf_resp_answer_hmget(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    uint32_t count = client->call.operation.field_count;
    struct hf_operation_cursor cursor = {0};
    if (!ok_or_missing(client, result))
        return;
    hf_resp_client_array(client, count);
    for (uint32_t i = 0; i < count; i++) {
        struct hf_operation_field field = {0};
        if (result->status == HF_OPERATION_OK)
            hf_operation_next_field(result, &cursor, &field);
        answer_field(client, &field);
    }
}

void hf_resp_answer_hexists(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    struct hf_operation_cursor cursor = {0};
    struct hf_operation_field field = {0};
    if (!ok_or_missing(client, result))
        return;
    if (result->status == HF_OPERATION_OK)
        hf_operation_next_field(result, &cursor, &field);
    hf_resp_client_integer(client, field.present);
}

static void write_fields(struct hf_resp_client *client, const struct hf_operation_result *result,
                         bool names, bool values)
{
    struct hf_operation_cursor cursor = {0};
    struct hf_operation_field field;
    while (result->status == HF_OPERATION_OK && hf_operation_next_field(result, &cursor, &field)) {
        if (names)
            hf_resp_client_bulk(client, field.name);
        if (values)
            hf_resp_client_bulk(client, field.value);
    }
}

static uint32_t field_count(const struct hf_operation_result *result)
{
    return result->status == HF_OPERATION_OK ? result->field_count : 0;
}

void hf_resp_answer_hgetall(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (!ok_or_missing(client, result))
        return;
    hf_resp_client_map(client, field_count(result));
    write_fields(client, result, true, true);
}

void hf_resp_answer_hkeys(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (!ok_or_missing(client, result))
        return;
    hf_resp_client_array(client, field_count(result));
    write_fields(client, result, true, false);
}

void hf_resp_answer_hvals(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (!ok_or_missing(client, result))
        return;
    hf_resp_client_array(client, field_count(result));
    write_fields(client, result, false, true);
}

void hf_resp_answer_hlen(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (!ok_or_missing(client, result))
        return;
    if (result->status == HF_OPERATION_OK && result->value_kind != HF_STORE_HASH)
        hf_resp_client_error(client, HF_RESP_ERROR_WRONG_TYPE);
    else
        hf_resp_client_integer(client, field_count(result));
}

void hf_resp_answer_hset(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    uint32_t fields = client->call.operation.field_count / 2;
    bool always = client->call.operation.when == HF_OPERATION_ALWAYS;
    if (result->status == HF_OPERATION_OK)
        hf_resp_client_integer(client, (int64_t)result->number);
    else if (result->status == HF_OPERATION_EXISTS)
        hf_resp_client_integer(client, 0);
    else if (result->status == HF_OPERATION_DROPPED)
        hf_resp_client_integer(client, always ? fields : 0);
    else
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
}

void hf_resp_answer_hmset(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_OK || result->status == HF_OPERATION_DROPPED)
        hf_resp_client_ok(client);
    else
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
}

void hf_resp_answer_hdel(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_DROPPED)
        hf_resp_client_integer(client, 0);
    else if (ok_or_missing(client, result))
        hf_resp_client_integer(client,
                               result->status == HF_OPERATION_OK ? (int64_t)result->number : 0);
}

void hf_resp_answer_hincrby(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_OK)
        hf_resp_client_integer(client, (int64_t)result->number);
    else if (result->status == HF_OPERATION_DROPPED) /* a late one: as if it were the first */
        hf_resp_client_integer(client, (int64_t)client->call.operation.amount);
    else
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
}
