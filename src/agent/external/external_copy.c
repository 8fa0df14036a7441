/* The agent's copy of a key: from what the store answered, and to what is asked of the store. */
#include "agent/external/external_internal.h"
#include "base/assert.h"
#include "base/hash.h"
#include <stdlib.h>

bool hf_external_copy_get(const struct hf_external_key *key, struct hf_store_value *ret_value)
{
    return hf_store_get(key->external->settings.store, &key->key, hf_external_now_ms(key->external),
                        ret_value) == HF_STORE_OK;
}

/* ---- digests ---- */

static uint64_t seed_of(const struct hf_external *external)
{
    uint64_t seed;
    memcpy(&seed, external->settings.hash_key, sizeof(seed));
    return seed;
}

static uint64_t string_digest(uint64_t seed, struct hf_slice bytes, uint32_t flags)
{
    return hf_hash64(bytes, seed ^ flags) | 1;
}

/* Of a field; a hash's is their sum, for they are in no order. */
static uint64_t field_digest(uint64_t seed, struct hf_slice name, struct hf_slice value)
{
    return hf_hash_mix(hf_hash64(name, seed), hf_hash64(value, ~seed));
}

uint64_t hf_external_copy_digest(const struct hf_external_key *key)
{
    const struct hf_external *external = key->external;
    uint64_t seed = seed_of(external), sum = 0, now_ms = hf_external_now_ms(external);
    struct hf_store_value value;
    struct hf_store_cursor cursor = {0};
    struct hf_store_field field;
    if (!hf_external_copy_get(key, &value))
        return 0;
    if (value.kind == HF_STORE_STRING)
        return string_digest(seed, value.bytes, value.flags);
    while (hf_store_hash_next(external->settings.store, &key->key, now_ms, &cursor, &field))
        sum += field_digest(seed, field.name, field.value);
    return sum | 1;
}

uint64_t hf_external_result_digest(const struct hf_external *external,
                                   const struct hf_remote_result *result)
{
    struct hf_remote_result walk = *result;
    struct hf_slice name, value;
    uint64_t seed = seed_of(external), sum = 0;
    if (result->status != HF_REMOTE_OK)
        return 0;
    if (!result->hash)
        return string_digest(seed, result->value, result->client_flags);
    while (hf_remote_next_field(&walk, &name, &value))
        sum += field_digest(seed, name, value);
    return sum | 1;
}

/* ---- from the store ---- */

static enum hf_operation_status status_of(enum hf_store_status status)
{
    switch (status) {
    case HF_STORE_OK:
    case HF_STORE_TOMBSTONE: /* it was deleted here, and its id is never used again */
    case HF_STORE_MISSING:
        return HF_OPERATION_OK;
    case HF_STORE_TOO_LARGE:
        return HF_OPERATION_TOO_LARGE;
    case HF_STORE_TOO_MANY:
        return HF_OPERATION_TOO_MANY;
    case HF_STORE_NOT_OWNER:
    case HF_STORE_EXISTS:
    case HF_STORE_MISMATCH:
    case HF_STORE_WRONG_TYPE:
    case HF_STORE_NOT_NUMBER:
    case HF_STORE_OVERFLOW:
    case HF_STORE_FULL:
    case HF_STORE_OLDER:
    case HF_STORE_NO_BASE:
    case HF_STORE_BAD:
        break;
    }
    return HF_OPERATION_FULL;
}

static struct hf_store_write write_of(const struct hf_external_key *key)
{
    return (struct hf_store_write){.now_ms = hf_external_now_ms(key->external),
                                   .fresh = {1, 0, 1},
                                   .reuse_tomb = !key->strict};
}

static void drop(const struct hf_external_key *key)
{
    const struct hf_store_delete how = {0};
    struct hf_store_write write = write_of(key);
    struct hf_store_change change;
    (void)hf_store_delete(key->external->settings.store, &key->key, &how, &write, &change);
}

static enum hf_store_status put_string(const struct hf_external_key *key,
                                       const struct hf_remote_result *result, uint64_t deadline_ms)
{
    const struct hf_store_set set = {
        .value = result->value, .flags = result->client_flags, .deadline_ms = deadline_ms};
    struct hf_store_write write = write_of(key);
    struct hf_store_change change;
    return hf_store_set(key->external->settings.store, &key->key, &set, &write, &change);
}

static enum hf_store_status put_hash(const struct hf_external_key *key,
                                     struct hf_remote_result *result, uint64_t deadline_ms)
{
    struct hf_store *store = key->external->settings.store;
    struct hf_store_write write = write_of(key);
    struct hf_store_change change;
    enum hf_store_status status = HF_STORE_OK;
    if (hf_external_copy_digest(key) != hf_external_result_digest(key->external, result)) {
        uint32_t count = 0;
        struct hf_store_field *fields = result->field_count <= HF_STORE_HASH_FIELDS_MAX
                                            ? calloc(result->field_count, sizeof(*fields))
                                            : NULL;
        if (fields == NULL)
            return HF_STORE_TOO_MANY;
        while (count < HF_STORE_HASH_FIELDS_MAX &&
               hf_remote_next_field(result, &fields[count].name, &fields[count].value))
            count++;
        struct hf_store_hash_set set = {.fields = fields, .field_count = count};
        drop(key);
        status = hf_store_hash_set(store, &key->key, &set, &write, &change);
        free(fields);
    }
    if (status == HF_STORE_OK)
        (void)hf_store_expire(store, &key->key, deadline_ms, &write, &change);
    return status;
}

enum hf_operation_status hf_external_copy_put(const struct hf_external_key *key,
                                              struct hf_remote_result *result)
{
    uint64_t now_ms = hf_external_now_ms(key->external);
    uint64_t deadline_ms = result->ttl_ms == HF_REMOTE_NEVER
                               ? HF_DEADLINE_NEVER
                               : hf_deadline_after(now_ms, result->ttl_ms);
    if (result->status == HF_REMOTE_MISSING) {
        drop(key);
        return HF_OPERATION_OK;
    }
    enum hf_store_status status =
        result->hash ? put_hash(key, result, deadline_ms) : put_string(key, result, deadline_ms);
    if (status_of(status) != HF_OPERATION_OK)
        drop(key); /* what is held is another one */
    return status_of(status);
}

/* ---- to the store ---- */

static void send_hash(struct hf_external_key *key, const struct hf_store_value *value,
                      struct hf_remote_request *request)
{
    struct hf_external *external = key->external;
    struct hf_slice *slices = calloc((size_t)value->field_count * 2 + 1, sizeof(*slices));
    struct hf_store_cursor cursor = {0};
    struct hf_store_field field;
    uint64_t now_ms = hf_external_now_ms(external);
    if (slices == NULL) {
        struct hf_remote_result result = {.status = HF_REMOTE_DOWN};
        key->remote.complete(&key->remote, &result);
        return;
    }
    while (request->field_count < 2 * value->field_count &&
           hf_store_hash_next(external->settings.store, &key->key, now_ms, &cursor, &field)) {
        slices[request->field_count++] = field.name;
        slices[request->field_count++] = field.value;
    }
    request->hash = true;
    request->fields = slices;
    hf_remote_submit(external->remote, &key->remote, request);
    free(slices);
}

void hf_external_copy_send(struct hf_external_key *key, uint8_t when)
{
    struct hf_external *external = key->external;
    struct hf_store_value value;
    uint64_t now_ms = hf_external_now_ms(external);
    struct hf_remote_request request = {.kind = HF_REMOTE_DELETE,
                                        .token = key->token,
                                        .key = hf_slice(key->text, key->size),
                                        .ttl_ms = HF_REMOTE_NEVER};
    bool there = hf_external_copy_get(key, &value);
    if (there) {
        request.kind = HF_REMOTE_PUT;
        request.when = when;
        request.client_flags = value.flags;
        if (value.deadline_ms != HF_DEADLINE_NEVER)
            request.ttl_ms = value.deadline_ms - now_ms;
        request.value = value.bytes;
    }
    if (there && value.kind == HF_STORE_HASH)
        send_hash(key, &value, &request);
    else
        hf_remote_submit(external->remote, &key->remote, &request);
}
