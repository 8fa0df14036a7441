/* What a write of a call is in the store, and what goes with a session that was deleted. */
#include "agent/external/external_internal.h"
#include "base/assert.h"

/* ---- deleting a session: all its keys ---- */

void hf_external_note_siblings(const struct hf_external_key *key,
                               struct hf_external_siblings *siblings)
{
    const struct hf_external *external = key->external;
    struct hf_store_key other;
    uint64_t now_ms = hf_external_now_ms(external);
    siblings->count = 0;
    for (unsigned i = 0; i < HF_STORE_KEYS_MAX; i++) {
        if (!hf_store_key_at(external->settings.store, key->key.id, key->key.id_hash, i, now_ms,
                             &other))
            continue;
        unsigned at = siblings->count;
        struct hf_writer writer = hf_writer(siblings->texts[at], sizeof(siblings->texts[at]));
        hf_writer_slice(&writer, other.prefix);
        hf_writer_slice(&writer, other.id);
        hf_writer_slice(&writer, other.suffix);
        siblings->sizes[at] = writer.size;
        bool same = hf_slice_equal(hf_slice(siblings->texts[at], writer.size),
                                   hf_slice(key->text, key->size));
        siblings->count += !same;
    }
}

void hf_external_delete_siblings(struct hf_external_key *key,
                                 const struct hf_external_siblings *siblings)
{
    struct hf_external *external = key->external;
    for (unsigned i = 0; i < siblings->count; i++) {
        struct hf_slice text = hf_slice(siblings->texts[i], siblings->sizes[i]);
        struct hf_pattern_match match;
        struct hf_store_value value;
        const struct hf_store_key parts = hf_sessions_match(external->sessions, text, &match);
        struct hf_external_key *other = hf_external_key_get(external, text, &parts, key->strict);
        if (other == NULL)
            continue;
        if (!hf_external_copy_get(other, &value))
            hf_external_key_mark(other, false, 0);
        hf_external_key_settle(other);
    }
    hf_external_flush(external);
}

/* ---- the write of a call ---- */

static void submit_fields(struct hf_external_key *key, const struct hf_external_call *call)
{
    const struct hf_operation *operation = &call->operation;
    struct hf_operation_result result;
    char number[HF_WRITER_DIGITS_MAX];
    struct hf_slice sum[2];
    struct hf_remote_request request = {.kind = operation->kind == HF_OPERATION_HASH_DELETE
                                                    ? HF_REMOTE_HASH_DELETE
                                                    : HF_REMOTE_HASH_SET,
                                        .key = hf_slice(key->text, key->size),
                                        .ttl_ms = HF_REMOTE_NEVER,
                                        .fields = operation->fields,
                                        .field_count = operation->field_count};
    if (operation->kind == HF_OPERATION_HASH_ADD) {
        struct hf_writer writer = hf_writer(number, sizeof(number));
        bool right = hf_operation_decode_result(hf_slice(call->answer, call->answer_size),
                                                call->answer_ms, &result);
        REQUIRE(right);
        hf_writer_i64(&writer, (int64_t)result.number);
        sum[0] = operation->fields[0];
        sum[1] = hf_slice(number, writer.size);
        request.fields = sum;
        request.field_count = 2;
    }
    hf_remote_submit(key->external->remote, &key->remote, &request);
}

static void submit_expiry(struct hf_external_key *key, uint64_t deadline_ms)
{
    uint64_t now_ms = hf_external_now_ms(key->external);
    struct hf_remote_request request = {
        .kind = HF_REMOTE_EXPIRE, .key = hf_slice(key->text, key->size), .ttl_ms = HF_REMOTE_NEVER};
    if (deadline_ms != HF_DEADLINE_NEVER)
        request.ttl_ms = deadline_ms - now_ms;
    hf_remote_submit(key->external->remote, &key->remote, &request);
}

void hf_external_write(struct hf_external_key *key, const struct hf_external_call *call)
{
    static const uint8_t whens[HF_OPERATION_WHENS] = {
        [HF_OPERATION_IF_NEW] = HF_REMOTE_IF_NEW, [HF_OPERATION_IF_EXISTS] = HF_REMOTE_IF_EXISTS};
    const struct hf_operation *operation = &call->operation;
    struct hf_store_value value;
    bool there = hf_external_copy_get(key, &value);
    bool fields = operation->kind == HF_OPERATION_HASH_SET ||
                  operation->kind == HF_OPERATION_HASH_DELETE ||
                  operation->kind == HF_OPERATION_HASH_ADD;
    key->step = HF_EXTERNAL_WRITING;
    if (there && operation->kind == HF_OPERATION_EXPIRE)
        submit_expiry(key, value.deadline_ms);
    else if (there && fields)
        submit_fields(key, call);
    else
        hf_external_copy_send(key, operation->kind == HF_OPERATION_SET ? whens[operation->when]
                                                                       : HF_REMOTE_ALWAYS);
}
