/* The HTTP server of the admin API: turns libmicrohttpd's calls into an endpoint, a verdict of the
 * guard, and a document. One thread answers everything, so its counters have a single writer. */
#include "admin/admin.h"
#include "admin/documents.h"
#include "admin/page.h"
#include "admin/route.h"
#include "admin/server_metrics.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/list.h"
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    HF_ADMIN_MAGIC = 0x41444d31,
    CONNECTIONS_MAX = 64,
    CONNECTION_MEMORY = 32 * 1024, /* bytes for a request's head */
    IDLE_S = 15,
    BACKLOG = 64,
};

#define ADMIN_COUNTERS(ROW)                                                                        \
    ROW(OK, "holdfast_admin_requests_total", "result=\"ok\"", "Admin API requests by result.")     \
    ROW(REFUSED, "holdfast_admin_requests_total", "result=\"refused\"",                            \
        "Admin API requests by result.")                                                           \
    ROW(CHANGES, "holdfast_admin_state_changes_total", "", "Server states changed by the API.")

enum admin_counter {
#define ADMIN_COUNTER_ENUM(id, name, labels, help) COUNT_##id,
    ADMIN_COUNTERS(ADMIN_COUNTER_ENUM)
#undef ADMIN_COUNTER_ENUM
        ADMIN_COUNTER_COUNT
};

static const struct hf_metric admin_metrics[] = {
#define ADMIN_COUNTER_ROW(id, name, labels, help) {name, labels, help, HF_METRIC_COUNTER},
    ADMIN_COUNTERS(ADMIN_COUNTER_ROW)
#undef ADMIN_COUNTER_ROW
};

struct hf_admin {
    uint32_t magic;
    struct MHD_Daemon *daemon; /* owned */
    struct hf_admin_hooks hooks;
    uint64_t started_ms; /* monotonic */
    struct hf_metrics_collector collector;
    struct hf_metrics_source source;
    _Atomic uint64_t counts[ADMIN_COUNTER_COUNT];
};

struct exchange {                /* a request; malloc'd, freed when it is completed */
    struct hf_admin_route route; /* borrowed from the path, set anew at each call with it */
    struct hf_bytes body;
};

struct answer {
    unsigned status;
    const char *type;
    struct hf_slice text;
    enum MHD_ResponseMemoryMode mode; /* MUST_FREE: text is malloc'd */
};

static const char media_json[] = "application/json";

/* ---- answers ---- */

static struct answer answer_json(unsigned status, json_t *document)
{
    /* 12 digits: times in seconds keep their milliseconds, and 0.1 stays 0.1 */
    char *text = document ? json_dumps(document, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;
    json_decref(document);
    if (!text)
        return (struct answer){.status = MHD_HTTP_INTERNAL_SERVER_ERROR,
                               .type = media_json,
                               .text = HF_SLICE("{\"error\":\"out of memory; try again\"}"),
                               .mode = MHD_RESPMEM_PERSISTENT};
    return (struct answer){status, media_json, hf_slice_text(text), MHD_RESPMEM_MUST_FREE};
}

static struct answer answer_error(unsigned status, const char *error)
{
    return answer_json(status, hf_admin_error_document(error));
}

static struct answer answer_metrics(void)
{
    size_t size = 0;
    char *text = hf_metrics_text(&size);
    if (!text)
        return answer_error(MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory; try again");
    return (struct answer){MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
                           hf_slice(text, size), MHD_RESPMEM_MUST_FREE};
}

static struct answer answer_page(void)
{
    return (struct answer){MHD_HTTP_OK, "text/html; charset=utf-8",
                           hf_slice((const char *)hf_admin_page, hf_admin_page_size),
                           MHD_RESPMEM_PERSISTENT};
}

static struct hf_admin_times times_of(const struct hf_admin *admin)
{
    return (struct hf_admin_times){.now_ms = hf_clock_monotonic_ms(),
                                   .wall_ms = hf_clock_wall_ms(),
                                   .started_ms = admin->started_ms};
}

static struct answer change_state(struct hf_admin *admin, const struct exchange *exchange,
                                  const struct hf_pool *pool, const struct hf_pool_server *member)
{
    enum hf_admin_state state;
    char error[HF_ADMIN_ERROR_MAX];
    if (hf_admin_parse_change(hf_bytes_slice(&exchange->body), &state, error) != 0)
        return answer_error(MHD_HTTP_BAD_REQUEST, error);
    struct hf_admin_times times = times_of(admin);
    if (hf_admin_change(member->server, state, times.now_ms)) {
        hf_count(&admin->counts[COUNT_CHANGES]);
        if (admin->hooks.server_changed)
            admin->hooks.server_changed(member->server, admin->hooks.user);
    }
    return answer_json(MHD_HTTP_OK, hf_admin_server_document(pool, member, &times));
}

static struct answer answer_server(struct hf_admin *admin, const struct exchange *exchange,
                                   const struct hf_config *config)
{
    const struct hf_pool *pool = NULL;
    const struct hf_admin_route *route = &exchange->route;
    const struct hf_pool_server *member = hf_admin_find(config, route->pool, route->server, &pool);
    if (!member)
        return answer_error(MHD_HTTP_NOT_FOUND, "there is no such server; see /v1/servers");
    if (route->endpoint == HF_ADMIN_SERVER_STATE)
        return change_state(admin, exchange, pool, member);
    struct hf_admin_times times = times_of(admin);
    return answer_json(MHD_HTTP_OK, hf_admin_server_document(pool, member, &times));
}

static struct answer answer_request(struct hf_admin *admin, const struct exchange *exchange,
                                    const struct hf_config *config)
{
    struct hf_admin_times times = times_of(admin);
    switch (exchange->route.endpoint) {
    case HF_ADMIN_PAGE:
        return answer_page();
    case HF_ADMIN_METRICS:
        return answer_metrics();
    case HF_ADMIN_STATUS:
        if (admin->hooks.status)
            return answer_json(MHD_HTTP_OK, admin->hooks.status(admin->hooks.user, &times));
        return answer_json(MHD_HTTP_OK, hf_admin_status_document(config, &times));
    case HF_ADMIN_SERVERS:
        return answer_json(MHD_HTTP_OK, hf_admin_servers_document(config, &times));
    case HF_ADMIN_SERVER:
    case HF_ADMIN_SERVER_STATE:
        return answer_server(admin, exchange, config);
    case HF_ADMIN_NOWHERE:
        break;
    }
    REQUIRE(false); /* the guard refused it */
    return (struct answer){0};
}

/* ---- libmicrohttpd's side ---- */

static void add_fields(struct MHD_Response *response, const struct answer *answer,
                       enum hf_admin_endpoint endpoint)
{
    MHD_add_response_header(response, "Content-Type", answer->type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (endpoint == HF_ADMIN_PAGE) /* all it loads is itself; nothing may frame it */
        MHD_add_response_header(response, "Content-Security-Policy",
                                "default-src 'none'; style-src 'unsafe-inline'; script-src "
                                "'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action "
                                "'none'; frame-ancestors 'none'");
    if (answer->status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, "Allow", hf_admin_methods(endpoint));
    if (answer->status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer realm=\"holdfast\"");
}

static enum MHD_Result queue(struct hf_admin *admin, struct MHD_Connection *connection,
                             const struct answer *answer, enum hf_admin_endpoint endpoint)
{
    hf_count(&admin->counts[answer->status < 400 ? COUNT_OK : COUNT_REFUSED]);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        answer->text.size, (void *)answer->text.bytes, answer->mode);
    if (!response) {
        if (answer->mode == MHD_RESPMEM_MUST_FREE)
            free((void *)answer->text.bytes);
        return MHD_NO;
    }
    add_fields(response, answer, endpoint);
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static struct hf_slice field(struct MHD_Connection *connection, const char *name)
{
    return hf_slice_text(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name));
}

static struct hf_admin_request request_of(struct MHD_Connection *connection, const char *method)
{
    return (struct hf_admin_request){
        .method = hf_slice_text(method),
        .host = field(connection, "Host"),
        .origin = field(connection, "Origin"),
        .content_type = field(connection, "Content-Type"),
        .content_length = field(connection, "Content-Length"),
        .authorization = field(connection, "Authorization"),
        .chunked = field(connection, "Transfer-Encoding").bytes != NULL,
    };
}

/* The head has come: refuse now, before any body, or make room for what the rest needs. */
static enum MHD_Result begin(struct hf_admin *admin, struct MHD_Connection *connection,
                             const char *method, const struct exchange *exchange)
{
    struct hf_admin_request request = request_of(connection, method);
    struct hf_config *config = admin->hooks.config(admin->hooks.user);
    const struct hf_admin_refusal *refusal =
        hf_admin_guard(config, exchange->route.endpoint, &request);
    hf_config_unref(&config);
    if (!refusal)
        return MHD_YES;
    struct answer answer = answer_error(refusal->status, refusal->error);
    return queue(admin, connection, &answer, exchange->route.endpoint);
}

static bool take_body(struct exchange *exchange, const char *bytes, size_t size)
{
    if (size > HF_ADMIN_BODY_MAX - hf_bytes_size(&exchange->body))
        return false; /* more than its Content-Length said, which libmicrohttpd never hands over */
    return hf_bytes_append(NULL, &exchange->body, hf_slice(bytes, size));
}

static struct hf_admin_route route_of(const struct hf_admin *admin, const char *path)
{
    struct hf_admin_route route = hf_admin_route(hf_slice_text(path));
    bool common = route.endpoint == HF_ADMIN_METRICS || route.endpoint == HF_ADMIN_STATUS;
    return admin->hooks.status && !common ? (struct hf_admin_route){.endpoint = HF_ADMIN_NOWHERE}
                                          : route;
}

/* Called once for the head, for each piece of the body, and at the end.
 * rule zero: libmicrohttpd sets the parameters. */
static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *version, const char *body,
                              size_t *body_size, void **request)
{
    struct hf_admin *admin = user;
    struct exchange *exchange = *request;
    REQUIRE(HF_MAGIC_OK(admin, HF_ADMIN_MAGIC));
    bool first = exchange == NULL;
    if (first)
        exchange = *request = calloc(1, sizeof(*exchange));
    if (!exchange)
        return MHD_NO;
    exchange->route = route_of(admin, path);
    if (first)
        return begin(admin, connection, method, exchange);
    if (*body_size > 0) {
        bool taken = take_body(exchange, body, *body_size);
        *body_size = 0;
        return taken ? MHD_YES : MHD_NO;
    }
    struct hf_config *config = admin->hooks.config(admin->hooks.user);
    struct answer answer = answer_request(admin, exchange, config);
    hf_config_unref(&config);
    return queue(admin, connection, &answer, exchange->route.endpoint);
}

static void completed(void *user, struct MHD_Connection *connection, void **request,
                      enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *request;
    if (exchange)
        hf_bytes_clear(NULL, &exchange->body);
    free(exchange);
    *request = NULL;
}

/* ---- metrics ---- */

static void collect(struct hf_metrics_collector *self, struct hf_metrics_writer *writer)
{
    struct hf_admin *admin = hf_container_of(self, struct hf_admin, collector);
    struct hf_config *config = admin->hooks.config(admin->hooks.user);
    uint64_t now_ms = hf_clock_monotonic_ms();
    double up_s = (double)(now_ms - admin->started_ms) / 1000.0;
    char label[HF_NAME_MAX];
    hf_metrics_label(label, sizeof(label), "version", HF_VERSION);
    hf_metrics_head(writer, "holdfast_build_info", "The version that runs; always 1.", "gauge");
    hf_metrics_row(writer, "holdfast_build_info", label, 1);
    hf_metrics_head(writer, "holdfast_start_time_seconds", "When the process began, since 1970.",
                    "gauge");
    hf_metrics_row(writer, "holdfast_start_time_seconds", "",
                   (double)hf_clock_wall_ms() / 1000.0 - up_s);
    hf_metrics_head(writer, "holdfast_config_generation", "Counts the configurations in use.",
                    "gauge");
    hf_metrics_row(writer, "holdfast_config_generation", "", (double)config->generation);
    if (!admin->hooks.status)
        hf_admin_write_servers(writer, config, now_ms);
    hf_config_unref(&config);
}

/* ---- start and stop ---- */

/* Without SO_REUSEPORT, unlike the proxy's listeners: a second process on the port is a mistake. */
static int listen_on(const struct hf_address *address)
{
    int on = 1;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (address->any.sa_family != AF_UNIX &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        goto fail;
    if (bind(fd, &address->any, address->size) != 0 || listen(fd, BACKLOG) != 0)
        goto fail;
    return fd;
fail:
    on = -errno;
    close(fd);
    return on;
}

static struct MHD_Daemon *start_daemon(struct hf_admin *admin, int fd)
{
    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, handle,
                            admin, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED,
                            completed, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
}

/* Nobody can ask any more. */
static void admin_free(struct hf_admin **admin)
{
    struct hf_admin *gone = *admin;
    *admin = NULL;
    hf_metrics_unregister_collector(&gone->collector);
    hf_metrics_unregister(&gone->source);
    gone->magic = 0;
    free(gone);
}

int hf_admin_start(const struct hf_config *config, const struct hf_admin_hooks *hooks,
                   struct hf_admin **ret_admin)
{
    REQUIRE(config->admin_bind.size > 0 && hooks->config != NULL);
    struct hf_admin *admin = calloc(1, sizeof(*admin));
    if (!admin)
        return -ENOMEM;
    admin->magic = HF_ADMIN_MAGIC;
    admin->hooks = *hooks;
    admin->started_ms = hf_clock_monotonic_ms();
    admin->collector.collect = collect;
    admin->source = (struct hf_metrics_source){
        .metrics = admin_metrics, .count = ADMIN_COUNTER_COUNT, .values = admin->counts};
    int fd = listen_on(&config->admin_bind);
    /* Before somebody can ask: the first answer has all there is. */
    hf_metrics_register(&admin->source);
    hf_metrics_register_collector(&admin->collector);
    admin->daemon = fd >= 0 ? start_daemon(admin, fd) : NULL;
    if (!admin->daemon) {
        int result = fd < 0 ? fd : -EIO;
        if (fd >= 0)
            close(fd);
        admin_free(&admin);
        return result;
    }
    *ret_admin = admin;
    return 0;
}

void hf_admin_stop(struct hf_admin **admin)
{
    struct hf_admin *gone = *admin;
    *admin = NULL;
    REQUIRE(HF_MAGIC_OK(gone, HF_ADMIN_MAGIC));
    MHD_stop_daemon(gone->daemon); /* joins its thread and closes the socket */
    admin_free(&gone);
}
