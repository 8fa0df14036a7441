#include "agent/operation_internal.h"
#include "base/assert.h"

const char *hf_operation_kind_word(enum hf_operation_kind kind)
{
    static const char *const words[] = {
#define HF_OPERATION_KIND_WORD(name, word) word,
        HF_OPERATION_KIND_ROWS(HF_OPERATION_KIND_WORD)
#undef HF_OPERATION_KIND_WORD
    };
    REQUIRE(kind < HF_OPERATION_KINDS);
    return words[kind];
}

const char *hf_operation_status_word(enum hf_operation_status status)
{
    static const char *const words[] = {
#define HF_OPERATION_STATUS_WORD(name, word) word,
        HF_OPERATION_STATUSES(HF_OPERATION_STATUS_WORD)
#undef HF_OPERATION_STATUS_WORD
    };
    REQUIRE(status < HF_OPERATION_STATUS_COUNT);
    return words[status];
}

bool hf_operation_writes(const struct hf_operation *operation)
{
    switch ((enum hf_operation_kind)operation->kind) {
    case HF_OPERATION_GET:
    case HF_OPERATION_HASH_GET:
    case HF_OPERATION_HASH_ALL:
    case HF_OPERATION_DUMP:
        return false;
    case HF_OPERATION_SET:
    case HF_OPERATION_DELETE:
    case HF_OPERATION_EXPIRE:
    case HF_OPERATION_EXTEND:
    case HF_OPERATION_ADD:
    case HF_OPERATION_HASH_SET:
    case HF_OPERATION_HASH_DELETE:
    case HF_OPERATION_HASH_ADD:
    case HF_OPERATION_RESTORE:
    case HF_OPERATION_KINDS:
        break;
    }
    return true;
}

struct hf_operation_result hf_operation_failed(enum hf_operation_status status)
{
    return (struct hf_operation_result){.status = (uint8_t)status,
                                        .deadline_ms = HF_DEADLINE_NEVER};
}

bool hf_operation_creates(const struct hf_operation *operation)
{
    switch ((enum hf_operation_kind)operation->kind) {
    case HF_OPERATION_SET:
        return operation->when == HF_OPERATION_ALWAYS || operation->when == HF_OPERATION_IF_NEW;
    case HF_OPERATION_EXTEND:
    case HF_OPERATION_ADD:
        return operation->flags & HF_OPERATION_CREATE;
    case HF_OPERATION_HASH_SET:
    case HF_OPERATION_HASH_ADD:
    case HF_OPERATION_RESTORE:
        return true;
    case HF_OPERATION_GET:
    case HF_OPERATION_DELETE:
    case HF_OPERATION_EXPIRE:
    case HF_OPERATION_HASH_GET:
    case HF_OPERATION_HASH_ALL:
    case HF_OPERATION_HASH_DELETE:
    case HF_OPERATION_DUMP:
    case HF_OPERATION_KINDS:
        break;
    }
    return false;
}

bool hf_operation_overwrites(const struct hf_operation *operation)
{
    const unsigned looks =
        HF_OPERATION_OLD_VALUE | HF_OPERATION_KEEP_DEADLINE | HF_OPERATION_KEEP_FLAGS;
    bool whole = operation->kind == HF_OPERATION_SET || operation->kind == HF_OPERATION_RESTORE;
    return whole && operation->when == HF_OPERATION_ALWAYS && !(operation->flags & looks);
}

/* ---- fields of a result in the store; those in bytes: operation_wire.c ---- */

static bool next_named(const struct hf_operation_fields *fields, struct hf_operation_cursor *cursor,
                       struct hf_operation_field *ret_field)
{
    const struct hf_operation *operation = fields->operation;
    if (cursor->index >= operation->field_count)
        return false;
    ret_field->name = operation->fields[cursor->index++];
    ret_field->value = hf_slice(NULL, 0);
    ret_field->present = hf_store_hash_get(fields->store, &operation->key, ret_field->name,
                                           fields->now_ms, &ret_field->value) == HF_STORE_OK;
    return true;
}

static bool next_stored(const struct hf_operation_fields *fields,
                        struct hf_operation_cursor *cursor, struct hf_operation_field *ret_field)
{
    struct hf_store_field field;
    if (fields->operation->kind == HF_OPERATION_HASH_GET)
        return next_named(fields, cursor, ret_field);
    if (!hf_store_hash_next(fields->store, &fields->operation->key, fields->now_ms, &cursor->store,
                            &field))
        return false;
    *ret_field = (struct hf_operation_field){field.name, field.value, true};
    return true;
}

bool hf_operation_next_field(const struct hf_operation_result *result,
                             struct hf_operation_cursor *cursor,
                             struct hf_operation_field *ret_field)
{
    return result->fields.store ? next_stored(&result->fields, cursor, ret_field)
                                : hf_operation_next_encoded(result, cursor, ret_field);
}
