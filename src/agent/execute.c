/* Operations on a store: one function a kind. What several kinds have in common - conditions that
 * the store does not know, the old value - is looked at first, for nothing can come between. */
#include "agent/operation.h"
#include "base/assert.h"
#include "store/blob.h"

struct run {
    const struct hf_operation_context *context;
    const struct hf_operation *operation;
    struct hf_store_write write;
    struct hf_operation_result *result;
    struct hf_store_change *change;
};

static enum hf_operation_status status_of(enum hf_store_status status)
{
    static const uint8_t statuses[] = {
        [HF_STORE_OK] = HF_OPERATION_OK,
        [HF_STORE_MISSING] = HF_OPERATION_MISSING,
        [HF_STORE_NOT_OWNER] = HF_OPERATION_UNSURE,
        [HF_STORE_TOMBSTONE] = HF_OPERATION_DROPPED,
        [HF_STORE_EXISTS] = HF_OPERATION_EXISTS,
        [HF_STORE_MISMATCH] = HF_OPERATION_MISMATCH,
        [HF_STORE_WRONG_TYPE] = HF_OPERATION_WRONG_TYPE,
        [HF_STORE_NOT_NUMBER] = HF_OPERATION_NOT_NUMBER,
        [HF_STORE_OVERFLOW] = HF_OPERATION_OVERFLOW,
        [HF_STORE_TOO_LARGE] = HF_OPERATION_TOO_LARGE,
        [HF_STORE_TOO_MANY] = HF_OPERATION_TOO_MANY,
        [HF_STORE_FULL] = HF_OPERATION_FULL,
        /* of copies alone; a RESTORE's blob is one that a DUMP made */
        [HF_STORE_OLDER] = HF_OPERATION_UNSURE,
        [HF_STORE_NO_BASE] = HF_OPERATION_UNSURE,
        [HF_STORE_BAD] = HF_OPERATION_UNSURE,
    };
    REQUIRE(status < sizeof(statuses));
    return (enum hf_operation_status)statuses[status];
}

/* Makes the result's value outlive what the operation does to the store's. */
static enum hf_operation_status keep_value(const struct run *run)
{
    struct hf_slice *value = &run->result->value;
    if (value->size == 0)
        return HF_OPERATION_OK;
    char *bytes = hf_bytes_renew(run->context->scratch, value->size);
    if (bytes == NULL)
        return HF_OPERATION_FULL;
    memcpy(bytes, value->bytes, value->size);
    value->bytes = bytes;
    return HF_OPERATION_OK;
}

/* ---- looking ---- */

static enum hf_store_status look(const struct run *run, struct hf_store_value *ret_value)
{
    return hf_store_get(run->context->store, &run->operation->key, run->write.now_ms, ret_value);
}

static void tell_value(struct hf_operation_result *result, const struct hf_store_value *value)
{
    result->has_value = true;
    result->value_kind = (uint8_t)value->kind;
    result->client_flags = value->flags;
    result->field_count = value->field_count;
    result->cas = value->cas;
    result->deadline_ms = value->deadline_ms;
    result->value_size = value->bytes.size;
    result->value = value->bytes;
}

static bool expiry_fits(const struct run *run, uint64_t current_ms)
{
    unsigned flags = run->operation->flags;
    uint64_t wanted_ms = run->operation->deadline_ms;
    if (flags & HF_OPERATION_EXPIRE_IF_NONE && current_ms != HF_DEADLINE_NEVER)
        return false;
    if (flags & HF_OPERATION_EXPIRE_IF_ANY && current_ms == HF_DEADLINE_NEVER)
        return false;
    if (flags & HF_OPERATION_EXPIRE_IF_LATER && wanted_ms <= current_ms)
        return false;
    return !(flags & HF_OPERATION_EXPIRE_IF_SOONER) || wanted_ms < current_ms;
}

static enum hf_operation_status judge(const struct run *run, const struct hf_store_value *value)
{
    const struct hf_operation *operation = run->operation;
    bool equal = operation->when == HF_OPERATION_IF_EQUAL;
    bool string = operation->flags & HF_OPERATION_OLD_VALUE || equal;
    if (string && value->kind == HF_STORE_HASH)
        return HF_OPERATION_WRONG_TYPE;
    if (equal && !hf_slice_equal(value->bytes, operation->match))
        return HF_OPERATION_MISMATCH;
    if (operation->when == HF_OPERATION_IF_CAS && value->cas != operation->cas)
        return HF_OPERATION_MISMATCH;
    bool expires = operation->kind == HF_OPERATION_EXPIRE;
    return expires && !expiry_fits(run, value->deadline_ms) ? HF_OPERATION_UNMET : HF_OPERATION_OK;
}

/* Conditions on what is there, and the old value. OK: go on. What the store's own functions check
 * is left to them. */
static enum hf_operation_status prepare(const struct run *run)
{
    const struct hf_operation *operation = run->operation;
    bool old = operation->flags & HF_OPERATION_OLD_VALUE;
    bool has_when =
        operation->when == HF_OPERATION_IF_EQUAL || operation->when == HF_OPERATION_IF_CAS;
    if (!old && !has_when && operation->kind != HF_OPERATION_EXPIRE)
        return HF_OPERATION_OK;
    struct hf_store_value value;
    enum hf_store_status status = look(run, &value);
    if (status == HF_STORE_MISSING)
        return has_when || operation->kind != HF_OPERATION_SET ? HF_OPERATION_MISSING
                                                               : HF_OPERATION_OK;
    if (status != HF_STORE_OK)
        return status_of(status);
    enum hf_operation_status verdict = judge(run, &value);
    if (!old || verdict == HF_OPERATION_WRONG_TYPE)
        return verdict;
    tell_value(run->result, &value);
    enum hf_operation_status kept = keep_value(run);
    return verdict == HF_OPERATION_OK ? kept : verdict;
}

/* ---- strings ---- */

static enum hf_operation_status get(const struct run *run)
{
    struct hf_store_value value;
    enum hf_store_status status = look(run, &value);
    if (status != HF_STORE_OK)
        return status_of(status);
    tell_value(run->result, &value);
    if (run->operation->flags & HF_OPERATION_NO_VALUE)
        run->result->value = hf_slice(NULL, 0);
    return HF_OPERATION_OK;
}

static enum hf_operation_status set(const struct run *run)
{
    const struct hf_operation *operation = run->operation;
    enum hf_operation_status ready = prepare(run);
    if (ready != HF_OPERATION_OK)
        return ready;
    static const uint8_t whens[HF_OPERATION_WHENS] = {
        [HF_OPERATION_ALWAYS] = HF_STORE_ALWAYS,
        [HF_OPERATION_IF_NEW] = HF_STORE_IF_NEW,
        [HF_OPERATION_IF_EXISTS] = HF_STORE_IF_EXISTS,
        /* judged already */
        [HF_OPERATION_IF_CAS] = HF_STORE_ALWAYS,
        [HF_OPERATION_IF_EQUAL] = HF_STORE_ALWAYS,
    };
    struct hf_store_set how = {
        .value = operation->value,
        .flags = operation->client_flags,
        .when = (enum hf_store_when)whens[operation->when],
        .keep_deadline = operation->flags & HF_OPERATION_KEEP_DEADLINE,
        .deadline_ms = operation->deadline_ms,
        .keep_flags = operation->flags & HF_OPERATION_KEEP_FLAGS,
    };
    if (how.keep_deadline)
        how.deadline_ms = HF_DEADLINE_NEVER;
    return status_of(
        hf_store_set(run->context->store, &operation->key, &how, &run->write, run->change));
}

/* A lock's end is no session's. */
static uint64_t tomb_ms(const struct run *run)
{
    return run->operation->key.satellite ? 0 : run->context->tomb_ms;
}

static enum hf_operation_status delete (const struct run *run) {
    enum hf_operation_status ready = prepare(run); if (ready != HF_OPERATION_OK) return ready;
    struct hf_store_delete how = {.tomb_ms = tomb_ms(run)};
    return status_of(hf_store_delete(run->context->store, &run->operation->key, &how, &run->write,
                                     run->change));
}

static enum hf_operation_status move_deadline(const struct run *run)
{
    return status_of(hf_store_expire(run->context->store, &run->operation->key,
                                     run->operation->deadline_ms, &run->write, run->change));
}

static enum hf_operation_status expire(const struct run *run)
{
    enum hf_operation_status ready = prepare(run);
    if (ready == HF_OPERATION_OK)
        ready = move_deadline(run);
    bool old = run->operation->flags & HF_OPERATION_OLD_VALUE;
    if (ready == HF_OPERATION_OK && old) /* the value's deadline is the one it has from now on */
        run->result->deadline_ms = hf_deadline_clamp(run->operation->deadline_ms);
    return ready;
}

/* Two changes as one: from what the first began with to what the second left. */
static void join_changes(const struct hf_store_change *first, struct hf_store_change *second)
{
    second->base = first->base;
    second->created_record |= first->created_record;
    second->created_key |= first->created_key;
    bool gone = second->effect == HF_STORE_GONE || second->effect == HF_STORE_REMOVED;
    if (gone || first->effect == HF_STORE_NOTHING)
        return;
    second->effect = first->effect;
}

/* The deadline that EXTEND and ADD give: to a key that they made, or by TOUCH. */
static enum hf_operation_status then_touch(const struct run *run)
{
    const struct hf_operation *operation = run->operation;
    struct hf_store_change first = *run->change;
    bool created = first.created_key && operation->deadline_ms != HF_DEADLINE_NEVER;
    if (!created && !(operation->flags & HF_OPERATION_TOUCH))
        return HF_OPERATION_OK;
    enum hf_operation_status status = move_deadline(run);
    if (status != HF_OPERATION_OK) { /* it was not seen: the value is what counts */
        *run->change = first;
        return HF_OPERATION_OK;
    }
    join_changes(&first, run->change);
    return HF_OPERATION_OK;
}

static enum hf_operation_status extend(const struct run *run)
{
    const struct hf_operation *operation = run->operation;
    enum hf_operation_status ready = prepare(run);
    if (ready != HF_OPERATION_OK)
        return ready;
    struct hf_store_extend how = {.bytes = operation->value,
                                  .end = (enum hf_store_end)operation->end,
                                  .create = operation->flags & HF_OPERATION_CREATE};
    enum hf_store_status status =
        hf_store_extend(run->context->store, &operation->key, &how, &run->write, run->change);
    if (status != HF_STORE_OK)
        return status_of(status);
    struct hf_store_value value;
    if (look(run, &value) == HF_STORE_OK)
        run->result->number = value.bytes.size;
    return then_touch(run);
}

static enum hf_operation_status add(const struct run *run)
{
    const struct hf_operation *operation = run->operation;
    enum hf_operation_status ready = prepare(run);
    if (ready != HF_OPERATION_OK)
        return ready;
    struct hf_store_add how = {.sum = (enum hf_store_sum)operation->sum,
                               .amount = operation->amount,
                               .create = operation->flags & HF_OPERATION_CREATE,
                               .initial = operation->initial,
                               .deadline_ms = HF_DEADLINE_NEVER};
    enum hf_store_status status =
        hf_store_add(run->context->store, &operation->key, &how, &run->write, run->change);
    if (status != HF_STORE_OK)
        return status_of(status);
    run->result->number = how.result;
    return then_touch(run);
}

/* ---- hashes ---- */

static enum hf_operation_status hash_read(const struct run *run)
{
    struct hf_store_value value;
    enum hf_store_status status = look(run, &value);
    if (status != HF_STORE_OK)
        return status_of(status);
    if (value.kind != HF_STORE_HASH)
        return HF_OPERATION_WRONG_TYPE;
    tell_value(run->result, &value);
    if (run->operation->kind == HF_OPERATION_HASH_GET)
        run->result->field_count = run->operation->field_count;
    run->result->fields = (struct hf_operation_fields){
        .store = run->context->store, .operation = run->operation, .now_ms = run->write.now_ms};
    return HF_OPERATION_OK;
}

static enum hf_operation_status hash_set(const struct run *run)
{
    const struct hf_operation *operation = run->operation;
    uint32_t pairs = operation->field_count / 2;
    struct hf_store_field *fields =
        (void *)hf_bytes_renew(run->context->scratch, (size_t)(pairs + 1) * sizeof(*fields));
    if (fields == NULL)
        return HF_OPERATION_FULL;
    for (uint32_t i = 0; i < pairs; i++)
        fields[i] = (struct hf_store_field){operation->fields[2 * i], operation->fields[2 * i + 1]};
    struct hf_store_hash_set how = {
        .fields = fields, .field_count = pairs, .only_new = operation->when == HF_OPERATION_IF_NEW};
    enum hf_store_status status =
        hf_store_hash_set(run->context->store, &operation->key, &how, &run->write, run->change);
    run->result->number = how.created;
    return status_of(status);
}

static enum hf_operation_status hash_delete(const struct run *run)
{
    const struct hf_operation *operation = run->operation;
    struct hf_store_hash_delete how = {.fields = operation->fields,
                                       .field_count = operation->field_count,
                                       .tomb_ms = tomb_ms(run)};
    enum hf_store_status status =
        hf_store_hash_delete(run->context->store, &operation->key, &how, &run->write, run->change);
    run->result->number = how.deleted;
    return status_of(status);
}

static enum hf_operation_status hash_add(const struct run *run)
{
    const struct hf_operation *operation = run->operation;
    struct hf_store_add how = {.sum = HF_STORE_SIGNED, .amount = operation->amount};
    enum hf_store_status status = hf_store_hash_add(
        run->context->store, &operation->key, operation->fields[0], &how, &run->write, run->change);
    run->result->number = how.result;
    return status_of(status);
}

/* ---- renaming ---- */

static enum hf_operation_status dump(const struct run *run)
{
    const struct hf_operation *operation = run->operation;
    struct hf_bytes *scratch = run->context->scratch;
    enum hf_operation_status status = get(run);
    if (status != HF_OPERATION_OK)
        return status;
    struct hf_blob_out out = {.bytes = scratch->bytes, .room = scratch->room};
    enum hf_store_status encoded =
        hf_blob_encode(run->context->store, &operation->key, HF_BLOB_KEY, run->write.now_ms, &out);
    if (encoded == HF_STORE_TOO_LARGE) {
        out = (struct hf_blob_out){.bytes = hf_bytes_renew(scratch, out.size), .room = out.size};
        if (out.bytes == NULL)
            return HF_OPERATION_FULL;
        encoded = hf_blob_encode(run->context->store, &operation->key, HF_BLOB_KEY,
                                 run->write.now_ms, &out);
    }
    run->result->value = hf_slice(out.bytes, out.size);
    return status_of(encoded);
}

static enum hf_operation_status restore(const struct run *run)
{
    struct hf_blob_put put = {.blob = run->operation->value,
                              .base_ms = run->write.now_ms,
                              .only_new = run->operation->when == HF_OPERATION_IF_NEW};
    return status_of(
        hf_blob_put(run->context->store, &run->operation->key, &put, &run->write, run->change));
}

void hf_operation_execute(const struct hf_operation_context *context,
                          const struct hf_operation *operation,
                          struct hf_operation_result *ret_result,
                          struct hf_store_change *ret_change)
{
    static enum hf_operation_status (*const functions[HF_OPERATION_KINDS])(const struct run *) = {
        [HF_OPERATION_GET] = get,
        [HF_OPERATION_SET] = set,
        [HF_OPERATION_DELETE] = delete,
        [HF_OPERATION_EXPIRE] = expire,
        [HF_OPERATION_EXTEND] = extend,
        [HF_OPERATION_ADD] = add,
        [HF_OPERATION_HASH_GET] = hash_read,
        [HF_OPERATION_HASH_ALL] = hash_read,
        [HF_OPERATION_HASH_SET] = hash_set,
        [HF_OPERATION_HASH_DELETE] = hash_delete,
        [HF_OPERATION_HASH_ADD] = hash_add,
        [HF_OPERATION_DUMP] = dump,
        [HF_OPERATION_RESTORE] = restore,
    };
    REQUIRE(operation->kind < HF_OPERATION_KINDS && operation->when < HF_OPERATION_WHENS);
    struct run run = {context, operation, context->write, ret_result, ret_change};
    run.write.reuse_tomb = !(operation->flags & HF_OPERATION_STRICT);
    *ret_result = hf_operation_failed(HF_OPERATION_OK);
    *ret_change = (struct hf_store_change){.effect = HF_STORE_NOTHING};
    ret_result->status = (uint8_t)functions[operation->kind](&run);
    if (ret_result->status == HF_OPERATION_OK && hf_operation_writes(operation)) {
        ret_result->created = ret_change->created_key;
        ret_result->cas = ret_change->cas;
    }
}
