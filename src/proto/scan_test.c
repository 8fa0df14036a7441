#include "base/rng.h"
#include "base/test.h"
#include "proto/guard.h"
#include "proto/scan.h"
#include <ctype.h>

enum { ROUNDS = 20000, SIZE_MAX_TRIED = 80 };

static bool in_text(int byte, const char *text)
{
    return byte != 0 && strchr(text, byte) != NULL;
}

/* The classes once more, from the words of the RFCs; the C locale makes isalnum ASCII. */
static bool belongs(int byte, enum hf_scan_class class)
{
    bool visible = byte > 0x20 && byte < 0x7f;
    switch (class) {
    case HF_SCAN_TOKEN:
        return isalnum(byte) || in_text(byte, "!#$%&'*+-.^_`|~");
    case HF_SCAN_PLAIN:
        return isalnum(byte) || byte == '-';
    case HF_SCAN_VALUE:
        return visible || byte == ' ' || byte == '\t' || byte >= 0x80;
    case HF_SCAN_TARGET:
        return visible && byte != '#';
    case HF_SCAN_HOST:
        return isalnum(byte) || in_text(byte, "-._~!$&'()*+;=");
    case HF_SCAN_ADDRESS:
        return isxdigit(byte) || byte == ':' || byte == '.';
    case HF_SCAN_COOKIE:
        return visible && !in_text(byte, "\",;\\");
    case HF_SCAN_QUOTED:
        return (visible && !in_text(byte, "\"\\")) || byte == ' ' || byte == '\t' || byte >= 0x80;
    }
    return false;
}

static void test_classes(void **state)
{
    for (int byte = 0; byte < 256; byte++)
        for (unsigned class = HF_SCAN_TOKEN; class <= HF_SCAN_QUOTED; class <<= 1)
            assert_int_equal(hf_scan_is((char)byte, (enum hf_scan_class) class),
                             belongs(byte, (enum hf_scan_class) class));
}

static void test_hex_digits(void **state)
{
    for (int byte = 0; byte < 256; byte++) {
        const char *digits = "0123456789abcdef";
        const char *at = byte != 0 ? strchr(digits, tolower(byte)) : NULL;
        assert_int_equal(hf_scan_hex_digit((char)byte), at != NULL ? (int)(at - digits) : -1);
    }
}

static void compare(const char *bytes, size_t size)
{
    for (size_t from = 0; from <= size; from++) {
        assert_int_equal(hf_scan(bytes, from, size, HF_SCAN_PLAIN),
                         hf_scan_portable(bytes, from, size, HF_SCAN_PLAIN));
        assert_int_equal(hf_scan(bytes, from, size, HF_SCAN_VALUE),
                         hf_scan_portable(bytes, from, size, HF_SCAN_VALUE));
        assert_int_equal(hf_scan(bytes, from, size, HF_SCAN_TARGET),
                         hf_scan_portable(bytes, from, size, HF_SCAN_TARGET));
    }
}

/* Long legal runs with a few random bytes in them, of every size, ending at the guard. */
static void test_forms_agree(void **state)
{
    struct hf_guard guard = hf_guard_init();
    struct hf_rng rng;
    hf_rng_seed(&rng, 20);
    for (unsigned round = 0; round < ROUNDS; round++) {
        char bytes[SIZE_MAX_TRIED];
        size_t size = hf_rng_below(&rng, SIZE_MAX_TRIED + 1);
        memset(bytes, 'a' + (int)hf_rng_below(&rng, 26), sizeof(bytes));
        for (unsigned strange = hf_rng_below(&rng, 4); size > 0 && strange > 0; strange--)
            bytes[hf_rng_below(&rng, (uint32_t)size)] = (char)hf_rng_u64(&rng);
        compare(hf_guard_copy(&guard, hf_slice(bytes, size)), size);
    }
    hf_guard_fini(&guard);
}

static void test_each_byte_in_each_lane(void **state)
{
    char bytes[33];
    for (int byte = 0; byte < 256; byte++) {
        for (size_t lane = 0; lane < sizeof(bytes); lane++) {
            memset(bytes, 'Z', sizeof(bytes));
            bytes[lane] = (char)byte;
            compare(bytes, sizeof(bytes));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_hex_digits),
        cmocka_unit_test(test_forms_agree),
        cmocka_unit_test(test_each_byte_in_each_lane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
