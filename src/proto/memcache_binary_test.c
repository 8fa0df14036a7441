#include "proto/memcache_testing.h"

static struct hf_guard guard;

struct shape { /* of a packet that a test makes */
    uint8_t first, opcode, extras_size, data_type;
    uint16_t key_size;
    uint32_t body_size;
    uint64_t cas;
};

static void put(char *out, uint64_t number, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        out[i] = (char)(number >> (8 * (size - 1 - i)));
}

/* A packet whose body is `body`, whatever the shape says of it. Valid until the next one. */
static struct hf_slice packet(struct shape shape, struct hf_slice body)
{
    static char bytes[4096];
    assert_true(body.size + 24 <= sizeof(bytes));
    memset(bytes, 0, 24);
    bytes[0] = (char)shape.first;
    bytes[1] = (char)shape.opcode;
    put(bytes + 2, shape.key_size, 2);
    bytes[4] = (char)shape.extras_size;
    bytes[5] = (char)shape.data_type;
    put(bytes + 8, shape.body_size, 4);
    put(bytes + 12, 7, 4);
    put(bytes + 16, shape.cas, 8);
    memcpy(bytes + 24, body.bytes, body.size);
    return hf_slice(bytes, 24 + body.size);
}

/* opcode, sizes of extras and key; the rest of the body is the value. */
static struct hf_slice plain(uint8_t opcode, uint8_t extras, uint16_t key, struct hf_slice body)
{
    struct shape shape = {.first = 0x80,
                          .opcode = opcode,
                          .extras_size = extras,
                          .key_size = key,
                          .body_size = (uint32_t)body.size};
    return packet(shape, body);
}

static void assert_request(struct hf_slice input, const char *description)
{
    const struct hf_memcache_outcome *outcome = hf_memcache_testing_parse(&guard, input);
    assert_int_equal(outcome->answer, HF_CODEC_DONE);
    assert_int_equal(outcome->dialect, HF_MEMCACHE_BINARY);
    assert_int_equal(outcome->size, input.size);
    assert_string_equal(outcome->text, description);
}
#define REQUEST(opcode, extras, key, body, description)                                            \
    assert_request(plain(opcode, extras, key, HF_SLICE(body)), description)

static void test_requests(void **state)
{
    REQUEST(0x00, 0, 1, "k", "get key=k opaque=7 v");
    REQUEST(0x09, 0, 1, "k", "get key=k opaque=7 quiet v");
    REQUEST(0x0c, 0, 1, "k", "get key=k opaque=7 v wantskey");
    REQUEST(0x0d, 0, 1, "k", "get key=k opaque=7 quiet v wantskey");
    REQUEST(0x01, 8, 1, "\0\0\0\1\0\0\5\xa0kvalue",
            "set key=k value=value flags=1 exptime=1440 opaque=7");
    REQUEST(0x11, 8, 1, "\0\0\0\0\0\0\0\0k", "set key=k opaque=7 quiet");
    REQUEST(0x02, 8, 1, "\0\0\0\0\0\x28\xde\x80k", "add key=k exptime=2678400 opaque=7");
    REQUEST(0x12, 8, 1, "\0\0\0\0\0\0\0\0kv", "add key=k value=v opaque=7 quiet");
    REQUEST(0x03, 8, 1, "\xff\xff\xff\xff\xff\xff\xff\xffkv",
            "replace key=k value=v flags=4294967295 exptime=4294967295 opaque=7");
    REQUEST(0x13, 8, 1, "\0\0\0\0\0\0\0\0kv", "replace key=k value=v opaque=7 quiet");
    REQUEST(0x04, 0, 1, "k", "delete key=k opaque=7");
    REQUEST(0x14, 0, 1, "k", "delete key=k opaque=7 quiet");
    REQUEST(0x05, 20, 1, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\5\0\0\0\x0ak",
            "incr key=k delta=1 initial=5 createexp=10 opaque=7 creates");
    REQUEST(0x16, 20, 1, "\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\5\xff\xff\xff\xffk",
            "decr key=k delta=1 initial=5 opaque=7 quiet");
    REQUEST(0x07, 0, 0, "", "quit opaque=7");
    REQUEST(0x17, 0, 0, "", "quit opaque=7 quiet");
    REQUEST(0x08, 4, 0, "\0\0\0\x0a", "flush exptime=10 opaque=7");
    REQUEST(0x08, 0, 0, "", "flush opaque=7");
    REQUEST(0x18, 0, 0, "", "flush opaque=7 quiet");
    REQUEST(0x0a, 0, 0, "", "noop opaque=7");
    REQUEST(0x0b, 0, 0, "", "version opaque=7");
    REQUEST(0x0e, 0, 1, "kv", "append key=k value=v opaque=7");
    REQUEST(0x0f, 0, 1, "kv", "prepend key=k value=v opaque=7");
    REQUEST(0x19, 0, 1, "kv", "append key=k value=v opaque=7 quiet");
    REQUEST(0x1a, 0, 1, "kv", "prepend key=k value=v opaque=7 quiet");
    REQUEST(0x10, 0, 0, "", "stats opaque=7");
    REQUEST(0x10, 0, 5, "items", "stats key=items opaque=7");
    REQUEST(0x1b, 4, 0, "\0\0\0\1", "verbosity exptime=1 opaque=7");
    REQUEST(0x1c, 4, 1, "\0\0\5\xa0k", "touch key=k exptime=1440 opaque=7 touch");
    REQUEST(0x1d, 4, 1, "\0\0\5\xa0k", "get key=k exptime=1440 opaque=7 touch v");
    REQUEST(0x1e, 4, 1, "\0\0\5\xa0k", "get key=k exptime=1440 opaque=7 quiet touch v");
    REQUEST(0x23, 4, 1, "\0\0\5\xa0k", "get key=k exptime=1440 opaque=7 touch v wantskey");
    REQUEST(0x24, 4, 1, "\0\0\5\xa0k", "get key=k exptime=1440 opaque=7 quiet touch v wantskey");
}

static void test_cas(void **state)
{
    struct shape shape = {
        .first = 0x80, .opcode = 1, .extras_size = 8, .key_size = 1, .body_size = 10, .cas = 99};
    assert_request(packet(shape, HF_SLICE("\0\0\0\0\0\0\0\0kv")),
                   "set key=k value=v cas=99 opaque=7 hascas");
}

struct refusal {
    struct shape shape;
    enum hf_memcache_reason reason;
    uint32_t discard;
};

/* Answered, and the next packet is read. */
static const struct refusal refusals[] = {
    {{0x80, 0x20, 0, 0, 0, 0, 0}, HF_MEMCACHE_UNKNOWN_COMMAND, 0},   /* SASL list */
    {{0x80, 0x21, 0, 0, 5, 20, 0}, HF_MEMCACHE_UNKNOWN_COMMAND, 20}, /* SASL auth */
    {{0x80, 0x22, 0, 0, 5, 20, 0}, HF_MEMCACHE_UNKNOWN_COMMAND, 20}, /* SASL step */
    {{0x80, 0x1f, 0, 0, 0, 0, 0}, HF_MEMCACHE_UNKNOWN_COMMAND, 0},
    {{0x80, 0xff, 3, 0, 9, 4000, 0}, HF_MEMCACHE_UNKNOWN_COMMAND, 4000},
    {{0x80, 0x01, 8, 0, 1, 9 + 1025, 0}, HF_MEMCACHE_TOO_LARGE, 9 + 1025}, /* row 217 */
    {{0x80, 0x01, 8, 0, 1, 128 << 20, 0}, HF_MEMCACHE_TOO_LARGE, 128 << 20},
};

/* Rows 226 and 227: the connection ends. */
static const struct refusal endings[] = {
    {{0x80, 0x01, 0, 0, 1, 2, 0}, HF_MEMCACHE_BAD_FRAME, 0},     /* set without extras */
    {{0x80, 0x01, 8, 0, 0, 9, 0}, HF_MEMCACHE_BAD_FRAME, 0},     /* key of no bytes */
    {{0x80, 0x01, 8, 0, 300, 310, 0}, HF_MEMCACHE_BAD_FRAME, 0}, /* key of 300 */
    {{0x80, 0x00, 0, 0, 251, 251, 0}, HF_MEMCACHE_BAD_FRAME, 0},
    {{0x80, 0x00, 0, 0, 0, 0, 0}, HF_MEMCACHE_BAD_FRAME, 0},
    {{0x80, 0x00, 4, 0, 1, 5, 0}, HF_MEMCACHE_BAD_FRAME, 0}, /* get with extras */
    {{0x80, 0x00, 0, 0, 1, 2, 0}, HF_MEMCACHE_BAD_FRAME, 0}, /* get with a value */
    {{0x80, 0x0a, 0, 0, 1, 1, 0}, HF_MEMCACHE_BAD_FRAME, 0}, /* noop with a key */
    {{0x80, 0x00, 0, 0, 2, 1, 0}, HF_MEMCACHE_BAD_FRAME, 0}, /* body shorter than its parts */
    {{0x80, 0x01, 8, 0, 65535, 10, 0}, HF_MEMCACHE_BAD_FRAME, 0},
    {{0x80, 0x1c, 0, 0, 1, 1, 0}, HF_MEMCACHE_BAD_FRAME, 0}, /* touch without an expiry */
    {{0x80, 0x05, 8, 0, 1, 9, 0}, HF_MEMCACHE_BAD_FRAME, 0},
    {{0x80, 0x00, 0, 1, 1, 1, 0}, HF_MEMCACHE_BAD_FRAME, 0}, /* a data type */
    {{0x80, 0x01, 8, 0, 1, 0x80000000, 0}, HF_MEMCACHE_TOO_LARGE, 0},
    {{0x80, 0x01, 8, 0, 1, 0xffffffff, 0}, HF_MEMCACHE_TOO_LARGE, 0},
    {{0x80, 0xff, 8, 0, 1, 0xffffffff, 0}, HF_MEMCACHE_TOO_LARGE, 0},
    {{0x80, 0x01, 8, 0, 1, (128 << 20) + 1, 0}, HF_MEMCACHE_TOO_LARGE, 0},
};

static unsigned count_wrong(const struct refusal *rows, size_t count, enum hf_codec answer)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < count; i++) {
        /* of a value that is too large, extras and key are looked at */
        bool large = answer == HF_CODEC_DONE && rows[i].reason == HF_MEMCACHE_TOO_LARGE;
        struct hf_slice body = large ? HF_SLICE("\0\0\0\0\0\0\0\0k") : HF_SLICE("");
        struct hf_slice input = packet(rows[i].shape, body);
        const struct hf_memcache_outcome *outcome = hf_memcache_testing_parse(&guard, input);
        if (outcome->answer == answer && outcome->operation == HF_MEMCACHE_REFUSED &&
            outcome->reason == rows[i].reason && outcome->discard == rows[i].discard)
            continue;
        print_error("row %zu: answer %d, %s, discard %u\n", i, outcome->answer,
                    hf_memcache_reason_word((enum hf_memcache_reason)outcome->reason),
                    outcome->discard);
        wrong++;
    }
    return wrong;
}

static void test_refusals(void **state)
{
    assert_int_equal(count_wrong(refusals, sizeof(refusals) / sizeof(refusals[0]), HF_CODEC_DONE),
                     0);
}

static void test_endings(void **state)
{
    assert_int_equal(count_wrong(endings, sizeof(endings) / sizeof(endings[0]), HF_CODEC_BAD), 0);
}

/* ---- responses ---- */

static struct hf_memcache_request request;
static char out[1024];

static struct hf_slice answer(struct hf_slice input, const struct hf_memcache_result *result)
{
    static const struct hf_memcache_limits limits = {.value_size_max = MEMCACHE_VALUE_MAX};
    struct hf_memcache_parser parser = {0};
    enum hf_codec parsed = hf_memcache_parse(&parser, input.bytes, input.size, &limits, &request);
    assert_true(parsed != HF_CODEC_NEED_MORE);
    struct hf_writer writer = hf_writer(out, sizeof(out));
    if (request.operation == HF_MEMCACHE_REFUSED)
        hf_memcache_write_refusal(&writer, &request);
    else
        hf_memcache_write_result(&writer, &request, result);
    assert_true(hf_writer_fits(&writer));
    return hf_slice(out, writer.size);
}

/* Header members in hex without blanks: key, extras, type, status, body, opaque, cas; then the
 * body. */
static void assert_answer(struct hf_slice input, const struct hf_memcache_result *result,
                          struct hf_slice expected)
{
    char opcode = input.bytes[1];
    struct hf_slice found = answer(input, result);
    assert_int_equal(found.size, 2 + expected.size);
    assert_int_equal((unsigned char)out[0], 0x81);
    assert_int_equal(out[1], opcode);
    assert_memory_equal(out + 2, expected.bytes, expected.size);
}
#define HEADER(key, extras, status, body) "\0" key extras "\0\0" status "\0\0\0" body "\0\0\0\7"
#define NO_CAS "\0\0\0\0\0\0\0\0"

static void test_answers(void **state)
{
    struct hf_memcache_result hit = {.flags = 1, .cas = 9, .value = HF_SLICE("ab")};
    assert_answer(plain(0x00, 0, 1, HF_SLICE("k")), &hit,
                  HF_SLICE(HEADER("\0", "\4", "\0", "\6") "\0\0\0\0\0\0\0\x09\0\0\0\1"
                                                          "ab"));
    assert_answer(plain(0x0c, 0, 1, HF_SLICE("k")), &hit,
                  HF_SLICE(HEADER("\1", "\4", "\0", "\7") "\0\0\0\0\0\0\0\x09\0\0\0\1"
                                                          "kab"));
    assert_answer(plain(0x1c, 4, 1, HF_SLICE("\0\0\0\1k")), &hit,
                  HF_SLICE(HEADER("\0", "\4", "\0", "\4") "\0\0\0\0\0\0\0\x09\0\0\0\1"));
    assert_answer(plain(0x01, 8, 1, HF_SLICE("\0\0\0\0\0\0\0\0kv")), &hit,
                  HF_SLICE(HEADER("\0", "\0", "\0", "\0") "\0\0\0\0\0\0\0\x09"));
    struct hf_memcache_result number = {.number = 258};
    assert_answer(plain(0x05, 20, 1, HF_SLICE("\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0k")),
                  &number, HF_SLICE(HEADER("\0", "\0", "\0", "\x08") NO_CAS "\0\0\0\0\0\0\1\2"));
    struct hf_memcache_result version = {.value = HF_SLICE("1.6.38")};
    assert_answer(plain(0x0b, 0, 0, HF_SLICE("")), &version,
                  HF_SLICE(HEADER("\0", "\0", "\0", "\6") NO_CAS "1.6.38"));
}

static void test_failures(void **state)
{
    struct hf_memcache_result missing = {.status = HF_MEMCACHE_MISSING};
    struct hf_memcache_result present = {.status = HF_MEMCACHE_PRESENT};
    struct hf_memcache_result unsure = {.status = HF_MEMCACHE_UNSURE};
    assert_answer(plain(0x00, 0, 1, HF_SLICE("k")), &missing,
                  HF_SLICE(HEADER("\0", "\0", "\1", "\x09") NO_CAS "Not found"));
    assert_answer(plain(0x0c, 0, 1, HF_SLICE("k")), &missing,
                  HF_SLICE(HEADER("\1", "\0", "\1", "\1") NO_CAS "k"));
    assert_answer(plain(0x02, 8, 1, HF_SLICE("\0\0\0\0\0\0\0\0k")), &present,
                  HF_SLICE(HEADER("\0", "\0", "\2", "\x14") NO_CAS "Data exists for key."));
    assert_answer(plain(0x0e, 0, 1, HF_SLICE("kv")), &missing,
                  HF_SLICE(HEADER("\0", "\0", "\5", "\x0b") NO_CAS "Not stored."));
    assert_answer(plain(0x09, 0, 1, HF_SLICE("k")), &unsure,
                  HF_SLICE(HEADER("\0", "\0", "\x86", "\x11") NO_CAS "Temporary failure"));
    assert_answer(plain(0x20, 0, 0, HF_SLICE("")), NULL,
                  HF_SLICE(HEADER("\0", "\0", "\x81", "\x0f") NO_CAS "Unknown command"));
    assert_answer(plain(0x01, 0, 1, HF_SLICE("kv")), NULL,
                  HF_SLICE(HEADER("\0", "\0", "\4", "\x11") NO_CAS "Invalid arguments"));
}

static void test_quiet(void **state)
{
    struct hf_memcache_result done = {0}, missing = {.status = HF_MEMCACHE_MISSING};
    assert_int_equal(answer(plain(0x09, 0, 1, HF_SLICE("k")), &missing).size, 0);
    assert_int_equal(answer(plain(0x1e, 4, 1, HF_SLICE("\0\0\0\0k")), &missing).size, 0);
    assert_int_equal(answer(plain(0x09, 0, 1, HF_SLICE("k")), &done).size, 28);
    assert_int_equal(answer(plain(0x11, 8, 1, HF_SLICE("\0\0\0\0\0\0\0\0k")), &done).size, 0);
    assert_int_equal(answer(plain(0x14, 0, 1, HF_SLICE("k")), &done).size, 0);
    assert_int_equal(answer(plain(0x14, 0, 1, HF_SLICE("k")), &missing).size, 24 + 9);
    assert_int_equal(answer(plain(0x17, 0, 0, HF_SLICE("")), &done).size, 0);
}

static void test_stats(void **state)
{
    struct hf_writer writer = hf_writer(out, sizeof(out));
    struct hf_memcache_result none = {0};
    answer(plain(0x10, 0, 0, HF_SLICE("")), &none);
    hf_memcache_write_stat(&writer, &request, HF_SLICE("pid"), HF_SLICE("12"));
    hf_memcache_write_end(&writer, &request);
    static const char expected[] = "\x81\x10" HEADER("\3", "\0", "\0", "\5") NO_CAS
        "pid12\x81\x10" HEADER("\0", "\0", "\0", "\0") NO_CAS;
    assert_int_equal(writer.size, sizeof(expected) - 1);
    assert_memory_equal(out, expected, writer.size);
}

static int setup(void **state)
{
    guard = hf_guard_init();
    return 0;
}

static int teardown(void **state)
{
    hf_guard_fini(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests), cmocka_unit_test(test_cas),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_endings),
        cmocka_unit_test(test_answers),  cmocka_unit_test(test_failures),
        cmocka_unit_test(test_quiet),    cmocka_unit_test(test_stats),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
