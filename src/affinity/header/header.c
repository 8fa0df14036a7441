#include "affinity/header/header.h"

#include "base/assert.h"

enum hf_key hf_header_key(const struct hf_head *head, struct hf_slice name,
                          struct hf_slice *ret_key)
{
    const struct hf_field *found = NULL;
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct hf_field *field = &head->fields[i];
        if (field->drop || !hf_slice_equal_nocase(hf_field_name(head, field), name))
            continue;
        if (found != NULL)
            return HF_KEY_DUPLICATE;
        found = field;
    }
    if (found == NULL || found->value_size == 0)
        return HF_KEY_NONE;
    *ret_key = hf_field_value(head, found);
    return HF_KEY_FOUND;
}

enum hf_affinity_verdict hf_header_identify(struct hf_affinity_worker *worker,
                                            const struct hf_pool *pool,
                                            const struct hf_affinity *affinity,
                                            const struct hf_affinity_request *request,
                                            struct hf_affinity_choice *choice)
{
    REQUIRE(affinity->kind == HF_AFFINITY_HEADER && affinity->name != NULL);
    struct hf_slice key = {0};
    enum hf_key found = hf_header_key(request->head, hf_slice_text(affinity->name), &key);
    return hf_strategy_follow_key(pool, affinity, found, key, request->now_ms, choice);
}
