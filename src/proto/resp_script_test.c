#include "base/test.h"
#include "proto/guard.h"
#include "proto/resp_script.h"

static struct hf_guard guard;

static enum hf_resp_script recognise(const char *body)
{
    const char *copy = hf_guard_copy(&guard, hf_slice_text(body));
    return hf_resp_script_recognise(hf_slice(copy, strlen(body)));
}

struct row {
    enum hf_resp_script script;
    const char *body;
};

/* As libraries and their users write them. */
static const struct row known[] = {
    {HF_RESP_SCRIPT_COMPARE_DELETE, "if redis.call(\"get\",KEYS[1]) == ARGV[1] then return "
                                    "redis.call(\"del\",KEYS[1]) else return 0 end"},
    {HF_RESP_SCRIPT_COMPARE_DELETE,
     "\n            if redis.call(\"GET\", KEYS[1]) == ARGV[1] then\n"
     "                return redis.call(\"DEL\", KEYS[1])\n"
     "            else\n                return 0\n            end\n"},
    {HF_RESP_SCRIPT_COMPARE_DELETE,
     "if redis.call('get', KEYS[1]) == ARGV[1]\r\nthen\r\n\treturn "
     "redis.call('del', KEYS[1]);\r\nelse\r\n\treturn 0;\r\nend;\r\n"},
    {HF_RESP_SCRIPT_COMPARE_DELETE,
     "-- unlock\nif redis.call('get',KEYS[1])==ARGV[1] then -- mine\n"
     "return redis.call('unlink',KEYS[1]) else return 0 end --"},
    {HF_RESP_SCRIPT_COMPARE_DELETE, "if redis.call(\"get\", KEYS[1]) == ARGV[1] then\n  return "
                                    "redis.call(\"del\", KEYS[1])\nend\nreturn 0\n"},
    {HF_RESP_SCRIPT_COMPARE_DELETE,
     "\n        local token = redis.call('get', KEYS[1])\n        if not token or token ~= ARGV[1] "
     "then\n            return 0\n        end\n        redis.call('del', KEYS[1])\n        return "
     "1\n"},
    {HF_RESP_SCRIPT_COMPARE_PEXPIRE,
     "if redis.call(\"GET\", KEYS[1]) == ARGV[1] then\n return "
     "redis.call(\"PEXPIRE\", KEYS[1], ARGV[2])\nelse\n return 0\nend"},
    {HF_RESP_SCRIPT_COMPARE_EXPIRE, "if redis.call('get', KEYS[1]) == ARGV[1] then return "
                                    "redis.call('expire', KEYS[1], ARGV[2]) else return 0 end"},
    {HF_RESP_SCRIPT_COMPARE_PEXPIRE_OR_SET,
     "\n            if redis.call(\"GET\", KEYS[1]) == ARGV[1] then\n                return "
     "redis.call(\"PEXPIRE\", KEYS[1], ARGV[2])\n            elseif redis.call(\"SET\", KEYS[1], "
     "ARGV[1], \"NX\", \"PX\", ARGV[2]) then\n                return 1\n            else\n"
     "                return 0\n            end\n        "},
    {HF_RESP_SCRIPT_PEXPIRE_EACH, "local result = 0;for j = 1, #KEYS, 1 do local expireSet = "
                                  "redis.call('pexpire', KEYS[j], ARGV[1]); if expireSet == 1 then "
                                  "result = expireSet;end; end; return result; "},
    {HF_RESP_SCRIPT_PEXPIREAT_EACH_IF,
     "\nlocal result = 0;\nfor j = 1, #KEYS, 1 do\n    local expireSet;\n    if ARGV[2] ~= '' "
     "then\n"
     "        expireSet = redis.call('pexpireat', KEYS[j], ARGV[1], ARGV[2]);\n    else\n        "
     "expireSet = redis.call('pexpireat', KEYS[j], ARGV[1]);\n    end;\n    if expireSet == 1 "
     "then\n"
     "        result = expireSet;\n    end;\nend;\nreturn result;\n"},
    {HF_RESP_SCRIPT_HSET_EXPIRE,
     "\n                redis.call('HSET', KEYS[1], 'absexp', ARGV[1], 'sldexp', ARGV[2], 'data', "
     "ARGV[4])\n                if ARGV[3] ~= '-1' then\n                  redis.call('EXPIRE', "
     "KEYS[1], ARGV[3])\n                end\n                return 1"},
};

/* A different meaning must never be taken for a known one. */
static const char *const strange[] = {
    "",
    "return 1",
    "if redis.call('get',KEYS[1]) ~= ARGV[1] then return redis.call('del',KEYS[1]) else return 0 "
    "end",
    "if redis.call('get',KEYS[1]) == ARGV[2] then return redis.call('del',KEYS[1]) else return 0 "
    "end",
    "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[2]) else return 0 "
    "end",
    "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) else return 1 "
    "end",
    "if redis.call('get',keys[1]) == argv[1] then return redis.call('del',keys[1]) else return 0 "
    "end",
    "if redis.pcall('get',KEYS[1])==ARGV[1] then return redis.call('del',KEYS[1])else return 0 end",
    "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) else return 0 "
    "end "
    "redis.call('flushall')",
    "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del ',KEYS[1]) else return 0 "
    "end",
    "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('\\100el',KEYS[1]) else return "
    "0 end",
    "--[[ if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) ]] return "
    "9",
    "if redis.call('get',KEYS[1]) == ARGV[1] thenreturn redis.call('del',KEYS[1]) else return 0 "
    "end",
    "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) elsereturn 0 "
    "end",
    "if redis.call('get',KEYS[1]) = = ARGV[1] then return redis.call('del',KEYS[1]) else return 0 "
    "end",
    "local token=redis.call('get',KEYS[1]) if not token or token ~ = ARGV[1] then return 0 end "
    "redis.call('del',KEYS[1]) return 1",
    "if redis.call;('get',KEYS[1])==ARGV[1]then return redis.call('del',KEYS[1])else return 0 end",
    "if redis.call('get",
    "if redis.call('get',KEYS[1])==ARGV[1]then return redis.call('del',KEYS[1])else return 0 end - "
    "-x",
    "redis.call('HSET', KEYS[1], 'ABSEXP', ARGV[1], 'sldexp', ARGV[2], 'data', ARGV[4]) if ARGV[3] "
    "~= '-1' then redis.call('EXPIRE', KEYS[1], ARGV[3]) end return 1",
};

static void test_known(void **state)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (recognise(known[i].body) != known[i].script)
            fail_msg("row %zu is taken for %d", i, recognise(known[i].body));
}

static void test_strange(void **state)
{
    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++)
        if (recognise(strange[i]) != HF_RESP_SCRIPT_NONE)
            fail_msg("taken for %d: %s", recognise(strange[i]), strange[i]);
}

struct hash_row {
    enum hf_resp_script script;
    const char *hash, *body;
};
static const struct hash_row hash_rows[] = {
#define HF_RESP_SCRIPT_HASH_ROW(id, hash, body) {HF_RESP_SCRIPT_##id, hash, body},
#include "proto/resp_script_hashes.def"
#undef HF_RESP_SCRIPT_HASH_ROW
};

/* Each row's hash is that of its body, and its body normalises to a form of the same script. */
static void test_hashes(void **state)
{
    for (size_t i = 0; i < sizeof(hash_rows) / sizeof(hash_rows[0]); i++) {
        struct hf_slice body = hf_slice_text(hash_rows[i].body);
        char hash[HF_RESP_SCRIPT_HASH_SIZE + 1] = {0};
        hf_resp_script_hash(body, hash);
        assert_string_equal(hash, hash_rows[i].hash);
        assert_int_equal(hf_resp_script_by_hash(hf_slice_text(hash)), hash_rows[i].script);
        hash[0] = (char)(hash[0] >= 'a' ? hash[0] & ~0x20 : hash[0]);
        assert_int_equal(hf_resp_script_by_hash(hf_slice_text(hash)), hash_rows[i].script);
        char spaced[600];
        struct hf_slice more = hf_slice(spaced, body.size + 1);
        memcpy(spaced, body.bytes, body.size);
        spaced[body.size] = ' '; /* no longer one of the exact bodies */
        assert_int_equal(hf_resp_script_recognise(more), hash_rows[i].script);
    }
    assert_int_equal(hf_resp_script_by_hash(HF_SLICE("")), HF_RESP_SCRIPT_NONE);
    assert_int_equal(hf_resp_script_by_hash(HF_SLICE("b70c2384248f88e6b75b9f89241a180f856ad853")),
                     HF_RESP_SCRIPT_NONE);
}

static const char *const forms[] = {
#define HF_RESP_SCRIPT_FORM_ROW(id, form) form,
#include "proto/resp_script_forms.def"
#undef HF_RESP_SCRIPT_FORM_ROW
};

/* A normal form is its own normal form, else it could never be met. */
static void test_forms(void **state)
{
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        char out[HF_RESP_SCRIPT_FORM_MAX + 1] = {0};
        size_t size = hf_resp_script_normalise(hf_slice_text(forms[i]), out);
        assert_int_equal(size, strlen(forms[i]));
        assert_string_equal(out, forms[i]);
    }
}

static void test_bounds(void **state)
{
    static char body[HF_RESP_SCRIPT_SIZE_MAX + 1];
    char out[HF_RESP_SCRIPT_FORM_MAX];
    memset(body, ' ', sizeof(body));
    memcpy(body, "return 1", 8);
    assert_int_equal(hf_resp_script_normalise(hf_slice(body, sizeof(body) - 1), out), 8);
    assert_int_equal(hf_resp_script_normalise(hf_slice(body, sizeof(body)), out), 0);
    memset(body, 'x', sizeof(body));
    assert_int_equal(hf_resp_script_normalise(hf_slice(body, HF_RESP_SCRIPT_FORM_MAX), out),
                     HF_RESP_SCRIPT_FORM_MAX);
    assert_int_equal(hf_resp_script_normalise(hf_slice(body, HF_RESP_SCRIPT_FORM_MAX + 1), out), 0);
}

static void test_fits(void **state)
{
    assert_true(hf_resp_script_fits(HF_RESP_SCRIPT_COMPARE_DELETE, 1, 1));
    assert_false(hf_resp_script_fits(HF_RESP_SCRIPT_COMPARE_DELETE, 0, 2));
    assert_false(hf_resp_script_fits(HF_RESP_SCRIPT_COMPARE_DELETE, 1, 2));
    assert_true(hf_resp_script_fits(HF_RESP_SCRIPT_PEXPIRE_EACH_IF, 3, 2));
    assert_false(hf_resp_script_fits(HF_RESP_SCRIPT_PEXPIRE_EACH_IF, 0, 2));
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
        cmocka_unit_test(test_known), cmocka_unit_test(test_strange), cmocka_unit_test(test_hashes),
        cmocka_unit_test(test_forms), cmocka_unit_test(test_bounds),  cmocka_unit_test(test_fits),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
