#include "remote/cluster.h"
#include <stdio.h>

enum { POLYNOMIAL = 0x1021, ADDRESS_MAX = 96 };

/* CRC-16 of XMODEM. */
static uint16_t crc16(struct hf_slice bytes)
{
    uint16_t sum = 0;
    for (size_t i = 0; i < bytes.size; i++) {
        sum ^= (uint16_t)((uint8_t)bytes.bytes[i] << 8);
        for (unsigned bit = 0; bit < 8; bit++)
            sum = (uint16_t)(sum & 0x8000 ? sum << 1 ^ POLYNOMIAL : sum << 1);
    }
    return sum;
}

unsigned hf_cluster_slot(struct hf_slice key)
{
    const char *open = key.size > 0 ? memchr(key.bytes, '{', key.size) : NULL;
    if (open != NULL) {
        const char *start = open + 1;
        size_t left = key.size - (size_t)(start - key.bytes);
        const char *end = left > 0 ? memchr(start, '}', left) : NULL;
        if (end != NULL && end > start)
            key = hf_slice(start, (size_t)(end - start));
    }
    return crc16(key) % HF_CLUSTER_SLOTS;
}

/* A host as nodes name it, an IPv6 one without brackets. */
static bool to_address(struct hf_slice host, uint64_t port, struct hf_address *ret_address)
{
    char text[ADDRESS_MAX + 16];
    if (host.size == 0 || host.size > ADDRESS_MAX || port == 0 || port > 65535)
        return false;
    bool six = memchr(host.bytes, ':', host.size) != NULL;
    int size = snprintf(text, sizeof(text), six ? "[%.*s]:%u" : "%.*s:%u", (int)host.size,
                        host.bytes, (unsigned)port);
    return hf_address_parse(hf_slice(text, (size_t)size), ret_address) == 0;
}

static bool take_number(struct hf_slice *rest, char end, uint64_t *ret_number)
{
    const char *found = rest->size > 0 ? memchr(rest->bytes, end, rest->size) : NULL;
    if (found == NULL)
        return false;
    size_t size = (size_t)(found - rest->bytes);
    struct hf_slice digits = hf_slice(rest->bytes, size);
    *rest = hf_slice(found + 1, rest->size - size - 1);
    return hf_slice_to_u64(digits, ret_number);
}

bool hf_cluster_parse_move(struct hf_slice error, struct hf_cluster_move *ret_move)
{
    uint64_t slot, port;
    size_t colon = error.size;
    bool ask = hf_slice_starts(error, HF_SLICE("ASK "));
    if (!ask && !hf_slice_starts(error, HF_SLICE("MOVED ")))
        return false;
    size_t skip = ask ? sizeof("ASK ") - 1 : sizeof("MOVED ") - 1;
    struct hf_slice rest = hf_slice(error.bytes + skip, error.size - skip);
    if (!take_number(&rest, ' ', &slot) || slot >= HF_CLUSTER_SLOTS)
        return false;
    for (colon = rest.size; colon > 0 && rest.bytes[colon - 1] != ':';)
        colon--;
    if (colon == 0)
        return false;
    struct hf_slice digits = hf_slice(rest.bytes + colon, rest.size - colon);
    struct hf_slice host = hf_slice(rest.bytes, colon - 1);
    ret_move->slot = (unsigned)slot;
    ret_move->ask = ask;
    return hf_slice_to_u64(digits, &port) && to_address(host, port, &ret_move->address);
}

static bool next_item(struct hf_cluster_cursor *cursor)
{
    cursor->over = cursor->over || !hf_resp_next_item(&cursor->items, &cursor->item);
    return !cursor->over;
}

/* first, last, then the master as [host, port, ...]; what follows in it is passed over. */
static bool read_range(struct hf_cluster_cursor *cursor, struct hf_cluster_range *range)
{
    struct hf_resp_item first, last, host;
    if (!next_item(cursor))
        return false;
    first = cursor->item;
    if (!next_item(cursor))
        return false;
    last = cursor->item;
    bool right = first.type == HF_RESP_INTEGER && last.type == HF_RESP_INTEGER &&
                 first.number >= 0 && first.number <= last.number &&
                 last.number < HF_CLUSTER_SLOTS && next_item(cursor) && cursor->item.depth == 2 &&
                 cursor->item.type == HF_RESP_ARRAY && cursor->item.number >= 2 &&
                 next_item(cursor);
    if (!right)
        return false;
    host = cursor->item;
    if (!next_item(cursor) || cursor->item.type != HF_RESP_INTEGER || cursor->item.number < 0)
        return false;
    range->first = (unsigned)first.number;
    range->last = (unsigned)last.number;
    return to_address(host.text, (uint64_t)cursor->item.number, &range->address);
}

bool hf_cluster_next_range(struct hf_cluster_cursor *cursor, struct hf_cluster_range *ret_range)
{
    while (next_item(cursor)) {
        bool range = cursor->item.depth == 1 && cursor->item.type == HF_RESP_ARRAY;
        if (range && read_range(cursor, ret_range))
            return true;
    }
    return false;
}
