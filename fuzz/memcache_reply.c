#include "proto/memcache_reply.h"
#include "fuzz.h"

/* Input: what a memcached sends. No part of a whole reply is whole already, and what it answers
 * lies in its bytes. */

enum { VALUE_MAX = 16 * 1024 };

static void check_within(struct hf_slice part, const char *bytes, size_t size)
{
    REQUIRE(part.size == 0 || (part.bytes >= bytes && part.bytes + part.size <= bytes + size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_memcache_reply reply, other;
    size_t used = 0, needed = 0, less = 0;
    struct hf_slice value;
    char *bytes = fuzz_copy(data, size);
    enum hf_codec found =
        hf_memcache_parse_reply(hf_slice(bytes, size), VALUE_MAX, &reply, &used, &needed);
    REQUIRE(found != HF_CODEC_NEED_MORE || needed > size);
    if (found == HF_CODEC_DONE) {
        REQUIRE(used > 0 && used <= size && reply.value.size <= VALUE_MAX);
        check_within(reply.value, bytes, used);
        check_within(reply.text, bytes, used);
        char *part = fuzz_copy(data, used - 1);
        REQUIRE(hf_memcache_parse_reply(hf_slice(part, used - 1), VALUE_MAX, &other, &less,
                                        &needed) == HF_CODEC_NEED_MORE);
        REQUIRE(needed >= used);
        free(part);
        if (reply.kind == HF_MEMCACHE_REPLY_STATS &&
            hf_memcache_find_stat(reply.text, HF_SLICE("pid"), &value))
            check_within(value, bytes, used);
    }
    free(bytes);
    return 0;
}
