#include "proto/resp.h"
#include "base/assert.h"

static const struct {
    struct hf_slice answer;
    const char *word;
} reasons[HF_RESP_REASONS] = {
    [HF_RESP_OK] = {{"", 0}, "none"},
#define HF_RESP_REASON_ROW(id, answer, word) [HF_RESP_##id] = {{answer, sizeof(answer) - 1}, word},
#include "proto/resp_reasons.def"
#undef HF_RESP_REASON_ROW
};

const struct hf_resp_limits hf_resp_limits_before_auth = {
    .arguments_max = 10,
    .bulk_size_max = 16 * 1024,
    .request_size_max = 64 * 1024,
};

struct hf_slice hf_resp_reason_answer(enum hf_resp_reason reason)
{
    REQUIRE(reason < HF_RESP_REASONS);
    return reasons[reason].answer;
}

const char *hf_resp_reason_word(enum hf_resp_reason reason)
{
    REQUIRE(reason < HF_RESP_REASONS);
    return reasons[reason].word;
}
