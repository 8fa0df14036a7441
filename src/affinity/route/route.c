#include "affinity/route/route.h"

#include "base/assert.h"
#include "proto/uri.h"

/* "abc.app1": the name stands behind the last separator, of which names have none. */
static void add(struct hf_strategy_named *named, struct hf_slice value, char separator)
{
    if (value.size > 1 && value.bytes[0] == '"' && value.bytes[value.size - 1] == '"')
        value = hf_slice(value.bytes + 1, value.size - 2);
    const char *at = value.size > 0 ? memrchr(value.bytes, separator, value.size) : NULL;
    size_t size = at != NULL ? (size_t)(at - value.bytes) : value.size;
    size_t behind = size < value.size ? size + 1 : size;
    hf_strategy_add_named(named, hf_slice(value.bytes + behind, value.size - behind),
                          hf_slice(value.bytes, size));
}

static void add_params(struct hf_strategy_named *named, const struct hf_affinity *affinity,
                       struct hf_slice target, struct hf_slice name)
{
    struct hf_slice value;
    size_t at = 0;
    while (hf_uri_next_param(target, name, &at, &value))
        add(named, value, affinity->separator);
}

enum hf_affinity_verdict hf_route_identify(struct hf_affinity_worker *worker,
                                           const struct hf_pool *pool,
                                           const struct hf_affinity *affinity,
                                           const struct hf_affinity_request *request,
                                           struct hf_affinity_choice *choice)
{
    (void)worker;
    REQUIRE(affinity->kind == HF_AFFINITY_ROUTE && affinity->param != NULL);
    struct hf_strategy_named named = {0};
    struct hf_cookie_cursor cursor = {0};
    struct hf_slice value, name = affinity->attributes.name;
    while (hf_cookie_next(request->head, name, &cursor, &value))
        add(&named, value, affinity->separator);
    bool by_url = named.count == 0;
    if (by_url) {
        struct hf_slice target = hf_head_span(request->head, request->head->path);
        struct hf_slice lower = hf_slice_text(affinity->param);
        add_params(&named, affinity, target, lower);
        if (!hf_slice_equal(name, lower))
            add_params(&named, affinity, target, name);
    }
    enum hf_affinity_verdict verdict =
        hf_strategy_follow_named(pool, &named, request->now_ms, choice);
    choice->by_url = by_url && choice->named;
    return verdict;
}
