#include "affinity/query/query.h"

#include "base/assert.h"

/* The bytes behind the first `?`, or none. */
static struct hf_slice query_of(struct hf_slice target)
{
    const char *mark = target.size > 0 ? memchr(target.bytes, '?', target.size) : NULL;
    if (mark == NULL)
        return hf_slice(NULL, 0);
    return hf_slice(mark + 1, (size_t)(target.bytes + target.size - mark) - 1);
}

enum hf_key hf_query_key(const struct hf_head *head, struct hf_slice name, struct hf_slice *ret_key)
{
    struct hf_slice rest = query_of(hf_head_span(head, head->path));
    while (rest.size > 0) {
        const char *end = memchr(rest.bytes, '&', rest.size);
        size_t size = end != NULL ? (size_t)(end - rest.bytes) : rest.size;
        bool named = size > name.size && rest.bytes[name.size] == '=' &&
                     memcmp(rest.bytes, name.bytes, name.size) == 0;
        if (named) {
            *ret_key = hf_slice(rest.bytes + name.size + 1, size - name.size - 1);
            return ret_key->size > 0 ? HF_KEY_FOUND : HF_KEY_NONE;
        }
        size_t used = end != NULL ? size + 1 : size;
        rest = hf_slice(rest.bytes + used, rest.size - used);
    }
    return HF_KEY_NONE;
}

enum hf_affinity_verdict hf_query_identify(struct hf_affinity_worker *worker,
                                           const struct hf_pool *pool,
                                           const struct hf_affinity *affinity,
                                           const struct hf_affinity_request *request,
                                           struct hf_affinity_choice *choice)
{
    REQUIRE(affinity->kind == HF_AFFINITY_QUERY && affinity->name != NULL);
    struct hf_slice key = {0};
    enum hf_key found = hf_query_key(request->head, hf_slice_text(affinity->name), &key);
    return hf_strategy_follow_key(pool, affinity, found, key, request->now_ms, choice);
}
