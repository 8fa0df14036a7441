#include "fabric/wire.h"
#include "base/assert.h"

enum field {
    FIELD_END,
    FIELD_PROTOCOLS,
    FIELD_LIST,
    FIELD_NODE,
    FIELD_INCARNATION,
    FIELD_NONCE,
    FIELD_STATUS,
    FIELD_TIMES,
    FIELD_FLAGS,
    FIELD_WEIGHT,
    FIELD_VIEW,
    FIELD_NUMBER,
    FIELD_BYTES,
    FIELD_LANES,
    FIELD_ID,
    FIELD_STATE,
    FIELD_VERSION,
    FIELD_BASE,
    FIELD_REMAINING,
    FIELD_KIND,
    FIELD_ASKED,
};

enum { FIELDS_MAX = 10, ENTRY_FIXED_SIZE = 2 + 1 + 2 + 12, SUM_SIZE = 2 + 8 };

#define PROTOCOLS FIELD_PROTOCOLS
#define LIST FIELD_LIST
#define NODE FIELD_NODE
#define INCARNATION FIELD_INCARNATION
#define NONCE FIELD_NONCE
#define STATUS FIELD_STATUS
#define TIMES FIELD_TIMES
#define FLAGS FIELD_FLAGS
#define WEIGHT FIELD_WEIGHT
#define VIEW FIELD_VIEW
#define NUMBER FIELD_NUMBER
#define BYTES FIELD_BYTES
#define LANES FIELD_LANES
#define ID FIELD_ID
#define STATE FIELD_STATE
#define VERSION FIELD_VERSION
#define BASE FIELD_BASE
#define REMAINING FIELD_REMAINING
#define KIND FIELD_KIND
#define ASKED FIELD_ASKED
static const struct {
    const char *name;
    uint8_t fields[FIELDS_MAX]; /* ended by FIELD_END */
} layouts[HF_WIRE_TYPES_MAX] = {
#define HF_WIRE_MESSAGE(name, number, ...) [number] = {#name, {__VA_ARGS__}},
#include "fabric/wire_messages.def"
#undef HF_WIRE_MESSAGE
};

struct cursor { /* over the input or the output; `ok` falls once and stays */
    char *at;
    size_t left;
    bool ok, in_range;
};

static char *take(struct cursor *cursor, size_t size)
{
    if (!cursor->ok || cursor->left < size) {
        cursor->ok = false;
        return NULL;
    }
    char *start = cursor->at;
    cursor->at += size;
    cursor->left -= size;
    return start;
}

static void put(struct cursor *cursor, uint64_t value, unsigned size)
{
    char *at = take(cursor, size);
    for (unsigned i = size; at != NULL && i > 0; i--, value >>= 8)
        at[i - 1] = (char)value;
}

static uint64_t get(struct cursor *cursor, unsigned size)
{
    const unsigned char *at = (const unsigned char *)take(cursor, size);
    uint64_t value = 0;
    for (unsigned i = 0; at != NULL && i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static void put_slice(struct cursor *cursor, struct hf_slice bytes)
{
    char *at = take(cursor, bytes.size);
    if (at != NULL && bytes.size > 0)
        memcpy(at, bytes.bytes, bytes.size);
}

static void put_version(struct cursor *cursor, struct hf_version version)
{
    put(cursor, version.epoch, 4);
    put(cursor, version.sequence, 4);
    put(cursor, version.birth, 4);
}

static struct hf_version get_version(struct cursor *cursor)
{
    struct hf_version version;
    version.epoch = (uint32_t)get(cursor, 4);
    version.sequence = (uint32_t)get(cursor, 4);
    version.birth = (uint32_t)get(cursor, 4);
    return version;
}

static uint8_t get_bounded(struct cursor *cursor, uint8_t most)
{
    uint64_t value = get(cursor, 1);
    cursor->in_range &= value <= most;
    return (uint8_t)value;
}

static struct hf_slice get_id(struct cursor *cursor)
{
    size_t size = (size_t)get(cursor, 2);
    cursor->in_range &= size <= HF_WIRE_ID_MAX;
    const char *at = take(cursor, size);
    return hf_slice(at, at != NULL ? size : 0);
}

static void put_field(struct cursor *to, const struct hf_wire_message *m, enum field field)
{
    switch (field) {
    case FIELD_PROTOCOLS:
        put(to, m->protocol_min, 1);
        return put(to, m->protocol_max, 1);
    case FIELD_TIMES:
        put(to, m->sent_ms, 8);
        return put(to, m->echo_ms, 8);
    case FIELD_LANES:
        put(to, m->lanes[0], 8);
        return put(to, m->lanes[1], 8);
    case FIELD_ID:
        put(to, m->id.size, 2);
        return put_slice(to, m->id);
    case FIELD_NONCE:
        return put_slice(to, hf_slice((const char *)m->nonce, HF_WIRE_NONCE_SIZE));
    case FIELD_LIST:
        return put(to, m->list, 8);
    case FIELD_NODE:
        return put(to, m->node, 2);
    case FIELD_INCARNATION:
        return put(to, m->incarnation, 8);
    case FIELD_STATUS:
        return put(to, m->status, 1);
    case FIELD_FLAGS:
        return put(to, m->flags, 1);
    case FIELD_WEIGHT:
        return put(to, m->weight, 2);
    case FIELD_VIEW:
        return put(to, m->view, 8);
    case FIELD_NUMBER:
        return put(to, m->number, 8);
    case FIELD_STATE:
        return put(to, m->state, 1);
    case FIELD_KIND:
        return put(to, m->kind, 1);
    case FIELD_VERSION:
        return put_version(to, m->version);
    case FIELD_BASE:
        return put_version(to, m->base);
    case FIELD_REMAINING:
        return put(to, m->remaining_ms, 8);
    case FIELD_ASKED:
        return put(to, m->asked_ms, 8);
    case FIELD_BYTES:
        return put_slice(to, m->bytes);
    case FIELD_END:
        break;
    }
    REQUIRE(!"a layout names fields only");
}

static void get_pair(struct cursor *from, uint64_t *ret_first, uint64_t *ret_second)
{
    *ret_first = get(from, 8);
    *ret_second = get(from, 8);
}

static void get_nonce(struct cursor *from, struct hf_wire_message *m)
{
    const char *at = take(from, HF_WIRE_NONCE_SIZE);
    if (at != NULL)
        memcpy(m->nonce, at, HF_WIRE_NONCE_SIZE);
}

static void get_small(struct cursor *from, struct hf_wire_message *m, enum field field)
{
    if (field == FIELD_STATUS)
        m->status = get_bounded(from, HF_WIRE_STATUS_MAX);
    else if (field == FIELD_FLAGS)
        m->flags = get_bounded(from, HF_WIRE_FLAGS_MAX);
    else if (field == FIELD_STATE)
        m->state = get_bounded(from, HF_RECORD_TOMB);
    else if (field == FIELD_KIND)
        m->kind = get_bounded(from, HF_WIRE_KINDS - 1);
    else if (field == FIELD_NODE)
        m->node = (uint16_t)get(from, 2);
    else
        m->weight = (uint16_t)get(from, 2);
}

static void get_field(struct cursor *from, struct hf_wire_message *m, enum field field)
{
    switch (field) {
    case FIELD_PROTOCOLS:
        m->protocol_min = get_bounded(from, UINT8_MAX);
        m->protocol_max = get_bounded(from, UINT8_MAX);
        return;
    case FIELD_TIMES:
        return get_pair(from, &m->sent_ms, &m->echo_ms);
    case FIELD_LANES:
        return get_pair(from, &m->lanes[0], &m->lanes[1]);
    case FIELD_ID:
        m->id = get_id(from);
        return;
    case FIELD_NONCE:
        return get_nonce(from, m);
    case FIELD_LIST:
        m->list = get(from, 8);
        return;
    case FIELD_INCARNATION:
        m->incarnation = get(from, 8);
        return;
    case FIELD_VIEW:
        m->view = get(from, 8);
        return;
    case FIELD_NUMBER:
        m->number = get(from, 8);
        return;
    case FIELD_VERSION:
        m->version = get_version(from);
        return;
    case FIELD_BASE:
        m->base = get_version(from);
        return;
    case FIELD_REMAINING:
        m->remaining_ms = get(from, 8);
        return;
    case FIELD_ASKED:
        m->asked_ms = get(from, 8);
        return;
    case FIELD_BYTES:
        m->bytes = hf_slice(from->at, from->left);
        take(from, from->left);
        return;
    case FIELD_STATUS:
    case FIELD_FLAGS:
    case FIELD_STATE:
    case FIELD_KIND:
    case FIELD_NODE:
    case FIELD_WEIGHT:
        return get_small(from, m, field);
    case FIELD_END:
        break;
    }
    REQUIRE(!"a layout names fields only");
}

const char *hf_wire_name(unsigned type)
{
    return type < HF_WIRE_TYPES_MAX ? layouts[type].name : NULL;
}

size_t hf_wire_size(const struct hf_wire_message *message)
{
    static const uint8_t sizes[] = {
        [FIELD_PROTOCOLS] = 2, [FIELD_LIST] = 8,      [FIELD_NODE] = 2,   [FIELD_INCARNATION] = 8,
        [FIELD_NONCE] = 32,    [FIELD_STATUS] = 1,    [FIELD_TIMES] = 16, [FIELD_FLAGS] = 1,
        [FIELD_WEIGHT] = 2,    [FIELD_VIEW] = 8,      [FIELD_NUMBER] = 8, [FIELD_BYTES] = 0,
        [FIELD_LANES] = 16,    [FIELD_ID] = 2,        [FIELD_STATE] = 1,  [FIELD_VERSION] = 12,
        [FIELD_BASE] = 12,     [FIELD_REMAINING] = 8, [FIELD_KIND] = 1,   [FIELD_ASKED] = 8,
    };
    size_t size = HF_WIRE_HEAD_SIZE;
    REQUIRE(hf_wire_name(message->type) != NULL);
    for (const uint8_t *field = layouts[message->type].fields; *field != FIELD_END; field++) {
        size += sizes[*field];
        if (*field == FIELD_ID)
            size += message->id.size;
        else if (*field == FIELD_BYTES)
            size += message->bytes.size;
    }
    return size;
}

size_t hf_wire_encode(const struct hf_wire_message *message, char *out, size_t size)
{
    size_t whole = hf_wire_size(message);
    struct cursor to = {out, size, true, true};
    REQUIRE(message->id.size <= HF_WIRE_ID_MAX);
    if (whole > size || whole > UINT32_MAX)
        return 0;
    put(&to, whole - 4, 4);
    put(&to, message->type, 1);
    for (const uint8_t *field = layouts[message->type].fields; *field != FIELD_END; field++)
        put_field(&to, message, (enum field) * field);
    REQUIRE(to.ok && size - to.left == whole);
    return whole;
}

static enum hf_wire_verdict decode_fields(struct cursor *from, struct hf_wire_message *message)
{
    const uint8_t *field = layouts[message->type].fields;
    for (; *field != FIELD_END && from->ok && from->in_range; field++)
        get_field(from, message, (enum field) * field);
    if (!from->in_range)
        return HF_WIRE_RANGE;
    if (!from->ok)
        return HF_WIRE_SHORT;
    return from->left > 0 ? HF_WIRE_LEFT_OVER : HF_WIRE_DONE;
}

bool hf_wire_begin(struct hf_slice beginning, struct hf_wire_message *ret_message)
{
    struct cursor from = {(char *)beginning.bytes, beginning.size, true, true};
    get(&from, 4);
    unsigned type = (unsigned)get(&from, 1);
    if (!from.ok || hf_wire_name(type) == NULL)
        return false;
    *ret_message = (struct hf_wire_message){.type = (enum hf_wire_type)type};
    return decode_fields(&from, ret_message) == HF_WIRE_DONE;
}

enum hf_wire_verdict hf_wire_decode(struct hf_slice input, size_t frame_max,
                                    struct hf_wire_message *ret_message, size_t *ret_used)
{
    struct cursor head = {(char *)input.bytes, input.size, true, true};
    struct hf_wire_message message = {0};
    size_t length = (size_t)get(&head, 4);
    if (!head.ok)
        return HF_WIRE_NEED_MORE;
    if (length > frame_max - 4)
        return HF_WIRE_TOO_LONG;
    if (length == 0)
        return HF_WIRE_SHORT;
    unsigned type = (unsigned)get(&head, 1);
    if (!head.ok)
        return HF_WIRE_NEED_MORE;
    if (hf_wire_name(type) == NULL)
        return HF_WIRE_UNKNOWN;
    if (input.size - 4 < length)
        return HF_WIRE_NEED_MORE;
    struct cursor from = {head.at, length - 1, true, true};
    message.type = (enum hf_wire_type)type;
    enum hf_wire_verdict verdict = decode_fields(&from, &message);
    if (verdict == HF_WIRE_DONE) {
        *ret_message = message;
        *ret_used = length + 4;
    }
    return verdict;
}

bool hf_wire_put_entry(const struct hf_wire_entry *entry, char *out, size_t size, size_t *used)
{
    struct cursor to = {out + *used, size - *used, true, true};
    REQUIRE(entry->id.size <= HF_WIRE_ID_MAX);
    if (to.left < ENTRY_FIXED_SIZE + entry->id.size)
        return false;
    put(&to, entry->id.size, 2);
    put_slice(&to, entry->id);
    put(&to, entry->state, 1);
    put(&to, entry->node, 2);
    put_version(&to, entry->version);
    *used = size - to.left;
    return true;
}

bool hf_wire_get_entry(struct hf_slice *bytes, struct hf_wire_entry *ret_entry, bool *ret_bad)
{
    struct cursor from = {(char *)bytes->bytes, bytes->size, true, true};
    struct hf_wire_entry entry;
    *ret_bad = false;
    if (bytes->size == 0)
        return false;
    entry.id = get_id(&from);
    entry.state = get_bounded(&from, HF_RECORD_TOMB);
    entry.node = (uint16_t)get(&from, 2);
    entry.version = get_version(&from);
    *ret_bad = !from.ok || !from.in_range;
    if (*ret_bad)
        return false;
    *bytes = hf_slice(from.at, from.left);
    *ret_entry = entry;
    return true;
}

bool hf_wire_put_sum(uint16_t bucket, uint64_t sum, char *out, size_t size, size_t *used)
{
    struct cursor to = {out + *used, size - *used, true, true};
    if (to.left < SUM_SIZE)
        return false;
    put(&to, bucket, 2);
    put(&to, sum, 8);
    *used += SUM_SIZE;
    return true;
}

bool hf_wire_get_sum(struct hf_slice *bytes, uint16_t *ret_bucket, uint64_t *ret_sum)
{
    struct cursor from = {(char *)bytes->bytes, bytes->size, true, true};
    if (bytes->size < SUM_SIZE)
        return false;
    *ret_bucket = (uint16_t)get(&from, 2);
    *ret_sum = get(&from, 8);
    *bytes = hf_slice(from.at, from.left);
    return true;
}
