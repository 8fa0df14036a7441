#include "net/address.h"
#include "base/assert.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

enum { MAPPED_BITS = 96, PORT_DIGITS_MAX = 5, PORT_MAX = 65535 };

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* inet_pton wants a NUL-terminated text; a NUL inside would hide what follows it. */
static bool to_binary(int family, struct hf_slice text, void *out)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.size == 0 || text.size >= sizeof(copy) || memchr(text.bytes, 0, text.size) != NULL)
        return false;
    memcpy(copy, text.bytes, text.size);
    copy[text.size] = '\0';
    return inet_pton(family, copy, out) == 1;
}

static struct hf_address ipv4_address(struct in_addr ip, uint16_t port)
{
    struct hf_address address = {.size = sizeof(address.v4)};
    address.v4.sin_family = AF_INET;
    address.v4.sin_port = htons(port);
    address.v4.sin_addr = ip;
    return address;
}

static struct hf_address ipv6_address(struct in6_addr ip, uint16_t port)
{
    struct hf_address address = {.size = sizeof(address.v6)};
    address.v6.sin6_family = AF_INET6;
    address.v6.sin6_port = htons(port);
    address.v6.sin6_addr = ip;
    return address;
}

static int parse_local(struct hf_slice path, struct hf_address *ret_address)
{
    struct hf_address address = {0};
    if (path.size == 0 || path.size >= sizeof(address.local.sun_path) ||
        memchr(path.bytes, 0, path.size) != NULL)
        return -EINVAL;
    address.local.sun_family = AF_UNIX;
    memcpy(address.local.sun_path, path.bytes, path.size);
    address.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.size + 1);
    *ret_address = address;
    return 0;
}

static bool parse_port(struct hf_slice text, uint16_t *ret_port)
{
    uint64_t value;
    if (text.size > PORT_DIGITS_MAX || !hf_slice_to_u64(text, &value) || value > PORT_MAX)
        return false;
    if (text.size > 1 && text.bytes[0] == '0')
        return false;
    *ret_port = (uint16_t)value;
    return true;
}

static int parse_host(struct hf_slice host, uint16_t port, struct hf_address *ret_address)
{
    struct in_addr ipv4;
    struct in6_addr ipv6;
    if (hf_slice_equal(host, HF_SLICE("*"))) {
        *ret_address = ipv6_address(in6addr_any, port);
        return 0;
    }
    if (to_binary(AF_INET, host, &ipv4)) {
        *ret_address = ipv4_address(ipv4, port);
        return 0;
    }
    if (host.size < 2 || host.bytes[0] != '[' || host.bytes[host.size - 1] != ']' ||
        !to_binary(AF_INET6, hf_slice(host.bytes + 1, host.size - 2), &ipv6))
        return -EINVAL;
    *ret_address = ipv6_address(ipv6, port);
    return 0;
}

int hf_address_parse(struct hf_slice text, struct hf_address *ret_address)
{
    REQUIRE(text.bytes != NULL || text.size == 0);
    REQUIRE(ret_address != NULL);
    struct hf_slice local = HF_SLICE("unix:");
    if (hf_slice_starts(text, local))
        return parse_local(hf_slice(text.bytes + local.size, text.size - local.size), ret_address);
    const char *colon = text.size > 0 ? memrchr(text.bytes, ':', text.size) : NULL;
    if (colon == NULL)
        return -EINVAL;
    size_t host_size = (size_t)(colon - text.bytes);
    uint16_t port;
    if (!parse_port(hf_slice(colon + 1, text.size - host_size - 1), &port))
        return -EINVAL;
    return parse_host(hf_slice(text.bytes, host_size), port, ret_address);
}

int hf_address_parse_ip(struct hf_slice text, struct hf_address *ret_address)
{
    struct in_addr ipv4;
    struct in6_addr ipv6;
    REQUIRE(ret_address != NULL);
    if (to_binary(AF_INET, text, &ipv4)) {
        *ret_address = ipv4_address(ipv4, 0);
        return 0;
    }
    if (text.size >= 2 && text.bytes[0] == '[' && text.bytes[text.size - 1] == ']')
        text = hf_slice(text.bytes + 1, text.size - 2);
    if (!to_binary(AF_INET6, text, &ipv6))
        return -EINVAL;
    *ret_address = ipv6_address(ipv6, 0);
    return 0;
}

/* By hand: inet_ntop goes through printf, and this runs for every request that is forwarded. */
static size_t format_ipv4(const uint8_t ip[4], char *out)
{
    char *at = out;
    for (int i = 0; i < 4; i++) {
        if (i > 0)
            *at++ = '.';
        if (ip[i] >= 100)
            *at++ = (char)('0' + ip[i] / 100);
        if (ip[i] >= 10)
            *at++ = (char)('0' + ip[i] / 10 % 10);
        *at++ = (char)('0' + ip[i] % 10);
    }
    *at = '\0';
    return (size_t)(at - out);
}

static size_t format_ipv6(const struct in6_addr *ip, char out[HF_ADDRESS_TEXT_MAX])
{
    REQUIRE(inet_ntop(AF_INET6, ip, out, HF_ADDRESS_TEXT_MAX) != NULL);
    return strlen(out);
}

size_t hf_address_format_ip(const struct hf_address *address, char out[HF_ADDRESS_TEXT_MAX])
{
    REQUIRE(address != NULL && out != NULL);
    if (address->size != 0 && address->any.sa_family == AF_INET)
        return format_ipv4((const uint8_t *)&address->v4.sin_addr, out);
    if (address->size != 0 && address->any.sa_family == AF_INET6) {
        const uint8_t *bytes = address->v6.sin6_addr.s6_addr;
        if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0)
            return format_ipv4(bytes + sizeof(mapped_prefix), out);
        return format_ipv6(&address->v6.sin6_addr, out);
    }
    const char *name = address->size != 0 ? "unix:" : "";
    size_t size = strlen(name);
    memcpy(out, name, size + 1);
    return size;
}

/* The path of a local address: bounded by `size`, because the kernel need not terminate it. */
static struct hf_slice local_path(const struct hf_address *address)
{
    size_t start = offsetof(struct sockaddr_un, sun_path);
    size_t room = address->size > start ? address->size - start : 0;
    return hf_slice(address->local.sun_path, strnlen(address->local.sun_path, room));
}

size_t hf_address_format(const struct hf_address *address, char out[HF_ADDRESS_TEXT_MAX])
{
    REQUIRE(address != NULL && out != NULL);
    _Static_assert(sizeof("unix:") + sizeof(address->local.sun_path) <= HF_ADDRESS_TEXT_MAX,
                   "a path fits");
    char ip[HF_ADDRESS_TEXT_MAX];
    int size = 0;
    out[0] = '\0';
    if (address->size == 0)
        return 0;
    if (address->any.sa_family == AF_INET) {
        format_ipv4((const uint8_t *)&address->v4.sin_addr, ip);
        size = snprintf(out, HF_ADDRESS_TEXT_MAX, "%.64s:%u", ip, ntohs(address->v4.sin_port));
    } else if (address->any.sa_family == AF_INET6) {
        format_ipv6(&address->v6.sin6_addr, ip);
        size = snprintf(out, HF_ADDRESS_TEXT_MAX, "[%.64s]:%u", ip, ntohs(address->v6.sin6_port));
    } else {
        struct hf_slice path = local_path(address);
        size = snprintf(out, HF_ADDRESS_TEXT_MAX, "unix:%.*s", (int)path.size, path.bytes);
    }
    REQUIRE(size > 0 && size < HF_ADDRESS_TEXT_MAX);
    return (size_t)size;
}

bool hf_address_equal(const struct hf_address *a, const struct hf_address *b)
{
    REQUIRE(a != NULL && b != NULL);
    if (a->size == 0 || b->size == 0)
        return a->size == b->size;
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    if (a->any.sa_family == AF_INET6)
        return a->v6.sin6_port == b->v6.sin6_port &&
               memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof(a->v6.sin6_addr)) == 0;
    return hf_slice_equal(local_path(a), local_path(b));
}

bool hf_address_is_any(const struct hf_address *address)
{
    if (address->size != 0 && address->any.sa_family == AF_INET)
        return address->v4.sin_addr.s_addr == htonl(INADDR_ANY);
    return address->size != 0 && address->any.sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

/* False for a local address, which has no IP. */
static bool ip_bytes(const struct hf_address *address, uint8_t out[16])
{
    if (address->size != 0 && address->any.sa_family == AF_INET) {
        memcpy(out, mapped_prefix, sizeof(mapped_prefix));
        memcpy(out + sizeof(mapped_prefix), &address->v4.sin_addr, 4);
        return true;
    }
    if (address->size == 0 || address->any.sa_family != AF_INET6)
        return false;
    memcpy(out, &address->v6.sin6_addr, 16);
    return true;
}

static void cut(uint8_t bytes[16], unsigned prefix)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = prefix > 8 * i ? prefix - 8 * i : 0;
        if (kept < 8)
            bytes[i] &= (uint8_t)(0xff00u >> kept);
    }
}

int hf_network_parse(struct hf_slice text, struct hf_network *ret_network)
{
    REQUIRE(text.bytes != NULL || text.size == 0);
    REQUIRE(ret_network != NULL);
    const char *slash = text.size > 0 ? memchr(text.bytes, '/', text.size) : NULL;
    size_t ip_size = slash != NULL ? (size_t)(slash - text.bytes) : text.size;
    struct hf_address address;
    struct hf_network network;
    if (hf_address_parse_ip(hf_slice(text.bytes, ip_size), &address) != 0)
        return -EINVAL;
    unsigned base = address.any.sa_family == AF_INET ? MAPPED_BITS : 0;
    uint64_t prefix = 128 - base;
    if (slash != NULL && (!hf_slice_to_u64(hf_slice(slash + 1, text.size - ip_size - 1), &prefix) ||
                          prefix > 128 - base))
        return -EINVAL;
    REQUIRE(ip_bytes(&address, network.bytes));
    network.prefix = (uint8_t)(base + prefix);
    cut(network.bytes, network.prefix);
    *ret_network = network;
    return 0;
}

bool hf_network_contains(const struct hf_network *network, const struct hf_address *address)
{
    REQUIRE(network != NULL && address != NULL);
    uint8_t bytes[16];
    if (!ip_bytes(address, bytes))
        return false;
    cut(bytes, network->prefix);
    return memcmp(bytes, network->bytes, sizeof(bytes)) == 0;
}

void hf_address_key(const struct hf_address *address, unsigned ipv4_prefix, unsigned ipv6_prefix,
                    uint8_t out[16])
{
    REQUIRE(address != NULL && out != NULL);
    REQUIRE(ipv4_prefix <= 32 && ipv6_prefix <= 128);
    if (!ip_bytes(address, out)) {
        memset(out, 0, 16);
        return;
    }
    bool ipv4 = memcmp(out, mapped_prefix, sizeof(mapped_prefix)) == 0;
    cut(out, ipv4 ? MAPPED_BITS + ipv4_prefix : ipv6_prefix);
}
