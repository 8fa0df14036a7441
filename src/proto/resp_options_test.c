#include "base/rng.h"
#include "base/test.h"
#include "proto/guard.h"
#include "proto/resp_testing.h"

static struct hf_guard guard;
static struct hf_resp_request request;

static void words(const char *line)
{
    hf_resp_testing_words(&request, hf_slice_text(line));
}

static struct hf_resp_set_options set(const char *line, enum hf_resp_error error)
{
    struct hf_resp_set_options options = {0};
    words(line);
    enum hf_resp_error found = hf_resp_options_set(&request, &options);
    if (found != error)
        fail_msg("%s: %d", line, found);
    return options;
}

/* Whatever the order: Laravel, predis and phpredis each have their own. */
static void test_set(void **state)
{
    static const char *const orders[] = {"set k v EX 10 NX", "SET k v nx ex 10",
                                         "set k v NX px 10000"};
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        struct hf_resp_set_options options = set(orders[i], HF_RESP_ERROR_NONE);
        assert_true(options.if_absent && !options.if_present && !options.get);
        assert_int_equal(options.expiry.kind, HF_RESP_EXPIRY_IN);
        assert_int_equal(options.expiry.ms, 10000);
    }
    assert_int_equal(set("set k v", HF_RESP_ERROR_NONE).expiry.kind, HF_RESP_EXPIRY_NONE);
    assert_true(set("set k v xx KEEPTTL", HF_RESP_ERROR_NONE).keep_expiry);
    assert_true(set("set k v get xx", HF_RESP_ERROR_NONE).get);
    struct hf_resp_set_options at = set("set k v EXAT 1798154187", HF_RESP_ERROR_NONE);
    assert_int_equal(at.expiry.kind, HF_RESP_EXPIRY_AT);
    assert_true(at.expiry.ms == 1798154187000);
    assert_true(set("set k v pxat 7", HF_RESP_ERROR_NONE).expiry.ms == 7);
    assert_true(set("set k v EX 5 NX EX 7", HF_RESP_ERROR_NONE).expiry.ms == 7000);
}

static void test_set_refusals(void **state)
{
    set("set k v NX XX", HF_RESP_ERROR_SYNTAX);
    set("set k v XX NX", HF_RESP_ERROR_SYNTAX);
    set("set k v EX", HF_RESP_ERROR_SYNTAX);
    set("set k v EX 1 PX 1", HF_RESP_ERROR_SYNTAX);
    set("set k v EX 1 KEEPTTL", HF_RESP_ERROR_SYNTAX);
    set("set k v KEEPTTL EX 1", HF_RESP_ERROR_SYNTAX);
    set("set k v persist", HF_RESP_ERROR_SYNTAX);
    set("set k v w", HF_RESP_ERROR_SYNTAX);
    set("set k v EX x", HF_RESP_ERROR_NOT_INTEGER);
    set("set k v EX 1.5", HF_RESP_ERROR_NOT_INTEGER);
    set("set k v EX 01", HF_RESP_ERROR_NOT_INTEGER);
    set("set k v EX 0", HF_RESP_ERROR_INVALID_EXPIRE);
    set("set k v PX -1", HF_RESP_ERROR_INVALID_EXPIRE);
    set("set k v EX 9223372036854775807", HF_RESP_ERROR_INVALID_EXPIRE);
    set("set k v PX 9223372036854775807", HF_RESP_ERROR_INVALID_EXPIRE);
    set("set k v EX x NX bad", HF_RESP_ERROR_SYNTAX);
}

static void test_getex(void **state)
{
    static const struct {
        const char *line;
        enum hf_resp_error error;
        uint8_t kind;
        int64_t ms;
    } rows[] = {
        {"getex k", HF_RESP_ERROR_NONE, HF_RESP_EXPIRY_NONE, 0},
        {"getex k EX 1440", HF_RESP_ERROR_NONE, HF_RESP_EXPIRY_IN, 1440000},
        {"getex k persist", HF_RESP_ERROR_NONE, HF_RESP_EXPIRY_PERSIST, 0},
        {"getex k PXAT 5", HF_RESP_ERROR_NONE, HF_RESP_EXPIRY_AT, 5},
        {"getex k PX 5 PX 6", HF_RESP_ERROR_NONE, HF_RESP_EXPIRY_IN, 6},
        {"getex k PX 5 EX 6", HF_RESP_ERROR_SYNTAX, 0, 0},
        {"getex k EX", HF_RESP_ERROR_SYNTAX, 0, 0},
        {"getex k EX 1 persist", HF_RESP_ERROR_SYNTAX, 0, 0},
        {"getex k NX", HF_RESP_ERROR_SYNTAX, 0, 0},
        {"getex k EX 0", HF_RESP_ERROR_INVALID_EXPIRE, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_resp_expiry expiry;
        words(rows[i].line);
        assert_int_equal(hf_resp_options_getex(&request, &expiry), rows[i].error);
        if (rows[i].error != HF_RESP_ERROR_NONE)
            continue;
        assert_int_equal(expiry.kind, rows[i].kind);
        assert_true(expiry.ms == rows[i].ms);
    }
}

static void test_setex(void **state)
{
    struct hf_resp_expiry expiry;
    words("setex k 1440 v");
    assert_int_equal(hf_resp_options_setex(&request, false, &expiry), HF_RESP_ERROR_NONE);
    assert_int_equal(expiry.ms, 1440000);
    assert_int_equal(hf_resp_options_setex(&request, true, &expiry), HF_RESP_ERROR_NONE);
    assert_int_equal(expiry.ms, 1440);
    words("setex k 0 v");
    assert_int_equal(hf_resp_options_setex(&request, true, &expiry), HF_RESP_ERROR_INVALID_EXPIRE);
}

static struct hf_resp_expire_options expire(const char *line, enum hf_resp_command_id id,
                                            enum hf_resp_error error)
{
    struct hf_resp_expire_options options = {0};
    struct hf_slice wrong = {0};
    words(line);
    assert_int_equal(hf_resp_options_expire(&request, id, &options, &wrong), error);
    assert_int_equal(wrong.size > 0, error == HF_RESP_ERROR_UNSUPPORTED_OPTION);
    return options;
}

static void test_expire(void **state)
{
    enum hf_resp_command_id seconds = HF_RESP_COMMAND_EXPIRE;
    assert_int_equal(expire("e k 60", seconds, HF_RESP_ERROR_NONE).expiry.ms, 60000);
    assert_int_equal(expire("e k -1", seconds, HF_RESP_ERROR_NONE).expiry.ms, -1000);
    assert_int_equal(expire("e k 60", HF_RESP_COMMAND_PEXPIRE, HF_RESP_ERROR_NONE).expiry.ms, 60);
    struct hf_resp_expire_options at =
        expire("e k 60 xx gt", HF_RESP_COMMAND_EXPIREAT, HF_RESP_ERROR_NONE);
    assert_int_equal(at.expiry.kind, HF_RESP_EXPIRY_AT);
    assert_int_equal(at.expiry.ms, 60000);
    assert_true(at.if_any && at.if_later && !at.if_none && !at.if_sooner);
    assert_true(expire("e k 1 NX", HF_RESP_COMMAND_PEXPIREAT, HF_RESP_ERROR_NONE).if_none);
    expire("e k 1 NX XX", seconds, HF_RESP_ERROR_NX_WITH_OTHERS);
    expire("e k 1 LT NX", seconds, HF_RESP_ERROR_NX_WITH_OTHERS);
    expire("e k 1 LT GT", seconds, HF_RESP_ERROR_GT_WITH_LT);
    expire("e k 1 zz", seconds, HF_RESP_ERROR_UNSUPPORTED_OPTION);
    expire("e k x", seconds, HF_RESP_ERROR_NOT_INTEGER);
    expire("e k 9223372036854775807", seconds, HF_RESP_ERROR_INVALID_EXPIRE);
    expire("e k -9223372036854775808", seconds, HF_RESP_ERROR_INVALID_EXPIRE);
}

static void test_scan(void **state)
{
    struct hf_resp_scan_options options;
    words("scan 17 count 100 MATCH sess:* type string");
    assert_int_equal(hf_resp_options_scan(&request, &options), HF_RESP_ERROR_NONE);
    assert_int_equal(options.cursor, 17);
    assert_int_equal(options.count, 100);
    assert_true(options.has_match && options.has_type);
    assert_true(hf_slice_equal(options.match, HF_SLICE("sess:*")));
    words("scan 0");
    assert_int_equal(hf_resp_options_scan(&request, &options), HF_RESP_ERROR_NONE);
    assert_int_equal(options.count, 10);
    assert_false(options.has_match);
    static const struct {
        const char *line;
        enum hf_resp_error error;
    } wrong[] = {{"scan x", HF_RESP_ERROR_INVALID_CURSOR},
                 {"scan -1", HF_RESP_ERROR_INVALID_CURSOR},
                 {"scan 18446744073709551616", HF_RESP_ERROR_INVALID_CURSOR},
                 {"scan 0 match", HF_RESP_ERROR_SYNTAX},
                 {"scan 0 count 0", HF_RESP_ERROR_SYNTAX},
                 {"scan 0 count x", HF_RESP_ERROR_NOT_INTEGER},
                 {"scan 0 zz 1", HF_RESP_ERROR_SYNTAX}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        words(wrong[i].line);
        assert_int_equal(hf_resp_options_scan(&request, &options), wrong[i].error);
    }
}

static void test_hello(void **state)
{
    struct hf_resp_hello_options options;
    struct hf_slice wrong;
    words("HELLO 3 AUTH default secret SETNAME app");
    assert_int_equal(hf_resp_options_hello(&request, &options, &wrong), HF_RESP_ERROR_NONE);
    assert_true(options.version == 3 && options.has_auth && options.has_name);
    assert_true(hf_slice_equal(options.user, HF_SLICE("default")));
    assert_true(hf_slice_equal(options.password, HF_SLICE("secret")));
    assert_true(hf_slice_equal(options.name, HF_SLICE("app")));
    words("hello 2 setname x auth u p");
    assert_int_equal(hf_resp_options_hello(&request, &options, &wrong), HF_RESP_ERROR_NONE);
    assert_int_equal(options.version, 2);
    words("hello");
    assert_int_equal(hf_resp_options_hello(&request, &options, &wrong), HF_RESP_ERROR_NONE);
    assert_int_equal(options.version, 0);
    static const struct { /* row 212 */
        const char *line;
        enum hf_resp_error error;
    } bad[] = {{"hello 9", HF_RESP_ERROR_NO_PROTO},
               {"hello 1", HF_RESP_ERROR_NO_PROTO},
               {"hello x", HF_RESP_ERROR_BAD_PROTO},
               {"hello 3 auth u", HF_RESP_ERROR_HELLO_SYNTAX},
               {"hello 3 zz", HF_RESP_ERROR_HELLO_SYNTAX},
               {"hello 3 setname", HF_RESP_ERROR_HELLO_SYNTAX}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        words(bad[i].line);
        assert_int_equal(hf_resp_options_hello(&request, &options, &wrong), bad[i].error);
    }
}

static bool glob(const char *pattern, const char *text)
{
    return hf_resp_glob_match(hf_slice_text(pattern), hf_slice_text(text));
}

static void test_glob(void **state)
{
    static const char *const fits[][2] = {
        {"*", ""},
        {"*", "abc"},
        {"", ""},
        {"sess:*", "sess:1"},
        {"h?llo", "hello"},
        {"h*llo", "heeello"},
        {"h[ae]llo", "hallo"},
        {"h[^e]llo", "hallo"},
        {"h[a-c]llo", "hbllo"},
        {"h[c-a]llo", "hbllo"},
        {"\\*", "*"},
        {"[\\]]", "]"},
        {"*a*b", "xaxbxab"},
        {"a**b", "ab"},
        {"[ab", "b"},
        {"\\", "\\"},
        {"*[^x]", "xa"},
        {"[^]", "x"},
    };
    static const char *const differs[][2] = {
        {"", "a"},
        {"a", ""},
        {"sess:*", "ses:1"},
        {"h?llo", "hllo"},
        {"h[ae]llo", "hillo"},
        {"h[^e]llo", "hello"},
        {"h[a-c]llo", "hdllo"},
        {"\\*", "a"},
        {"*a*b", "xaxbxa"},
        {"A", "a"},
        {"[]", "a"},
        {"?", ""},
    };
    for (size_t i = 0; i < sizeof(fits) / sizeof(fits[0]); i++)
        if (!glob(fits[i][0], fits[i][1]))
            fail_msg("%s should fit %s", fits[i][0], fits[i][1]);
    for (size_t i = 0; i < sizeof(differs) / sizeof(differs[0]); i++)
        if (glob(differs[i][0], differs[i][1]))
            fail_msg("%s should not fit %s", differs[i][0], differs[i][1]);
}

/* The obvious way, for short patterns: matched[p][t] from the end. */
static bool slow_glob(const char *pattern, size_t p_size, const char *text, size_t t_size)
{
    bool matched[12][12] = {0};
    matched[p_size][t_size] = true;
    for (size_t p = p_size; p-- > 0;)
        for (size_t t = t_size + 1; t-- > 0;) {
            bool more = t < t_size;
            if (pattern[p] == '*')
                matched[p][t] = matched[p + 1][t] || (more && matched[p][t + 1]);
            else
                matched[p][t] =
                    more && (pattern[p] == '?' || pattern[p] == text[t]) && matched[p + 1][t + 1];
        }
    return matched[0][0];
}

static void test_glob_agrees(void **state)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, 6379);
    unsigned matches = 0;
    for (unsigned round = 0; round < 20000; round++) {
        char pattern[8], text[10];
        size_t p_size = hf_rng_below(&rng, 8), t_size = hf_rng_below(&rng, 10);
        for (size_t i = 0; i < p_size; i++)
            pattern[i] = "ab*?*"[hf_rng_below(&rng, 5)];
        for (size_t i = 0; i < t_size; i++)
            text[i] = "ab"[hf_rng_below(&rng, 2)];
        const char *copy = hf_guard_copy(&guard, hf_slice(pattern, p_size));
        bool fits = hf_resp_glob_match(hf_slice(copy, p_size), hf_slice(text, t_size));
        assert_int_equal(fits, slow_glob(pattern, p_size, text, t_size));
        matches += fits;
    }
    assert_in_range(matches, 1000, 19000);
}

/* Many stars over a long text: a bound of steps, not a power of two of them. */
static void test_glob_is_bounded(void **state)
{
    static char pattern[HF_RESP_GLOB_SIZE_MAX + 1], text[20000];
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < HF_RESP_GLOB_SIZE_MAX; i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[HF_RESP_GLOB_SIZE_MAX - 1] = 'b';
    struct hf_slice long_text = hf_slice(text, sizeof(text));
    assert_false(hf_resp_glob_match(hf_slice(pattern, HF_RESP_GLOB_SIZE_MAX), long_text));
    memset(pattern, '*', sizeof(pattern));
    assert_true(hf_resp_glob_match(hf_slice(pattern, HF_RESP_GLOB_SIZE_MAX), long_text));
    assert_false(hf_resp_glob_match(hf_slice(pattern, HF_RESP_GLOB_SIZE_MAX + 1), long_text));
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
        cmocka_unit_test(test_set),         cmocka_unit_test(test_set_refusals),
        cmocka_unit_test(test_getex),       cmocka_unit_test(test_setex),
        cmocka_unit_test(test_expire),      cmocka_unit_test(test_scan),
        cmocka_unit_test(test_hello),       cmocka_unit_test(test_glob),
        cmocka_unit_test(test_glob_agrees), cmocka_unit_test(test_glob_is_bounded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
