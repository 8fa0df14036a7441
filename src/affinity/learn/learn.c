#include "affinity/learn/learn.h"

#include "base/assert.h"

static struct hf_slice field_value(const struct hf_head *head, const char *name)
{
    const struct hf_field *field = hf_head_find_name(head, hf_slice_text(name));
    return field != NULL ? hf_field_value(head, field) : hf_slice(NULL, 0);
}

struct hf_slice hf_learn_key(const struct hf_affinity *affinity, const struct hf_head *request)
{
    REQUIRE(affinity->kind == HF_AFFINITY_LEARN);
    if (affinity->learn_header)
        return field_value(request, affinity->cookie);
    struct hf_cookie_found found;
    hf_cookie_find(request, hf_slice_text(affinity->cookie), &found);
    return found.value;
}

struct hf_slice hf_learn_from(const struct hf_affinity *affinity, const struct hf_head *response)
{
    REQUIRE(affinity->kind == HF_AFFINITY_LEARN);
    if (affinity->learn_header)
        return field_value(response, affinity->cookie);
    struct hf_cookie_found found;
    hf_cookie_find_set(response, hf_slice_text(affinity->cookie), &found);
    return found.value;
}
