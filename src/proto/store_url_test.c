#include "base/test.h"
#include "proto/guard.h"
#include "proto/store_url.h"
#include <stdio.h>

static struct hf_guard guard;

static const char *parse(const char *text, struct hf_store_url *ret_url)
{
    struct hf_slice all = hf_slice_text(text);
    return hf_store_url_parse(hf_slice(hf_guard_copy(&guard, all), all.size), ret_url);
}

static void is(struct hf_slice slice, const char *text)
{
    assert_true(hf_slice_equal(slice, hf_slice_text(text)));
}

static void what_is_right(void **state)
{
    (void)state;
    struct hf_store_url url;
    assert_null(parse("redis://127.0.0.1:6379", &url));
    assert_int_equal(url.kind, HF_STORE_URL_REDIS);
    assert_int_equal(url.host_count, 1);
    assert_int_equal(url.database, 0);
    is(url.hosts[0], "127.0.0.1:6379");
    assert_null(parse("redis://me@[::1]:6379/15", &url));
    is(url.user, "me");
    is(url.hosts[0], "[::1]:6379");
    assert_int_equal(url.database, 15);
    assert_null(parse("redis:///run/redis.sock?db=3", &url));
    assert_int_equal(url.host_count, 0);
    is(url.path, "/run/redis.sock");
    assert_int_equal(url.database, 3);
    assert_null(parse("redis+sentinel://10.0.0.1:26379,10.0.0.2:26379/main/2", &url));
    assert_int_equal(url.kind, HF_STORE_URL_SENTINEL);
    assert_int_equal(url.host_count, 2);
    is(url.hosts[1], "10.0.0.2:26379");
    is(url.master, "main");
    assert_int_equal(url.database, 2);
    assert_null(parse("redis+cluster://10.0.0.1:6379,10.0.0.2:6379", &url));
    assert_int_equal(url.kind, HF_STORE_URL_CLUSTER);
    assert_int_equal(url.host_count, 2);
    assert_null(parse("memcached://10.0.0.1:11211", &url));
    assert_int_equal(url.kind, HF_STORE_URL_MEMCACHED);
    assert_null(parse("memcached:///run/m", &url));
    is(url.path, "/run/m");
}

static void what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wrong;
    } rows[] = {
        {"", "begins with none"},
        {"http://a:1", "begins with none"},
        {"redis://", "without a port"},
        {"redis:// a:1", "a blank"},
        {"redis://a", "without a port"},
        {"redis://a:1,b:1", "more than one address"},
        {"redis://a:1/x", "a database that is no number"},
        {"redis://a:1/65536", "a database that is no number"},
        {"redis://me:secret@a:1", "a password in it"},
        {"redis:///", "neither an address nor"},
        {"redis:///p?x=1", "not understood"},
        {"redis+sentinel://a:1", "names no master"},
        {"redis+sentinel://a:1/m/x", "a database that is no number"},
        {"redis+sentinel:///m", "without a port"},
        {"redis+cluster://a:1/1", "not understood"},
        {"redis+cluster://a:1,,b:1", "without a port"},
        {"memcached://me@a:1", "a user"},
        {"memcached://a:1/1", "not understood"},
        {"memcached:///p?db=1", "not understood"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_store_url url;
        const char *wrong = parse(rows[i].text, &url);
        if (wrong == NULL || strstr(wrong, rows[i].wrong) == NULL)
            print_error("%s: %s\n", rows[i].text, wrong ? wrong : "taken");
        assert_true(wrong != NULL && strstr(wrong, rows[i].wrong) != NULL);
    }
}

static void addresses_have_a_limit(void **state)
{
    (void)state;
    char text[512];
    struct hf_store_url url;
    int size = snprintf(text, sizeof(text), "redis+cluster://a:1");
    for (unsigned i = 1; i < HF_STORE_URL_HOSTS_MAX; i++)
        size += snprintf(text + size, sizeof(text) - (size_t)size, ",a:1");
    assert_null(parse(text, &url));
    assert_int_equal(url.host_count, HF_STORE_URL_HOSTS_MAX);
    snprintf(text + size, sizeof(text) - (size_t)size, ",a:1");
    assert_non_null(strstr(parse(text, &url), "too many"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_right),
        cmocka_unit_test(what_is_wrong),
        cmocka_unit_test(addresses_have_a_limit),
    };
    guard = hf_guard_init();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hf_guard_fini(&guard);
    return failed;
}
