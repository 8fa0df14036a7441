/* The admin API of a proxy: /metrics, /v1/status, /v1/servers, POST /v1/servers/POOL/NAME/state; on
 * its own threads (libmicrohttpd). Of an agent: /metrics and /v1/status. Knows the model and the
 * metrics registry, never the proxy. Threads: start and stop by the control thread; hooks are
 * called on admin threads. Layer: admin.
 */
#pragma once
#include "model/config.h"
#include <jansson.h>

struct hf_admin;

struct hf_admin_times {  /* of the answer, and of the process */
    uint64_t now_ms;     /* monotonic */
    uint64_t wall_ms;    /* since 1970 */
    uint64_t started_ms; /* monotonic: when the admin server began */
};

struct hf_admin_hooks {
    struct hf_config *(*config)(void *user); /* the current snapshot, referenced for the caller */
    /* after the API changed a server's admin state; may be NULL */
    void (*server_changed)(struct hf_server *server, void *user);
    /* what /v1/status says instead of a proxy's, a new reference or NULL without memory; with it
     * there are no servers and no page. NULL: a proxy */
    json_t *(*status)(void *user, const struct hf_admin_times *times);
    void *user;
};

/* Listens on config->admin_bind. 0 or negative errno (-EADDRINUSE...). */
int hf_admin_start(const struct hf_config *config, const struct hf_admin_hooks *hooks,
                   struct hf_admin **ret_admin);
void hf_admin_stop(struct hf_admin **admin);
