/* How the tests of the RESP codec make requests out of words, and refuse them as a server would:
 * before any key is looked at. Tests only. Threads: one. Layer: proto. */
#pragma once
#include "base/assert.h"
#include "proto/resp_options.h"

/* The words of a line as the arguments of a request: separated by blanks, borrowed from the line.
 */
static inline void hf_resp_testing_words(struct hf_resp_request *request, struct hf_slice line)
{
    request->count = 0;
    for (size_t first = 0, at = 0; at <= line.size; at++) {
        if (at < line.size && line.bytes[at] != ' ')
            continue;
        REQUIRE(request->count < HF_RESP_ARGUMENTS_MAX);
        request->arguments[request->count++] = hf_slice(line.bytes + first, at - first);
        first = at + 1;
    }
}

/* The request as a client sends it. */
static inline void hf_resp_testing_encode(struct hf_resp_out *out,
                                          const struct hf_resp_request *request)
{
    hf_resp_write_array(out, request->count);
    for (uint32_t i = 0; i < request->count; i++)
        hf_resp_write_bulk(out, request->arguments[i]);
}

/* NONE, or what is wrong with the options of a request that resolved to that command. */
static inline enum hf_resp_error hf_resp_testing_options(const struct hf_resp_request *request,
                                                         enum hf_resp_command_id id,
                                                         struct hf_slice *ret_wrong)
{
    union {
        struct hf_resp_set_options set;
        struct hf_resp_expire_options expire;
        struct hf_resp_scan_options scan;
        struct hf_resp_hello_options hello;
        struct hf_resp_expiry expiry;
    } options;
    if (id == HF_RESP_COMMAND_SET)
        return hf_resp_options_set(request, &options.set);
    if (id == HF_RESP_COMMAND_GETEX)
        return hf_resp_options_getex(request, &options.expiry);
    if (id == HF_RESP_COMMAND_SETEX || id == HF_RESP_COMMAND_PSETEX)
        return hf_resp_options_setex(request, id == HF_RESP_COMMAND_PSETEX, &options.expiry);
    if (id == HF_RESP_COMMAND_EXPIRE || id == HF_RESP_COMMAND_PEXPIRE ||
        id == HF_RESP_COMMAND_EXPIREAT || id == HF_RESP_COMMAND_PEXPIREAT)
        return hf_resp_options_expire(request, id, &options.expire, ret_wrong);
    if (id == HF_RESP_COMMAND_SCAN)
        return hf_resp_options_scan(request, &options.scan);
    if (id == HF_RESP_COMMAND_HELLO)
        return hf_resp_options_hello(request, &options.hello, ret_wrong);
    return HF_RESP_ERROR_NONE;
}

/* Writes the refusal; NONE, and nothing written, when the request may be carried out. */
static inline enum hf_resp_error hf_resp_testing_refuse(struct hf_resp_out *out,
                                                        const struct hf_resp_request *request)
{
    struct hf_resp_call call;
    struct hf_resp_keys keys;
    struct hf_slice wrong = {0};
    enum hf_resp_error error = hf_resp_command_resolve(request, &call);
    if (error == HF_RESP_ERROR_NONE)
        error = hf_resp_command_keys(&call, request, &keys);
    if (error == HF_RESP_ERROR_NONE)
        error = hf_resp_testing_options(request, (enum hf_resp_command_id)call.command->id, &wrong);
    if (error != HF_RESP_ERROR_NONE)
        hf_resp_write_refusal(out, error, &call, request, wrong);
    return error;
}
