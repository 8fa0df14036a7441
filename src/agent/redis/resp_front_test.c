/* Commands through the whole front end on a real store: replies to the byte, in RESP2 and RESP3,
 * and the same whether a session is at hand or every operation has to wait for it. */
#include "agent/redis/resp_client.h"
#include "agent/redis/resp_rows.h"
#include <stdio.h>

#define QUEUED "+QUEUED\r\n"
#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"

static void test_every_command_is_carried_out(void **state)
{
    for (int id = HF_RESP_COMMAND_NONE + 1; id < HF_RESP_COMMANDS; id++) {
        const struct hf_resp_row *row = hf_resp_row_of((enum hf_resp_command_id)id);
        bool once = row->go == hf_resp_go_once || row->go == hf_resp_go_each;
        assert_int_equal(once, row->prepare != NULL);
        assert_int_equal(once, row->answer != NULL);
    }
}

static void test_strings(void **state)
{
    static const struct row rows[] = {
        {"GET k", NIL},
        {"SET k v", OK},
        {"get k", "$1\r\nv\r\n"},
        {"SET k w NX", NIL},
        {"SET k w XX", OK},
        {"SET j w XX", NIL},
        {"SET k x GET", "$1\r\nw\r\n"},
        {"SET k y NX GET", "$1\r\nx\r\n"},
        {"SET j y NX GET", NIL},
        {"SET i y XX GET", NIL},
        {"GETDEL j", "$1\r\ny\r\n"},
        {"GETDEL j", NIL},
        {"SETEX k 100 v", OK},
        {"TTL k", ":100\r\n"},
        {"PTTL k", ":100000\r\n"},
        {"SET k w KEEPTTL", OK},
        {"TTL k", ":100\r\n"},
        {"SET k w", OK},
        {"TTL k", ":-1\r\n"},
        {"PSETEX k 1499 v", OK},
        {"TTL k", ":1\r\n"},
        {"PSETEX k 1500 v", OK},
        {"TTL k", ":2\r\n"},
        {"SET k v EX 10", OK},
        {"SET k v PX 10000", OK},
        {"SET k v EXAT 1700000010", OK},
        {"PTTL k", ":10000\r\n"},
        {"SET k v PXAT 1700000020000", OK},
        {"PTTL k", ":20000\r\n"},
        {"SET k v EXAT 1600000000", OK},
        {"GET k", NIL},
        {"TTL k", ":-2\r\n"},
        {"SETNX k v", ONE},
        {"SETNX k w", ZERO},
        {"GETEX k", "$1\r\nv\r\n"},
        {"GETEX k EX 5", "$1\r\nv\r\n"},
        {"PTTL k", ":5000\r\n"},
        {"GETEX k PERSIST", "$1\r\nv\r\n"},
        {"PTTL k", ":-1\r\n"},
        {"GETEX k PXAT 1000", "$1\r\nv\r\n"},
        {"GETEX k EX 5", NIL},
        {"SET k v EX 0", "-ERR invalid expire time in 'set' command\r\n"},
        {"SETEX k x v", "-ERR value is not an integer or out of range\r\n"},
        {"GETEX k EX", "-ERR syntax error\r\n"},
        {"GET k j", "-ERR wrong number of arguments for 'get' command\r\n"},
    };
    CHECK_ROWS(rows);
}

static void test_keys(void **state)
{
    static const struct row rows[] = {
        {"SET a 1", OK},
        {"HSET h f v", ONE},
        {"MGET a nosuch h a", "*4\r\n$1\r\n1\r\n$-1\r\n$-1\r\n$1\r\n1\r\n"},
        {"EXISTS a a nosuch h", ":3\r\n"},
        {"TOUCH a nosuch", ONE},
        {"TYPE a", "+string\r\n"},
        {"TYPE h", "+hash\r\n"},
        {"TYPE nosuch", "+none\r\n"},
        {"EXPIRE nosuch 10", ZERO},
        {"EXPIRE a 10 XX", ZERO},
        {"EXPIRE a 10 GT", ZERO},
        {"EXPIRE a 10 NX", ONE},
        {"EXPIRE a 20 NX", ZERO},
        {"EXPIRE a 5 GT", ZERO},
        {"EXPIRE a 20 LT", ZERO},
        {"EXPIRE a 20 XX GT", ONE},
        {"PEXPIRE a 5000 LT", ONE},
        {"EXPIREAT a 1700000100", ONE},
        {"TTL a", ":100\r\n"},
        {"PEXPIREAT a 1700000200000", ONE},
        {"TTL a", ":200\r\n"},
        {"PERSIST a", ONE},
        {"PERSIST a", ZERO},
        {"EXPIRE a 10 nosuch", "-ERR Unsupported option nosuch\r\n"},
        {"EXPIRE a -1", ONE},
        {"EXISTS a", ZERO},
        {"SET a 1", OK},
        {"PEXPIREAT a -5", ONE},
        {"DEL a nosuch h h", ONE},
        {"UNLINK h", ZERO},
        {"PERSIST h", ZERO},
    };
    CHECK_ROWS(rows);
}

static void test_wrong_types(void **state)
{
    static const char *const on_hash[] = {"GET h", "GETEX h", "GETEX h EX 5", "GETDEL h",
                                          "SET h v GET"};
    static const char *const on_string[] = {
        "HGET s f",    "HMGET s f",  "HGETALL s",   "HKEYS s",      "HVALS s",  "HLEN s",
        "HEXISTS s f", "HSET s f v", "HMSET s f v", "HSETNX s f v", "HDEL s f", "HINCRBY s f 1"};
    for (int slow = 0; slow < 2; slow++) {
        hf_resp_rows_start(slow, NULL);
        hf_resp_rows_check("SET s v", OK);
        hf_resp_rows_check("HSET h f v", ONE);
        for (size_t i = 0; i < sizeof(on_hash) / sizeof(on_hash[0]); i++)
            hf_resp_rows_check(on_hash[i], WRONG_TYPE);
        for (size_t i = 0; i < sizeof(on_string) / sizeof(on_string[0]); i++)
            hf_resp_rows_check(on_string[i], WRONG_TYPE);
        hf_resp_rows_check("GET s", "$1\r\nv\r\n");
        hf_resp_rows_check("HGET h f", "$1\r\nv\r\n");
        hf_resp_rows_check("SET h v", OK);
        hf_resp_rows_stop();
    }
}

static void test_hashes(void **state)
{
    static const struct row rows[] = {
        {"HGETALL h", "*0\r\n"},
        {"HKEYS h", "*0\r\n"},
        {"HVALS h", "*0\r\n"},
        {"HLEN h", ZERO},
        {"HGET h a", NIL},
        {"HMGET h a b", "*2\r\n$-1\r\n$-1\r\n"},
        {"HEXISTS h a", ZERO},
        {"HDEL h a", ZERO},
        {"HSET h a 1", ONE},
        {"HGETALL h", "*2\r\n$1\r\na\r\n$1\r\n1\r\n"},
        {"HKEYS h", "*1\r\n$1\r\na\r\n"},
        {"HVALS h", "*1\r\n$1\r\n1\r\n"},
        {"HSET h a 2 b 3", ONE},
        {"HLEN h", ":2\r\n"},
        {"HMGET h b nosuch a b", "*4\r\n$1\r\n3\r\n$-1\r\n$1\r\n2\r\n$1\r\n3\r\n"},
        {"HMGET h 1 2 3 4 5 6 7 8 9 a",
         "*10\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n$1\r\n2\r\n"},
        {"HEXISTS h a", ONE},
        {"HEXISTS h nosuch", ZERO},
        {"HSETNX h a 9", ZERO},
        {"HSETNX h c 9", ONE},
        {"HMSET h d 1 e 2 f 3 g 4 i 5", OK},
        {"HLEN h", ":8\r\n"},
        {"HDEL h a b c d e nosuch", ":5\r\n"},
        {"HDEL h f g i", ":3\r\n"},
        {"EXISTS h", ZERO},
        {"HINCRBY h n 5", ":5\r\n"},
        {"HINCRBY h n -7", ":-2\r\n"},
        {"HGET h n", "$2\r\n-2\r\n"},
        {"HINCRBY h n x", "-ERR value is not an integer or out of range\r\n"},
        {"HSET h t x m 9223372036854775807", ":2\r\n"},
        {"HINCRBY h t 1", "-ERR hash value is not an integer\r\n"},
        {"HINCRBY h m 1", "-ERR increment or decrement would overflow\r\n"},
        {"HSET h a 1 b", "-ERR wrong number of arguments for 'hset' command\r\n"},
        {"HMSET h a 1 b", "-ERR wrong number of arguments for 'hmset' command\r\n"},
    };
    CHECK_ROWS(rows);
}

static void test_rename(void **state)
{
    static const struct row rows[] = {
        {"RENAME a b", "-ERR no such key\r\n"},
        {"RENAME a a", "-ERR no such key\r\n"},
        {"RENAMENX a b", "-ERR no such key\r\n"},
        {"SETEX a 100 v", OK},
        {"RENAME a b", OK},
        {"GET a", NIL},
        {"GET b", "$1\r\nv\r\n"},
        {"TTL b", ":100\r\n"},
        {"RENAME b b", OK},
        {"RENAMENX b b", ZERO},
        {"HSET h f v", ONE},
        {"RENAMENX h b", ZERO},
        {"RENAME h b", OK},
        {"HGETALL b", "*2\r\n$1\r\nf\r\n$1\r\nv\r\n"},
        {"RENAMENX b c", ONE},
        {"EXISTS a b c h", ONE},
        {"SET sess:1 v", OK},
        {"RENAME sess:1 sess:2", OK},
        {"GET sess:2", "$1\r\nv\r\n"},
        {"GET sess:1", NIL},
    };
    CHECK_ROWS(rows);
}

/* Somebody writes to the old name between the copy and its end: it is begun again. */
static void test_rename_while_written_to(void **state)
{
    struct hf_connection other;
    size_t used = 0;
    hf_resp_rows_start(false, NULL);
    hf_resp_testing_open(&rig, &other);
    hf_resp_rows_check("SET a 1", OK);
    rig.slow = true;
    rig.size = 0;
    struct hf_slice rename = HF_SLICE("*3\r\n$6\r\nRENAME\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_int_equal(hf_resp_front.feed(&connection, rename, &used), HF_FRONT_WAIT);
    assert_int_equal(hf_resp_testing_resume(&connection), HF_FRONT_WAIT); /* DUMP is complete */
    rig.slow = false;
    hf_resp_rows_check_on(&other, "SET a 2", OK);
    rig.slow = true;
    rig.size = 0;
    unsigned resumed = 0;
    while (hf_resp_testing_resume(&connection) == HF_FRONT_WAIT)
        resumed++;
    assert_int_equal(resumed, 4); /* RESTORE, DELETE; DUMP, RESTORE, DELETE */
    assert_true(hf_slice_equal(hf_slice(rig.out, rig.size), HF_SLICE(OK)));
    hf_resp_rows_check("MGET a b", "*2\r\n$-1\r\n$1\r\n2\r\n");
    hf_resp_testing_close(&other);
    hf_resp_rows_stop();
}

static void test_transactions(void **state)
{
    static const struct row rows[] = {
        {"EXEC", "-ERR EXEC without MULTI\r\n"},
        {"DISCARD", "-ERR DISCARD without MULTI\r\n"},
        {"MULTI", OK},
        {"MULTI", "-ERR MULTI calls can not be nested\r\n"},
        {"WATCH k", "-ERR WATCH inside MULTI is not allowed\r\n"},
        {"SET k v", QUEUED},
        {"GET k", QUEUED},
        {"HSET k f v", QUEUED},
        {"RENAME k l", QUEUED},
        {"MGET k l", QUEUED},
        {"DEL k l", QUEUED},
        {"HGETALL k", QUEUED},
        {"PING", QUEUED},
        {"EXEC", "*8\r\n+OK\r\n$1\r\nv\r\n" WRONG_TYPE "+OK\r\n*2\r\n$-1\r\n$1\r\nv\r\n:1\r\n"
                 "*0\r\n+PONG\r\n"},
        {"EXEC", "-ERR EXEC without MULTI\r\n"},
        {"MULTI", OK},
        {"EXEC", "*0\r\n"},
        {"MULTI", OK},
        {"SET k v", QUEUED},
        {"NOSUCH k", "-ERR unknown command 'NOSUCH', with args beginning with: 'k' \r\n"},
        {"EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"},
        {"GET k", NIL},
        {"MULTI", OK},
        {"SET k v", QUEUED},
        {"DISCARD", OK},
        {"GET k", NIL},
        {"SET k v", OK},
        {"WATCH k l", OK},
        {"MULTI", OK},
        {"GET k", QUEUED},
        {"EXEC", "*1\r\n$1\r\nv\r\n"},
        {"WATCH k l", OK},
        {"SET l v", OK},
        {"MULTI", OK},
        {"GET k", QUEUED},
        {"EXEC", "*-1\r\n"},
        {"WATCH k", OK},
        {"SET k w", OK},
        {"UNWATCH", OK},
        {"MULTI", OK},
        {"GET k", QUEUED},
        {"EXEC", "*1\r\n$1\r\nw\r\n"},
        {"WATCH k", OK},
        {"SET k v", OK},
        {"HELLO 3", "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.0\r\n$5\r\n"
                    "proto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\n"
                    "role\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"},
        {"MULTI", OK},
        {"EXEC", "_\r\n"},
        {"MULTI", OK},
        {"RESET", "+RESET\r\n"},
        {"EXEC", "-ERR EXEC without MULTI\r\n"},
    };
    CHECK_ROWS(rows);
}

static void test_scripts(void **state)
{
    static const struct row rows[] = {
        {"EVAL x", "-ERR wrong number of arguments for 'eval' command\r\n"},
        {"EVAL x y", "-ERR value is not an integer or out of range\r\n"},
        {"EVAL x 0", "-ERR only the scripts of docs/agent-protocols.md are understood here, no Lua "
                     "at large\r\n"},
        {"EVALSHA 0000000000000000000000000000000000000000 0",
         "-NOSCRIPT No matching script. Please use EVAL.\r\n"},
        {"SET lock token", OK},
        {"EVALSHA b70c2384248f88e6b75b9f89241a180f856ad852 1 lock other", ZERO},
        {"EVALSHA B70C2384248F88E6B75B9F89241A180F856AD852 1 lock token", ONE},
        {"EVALSHA b70c2384248f88e6b75b9f89241a180f856ad852 1 lock token", ZERO},
        {"EVALSHA b70c2384248f88e6b75b9f89241a180f856ad852 0",
         "-ERR only the scripts of docs/agent-protocols.md are understood here, no Lua at "
         "large\r\n"},
        {"SET lock token", OK},
        {"EVALSHA 1cac51482acf5858da00f6d685d68f886cd6b6b2 1 lock token 5000", ONE},
        {"PTTL lock", ":5000\r\n"},
        {"EVALSHA 1cac51482acf5858da00f6d685d68f886cd6b6b2 1 lock other 9000", ZERO},
        {"EVALSHA 1cac51482acf5858da00f6d685d68f886cd6b6b2 1 nosuch other 9000", ZERO},
        {"EVALSHA 3adcab8843f28538b47f67950913e2a88189dddd 3 nosuch lock none 7000", ONE},
        {"PTTL lock", ":7000\r\n"},
        {"EVALSHA 3fd750e0b43af99dbd223e5523718f18cded3664 1 lock 9000 NX", ZERO},
        {"EVALSHA 3fd750e0b43af99dbd223e5523718f18cded3664 1 lock 9000 GT", ONE},
        {"EVALSHA 3adcab8843f28538b47f67950913e2a88189dddd 1 lock x",
         "-ERR value is not an integer or out of range\r\n"},
        {"PTTL lock", ":9000\r\n"},
        {"SCRIPT EXISTS b70c2384248f88e6b75b9f89241a180f856ad852 x", "*2\r\n:1\r\n:0\r\n"},
        {"SCRIPT LOAD x",
         "-ERR only the scripts of docs/agent-protocols.md are understood here, no "
         "Lua at large\r\n"},
        {"SCRIPT FLUSH", OK},
        {"SCRIPT FLUSH async", OK},
        {"SCRIPT FLUSH x", "-ERR SCRIPT FLUSH only support SYNC|ASYNC option\r\n"},
    };
    CHECK_ROWS(rows);
}

/* EVAL of a body, with the words of `rest` behind it. */
static void check_eval(const char *body, const char *rest, const char *reply)
{
    static struct hf_resp_request request;
    char line[256];
    snprintf(line, sizeof(line), "EVAL body %s", rest);
    hf_resp_testing_words(&request, hf_slice_text(line));
    request.arguments[1] = hf_slice_text(body);
    struct hf_slice got = hf_resp_testing_ask_request(&connection, &request);
    if (!hf_slice_equal(got, hf_slice_text(reply)))
        fail_msg("%s %s: `%.*s`", body, rest, (int)got.size, got.bytes);
}

static const char *form_of(enum hf_resp_script script)
{
    static const struct {
        enum hf_resp_script script;
        const char *form;
    } forms[] = {
#define HF_RESP_SCRIPT_FORM_ROW(id, form) {HF_RESP_SCRIPT_##id, form},
#include "proto/resp_script_forms.def"
#undef HF_RESP_SCRIPT_FORM_ROW
    };
    size_t i = 0;
    while (forms[i].script != script)
        i++;
    return forms[i].form;
}

static void test_script_bodies(void **state)
{
    for (int slow = 0; slow < 2; slow++) {
        hf_resp_rows_start(slow, NULL);
        const char *or_set = form_of(HF_RESP_SCRIPT_COMPARE_PEXPIRE_OR_SET);
        check_eval(or_set, "1 k token 5000", ONE);
        hf_resp_rows_check("GET k", "$5\r\ntoken\r\n");
        hf_resp_rows_check("PTTL k", ":5000\r\n");
        check_eval(or_set, "1 k token 6000", ONE);
        hf_resp_rows_check("PTTL k", ":6000\r\n");
        check_eval(or_set, "1 k other 7000", ZERO);
        hf_resp_rows_check("PTTL k", ":6000\r\n");
        check_eval(form_of(HF_RESP_SCRIPT_COMPARE_EXPIRE), "1 k token 9", ONE);
        hf_resp_rows_check("TTL k", ":9\r\n");
        check_eval(form_of(HF_RESP_SCRIPT_PERSIST_EACH), "2 nosuch k", ONE);
        check_eval(form_of(HF_RESP_SCRIPT_PERSIST_EACH), "2 nosuch k", ZERO);
        check_eval(form_of(HF_RESP_SCRIPT_PEXPIREAT_EACH), "1 k 1700000010000", ONE);
        check_eval(form_of(HF_RESP_SCRIPT_PEXPIREAT_EACH_IF), "1 k 1700000020000 LT", ZERO);
        hf_resp_rows_check("TTL k", ":10\r\n");
        const char *asp = form_of(HF_RESP_SCRIPT_HSET_EXPIRE);
        check_eval(asp, "1 h 7 8 -1 value", ONE);
        hf_resp_rows_check("HMGET h absexp sldexp data",
                           "*3\r\n$1\r\n7\r\n$1\r\n8\r\n$5\r\nvalue\r\n");
        hf_resp_rows_check("TTL h", ":-1\r\n");
        check_eval(asp, "1 h 7 8 60 value", ONE);
        hf_resp_rows_check("TTL h", ":60\r\n");
        check_eval(asp, "1 h 7 8 x value", "-ERR value is not an integer or out of range\r\n");
        check_eval(asp, "1 k 7 8 60 value", WRONG_TYPE);
        check_eval(form_of(HF_RESP_SCRIPT_COMPARE_DELETE), "1 h token", WRONG_TYPE);
        hf_resp_rows_stop();
    }
}

/* A body with blanks of its own is known by its own hash, to all, until FLUSH; and the oldest makes
 * room. */
static void test_scripts_are_remembered(void **state)
{
    static struct hf_resp_request request;
    char body[512], hashes[2][HF_RESP_SCRIPT_HASH_SIZE + 1], line[128];
    size_t room = sizeof(body);
    hf_resp_rows_start(false, NULL);
    for (int i = 0; i <= HF_RESP_FRONT_SCRIPTS_MAX; i++) {
        struct hf_writer writer = hf_writer(body, room);
        for (int blank = 0; blank <= i; blank++)
            hf_writer_byte(&writer, ' ');
        hf_writer_text(&writer, form_of(HF_RESP_SCRIPT_COMPARE_DELETE));
        hf_resp_testing_words(&request, HF_SLICE("SCRIPT LOAD body"));
        request.arguments[2] = hf_slice(body, writer.size);
        struct hf_slice reply = hf_resp_testing_ask_request(&connection, &request);
        assert_int_equal(reply.bytes[0], '$');
        memcpy(hashes[i > 0], reply.bytes + 5, HF_RESP_SCRIPT_HASH_SIZE);
        hashes[i > 0][HF_RESP_SCRIPT_HASH_SIZE] = 0;
    }
    snprintf(line, sizeof(line), "SCRIPT EXISTS %s %s", hashes[0], hashes[1]);
    hf_resp_rows_check(line, "*2\r\n:0\r\n:1\r\n");
    hf_resp_rows_check("SET lock token", OK);
    snprintf(line, sizeof(line), "EVALSHA %s 1 lock token", hashes[1]);
    hf_resp_rows_check(line, ONE);
    hf_resp_rows_check("SCRIPT FLUSH", OK);
    hf_resp_rows_check(line, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
    hf_resp_rows_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_is_carried_out),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_rename),
        cmocka_unit_test(test_rename_while_written_to),
        cmocka_unit_test(test_transactions),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_script_bodies),
        cmocka_unit_test(test_scripts_are_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
