/* What the codec takes scripts and patterns to mean, beside what a real redis-server does with
 * them. */
#include "base/rng.h"
#include "proto/resp_script.h"
#include "redis_client.h"

static struct redis_client client;

struct body {
    enum hf_resp_script script;
    const char *text;
};
static const struct body bodies[] = {
#define HF_RESP_SCRIPT_FORM_ROW(id, form) {HF_RESP_SCRIPT_##id, form},
#include "proto/resp_script_forms.def"
#undef HF_RESP_SCRIPT_FORM_ROW
#define HF_RESP_SCRIPT_HASH_ROW(id, hash, body) {HF_RESP_SCRIPT_##id, body},
#include "proto/resp_script_hashes.def"
#undef HF_RESP_SCRIPT_HASH_ROW
};

/* EVAL of the body; `rest` is the number of keys, the keys and the arguments. */
static int64_t evaluate(const struct body *body, const char *rest)
{
    char line[256] = "eval body ";
    REQUIRE(strlen(rest) < sizeof(line) - strlen(line));
    memcpy(line + strlen(line), rest, strlen(rest) + 1);
    hf_resp_testing_words(&client.request, hf_slice_text(line));
    client.request.arguments[1] = hf_slice_text(body->text);
    struct hf_resp_cursor cursor = {.reply = redis_client_ask_request(&client)};
    struct hf_resp_item item;
    assert_true(hf_resp_next_item(&cursor, &item));
    if (item.type != HF_RESP_INTEGER)
        fail_msg("%.*s: %s", (int)item.text.size, item.text.bytes, body->text);
    return item.number;
}

/* "$5\r\ntoken\r\n" and the like, and whether the key expires within a minute. */
static void assert_state(const char *get, const char *value, bool expires)
{
    redis_client_assert(&client, get, hf_slice_text(value));
    struct hf_resp_cursor cursor = {.reply = redis_client_ask(&client, "pttl k")};
    struct hf_resp_item item;
    assert_true(hf_resp_next_item(&cursor, &item));
    assert_int_equal(item.number > 30000 && item.number <= 60000, expires);
}

#define TOKEN "$5\r\ntoken\r\n"
#define OTHER "$5\r\nother\r\n"
#define NOTHING "$-1\r\n"

/* As resp_scripts.def says: what is answered when the key holds the token, another value, nothing;
 * and what the key is in the first and the last case afterwards. */
static const struct {
    enum hf_resp_script script;
    const char *rest;
    int64_t same, differs, missing;
    const char *after_same, *after_missing;
    bool expires; /* wherever the answer was 1 and the key is there */
} meanings[] = {
    {HF_RESP_SCRIPT_COMPARE_DELETE, "1 k token", 1, 0, 0, NOTHING, NOTHING, false},
    {HF_RESP_SCRIPT_COMPARE_PEXPIRE, "1 k token 60000", 1, 0, 0, TOKEN, NOTHING, true},
    {HF_RESP_SCRIPT_COMPARE_EXPIRE, "1 k token 60", 1, 0, 0, TOKEN, NOTHING, true},
    {HF_RESP_SCRIPT_COMPARE_PEXPIRE_OR_SET, "1 k token 60000", 1, 0, 1, TOKEN, TOKEN, true},
    {HF_RESP_SCRIPT_PEXPIRE_EACH, "2 k j 60000", 1, 1, 0, TOKEN, NOTHING, true},
    {HF_RESP_SCRIPT_PEXPIRE_EACH_IF, "2 j k 60000 NX", 1, 1, 0, TOKEN, NOTHING, true},
    {HF_RESP_SCRIPT_PEXPIREAT_EACH, "1 k 4102444800000", 1, 1, 0, TOKEN, NOTHING, false},
    {HF_RESP_SCRIPT_PEXPIREAT_EACH_IF, "1 k 4102444800000 ", 1, 1, 0, TOKEN, NOTHING, false},
    {HF_RESP_SCRIPT_PERSIST_EACH, "2 k j", 0, 0, 0, TOKEN, NOTHING, false},
};

static bool check_meaning(const struct body *body)
{
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (meanings[i].script != body->script)
            continue;
        redis_client_ask(&client, "set k token");
        assert_int_equal(evaluate(body, meanings[i].rest), meanings[i].same);
        assert_state("get k", meanings[i].after_same, meanings[i].expires);
        redis_client_ask(&client, "set k other");
        assert_int_equal(evaluate(body, meanings[i].rest), meanings[i].differs);
        assert_state("get k", OTHER, meanings[i].expires && meanings[i].differs == 1);
        redis_client_ask(&client, "del k");
        assert_int_equal(evaluate(body, meanings[i].rest), meanings[i].missing);
        assert_state("get k", meanings[i].after_missing,
                     meanings[i].expires && meanings[i].missing == 1);
        return true;
    }
    return false;
}

/* ASP.NET's: three fields and an expiry, or "-1" for none. */
static void check_hash(const struct body *body)
{
    static const char fields[] = "*3\r\n$1\r\n7\r\n$1\r\n8\r\n$5\r\nvalue\r\n";
    redis_client_ask(&client, "del k");
    assert_int_equal(evaluate(body, "1 k 7 8 -1 value"), 1);
    assert_state("hmget k absexp sldexp data", fields, false);
    assert_int_equal(evaluate(body, "1 k 7 8 60 value"), 1);
    assert_state("hmget k absexp sldexp data", fields, true);
    redis_client_ask(&client, "del k");
}

static void test_scripts(void **state)
{
    redis_client_need(&client);
    redis_client_ask(&client, "flushall");
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        bool checked = check_meaning(&bodies[i]);
        assert_int_equal(checked, bodies[i].script != HF_RESP_SCRIPT_HSET_EXPIRE);
        if (!checked)
            check_hash(&bodies[i]);
    }
}

/* What SCRIPT LOAD answers is the hash that we would. */
static void test_script_hashes(void **state)
{
    redis_client_need(&client);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        char hash[HF_RESP_SCRIPT_HASH_SIZE], text[64];
        struct hf_resp_out out = {.writer = hf_writer(text, sizeof(text))};
        hf_resp_script_hash(hf_slice_text(bodies[i].text), hash);
        hf_resp_write_bulk(&out, hf_slice(hash, sizeof(hash)));
        hf_resp_testing_words(&client.request, HF_SLICE("script load body"));
        client.request.arguments[2] = hf_slice_text(bodies[i].text);
        struct hf_slice reply = redis_client_ask_request(&client);
        assert_true(hf_slice_equal(reply, hf_slice(text, out.writer.size)));
    }
}

enum { KEYS = 40, KEY_SIZE_MAX = 5, PATTERNS = 4000, PATTERN_SIZE_MAX = 7 };

static size_t draw(struct hf_rng *rng, const char *letters, unsigned size_max, char *out)
{
    size_t size = 1 + hf_rng_below(rng, size_max);
    for (size_t i = 0; i < size; i++)
        out[i] = letters[hf_rng_below(rng, (uint32_t)strlen(letters))];
    return size;
}

/* Whether KEYS answered with that key. */
static bool listed(struct hf_slice reply, struct hf_slice key)
{
    struct hf_resp_cursor cursor = {.reply = reply};
    struct hf_resp_item item;
    while (hf_resp_next_item(&cursor, &item))
        if (item.type == HF_RESP_BULK && hf_slice_equal(item.text, key))
            return true;
    return false;
}

static void test_patterns(void **state)
{
    struct hf_rng rng;
    char keys[KEYS][KEY_SIZE_MAX], pattern[PATTERN_SIZE_MAX];
    size_t sizes[KEYS], matches = 0;
    redis_client_need(&client);
    redis_client_ask(&client, "flushall");
    hf_rng_seed(&rng, 1);
    for (unsigned i = 0; i < KEYS; i++) {
        sizes[i] = draw(&rng, "abc*]-^\\", KEY_SIZE_MAX, keys[i]);
        hf_resp_testing_words(&client.request, HF_SLICE("set key v"));
        client.request.arguments[1] = hf_slice(keys[i], sizes[i]);
        redis_client_ask_request(&client);
    }
    for (unsigned round = 0; round < PATTERNS; round++) {
        struct hf_slice drawn =
            hf_slice(pattern, draw(&rng, "abc*?[]-^\\*", PATTERN_SIZE_MAX, pattern));
        hf_resp_testing_words(&client.request, HF_SLICE("keys pattern"));
        client.request.arguments[1] = drawn;
        struct hf_slice reply = redis_client_ask_request(&client);
        for (unsigned i = 0; i < KEYS; i++) {
            struct hf_slice key = hf_slice(keys[i], sizes[i]);
            bool fits = hf_resp_glob_match(drawn, key);
            matches += fits;
            if (fits != listed(reply, key))
                fail_msg("`%.*s` and `%.*s`: %d here", (int)drawn.size, pattern, (int)key.size,
                         key.bytes, fits);
        }
    }
    assert_in_range(matches, PATTERNS, KEYS * PATTERNS / 2);
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
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_script_hashes),
        cmocka_unit_test(test_patterns),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
