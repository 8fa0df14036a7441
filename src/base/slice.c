#include "base/slice.h"
#include "base/assert.h"

static unsigned char to_lower(char byte)
{
    unsigned char value = (unsigned char)byte;
    return value >= 'A' && value <= 'Z' ? (unsigned char)(value | 0x20) : value;
}

bool hf_slice_equal_nocase(struct hf_slice a, struct hf_slice b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (to_lower(a.bytes[i]) != to_lower(b.bytes[i]))
            return false;
    return true;
}

bool hf_slice_starts(struct hf_slice whole, struct hf_slice prefix)
{
    return whole.size >= prefix.size &&
           (prefix.size == 0 || memcmp(whole.bytes, prefix.bytes, prefix.size) == 0);
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

struct hf_slice hf_slice_trim(struct hf_slice text)
{
    while (text.size > 0 && is_blank(text.bytes[0])) {
        text.bytes++;
        text.size--;
    }
    while (text.size > 0 && is_blank(text.bytes[text.size - 1]))
        text.size--;
    return text;
}

bool hf_slice_to_u64(struct hf_slice text, uint64_t *ret_value)
{
    REQUIRE(ret_value != NULL);
    if (text.size == 0)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(unsigned char)text.bytes[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, (uint64_t)10, &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}
