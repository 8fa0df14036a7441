#include "base/test.h"
#include "proto/http1_feed.h"

static struct hf_http1_feed requests = {.limits = {.head_size_max = 1024, .fields_max = 20}};

/* The text in room of exactly its size and in one byte less; the area ends at the guard. */
static void assert_fields(const struct hf_head *head, uint64_t skip, const char *expected)
{
    struct hf_guard guard = hf_guard_init();
    size_t size = strlen(expected);
    for (size_t room = 0; room <= size; room++) {
        char *out = guard.area + HF_GUARD_SIZE - room;
        struct hf_http1_writer writer = {.out = out, .room = room};
        hf_http1_write_fields(&writer, head, skip);
        assert_int_equal(writer.size, size);
        if (room == size)
            assert_memory_equal(out, expected, size);
    }
    hf_guard_fini(&guard);
}

static void test_fields(void **state)
{
    const struct hf_head *head = hf_http1_feed_accepted(
        &requests, "GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB:2\r\nC:  3 \r\nD:\t4\r\nE: 5  \r\n"
                   "Connection: f\r\nF: 6\r\ng_h: 7\r\nCookie: i\r\nJ: \r\nK:\r\nL: 8\r\n\r\n");
    assert_fields(head, 0,
                  "Host: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nCookie: i\r\n"
                  "J: \r\nK: \r\nL: 8\r\n");
    assert_fields(head, 1ull << HF_FIELD_HOST | 1ull << HF_FIELD_COOKIE,
                  "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\nJ: \r\nK: \r\nL: 8\r\n");
    assert_fields(head, 1ull << HF_FIELD_OTHER, "Host: a\r\nCookie: i\r\n");
    assert_fields(head, UINT64_MAX, "");
}

/* Names and values that lie anywhere, as a head not read from HTTP/1 text may have them. */
static void test_scattered_fields(void **state)
{
    static struct hf_head head = {.base = "value1nameAname2: X", .field_count = 2};
    head.fields[0] = (struct hf_field){.name = 6, .name_size = 5, .value = 0, .value_size = 6};
    head.fields[1] = (struct hf_field){.name = 11, .name_size = 5, .value = 18, .value_size = 1};
    assert_fields(&head, 0, "nameA: value1\r\nname2: X\r\n");
}

static void assert_number(uint64_t number, const char *expected)
{
    char out[20];
    struct hf_http1_writer writer = {.out = out, .room = sizeof(out)};
    hf_http1_write_u64(&writer, number);
    assert_int_equal(writer.size, strlen(expected));
    assert_memory_equal(out, expected, writer.size);
}

static void test_numbers(void **state)
{
    assert_number(0, "0");
    assert_number(9, "9");
    assert_number(10, "10");
    assert_number(1234567890, "1234567890");
    assert_number(UINT64_MAX, "18446744073709551615");
}

static void test_room(void **state)
{
    char out[8];
    struct hf_http1_writer writer = {.out = out, .room = 4};
    memset(out, '.', sizeof(out));
    hf_http1_write(&writer, HF_SLICE("abc"));
    hf_http1_write(&writer, HF_SLICE("de"));
    hf_http1_write(&writer, HF_SLICE("f"));
    hf_http1_write(&writer, hf_slice(NULL, 0));
    assert_int_equal(writer.size, 6);
    assert_memory_equal(out, "abc.....", 8);
    writer = (struct hf_http1_writer){.out = out, .room = 8};
    hf_http1_write_field(&writer, HF_SLICE("ab"), HF_SLICE("cd"));
    assert_int_equal(writer.size, 8);
    assert_memory_equal(out, "ab: cd\r\n", 8);
}

static int setup(void **state)
{
    requests.guard = hf_guard_init();
    return 0;
}

static int teardown(void **state)
{
    hf_guard_fini(&requests.guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_scattered_fields),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
