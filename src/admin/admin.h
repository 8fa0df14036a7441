/* The admin API: /metrics, /v1/status, /v1/servers, POST /v1/servers/POOL/NAME/state; on its own
 * threads (libmicrohttpd). Knows the model and the metrics registry, never the proxy.
 * Threads: start and stop by the control thread; hooks are called on admin threads. Layer: admin.
 */
#pragma once
#include "model/config.h"

struct hf_admin;

struct hf_admin_hooks {
    struct hf_config *(*config)(void *user); /* the current snapshot, referenced for the caller */
    /* after the API changed a server's admin state; may be NULL */
    void (*server_changed)(struct hf_server *server, void *user);
    void *user;
};

/* Listens on config->admin_bind. 0 or negative errno (-EADDRINUSE...). */
int hf_admin_start(const struct hf_config *config, const struct hf_admin_hooks *hooks,
                   struct hf_admin **ret_admin);
void hf_admin_stop(struct hf_admin **admin);
