#include "proto/uri.h"
#include "proto/scan.h"

static bool is_unreserved(char byte)
{
    return hf_scan_is(byte, HF_SCAN_PLAIN) || byte == '.' || byte == '_' || byte == '~';
}

/* Copies a segment without its parameters, unreserved escapes decoded, the others in upper case
 * (RFC 3986 6.2.2). From a "%" that starts no escape the rest stays as it is: decoding behind it
 * could complete it ("%%361"). */
static size_t copy_segment(struct hf_slice segment, char *out)
{
    const char *parameters = memchr(segment.bytes, ';', segment.size);
    size_t end = parameters != NULL ? (size_t)(parameters - segment.bytes) : segment.size;
    size_t size = 0;
    for (size_t at = 0; at < end; at++) {
        const char *from = segment.bytes + at;
        if (*from != '%') {
            out[size++] = *from;
            continue;
        }
        int high = end - at > 2 ? hf_scan_hex_digit(from[1]) : -1;
        int low = high >= 0 ? hf_scan_hex_digit(from[2]) : -1;
        if (low < 0) {
            memcpy(out + size, from, end - at);
            return size + end - at;
        }
        char byte = (char)(high << 4 | low);
        if (is_unreserved(byte)) {
            out[size++] = byte;
        } else {
            out[size++] = '%';
            out[size++] = "0123456789ABCDEF"[high];
            out[size++] = "0123456789ABCDEF"[low];
        }
        at += 2;
    }
    return size;
}

/* The size of out[0..size) without its last segment and the slash before it. */
static size_t parent(const char *out, size_t size)
{
    while (size > 0 && out[size - 1] != '/')
        size--;
    return size > 0 ? size - 1 : 0;
}

size_t hf_uri_normalise_path(struct hf_slice path, char *out)
{
    size_t size = 0; /* of the kept segments, each with the slash before it */
    bool slash_last = true;
    for (size_t at = 0; at < path.size && path.bytes[at] == '/';) {
        const char *from = path.bytes + at + 1;
        const char *slash = memchr(from, '/', path.size - at - 1);
        size_t raw = slash != NULL ? (size_t)(slash - from) : path.size - at - 1;
        size_t kept = copy_segment(hf_slice(from, raw), out + size + 1);
        const char *segment = out + size + 1;
        slash_last = true;
        if (kept == 2 && segment[0] == '.' && segment[1] == '.') {
            size = parent(out, size);
        } else if (kept > 1 || (kept == 1 && segment[0] != '.')) {
            out[size] = '/';
            size += kept + 1;
            slash_last = false;
        }
        at += raw + 1;
    }
    if (slash_last)
        out[size++] = '/';
    return size;
}

bool hf_uri_path_under(struct hf_slice path, struct hf_slice prefix)
{
    if (prefix.size > 0 && prefix.bytes[prefix.size - 1] == '/')
        prefix.size--;
    if (!hf_slice_starts(path, prefix))
        return false;
    return path.size == prefix.size || path.bytes[prefix.size] == '/';
}

struct hf_slice hf_uri_host_only(struct hf_slice authority)
{
    char stop = authority.size > 0 && authority.bytes[0] == '[' ? ']' : ':';
    const char *found = authority.size > 0 ? memchr(authority.bytes, stop, authority.size) : NULL;
    if (found == NULL)
        return authority;
    return hf_slice(authority.bytes, (size_t)(found - authority.bytes) + (stop == ']'));
}

/* An IPv6 address has two colons at least; which of the rest is one, the resolver knows. */
static bool literal_valid(struct hf_slice host)
{
    if (host.size < 4 || host.bytes[host.size - 1] != ']' ||
        !hf_scan_all(host.bytes + 1, host.size - 2, HF_SCAN_ADDRESS))
        return false;
    const char *colon = memchr(host.bytes, ':', host.size);
    return colon != NULL && memchr(colon + 1, ':', host.size - (size_t)(colon + 1 - host.bytes));
}

/* "" and ":" are no port given. */
static bool port_valid(struct hf_slice port)
{
    uint64_t number = 0;
    if (port.size == 0 || (port.size == 1 && port.bytes[0] == ':'))
        return true;
    return port.bytes[0] == ':' &&
           hf_slice_to_u64(hf_slice(port.bytes + 1, port.size - 1), &number) && number > 0 &&
           number <= UINT16_MAX;
}

bool hf_uri_authority_valid(struct hf_slice authority)
{
    struct hf_slice host = hf_uri_host_only(authority);
    if (host.size == 0)
        return false;
    if (!port_valid(hf_slice(authority.bytes + host.size, authority.size - host.size)))
        return false;
    if (host.bytes[0] == '[')
        return literal_valid(host);
    return hf_scan_all(host.bytes, host.size, HF_SCAN_HOST);
}

bool hf_uri_next_param(struct hf_slice target, struct hf_slice name, size_t *at,
                       struct hf_slice *ret_value)
{
    const char *query = target.size > 0 ? memchr(target.bytes, '?', target.size) : NULL;
    size_t size = query != NULL ? (size_t)(query - target.bytes) : target.size;
    while (*at < size) {
        const char *semicolon = memchr(target.bytes + *at, ';', size - *at);
        if (semicolon == NULL)
            break;
        size_t from = (size_t)(semicolon - target.bytes) + 1, end = from;
        while (end < size && target.bytes[end] != ';' && target.bytes[end] != '/')
            end++;
        *at = end;
        struct hf_slice param = hf_slice(target.bytes + from, end - from);
        if (param.size <= name.size || param.bytes[name.size] != '=' ||
            !hf_slice_starts(param, name))
            continue;
        *ret_value = hf_slice(param.bytes + name.size + 1, param.size - name.size - 1);
        return true;
    }
    *at = target.size;
    return false;
}
