#include "proto/number.h"

bool hf_number_parse_i64(struct hf_slice text, int64_t *ret_number)
{
    if (text.size == 0)
        return false;
    bool negative = text.bytes[0] == '-';
    struct hf_slice digits = hf_slice(text.bytes + negative, text.size - negative);
    uint64_t value;
    if (!hf_slice_to_u64(digits, &value))
        return false;
    if (digits.bytes[0] == '0' && (digits.size > 1 || negative))
        return false;
    if (value > (uint64_t)INT64_MAX + negative)
        return false;
    *ret_number = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}
