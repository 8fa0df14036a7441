#include "base/test.h"
#include "proto/guard.h"
#include "proto/token.h"
#include <errno.h>
#include <openssl/crypto.h>

static const struct hf_token_key keys[] = {
    {.id = 7, .bytes = {1, 2, 3}}, {.id = 3, .bytes = {4, 5, 6}}, {.id = 255, .bytes = {1, 2, 3}}};
static const struct hf_token sample = {.server_id = 0x0123456789abcdef,
                                       .client_id = 0xfedcba9876543210,
                                       .issued_s = 1700000000,
                                       .seen_s = 1700003600,
                                       .epoch = 0x89abcdef};
#define SCOPE HF_SLICE("shop\0HOLDFAST")

static struct hf_guard guard;
static unsigned long allocations; /* by OpenSSL */

static void *counted_malloc(size_t size, const char *file, int line)
{
    allocations++;
    return malloc(size);
}
static void *counted_realloc(void *memory, size_t size, const char *file, int line)
{
    allocations++;
    return realloc(memory, size);
}
static void counted_free(void *memory, const char *file, int line)
{
    free(memory);
}

static struct hf_token_sealer *sealer_of(unsigned first, unsigned count)
{
    struct hf_token_sealer *sealer = NULL;
    assert_int_equal(hf_token_sealer_new(keys + first, count, &sealer), 0);
    return sealer;
}

static enum hf_token_verdict open_text(struct hf_token_sealer *sealer, struct hf_slice scope,
                                       struct hf_slice text, struct hf_token *ret_token)
{
    return hf_token_open(sealer, scope, hf_slice(hf_guard_copy(&guard, text), text.size),
                         ret_token);
}

static void assert_token_equal(const struct hf_token *a, const struct hf_token *b)
{
    assert_true(a->server_id == b->server_id && a->client_id == b->client_id);
    assert_true(a->issued_s == b->issued_s && a->seen_s == b->seen_s && a->epoch == b->epoch);
    assert_true(a->home_id == b->home_id);
}

static void test_round_trip(void **state)
{
    static const struct hf_token tokens[] = {
        {0},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT32_MAX, 0},
        {1, 2, 3, 4, 5, 0},
        {1, 2, 3, 4, 5, 6},
        {UINT64_MAX, UINT64_MAX, HF_TOKEN_AWAY_TIME_MAX, HF_TOKEN_AWAY_TIME_MAX,
         HF_TOKEN_AWAY_EPOCH_MAX, UINT64_MAX},
    };
    struct hf_token_sealer *sealer = sealer_of(0, 1);
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        char text[HF_TOKEN_TEXT_SIZE], again[HF_TOKEN_TEXT_SIZE];
        struct hf_token opened = {0};
        hf_token_seal(sealer, SCOPE, &tokens[i], text);
        hf_token_seal(sealer, SCOPE, &tokens[i], again);
        assert_memory_not_equal(text, again, sizeof(text));
        assert_int_equal(open_text(sealer, SCOPE, hf_slice(text, sizeof(text)), &opened),
                         HF_TOKEN_VALID);
        assert_token_equal(&opened, &tokens[i]);
    }
    hf_token_sealer_free(&sealer);
    assert_null(sealer);
    hf_token_sealer_free(&sealer);
}

/* A client away from home: times and epoch stay at what the narrower fields hold. */
static void test_away_from_home(void **state)
{
    struct hf_token_sealer *sealer = sealer_of(0, 1);
    struct hf_token token = sample, opened;
    char text[HF_TOKEN_TEXT_SIZE];
    token.home_id = 77;
    token.seen_s = UINT64_MAX;
    hf_token_seal(sealer, SCOPE, &token, text);
    assert_int_equal(open_text(sealer, SCOPE, hf_slice(text, sizeof(text)), &opened),
                     HF_TOKEN_VALID);
    token.seen_s = HF_TOKEN_AWAY_TIME_MAX;
    token.epoch = HF_TOKEN_AWAY_EPOCH_MAX;
    assert_token_equal(&opened, &token);
    assert_memory_equal(text, "Ag", 2); /* version 2 */
    hf_token_seal(sealer, SCOPE, &sample, text);
    assert_memory_equal(text, "AQ", 2); /* at home nothing changes: earlier releases read it */
    hf_token_sealer_free(&sealer);
}

/* Tokens that version 0.1.0 sealed before there were others: an update of the proxy loses no pin.
 */
static void test_tokens_sealed_before_there_was_a_home(void **state)
{
    static const char *const texts[] = {
        "AQegQBAz6Wy20pBqhYgLPAGGrXuRbvYVDPYoG_8KDKkTjGwSjlXbTll028AMfCvB4ibO_IHCpZjYYRJ9ZHR7-g22",
        "AQdGHnE37t7HcJF1aAznC-WuaSDSVqQ45qUgzGyRikPCx8M6UhJd7H98CTZohLEIui8Cxjm-e2T4IVyGZY32VF7W",
    };
    static const uint32_t epochs[] = {0x89abcdef, 0};
    struct hf_token_sealer *sealer = sealer_of(0, 1);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct hf_token opened = {.home_id = 5}, expected = sample;
        expected.epoch = epochs[i];
        assert_int_equal(open_text(sealer, SCOPE, hf_slice_text(texts[i]), &opened),
                         HF_TOKEN_VALID);
        assert_token_equal(&opened, &expected);
    }
    hf_token_sealer_free(&sealer);
}

/* A refused text leaves the caller's token as it was. */
static void assert_refused(struct hf_token_sealer *sealer, struct hf_slice scope,
                           struct hf_slice text, enum hf_token_verdict verdict)
{
    struct hf_token opened = sample;
    assert_int_equal(open_text(sealer, scope, text, &opened), verdict);
    assert_token_equal(&opened, &sample);
}

/* Each character stands for six bits, so changing it to each other one flips each bit alone, too.
 */
static void test_every_change_is_noticed(void **state)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct hf_token_sealer *sealer = sealer_of(0, 1);
    char text[HF_TOKEN_TEXT_SIZE];
    hf_token_seal(sealer, SCOPE, &sample, text);
    for (size_t at = 0; at < sizeof(text); at++) {
        char kept = text[at];
        for (size_t i = 0; i < 64; i++) {
            struct hf_token opened = {0};
            text[at] = alphabet[i];
            enum hf_token_verdict verdict =
                open_text(sealer, SCOPE, hf_slice(text, sizeof(text)), &opened);
            assert_int_equal(verdict == HF_TOKEN_VALID, alphabet[i] == kept);
            assert_true(at < 3 || verdict != HF_TOKEN_MALFORMED);
        }
        text[at] = kept;
    }
    hf_token_sealer_free(&sealer);
}

static void test_strict_alphabet(void **state)
{
    struct hf_token_sealer *sealer = sealer_of(0, 1);
    char text[HF_TOKEN_TEXT_SIZE];
    hf_token_seal(sealer, SCOPE, &sample, text);
    for (size_t at = 0; at < sizeof(text); at++) {
        char kept = text[at];
        for (int byte = 0; byte < 256; byte++) {
            if (byte != 0 &&
                strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", byte))
                continue;
            text[at] = (char)byte;
            assert_refused(sealer, SCOPE, hf_slice(text, sizeof(text)), HF_TOKEN_MALFORMED);
        }
        text[at] = kept;
    }
    hf_token_sealer_free(&sealer);
}

static void test_every_truncation(void **state)
{
    struct hf_token_sealer *sealer = sealer_of(0, 1);
    char text[HF_TOKEN_TEXT_SIZE + 2];
    hf_token_seal(sealer, SCOPE, &sample, text);
    memcpy(text + HF_TOKEN_TEXT_SIZE, "==", 2);
    for (size_t size = 0; size <= sizeof(text); size++)
        if (size != HF_TOKEN_TEXT_SIZE)
            assert_refused(sealer, SCOPE, hf_slice(text, size), HF_TOKEN_MALFORMED);
    hf_token_sealer_free(&sealer);
}

static void test_other_scope(void **state)
{
    struct hf_token_sealer *sealer = sealer_of(0, 1);
    struct hf_slice text = hf_slice((char[HF_TOKEN_TEXT_SIZE]){0}, HF_TOKEN_TEXT_SIZE);
    struct hf_token opened;
    char longest[HF_TOKEN_SCOPE_MAX] = {0};
    hf_token_seal(sealer, SCOPE, &sample, (char *)text.bytes);
    assert_refused(sealer, HF_SLICE("shop\0HOLDFASS"), text, HF_TOKEN_FORGED);
    assert_refused(sealer, HF_SLICE("shop"), text, HF_TOKEN_FORGED);
    assert_refused(sealer, HF_SLICE(""), text, HF_TOKEN_FORGED);
    hf_token_seal(sealer, hf_slice(longest, sizeof(longest)), &sample, (char *)text.bytes);
    assert_int_equal(open_text(sealer, hf_slice(longest, sizeof(longest)), text, &opened),
                     HF_TOKEN_VALID);
    hf_token_seal(sealer, HF_SLICE(""), &sample, (char *)text.bytes);
    assert_int_equal(open_text(sealer, HF_SLICE(""), text, &opened), HF_TOKEN_VALID);
    hf_token_sealer_free(&sealer);
}

static void test_rotation(void **state)
{
    struct hf_token_sealer *before = sealer_of(1, 1), *after = sealer_of(0, 2);
    struct hf_token_sealer *other = sealer_of(0, 1), *same_bytes = sealer_of(2, 1);
    char text[HF_TOKEN_TEXT_SIZE];
    struct hf_slice sealed = hf_slice(text, sizeof(text));
    struct hf_token opened = {0};
    hf_token_seal(before, SCOPE, &sample, text);
    assert_int_equal(open_text(after, SCOPE, sealed, &opened), HF_TOKEN_OLD_KEY);
    assert_token_equal(&opened, &sample);
    assert_refused(other, SCOPE, sealed, HF_TOKEN_UNKNOWN_KEY);
    hf_token_seal(after, SCOPE, &sample, text);
    assert_int_equal(open_text(other, SCOPE, sealed, &opened), HF_TOKEN_VALID);
    assert_refused(before, SCOPE, sealed, HF_TOKEN_UNKNOWN_KEY);
    assert_refused(same_bytes, SCOPE, sealed, HF_TOKEN_UNKNOWN_KEY);
    hf_token_sealer_free(&before);
    hf_token_sealer_free(&after);
    hf_token_sealer_free(&other);
    hf_token_sealer_free(&same_bytes);
}

static void test_the_key_decides(void **state)
{
    struct hf_token_key wrong = {.id = 7, .bytes = {9}};
    struct hf_token_sealer *sealer = sealer_of(0, 1), *forger = NULL;
    char text[HF_TOKEN_TEXT_SIZE];
    assert_int_equal(hf_token_sealer_new(&wrong, 1, &forger), 0);
    hf_token_seal(forger, SCOPE, &sample, text);
    assert_refused(sealer, SCOPE, hf_slice(text, sizeof(text)), HF_TOKEN_FORGED);
    hf_token_sealer_free(&sealer);
    hf_token_sealer_free(&forger);
}

static void test_key_sets(void **state)
{
    struct hf_token_key many[HF_TOKEN_KEYS_MAX + 1] = {0};
    struct hf_token_sealer *sealer = NULL;
    for (unsigned i = 0; i <= HF_TOKEN_KEYS_MAX; i++)
        many[i].id = (uint8_t)(i + 1);
    assert_int_equal(hf_token_sealer_new(many, 0, &sealer), -EINVAL);
    assert_int_equal(hf_token_sealer_new(many, HF_TOKEN_KEYS_MAX + 1, &sealer), -EINVAL);
    assert_null(sealer);
    assert_int_equal(hf_token_sealer_new(many, HF_TOKEN_KEYS_MAX, &sealer), 0);
    hf_token_sealer_free(&sealer);
    many[1].id = 1;
    assert_int_equal(hf_token_sealer_new(many, 2, &sealer), -EINVAL);
    many[0].id = 0;
    assert_int_equal(hf_token_sealer_new(many, 1, &sealer), -EINVAL);
    assert_null(sealer);
}

static void test_no_allocation_after_init(void **state)
{
    struct hf_token_sealer *sealer = sealer_of(0, 2);
    char text[HF_TOKEN_TEXT_SIZE];
    struct hf_token opened;
    unsigned long before = allocations;
    assert_true(before > 0);
    for (unsigned i = 0; i < 100; i++) {
        hf_token_seal(sealer, SCOPE, &sample, text);
        assert_int_equal(hf_token_open(sealer, SCOPE, hf_slice(text, sizeof(text)), &opened),
                         HF_TOKEN_VALID);
        text[40] ^= 1;
        assert_int_not_equal(hf_token_open(sealer, SCOPE, hf_slice(text, sizeof(text)), &opened),
                             HF_TOKEN_VALID);
    }
    assert_int_equal(allocations, before);
    hf_token_sealer_free(&sealer);
}

static void test_key_text(void **state)
{
    uint8_t bytes[HF_TOKEN_KEY_SIZE], read[HF_TOKEN_KEY_SIZE] = {0};
    char text[67];
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37 + 5);
    hf_token_key_format(bytes, text);
    assert_int_equal(strlen(text), 64);
    assert_int_equal(hf_token_key_parse(hf_slice(text, 64), read), 0);
    assert_memory_equal(bytes, read, sizeof(bytes));
    memcpy(text + 64, "\n\n", 2);
    assert_int_equal(hf_token_key_parse(hf_slice(text, 65), read), 0);
    memset(read, 0x5a, sizeof(read));
    assert_int_equal(hf_token_key_parse(hf_slice(text, 66), read), -EINVAL);
    assert_int_equal(hf_token_key_parse(hf_slice(text, 63), read), -EINVAL);
    assert_int_equal(hf_token_key_parse(HF_SLICE(""), read), -EINVAL);
    text[64] = ' ';
    assert_int_equal(hf_token_key_parse(hf_slice(text, 65), read), -EINVAL);
    for (unsigned at = 0; at < 64; at++) {
        char kept = text[at];
        text[at] = 'g';
        assert_int_equal(hf_token_key_parse(hf_slice(text, 64), read), -EINVAL);
        text[at] = kept;
    }
    for (unsigned i = 0; i < sizeof(read); i++)
        assert_int_equal(read[i], 0x5a);
    text[0] = 'A';
    assert_int_equal(hf_token_key_parse(hf_slice(text, 64), read), 0);
    assert_int_equal(read[0] >> 4, 10);
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
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_away_from_home),
        cmocka_unit_test(test_tokens_sealed_before_there_was_a_home),
        cmocka_unit_test(test_every_change_is_noticed),
        cmocka_unit_test(test_strict_alphabet),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_other_scope),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_the_key_decides),
        cmocka_unit_test(test_key_sets),
        cmocka_unit_test(test_no_allocation_after_init),
        cmocka_unit_test(test_key_text),
    };
    if (CRYPTO_set_mem_functions(counted_malloc, counted_realloc, counted_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, setup, teardown);
}
