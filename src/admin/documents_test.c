#include "admin/documents.h"
#include "model/recovery.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct hf_config *config;
static const struct hf_admin_times times = {
    .now_ms = 100000, .wall_ms = 1700000000000, .started_ms = 40000};

static int setup(void **state)
{
    config = hf_config_new();
    config->file = strdup("/etc/holdfast.yaml");
    memcpy(config->node, "lb1", 4);
    config->pool_count = 1;
    config->pools = calloc(1, sizeof(*config->pools));
    struct hf_pool *pool = config->pools;
    hf_pool_init(pool);
    memcpy(pool->name, "shop", 5);
    pool->server_count = 2;
    pool->servers = calloc(2, sizeof(*pool->servers));
    for (unsigned i = 0; i < 2; i++) {
        struct hf_pool_server *member = &pool->servers[i];
        member->server = hf_server_acquire("shop", i ? "app2" : "app1", 2);
        memcpy(member->address_text, "127.0.0.1:3001", 15);
        member->weight = 1 + i;
    }
    return hf_pool_index(pool);
}

static int teardown(void **state)
{
    hf_config_unref(&config);
    return 0;
}

static const char *text_at(json_t *document, const char *key)
{
    const char *text = json_string_value(json_object_get(document, key));
    assert_non_null(text);
    return text;
}

static void test_server_document(void **state)
{
    struct hf_server *server = config->pools[0].servers[1].server;
    server->state_since_ms = 98500;
    hf_count_add(&server->shards[0].counts[HF_SERVER_REQUESTS], 3);
    hf_count_add(&server->shards[1].counts[HF_SERVER_REQUESTS], 4);
    hf_count(&server->shards[1].counts[HF_SERVER_FAIL_RESET]);
    json_t *list = hf_admin_servers_document(config, &times);
    json_t *servers = json_object_get(list, "servers");
    assert_int_equal(json_array_size(servers), 2);
    json_t *second = json_array_get(servers, 1);
    assert_string_equal(text_at(second, "pool"), "shop");
    assert_string_equal(text_at(second, "name"), "app2");
    assert_string_equal(text_at(second, "state"), "ready");
    assert_string_equal(text_at(second, "admin"), "ready");
    assert_string_equal(text_at(second, "health"), "unknown");
    assert_string_equal(text_at(second, "since"), "2023-11-14T22:13:18.500Z");
    assert_true(json_real_value(json_object_get(second, "since_s")) == 1.5);
    assert_int_equal(json_integer_value(json_object_get(second, "weight")), 2);
    assert_int_equal(json_integer_value(json_object_get(second, "requests")), 7);
    json_t *failures = json_object_get(second, "failures");
    assert_int_equal(json_integer_value(json_object_get(failures, "reset")), 1);
    assert_int_equal(json_integer_value(json_object_get(failures, "connect")), 0);
    json_decref(list);
}

static void test_status_counts_states(void **state)
{
    struct hf_server *server = config->pools[0].servers[0].server;
    assert_true(hf_admin_change(server, HF_ADMIN_DRAIN, 100000));
    json_t *status = hf_admin_status_document(config, &times);
    assert_string_equal(text_at(status, "version"), HF_VERSION);
    assert_string_equal(text_at(status, "node"), "lb1");
    assert_string_equal(text_at(status, "config"), "/etc/holdfast.yaml");
    assert_true(json_real_value(json_object_get(status, "uptime_s")) == 60.0);
    json_t *pool = json_array_get(json_object_get(status, "pools"), 0);
    json_t *states = json_object_get(pool, "states");
    assert_int_equal(json_integer_value(json_object_get(states, "ready")), 1);
    assert_int_equal(json_integer_value(json_object_get(states, "drain")), 1);
    assert_int_equal(json_integer_value(json_object_get(states, "down")), 0);
    json_decref(status);
    assert_true(hf_admin_change(server, HF_ADMIN_READY, 100000));
}

static void test_status_lists_the_last_recoveries(void **state)
{
    struct hf_recovery recovery = {.pool = "shop",
                                   .server = "app1",
                                   .successor = "app2",
                                   .at_ms = times.now_ms - 1500,
                                   .detection_ms = 450,
                                   .propagation_ms = 2,
                                   .lookup_us = 1250,
                                   .session = "moved"};
    json_t *status = hf_admin_status_document(config, &times);
    assert_int_equal(json_array_size(json_object_get(status, "recoveries")), 0);
    json_decref(status);
    hf_recovery_keep(&recovery);
    status = hf_admin_status_document(config, &times);
    json_t *row = json_array_get(json_object_get(status, "recoveries"), 0);
    assert_string_equal(text_at(row, "pool"), "shop");
    assert_string_equal(text_at(row, "server"), "app1");
    assert_string_equal(text_at(row, "successor"), "app2");
    assert_string_equal(text_at(row, "session"), "moved");
    assert_string_equal(text_at(row, "at"), "2023-11-14T22:13:18.500Z");
    assert_int_equal(json_integer_value(json_object_get(row, "detection_ms")), 450);
    assert_int_equal(json_integer_value(json_object_get(row, "propagation_ms")), 2);
    assert_true(json_real_value(json_object_get(row, "lookup_ms")) == 1.25);
    json_decref(status);
}

static void test_change_keeps_times(void **state)
{
    struct hf_server *server = config->pools[0].servers[0].server;
    server->up_since_ms = 5;
    assert_true(hf_admin_change(server, HF_ADMIN_MAINTENANCE, 200));
    assert_int_equal(server->state_since_ms, 200);
    assert_false(hf_admin_change(server, HF_ADMIN_MAINTENANCE, 300));
    assert_int_equal(server->state_since_ms, 200);
    assert_int_equal(server->up_since_ms, 5);
    assert_true(hf_admin_change(server, HF_ADMIN_READY, 400));
    assert_int_equal(server->up_since_ms, 400);
    assert_true(hf_admin_change(server, HF_ADMIN_DRAIN, 500));
    assert_true(hf_admin_change(server, HF_ADMIN_READY, 600));
    assert_int_equal(server->up_since_ms, 400); /* a drained server never stopped serving */
}

static void test_find(void **state)
{
    const struct hf_pool *pool = NULL;
    assert_ptr_equal(hf_admin_find(config, HF_SLICE("shop"), HF_SLICE("app2"), &pool),
                     &config->pools[0].servers[1]);
    assert_ptr_equal(pool, config->pools);
    pool = NULL;
    assert_null(hf_admin_find(config, HF_SLICE("shop"), HF_SLICE("app3"), &pool));
    assert_null(hf_admin_find(config, HF_SLICE("shops"), HF_SLICE("app1"), &pool));
    char longest[HF_NAME_MAX + 8];
    memset(longest, 'a', sizeof(longest));
    struct hf_slice name = hf_slice(longest, sizeof(longest));
    assert_null(hf_admin_find(config, HF_SLICE("shop"), name, &pool));
    assert_null(hf_admin_find(config, name, name, &pool));
    assert_null(pool);
}

static void test_parse_change(void **state)
{
    enum hf_admin_state parsed = HF_ADMIN_READY;
    char error[HF_ADMIN_ERROR_MAX] = "";
    assert_int_equal(hf_admin_parse_change(HF_SLICE("{\"state\":\"drain\"}"), &parsed, error), 0);
    assert_int_equal(parsed, HF_ADMIN_DRAIN);
    static const char *const bad[] = {"",
                                      "{",
                                      "drain",
                                      "\"drain\"",
                                      "[]",
                                      "{}",
                                      "{\"state\":1}",
                                      "{\"state\":\"\"}",
                                      "{\"state\":\"Drain\"}",
                                      "{\"state\":\"down\"}",
                                      "{\"state\":\"drain\",\"state\":\"ready\"}",
                                      "{\"state\":\"drain\",\"force\":true}",
                                      "{\"state\":\"drain\"} {}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        error[0] = '\0';
        assert_int_equal(hf_admin_parse_change(hf_slice_text(bad[i]), &parsed, error), -EINVAL);
        assert_non_null(strstr(error, "; write "));
        assert_int_equal(parsed, HF_ADMIN_DRAIN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_server_document, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status_counts_states, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status_lists_the_last_recoveries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_change_keeps_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parse_change, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
