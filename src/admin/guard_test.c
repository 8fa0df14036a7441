#include "admin/route.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct hf_config *config;

static int setup(void **state)
{
    config = hf_config_new();
    return config ? hf_address_parse(HF_SLICE("127.0.0.1:9900"), &config->admin_bind) : -1;
}

static int teardown(void **state)
{
    config->admin_token = NULL; /* a literal here */
    hf_config_unref(&config);
    return 0;
}

static const struct hf_admin_request get = {.method = HF_SLICE("GET"),
                                            .host = HF_SLICE("127.0.0.1:9900")};
static const struct hf_admin_request post = {.method = HF_SLICE("POST"),
                                             .host = HF_SLICE("127.0.0.1:9900"),
                                             .content_type = HF_SLICE("application/json"),
                                             .content_length = HF_SLICE("17")};

static unsigned guard(enum hf_admin_endpoint endpoint, const struct hf_admin_request *request)
{
    const struct hf_admin_refusal *refusal = hf_admin_guard(config, endpoint, request);
    if (refusal)
        assert_true(strchr(refusal->error, ';') != NULL); /* what is wrong; what to do */
    return refusal ? refusal->status : 0;
}

static enum hf_admin_endpoint endpoint(const char *path)
{
    return hf_admin_route(hf_slice_text(path)).endpoint;
}

static void test_paths(void **state)
{
    assert_int_equal(endpoint("/"), HF_ADMIN_PAGE);
    assert_int_equal(endpoint("/metrics"), HF_ADMIN_METRICS);
    assert_int_equal(endpoint("/v1/status"), HF_ADMIN_STATUS);
    assert_int_equal(endpoint("/v1/servers"), HF_ADMIN_SERVERS);
    assert_int_equal(endpoint("/v1/servers/shop/app1"), HF_ADMIN_SERVER);
    assert_int_equal(endpoint("/v1/servers/shop/app1/state"), HF_ADMIN_SERVER_STATE);
    static const char *const nowhere[] = {"",
                                          "/x",
                                          "/v1",
                                          "/v1/servers/",
                                          "/v1/servers/shop",
                                          "/v1/servers/shop/",
                                          "/v1/servers//app1",
                                          "/v1/servers/shop//state",
                                          "/v1/servers/shop/app1/",
                                          "/v1/servers/shop/app1/states",
                                          "/v1/servers/shop/app1/state/",
                                          "/V1/servers",
                                          "/metrics/"};
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++)
        assert_int_equal(endpoint(nowhere[i]), HF_ADMIN_NOWHERE);
    struct hf_admin_route route = hf_admin_route(HF_SLICE("/v1/servers/shop/app1/state"));
    assert_true(hf_slice_equal(route.pool, HF_SLICE("shop")));
    assert_true(hf_slice_equal(route.server, HF_SLICE("app1")));
}

static void test_methods(void **state)
{
    struct hf_admin_request head = get, delete = get;
    head.method = HF_SLICE("HEAD");
    delete.method = HF_SLICE("DELETE");
    assert_int_equal(guard(HF_ADMIN_NOWHERE, &get), 404);
    assert_int_equal(guard(HF_ADMIN_STATUS, &get), 0);
    assert_int_equal(guard(HF_ADMIN_STATUS, &head), 0);
    assert_int_equal(guard(HF_ADMIN_STATUS, &post), 405);
    assert_int_equal(guard(HF_ADMIN_SERVERS, &delete), 405);
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &get), 405);
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &post), 0);
    assert_string_equal(hf_admin_methods(HF_ADMIN_SERVER_STATE), "POST");
    assert_string_equal(hf_admin_methods(HF_ADMIN_METRICS), "GET, HEAD");
}

static void test_hosts_without_a_token(void **state)
{
    static const char *const good[] = {"127.0.0.1:9900", "127.0.0.1",  "127.9.9.9:1", "localhost",
                                       "LocalHost:8080", "[::1]:9900", "[::1]"};
    static const char *const foreign[] = {"evil.example",
                                          "evil.example:9900",
                                          "10.0.0.1:9900",
                                          "localhost.evil.example",
                                          "",
                                          "[::1",
                                          "0x7f000001",
                                          "127.0.0.1.evil.example:9900"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct hf_admin_request request = get;
        request.host = hf_slice_text(good[i]);
        assert_int_equal(guard(HF_ADMIN_PAGE, &request), 0);
    }
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        struct hf_admin_request request = get;
        request.host = hf_slice_text(foreign[i]);
        assert_int_equal(guard(HF_ADMIN_METRICS, &request), 403);
    }
    struct hf_admin_request without = get;
    without.host = (struct hf_slice){0};
    assert_int_equal(guard(HF_ADMIN_STATUS, &without), 400);
    assert_int_equal(hf_address_parse(HF_SLICE("unix:/run/admin"), &config->admin_bind), 0);
    assert_int_equal(guard(HF_ADMIN_STATUS, &without), 0);
}

static void test_token(void **state)
{
    config->admin_token = "s3cret";
    assert_int_equal(guard(HF_ADMIN_PAGE, &get), 0);
    assert_int_equal(guard(HF_ADMIN_METRICS, &get), 401);
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &post), 401);
    static const char *const wrong[] = {
        "Bearer ", "Bearer", "Bearer s3cre", "Bearer s3cret2", "Basic s3cret",
        "s3cret",  "",       "Bearer S3CRET"};
    struct hf_admin_request request = get;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        request.authorization = hf_slice_text(wrong[i]);
        assert_int_equal(guard(HF_ADMIN_STATUS, &request), 401);
    }
    request.authorization = HF_SLICE("Bearer s3cret");
    assert_int_equal(guard(HF_ADMIN_STATUS, &request), 0);
    request.authorization = HF_SLICE("bearer  s3cret ");
    assert_int_equal(guard(HF_ADMIN_STATUS, &request), 0);
    request.host = HF_SLICE("lb1.example:9900"); /* the token says enough */
    assert_int_equal(guard(HF_ADMIN_STATUS, &request), 0);
}

static void test_changes_from_elsewhere(void **state)
{
    struct hf_admin_request request = post;
    request.origin = HF_SLICE("http://127.0.0.1:9900");
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &request), 0);
    static const char *const foreign[] = {"http://evil.example",
                                          "null",
                                          "",
                                          "http://127.0.0.1:9901",
                                          "http://127.0.0.1:9900.evil.example",
                                          "file://127.0.0.1:9900",
                                          "http://"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        request.origin = hf_slice_text(foreign[i]);
        assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &request), 403);
    }
    request = post;
    request.content_type = HF_SLICE("application/json; charset=utf-8");
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &request), 0);
    request.content_type = HF_SLICE("text/plain");
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &request), 415);
    request.content_type = (struct hf_slice){0};
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &request), 415);
}

static void test_sizes(void **state)
{
    struct hf_admin_request request = post;
    request.content_length = HF_SLICE("65536");
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &request), 0);
    request.content_length = HF_SLICE("65537");
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &request), 413);
    request.content_length = HF_SLICE("99999999999999999999999");
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &request), 413);
    request.content_length = (struct hf_slice){0};
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &request), 411);
    request.chunked = true;
    assert_int_equal(guard(HF_ADMIN_SERVER_STATE, &request), 411);
    struct hf_admin_request large = get;
    large.content_length = HF_SLICE("1000000");
    assert_int_equal(guard(HF_ADMIN_STATUS, &large), 413);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test_setup_teardown(test_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hosts_without_a_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changes_from_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
