#include "base/test.h"
#include "proto/guard.h"
#include "proto/number.h"
#include "proto/resp_testing.h"

static struct hf_guard guard;
static struct hf_resp_request request;

static void words(const char *line)
{
    hf_resp_testing_words(&request, hf_slice_text(line));
}

/* Each bit turned in turn: what is found then has that very name. */
static void assert_no_neighbour(char *name, size_t size)
{
    for (size_t bit = 0; bit < 8 * size; bit++) {
        name[bit / 8] ^= (char)(1u << bit % 8);
        enum hf_resp_command_id found = hf_resp_command_find(hf_slice(name, size));
        if (found != HF_RESP_COMMAND_NONE)
            assert_true(
                hf_slice_equal_nocase(hf_slice(name, size), hf_resp_command_row(found)->name));
        name[bit / 8] ^= (char)(1u << bit % 8);
    }
}

/* Each name in three cases, at the end of the address space; and nothing that is nearly one. */
static void test_find(void **state)
{
    for (int id = HF_RESP_COMMAND_NONE + 1; id < HF_RESP_COMMANDS; id++) {
        struct hf_slice name = hf_resp_command_row((enum hf_resp_command_id)id)->name;
        assert_int_equal(hf_resp_command_row((enum hf_resp_command_id)id)->id, id);
        char *copy = hf_guard_copy(&guard, name);
        assert_int_equal(hf_resp_command_find(hf_slice(copy, name.size)), id);
        for (size_t i = 0; i < name.size; i++)
            copy[i] ^= 0x20;
        assert_int_equal(hf_resp_command_find(hf_slice(copy, name.size)), id);
        copy[0] ^= 0x20;
        assert_int_equal(hf_resp_command_find(hf_slice(copy, name.size)), id);
        assert_no_neighbour(copy, name.size);
        assert_int_equal(hf_resp_command_find(hf_slice(copy, 1)), HF_RESP_COMMAND_NONE);
    }
    assert_int_equal(hf_resp_command_find(HF_SLICE("")), HF_RESP_COMMAND_NONE);
    assert_int_equal(hf_resp_command_find(HF_SLICE("flush")), HF_RESP_COMMAND_NONE);
    assert_int_equal(hf_resp_command_find(HF_SLICE("pexpireax")), HF_RESP_COMMAND_NONE);
    assert_int_equal(hf_resp_command_find(HF_SLICE("get\0")), HF_RESP_COMMAND_NONE);
    assert_int_equal(hf_resp_command_find(HF_SLICE("zrevrangebyscore")), HF_RESP_COMMAND_NONE);
}

/* Rows agree with themselves: key positions lie in the arity, and a writer of keys is START or END.
 */
static void test_rows(void **state)
{
    for (int id = HF_RESP_COMMAND_NONE + 1; id < HF_RESP_COMMANDS; id++) {
        const struct hf_resp_command *row = hf_resp_command_row((enum hf_resp_command_id)id);
        unsigned sides = row->flags & (HF_RESP_COMMAND_START | HF_RESP_COMMAND_END);
        bool keyed = row->first_key > 0 || (row->flags & HF_RESP_COMMAND_COUNTED_KEYS) != 0;
        assert_int_equal(keyed, sides != 0);
        assert_int_not_equal(sides, HF_RESP_COMMAND_START | HF_RESP_COMMAND_END);
        int least = row->arity < 0 ? -row->arity : row->arity;
        assert_true(row->first_key < least && row->last_key < least);
        assert_true(row->first_key == 0 || row->key_step == 1);
    }
}

static void assert_resolved(const char *line, enum hf_resp_error error)
{
    struct hf_resp_call call;
    words(line);
    if (hf_resp_command_resolve(&request, &call) != error)
        fail_msg("%s", line);
}

static void test_arity(void **state)
{
    assert_resolved("GET k", HF_RESP_ERROR_NONE);
    assert_resolved("get", HF_RESP_ERROR_WRONG_ARITY);
    assert_resolved("get a b", HF_RESP_ERROR_WRONG_ARITY);
    assert_resolved("set k", HF_RESP_ERROR_WRONG_ARITY);
    assert_resolved("set k v EX 10 NX", HF_RESP_ERROR_NONE);
    assert_resolved("del", HF_RESP_ERROR_WRONG_ARITY);
    assert_resolved("COMMAND", HF_RESP_ERROR_NONE);
    assert_resolved("command docs get", HF_RESP_ERROR_NONE);
    assert_resolved("client", HF_RESP_ERROR_WRONG_ARITY);
    assert_resolved("client SETINFO LIB-NAME x", HF_RESP_ERROR_NONE);
    assert_resolved("client SETINFO LIB-NAME", HF_RESP_ERROR_WRONG_ARITY);
    assert_resolved("CLIENT MAINT_NOTIFICATIONS ON", HF_RESP_ERROR_UNKNOWN_SUBCOMMAND);
    assert_resolved("client get x", HF_RESP_ERROR_UNKNOWN_SUBCOMMAND);
    assert_resolved("LPUSH k v", HF_RESP_ERROR_UNKNOWN_COMMAND);
}

static void assert_keys(const char *line, uint32_t first, uint32_t count)
{
    struct hf_resp_call call;
    struct hf_resp_keys keys;
    words(line);
    assert_int_equal(hf_resp_command_resolve(&request, &call), HF_RESP_ERROR_NONE);
    assert_int_equal(hf_resp_command_keys(&call, &request, &keys), HF_RESP_ERROR_NONE);
    assert_int_equal(keys.first, first);
    assert_int_equal(keys.count, count);
}

static void test_keys(void **state)
{
    assert_keys("get k", 1, 1);
    assert_keys("set k v EX 1", 1, 1);
    assert_keys("mget a b c", 1, 3);
    assert_keys("del a", 1, 1);
    assert_keys("rename a b", 1, 2);
    assert_keys("scan 0 match x", 0, 0);
    assert_keys("eval script 2 a b c", 3, 2);
    assert_keys("evalsha hash 0", 3, 0);
    struct hf_resp_call call;
    struct hf_resp_keys keys;
    static const struct {
        const char *line;
        enum hf_resp_error error;
    } wrong[] = {{"eval script 2 a", HF_RESP_ERROR_TOO_MANY_KEYS},
                 {"eval script -1 a", HF_RESP_ERROR_NEGATIVE_KEYS},
                 {"eval script x a", HF_RESP_ERROR_NOT_INTEGER},
                 {"eval script 9223372036854775807 a", HF_RESP_ERROR_TOO_MANY_KEYS}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        words(wrong[i].line);
        assert_int_equal(hf_resp_command_resolve(&request, &call), HF_RESP_ERROR_NONE);
        assert_int_equal(hf_resp_command_keys(&call, &request, &keys), wrong[i].error);
    }
}

static void assert_refusal(const char *line, enum hf_resp_error error, const char *expected)
{
    char text[1024];
    struct hf_resp_call call;
    struct hf_resp_out out = {.writer = hf_writer(text, sizeof(text))};
    words(line);
    enum hf_resp_error found = hf_resp_command_resolve(&request, &call);
    if (error == HF_RESP_ERROR_NONE)
        error = found;
    hf_resp_write_refusal(&out, error, &call, &request, HF_SLICE("zz"));
    assert_int_equal(out.writer.size, strlen(expected));
    assert_memory_equal(text, expected, out.writer.size);
}

static void test_error_texts(void **state)
{
    assert_refusal("foo", HF_RESP_ERROR_NONE,
                   "-ERR unknown command 'foo', with args beginning with: \r\n");
    assert_refusal("LPUSH a b", HF_RESP_ERROR_NONE,
                   "-ERR unknown command 'LPUSH', with args beginning with: 'a' 'b' \r\n");
    assert_refusal("GET", HF_RESP_ERROR_NONE,
                   "-ERR wrong number of arguments for 'get' command\r\n");
    assert_refusal("CLIENT SETNAME", HF_RESP_ERROR_NONE,
                   "-ERR wrong number of arguments for 'client|setname' command\r\n");
    assert_refusal("client NOPE x", HF_RESP_ERROR_NONE,
                   "-ERR unknown subcommand 'NOPE'. Try CLIENT HELP.\r\n");
    assert_refusal("set k v EX 0", HF_RESP_ERROR_INVALID_EXPIRE,
                   "-ERR invalid expire time in 'set' command\r\n");
    assert_refusal("expire k 1 zz", HF_RESP_ERROR_UNSUPPORTED_OPTION,
                   "-ERR Unsupported option zz\r\n");
}

/* Row 209: what a client sent cannot begin a line of ours; and it is cut. */
static void test_quoting_is_safe(void **state)
{
    char text[1024], long_word[300];
    memset(long_word, 'a', sizeof(long_word));
    struct hf_resp_call call = {0};
    struct hf_resp_out out = {.writer = hf_writer(text, sizeof(text))};
    request.count = 4;
    request.arguments[0] = HF_SLICE("x\r\n+OK");
    request.arguments[1] = HF_SLICE("y\n\0");
    request.arguments[2] = hf_slice(long_word, sizeof(long_word));
    request.arguments[3] = HF_SLICE("not quoted any more");
    hf_resp_write_refusal(&out, HF_RESP_ERROR_UNKNOWN_COMMAND, &call, &request, HF_SLICE(""));
    static const char start[] =
        "-ERR unknown command 'x  +OK', with args beginning with: 'y  ' 'aaaa";
    assert_memory_equal(text, start, sizeof(start) - 1);
    assert_int_equal(memchr(text, '\n', out.writer.size) - (void *)text, out.writer.size - 1);
    assert_int_equal(out.writer.size, sizeof(start) - 1 - 4 + (128 - 6) + 2 + 2);
}

static void test_numbers(void **state)
{
    static const char *const good[] = {"0", "7", "-7", "9223372036854775807",
                                       "-9223372036854775808"};
    static const int64_t values[] = {0, 7, -7, INT64_MAX, INT64_MIN};
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      "01",
                                      "-0",
                                      " 1",
                                      "1 ",
                                      "0x1",
                                      "1.",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809"};
    int64_t number;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_true(hf_number_parse_i64(hf_slice_text(good[i]), &number));
        assert_true(number == values[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(hf_number_parse_i64(hf_slice_text(bad[i]), &number));
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
        cmocka_unit_test(test_find),        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_arity),       cmocka_unit_test(test_keys),
        cmocka_unit_test(test_error_texts), cmocka_unit_test(test_quoting_is_safe),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
