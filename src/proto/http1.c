#include "base/assert.h"
#include "proto/http1_internal.h"
#include "proto/scan.h"

static const struct {
    unsigned status;
    const char *word;
} reasons[HF_HTTP1_REASONS] = {
    [HF_HTTP1_OK] = {200, "none"},
#define HF_HTTP1_REASON_ROW(id, status, word) [HF_HTTP1_##id] = {status, word},
#include "proto/http1_reasons.def"
#undef HF_HTTP1_REASON_ROW
};

unsigned hf_http1_reason_status(enum hf_http1_reason reason)
{
    REQUIRE(reason < HF_HTTP1_REASONS);
    return reasons[reason].status;
}

const char *hf_http1_reason_word(enum hf_http1_reason reason)
{
    REQUIRE(reason < HF_HTTP1_REASONS);
    return reasons[reason].word;
}

bool hf_http1_next_element(struct hf_slice *rest, struct hf_slice *ret_element)
{
    while (rest->size > 0) {
        const char *comma = memchr(rest->bytes, ',', rest->size);
        size_t size = comma != NULL ? (size_t)(comma - rest->bytes) : rest->size;
        struct hf_slice element = hf_slice_trim(hf_slice(rest->bytes, size));
        size_t used = comma != NULL ? size + 1 : size;
        *rest = hf_slice(rest->bytes + used, rest->size - used);
        if (element.size > 0) {
            *ret_element = element;
            return true;
        }
    }
    return false;
}
