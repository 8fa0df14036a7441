#include "proto/http.h"

_Static_assert(HF_FIELD_COUNT <= 64, "the writer's skip mask has one bit a field id");

bool hf_method_idempotent(enum hf_method method)
{
    switch (method) {
    case HF_METHOD_GET:
    case HF_METHOD_HEAD:
    case HF_METHOD_PUT:
    case HF_METHOD_DELETE:
    case HF_METHOD_OPTIONS:
    case HF_METHOD_TRACE:
        return true;
    case HF_METHOD_OTHER:
    case HF_METHOD_POST:
    case HF_METHOD_CONNECT:
    case HF_METHOD_PATCH:
        return false;
    }
    return false;
}

const struct hf_field *hf_head_find(const struct hf_head *head, enum hf_field_id id)
{
    for (unsigned i = 0; i < head->field_count; i++)
        if (head->fields[i].id == id)
            return &head->fields[i];
    return NULL;
}

const struct hf_field *hf_head_find_name(const struct hf_head *head, struct hf_slice name)
{
    for (unsigned i = 0; i < head->field_count; i++)
        if (hf_slice_equal_nocase(hf_field_name(head, &head->fields[i]), name))
            return &head->fields[i];
    return NULL;
}

const char *hf_status_phrase(unsigned status)
{
    static const char *const phrases[] = {
#define HF_STATUS_ROW(code, phrase) [code] = phrase,
#include "proto/http_statuses.def"
#undef HF_STATUS_ROW
    };
    if (status >= sizeof(phrases) / sizeof(phrases[0]) || phrases[status] == NULL)
        return "";
    return phrases[status];
}
