/* Strings, expiry, and what keys of any type have in common. */
#include "agent/redis/resp_client.h"

/* ---- requests ---- */

enum hf_resp_error hf_resp_prepare_get(struct hf_resp_client *client,
                                       struct hf_operation *operation)
{
    operation->kind = HF_OPERATION_GET;
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_prepare_look(struct hf_resp_client *client,
                                        struct hf_operation *operation)
{
    operation->kind = HF_OPERATION_GET;
    operation->flags |= HF_OPERATION_NO_VALUE;
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_prepare_set(struct hf_resp_client *client,
                                       struct hf_operation *operation)
{
    struct hf_resp_set_options options;
    enum hf_resp_error error = hf_resp_options_set(hf_resp_client_request(client), &options);
    if (error != HF_RESP_ERROR_NONE)
        return error;
    operation->kind = HF_OPERATION_SET;
    operation->value = hf_resp_client_argument(client, 2);
    operation->deadline_ms = hf_resp_run_deadline(client, &options.expiry);
    if (options.if_absent) {
        operation->when = HF_OPERATION_IF_NEW;
        operation->flags |= HF_OPERATION_STARTS;
    } else if (options.if_present) {
        operation->when = HF_OPERATION_IF_EXISTS;
    }
    if (options.keep_expiry)
        operation->flags |= HF_OPERATION_KEEP_DEADLINE;
    if (options.get)
        operation->flags |= HF_OPERATION_OLD_VALUE;
    client->run.get = options.get;
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_prepare_setex(struct hf_resp_client *client,
                                         struct hf_operation *operation)
{
    struct hf_resp_expiry expiry;
    bool milliseconds = client->run.command->id == HF_RESP_COMMAND_PSETEX;
    enum hf_resp_error error =
        hf_resp_options_setex(hf_resp_client_request(client), milliseconds, &expiry);
    if (error != HF_RESP_ERROR_NONE)
        return error;
    operation->kind = HF_OPERATION_SET;
    operation->value = hf_resp_client_argument(client, 3);
    operation->deadline_ms = hf_resp_run_deadline(client, &expiry);
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_prepare_setnx(struct hf_resp_client *client,
                                         struct hf_operation *operation)
{
    operation->kind = HF_OPERATION_SET;
    operation->when = HF_OPERATION_IF_NEW;
    operation->value = hf_resp_client_argument(client, 2);
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_prepare_getex(struct hf_resp_client *client,
                                         struct hf_operation *operation)
{
    struct hf_resp_expiry expiry;
    enum hf_resp_error error = hf_resp_options_getex(hf_resp_client_request(client), &expiry);
    if (error != HF_RESP_ERROR_NONE)
        return error;
    if (expiry.kind == HF_RESP_EXPIRY_NONE)
        return hf_resp_prepare_get(client, operation);
    operation->kind = HF_OPERATION_EXPIRE;
    operation->flags |= HF_OPERATION_OLD_VALUE;
    operation->deadline_ms = hf_resp_run_deadline(client, &expiry);
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_prepare_getdel(struct hf_resp_client *client,
                                          struct hf_operation *operation)
{
    operation->kind = HF_OPERATION_DELETE;
    operation->flags |= HF_OPERATION_OLD_VALUE;
    return HF_RESP_ERROR_NONE;
}

enum hf_resp_error hf_resp_prepare_delete(struct hf_resp_client *client,
                                          struct hf_operation *operation)
{
    operation->kind = HF_OPERATION_DELETE;
    return HF_RESP_ERROR_NONE;
}

void hf_resp_run_expire(struct hf_resp_client *client, const struct hf_resp_expire_options *options,
                        struct hf_operation *operation)
{
    operation->kind = HF_OPERATION_EXPIRE;
    operation->deadline_ms = hf_resp_run_deadline(client, &options->expiry);
    operation->flags |= (uint16_t)((options->if_none ? HF_OPERATION_EXPIRE_IF_NONE : 0) |
                                   (options->if_any ? HF_OPERATION_EXPIRE_IF_ANY : 0) |
                                   (options->if_later ? HF_OPERATION_EXPIRE_IF_LATER : 0) |
                                   (options->if_sooner ? HF_OPERATION_EXPIRE_IF_SOONER : 0));
}

enum hf_resp_error hf_resp_prepare_expire(struct hf_resp_client *client,
                                          struct hf_operation *operation)
{
    struct hf_resp_expire_options options;
    enum hf_resp_error error = hf_resp_options_expire(
        hf_resp_client_request(client), (enum hf_resp_command_id)client->run.command->id, &options,
        &client->wrong);
    if (error == HF_RESP_ERROR_NONE)
        hf_resp_run_expire(client, &options, operation);
    return error;
}

enum hf_resp_error hf_resp_prepare_persist(struct hf_resp_client *client,
                                           struct hf_operation *operation)
{
    operation->kind = HF_OPERATION_EXPIRE;
    operation->flags |= HF_OPERATION_EXPIRE_IF_ANY;
    return HF_RESP_ERROR_NONE;
}

/* ---- replies ---- */

/* The value that is there, or was; a hash is none. */
static void answer_string(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (!result->has_value)
        hf_resp_client_null(client);
    else if (result->value_kind == HF_STORE_HASH)
        hf_resp_client_error(client, HF_RESP_ERROR_WRONG_TYPE);
    else
        hf_resp_client_bulk(client, result->value);
}

void hf_resp_answer_value(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_OK)
        answer_string(client, result);
    else if (result->status == HF_OPERATION_MISSING || result->status == HF_OPERATION_DROPPED)
        hf_resp_client_null(client);
    else
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
}

void hf_resp_answer_set(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    bool always = client->call.operation.when == HF_OPERATION_ALWAYS;
    switch (result->status) {
    case HF_OPERATION_OK:
    case HF_OPERATION_DROPPED: /* the write is a late one of a session that is over */
        if (client->run.get)
            answer_string(client, result);
        else if (result->status == HF_OPERATION_OK || always)
            hf_resp_client_ok(client);
        else
            hf_resp_client_null(client);
        break;
    case HF_OPERATION_EXISTS:
    case HF_OPERATION_MISSING:
        if (client->run.get)
            answer_string(client, result);
        else
            hf_resp_client_null(client);
        break;
    default:
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
        break;
    }
}

void hf_resp_answer_setnx(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_OK)
        hf_resp_client_integer(client, 1);
    else if (result->status == HF_OPERATION_EXISTS || result->status == HF_OPERATION_DROPPED)
        hf_resp_client_integer(client, 0);
    else
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
}

static void answer_left(struct hf_resp_client *client, const struct hf_operation_result *result,
                        unsigned unit_ms)
{
    enum { NO_KEY = -2, NO_EXPIRY = -1 };
    uint64_t now_ms = hf_sessions_now_ms(hf_resp_client_sessions(client));
    uint64_t left_ms = result->deadline_ms > now_ms ? result->deadline_ms - now_ms : 0;
    if (result->status == HF_OPERATION_MISSING)
        hf_resp_client_integer(client, NO_KEY);
    else if (result->status != HF_OPERATION_OK)
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
    else if (result->deadline_ms == HF_DEADLINE_NEVER)
        hf_resp_client_integer(client, NO_EXPIRY);
    else
        hf_resp_client_integer(client, (int64_t)((left_ms + unit_ms / 2) / unit_ms));
}

void hf_resp_answer_ttl(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    answer_left(client, result, 1000);
}

void hf_resp_answer_pttl(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    answer_left(client, result, 1);
}

void hf_resp_answer_type(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_MISSING)
        hf_resp_client_simple(client, HF_SLICE("none"));
    else if (result->status != HF_OPERATION_OK)
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
    else if (result->value_kind == HF_STORE_HASH)
        hf_resp_client_simple(client, HF_SLICE("hash"));
    else
        hf_resp_client_simple(client, HF_SLICE("string"));
}

/* 1, 0, or -1: it is neither, and an error was written. */
static int64_t done(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    switch (result->status) {
    case HF_OPERATION_OK:
        return 1;
    case HF_OPERATION_MISSING:
    case HF_OPERATION_MISMATCH:
    case HF_OPERATION_UNMET:
    case HF_OPERATION_DROPPED:
        return 0;
    default:
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
        return -1;
    }
}

void hf_resp_answer_done(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    int64_t number = done(client, result);
    if (number >= 0)
        hf_resp_client_integer(client, number);
}

void hf_resp_answer_count(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    client->run.total += done(client, result);
}
