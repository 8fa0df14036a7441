#include "model/config.h"

#include "base/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void count_one(struct hf_server *server, void *user)
{
    assert_non_null(server);
    (*(unsigned *)user)++;
}

static unsigned living(void)
{
    unsigned count = 0;
    hf_server_each(count_one, &count);
    return count;
}

static void a_new_snapshot_has_the_defaults(void **state)
{
    (void)state;
    struct hf_config *config = hf_config_new();
    assert_non_null(config);
    assert_int_equal(config->limits.connections, 20000);
    assert_int_equal(config->limits.request_head, 32768);
    assert_int_equal(config->limits.headers, 128);
    assert_int_equal(config->limits.request_body, 0);
    assert_int_equal(config->timeouts.client_head, 10000);
    assert_int_equal(config->timeouts.connect, 2000);
    assert_int_equal(config->timeouts.tunnel_idle, 3600000);
    assert_int_equal(config->log_level, HF_LOG_INFO);
    assert_null(config->access_path);
    assert_int_equal(config->pool_count, 0);
    struct hf_pool pool;
    hf_pool_init(&pool);
    assert_int_equal(pool.health.kind, HF_CHECK_TCP);
    assert_int_equal(pool.health.interval_ms, 1000);
    assert_int_equal(pool.retry.on, HF_RETRY_CONNECT | HF_RETRY_RESET);
    hf_config_unref(&config);
    assert_null(config);
}

/* A pool of n servers "s0".., as config/ would make it. */
static void make_pool(struct hf_pool *pool, const char *name, unsigned n)
{
    hf_pool_init(pool);
    snprintf(pool->name, sizeof(pool->name), "%s", name);
    pool->servers = calloc(n, sizeof(*pool->servers));
    assert_non_null(pool->servers);
    pool->server_count = n;
    for (unsigned i = 0; i < n; i++) {
        char server[HF_NAME_MAX];
        snprintf(server, sizeof(server), "s%u", i);
        pool->servers[i].server = hf_server_acquire(name, server, 1);
        assert_non_null(pool->servers[i].server);
    }
}

static struct hf_config *with_pools(const char *const *names, unsigned n)
{
    struct hf_config *config = hf_config_new();
    config->pools = calloc(n, sizeof(*config->pools));
    assert_non_null(config->pools);
    config->pool_count = n;
    for (unsigned i = 0; i < n; i++) {
        make_pool(&config->pools[i], names[i], 2);
        config->pools[i].index = i;
    }
    return config;
}

static void the_last_reference_gives_up_the_servers(void **state)
{
    (void)state;
    struct hf_config *config = with_pools((const char *const[]){"a", "b"}, 2);
    struct hf_config *reader = hf_config_ref(config);
    assert_int_equal(living(), 4);
    hf_config_unref(&config);
    assert_int_equal(living(), 4);
    assert_string_equal(reader->pools[1].name, "b");
    hf_config_unref(&reader);
    assert_int_equal(living(), 0);
    hf_config_unref(&reader);
}

static void pools_are_found_by_name(void **state)
{
    (void)state;
    struct hf_config *config = with_pools((const char *const[]){"shop", "api"}, 2);
    assert_ptr_equal(hf_config_pool(config, HF_SLICE("api")), &config->pools[1]);
    assert_null(hf_config_pool(config, HF_SLICE("ap")));
    assert_null(hf_config_pool(config, HF_SLICE("")));
    hf_config_unref(&config);
}

static void servers_are_found_with_and_without_the_table(void **state)
{
    (void)state;
    static const unsigned sizes[] = {1, 2, 3, 100, HF_POOL_SERVERS_MAX};
    for (unsigned s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct hf_config *config = hf_config_new();
        config->pools = calloc(1, sizeof(*config->pools));
        config->pool_count = 1;
        struct hf_pool *pool = &config->pools[0];
        make_pool(pool, "p", sizes[s]);
        for (unsigned round = 0; round < 2; round++) {
            for (unsigned i = 0; i < sizes[s]; i++)
                assert_int_equal(hf_pool_find(pool, pool->servers[i].server->id), (int)i);
            assert_int_equal(hf_pool_find(pool, hf_server_id(HF_SLICE("q"), HF_SLICE("s0"))), -1);
            assert_int_equal(hf_pool_find(pool, 0), -1);
            if (round == 0)
                assert_int_equal(hf_pool_index(pool), 0);
        }
        hf_config_unref(&config);
    }
}

static void add_route(struct hf_config *config, const char *host, const char *path, unsigned pool)
{
    struct hf_route *route = &config->routes[config->route_count++];
    route->host = host ? strdup(host) : NULL;
    route->path = strdup(path);
    route->pool = &config->pools[pool];
}

static void the_first_matching_route_wins(void **state)
{
    (void)state;
    struct hf_config *config = with_pools((const char *const[]){"a", "b", "c", "d"}, 4);
    const struct hf_pool *pools = config->pools;
    config->routes = calloc(4, sizeof(*config->routes));
    add_route(config, "shop.example.com", "/admin/", 3);
    add_route(config, "shop.example.com", "/", 0);
    add_route(config, "*.example.com", "/", 1);
    add_route(config, NULL, "/api/", 2);

    struct hf_slice root = HF_SLICE("/");
    assert_ptr_equal(hf_config_route(config, HF_SLICE("shop.example.com"), root), &pools[0]);
    assert_ptr_equal(hf_config_route(config, HF_SLICE("SHOP.Example.COM"), root), &pools[0]);
    assert_ptr_equal(hf_config_route(config, HF_SLICE("shop.example.com."), root), &pools[0]);
    assert_ptr_equal(
        hf_config_route(config, HF_SLICE("shop.example.com"), HF_SLICE("/admin/users")), &pools[3]);
    assert_ptr_equal(hf_config_route(config, HF_SLICE("shop.example.com"), HF_SLICE("/admin")),
                     &pools[3]);
    assert_ptr_equal(hf_config_route(config, HF_SLICE("a.example.com"), root), &pools[1]);
    assert_ptr_equal(hf_config_route(config, HF_SLICE("a.b.example.com"), root), &pools[1]);
    assert_null(hf_config_route(config, HF_SLICE("example.com"), root));
    assert_null(hf_config_route(config, HF_SLICE(".example.com"), root));
    assert_null(hf_config_route(config, HF_SLICE("badexample.com"), root));
    assert_ptr_equal(hf_config_route(config, HF_SLICE("other.org"), HF_SLICE("/api/x")), &pools[2]);
    assert_null(hf_config_route(config, HF_SLICE("other.org"), HF_SLICE("/apix")));
    assert_null(hf_config_route(config, HF_SLICE(""), root));
    hf_config_unref(&config);
}

static void trust_is_by_network(void **state)
{
    (void)state;
    struct hf_config *config = hf_config_new();
    struct hf_address peer;
    assert_int_equal(hf_address_parse(HF_SLICE("10.1.2.3:99"), &peer), 0);
    assert_false(hf_config_trusts(config, &peer));
    assert_int_equal(hf_network_parse(HF_SLICE("192.168.0.0/16"), &config->trusted[0]), 0);
    assert_int_equal(hf_network_parse(HF_SLICE("10.0.0.0/8"), &config->trusted[1]), 0);
    config->trusted_count = 2;
    assert_true(hf_config_trusts(config, &peer));
    assert_int_equal(hf_address_parse(HF_SLICE("11.1.2.3:99"), &peer), 0);
    assert_false(hf_config_trusts(config, &peer));
    hf_config_unref(&config);
}

static void balance_words_are_those_of_the_file(void **state)
{
    (void)state;
    assert_string_equal(hf_balance_word(HF_BALANCE_ROUND_ROBIN), "round_robin");
    assert_string_equal(hf_balance_word(HF_BALANCE_IP_HASH), "ip_hash");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_snapshot_has_the_defaults),
        cmocka_unit_test(the_last_reference_gives_up_the_servers),
        cmocka_unit_test(pools_are_found_by_name),
        cmocka_unit_test(servers_are_found_with_and_without_the_table),
        cmocka_unit_test(the_first_matching_route_wins),
        cmocka_unit_test(trust_is_by_network),
        cmocka_unit_test(balance_words_are_those_of_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
