#include "affinity/path_param/path_param.h"

#include "base/assert.h"

/* Up to the first byte that is one of `;/?`. */
static size_t size_to_end(struct hf_slice text)
{
    size_t size = 0;
    while (size < text.size && text.bytes[size] != ';' && text.bytes[size] != '/' &&
           text.bytes[size] != '?')
        size++;
    return size;
}

enum hf_key hf_path_param_key(const struct hf_head *head, struct hf_slice name,
                              struct hf_slice *ret_key)
{
    struct hf_slice rest = hf_head_span(head, head->path);
    while (rest.size > 0 && rest.bytes[0] != '?') {
        bool starts = rest.bytes[0] == ';';
        rest = hf_slice(rest.bytes + 1, rest.size - 1);
        size_t size = size_to_end(rest);
        if (starts && size > name.size && rest.bytes[name.size] == '=' &&
            memcmp(rest.bytes, name.bytes, name.size) == 0) {
            *ret_key = hf_slice(rest.bytes + name.size + 1, size - name.size - 1);
            return ret_key->size > 0 ? HF_KEY_FOUND : HF_KEY_NONE;
        }
        rest = hf_slice(rest.bytes + size, rest.size - size);
    }
    return HF_KEY_NONE;
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
