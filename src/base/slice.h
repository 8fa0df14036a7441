/* A borrowed run of bytes. Never owns, never NUL-terminated. Threads: any. Layer: base. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hf_slice {
    const char *bytes; /* borrowed; may be NULL when size is 0 */
    size_t size;
};

#define HF_SLICE(literal) ((struct hf_slice){(literal), sizeof(literal) - 1})

static inline struct hf_slice hf_slice(const char *bytes, size_t size)
{
    return (struct hf_slice){bytes, size};
}

static inline struct hf_slice hf_slice_text(const char *text)
{
    return (struct hf_slice){text, text ? strlen(text) : 0};
}

static inline bool hf_slice_equal(struct hf_slice a, struct hf_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0);
}

/* ASCII case folding only, as HTTP field names and tokens need (RFC 9110 5.1). */
bool hf_slice_equal_nocase(struct hf_slice a, struct hf_slice b);
bool hf_slice_starts(struct hf_slice whole, struct hf_slice prefix);
/* Without leading and trailing SP and HTAB (OWS, RFC 9110 5.6.3). */
struct hf_slice hf_slice_trim(struct hf_slice text);
/* Decimal digits only, no sign, no blank. False on empty, other bytes or overflow. */
bool hf_slice_to_u64(struct hf_slice text, uint64_t *ret_value);
