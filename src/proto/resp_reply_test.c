#include "base/test.h"
#include "proto/guard.h"
#include "proto/resp.h"

static struct hf_guard guard;

static const struct hf_resp_reply_limits limits = {
    .bulk_size_max = 1 << 20,
    .reply_size_max = 4 << 20,
    .items_max = 10000,
};

struct outcome {
    enum hf_codec answer;
    uint8_t reason;
    size_t used;
};

static void feed(struct hf_resp_reply_parser *parser, struct hf_slice input, size_t until,
                 struct outcome *outcome)
{
    const char *bytes = hf_guard_copy(&guard, hf_slice(input.bytes, until));
    outcome->answer = hf_resp_parse_reply(parser, bytes, until, &limits, &outcome->used);
    outcome->reason = parser->reason;
    if (outcome->answer == HF_CODEC_NEED_MORE)
        assert_true(parser->needed > until);
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->answer, b->answer);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->used, b->used);
}

/* At once, cut in two anywhere, and byte by byte. */
static struct outcome parse(struct hf_slice input)
{
    struct hf_resp_reply_parser parser = {0};
    struct outcome whole = {0}, cut;
    feed(&parser, input, input.size, &whole);
    for (size_t at = 0; at <= input.size; at++) {
        parser = (struct hf_resp_reply_parser){0};
        cut = (struct outcome){0};
        feed(&parser, input, at, &cut);
        if (cut.answer == HF_CODEC_NEED_MORE)
            feed(&parser, input, input.size, &cut);
        assert_same(&whole, &cut);
    }
    parser = (struct hf_resp_reply_parser){0};
    cut = (struct outcome){0};
    for (size_t at = 0; at <= input.size && cut.answer == HF_CODEC_NEED_MORE; at++)
        feed(&parser, input, at, &cut);
    assert_same(&whole, &cut);
    return whole;
}

/* The items as text: depth, type, number or text. */
static void describe(struct hf_slice reply, char *out, size_t room)
{
    struct hf_resp_cursor cursor = {.reply = reply};
    struct hf_resp_item item;
    struct hf_writer writer = hf_writer(out, room - 1);
    while (hf_resp_next_item(&cursor, &item)) {
        if (writer.size > 0)
            hf_writer_byte(&writer, ' ');
        hf_writer_u64(&writer, item.depth);
        hf_writer_byte(&writer, (char)item.type);
        if (item.text.size > 0 && item.type != HF_RESP_INTEGER)
            hf_writer_slice(&writer, item.text);
        else
            hf_writer_i64(&writer, item.number);
    }
    assert_true(hf_writer_fits(&writer));
    out[writer.size] = '\0';
}

static void assert_items(struct hf_slice input, const char *items, size_t left)
{
    struct outcome outcome = parse(input);
    assert_int_equal(outcome.answer, HF_CODEC_DONE);
    assert_int_equal(input.size - outcome.used, left);
    char text[1024];
    const char *bytes = hf_guard_copy(&guard, hf_slice(input.bytes, outcome.used));
    describe(hf_slice(bytes, outcome.used), text, sizeof(text));
    assert_string_equal(text, items);
}
#define ITEMS(input, items) assert_items(HF_SLICE(input), items, 0)

static void test_replies(void **state)
{
    ITEMS("+OK\r\n", "0+OK");
    ITEMS("-ERR no such key\r\n", "0-ERR no such key");
    ITEMS(":1440\r\n", "0:1440");
    ITEMS(":-2\r\n", "0:-2");
    ITEMS(":+7\r\n", "0:7");
    ITEMS(":9223372036854775807\r\n", "0:9223372036854775807");
    ITEMS(":-9223372036854775808\r\n", "0:-9223372036854775808");
    ITEMS("$5\r\nhello\r\n", "0$hello");
    ITEMS("$0\r\n\r\n", "0$0");
    ITEMS("$-1\r\n", "0_0");
    ITEMS("*-1\r\n", "0_0");
    ITEMS("_\r\n", "0_0");
    ITEMS("*0\r\n", "0*0");
    ITEMS("*2\r\n$1\r\na\r\n$-1\r\n", "0*2 1$a 1_0");
    ITEMS("%1\r\n+proto\r\n:3\r\n", "0%1 1+proto 1:3");
    ITEMS("~1\r\n#t\r\n", "0~1 1#t");
    ITEMS("#f\r\n", "0#f");
    ITEMS(",1.5e-3\r\n", "0,1.5e-3");
    ITEMS(",-inf\r\n", "0,-inf");
    ITEMS(",nan\r\n", "0,nan");
    ITEMS("(-3492890328409238509324850943850943825024385\r\n",
          "0(-3492890328409238509324850943850943825024385");
    ITEMS("!5\r\nERR x\r\n", "0!ERR x");
    ITEMS("=6\r\ntxt:ab\r\n", "0=ab");
    ITEMS(">2\r\n+a\r\n+b\r\n", "0>2 1+a 1+b");
    ITEMS("|1\r\n+ttl\r\n:5\r\n$1\r\nv\r\n", "0|1 1+ttl 1:5 0$v");
    ITEMS("*1\r\n|1\r\n+a\r\n+b\r\n:3\r\n", "0*1 1|1 2+a 2+b 1:3");
    ITEMS("*2\r\n*1\r\n*0\r\n*1\r\n:1\r\n", "0*2 1*1 2*0 1*1 2:1");
    assert_items(HF_SLICE("+OK\r\n+OK\r\n"), "0+OK", 5);
    assert_items(HF_SLICE("*1\r\n*0\r\n$"), "0*1 1*0", 1);
}

struct refusal {
    struct hf_slice input;
    enum hf_resp_reason reason;
};
#define ROW(reason, text)                                                                          \
    {                                                                                              \
        {text, sizeof(text) - 1}, HF_RESP_##reason                                                 \
    }
#define EIGHT "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n"

static const struct refusal refusals[] = {
    ROW(BAD_TYPE, "OK\r\n"),
    ROW(BAD_TYPE, "\0"),
    ROW(BAD_TYPE, "\r\n"),
    ROW(BAD_TYPE, "*1\r\nx"),
    ROW(BAD_LINE_END, "+OK\n+OK\r\n"),
    ROW(BAD_LINE_END, "+O\rK\r\n"),
    ROW(BAD_LINE_END, "$1\r\nab\r\n"),
    ROW(BAD_LINE_END, "$1\r\na\rb"),
    ROW(BAD_NUMBER, ":\r\n"),
    ROW(BAD_NUMBER, ":1a\r\n"),
    ROW(BAD_NUMBER, ":+-1\r\n"),
    ROW(BAD_NUMBER, ":9223372036854775808\r\n"),
    ROW(BAD_NUMBER, "$-2\r\n"),
    ROW(BAD_NUMBER, "$01\r\n"),
    ROW(BAD_NUMBER, "$?\r\n"),
    ROW(BAD_NUMBER, "*+1\r\n"),
    ROW(BAD_NUMBER, "%-1\r\n"),
    ROW(BAD_NUMBER, "~-1\r\n"),
    ROW(BAD_NUMBER, "_x\r\n"),
    ROW(BAD_NUMBER, "#x\r\n"),
    ROW(BAD_NUMBER, "#tt\r\n"),
    ROW(BAD_NUMBER, ",\r\n"),
    ROW(BAD_NUMBER, ",1.\r\n"),
    ROW(BAD_NUMBER, ",.5\r\n"),
    ROW(BAD_NUMBER, ",1e\r\n"),
    ROW(BAD_NUMBER, ",0x1\r\n"),
    ROW(BAD_NUMBER, "(1.5\r\n"),
    ROW(BAD_NUMBER, "(-\r\n"),
    ROW(BAD_TEXT, "=3\r\ntxt\r\n"),
    ROW(BAD_TEXT, "=6\r\ntxtxab\r\n"),
    ROW(BULK_TOO_LARGE, "$1048577\r\n"),
    ROW(BULK_TOO_LARGE, "$9223372036854775807\r\n"),
    ROW(TOO_MANY_ITEMS, "*10001\r\n"),
    ROW(TOO_MANY_ITEMS, "%5001\r\n"),
    ROW(TOO_MANY_ITEMS, "*9223372036854775807\r\n"),
    ROW(TOO_MANY_ITEMS, "%9223372036854775807\r\n"),
    ROW(TOO_MANY_ITEMS, "*2\r\n*5000\r\n*5000\r\n"),
    ROW(TOO_DEEP, EIGHT "*1\r\n"),
};

static void test_refusals(void **state)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        struct outcome outcome = parse(refusals[i].input);
        if (outcome.answer == HF_CODEC_BAD && outcome.reason == refusals[i].reason)
            continue;
        print_error("row %zu: answer %d, %s\n", i, outcome.answer,
                    hf_resp_reason_word((enum hf_resp_reason)outcome.reason));
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

static void test_depth(void **state)
{
    ITEMS(EIGHT ":1\r\n", "0*1 1*1 2*1 3*1 4*1 5*1 6*1 7*1 8:1");
    ITEMS(EIGHT "*0\r\n", "0*1 1*1 2*1 3*1 4*1 5*1 6*1 7*1 8*0");
}

static void test_line_limit(void **state)
{
    static char text[HF_RESP_LINE_SIZE_MAX + 3];
    memset(text, 'x', sizeof(text));
    text[0] = '+';
    memcpy(text + HF_RESP_LINE_SIZE_MAX, "\r\n", 2);
    assert_int_equal(parse(hf_slice(text, HF_RESP_LINE_SIZE_MAX + 2)).answer, HF_CODEC_DONE);
    text[HF_RESP_LINE_SIZE_MAX] = 'x';
    memcpy(text + HF_RESP_LINE_SIZE_MAX + 1, "\r\n", 2);
    assert_int_equal(parse(hf_slice(text, sizeof(text))).reason, HF_RESP_LINE_TOO_LONG);
}

static void test_reply_size(void **state)
{
    struct hf_resp_reply_limits small = {.bulk_size_max = 9, .reply_size_max = 9, .items_max = 99};
    struct hf_resp_reply_parser parser = {0};
    size_t used;
    assert_int_equal(hf_resp_parse_reply(&parser, "$3\r\nabc\r\n", 9, &small, &used),
                     HF_CODEC_DONE);
    assert_int_equal(hf_resp_parse_reply(&parser, "$4\r\nabcd\r\n", 10, &small, &used),
                     HF_CODEC_BAD);
    assert_int_equal(parser.reason, HF_RESP_REPLY_TOO_LARGE);
    parser = (struct hf_resp_reply_parser){0};
    assert_int_equal(hf_resp_parse_reply(&parser, "|0\r\n|0\r\n|0\r\n", 12, &small, &used),
                     HF_CODEC_BAD);
    assert_int_equal(parser.reason, HF_RESP_REPLY_TOO_LARGE);
}

/* ---- the serialiser ---- */

static void write_all(struct hf_resp_out *out)
{
    hf_resp_write_simple(out, HF_SLICE("OK"));
    hf_resp_write_error(out, HF_SLICE("ERR a\r\nb\0c"));
    hf_resp_write_integer(out, 0);
    hf_resp_write_integer(out, -1);
    hf_resp_write_integer(out, INT64_MIN);
    hf_resp_write_integer(out, INT64_MAX);
    hf_resp_write_bulk(out, HF_SLICE("a\r\nb"));
    hf_resp_write_bulk(out, HF_SLICE(""));
    hf_resp_write_bulk_head(out, 1048576);
    hf_resp_write_null(out);
    hf_resp_write_null_array(out);
    hf_resp_write_array(out, 2);
    hf_resp_write_map(out, 7);
    hf_resp_write_verbatim(out, HF_SLICE("# Server"));
}

static void assert_written(bool resp3, const char *expected)
{
    char text[512];
    struct hf_resp_out out = {.writer = hf_writer(text, sizeof(text)), .resp3 = resp3};
    write_all(&out);
    assert_true(hf_writer_fits(&out.writer));
    assert_int_equal(out.writer.size, strlen(expected));
    assert_memory_equal(text, expected, out.writer.size);
}

#define SAME_IN_BOTH                                                                               \
    "+OK\r\n-ERR a  b c\r\n:0\r\n:-1\r\n:-9223372036854775808\r\n:9223372036854775807\r\n"         \
    "$4\r\na\r\nb\r\n$0\r\n\r\n$1048576\r\n"

static void test_writes_resp2(void **state)
{
    assert_written(false, SAME_IN_BOTH "$-1\r\n*-1\r\n*2\r\n*14\r\n$8\r\n# Server\r\n");
}

static void test_writes_resp3(void **state)
{
    assert_written(true, SAME_IN_BOTH "_\r\n_\r\n*2\r\n%7\r\n=12\r\ntxt:# Server\r\n");
}

/* Whatever the room: never past it, and the size that would have been needed is told. */
static void test_writer_room(void **state)
{
    char text[512];
    struct hf_resp_out whole = {.writer = hf_writer(text, sizeof(text)), .resp3 = true};
    write_all(&whole);
    for (size_t room = 0; room < whole.writer.size; room++) {
        char *end = guard.area + HF_GUARD_SIZE;
        struct hf_resp_out out = {.writer = hf_writer(end - room, room), .resp3 = true};
        write_all(&out);
        assert_false(hf_writer_fits(&out.writer));
        assert_int_equal(out.writer.size, whole.writer.size);
    }
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
        cmocka_unit_test(test_replies),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_depth),        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_reply_size),   cmocka_unit_test(test_writes_resp2),
        cmocka_unit_test(test_writes_resp3), cmocka_unit_test(test_writer_room),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
