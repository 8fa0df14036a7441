#include "base/rng.h"
#include "base/test.h"
#include "fabric/hello.h"
#include "fabric/wire.h"
#include "proto/guard.h"

static struct hf_wire_message random_message(struct hf_rng *rng, unsigned type, const char *text)
{
    struct hf_wire_message m = {.type = (enum hf_wire_type)type};
    uint64_t bits = hf_rng_u64(rng);
    m.id = hf_slice(text, bits % 40);
    m.bytes = hf_slice(text, bits >> 8 & 63);
    m.number = m.list = m.incarnation = m.view = hf_rng_u64(rng);
    m.sent_ms = m.lanes[0] = m.remaining_ms = hf_rng_u64(rng);
    m.echo_ms = m.lanes[1] = hf_rng_u64(rng);
    m.version = m.base = (struct hf_version){(uint32_t)bits, (uint32_t)(bits >> 7), 9};
    m.node = m.weight = (uint16_t)(bits >> 20);
    m.protocol_min = 1;
    m.protocol_max = 3;
    m.state = (uint8_t)(bits % 5);
    m.kind = (uint8_t)(bits % HF_WIRE_KINDS);
    m.flags = (uint8_t)(bits & HF_WIRE_FLAGS_MAX);
    m.status = (uint8_t)(bits % (HF_WIRE_STATUS_MAX + 1));
    memset(m.nonce, (int)(bits & 255), sizeof(m.nonce));
    return m;
}

/* What is decoded encodes to the same bytes: nothing is lost and there is one spelling. */
static void every_message_survives_the_wire(void **state)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-";
    struct hf_rng rng;
    unsigned known = 0;
    hf_rng_seed(&rng, 1);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned type = 0; type < HF_WIRE_TYPES_MAX; type++) {
            char out[512], again[512];
            size_t used = 0;
            struct hf_wire_message decoded;
            if (hf_wire_name(type) == NULL)
                continue;
            known++;
            struct hf_wire_message m = random_message(&rng, type, text);
            size_t size = hf_wire_encode(&m, out, sizeof(out));
            assert_int_equal(size, hf_wire_size(&m));
            assert_int_equal(hf_wire_decode(hf_slice(out, size), 512, &decoded, &used),
                             HF_WIRE_DONE);
            assert_int_equal(used, size);
            assert_int_equal(hf_wire_encode(&decoded, again, sizeof(again)), size);
            assert_memory_equal(out, again, size);
        }
    }
    assert_int_equal(known, 200 * 27);
}

/* Cut anywhere, a frame waits for more; cut with its length told so, it is refused. */
static void a_frame_that_ends_early_is_not_taken(void **state)
{
    struct hf_guard guard = hf_guard_init();
    struct hf_wire_message m = {.type = HF_WIRE_REQUEST, .id = HF_SLICE("sess:1")}, decoded;
    char out[128];
    size_t used, size = hf_wire_encode(&m, out, sizeof(out));
    for (size_t cut = 0; cut < size; cut++) {
        char *copy = hf_guard_copy(&guard, hf_slice(out, cut));
        assert_int_equal(hf_wire_decode(hf_slice(copy, cut), 512, &decoded, &used),
                         HF_WIRE_NEED_MORE);
    }
    for (size_t cut = HF_WIRE_HEAD_SIZE; cut < size; cut++) {
        char *copy = hf_guard_copy(&guard, hf_slice(out, cut));
        copy[3] = (char)(cut - 4);
        assert_int_equal(hf_wire_decode(hf_slice(copy, cut), 512, &decoded, &used), HF_WIRE_SHORT);
    }
    hf_guard_fini(&guard);
}

static enum hf_wire_verdict verdict_of(const char *bytes, size_t size)
{
    struct hf_wire_message decoded;
    size_t used;
    return hf_wire_decode(hf_slice(bytes, size), HF_WIRE_FRAME_MAX, &decoded, &used);
}

static void bad_frames_are_told_apart(void **state)
{
    assert_int_equal(verdict_of("\xff\xff\xff\xff", 4), HF_WIRE_TOO_LONG);
    assert_int_equal(verdict_of("\0\0\0\0", 4), HF_WIRE_SHORT);
    assert_int_equal(verdict_of("\0\0\0\1\0", 5), HF_WIRE_UNKNOWN);
    assert_int_equal(verdict_of("\0\0\0\2\3\x20", 6), HF_WIRE_RANGE);     /* BYE, status 32 */
    assert_int_equal(verdict_of("\0\0\0\3\3\1\0", 7), HF_WIRE_LEFT_OVER); /* BYE and a byte */
    static const char pull[] = "\0\0\0\x0b\x21\0\0\0\0\0\0\0\0\4\1";      /* id of 1025 */
    assert_int_equal(verdict_of(pull, sizeof(pull) - 1), HF_WIRE_RANGE);
}

static void entries_and_sums_survive(void **state)
{
    char out[100];
    size_t used = 0;
    bool bad;
    struct hf_wire_entry entry = {HF_SLICE("abc"), {0x100, 2, 0x100}, 7, HF_RECORD_TOMB}, got;
    while (hf_wire_put_entry(&entry, out, sizeof(out), &used))
        entry.node++;
    assert_int_equal(entry.node, 12); /* 20 bytes each */
    struct hf_slice bytes = hf_slice(out, used);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(hf_wire_get_entry(&bytes, &got, &bad));
        assert_int_equal(got.node, 7 + i);
        assert_true(hf_slice_equal(got.id, entry.id) && got.version.sequence == 2);
    }
    assert_false(hf_wire_get_entry(&bytes, &got, &bad));
    assert_false(bad);
    bytes = hf_slice(out, 19);
    assert_false(hf_wire_get_entry(&bytes, &got, &bad));
    assert_true(bad);
}

static struct hf_wire_message hello(uint16_t node, uint8_t nonce)
{
    struct hf_wire_message m = {
        .type = HF_WIRE_HELLO, .node = node, .list = 5, .protocol_min = 1, .protocol_max = 1};
    memset(m.nonce, nonce, sizeof(m.nonce));
    return m;
}

static void only_the_key_proves(void **state)
{
    uint8_t key[HF_HELLO_KEY_SIZE] = {1}, other[HF_HELLO_KEY_SIZE] = {2};
    uint8_t proof[HF_WIRE_NONCE_SIZE], protocol = 0;
    struct hf_wire_message a = hello(0, 1), b = hello(1, 2), c = hello(1, 3);
    assert_int_equal(hf_hello_judge(&a, &b, 2, &protocol), HF_HELLO_OK);
    assert_int_equal(protocol, 1);
    assert_int_equal(hf_hello_prove(key, &a, &b, proof), 0);
    assert_true(hf_hello_proved(key, &a, &b, proof));
    assert_false(hf_hello_proved(other, &a, &b, proof));
    assert_false(hf_hello_proved(key, &b, &a, proof)); /* reflected */
    assert_false(hf_hello_proved(key, &a, &c, proof)); /* replayed to another nonce */
}

static void strangers_are_refused_with_the_reason(void **state)
{
    uint8_t protocol;
    struct hf_wire_message us = hello(0, 1), them = hello(1, 2);
    them.list = 6;
    assert_int_equal(hf_hello_judge(&us, &them, 2, &protocol), HF_HELLO_LIST);
    them = hello(0, 2);
    assert_int_equal(hf_hello_judge(&us, &them, 2, &protocol), HF_HELLO_NODE);
    them = hello(2, 2);
    assert_int_equal(hf_hello_judge(&us, &them, 2, &protocol), HF_HELLO_NODE);
    them = hello(1, 2);
    them.protocol_min = them.protocol_max = 2;
    assert_int_equal(hf_hello_judge(&us, &them, 2, &protocol), HF_HELLO_PROTOCOL);
    assert_string_equal(hf_hello_reason(HF_HELLO_PROOF), "the peer key differs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_survives_the_wire),
        cmocka_unit_test(a_frame_that_ends_early_is_not_taken),
        cmocka_unit_test(bad_frames_are_told_apart),
        cmocka_unit_test(entries_and_sums_survive),
        cmocka_unit_test(only_the_key_proves),
        cmocka_unit_test(strangers_are_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
