#include "base/assert.h"
#include "proto/http.h"

enum { NAME_SIZE_MAX = 21 };

static const struct {
    uint8_t size;
    char text[NAME_SIZE_MAX + 1];
} names[HF_FIELD_COUNT] = {
#define HF_FIELD_ROW(id, name) [HF_FIELD_##id] = {sizeof(name) - 1, name},
#include "proto/http_fields.def"
#undef HF_FIELD_ROW
};

/* Size and first letter leave at most two names, and those differ at offset 14. A row that is
 * missing here is found by the unit test, which looks up every name of the table. */
static enum hf_field_id candidate(const char *name, size_t size)
{
    switch (size << 8 | (uint8_t)(name[0] | 0x20)) {
    case 2 << 8 | 't':
        return HF_FIELD_TE;
    case 4 << 8 | 'h':
        return HF_FIELD_HOST;
    case 4 << 8 | 'd':
        return HF_FIELD_DATE;
    case 6 << 8 | 'c':
        return HF_FIELD_COOKIE;
    case 6 << 8 | 'e':
        return HF_FIELD_EXPECT;
    case 7 << 8 | 'r':
        return HF_FIELD_REFERER;
    case 7 << 8 | 't':
        return HF_FIELD_TRAILER;
    case 7 << 8 | 'u':
        return HF_FIELD_UPGRADE;
    case 8 << 8 | 'l':
        return HF_FIELD_LOCATION;
    case 9 << 8 | 'f':
        return HF_FIELD_FORWARDED;
    case 9 << 8 | 'x':
        return HF_FIELD_X_REAL_IP;
    case 10 << 8 | 'c':
        return HF_FIELD_CONNECTION;
    case 10 << 8 | 'k':
        return HF_FIELD_KEEP_ALIVE;
    case 10 << 8 | 's':
        return HF_FIELD_SET_COOKIE;
    case 10 << 8 | 'u':
        return HF_FIELD_USER_AGENT;
    case 13 << 8 | 'c':
        return HF_FIELD_CACHE_CONTROL;
    case 14 << 8 | 'c':
        return HF_FIELD_CONTENT_LENGTH;
    case 14 << 8 | 'h':
        return HF_FIELD_HTTP2_SETTINGS;
    case 15 << 8 | 'x':
        return HF_FIELD_X_FORWARDED_FOR;
    case 16 << 8 | 'h':
        return HF_FIELD_HOLDFAST_SESSION;
    case 16 << 8 | 'p':
        return HF_FIELD_PROXY_CONNECTION;
    case 16 << 8 | 'x':
        return (name[14] | 0x20) == 's' ? HF_FIELD_X_FORWARDED_HOST : HF_FIELD_X_FORWARDED_PORT;
    case 17 << 8 | 's':
        return HF_FIELD_SEC_WEBSOCKET_KEY;
    case 17 << 8 | 't':
        return HF_FIELD_TRANSFER_ENCODING;
    case 17 << 8 | 'x':
        return HF_FIELD_X_FORWARDED_PROTO;
    case 18 << 8 | 'x':
        return HF_FIELD_X_FORWARDED_SERVER;
    case 21 << 8 | 's':
        return HF_FIELD_SEC_WEBSOCKET_VERSION;
    default:
        return HF_FIELD_OTHER;
    }
}

static uint64_t load8(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* Lower-cases the letters of eight bytes and nothing else: a byte of 'A'..'Z' carries into the top
 * bit of its lane in the first sum and not in the second. */
static uint64_t lower8(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t low = word & ~(ones << 7);
    uint64_t letter = (low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ~word;
    return word | ((letter & (ones << 7)) >> 2);
}

/* Whole words, the last one overlapping the one before it. */
static bool equal_folded(const char *name, const char *lower, size_t size)
{
    if (size < 8) {
        char padded[8] = {0}, expected[8] = {0};
        memcpy(padded, name, size);
        memcpy(expected, lower, size);
        return lower8(load8(padded)) == load8(expected);
    }
    uint64_t differ = lower8(load8(name + size - 8)) ^ load8(lower + size - 8);
    for (size_t i = 0; i + 8 < size; i += 8)
        differ |= lower8(load8(name + i)) ^ load8(lower + i);
    return differ == 0;
}

enum hf_field_id hf_field_identify(struct hf_slice name)
{
    if (name.size == 0 || name.size > NAME_SIZE_MAX)
        return HF_FIELD_OTHER;
    enum hf_field_id id = candidate(name.bytes, name.size);
    if (id == HF_FIELD_OTHER)
        return id;
    REQUIRE(names[id].size == name.size);
    return equal_folded(name.bytes, names[id].text, name.size) ? id : HF_FIELD_OTHER;
}

struct hf_slice hf_field_text(enum hf_field_id id)
{
    REQUIRE(id > HF_FIELD_OTHER && id < HF_FIELD_COUNT);
    return hf_slice(names[id].text, names[id].size);
}
