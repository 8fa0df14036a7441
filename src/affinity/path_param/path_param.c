#include "affinity/path_param/path_param.h"

#include "base/assert.h"
#include "proto/uri.h"

enum hf_key hf_path_param_key(const struct hf_head *head, struct hf_slice name,
                              struct hf_slice *ret_key)
{
    size_t at = 0;
    bool found = hf_uri_next_param(hf_head_span(head, head->path), name, &at, ret_key);
    return found && ret_key->size > 0 ? HF_KEY_FOUND : HF_KEY_NONE;
}

enum hf_affinity_verdict hf_path_param_identify(struct hf_affinity_worker *worker,
                                                const struct hf_pool *pool,
                                                const struct hf_affinity *affinity,
                                                const struct hf_affinity_request *request,
                                                struct hf_affinity_choice *choice)
{
    REQUIRE(affinity->kind == HF_AFFINITY_PATH_PARAM && affinity->name != NULL);
    struct hf_slice key = {0};
    enum hf_key found = hf_path_param_key(request->head, hf_slice_text(affinity->name), &key);
    return hf_strategy_follow_key(pool, affinity, found, key, request->now_ms, choice);
}
