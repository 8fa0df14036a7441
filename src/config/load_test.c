/* What becomes of files without mistakes, of the files they name, and of those that are only ahead
 * of the product. */
#include "config/agent.h"

#include "base/log.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct hf_config *load(const char *text)
{
    struct hf_config_report report;
    struct hf_config *config = NULL;
    int rc = hf_config_load_text(hf_slice_text(text), "/nowhere/x.yaml", false, &config, &report);
    for (unsigned i = 0; i < report.count; i++)
        print_error("%u: %s\n", report.messages[i].line, report.messages[i].text);
    assert_int_equal(rc, 0);
    assert_int_equal(report.count, 0);
    assert_non_null(config);
    return config;
}

static void the_least_that_works_has_every_default(void **state)
{
    (void)state;
    struct hf_config *config =
        load("listeners: [{name: web, bind: \"127.0.0.1:8080\"}]\n"
             "pools: [{name: shop, servers: [{name: app1, address: \"127.0.0.1:3001\"}]}]\n");
    assert_string_equal(config->file, "/nowhere/x.yaml");
    assert_true(config->node[0] != '\0');
    assert_in_range(config->workers, 1, HF_WORKERS_MAX);
    assert_int_equal(config->admin_bind.size, 0);
    assert_null(config->admin_token);
    assert_string_equal(config->state_dir, "/var/lib/holdfast");
    assert_int_equal(config->log_level, HF_LOG_INFO);
    assert_null(config->access_path);
    assert_int_equal(config->access_format, HF_ACCESS_JSON);
    assert_int_equal(config->cookie_key_count, 0);
    assert_int_equal(config->limits.request_head, 32 * 1024);
    assert_int_equal(config->timeouts.response_head, 60 * 1000);
    assert_int_equal(config->listener_count, 1);
    assert_string_equal(config->listeners[0].name, "web");
    assert_int_equal(config->listeners[0].protocol, HF_PROTOCOL_HTTP);
    assert_int_equal(config->listeners[0].line, 1);
    assert_int_equal(config->route_count, 1);
    const struct hf_pool *pool = &config->pools[0];
    assert_ptr_equal(hf_config_route(config, HF_SLICE("any.org"), HF_SLICE("/x")), pool);
    assert_int_equal(pool->balance, HF_BALANCE_ROUND_ROBIN);
    assert_int_equal(pool->affinity_count, 0);
    assert_int_equal(pool->failback, HF_FAILBACK_STAY);
    assert_int_equal(pool->on_loss, HF_ON_LOSS_FRESH);
    assert_int_equal(pool->health.kind, HF_CHECK_TCP);
    assert_int_equal(pool->health.interval_ms, 1000);
    assert_int_equal(pool->health.timeout_ms, 500);
    assert_int_equal(pool->passive.failures, 5);
    assert_int_equal(pool->retry.attempts, 2);
    assert_int_equal(pool->server_count, 1);
    assert_int_equal(pool->servers[0].weight, 1);
    assert_false(pool->servers[0].backup);
    assert_string_equal(pool->servers[0].server->name, "app1");
    assert_string_equal(pool->servers[0].server->pool, "shop");
    assert_string_equal(pool->servers[0].address_text, "127.0.0.1:3001");
    assert_true(pool->servers[0].server->shard_count >= config->workers + 1);
    assert_int_equal(hf_pool_find(pool, pool->servers[0].server->id), 0);
    hf_config_unref(&config);
}

/* The keys in an order nobody would write, since order must not matter. */
static const char everything[] =
    "pools:\n"
    "- servers:\n"
    "  - {address: \"127.0.0.1:3001\", name: app1, weight: 0}\n"
    "  - {address: \"[::1]:3002\", backup: on, name: app2}\n"
    "  - {address: \"127.0.0.1:3003\", weight: 256, backup: no, name: app3}\n"
    "  retry: {on: [5xx, connect], budget: 0%, attempts: 10}\n"
    "  passive: {maximum_ejected: 100%, eject: 1m, window: 1h, failures: 7}\n"
    "  health: {fall: 3, rise: 1, timeout: 20ms, interval: 100ms, expect: 204, host: a.org,\n"
    "           http: /ping?deep=1}\n"
    "  on_loss: {redirect: \"https://example.com/login\"}\n"
    "  failback: stay\n"
    "  affinity:\n"
    "  - {domain: example.com, path: /shop, partitioned: true, http_only: off, secure: always,\n"
    "     same_site: none, max_age: 1d, lifetime: 12h, idle: 90s, mode: insert, cookie: PIN}\n"
    "  - {hash: cookie, cookie: SID}\n"
    "  - {cookie: OLD, hash: mod}\n"
    "  - {source_ip: hash, ipv4_prefix: 24, ipv6_prefix: 48}\n"
    "  - {route: JSESSIONID, separator: \"!\"}\n"
    "  - {cookie: PHPSESSID, mode: prefix}\n"
    "  - {route: Own}\n"
    "  balance: p2c\n"
    "  name: shop\n"
    "- {name: api, balance: ip_hash, health: off, passive: off, on_loss: error,\n"
    "   servers: [{name: app1, address: \"unix:/run/api.sock\"}]}\n"
    "- {name: tiny, balance: random, health: tcp,\n"
    "   servers: [{name: t, address: \"127.0.0.1:9\"}]}\n"
    "routes:\n"
    "- {pool: api, path: /api/, host: API.Example.com}\n"
    "- {pool: tiny, host: \"*.tiny.org\"}\n"
    "- {pool: shop}\n"
    "listeners:\n"
    "- {bind: \"127.0.0.1:8081\", name: two, protocol: http, proxy_protocol: false}\n"
    "- {bind: \"127.0.0.1:8080\", name: one}\n"
    "trusted_proxies: [127.0.0.1, 10.0.0.0/8]\n"
    "timeouts: {tunnel_idle: 2d, response_idle: 3m, response_head: 4s, connect: 250ms,\n"
    "           client_idle: 6h, client_head: 7s}\n"
    "limits: {request_body: 5MB, headers: 256, request_head: 48KiB, connections: 12}\n"
    "log: {format: common, access: logs/access.log, level: debug}\n"
    "state_dir: state\n"
    "admin: {bind: \"127.0.0.1:9911\"}\n"
    "workers: 3\n"
    "node: ${HF_TEST_NODE}-a\n";

static void check_general(const struct hf_config *config)
{
    assert_string_equal(config->node, "lb7-a");
    assert_int_equal(config->workers, 3);
    assert_true(config->admin_bind.size > 0);
    assert_string_equal(config->state_dir, "/nowhere/state");
    assert_string_equal(config->access_path, "/nowhere/logs/access.log");
    assert_int_equal(config->access_format, HF_ACCESS_COMMON);
    assert_int_equal(config->log_level, HF_LOG_DEBUG);
    assert_int_equal(config->limits.connections, 12);
    assert_int_equal(config->limits.request_head, 48 * 1024);
    assert_int_equal(config->limits.headers, 256);
    assert_int_equal(config->limits.request_body, 5 * 1000 * 1000);
    assert_int_equal(config->timeouts.client_head, 7000);
    assert_int_equal(config->timeouts.client_idle, 6 * 3600 * 1000);
    assert_int_equal(config->timeouts.connect, 250);
    assert_int_equal(config->timeouts.response_head, 4000);
    assert_int_equal(config->timeouts.response_idle, 180 * 1000);
    assert_int_equal(config->timeouts.tunnel_idle, 2 * 86400 * 1000);
    struct hf_address peer;
    assert_int_equal(hf_address_parse(HF_SLICE("10.9.9.9:1"), &peer), 0);
    assert_int_equal(config->trusted_count, 2);
    assert_true(hf_config_trusts(config, &peer));
    assert_int_equal(config->listener_count, 2);
    assert_string_equal(config->listeners[1].name, "one");
    assert_int_equal(config->listeners[1].line, 33);
}

static void check_affinities(const struct hf_pool *pool)
{
    assert_int_equal(pool->affinity_count, 7);
    const struct hf_affinity *pin = &pool->affinities[0];
    assert_int_equal(pin->kind, HF_AFFINITY_COOKIE_INSERT);
    assert_string_equal(pin->cookie, "PIN");
    assert_int_equal(pin->idle_s, 90);
    assert_int_equal(pin->lifetime_s, 12 * 3600);
    assert_int_equal(pin->secure, HF_SECURE_ALWAYS);
    assert_int_equal(pin->attributes.max_age_s, 86400);
    assert_int_equal(pin->attributes.same_site, HF_SAME_SITE_NONE);
    assert_true(pin->attributes.partitioned);
    assert_false(pin->attributes.http_only);
    assert_true(hf_slice_equal(pin->attributes.name, HF_SLICE("PIN")));
    assert_true(hf_slice_equal(pin->attributes.path, HF_SLICE("/shop")));
    assert_true(hf_slice_equal(pin->attributes.domain, HF_SLICE("example.com")));
    assert_true(hf_slice_equal(pin->scope, HF_SLICE("shop\0PIN")));
    assert_int_equal(pool->affinities[1].kind, HF_AFFINITY_HASH_COOKIE);
    assert_string_equal(pool->affinities[1].cookie, "SID");
    assert_int_equal(pool->affinities[2].kind, HF_AFFINITY_HASH_COOKIE);
    assert_string_equal(pool->affinities[2].cookie, "OLD");
    assert_int_equal(pool->affinities[3].kind, HF_AFFINITY_SOURCE_IP);
    assert_int_equal(pool->affinities[3].ipv4_prefix, 24);
    assert_int_equal(pool->affinities[3].ipv6_prefix, 48);
    assert_int_equal(pool->affinities[4].kind, HF_AFFINITY_ROUTE);
    assert_int_equal(pool->affinities[4].separator, '!');
    assert_string_equal(pool->affinities[4].param, "jsessionid");
    assert_true(hf_slice_equal(pool->affinities[4].attributes.name, HF_SLICE("JSESSIONID")));
    assert_int_equal(pool->affinities[5].kind, HF_AFFINITY_COOKIE_PREFIX);
    assert_true(hf_slice_equal(pool->affinities[5].attributes.name, HF_SLICE("PHPSESSID")));
    assert_int_equal(pool->affinities[6].separator, '.');
    assert_string_equal(pool->affinities[6].param, "own");
}

static void check_shop(const struct hf_pool *pool)
{
    assert_string_equal(pool->name, "shop");
    assert_int_equal(pool->balance, HF_BALANCE_P2C);
    assert_int_equal(pool->on_loss, HF_ON_LOSS_REDIRECT);
    assert_string_equal(pool->on_loss_location, "https://example.com/login");
    assert_int_equal(pool->health.kind, HF_CHECK_HTTP);
    assert_string_equal(pool->health.path, "/ping?deep=1");
    assert_string_equal(pool->health.host, "a.org");
    assert_int_equal(pool->health.expect_low, 204);
    assert_int_equal(pool->health.expect_high, 204);
    assert_int_equal(pool->health.interval_ms, 100);
    assert_int_equal(pool->health.timeout_ms, 20);
    assert_int_equal(pool->health.rise, 1);
    assert_int_equal(pool->health.fall, 3);
    assert_int_equal(pool->passive.failures, 7);
    assert_int_equal(pool->passive.window_ms, 3600 * 1000);
    assert_int_equal(pool->passive.eject_ms, 60 * 1000);
    assert_int_equal(pool->passive.ejected_percent_max, 100);
    assert_int_equal(pool->retry.attempts, 10);
    assert_int_equal(pool->retry.budget_percent, 0);
    assert_int_equal(pool->retry.on, HF_RETRY_5XX | HF_RETRY_CONNECT);
    assert_int_equal(pool->server_count, 3);
    assert_int_equal(pool->servers[0].weight, 0);
    assert_true(pool->servers[1].backup);
    assert_int_equal(pool->servers[2].weight, 256);
    assert_string_equal(pool->servers[2].server->name, "app3");
}

static void every_key_reaches_its_place(void **state)
{
    (void)state;
    assert_int_equal(setenv("HF_TEST_NODE", "lb7", 1), 0);
    struct hf_config *config = load(everything);
    check_general(config);
    assert_int_equal(config->pool_count, 3);
    check_shop(&config->pools[0]);
    check_affinities(&config->pools[0]);
    const struct hf_pool *api = &config->pools[1], *tiny = &config->pools[2];
    assert_int_equal(api->balance, HF_BALANCE_IP_HASH);
    assert_int_equal(api->health.kind, HF_CHECK_NONE);
    assert_int_equal(api->passive.failures, 0);
    assert_int_equal(api->on_loss, HF_ON_LOSS_ERROR);
    assert_int_equal(api->index, 1);
    assert_int_equal(tiny->health.kind, HF_CHECK_TCP);
    assert_ptr_not_equal(api->servers[0].server, config->pools[0].servers[0].server);
    assert_ptr_equal(hf_config_route(config, HF_SLICE("api.example.com"), HF_SLICE("/api/x")), api);
    assert_ptr_equal(hf_config_route(config, HF_SLICE("x.tiny.org"), HF_SLICE("/")), tiny);
    assert_ptr_equal(hf_config_route(config, HF_SLICE("y.org"), HF_SLICE("/")), &config->pools[0]);
    hf_config_unref(&config);
}

static void a_reload_keeps_the_living_servers(void **state)
{
    (void)state;
    assert_int_equal(setenv("HF_TEST_NODE", "lb7", 1), 0);
    struct hf_config *first = load(everything);
    struct hf_config *second = load(everything);
    struct hf_server *server = first->pools[0].servers[1].server;
    assert_ptr_equal(server, second->pools[0].servers[1].server);
    hf_config_unref(&first);
    assert_string_equal(second->pools[0].servers[1].server->name, "app2");
    hf_config_unref(&second);
}

static void a_short_interval_shortens_the_default_timeout(void **state)
{
    (void)state;
    struct hf_config *config = load("listeners: [{name: web, bind: \"127.0.0.1:8080\"}]\n"
                                    "pools: [{name: shop, health: {interval: 200ms}, servers: "
                                    "[{name: app1, address: \"127.0.0.1:3001\"}]}]\n");
    assert_int_equal(config->pools[0].health.timeout_ms, 200);
    assert_int_equal(config->pools[0].health.kind, HF_CHECK_TCP);
    hf_config_unref(&config);
}

static void a_dollar_before_a_brace_can_be_written(void **state)
{
    (void)state;
    struct hf_config *config = load("listeners: [{name: web, bind: \"127.0.0.1:8080\"}]\n"
                                    "pools: [{name: shop, on_loss: {redirect: '/$${x}$y$'}, "
                                    "servers: [{name: a, address: \"127.0.0.1:3001\"}]}]\n");
    assert_string_equal(config->pools[0].on_loss_location, "/${x}$y$");
    hf_config_unref(&config);
}

/* A folder of the test's own, gone afterwards. */
struct folder {
    char path[64];
};

static int make_folder(void **state)
{
    struct folder *folder = calloc(1, sizeof(*folder));
    if (folder == NULL)
        return -1;
    snprintf(folder->path, sizeof(folder->path), "/tmp/hf-config-test-XXXXXX");
    *state = folder;
    return mkdtemp(folder->path) ? 0 : -1;
}

static void path_in(const struct folder *folder, const char *name, char out[256])
{
    snprintf(out, 256, "%s/%s", folder->path, name);
}

static int remove_folder(void **state)
{
    static const char *const names[] = {
        "state/cookie-1.key", "state", "x.yaml", "a.key", "b.key", "token", "x"};
    struct folder *folder = *state;
    char path[256];
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        path_in(folder, names[i], path);
        (void)remove(path);
    }
    int rc = rmdir(folder->path);
    free(folder);
    return rc;
}

static void write_file(const struct folder *folder, const char *name, const char *text, mode_t mode)
{
    char path[256];
    path_in(folder, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define KEY_B "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100"
static const char sticky[] = "listeners: [{name: web, bind: \"127.0.0.1:8080\"}]\n"
                             "pools: [{name: shop, affinity: [{cookie: PIN}], servers: [{name: a, "
                             "address: \"127.0.0.1:3001\"}]}]\n";

/* Loads x.yaml of the folder; answers the messages as one text. */
static int load_in(const struct folder *folder, const char *text, bool generate,
                   struct hf_config **ret_config, char told[1024])
{
    struct hf_config_report report;
    char path[256];
    write_file(folder, "x.yaml", text, 0644);
    path_in(folder, "x.yaml", path);
    int rc = hf_config_load(path, generate, ret_config, &report);
    told[0] = '\0';
    size_t used = 0;
    for (unsigned i = 0; i < report.count && used < 1024; i++)
        used += (size_t)snprintf(told + used, 1024 - used, "%u: %s\n", report.messages[i].line,
                                 report.messages[i].text);
    hf_config_report_fini(&report);
    return rc;
}

static void the_first_cookie_key_is_made_once_and_kept(void **state)
{
    struct folder *folder = *state;
    struct hf_config *first = NULL, *second = NULL;
    char text[1024], told[1024], path[256];
    snprintf(text, sizeof(text), "%sstate_dir: state\n", sticky);

    assert_int_equal(load_in(folder, text, false, &first, told), 0);
    assert_int_equal(first->cookie_key_count, 0);
    path_in(folder, "state", path);
    assert_int_equal(access(path, F_OK), -1); /* a check makes nothing */
    hf_config_unref(&first);

    assert_int_equal(load_in(folder, text, true, &first, told), 0);
    assert_string_equal(told, "");
    assert_int_equal(first->cookie_key_count, 1);
    assert_int_equal(first->cookie_keys[0].id, 1);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    path_in(folder, "state/cookie-1.key", path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(status.st_size, 65);
    assert_int_equal(status.st_nlink, 1); /* the temporary name is gone */

    assert_int_equal(load_in(folder, text, true, &second, told), 0);
    assert_memory_equal(first->cookie_keys[0].bytes, second->cookie_keys[0].bytes,
                        HF_TOKEN_KEY_SIZE);
    uint8_t zeros[HF_TOKEN_KEY_SIZE] = {0};
    assert_memory_not_equal(first->cookie_keys[0].bytes, zeros, HF_TOKEN_KEY_SIZE);
    hf_config_unref(&first);
    hf_config_unref(&second);
}

static void a_key_that_cannot_be_made_says_what_to_set(void **state)
{
    struct folder *folder = *state;
    struct hf_config *config = NULL;
    char text[1024], told[1024], wanted[1024];
    write_file(folder, "x", "a file where a folder should be", 0600);
    snprintf(text, sizeof(text), "%sstate_dir: x/state\n", sticky);
    assert_int_equal(load_in(folder, text, true, &config, told), -EINVAL);
    snprintf(
        wanted, sizeof(wanted),
        "3: there are no cookie_keys, and one cannot be made in '%s/x/state' (Not a directory)",
        folder->path);
    assert_true(strncmp(told, wanted, strlen(wanted)) == 0);

    snprintf(text, sizeof(text), "%sstate_dir: missing/state\n", sticky);
    assert_int_equal(load_in(folder, text, true, &config, told), -EINVAL);
    snprintf(wanted, sizeof(wanted),
             "3: there are no cookie_keys, and one cannot be made in '%s/missing/state' (No such "
             "file or directory): set state_dir to a folder that can be written, or write "
             "cookie_keys\n",
             folder->path);
    assert_string_equal(told, wanted);
    assert_null(config);
}

static void pools_that_write_no_cookie_need_no_key(void **state)
{
    struct folder *folder = *state;
    struct hf_config *config = NULL;
    char told[1024];
    assert_int_equal(load_in(folder,
                             "listeners: [{name: web, bind: \"127.0.0.1:8080\"}]\n"
                             "state_dir: state\n"
                             "pools: [{name: shop, affinity: [{cookie: A, hash: mod}], servers: "
                             "[{name: a, address: \"127.0.0.1:3001\"}]}]\n",
                             true, &config, told),
                     0);
    assert_int_equal(config->cookie_key_count, 0);
    char path[256];
    path_in(folder, "state", path);
    assert_int_equal(access(path, F_OK), -1);
    hf_config_unref(&config);
}

static void configured_keys_are_read_in_order(void **state)
{
    struct folder *folder = *state;
    struct hf_config *config = NULL;
    char text[1024], told[1024];
    write_file(folder, "a.key", KEY_A "\n", 0600);
    write_file(folder, "b.key", KEY_B, 0640);
    snprintf(text, sizeof(text),
             "%scookie_keys:\n- {id: 7, file: b.key}\n- {id: 255, file: a.key}\n", sticky);
    assert_int_equal(load_in(folder, text, true, &config, told), 0);
    assert_int_equal(config->cookie_key_count, 2);
    assert_int_equal(config->cookie_keys[0].id, 7);
    assert_int_equal(config->cookie_keys[0].bytes[0], 0xff);
    assert_int_equal(config->cookie_keys[1].id, 255);
    assert_int_equal(config->cookie_keys[1].bytes[1], 0x11);
    hf_config_unref(&config);
}

static void bad_secrets_are_told(void **state)
{
    struct folder *folder = *state;
    struct hf_config *config = NULL;
    char text[1024], told[1024], wanted[1024];
    write_file(folder, "a.key", KEY_A "\n", 0604);
    write_file(folder, "b.key", "not a key\n", 0600);
    write_file(folder, "token", "short\n", 0600);
    snprintf(text, sizeof(text),
             "%scookie_keys:\n- {id: 1, file: a.key}\n- {id: 2, file: b.key}\n"
             "admin: {token_file: token}\n",
             sticky);
    assert_int_equal(load_in(folder, text, true, &config, told), -EINVAL);
    snprintf(wanted, sizeof(wanted),
             "4: '%s/a.key' can be read by everyone: chmod 600 it\n"
             "5: '%s/b.key' is no cookie key: write 64 hex digits, as `holdfast keygen` prints\n"
             "6: the token in '%s/token' is shorter than 16 characters: write a longer one\n",
             folder->path, folder->path, folder->path);
    assert_string_equal(told, wanted);
    write_file(folder, "token", "two words of it, too long\n", 0600);
    assert_int_equal(load_in(folder, text, true, &config, told), -EINVAL);
    assert_non_null(strstr(told, "has blanks or bytes that are not ASCII: write one word"));
    assert_null(config);
}

static void the_admin_token_is_one_word_of_its_file(void **state)
{
    struct folder *folder = *state;
    struct hf_config *config = NULL;
    char text[1024], told[1024];
    write_file(folder, "token", "0123456789abcdef\n", 0600);
    snprintf(text, sizeof(text),
             "listeners: [{name: web, bind: \"127.0.0.1:8080\"}]\n"
             "admin: {bind: \"0.0.0.0:9900\", token_file: %s/token}\n"
             "pools: [{name: shop, servers: [{name: a, address: \"127.0.0.1:3001\"}]}]\n",
             folder->path);
    assert_int_equal(load_in(folder, text, true, &config, told), 0);
    assert_string_equal(config->admin_token, "0123456789abcdef");
    hf_config_unref(&config);
}

static void a_file_that_cannot_be_read_is_one_message(void **state)
{
    struct folder *folder = *state;
    struct hf_config *config = NULL;
    struct hf_config_report report;
    char path[256];
    path_in(folder, "x", path);
    assert_int_equal(hf_config_load(path, false, &config, &report), -ENOENT);
    assert_int_equal(report.count, 1);
    assert_int_equal(report.messages[0].line, 0);
    assert_string_equal(report.messages[0].text,
                        "cannot be read (No such file or directory): name a file that can");
    hf_config_report_fini(&report);
    assert_int_equal(hf_config_load(folder->path, false, &config, &report), -EISDIR);
    hf_config_report_fini(&report);

    write_file(folder, "x", "", 0600);
    assert_int_equal(truncate(path, HF_CONFIG_FILE_MAX + 1), 0);
    assert_int_equal(hf_config_load(path, false, &config, &report), -EFBIG);
    assert_string_equal(report.messages[0].text, "the file is larger than 4 MiB: split it");
    hf_config_report_fini(&report);
    struct hf_agent_config *agent = NULL;
    assert_int_equal(hf_config_load_agent("/nowhere/at/all", &agent, &report), -ENOENT);
    hf_config_report_fini(&report);
    assert_null(agent);
    assert_null(config);
}

static void the_examples_load(void **state)
{
    (void)state;
    static const char *const names[] = {"minimal.yaml", "sticky-shop.yaml"};
    for (unsigned i = 0; i < 2; i++) {
        struct hf_config *config = NULL;
        struct hf_config_report report;
        char path[512];
        snprintf(path, sizeof(path), "%s/examples/%s", HF_SOURCE_ROOT, names[i]);
        int rc = hf_config_load(path, false, &config, &report);
        for (unsigned m = 0; m < report.count; m++)
            print_error("%s:%u: %s\n", path, report.messages[m].line, report.messages[m].text);
        assert_int_equal(rc, 0);
        assert_true(config->pool_count > 0 && config->admin_bind.size > 0);
        hf_config_unref(&config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_that_works_has_every_default),
        cmocka_unit_test(every_key_reaches_its_place),
        cmocka_unit_test(a_reload_keeps_the_living_servers),
        cmocka_unit_test(a_short_interval_shortens_the_default_timeout),
        cmocka_unit_test(a_dollar_before_a_brace_can_be_written),
        cmocka_unit_test_setup_teardown(the_first_cookie_key_is_made_once_and_kept, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_key_that_cannot_be_made_says_what_to_set, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(pools_that_write_no_cookie_need_no_key, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(configured_keys_are_read_in_order, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(bad_secrets_are_told, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(the_admin_token_is_one_word_of_its_file, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_file_that_cannot_be_read_is_one_message, make_folder,
                                        remove_folder),
        cmocka_unit_test(the_examples_load),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
