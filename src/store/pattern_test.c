#include "base/rng.h"
#include "base/test.h"
#include "store/pattern.h"
#include <errno.h>
#include <stdio.h>

enum { ROUNDS = 20000 };

static struct hf_pattern_table *table_of(const struct hf_pattern *patterns, unsigned count)
{
    struct hf_pattern_table *table = NULL;
    unsigned bad;
    assert_int_equal(hf_pattern_table_new(patterns, count, &table, &bad), 0);
    return table;
}

static const struct {
    const char *key, *id;
    bool satellite;
    enum hf_pattern_tomb tomb;
} known[] = {
    {"PHPREDIS_SESSION:e55a", "e55a", false, HF_PATTERN_TOMB_MISS},
    {"PHPREDIS_SESSION:e55a_LOCK", "e55a", true, HF_PATTERN_TOMB_MISS},
    {"memc.sess.key.77", "77", false, HF_PATTERN_TOMB_MISS},
    {"memc.sess.key.lock.77", "77", true, HF_PATTERN_TOMB_MISS},
    {"sess:abc", "abc", false, HF_PATTERN_TOMB_STRICT},
    {"sess_abc", "abc", false, HF_PATTERN_TOMB_MISS},
    {"session:x:y", "x:y", false, HF_PATTERN_TOMB_STRICT},
    {":1:django.contrib.sessions.cachek3", "k3", false, HF_PATTERN_TOMB_STRICT},
    {"ci_session:ci_session:9:lock", "ci_session:9", true, HF_PATTERN_TOMB_MISS},
    {"rack:session:2::ff", "2::ff", false, HF_PATTERN_TOMB_STRICT},
    {"spring:session:sessions:u", "u", false, HF_PATTERN_TOMB_STRICT},
    {"spring:session:sessions:expires:u", "u", true, HF_PATTERN_TOMB_MISS},
    {"bak:validity:D1-n1", "D1-n1", true, HF_PATTERN_TOMB_MISS},
};

static void the_known_stacks_are_built_in(void **state)
{
    struct hf_pattern_table *table = table_of(NULL, 0);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        struct hf_pattern_match match;
        hf_pattern_match(table, hf_slice_text(known[i].key), &match);
        assert_true(match.matched && hf_slice_equal(match.id, hf_slice_text(known[i].id)));
        assert_int_equal(match.satellite, known[i].satellite);
        assert_int_equal(match.tomb, known[i].tomb);
    }
    hf_pattern_table_free(&table);
    assert_null(table);
}

static void a_key_without_a_pattern_is_its_own_id(void **state)
{
    static const char *const keys[] = {"", "sess:", "D41D8CD9-n1.route", "PHPREDIS_SESSION:"};
    struct hf_pattern_table *table = table_of(NULL, 0);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct hf_pattern_match match;
        hf_pattern_match(table, hf_slice_text(keys[i]), &match);
        assert_false(match.matched || match.satellite);
        assert_true(hf_slice_equal(match.id, hf_slice_text(keys[i])));
        assert_int_equal(match.prefix.size + match.suffix.size, 0);
    }
    hf_pattern_table_free(&table);
}

static void the_most_literal_bytes_win(void **state)
{
    const struct hf_pattern patterns[] = {
        {.text = HF_SLICE("a{id}")},    {.text = HF_SLICE("{id}zz")},
        {.text = HF_SLICE("ab{id}")},   {.text = HF_SLICE("a{id}z"), .satellite = true},
        {.text = HF_SLICE("abc{id}z")},
    };
    static const char *const wanted[][2] = {
        {"a1", "1"},    {"ab1", "1"}, {"a1z", "1"},
        {"1zz", "1"},   {"abz", "z"}, /* ab{id} before a{id}z: as many bytes, the longer prefix */
        {"a1zz", "1z"},               /* a{id}z before {id}zz */
        {"abcz", "cz"},               /* abc{id}z would leave nothing for the id */
        {"abc1z", "1"},
    };
    struct hf_pattern_table *table = table_of(patterns, 5);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        struct hf_pattern_match match;
        hf_pattern_match(table, hf_slice_text(wanted[i][0]), &match);
        assert_true(match.matched && hf_slice_equal(match.id, hf_slice_text(wanted[i][1])));
    }
    hf_pattern_table_free(&table);
}

static void one_of_ours_replaces_the_built_in(void **state)
{
    const struct hf_pattern own = {.text = HF_SLICE("sess:{id}"), .tomb = HF_PATTERN_TOMB_MISS};
    struct hf_pattern_table *table = table_of(&own, 1);
    struct hf_pattern_match match;
    hf_pattern_match(table, HF_SLICE("sess:1"), &match);
    assert_int_equal(match.tomb, HF_PATTERN_TOMB_MISS);
    hf_pattern_table_free(&table);
}

static void bad_patterns_are_named(void **state)
{
    static char longer[HF_PATTERN_TEXT_MAX + 2];
    memset(longer, 'x', sizeof(longer) - 1);
    memcpy(longer, "{id}", 4);
    const char *const bad[] = {"", "sess:", "{id}", "{id}{id}", "a{id}b{id}", longer};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct hf_pattern patterns[] = {{.text = HF_SLICE("x{id}")},
                                              {.text = hf_slice_text(bad[i])}};
        struct hf_pattern_table *table = NULL;
        unsigned row = 99;
        assert_non_null(hf_pattern_check(patterns[1].text));
        assert_int_equal(hf_pattern_table_new(patterns, 2, &table, &row), -EINVAL);
        assert_int_equal(row, 1);
    }
    const struct hf_pattern twice[] = {{.text = HF_SLICE("x{id}")}, {.text = HF_SLICE("x{id}")}};
    struct hf_pattern_table *table = NULL;
    unsigned row = 99;
    assert_int_equal(hf_pattern_table_new(twice, 2, &table, &row), -EEXIST);
    assert_int_equal(row, 1);
}

static unsigned seen;

static void see(void *user, struct hf_slice prefix, struct hf_slice suffix, bool satellite)
{
    seen += hf_slice_equal(prefix, HF_SLICE("mine:")) && hf_slice_equal(suffix, HF_SLICE(":end")) &&
            satellite;
    seen += hf_slice_equal(prefix, HF_SLICE("sess:")) && suffix.size == 0 && !satellite;
    (*(unsigned *)user)++;
}

static void every_pattern_is_seen_once(void **state)
{
    const struct hf_pattern mine = {HF_SLICE("mine:{id}:end"), true, HF_PATTERN_TOMB_MISS};
    struct hf_pattern_table *table;
    unsigned bad, builtin, count = 0;
    (void)hf_pattern_builtin(&builtin);
    assert_int_equal(hf_pattern_table_new(&mine, 1, &table, &bad), 0);
    seen = 0;
    hf_pattern_each(table, see, &count);
    assert_int_equal(count, builtin + 1);
    assert_int_equal(seen, 2);
    hf_pattern_table_free(&table);
}

static void a_table_has_room_for_so_many(void **state)
{
    static char texts[HF_PATTERNS_MAX + 1][16];
    static struct hf_pattern patterns[HF_PATTERNS_MAX + 1];
    unsigned builtin, bad;
    hf_pattern_builtin(&builtin);
    for (unsigned i = 0; i <= HF_PATTERNS_MAX; i++) {
        snprintf(texts[i], sizeof(texts[i]), "%u-{id}", i);
        patterns[i].text = hf_slice_text(texts[i]);
    }
    struct hf_pattern_table *table = table_of(patterns, HF_PATTERNS_MAX - builtin);
    hf_pattern_table_free(&table);
    assert_int_equal(hf_pattern_table_new(patterns, HF_PATTERNS_MAX - builtin + 1, &table, &bad),
                     -E2BIG);
    assert_int_equal(hf_pattern_table_new(patterns, HF_PATTERNS_MAX + 1, &table, &bad), -E2BIG);
}

/* ---- against the rule as it is written ---- */

static bool better(struct hf_slice prefix, struct hf_slice suffix,
                   const struct hf_pattern_match *than)
{
    size_t size = prefix.size + suffix.size, than_size = than->prefix.size + than->suffix.size;
    return !than->matched || size > than_size ||
           (size == than_size && prefix.size > than->prefix.size);
}

static struct hf_pattern_match naive(const struct hf_pattern *patterns, unsigned count,
                                     struct hf_slice key)
{
    struct hf_pattern_match best = {.id = key};
    for (unsigned i = 0; i < count; i++) {
        struct hf_slice text = patterns[i].text;
        size_t at = (size_t)((const char *)memmem(text.bytes, text.size, "{id}", 4) - text.bytes);
        struct hf_slice prefix = hf_slice(text.bytes, at);
        struct hf_slice suffix = hf_slice(text.bytes + at + 4, text.size - at - 4);
        if (key.size <= prefix.size + suffix.size || !hf_slice_starts(key, prefix) ||
            memcmp(key.bytes + key.size - suffix.size, suffix.bytes, suffix.size) != 0)
            continue;
        if (better(prefix, suffix, &best))
            best = (struct hf_pattern_match){
                .id = hf_slice(key.bytes + at, key.size - prefix.size - suffix.size),
                .prefix = prefix,
                .suffix = suffix,
                .matched = true,
            };
    }
    return best;
}

static size_t random_text(struct hf_rng *rng, char *out, unsigned size_max)
{
    size_t size = hf_rng_below(rng, size_max + 1);
    for (size_t i = 0; i < size; i++)
        out[i] = (char)('a' + hf_rng_below(rng, 2));
    return size;
}

static void every_match_is_the_best_one(void **state)
{
    struct hf_rng rng;
    hf_rng_seed(&rng, 11);
    for (int round = 0; round < ROUNDS; round++) {
        char texts[6][16], key[12];
        struct hf_pattern patterns[6];
        unsigned count = 0;
        while (count < 6) {
            size_t size = random_text(&rng, texts[count], 3);
            memcpy(texts[count] + size, "{id}", 4);
            size_t all = size + 4 + random_text(&rng, texts[count] + size + 4, 3);
            patterns[count] = (struct hf_pattern){.text = {texts[count], all}};
            bool known_text = all == 4;
            for (unsigned i = 0; i < count; i++)
                known_text |= hf_slice_equal(patterns[i].text, patterns[count].text);
            count += !known_text;
        }
        struct hf_pattern_table *table = table_of(patterns, count);
        struct hf_slice text = hf_slice(key, random_text(&rng, key, 8));
        struct hf_pattern_match got, wanted = naive(patterns, count, text);
        hf_pattern_match(table, text, &got);
        assert_int_equal(got.matched, wanted.matched);
        assert_true(got.id.bytes == wanted.id.bytes && got.id.size == wanted.id.size);
        hf_pattern_table_free(&table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_stacks_are_built_in),
        cmocka_unit_test(a_key_without_a_pattern_is_its_own_id),
        cmocka_unit_test(the_most_literal_bytes_win),
        cmocka_unit_test(one_of_ours_replaces_the_built_in),
        cmocka_unit_test(bad_patterns_are_named),
        cmocka_unit_test(a_table_has_room_for_so_many),
        cmocka_unit_test(every_pattern_is_seen_once),
        cmocka_unit_test(every_match_is_the_best_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
