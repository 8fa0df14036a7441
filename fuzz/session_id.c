#include "proto/session_id.h"
#include "fuzz.h"

/* Input: the value of a cookie. What is found in it is within bounds; what is an id is read again
 * from each format that it is put into. */

static struct hf_session_id read_or_die(enum hf_session_format format, const char *text,
                                        size_t size)
{
    struct hf_session_id id;
    char *copy = fuzz_copy(text, size);
    REQUIRE(hf_session_id_read(format, hf_slice(copy, size), &id));
    free(copy);
    return id;
}

/* Percent-encodes every byte, so that no id is too odd for a cookie. */
static size_t encode(struct hf_slice id, char *out)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t size = 0;
    for (size_t i = 0; i < id.size; i++) {
        out[size++] = '%';
        out[size++] = digits[(unsigned char)id.bytes[i] >> 4];
        out[size++] = digits[(unsigned char)id.bytes[i] & 15];
    }
    return size;
}

static void check_return(struct hf_slice id)
{
    char text[HF_SESSION_ID_MAX];
    if (id.size > (HF_SESSION_ID_MAX - 16) / 3)
        return;
    size_t size = encode(id, text);
    struct hf_session_id plain = read_or_die(HF_SESSION_PLAIN, text, size);
    REQUIRE(hf_slice_equal(hf_slice(plain.bytes, plain.size), id));
    memmove(text + 2, text, size);
    memcpy(text, "s:", 2);
    memcpy(text + 2 + size, ".sig", 4);
    struct hf_session_id express = read_or_die(HF_SESSION_EXPRESS, text, size + 6);
    REQUIRE(hf_slice_equal(hf_slice(express.bytes, express.size), id));
    if (memchr(id.bytes, '.', id.size) != NULL)
        return;
    memcpy(text + 2 + size, ".app", 4);
    struct hf_session_id routed = read_or_die(HF_SESSION_ROUTE_SUFFIX, text + 2, size + 4);
    REQUIRE(hf_slice_equal(hf_slice(routed.bytes, routed.size), id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *value = fuzz_copy(data, size);
    for (unsigned format = 0; format < HF_SESSION_FORMAT_COUNT; format++) {
        struct hf_session_id id;
        if (!hf_session_id_read((enum hf_session_format)format, hf_slice(value, size), &id))
            continue;
        REQUIRE(id.size > 0 && id.size <= HF_SESSION_ID_MAX);
        if (format == HF_SESSION_PLAIN)
            check_return(hf_slice(id.bytes, id.size));
    }
    free(value);
    return 0;
}
