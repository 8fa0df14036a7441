/* Where a run of legal bytes ends: the inner loops of the HTTP/1 codec. Each scan answers the
 * offset of the first byte outside its class, or `end`. Reads bytes[from..end) and, where the
 * vector form needs whole blocks, bytes[0..end): never past end. Pure. Threads: any. Layer: proto.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/* The portable twin of the scans below, for any class. */
size_t hf_scan_portable(const char *bytes, size_t from, size_t end, enum hf_scan_class class);
/* False when not every byte of bytes[0..size) is of the class; true when size is 0. */
bool hf_scan_all(const char *bytes, size_t size, enum hf_scan_class class);

#if defined(__SSE2__)
#include "proto/scan_sse2.h"
#else
static inline size_t hf_scan_plain(const char *bytes, size_t from, size_t end)
{
    return hf_scan_portable(bytes, from, end, HF_SCAN_PLAIN);
}
static inline size_t hf_scan_value(const char *bytes, size_t from, size_t end)
{
    return hf_scan_portable(bytes, from, end, HF_SCAN_VALUE);
}
static inline size_t hf_scan_target(const char *bytes, size_t from, size_t end)
{
    return hf_scan_portable(bytes, from, end, HF_SCAN_TARGET);
}
#endif
