/* The tables of the proxy's file but for pools, which are schema_pool.c. */
#include "base/log.h"
#include "config/loader.h"
#include "config/schema_pool.h"
#include "proto/http.h"
#include <errno.h>
#include <stdlib.h>

enum { SECOND = 1000, HOUR = 3600 * SECOND, DAY = 24 * HOUR };

// clang-format off
static const struct hf_word workers_words[] = {{"auto", 0}, {NULL, 0}};
static const struct hf_word level_words[] = {{"error", HF_LOG_ERROR}, {"warning", HF_LOG_WARNING},
                                             {"info", HF_LOG_INFO}, {"debug", HF_LOG_DEBUG},
                                             {NULL, 0}};
static const struct hf_word format_words[] = {{"json", HF_ACCESS_JSON},
                                              {"common", HF_ACCESS_COMMON}, {NULL, 0}};
static const struct hf_word protocol_words[] = {{"http", HF_PROTOCOL_HTTP},
                                                {"tcp", HF_PROTOCOL_TCP}, {NULL, 0}};
static const struct hf_word alpn_words[] = {{"h2", 0}, {"http/1.1", 1}, {NULL, 0}};
static const struct hf_word minimum_words[] = {{"1.2", 0}, {"1.3", 1}, {NULL, 0}};

static const struct hf_key admin_keys[] = {
    {.key = "bind", .type = &hf_type_address, HF_FIELD(struct hf_config, admin_bind),
     .fallback = "127.0.0.1:9900", .example = "127.0.0.1:9900"},
    {.key = "token_file", .type = &hf_type_file, .example = "/etc/holdfast/admin.token"},
};
static const struct hf_schema admin_schema = {"admin", "admin", HF_KEYS(admin_keys)};

static const struct hf_key log_keys[] = {
    {.key = "level", .type = &hf_type_word, HF_FIELD(struct hf_config, log_level),
     .words = level_words, .fallback = "info", .example = "info"},
    {.key = "access", .type = &hf_type_file, .fallback = "off", .example = "stdout"},
    {.key = "format", .type = &hf_type_word, HF_FIELD(struct hf_config, access_format),
     .words = format_words, .fallback = "json", .example = "json"},
};
static const struct hf_schema log_schema = {"log", "log", HF_KEYS(log_keys)};

static const struct hf_key cookie_key_keys[] = {
    {.key = "id", .type = &hf_type_number, HF_FIELD(struct hf_key_draft, id), .low = 1, .high = 255,
     .required = true, .example = "1"},
    {.key = "file", .type = &hf_type_file, HF_FIELD(struct hf_key_draft, file),
     .required = true, .example = "/etc/holdfast/cookie-1.key"},
};
static const struct hf_schema cookie_key_schema = {"cookie_keys[]", "a cookie key",
                                                   HF_KEYS(cookie_key_keys)};

static const struct hf_key limits_keys[] = {
    {.key = "connections", .type = &hf_type_number, HF_FIELD(struct hf_limits, connections),
     .low = 1, .high = 10 * 1000 * 1000, .fallback = "20000", .example = "20000"},
    {.key = "request_head", .type = &hf_type_size, HF_FIELD(struct hf_limits, request_head),
     .low = 1024, .high = HF_HEAD_SIZE_MAX, .fallback = "32KiB", .example = "32KiB"},
    {.key = "headers", .type = &hf_type_number, HF_FIELD(struct hf_limits, headers),
     .low = 1, .high = HF_FIELDS_MAX, .fallback = "128", .example = "128"},
    {.key = "request_body", .type = &hf_type_size, HF_FIELD(struct hf_limits, request_body),
     .low = 0, .high = 1ull << 50, .fallback = "0", .example = "10MiB"},
};
static const struct hf_schema limits_schema = {"limits", "limits", HF_KEYS(limits_keys)};

static const struct hf_key timeouts_keys[] = {
    {.key = "client_head", .type = &hf_type_time, HF_FIELD(struct hf_timeouts, client_head),
     .low = 1, .high = DAY, .fallback = "10s", .example = "10s"},
    {.key = "client_idle", .type = &hf_type_time, HF_FIELD(struct hf_timeouts, client_idle),
     .low = 1, .high = DAY, .fallback = "60s", .example = "60s"},
    {.key = "connect", .type = &hf_type_time, HF_FIELD(struct hf_timeouts, connect),
     .low = 1, .high = HOUR, .fallback = "2s", .example = "2s"},
    {.key = "response_head", .type = &hf_type_time, HF_FIELD(struct hf_timeouts, response_head),
     .low = 1, .high = DAY, .fallback = "60s", .example = "60s"},
    {.key = "response_idle", .type = &hf_type_time, HF_FIELD(struct hf_timeouts, response_idle),
     .low = 1, .high = DAY, .fallback = "60s", .example = "60s"},
    {.key = "tunnel_idle", .type = &hf_type_time, HF_FIELD(struct hf_timeouts, tunnel_idle),
     .low = 1, .high = 20 * DAY, .fallback = "1h", .example = "1h"},
};
static const struct hf_schema timeouts_schema = {"timeouts", "timeouts", HF_KEYS(timeouts_keys)};

static const struct hf_key certificate_keys[] = {
    {.key = "certificate", .type = &hf_type_file, .required = true, .example = "site.pem"},
    {.key = "key", .type = &hf_type_file, .required = true, .example = "site.key"},
};
static const struct hf_schema certificate_schema = {
    "listeners[].tls.certificates[]", "a certificate", HF_KEYS(certificate_keys)};

static const struct hf_key tls_keys[] = {
    {.key = "certificates", .type = &hf_type_mappings, .schema = &certificate_schema, .low = 1,
     .high = 1024, .required = true, .example = "[{certificate: site.pem, key: site.key}]"},
    {.key = "alpn", .type = &hf_type_list, .item = &hf_type_word, .words = alpn_words, .low = 1,
     .high = 2, .fallback = "[h2, http/1.1]", .example = "[h2, http/1.1]"},
    {.key = "minimum", .type = &hf_type_word, .words = minimum_words, .fallback = "1.2",
     .example = "\"1.2\""},
};
static const struct hf_schema tls_schema = {"listeners[].tls", "tls", HF_KEYS(tls_keys)};

static const struct hf_key listener_keys[] = {
    {.key = "name", .type = &hf_type_name, HF_FIELD(struct hf_listener_draft, name),
     .required = true, .example = "web"},
    {.key = "bind", .type = &hf_type_address, HF_FIELD(struct hf_listener_draft, bind),
     .required = true, .example = "\"0.0.0.0:8080\""},
    {.key = "protocol", .type = &hf_type_word, HF_FIELD(struct hf_listener_draft, protocol),
     .words = protocol_words, .fallback = "http", .example = "http"},
    {.key = "tls", .type = &hf_type_mapping, .schema = &tls_schema,
     .example = "{certificates: [{certificate: site.pem, key: site.key}]}"},
    {.key = "proxy_protocol", .type = &hf_type_boolean, .fallback = "false", .example = "true"},
    {.key = "pool", .type = &hf_type_name, HF_FIELD(struct hf_listener_draft, pool),
     .example = "brokers"},
};
static const struct hf_schema listener_schema = {"listeners[]", "a listener",
                                                 HF_KEYS(listener_keys)};

static const struct hf_key route_keys[] = {
    {.key = "host", .type = &hf_type_text, HF_FIELD(struct hf_route_draft, host), .high = 255,
     .example = "shop.example.com"},
    {.key = "path", .type = &hf_type_text, HF_FIELD(struct hf_route_draft, path), .high = 1024,
     .fallback = "/", .example = "/api/"},
    {.key = "pool", .type = &hf_type_name, HF_FIELD(struct hf_route_draft, pool),
     .required = true, .example = "shop"},
};
static const struct hf_schema route_schema = {"routes[]", "a route", HF_KEYS(route_keys)};
// clang-format on

static void *place_cookie_key(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                              unsigned index)
{
    (void)index; /* entries that are no mapping are counted there */
    (void)target;
    loader->keys[loader->key_count] = (struct hf_key_draft){.node = node};
    return &loader->keys[loader->key_count++];
}

static void *place_listener(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                            unsigned index)
{
    (void)index; /* entries that are no mapping are counted there */
    (void)target;
    loader->listeners[loader->listener_count] = (struct hf_listener_draft){.node = node};
    return &loader->listeners[loader->listener_count++];
}

static void *place_route(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                         unsigned index)
{
    (void)index; /* entries that are no mapping are counted there */
    (void)target;
    if (loader->routes == NULL)
        loader->routes = calloc(HF_ROUTES_MAX, sizeof(*loader->routes));
    if (loader->routes == NULL) {
        loader->out_of_memory = true;
        return NULL;
    }
    loader->routes[loader->route_count] = (struct hf_route_draft){.node = node};
    return &loader->routes[loader->route_count++];
}

static int read_network(struct hf_loader *loader, const struct hf_key *key,
                        const struct hf_yaml *node, void *field)
{
    struct hf_network network;
    const char *text = hf_type_scalar(loader, key, node);
    (void)field;
    if (text == NULL)
        return -EINVAL;
    if (hf_network_parse(hf_slice_text(text), &network) == 0)
        return 0;
    hf_loader_tell(loader, node->line,
                   "'%s' has '%.60s': write an address or a network, such as 10.0.0.0/8 or ::1",
                   key->key, text);
    return -EINVAL;
}

static const struct hf_type type_network = {"network", read_network};

static void *place_network(struct hf_loader *loader, void *target, const struct hf_yaml *node,
                           unsigned index)
{
    struct hf_config *config = loader->config;
    (void)target, (void)index;
    if (hf_network_parse(hf_slice_text(node->text), &config->trusted[config->trusted_count]) == 0)
        config->trusted_count++;
    return NULL;
}

/* `admin: {}` alone means the usual address; without the key there is no admin server. */
static int read_admin(struct hf_loader *loader, const struct hf_key *key,
                      const struct hf_yaml *node, void *field)
{
    int rc = hf_type_mapping.read(loader, key, node, field);
    const struct hf_yaml *file = hf_yaml_get(node, "token_file");
    loader->admin_token_file = file && file->kind == HF_YAML_SCALAR ? file->text : NULL;
    struct hf_address *bind = &loader->config->admin_bind;
    if (rc == 0 && bind->size == 0 && hf_yaml_get(node, "bind") == NULL)
        rc = hf_address_parse(HF_SLICE("127.0.0.1:9900"), bind);
    return rc;
}

static int read_log(struct hf_loader *loader, const struct hf_key *key, const struct hf_yaml *node,
                    void *field)
{
    int rc = hf_type_mapping.read(loader, key, node, field);
    const struct hf_yaml *access = hf_yaml_get(node, "access");
    loader->access = access && access->kind == HF_YAML_SCALAR ? access->text : NULL;
    return rc;
}

static const struct hf_type type_admin = {"mapping", read_admin};
static const struct hf_type type_log = {"mapping", read_log};

// clang-format off
static const struct hf_key file_keys[] = {
    {.key = "node", .type = &hf_type_name, HF_FIELD(struct hf_config, node),
     .fallback = "the host name", .example = "lb1"},
    {.key = "workers", .type = &hf_type_number, HF_FIELD(struct hf_config, workers),
     .low = 1, .high = HF_WORKERS_MAX, .words = workers_words, .fallback = "auto",
     .example = "auto"},
    {.key = "admin", .type = &type_admin, .schema = &admin_schema,
     .example = "{bind: 127.0.0.1:9900}"},
    {.key = "state_dir", .type = &hf_type_file, .fallback = "/var/lib/holdfast",
     .example = "/var/lib/holdfast"},
    {.key = "log", .type = &type_log, .schema = &log_schema, .example = "{level: info}"},
    {.key = "cookie_keys", .type = &hf_type_mappings, .schema = &cookie_key_schema, .low = 1,
     .high = HF_TOKEN_KEYS_MAX, .place = place_cookie_key, .fallback = "made in state_dir",
     .example = "[{id: 1, file: /etc/holdfast/cookie-1.key}]"},
    {.key = "limits", .type = &hf_type_mapping, .schema = &limits_schema,
     HF_FIELD(struct hf_config, limits), .example = "{connections: 20000}"},
    {.key = "timeouts", .type = &hf_type_mapping, .schema = &timeouts_schema,
     HF_FIELD(struct hf_config, timeouts), .example = "{connect: 2s}"},
    {.key = "trusted_proxies", .type = &hf_type_list, .item = &type_network, .low = 0,
     .high = HF_TRUSTED_MAX, .place = place_network, .fallback = "[]", .example = "[10.0.0.0/8]"},
    {.key = "listeners", .type = &hf_type_mappings, .schema = &listener_schema, .low = 1,
     .high = HF_LISTENERS_MAX, .place = place_listener, .required = true,
     .example = "[{name: web, bind: \"0.0.0.0:8080\"}]"},
    {.key = "routes", .type = &hf_type_mappings, .schema = &route_schema, .low = 0,
     .high = HF_ROUTES_MAX, .place = place_route, .fallback = "all to the one http pool",
     .example = "[{path: /, pool: shop}]"},
    {.key = "pools", .type = &hf_type_mappings, .schema = &hf_schema_pool, .low = 1,
     .high = HF_POOLS_MAX, .place = hf_schema_place_pool, .required = true,
     .example = "[{name: shop, servers: [{name: app1, address: \"127.0.0.1:3001\"}]}]"},
};
// clang-format on

const struct hf_schema hf_schema_proxy = {"holdfast.yaml", "the file", HF_KEYS(file_keys)};
