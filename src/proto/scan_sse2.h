/* The vector form of scan.h, 16 bytes a step; SSE2 is part of x86-64, so nothing is asked at run
 * time. Included by scan.h alone. Pure. Threads: any. Layer: proto. */
#pragma once
#include <emmintrin.h>
#include <stddef.h>
#include <stdint.h>

enum { HF_SCAN_BLOCK = 16 };

/* Each answers 0xff in the lanes that end a run. There is no unsigned compare: min and max do. */
static inline __m128i hf_scan_between_sse2(__m128i block, char low, char high)
{
    __m128i over = _mm_cmpeq_epi8(_mm_max_epu8(block, _mm_set1_epi8(low)), block);
    __m128i under = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(high)), block);
    return _mm_and_si128(over, under);
}

static inline unsigned hf_scan_ends_value_sse2(__m128i block)
{
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1f)), block);
    __m128i tab = _mm_cmpeq_epi8(block, _mm_set1_epi8('\t'));
    __m128i delete = _mm_cmpeq_epi8(block, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), delete));
}

static inline unsigned hf_scan_ends_target_sse2(__m128i block)
{
    __m128i visible = hf_scan_between_sse2(block, 0x21, 0x7e);
    __m128i fragment = _mm_cmpeq_epi8(block, _mm_set1_epi8('#'));
    return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(fragment, visible)) ^ 0xffffu;
}

static inline unsigned hf_scan_ends_plain_sse2(__m128i block)
{
    __m128i folded = _mm_or_si128(block, _mm_set1_epi8(0x20));
    __m128i letter = hf_scan_between_sse2(folded, 'a', 'z');
    __m128i digit = hf_scan_between_sse2(block, '0', '9');
    __m128i dash = _mm_cmpeq_epi8(block, _mm_set1_epi8('-'));
    __m128i plain = _mm_or_si128(_mm_or_si128(letter, digit), dash);
    return (unsigned)_mm_movemask_epi8(plain) ^ 0xffffu;
}

/* The last block overlaps bytes already judged, shifted out of the mask; input shorter than a block
 * has nothing to overlap with and goes byte by byte. */
#define HF_SCAN_SSE2(name, class)                                                                  \
    static inline size_t hf_scan_##name(const char *bytes, size_t from, size_t end)                \
    {                                                                                              \
        while (end - from >= HF_SCAN_BLOCK) {                                                      \
            __m128i block = _mm_loadu_si128((const __m128i *)(const void *)(bytes + from));        \
            unsigned ends = hf_scan_ends_##name##_sse2(block);                                     \
            if (ends != 0)                                                                         \
                return from + (unsigned)__builtin_ctz(ends);                                       \
            from += HF_SCAN_BLOCK;                                                                 \
        }                                                                                          \
        if (from == end || end < HF_SCAN_BLOCK)                                                    \
            return hf_scan_portable(bytes, from, end, class);                                      \
        __m128i last =                                                                             \
            _mm_loadu_si128((const __m128i *)(const void *)(bytes + end - HF_SCAN_BLOCK));         \
        unsigned ends = hf_scan_ends_##name##_sse2(last) >> (HF_SCAN_BLOCK - (end - from));        \
        return ends != 0 ? from + (unsigned)__builtin_ctz(ends) : end;                             \
    }
HF_SCAN_SSE2(plain, HF_SCAN_PLAIN)
HF_SCAN_SSE2(value, HF_SCAN_VALUE)
HF_SCAN_SSE2(target, HF_SCAN_TARGET)
#undef HF_SCAN_SSE2
