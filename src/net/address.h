/* Socket addresses and networks as values. Pure but for resolving nothing: numeric forms only.
 * Threads: any. Layer: net. */
#pragma once
#include "base/slice.h"
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct hf_address {
    socklen_t size; /* 0 = none */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
};

enum { HF_ADDRESS_TEXT_MAX = 128 };

/* "127.0.0.1:80", "[::1]:80", "*:80", "unix:/path". Decimal port 0-65535 without leading zeros; 0
 * lets the kernel choose. "*" is [::], which hf_listen opens for IPv4 too. 0 or -EINVAL. */
int hf_address_parse(struct hf_slice text, struct hf_address *ret_address);
/* Writes the same form ("*:80" as "[::]:80"), NUL-terminated; answers its length. */
size_t hf_address_format(const struct hf_address *address, char out[HF_ADDRESS_TEXT_MAX]);
/* The IP alone ("127.0.0.1", "::1"; an IPv4-mapped IPv6 as IPv4; "unix:" for a local one). */
size_t hf_address_format_ip(const struct hf_address *address, char out[HF_ADDRESS_TEXT_MAX]);
bool hf_address_equal(const struct hf_address *a, const struct hf_address *b);
/* "0.0.0.0", "[::]", "*": where to listen, and no place that can be reached. */
bool hf_address_is_any(const struct hf_address *address);

struct hf_network { /* 10.0.0.0/8, ::1/128; IPv4 is kept as IPv4-mapped IPv6 */
    uint8_t bytes[16];
    uint8_t prefix; /* bits of the 128 */
};

/* "127.0.0.0/8", "::1", "10.1.2.3". Bits beyond the prefix are cleared. 0 or -EINVAL. */
int hf_network_parse(struct hf_slice text, struct hf_network *ret_network);
bool hf_network_contains(const struct hf_network *network, const struct hf_address *address);
/* The IP's 16 bytes, IPv4-mapped for IPv4, cut to ipv4_prefix (0-32) or ipv6_prefix (0-128) bits;
 * a local address gives zeros. What source_ip strategies use as key. */
void hf_address_key(const struct hf_address *address, unsigned ipv4_prefix, unsigned ipv6_prefix,
                    uint8_t out[16]);
/* An IP literal without port, as in X-Forwarded-For ("1.2.3.4", "::1", "[::1]"). 0 or -EINVAL. */
int hf_address_parse_ip(struct hf_slice text, struct hf_address *ret_address);
