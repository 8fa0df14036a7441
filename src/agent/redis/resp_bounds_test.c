/* What the front end says when an operation fails, and where its bounds are; requests in pieces. */
#include "agent/redis/resp_client.h"
#include "agent/redis/resp_rows.h"
#include <stdio.h>

#define TRY_AGAIN "-TRYAGAIN the session's owner is not known for sure just now\r\n"
#define OUT_OF_MEMORY "-OOM command not allowed when used memory > 'maxmemory'.\r\n"

/* Every command that names a key. */
static const char *const keyed[] = {
    "GET k",
    "SET k v",
    "SET k v NX",
    "SET k v XX",
    "SET k v GET",
    "SETEX k 10 v",
    "PSETEX k 10 v",
    "SETNX k v",
    "GETEX k",
    "GETEX k EX 10",
    "GETDEL k",
    "MGET k l",
    "DEL k l",
    "UNLINK k",
    "EXISTS k l",
    "TOUCH k",
    "TYPE k",
    "TTL k",
    "PTTL k",
    "EXPIRE k 10",
    "PEXPIRE k 10",
    "EXPIREAT k 10",
    "PEXPIREAT k 10",
    "PERSIST k",
    "RENAME k l",
    "RENAMENX k l",
    "RENAME k k",
    "HGET k f",
    "HMGET k f g",
    "HGETALL k",
    "HKEYS k",
    "HVALS k",
    "HLEN k",
    "HEXISTS k f",
    "HSET k f v",
    "HMSET k f v",
    "HSETNX k f v",
    "HDEL k f",
    "HINCRBY k f 1",
    "WATCH k",
    "EVALSHA b70c2384248f88e6b75b9f89241a180f856ad852 1 k v",
    "EVALSHA 1cac51482acf5858da00f6d685d68f886cd6b6b2 1 k v 10",
    "EVALSHA 3adcab8843f28538b47f67950913e2a88189dddd 2 k l 10",
};
enum { KEYED = sizeof(keyed) / sizeof(keyed[0]) };

/* Not to know is an error, never a miss, for each command that names a key, wherever in it. */
static void test_unsure_is_never_a_miss(void **state)
{
    for (int slow = 0; slow < 2; slow++) {
        hf_resp_rows_start(false, NULL);
        rig.slow = slow;
        for (size_t i = 0; i < KEYED; i++) {
            rig.forced = HF_OPERATION_UNSURE;
            hf_resp_rows_check(keyed[i], TRY_AGAIN);
        }
        hf_resp_rows_stop();
    }
}

/* The same, at the second operation of those that need several. */
static void test_unsure_in_the_middle(void **state)
{
    static const char *const several[] = {"MGET k l",   "DEL k l",      "EXISTS k l",
                                          "RENAME k l", "RENAMENX k l", "WATCH k l"};
    for (size_t i = 0; i < sizeof(several) / sizeof(several[0]); i++) {
        for (int slow = 0; slow < 2; slow++) {
            hf_resp_rows_start(false, NULL);
            hf_resp_rows_check("SET k v", OK);
            rig.slow = slow;
            rig.forced = HF_OPERATION_UNSURE;
            rig.forced_after = 1;
            hf_resp_rows_check(several[i], TRY_AGAIN);
            hf_resp_rows_stop();
        }
    }
}

static void test_table_of_commands_is_whole(void **state)
{
    for (int id = HF_RESP_COMMAND_NONE + 1; id < HF_RESP_COMMANDS; id++) {
        const struct hf_resp_command *command = hf_resp_command_row((enum hf_resp_command_id)id);
        bool found = command->first_key == 0;
        for (size_t i = 0; i < KEYED && !found; i++) {
            struct hf_slice line = hf_slice_text(keyed[i]);
            struct hf_slice name = hf_slice(line.bytes, strcspn(line.bytes, " "));
            found = hf_slice_equal_nocase(name, command->name);
        }
        if (!found)
            fail_msg("%s is not among the commands tried", command->name.bytes);
    }
}

static const struct {
    enum hf_operation_status status;
    const char *line, *reply;
} failures[] = {
    {HF_OPERATION_FULL, "SET k v", OUT_OF_MEMORY},
    {HF_OPERATION_FULL, "HSET k f v", OUT_OF_MEMORY},
    {HF_OPERATION_TOO_LARGE, "SET k v", "-ERR the value is larger than the limit\r\n"},
    {HF_OPERATION_TOO_MANY, "HSET k f v",
     "-ERR too many keys in one session, or fields in one hash\r\n"},
    {HF_OPERATION_BAD_KEY, "GET k", "-ERR the key is empty, or longer than the limit\r\n"},
    {HF_OPERATION_DENIED, "GET k", "-ERR 'get' is switched off here\r\n"},
    {HF_OPERATION_OVERFLOW, "HINCRBY k f 1", "-ERR increment or decrement would overflow\r\n"},
    {HF_OPERATION_NOT_NUMBER, "HINCRBY k f 1", "-ERR hash value is not an integer\r\n"},
    /* late requests of a session that is over: plain writes seem done, conditions are not met */
    {HF_OPERATION_DROPPED, "SET k v", OK},
    {HF_OPERATION_DROPPED, "SETEX k 10 v", OK},
    {HF_OPERATION_DROPPED, "SET k v XX", NIL},
    {HF_OPERATION_DROPPED, "SET k v NX", NIL},
    {HF_OPERATION_DROPPED, "SET k v GET", NIL},
    {HF_OPERATION_DROPPED, "SETNX k v", ":0\r\n"},
    {HF_OPERATION_DROPPED, "GETEX k EX 10", NIL},
    {HF_OPERATION_DROPPED, "EXPIRE k 10", ":0\r\n"},
    {HF_OPERATION_DROPPED, "DEL k", ":0\r\n"},
    {HF_OPERATION_DROPPED, "HSET k a 1 b 2", ":2\r\n"},
    {HF_OPERATION_DROPPED, "HMSET k a 1", OK},
    {HF_OPERATION_DROPPED, "HSETNX k a 1", ":0\r\n"},
    {HF_OPERATION_DROPPED, "HDEL k a", ":0\r\n"},
    {HF_OPERATION_DROPPED, "HINCRBY k a 5", ":5\r\n"},
};

static void test_failures(void **state)
{
    hf_resp_rows_start(false, NULL);
    for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
        rig.forced = failures[i].status;
        hf_resp_rows_check(failures[i].line, failures[i].reply);
    }
    hf_resp_rows_stop();
}

static void test_late_write_of_a_session_that_is_over(void **state)
{
    hf_resp_rows_start(false, NULL);
    hf_resp_rows_check("SET once:1 v", OK);
    hf_resp_rows_check("DEL once:1", ":1\r\n");
    hf_resp_rows_check("SET once:1 v", OK);
    hf_resp_rows_check("GET once:1", NIL);
    hf_resp_rows_check("SET once:1 v NX", NIL);
    hf_resp_rows_check("HSET once:1 f v", ":1\r\n");
    hf_resp_rows_check("HGETALL once:1", "*0\r\n");
    hf_resp_rows_check("SET sess_1 v", OK);
    hf_resp_rows_check("DEL sess_1", ":1\r\n");
    hf_resp_rows_check("SET sess_1 v", OK);
    hf_resp_rows_check("GET sess_1", "$1\r\nv\r\n");
    hf_resp_rows_stop();
}

static void test_keys_that_are_none(void **state)
{
    char line[2048];
    hf_resp_rows_start(false, NULL);
    hf_resp_rows_check("GET ", "-ERR the key is empty, or longer than the limit\r\n");
    snprintf(line, sizeof(line), "SET %01025d v", 0);
    hf_resp_rows_check(line, "-ERR the key is empty, or longer than the limit\r\n");
    hf_resp_rows_check("MGET a  b", "-ERR the key is empty, or longer than the limit\r\n");
    hf_resp_rows_stop();
}

static void test_full_store(void **state)
{
    char line[1100], value[1025];
    unsigned kept = 0;
    hf_resp_rows_start_sized(HF_STORE_MEMORY_MIN, NULL);
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = 0;
    for (unsigned i = 0; i < 8192; i++) {
        snprintf(line, sizeof(line), "SET k%u %s", i, value);
        struct hf_slice reply = hf_resp_testing_ask(&connection, line);
        kept += reply.bytes[0] == '+';
        assert_true(reply.bytes[0] == '+' || hf_slice_equal(reply, HF_SLICE(OUT_OF_MEMORY)));
    }
    assert_in_range(kept, 1000, 4000);
    assert_true(hf_slice_starts(hf_resp_testing_ask(&connection, "GET k0"), HF_SLICE("$1024\r\n")));
    hf_resp_rows_check("DEL k0", ":1\r\n");
    hf_resp_rows_stop();
}

/* ---- transactions ---- */

static void test_transaction_of_too_many(void **state)
{
    hf_resp_rows_start(false, NULL);
    hf_resp_rows_check("MULTI", OK);
    for (unsigned i = 0; i < HF_RESP_FRONT_TRANSACTION_COUNT_MAX; i++)
        hf_resp_rows_check("SET k v", "+QUEUED\r\n");
    hf_resp_rows_check("SET k v", OUT_OF_MEMORY);
    hf_resp_rows_check("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    hf_resp_rows_check("GET k", NIL);
    hf_resp_rows_stop();
}

/* A queued request of `size` bytes of value. */
static struct hf_slice queue_large(size_t size)
{
    static char in[(1 << 20) + 64];
    int head = snprintf(in, sizeof(in), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%zu\r\n", size);
    size_t used = 0;
    memset(in + head, 'x', size);
    memcpy(in + head + size, "\r\n", 2);
    rig.size = 0;
    assert_int_equal(
        hf_resp_testing_feed(&connection, hf_slice(in, (size_t)head + size + 2), &used),
        HF_FRONT_DONE);
    return hf_slice(rig.out, rig.size);
}

static void test_transaction_that_is_too_large(void **state)
{
    enum { MIB = 1 << 20 };
    hf_resp_rows_start(false, NULL);
    hf_resp_rows_check("MULTI", OK);
    for (unsigned i = 1; i < HF_RESP_FRONT_TRANSACTION_SIZE_MAX / MIB; i++)
        assert_true(hf_slice_equal(queue_large(MIB), HF_SLICE("+QUEUED\r\n")));
    assert_true(hf_slice_equal(queue_large(MIB), HF_SLICE(OUT_OF_MEMORY)));
    hf_resp_rows_check("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    hf_resp_rows_stop();
}

static void test_watches_are_bounded(void **state)
{
    char line[64];
    hf_resp_rows_start(false, NULL);
    for (unsigned i = 0; i < HF_RESP_FRONT_WATCHES_MAX; i++) {
        snprintf(line, sizeof(line), "WATCH k%u", i);
        hf_resp_rows_check(line, OK);
    }
    hf_resp_rows_check("WATCH more", OUT_OF_MEMORY);
    hf_resp_rows_check("UNWATCH", OK);
    hf_resp_rows_check("WATCH more", OK);
    hf_resp_rows_stop();
}

/* Who holds a watched key is not known at EXEC: an error, and nothing of it happened. */
static void test_unsure_at_exec(void **state)
{
    hf_resp_rows_start(false, NULL);
    hf_resp_rows_check("WATCH w", OK);
    hf_resp_rows_check("MULTI", OK);
    hf_resp_rows_check("SET k v", "+QUEUED\r\n");
    rig.forced = HF_OPERATION_UNSURE;
    hf_resp_rows_check("EXEC", TRY_AGAIN);
    rig.forced = HF_OPERATION_OK;
    hf_resp_rows_check("GET k", NIL);
    hf_resp_rows_check("EXEC", "-ERR EXEC without MULTI\r\n");
    hf_resp_rows_stop();
}

static void test_names_are_bounded(void **state)
{
    char line[HF_RESP_FRONT_NAME_SIZE_MAX + 32];
    hf_resp_rows_start(false, NULL);
    snprintf(line, sizeof(line), "CLIENT SETNAME %0*d", HF_RESP_FRONT_NAME_SIZE_MAX, 0);
    hf_resp_rows_check(line, OK);
    snprintf(line, sizeof(line), "CLIENT SETNAME %0*d", HF_RESP_FRONT_NAME_SIZE_MAX + 1, 0);
    hf_resp_rows_check(
        line, "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    hf_resp_rows_stop();
}

/* KEYS stops being answered where it would stop everything else; SCAN goes on. */
static void test_keys_of_too_many(void **state)
{
    char line[64];
    hf_resp_rows_start(false, NULL);
    for (unsigned i = 0; i < HF_RESP_FRONT_KEYS_MAX; i++) {
        snprintf(line, sizeof(line), "SET %u v", i);
        hf_resp_rows_check(line, OK);
    }
    hf_resp_rows_check("KEYS 77777", "*1\r\n$5\r\n77777\r\n");
    hf_resp_rows_check("SET more v", OK);
    hf_resp_rows_check("KEYS 77777", "-ERR 'keys' is switched off here\r\n");
    struct hf_slice some = hf_resp_testing_ask(&connection, "SCAN 0 COUNT 999999999");
    unsigned long cursor = 0;
    assert_int_equal(sscanf(some.bytes, "*2\r\n$%*u\r\n%lu", &cursor), 1);
    assert_int_not_equal(cursor, 0);
    hf_resp_rows_stop();
}

/* ---- bytes ---- */

/* A pipeline, whose bytes come in pieces of every size: the answers are the same, in their order.
 */
static void test_requests_in_pieces(void **state)
{
    static const char pipeline[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\na\r\nbc\r\nPING\r\n"
                                   "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$6\r\nnosuch\r\n"
                                   "*3\r\n$4\r\nMGET\r\n$1\r\nk\r\n$1\r\nl\r\n"
                                   "*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
                                   "*1\r\n$4\r\nEXEC\r\n*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n";
    static const char answers[] =
        "+OK\r\n+PONG\r\n$5\r\na\r\nbc\r\n-ERR unknown command 'nosuch', with args beginning with: "
        "\r\n*2\r\n$5\r\na\r\nbc\r\n$-1\r\n+OK\r\n+QUEUED\r\n*1\r\n$5\r\na\r\nbc\r\n:1\r\n";
    for (size_t piece = 1; piece < sizeof(pipeline); piece++) {
        hf_resp_rows_start(false, NULL);
        rig.slow = piece % 2;
        size_t first = 0, have = 0;
        while (have < sizeof(pipeline) - 1) {
            size_t more = sizeof(pipeline) - 1 - have;
            have += more < piece ? more : piece;
            size_t used = 0;
            while (first < have &&
                   hf_resp_testing_feed(&connection, hf_slice(pipeline + first, have - first),
                                        &used) == HF_FRONT_DONE)
                first += used;
        }
        assert_int_equal(first, sizeof(pipeline) - 1);
        assert_true(hf_slice_equal(hf_slice(rig.out, rig.size), HF_SLICE(answers)));
        hf_resp_rows_stop();
    }
}

static void test_bad_bytes(void **state)
{
    size_t used = 0;
    hf_resp_rows_start(false, NULL);
    assert_int_equal(hf_resp_testing_feed(&connection, HF_SLICE("*x\r\n"), &used), HF_FRONT_CLOSE);
    assert_true(hf_slice_equal(hf_slice(rig.out, rig.size),
                               HF_SLICE("-ERR Protocol error: invalid multibulk length\r\n")));
    hf_resp_rows_stop();
    hf_resp_rows_start(false, NULL);
    struct hf_slice browser = HF_SLICE("POST / HTTP/1.1\r\n");
    assert_int_equal(hf_resp_testing_feed(&connection, browser, &used), HF_FRONT_CLOSE);
    assert_int_equal(rig.size, 0);
    hf_resp_rows_stop();
}

/* A client that leaves in the middle of anything: nothing is lost, nor touched later. */
static void test_end_while_waiting(void **state)
{
    static const char *const lines[] = {"MGET a b", "RENAME a b", "WATCH a b", "EXEC",
                                        "HMGET a 1 2 3 4 5 6 7 8 9 10"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        static struct hf_resp_request request;
        static char in[256];
        struct hf_resp_out out = {.writer = hf_writer(in, sizeof(in))};
        size_t used = 0;
        hf_resp_rows_start(false, NULL);
        hf_resp_rows_check("SET a v", OK);
        hf_resp_rows_check("WATCH a", OK);
        hf_resp_rows_check("MULTI", OK);
        hf_resp_rows_check("GET a", "+QUEUED\r\n");
        if (strcmp(lines[i], "EXEC") != 0)
            hf_resp_rows_check("DISCARD", OK);
        rig.slow = true;
        hf_resp_testing_words(&request, hf_slice_text(lines[i]));
        hf_resp_testing_encode(&out, &request);
        assert_int_equal(hf_resp_front.feed(&connection, hf_slice(in, out.writer.size), &used),
                         HF_FRONT_WAIT);
        hf_resp_testing_resume(&connection);
        hf_resp_rows_stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsure_is_never_a_miss),
        cmocka_unit_test(test_unsure_in_the_middle),
        cmocka_unit_test(test_table_of_commands_is_whole),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_late_write_of_a_session_that_is_over),
        cmocka_unit_test(test_keys_that_are_none),
        cmocka_unit_test(test_full_store),
        cmocka_unit_test(test_transaction_of_too_many),
        cmocka_unit_test(test_transaction_that_is_too_large),
        cmocka_unit_test(test_watches_are_bounded),
        cmocka_unit_test(test_unsure_at_exec),
        cmocka_unit_test(test_names_are_bounded),
        cmocka_unit_test(test_keys_of_too_many),
        cmocka_unit_test(test_requests_in_pieces),
        cmocka_unit_test(test_bad_bytes),
        cmocka_unit_test(test_end_while_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
