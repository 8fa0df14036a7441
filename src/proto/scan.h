/* Where a run of legal bytes ends: the inner loops of the HTTP/1 codec. Each scan answers the
 * offset of the first byte outside its class, or `end`. Reads bytes[from..end) and, where the
 * vector form needs whole blocks, bytes[0..end): never past end. Pure. Threads: any. Layer: proto.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum hf_scan_class {                         /* bits of hf_scan_classes[byte] */
                     HF_SCAN_TOKEN = 1 << 0, /* tchar, RFC 9110 5.6.2 */
                     HF_SCAN_PLAIN =
                         1 << 1, /* letters, digits, "-": what nearly every field name is made of */
                     HF_SCAN_VALUE = 1 << 2, /* VCHAR, obs-text, SP, HTAB: RFC 9110 5.5 */
                     HF_SCAN_TARGET =
                         1 << 3, /* VCHAR without "#": a request target holds no fragment */
                     HF_SCAN_HOST =
                         1 << 4, /* unreserved and sub-delims without ",": RFC 3986 3.2.2 */
                     HF_SCAN_ADDRESS = 1 << 5, /* inside an IP literal: hex digits, ":", "." */
                     HF_SCAN_COOKIE = 1 << 6,  /* cookie-octet, RFC 6265 4.1.1 */
                     HF_SCAN_QUOTED = 1 << 7,  /* qdtext, RFC 9110 5.6.4 */
};
extern const uint8_t hf_scan_classes[256];

static inline bool hf_scan_is(char byte, enum hf_scan_class class)
{
    return (hf_scan_classes[(uint8_t)byte] & class) != 0;
}

/* 0-15, or -1 when the byte is no hex digit of either case. */
static inline int hf_scan_hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The portable twin of hf_scan, for any class. */
size_t hf_scan_portable(const char *bytes, size_t from, size_t end, enum hf_scan_class class);
/* False when not every byte of bytes[0..size) is of the class; true when size is 0. */
bool hf_scan_all(const char *bytes, size_t size, enum hf_scan_class class);

/* bytes[from..end) up to the first byte that is not of `class`: PLAIN, VALUE or TARGET. */
#if defined(__SSE2__)
enum { HF_SCAN_BLOCK = 16 };

/* There is no unsigned compare in SSE2: a maximum or minimum that changes nothing is one. */
static inline __m128i hf_scan_between(__m128i block, char low, char high)
{
    __m128i over = _mm_cmpeq_epi8(_mm_max_epu8(block, _mm_set1_epi8(low)), block);
    __m128i under = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(high)), block);
    return _mm_and_si128(over, under);
}

/* One bit a byte of the block, set where the byte ends the run. */
static inline __attribute__((always_inline)) unsigned hf_scan_ends(__m128i block,
                                                                   enum hf_scan_class class)
{
    if (class == HF_SCAN_VALUE) {
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
        __m128i tab = _mm_cmpeq_epi8(block, _mm_set1_epi8('\t'));
        __m128i delete = _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7f));
        return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), delete));
    }
    __m128i legal;
    if (class == HF_SCAN_TARGET) {
        __m128i fragment = _mm_cmpeq_epi8(block, _mm_set1_epi8('#'));
        legal = _mm_andnot_si128(fragment, hf_scan_between(block, 0x21, 0x7e));
    } else {
        __m128i folded = _mm_or_si128(block, _mm_set1_epi8(0x20));
        __m128i dash = _mm_cmpeq_epi8(block, _mm_set1_epi8('-'));
        legal = _mm_or_si128(hf_scan_between(folded, 'a', 'z'), hf_scan_between(block, '0', '9'));
        legal = _mm_or_si128(legal, dash);
    }
    return (unsigned)_mm_movemask_epi8(legal) ^ 0xffffu;
}

/* The last block overlaps bytes already judged, shifted out of the mask; input shorter than a block
 * has nothing to overlap with and goes byte by byte. */
static inline __attribute__((always_inline)) size_t hf_scan(const char *bytes, size_t from,
                                                            size_t end, enum hf_scan_class class)
{
    for (; end - from >= HF_SCAN_BLOCK; from += HF_SCAN_BLOCK) {
        __m128i block = _mm_loadu_si128((const __m128i *)(const void *)(bytes + from));
        unsigned ends = hf_scan_ends(block, class);
        if (ends != 0)
            return from + (unsigned)__builtin_ctz(ends);
    }
    if (from == end || end < HF_SCAN_BLOCK)
        return hf_scan_portable(bytes, from, end, class);
    const char *last = bytes + end - HF_SCAN_BLOCK;
    unsigned ends = hf_scan_ends(_mm_loadu_si128((const __m128i *)(const void *)last), class);
    ends >>= HF_SCAN_BLOCK - (end - from);
    return ends != 0 ? from + (unsigned)__builtin_ctz(ends) : end;
}
#else
static inline size_t hf_scan(const char *bytes, size_t from, size_t end, enum hf_scan_class class)
{
    return hf_scan_portable(bytes, from, end, class);
}
#endif
