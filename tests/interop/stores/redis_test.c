/* What the codec says, beside what a real redis-server says to the same bytes. */
#include "base/rng.h"
#include "redis_client.h"
#include <stdio.h>

static struct redis_client client;
static char written[16 * 1024];

static struct hf_slice ask(const char *line)
{
    return redis_client_ask(&client, line);
}

static void assert_reply(const char *line, struct hf_slice expected)
{
    redis_client_assert(&client, line, expected);
}

/* ---- refusals: both refuse, in the same words, or neither does ----
 * Redis reads the options of GETEX only if there is such a key; so there always is one here. */

static void assert_agrees(const char *line)
{
    struct hf_resp_out out = {.writer = hf_writer(written, sizeof(written))};
    hf_resp_testing_words(&client.request, hf_slice_text(line));
    enum hf_resp_error error = hf_resp_testing_refuse(&out, &client.request);
    struct hf_slice reply = redis_client_ask_request(&client),
                    ours = hf_slice(written, out.writer.size);
    bool same = error == HF_RESP_ERROR_NONE ? reply.bytes[0] != '-' : hf_slice_equal(reply, ours);
    if (!same)
        fail_msg("%s: `%.*s` instead of `%.*s`", line, (int)ours.size, ours.bytes, (int)reply.size,
                 reply.bytes);
}

/* Name and subcommand alone, then with more and more arguments: as long as we refuse. */
static void assert_arity_agrees(const char *name)
{
    char line[128];
    struct hf_resp_call call;
    int size = snprintf(line, sizeof(line), "%s", name);
    for (unsigned more = 0; more < 8; more++) {
        hf_resp_testing_words(&client.request, hf_slice_text(line));
        bool wrong = hf_resp_command_resolve(&client.request, &call) != HF_RESP_ERROR_NONE;
        /* EXEC with arguments: Redis says EXECABORT too; nobody sends that */
        if (wrong && call.command->id != HF_RESP_COMMAND_EXEC)
            assert_agrees(line);
        size += snprintf(line + size, sizeof(line) - (size_t)size, " k");
    }
}

static void test_arity(void **state)
{
    redis_client_need(&client);
    for (int id = HF_RESP_COMMAND_NONE + 1; id < HF_RESP_COMMANDS; id++)
        assert_arity_agrees(hf_resp_command_row((enum hf_resp_command_id)id)->name.bytes);
    static const char *const subcommands[] = {
        "client setinfo", "client setname", "client getname", "client id",     "config get",
        "command count",  "command docs",   "script load",    "script exists",
    };
    for (size_t i = 0; i < sizeof(subcommands) / sizeof(subcommands[0]); i++)
        if (strcmp(subcommands[i], "client setinfo") != 0) /* came with Redis 7.2 */
            assert_arity_agrees(subcommands[i]);
}

static void test_refusals(void **state)
{
    static const char *const lines[] = {
        "NOSUCH",
        "nosuch a bc",
        "client nosuch",
        "CLIENT NoSuch x",
        "config nosuch",
        "script nosuch",
        "command nosuch",
        /* at most 128 bytes of arguments are quoted */
        "nosuch "
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
        "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb c d",
        "set k v ex 0",
        "set k v px -1",
        "set k v ex x",
        "set k v nx xx",
        "set k v keepttl ex 1",
        "set k v ex 9223372036854775807",
        "setex k 0 v",
        "setex k x v",
        "psetex k -5 v",
        "getex k ex 0",
        "getex k ex",
        "getex k persist ex 1",
        "expire k x",
        "expire k 1 nosuch",
        "expire k 1 nx gt",
        "expire k 1 gt lt",
        "pexpireat k 1 xx nx",
        "scan x",
        "scan 0 count 0",
        "expire k 9223372036854775807",
        "pexpire k 1.5",
        "scan 0 count",
        "scan 0 match",
        "scan 0 count x",
        "scan 0 nosuch 1",
        "eval x x",
        "eval x -1",
        "eval x 2 k",
        "evalsha 0000000000000000000000000000000000000000 7",
        "hello x",
        "hello 1",
        "hello 4",
        "hello 3 nosuch",
        "hello 3 setname",
        "hello 3 auth default",
        "hello 2",
    };
    redis_client_need(&client);
    ask("set k v");
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_agrees(lines[i]);
}

/* Options in all orders and with all mistakes. */
static void test_random_options(void **state)
{
    static const char *const starts[] = {"set k v",      "getex k",       "expire k 100",
                                         "pexpire k 99", "expireat k 9",  "pexpireat k 99",
                                         "scan 0",       "expire k -100", "hello 2"};
    static const char *const words[] = {
        "nx",      "XX",         "gt",   "LT",      "get", "ex",      "px",    "EXAT",
        "pxat",    "10",         "-1",   "0",       "x",   "keepttl", "match", "count",
        "persist", "9999999999", "TYPE", "setname", "01",  "1.0"};
    struct hf_rng rng;
    redis_client_need(&client);
    hf_rng_seed(&rng, 70015);
    for (unsigned round = 0; round < 4000; round++) {
        char line[256];
        int size = snprintf(line, sizeof(line), "%s", starts[hf_rng_below(&rng, 9)]);
        for (unsigned more = hf_rng_below(&rng, 6); more > 0; more--)
            size += snprintf(line + size, sizeof(line) - (size_t)size, " %s",
                             words[hf_rng_below(&rng, 22)]);
        assert_reply("set k v", HF_SLICE("+OK\r\n"));
        assert_agrees(line);
    }
}

/* ---- errors of carrying out ---- */

static bool provoked[HF_RESP_ERRORS];

static void assert_error(const char *line, enum hf_resp_error error)
{
    struct hf_resp_out out = {.writer = hf_writer(written, sizeof(written))};
    hf_resp_write_error_of(&out, error, HF_SLICE(""));
    provoked[error] = true;
    assert_reply(line, hf_slice(written, out.writer.size));
}
#define ERROR(line, id) assert_error(line, HF_RESP_ERROR_##id)

static void provoke_key_errors(void)
{
    ask("flushall");
    ERROR("rename nosuch k", NO_SUCH_KEY);
    ERROR("renamenx nosuch k", NO_SUCH_KEY);
    ERROR("select 99", DB_INDEX);
    ERROR("select x", NOT_INTEGER);
    ask("hset h text x number 9223372036854775807");
    ERROR("hincrby h text 1", HASH_NOT_INTEGER);
    ERROR("hincrby h number 1", INCREMENT_OVERFLOW);
    ERROR("hincrby h number x", NOT_INTEGER);
    ERROR("get h", WRONG_TYPE);
    ERROR("getex h ex 10", WRONG_TYPE);
    ask("set k v");
    ERROR("hget k f", WRONG_TYPE);
    ERROR("client setname a\nb", BAD_CLIENT_NAME);
    ERROR("evalsha 0000000000000000000000000000000000000000 0", NO_SCRIPT);
    ERROR("script flush nosuch", SCRIPT_FLUSH);
    ask("config set maxmemory 1");
    ERROR("set k v", OUT_OF_MEMORY);
    ERROR("hset h f v", OUT_OF_MEMORY);
    ask("config set maxmemory 0");
}

static void provoke_transaction_errors(void)
{
    ERROR("exec", EXEC_WITHOUT_MULTI);
    ERROR("discard", DISCARD_WITHOUT_MULTI);
    ask("multi");
    ERROR("multi", NESTED_MULTI);
    ERROR("watch k", WATCH_IN_MULTI);
    assert_reply("get k", HF_SLICE("+QUEUED\r\n"));
    assert_agrees("nosuch k");
    ERROR("exec", EXEC_ABORT);
    ERROR("exec", EXEC_WITHOUT_MULTI);
}

static void provoke_auth_errors(void)
{
    ERROR("auth secret", AUTH_WITHOUT_PASSWORD);
    ask("config set requirepass secret");
    redis_client_reconnect(&client);
    ERROR("get k", NO_AUTH);
    ERROR("hello 3", NO_AUTH_HELLO);
    ERROR("auth wrong", WRONG_PASS);
    ERROR("hello 3 auth default wrong", WRONG_PASS);
    ERROR("auth a b c", SYNTAX);
    assert_agrees("nosuch x"); /* what is not understood, and a wrong arity, come before it */
    assert_agrees("get a b");
    ERROR("auth nosuch secret", WRONG_PASS);
    assert_reply("auth default secret", HF_SLICE("+OK\r\n"));
    assert_reply("config set requirepass ", HF_SLICE("+OK\r\n"));
}

/* These are refusals, compared above with all their inserts; and words of our own. */
static bool compared_elsewhere(int error)
{
    return error == HF_RESP_ERROR_UNKNOWN_COMMAND || error == HF_RESP_ERROR_UNKNOWN_SUBCOMMAND ||
           error == HF_RESP_ERROR_WRONG_ARITY || error == HF_RESP_ERROR_INVALID_EXPIRE ||
           error == HF_RESP_ERROR_UNSUPPORTED_OPTION || error == HF_RESP_ERROR_NX_WITH_OTHERS ||
           error == HF_RESP_ERROR_GT_WITH_LT || error == HF_RESP_ERROR_INVALID_CURSOR ||
           error == HF_RESP_ERROR_NO_PROTO || error == HF_RESP_ERROR_BAD_PROTO ||
           error == HF_RESP_ERROR_HELLO_SYNTAX || error == HF_RESP_ERROR_NEGATIVE_KEYS ||
           error == HF_RESP_ERROR_TOO_MANY_KEYS;
}

static bool ours_alone(int error)
{
    return error == HF_RESP_ERROR_STRANGE_SCRIPT || error == HF_RESP_ERROR_TRY_AGAIN ||
           error == HF_RESP_ERROR_DENIED || error == HF_RESP_ERROR_TOO_LARGE ||
           error == HF_RESP_ERROR_TOO_MANY || error == HF_RESP_ERROR_BAD_KEY;
}

static void test_errors(void **state)
{
    redis_client_need(&client);
    provoke_key_errors();
    provoke_transaction_errors();
    provoke_auth_errors();
    for (int i = HF_RESP_ERROR_NONE + 1; i < HF_RESP_ERRORS; i++)
        if (!provoked[i] && !compared_elsewhere(i) && !ours_alone(i))
            fail_msg("error %d was not compared", i);
}

/* ---- shapes ---- */

static void write_missing(struct hf_resp_out *out)
{
    hf_resp_write_null(out);
}

static void write_values(struct hf_resp_out *out)
{
    hf_resp_write_array(out, 2);
    hf_resp_write_bulk(out, HF_SLICE("1"));
    hf_resp_write_null(out);
}

static void write_hash(struct hf_resp_out *out)
{
    hf_resp_write_map(out, 1);
    hf_resp_write_bulk(out, HF_SLICE("f"));
    hf_resp_write_bulk(out, HF_SLICE("1"));
}

static void write_no_map(struct hf_resp_out *out)
{
    hf_resp_write_map(out, 0);
}

static void write_scan(struct hf_resp_out *out)
{
    hf_resp_write_array(out, 2);
    hf_resp_write_bulk(out, HF_SLICE("0"));
    hf_resp_write_array(out, 1);
    hf_resp_write_bulk(out, HF_SLICE("h"));
}

static void write_no_key(struct hf_resp_out *out)
{
    hf_resp_write_integer(out, -2);
}

static void write_type(struct hf_resp_out *out)
{
    hf_resp_write_simple(out, HF_SLICE("hash"));
}

static const struct {
    const char *line;
    void (*write)(struct hf_resp_out *out);
} shapes[] = {
    {"get nosuch", write_missing},         {"hget h nosuch", write_missing},
    {"getdel nosuch", write_missing},      {"client getname", write_missing},
    {"hmget h f nosuch", write_values},    {"hgetall h", write_hash},
    {"hgetall nosuch", write_no_map},      {"config get nosuch", write_no_map},
    {"command docs nosuch", write_no_map}, {"scan 0", write_scan},
    {"ttl nosuch", write_no_key},          {"type h", write_type},
};

static void assert_shapes(bool resp3)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct hf_resp_out out = {.writer = hf_writer(written, sizeof(written)), .resp3 = resp3};
        shapes[i].write(&out);
        assert_reply(shapes[i].line, hf_slice(written, out.writer.size));
    }
}

/* EXEC of a transaction whose watched key another connection changed. */
static void assert_lost_transaction(bool resp3)
{
    struct hf_resp_out out = {.writer = hf_writer(written, sizeof(written)), .resp3 = resp3};
    int mine = client.socket;
    hf_resp_write_null_array(&out);
    ask("watch w");
    client.socket = store_server_connect(&client.server);
    ask("set w 1");
    ask("del w");
    close(client.socket);
    client.socket = mine;
    ask("multi");
    ask("get w");
    assert_reply("exec", hf_slice(written, out.writer.size));
}

static void write_pair(struct hf_resp_out *out, const char *name, const char *value)
{
    hf_resp_write_bulk(out, hf_slice_text(name));
    hf_resp_write_bulk(out, hf_slice_text(value));
}

/* The connection's number is the only thing that we cannot know. */
static void assert_hello(const char *line, bool resp3)
{
    struct hf_slice reply = ask(line);
    const char *id = memmem(reply.bytes, reply.size, "id\r\n:", 5);
    struct hf_resp_out out = {.writer = hf_writer(written, sizeof(written)), .resp3 = resp3};
    assert_non_null(id);
    hf_resp_write_map(&out, 7);
    write_pair(&out, "server", "redis");
    const char *version = memmem(reply.bytes, reply.size, "version\r\n$", 10);
    assert_non_null(version);
    hf_resp_write_bulk(&out, HF_SLICE("version"));
    hf_writer_bytes(&out.writer, version + 9, strcspn(version + 9, "\n") + 1);
    const char *text = strchr(version + 9, '\n') + 1;
    hf_writer_bytes(&out.writer, text, strcspn(text, "\n") + 1);
    hf_resp_write_bulk(&out, HF_SLICE("proto"));
    hf_resp_write_integer(&out, resp3 ? 3 : 2);
    hf_resp_write_bulk(&out, HF_SLICE("id"));
    hf_resp_write_integer(&out, strtol(id + 5, NULL, 10));
    write_pair(&out, "mode", "standalone");
    write_pair(&out, "role", "master");
    hf_resp_write_bulk(&out, HF_SLICE("modules"));
    hf_resp_write_array(&out, 0);
    assert_int_equal(out.writer.size, reply.size);
    assert_memory_equal(written, reply.bytes, reply.size);
}

/* INFO is a verbatim string, whose text is not ours to guess. */
static void assert_info(bool resp3)
{
    struct hf_slice reply = ask("info server");
    struct hf_resp_cursor cursor = {.reply = reply};
    struct hf_resp_item item;
    struct hf_resp_out out = {.writer = hf_writer(written, sizeof(written)), .resp3 = resp3};
    assert_true(hf_resp_next_item(&cursor, &item));
    assert_int_equal(item.type, resp3 ? HF_RESP_VERBATIM : HF_RESP_BULK);
    hf_resp_write_verbatim(&out, item.text);
    assert_int_equal(out.writer.size, reply.size);
    assert_memory_equal(written, reply.bytes, reply.size);
}

static void test_shapes(void **state)
{
    redis_client_need(&client);
    for (int version = 2; version <= 3; version++) {
        ask("flushall");
        ask("hset h f 1");
        assert_hello(version == 2 ? "hello 2" : "HELLO 3", version == 3);
        assert_shapes(version == 3);
        assert_lost_transaction(version == 3);
        assert_info(version == 3);
    }
}

/* ---- protocol errors ---- */

/* Redis may go on and name the byte it met; up to there the words are the same. Where a limit of
 * ours is the reason they are ours. */
static void test_protocol_errors(void **state)
{
    static const struct {
        struct hf_slice bytes;
        enum hf_resp_reason reason;
    } rows[] = {
        {HF_SLICE("*3000000000\r\n"), HF_RESP_TOO_MANY_ARGUMENTS},
        {HF_SLICE("*x\r\n"), HF_RESP_BAD_COUNT},
        {HF_SLICE("*1x\r\n"), HF_RESP_BAD_COUNT},
        {HF_SLICE("*01\r\n"), HF_RESP_BAD_COUNT},
        {HF_SLICE("*1\r\n$x\r\n"), HF_RESP_BAD_BULK_SIZE},
        {HF_SLICE("*1\r\n$-1\r\n"), HF_RESP_BAD_BULK_SIZE},
        {HF_SLICE("*1\r\n$2000000000\r\n"), HF_RESP_BULK_TOO_LARGE},
        {HF_SLICE("*1\r\n+x\r\n"), HF_RESP_NO_BULK},
    };
    static const struct hf_resp_limits limits = {1024, 1 << 20, 1 << 20};
    redis_client_need(&client);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_resp_parser parser = {0};
        assert_int_equal(hf_resp_parse_request(&parser, rows[i].bytes.bytes, rows[i].bytes.size,
                                               &limits, &client.request),
                         HF_CODEC_BAD);
        assert_int_equal(parser.reason, rows[i].reason);
        redis_client_reconnect(&client);
        struct hf_slice reply = redis_client_exchange(&client, rows[i].bytes);
        bool our_limit = rows[i].reason == HF_RESP_TOO_MANY_ARGUMENTS ||
                         rows[i].reason == HF_RESP_BULK_TOO_LARGE;
        struct hf_slice answer =
            our_limit ? HF_SLICE("ERR Protocol error: ") : hf_resp_reason_answer(parser.reason);
        if (!hf_slice_starts(hf_slice(reply.bytes + 1, reply.size - 1), answer))
            fail_msg("row %zu: %.*s", i, (int)reply.size, reply.bytes);
        size_t size = 0;
        assert_false(
            store_server_receive(client.socket, client.received, &size)); /* and it closes */
    }
}

static int setup(void **state)
{
    redis_client_start(&client);
    return 0;
}

static int teardown(void **state)
{
    redis_client_stop(&client);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arity),          cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_random_options), cmocka_unit_test(test_errors),
        cmocka_unit_test(test_shapes),         cmocka_unit_test(test_protocol_errors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
