#include "upstream/retry.h"

#include "base/assert.h"
#include "base/clock.h"
#include <stddef.h>

static unsigned slot_of(struct hf_retry_budget *budget, uint64_t second)
{
    unsigned slot = (unsigned)(second % HF_RETRY_WINDOW_S);
    if (budget->slots[slot].second != second) {
        budget->slots[slot].second = second;
        budget->slots[slot].requests = 0;
        budget->slots[slot].retries = 0;
    }
    return slot;
}

void hf_retry_note_request(struct hf_retry_budget *budget, uint64_t now_ms)
{
    REQUIRE(budget != NULL);
    unsigned slot = slot_of(budget, now_ms / HF_MS_PER_S);
    if (budget->slots[slot].requests < UINT32_MAX)
        budget->slots[slot].requests++;
}

bool hf_retry_take(struct hf_retry_budget *budget, uint8_t budget_percent, uint64_t now_ms)
{
    REQUIRE(budget != NULL);
    uint64_t now_s = now_ms / HF_MS_PER_S;
    uint64_t requests = 0, retries = 0;
    for (unsigned i = 0; i < HF_RETRY_WINDOW_S; i++) {
        if (budget->slots[i].second + HF_RETRY_WINDOW_S <= now_s)
            continue;
        requests += budget->slots[i].requests;
        retries += budget->slots[i].retries;
    }
    if (retries >= HF_RETRY_FLOOR + requests * budget_percent / 100)
        return false;
    budget->slots[slot_of(budget, now_s)].retries++;
    return true;
}
