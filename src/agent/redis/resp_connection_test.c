/* What is about the connection, or about all sessions: HELLO, AUTH, INFO, SCAN; RESP3. */
#include "agent/redis/resp_client.h"
#include "agent/redis/resp_rows.h"

static void test_connection(void **state)
{
    static const struct row rows[] = {
        {"PING", "+PONG\r\n"},
        {"PING a", "$1\r\na\r\n"},
        {"PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
        {"ECHO a", "$1\r\na\r\n"},
        {"SELECT 0", OK},
        {"SELECT 15", OK},
        {"SELECT 16", "-ERR DB index is out of range\r\n"},
        {"SELECT x", "-ERR value is not an integer or out of range\r\n"},
        {"CLIENT GETNAME", NIL},
        {"CLIENT SETNAME a", OK},
        {"CLIENT GETNAME", "$1\r\na\r\n"},
        {"CLIENT SETNAME a\nb",
         "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"},
        {"CLIENT ID", ONE},
        {"CLIENT SETINFO LIB-NAME x", OK},
        {"CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"},
        {"CONFIG GET x", "*0\r\n"},
        {"COMMAND", "*0\r\n"},
        {"COMMAND DOCS x", "*0\r\n"},
        {"TIME", "*2\r\n$10\r\n1700000000\r\n$1\r\n0\r\n"},
        {"AUTH x", "-ERR AUTH <password> called without any password configured for the default "
                   "user. Are you sure your configuration is correct?\r\n"},
        {"AUTH default x", OK},
        {"AUTH nobody x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n"},
        {"AUTH a b c", "-ERR syntax error\r\n"},
        {"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
        {"HELLO 3 AUTH x", "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
        {"RESET", "+RESET\r\n"},
        {"CLIENT GETNAME", NIL},
        {"FLUSHDB", "-ERR 'flushdb' is switched off here\r\n"},
        {"FLUSHALL SYNC", "-ERR 'flushall' is switched off here\r\n"},
        {"FLUSHALL x", "-ERR syntax error\r\n"},
        {"DBSIZE", ZERO},
        {"SCAN 0 COUNT 1000", "*2\r\n$1\r\n0\r\n*0\r\n"},
        {"KEYS *", "*0\r\n"},
        {"SET a v", OK},
        {"HSET h f v", ONE},
        {"SCAN 0 COUNT 1000 TYPE hash", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nh\r\n"},
        {"SCAN 0 COUNT 1000 MATCH [a]", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\na\r\n"},
        {"SCAN x", "-ERR invalid cursor\r\n"},
        {"KEYS h", "*1\r\n$1\r\nh\r\n"},
        {"DBSIZE", ":2\r\n"},
    };
    CHECK_ROWS(rows);
}

static void test_auth(void **state)
{
    hf_resp_rows_start(false, "secret");
    hf_resp_rows_check("PING", "-NOAUTH Authentication required.\r\n");
    hf_resp_rows_check("MULTI", "-NOAUTH Authentication required.\r\n");
    hf_resp_rows_check("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n");
    struct hf_slice hello = hf_resp_testing_ask(&connection, "HELLO 3");
    assert_true(hf_slice_starts(hello, HF_SLICE("-NOAUTH HELLO must be called with")));
    hf_resp_rows_check("AUTH secret", OK);
    hf_resp_rows_check("PING", "+PONG\r\n");
    hf_resp_rows_check("RESET", "+RESET\r\n");
    hf_resp_rows_check("PING", "-NOAUTH Authentication required.\r\n");
    hello = hf_resp_testing_ask(&connection, "HELLO 3 AUTH default secret SETNAME me");
    assert_true(hf_slice_starts(hello, HF_SLICE("%7\r\n")));
    hf_resp_rows_check("CLIENT GETNAME", "$2\r\nme\r\n");
    hf_resp_rows_stop();
}

/* The one that is too many is answered too, and is the last. */
static void test_auth_failures_end_the_connection(void **state)
{
    size_t used = 0;
    hf_resp_rows_start(false, "secret");
    struct hf_slice wrong = HF_SLICE("*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n");
    for (int i = 1; i < HF_CONNECTION_AUTH_FAILURES_MAX; i++)
        assert_int_equal(hf_resp_testing_feed(&connection, wrong, &used), HF_FRONT_DONE);
    rig.size = 0;
    assert_int_equal(hf_resp_testing_feed(&connection, wrong, &used), HF_FRONT_CLOSE);
    assert_true(hf_slice_starts(hf_slice(rig.out, rig.size), HF_SLICE("-WRONGPASS")));
    hf_resp_rows_stop();
}

static void test_limits_before_auth(void **state)
{
    struct hf_slice many = HF_SLICE("*11\r\n"), large = HF_SLICE("*2\r\n$3\r\nGET\r\n$16385\r\n");
    size_t used = 0;
    hf_resp_rows_start(false, "secret");
    assert_int_equal(hf_resp_testing_feed(&connection, many, &used), HF_FRONT_CLOSE);
    hf_resp_rows_stop();
    hf_resp_rows_start(false, "secret");
    assert_int_equal(hf_resp_testing_feed(&connection, large, &used), HF_FRONT_CLOSE);
    hf_resp_rows_stop();
    hf_resp_rows_start(false, "secret");
    hf_resp_rows_check("AUTH secret", OK);
    assert_int_equal(hf_resp_testing_feed(&connection, many, &used), HF_FRONT_MORE);
    hf_resp_rows_stop();
}

static void test_info(void **state)
{
    static const char *const needed[] = {"# Server\r\nredis_version:7.2.0\r\n",
                                         "\r\nredis_mode:standalone\r\n",
                                         "\r\nloading:0\r\n",
                                         "\r\nrole:master\r\n",
                                         "\r\n# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n",
                                         "\r\nmaxmemory_policy:noeviction\r\n"};
    hf_resp_rows_start(false, NULL);
    hf_resp_rows_check("SET k v", OK);
    struct hf_slice info = hf_resp_testing_ask(&connection, "INFO");
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        assert_non_null(memmem(info.bytes, info.size, needed[i], strlen(needed[i])));
    hf_resp_rows_check("INFO replication",
                       "$48\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n\r\n");
    hf_resp_rows_check("INFO nosuch", "$0\r\n\r\n");
    hf_resp_rows_check("INFO persistence KEYSPACE",
                       "$72\r\n# Persistence\r\nloading:0\r\n\r\n# Keyspace\r\n"
                       "db0:keys=1,expires=0,avg_ttl=0\r\n\r\n");
    hf_resp_testing_ask(&connection, "HELLO 3");
    hf_resp_rows_check("INFO persistence", "=30\r\ntxt:# Persistence\r\nloading:0\r\n\r\n");
    hf_resp_rows_stop();
}

static void test_resp3(void **state)
{
    for (int slow = 0; slow < 2; slow++) {
        hf_resp_rows_start(slow, NULL);
        hf_resp_testing_ask(&connection, "HELLO 3");
        hf_resp_rows_check("GET k", "_\r\n");
        hf_resp_rows_check("MGET k k", "*2\r\n_\r\n_\r\n");
        hf_resp_rows_check("HGETALL h", "%0\r\n");
        hf_resp_rows_check("HSET h f v", ONE);
        hf_resp_rows_check("HGETALL h", "%1\r\n$1\r\nf\r\n$1\r\nv\r\n");
        hf_resp_rows_check("HMGET h x f", "*2\r\n_\r\n$1\r\nv\r\n");
        hf_resp_rows_check("CONFIG GET x", "%0\r\n");
        hf_resp_rows_check("SET k v GET", "_\r\n");
        hf_resp_rows_stop();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connection),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_auth_failures_end_the_connection),
        cmocka_unit_test(test_limits_before_auth),
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_resp3),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
