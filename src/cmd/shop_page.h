/* What the demo shop shows: a page for people, JSON for programs. Pure. Threads: any. Layer: cmd.
 */
#pragma once
#include "cmd/shop_store.h"
#include <jansson.h>
#include <stdbool.h>

struct hf_shop_view {
    const char *server;                    /* the instance's name */
    const struct hf_shop_session *session; /* borrowed */
    bool fresh;                            /* the session began with this request */
    bool lost;                             /* the request named a session that is not here */
    bool kept;                             /* in a store beside the shop, not in its memory */
};

/* Both malloc'd; the caller frees. NULL without memory. */
char *hf_shop_page_html(const struct hf_shop_view *view, size_t *ret_size);
/* JSON holds only UTF-8; a form may hold anything. The caller has the reference. */
json_t *hf_shop_text_json(const char *text);
/* {"server", "user" or null, "items", "fresh", "lost"} */
char *hf_shop_page_json(const struct hf_shop_view *view, size_t *ret_size);
