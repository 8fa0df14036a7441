/* Input: which store, what it is asked, then what it answers. An answer is taken reply by reply, as
 * from a socket; what is told of it lies within the reply, and what is noted of it fits a line of a
 * log. The same of the first words on a connection, and of a sentinel's. */
#include "fuzz.h"
#include "remote/pipe.h"

enum { ROOM = 64 * 1024, STAGES = 3 };

static struct hf_pipe pipe_of_fuzz;
static char sent[ROOM];

static void check_within(struct hf_slice part, struct hf_slice reply)
{
    REQUIRE(part.size == 0 ||
            (part.bytes >= reply.bytes && part.bytes + part.size <= reply.bytes + reply.size));
}

static void check_trouble(void)
{
    size_t size = strnlen(pipe_of_fuzz.trouble, sizeof(pipe_of_fuzz.trouble));
    REQUIRE(size < sizeof(pipe_of_fuzz.trouble));
    for (size_t i = 0; i < size; i++)
        REQUIRE((unsigned char)pipe_of_fuzz.trouble[i] >= ' ' && pipe_of_fuzz.trouble[i] != 0x7f);
}

static void check_result(struct hf_remote_result *result, struct hf_slice reply)
{
    struct hf_slice name, value;
    uint32_t fields = result->field_count, seen = 0;
    REQUIRE(result->status < HF_REMOTE_STATUS_COUNT);
    check_within(result->value, reply);
    while (hf_remote_next_field(result, &name, &value)) {
        check_within(name, reply);
        check_within(value, reply);
        REQUIRE(++seen <= fields);
    }
    check_trouble();
}

/* The next reply; false: it is not whole, or none. */
static bool take(const struct hf_pipe_codec *codec, struct hf_slice *rest, struct hf_slice *reply)
{
    size_t used = 0;
    pipe_of_fuzz.parser = (struct hf_resp_reply_parser){0};
    if (codec->split(&pipe_of_fuzz, *rest, &used) != HF_CODEC_DONE)
        return false;
    REQUIRE(used > 0 && used <= rest->size);
    *reply = hf_slice(rest->bytes, used);
    *rest = hf_slice(rest->bytes + used, rest->size - used);
    return true;
}

static void answer(const struct hf_pipe_codec *codec, uint8_t how, struct hf_slice rest)
{
    static const struct hf_slice pair[] = {{"f", 1}, {"v", 1}};
    struct hf_remote_request request = {.kind = how % HF_REMOTE_KINDS,
                                        .when = (how >> 3) % 3,
                                        .asking = how >> 5 & 1,
                                        .hash = how >> 6 & 1,
                                        .ttl_ms = how >> 7 ? 1000 : HF_REMOTE_NEVER,
                                        .key = {"k", 1},
                                        .value = {"v", 1},
                                        .fields = pair,
                                        .field_count = 2};
    struct hf_writer writer = hf_writer(sent, sizeof(sent));
    unsigned replies = codec->encode(&request, &writer);
    struct hf_pipe_slot slot = {
        .kind = request.kind, .replies = (uint8_t)replies, .hash = request.hash};
    struct hf_slice reply;
    REQUIRE(hf_writer_fits(&writer));
    while (slot.replies > 0 && take(codec, &rest, &reply)) {
        struct hf_remote_result result = {.ttl_ms = HF_REMOTE_NEVER};
        slot.replies--;
        codec->fold(&pipe_of_fuzz, &slot, reply, &result);
        if (slot.replies == 0)
            check_result(&result, reply);
    }
}

static void greet(const struct hf_pipe_codec *codec, struct hf_slice rest)
{
    struct hf_slice reply;
    for (unsigned stage = 0; stage < STAGES; stage++) {
        struct hf_writer writer = hf_writer(sent, sizeof(sent));
        unsigned replies = codec->greet(&pipe_of_fuzz, stage, &writer);
        REQUIRE(hf_writer_fits(&writer) && replies <= HF_PIPE_GREETINGS_MAX);
        for (unsigned i = 0; i < replies; i++) {
            if (!take(codec, &rest, &reply) || !codec->greeted(&pipe_of_fuzz, stage, i, reply))
                return;
            check_trouble();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct hf_pipe_codec *const codecs[] = {&hf_redis_codec, &hf_memcached_codec,
                                                         &hf_sentinel_codec};
    if (size < 2)
        return 0;
    memset(&pipe_of_fuzz, 0, sizeof(pipe_of_fuzz));
    pipe_of_fuzz.settings = (struct hf_remote_settings){
        .kind = data[0] & 4 ? HF_STORE_URL_SENTINEL : HF_STORE_URL_REDIS,
        .database = data[0] >> 4 & 1,
        .user = hf_slice("user", data[0] & 32 ? 4 : 0),
        .password = hf_slice("secret", data[0] & 64 ? 6 : 0),
        .master = HF_SLICE("main")};
    const struct hf_pipe_codec *codec = codecs[data[0] % 3];
    char *bytes = fuzz_copy(data + 2, size - 2);
    if (data[0] & 8 || codec == &hf_sentinel_codec)
        greet(codec, hf_slice(bytes, size - 2));
    else
        answer(codec, data[1], hf_slice(bytes, size - 2));
    check_trouble();
    free(bytes);
    return 0;
}
