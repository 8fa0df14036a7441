#include "proto/session_id.h"

#include "base/assert.h"
#include "proto/scan.h"
#include <openssl/sha.h>

static struct hf_slice unquoted(struct hf_slice value)
{
    bool quoted = value.size >= 2 && value.bytes[0] == '"' && value.bytes[value.size - 1] == '"';
    return quoted ? hf_slice(value.bytes + 1, value.size - 2) : value;
}

static void decode_percent(struct hf_slice value, struct hf_session_id *id)
{
    id->size = 0;
    for (size_t at = 0; at < value.size; at++) {
        char byte = value.bytes[at];
        if (byte == '%' && value.size - at > 2) {
            int high = hf_scan_hex_digit(value.bytes[at + 1]),
                low = hf_scan_hex_digit(value.bytes[at + 2]);
            if (high >= 0 && low >= 0) {
                byte = (char)(high << 4 | low);
                at += 2;
            }
        }
        id->bytes[id->size++] = byte;
    }
}

/* Keeps [from, to). */
static bool keep(struct hf_session_id *id, size_t from, size_t to)
{
    REQUIRE(from <= to && to <= id->size);
    id->size = to - from;
    memmove(id->bytes, id->bytes + from, id->size);
    return id->size > 0;
}

static bool read_express(struct hf_session_id *id)
{
    if (id->size < 2 || memcmp(id->bytes, "s:", 2) != 0)
        return false;
    const char *dot = memrchr(id->bytes, '.', id->size);
    size_t end = dot != NULL ? (size_t)(dot - id->bytes) : 0;
    return end > 2 && end + 1 < id->size && keep(id, 2, end);
}

/* OpenSSL may allocate for it: once for a client that lost its server, never for a request. */
static bool read_rack(struct hf_session_id *id)
{
    static const char digits[] = "0123456789abcdef", version[] = "2::";
    unsigned char hash[SHA256_DIGEST_LENGTH];
    const unsigned char *made = SHA256((const unsigned char *)id->bytes, id->size, hash);
    REQUIRE(made != NULL);
    memcpy(id->bytes, version, sizeof(version) - 1);
    id->size = sizeof(version) - 1;
    for (size_t i = 0; i < sizeof(hash); i++) {
        id->bytes[id->size++] = digits[hash[i] >> 4];
        id->bytes[id->size++] = digits[hash[i] & 15];
    }
    return true;
}

/* The six bits of a letter of either alphabet (RFC 4648 4 and 5), or -1. */
static int letter_bits(char letter)
{
    if (letter >= 'A' && letter <= 'Z')
        return letter - 'A';
    if (letter >= 'a' && letter <= 'z')
        return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9')
        return letter - '0' + 52;
    if (letter == '+' || letter == '-')
        return 62;
    return letter == '/' || letter == '_' ? 63 : -1;
}

/* In place; false for what is no base64. */
static bool decode_base64(struct hf_session_id *id)
{
    enum { PADDING_MAX = 2 };
    size_t end = id->size, to = 0;
    while (end > 0 && id->size - end < PADDING_MAX && id->bytes[end - 1] == '=')
        end--;
    uint32_t bits = 0;
    for (size_t at = 0; at < end; at++) {
        int six = letter_bits(id->bytes[at]);
        if (six < 0)
            return false;
        bits = bits << 6 | (uint32_t)six;
        if (at % 4 > 0)
            id->bytes[to++] = (char)(bits >> (6 - at % 4 * 2));
    }
    id->size = to;
    return end % 4 != 1;
}

static bool cut_route(struct hf_session_id *id)
{
    const char *dot = memchr(id->bytes, '.', id->size);
    return keep(id, 0, dot != NULL ? (size_t)(dot - id->bytes) : id->size);
}

bool hf_session_id_read(enum hf_session_format format, struct hf_slice value,
                        struct hf_session_id *ret_id)
{
    REQUIRE(ret_id != NULL);
    value = unquoted(value);
    if (value.size == 0 || value.size > HF_SESSION_ID_MAX)
        return false;
    decode_percent(value, ret_id);
    switch (format) {
    case HF_SESSION_PLAIN:
        return true;
    case HF_SESSION_EXPRESS:
        return read_express(ret_id);
    case HF_SESSION_RACK:
        return read_rack(ret_id);
    case HF_SESSION_BASE64:
        return decode_base64(ret_id) && ret_id->size > 0 && cut_route(ret_id);
    case HF_SESSION_ROUTE_SUFFIX:
        return cut_route(ret_id);
    case HF_SESSION_FORMAT_COUNT:
        break;
    }
    REQUIRE(!"a format of the enumeration");
    return false;
}
