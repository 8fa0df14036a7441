/* Operations and results as bytes; all numbers little-endian.
 *
 * An operation:
 *   format u8, kind u8, when u8, end u8, sum u8, satellite u8, prefix size u8, suffix size u8,
 *   flags u16, id size u16, client flags u32, value size u32, match size u32, field count u32,
 *   cas u64, deadline i64 (time left; all ones but the sign: never), amount u64, initial u64,
 *   then id, prefix, suffix, value, match, and each field as size u32, bytes.
 * A result:
 *   format u8, status u8, bits u8 (1: has a value, 2: created), value kind u8, client flags u32,
 *   field count u32, value size u32, cas u64, deadline i64, size of the whole value u64, number
 *   u64, then the value, and each field as present u8, name size u32, value size u32, name, value.
 */
#include "agent/operation_internal.h"
#include "base/assert.h"
#include <endian.h>

enum {
    HAS_VALUE = 1,
    CREATED = 2,
    FIELD_HEAD = 9, /* of a result's field, before its texts */
};

/* ---- writing ---- */

static void put(struct hf_writer *writer, uint64_t number, size_t size)
{
    uint64_t little = htole64(number);
    hf_writer_bytes(writer, (const char *)&little, size);
}

static uint64_t time_left(uint64_t deadline_ms, uint64_t now_ms)
{
    return deadline_ms == HF_DEADLINE_NEVER ? INT64_MAX : deadline_ms - now_ms;
}

static void put_texts(struct hf_writer *writer, const struct hf_operation *operation)
{
    hf_writer_slice(writer, operation->key.id);
    hf_writer_slice(writer, operation->key.prefix);
    hf_writer_slice(writer, operation->key.suffix);
    hf_writer_slice(writer, operation->value);
    hf_writer_slice(writer, operation->match);
    for (uint32_t i = 0; i < operation->field_count; i++) {
        put(writer, operation->fields[i].size, sizeof(uint32_t));
        hf_writer_slice(writer, operation->fields[i]);
    }
}

void hf_operation_encode(const struct hf_operation *operation, uint64_t now_ms,
                         struct hf_writer *writer)
{
    const struct hf_store_key *key = &operation->key;
    REQUIRE(key->id.size <= HF_STORE_ID_MAX && key->prefix.size <= HF_STORE_AFFIX_MAX &&
            key->suffix.size <= HF_STORE_AFFIX_MAX);
    const uint8_t head[] = {
        HF_OPERATION_FORMAT, operation->kind, operation->when,           operation->end,
        operation->sum,      key->satellite,  (uint8_t)key->prefix.size, (uint8_t)key->suffix.size,
    };
    hf_writer_bytes(writer, (const char *)head, sizeof(head));
    put(writer, operation->flags, sizeof(uint16_t));
    put(writer, key->id.size, sizeof(uint16_t));
    put(writer, operation->client_flags, sizeof(uint32_t));
    put(writer, operation->value.size, sizeof(uint32_t));
    put(writer, operation->match.size, sizeof(uint32_t));
    put(writer, operation->field_count, sizeof(uint32_t));
    put(writer, operation->cas, sizeof(uint64_t));
    put(writer, time_left(operation->deadline_ms, now_ms), sizeof(uint64_t));
    put(writer, operation->amount, sizeof(uint64_t));
    put(writer, operation->initial, sizeof(uint64_t));
    put_texts(writer, operation);
}

void hf_operation_encode_result(const struct hf_operation_result *result, uint64_t now_ms,
                                struct hf_writer *writer)
{
    bool has_fields = result->fields.store != NULL || result->fields.encoded.size > 0;
    uint8_t bits = (uint8_t)((result->has_value ? HAS_VALUE : 0) | (result->created ? CREATED : 0));
    const uint8_t head[] = {HF_OPERATION_FORMAT, result->status, bits, result->value_kind};
    hf_writer_bytes(writer, (const char *)head, sizeof(head));
    put(writer, result->client_flags, sizeof(uint32_t));
    put(writer, result->field_count, sizeof(uint32_t));
    put(writer, result->value.size, sizeof(uint32_t));
    put(writer, result->cas, sizeof(uint64_t));
    put(writer, time_left(result->deadline_ms, now_ms), sizeof(uint64_t));
    put(writer, result->value_size, sizeof(uint64_t));
    put(writer, result->number, sizeof(uint64_t));
    hf_writer_slice(writer, result->value);
    struct hf_operation_cursor cursor = {0};
    struct hf_operation_field field;
    while (has_fields && hf_operation_next_field(result, &cursor, &field)) {
        put(writer, field.present, sizeof(uint8_t));
        put(writer, field.name.size, sizeof(uint32_t));
        put(writer, field.value.size, sizeof(uint32_t));
        hf_writer_slice(writer, field.name);
        hf_writer_slice(writer, field.value);
    }
}

/* ---- reading: once something is missing, everything is empty and `short_of` stays ---- */

struct reader {
    const char *at, *end;
    bool short_of;
};

static struct hf_slice take_bytes(struct reader *reader, size_t size)
{
    if (reader->short_of || size > (size_t)(reader->end - reader->at)) {
        reader->short_of = true;
        return hf_slice(NULL, 0);
    }
    struct hf_slice bytes = hf_slice(reader->at, size);
    reader->at += size;
    return bytes;
}

static uint64_t take(struct reader *reader, size_t size)
{
    struct hf_slice bytes = take_bytes(reader, size);
    uint64_t little = 0;
    if (bytes.size > 0)
        memcpy(&little, bytes.bytes, bytes.size);
    return le64toh(little);
}

static uint64_t take_deadline(struct reader *reader, uint64_t now_ms)
{
    int64_t left_ms = (int64_t)take(reader, sizeof(uint64_t));
    if (left_ms == INT64_MAX)
        return HF_DEADLINE_NEVER;
    if (left_ms < 0) { /* it was due when it was sent */
        uint64_t ago_ms = 0 - (uint64_t)left_ms;
        return ago_ms < now_ms ? now_ms - ago_ms : 0;
    }
    return hf_deadline_after(now_ms, (uint64_t)left_ms);
}

static bool is_done(const struct reader *reader)
{
    return !reader->short_of && reader->at == reader->end;
}

static bool is_kind_complete(const struct hf_operation *operation)
{
    switch ((enum hf_operation_kind)operation->kind) {
    case HF_OPERATION_HASH_GET:
    case HF_OPERATION_HASH_DELETE:
        return operation->field_count > 0;
    case HF_OPERATION_HASH_SET:
        return operation->field_count > 0 && operation->field_count % 2 == 0;
    case HF_OPERATION_HASH_ADD:
        return operation->field_count == 1;
    case HF_OPERATION_GET:
    case HF_OPERATION_SET:
    case HF_OPERATION_DELETE:
    case HF_OPERATION_EXPIRE:
    case HF_OPERATION_EXTEND:
    case HF_OPERATION_ADD:
    case HF_OPERATION_HASH_ALL:
    case HF_OPERATION_DUMP:
    case HF_OPERATION_RESTORE:
        return operation->field_count == 0;
    case HF_OPERATION_KINDS:
        break;
    }
    return false;
}

static bool is_head_valid(const struct hf_operation *operation, const uint8_t *head)
{
    return head[0] == HF_OPERATION_FORMAT && operation->kind < HF_OPERATION_KINDS &&
           operation->when < HF_OPERATION_WHENS && operation->end <= HF_STORE_PREPEND &&
           operation->sum <= HF_STORE_DECREASE && head[5] <= 1 &&
           (operation->flags & ~HF_OPERATION_FLAGS) == 0;
}

static void take_texts(struct reader *reader, const uint8_t *head, const uint64_t sizes[3],
                       struct hf_operation *operation)
{
    operation->key.satellite = head[5];
    operation->key.id = take_bytes(reader, sizes[0]);
    operation->key.prefix = take_bytes(reader, head[6]);
    operation->key.suffix = take_bytes(reader, head[7]);
    operation->value = take_bytes(reader, sizes[1]);
    operation->match = take_bytes(reader, sizes[2]);
}

bool hf_operation_decode(struct hf_slice bytes, uint64_t now_ms,
                         const struct hf_operation_room *room, struct hf_operation *ret_operation)
{
    struct reader reader = {bytes.bytes, bytes.bytes + bytes.size, false};
    struct hf_slice start = take_bytes(&reader, 8);
    if (reader.short_of)
        return false;
    const uint8_t *head = (const uint8_t *)start.bytes;
    struct hf_operation operation = {
        .kind = head[1], .when = head[2], .end = head[3], .sum = head[4]};
    uint64_t sizes[3];
    operation.flags = (uint16_t)take(&reader, sizeof(uint16_t));
    sizes[0] = take(&reader, sizeof(uint16_t));
    operation.client_flags = (uint32_t)take(&reader, sizeof(uint32_t));
    sizes[1] = take(&reader, sizeof(uint32_t));
    sizes[2] = take(&reader, sizeof(uint32_t));
    operation.field_count = (uint32_t)take(&reader, sizeof(uint32_t));
    operation.cas = take(&reader, sizeof(uint64_t));
    operation.deadline_ms = take_deadline(&reader, now_ms);
    operation.amount = take(&reader, sizeof(uint64_t));
    operation.initial = take(&reader, sizeof(uint64_t));
    if (!is_head_valid(&operation, head) || !is_kind_complete(&operation) || sizes[0] == 0 ||
        sizes[0] > HF_STORE_ID_MAX || operation.field_count > room->field_room)
        return false;
    take_texts(&reader, head, sizes, &operation);
    for (uint32_t i = 0; i < operation.field_count && !reader.short_of; i++)
        room->fields[i] = take_bytes(&reader, take(&reader, sizeof(uint32_t)));
    operation.fields = operation.field_count > 0 ? room->fields : NULL;
    if (!is_done(&reader))
        return false;
    *ret_operation = operation;
    return true;
}

static struct hf_operation_field take_field(struct reader *reader, bool *ret_valid)
{
    uint64_t present = take(reader, sizeof(uint8_t));
    uint64_t name_size = take(reader, sizeof(uint32_t));
    uint64_t value_size = take(reader, sizeof(uint32_t));
    struct hf_operation_field field = {.present = present == 1};
    field.name = take_bytes(reader, name_size);
    field.value = take_bytes(reader, value_size);
    *ret_valid = !reader->short_of && present <= 1 && (present == 1 || value_size == 0);
    return field;
}

/* As many fields as were promised, each well-formed, and nothing behind them. */
static bool are_fields_valid(struct hf_slice encoded, uint32_t count)
{
    struct reader reader = {encoded.bytes, encoded.bytes + encoded.size, false};
    if (count > encoded.size / FIELD_HEAD)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        bool valid;
        (void)take_field(&reader, &valid);
        if (!valid)
            return false;
    }
    return is_done(&reader);
}

bool hf_operation_next_encoded(const struct hf_operation_result *result,
                               struct hf_operation_cursor *cursor,
                               struct hf_operation_field *ret_field)
{
    struct hf_slice encoded = result->fields.encoded;
    if (cursor->at >= encoded.size)
        return false;
    struct reader reader = {encoded.bytes + cursor->at, encoded.bytes + encoded.size, false};
    bool valid;
    *ret_field = take_field(&reader, &valid);
    REQUIRE(valid);
    cursor->at = (size_t)(reader.at - encoded.bytes);
    return true;
}

bool hf_operation_decode_result(struct hf_slice bytes, uint64_t now_ms,
                                struct hf_operation_result *ret_result)
{
    struct reader reader = {bytes.bytes, bytes.bytes + bytes.size, false};
    struct hf_slice start = take_bytes(&reader, 4);
    if (reader.short_of)
        return false;
    const uint8_t *head = (const uint8_t *)start.bytes;
    struct hf_operation_result result = {.status = head[1],
                                         .has_value = head[2] & HAS_VALUE,
                                         .created = head[2] & CREATED,
                                         .value_kind = head[3]};
    result.client_flags = (uint32_t)take(&reader, sizeof(uint32_t));
    result.field_count = (uint32_t)take(&reader, sizeof(uint32_t));
    size_t value_size = take(&reader, sizeof(uint32_t));
    result.cas = take(&reader, sizeof(uint64_t));
    result.deadline_ms = take_deadline(&reader, now_ms);
    result.value_size = take(&reader, sizeof(uint64_t));
    result.number = take(&reader, sizeof(uint64_t));
    result.value = take_bytes(&reader, value_size);
    if (reader.short_of || head[0] != HF_OPERATION_FORMAT ||
        result.status >= HF_OPERATION_STATUS_COUNT || head[2] > (HAS_VALUE | CREATED) ||
        result.value_kind > HF_STORE_HASH)
        return false;
    result.fields.encoded = hf_slice(reader.at, (size_t)(reader.end - reader.at));
    /* what only tells how many fields a hash has, has none behind it */
    if (result.fields.encoded.size > 0 &&
        !are_fields_valid(result.fields.encoded, result.field_count))
        return false;
    *ret_result = result;
    return true;
}
