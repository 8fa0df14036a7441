#include "base/test.h"
#include "proto/guard.h"
#include "remote/cluster.h"
#include <stdio.h>

static struct hf_guard guard;

/* Computed by a Redis: CLUSTER KEYSLOT. */
static void slots_are_those_of_redis(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        unsigned slot;
    } rows[] = {
        {"", 0},
        {"123456789", 12739},
        {"foo", 12182},
        {"a{foo}b", 12182},
        {"{foo}{bar}", 12182},
        {"foo{}bar", 14292},
        {"foo{{bar}}zap", 4015},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_slice key = hf_slice_text(rows[i].key);
        key.bytes = hf_guard_copy(&guard, key);
        if (hf_cluster_slot(key) != rows[i].slot)
            print_error("%s: %u\n", rows[i].key, hf_cluster_slot(key));
        assert_int_equal(hf_cluster_slot(key), rows[i].slot);
    }
}

static bool parse(const char *text, struct hf_cluster_move *ret_move)
{
    struct hf_slice error = hf_slice_text(text);
    error.bytes = hf_guard_copy(&guard, error);
    return hf_cluster_parse_move(error, ret_move);
}

static void is_at(const struct hf_address *address, const char *text)
{
    char found[HF_ADDRESS_TEXT_MAX];
    hf_address_format(address, found);
    assert_string_equal(found, text);
}

static void moves(void **state)
{
    (void)state;
    struct hf_cluster_move move;
    assert_true(parse("MOVED 3999 127.0.0.1:6381", &move));
    assert_int_equal(move.slot, 3999);
    assert_false(move.ask);
    is_at(&move.address, "127.0.0.1:6381");
    assert_true(parse("ASK 16383 ::1:6381", &move));
    assert_int_equal(move.slot, 16383);
    assert_true(move.ask);
    is_at(&move.address, "[::1]:6381");
    static const char *const rows[] = {
        "",
        "MOVED",
        "MOVED ",
        "MOVED 1",
        "MOVED 1 ",
        "MOVED 1 a:1",
        "MOVED x 1.1.1.1:1",
        "MOVED 16384 1.1.1.1:1",
        "MOVED 1 1.1.1.1",
        "MOVED 1 :1",
        "MOVED 1 1.1.1.1:",
        "MOVED 1 1.1.1.1:65536",
        "ASK 1 1.1.1.1:0",
        "ERR no",
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_false(parse(rows[i], &move));
}

static struct hf_cluster_cursor cursor_of(struct hf_slice reply)
{
    return (struct hf_cluster_cursor){
        .items = {.reply = hf_slice(hf_guard_copy(&guard, reply), reply.size)}};
}

static void ranges(void **state)
{
    (void)state;
    struct hf_cluster_range range;
    struct hf_cluster_cursor cursor = cursor_of(
        HF_SLICE("*3\r\n"
                 "*4\r\n:0\r\n:5460\r\n*4\r\n$9\r\n127.0.0.1\r\n:30001\r\n$2\r\nid\r\n*0\r\n"
                 "*3\r\n$9\r\n127.0.0.1\r\n:30004\r\n$2\r\nid\r\n"
                 "*3\r\n:5461\r\n:5461\r\n*3\r\n$1\r\n?\r\n:30002\r\n$2\r\nid\r\n"
                 "*3\r\n:10923\r\n:16383\r\n*3\r\n$3\r\n::1\r\n:30003\r\n$2\r\nid\r\n"));
    assert_true(hf_cluster_next_range(&cursor, &range));
    assert_int_equal(range.first, 0);
    assert_int_equal(range.last, 5460);
    is_at(&range.address, "127.0.0.1:30001");
    assert_true(hf_cluster_next_range(&cursor, &range)); /* past the one without an address */
    assert_int_equal(range.first, 10923);
    assert_int_equal(range.last, 16383);
    is_at(&range.address, "[::1]:30003");
    assert_false(hf_cluster_next_range(&cursor, &range));
    assert_false(hf_cluster_next_range(&cursor, &range));
}

static void what_is_no_range_is_passed_over(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "*0\r\n",
        "+OK\r\n",
        "*1\r\n*0\r\n",
        "*1\r\n*1\r\n:1\r\n",
        "*1\r\n*3\r\n:1\r\n:16384\r\n*2\r\n$7\r\n1.1.1.1\r\n:1\r\n",
        "*1\r\n*3\r\n:2\r\n:1\r\n*2\r\n$7\r\n1.1.1.1\r\n:1\r\n",
        "*1\r\n*3\r\n:-1\r\n:1\r\n*2\r\n$7\r\n1.1.1.1\r\n:1\r\n",
        "*1\r\n*3\r\n:1\r\n:1\r\n*1\r\n$7\r\n1.1.1.1\r\n",
        "*1\r\n*3\r\n:1\r\n:1\r\n*2\r\n$7\r\n1.1.1.1\r\n:70000\r\n",
        "*1\r\n*3\r\n:1\r\n:1\r\n$1\r\nx\r\n",
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_cluster_range range;
        struct hf_cluster_cursor cursor = cursor_of(hf_slice_text(rows[i]));
        assert_false(hf_cluster_next_range(&cursor, &range));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_those_of_redis),
        cmocka_unit_test(moves),
        cmocka_unit_test(ranges),
        cmocka_unit_test(what_is_no_range_is_passed_over),
    };
    guard = hf_guard_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hf_guard_fini(&guard);
    return failed;
}
