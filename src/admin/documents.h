/* What the admin API says, as JSON. Reads a snapshot and the living servers, changes neither, save
 * hf_admin_change. Threads: any. Layer: admin. */
#pragma once
#include "admin/admin.h"

/* New references, NULL without memory. */
json_t *hf_admin_status_document(const struct hf_config *config,
                                 const struct hf_admin_times *times);
json_t *hf_admin_servers_document(const struct hf_config *config,
                                  const struct hf_admin_times *times);
json_t *hf_admin_server_document(const struct hf_pool *pool, const struct hf_pool_server *server,
                                 const struct hf_admin_times *times);
/* {"error": text} */
json_t *hf_admin_error_document(const char *text);

/* The server of that name, or NULL; borrowed from the snapshot. ret_pool is set when it is found.
 */
const struct hf_pool_server *hf_admin_find(const struct hf_config *config, struct hf_slice pool,
                                           struct hf_slice server, const struct hf_pool **ret_pool);

enum { HF_ADMIN_ERROR_MAX = 256 };
/* Reads {"state": "drain"}. 0, or -EINVAL and a sentence in error. */
int hf_admin_parse_change(struct hf_slice body, enum hf_admin_state *ret_state,
                          char error[HF_ADMIN_ERROR_MAX]);
/* Sets the state; true if it was another one before. */
bool hf_admin_change(struct hf_server *server, enum hf_admin_state state, uint64_t now_ms);
