/* The retry budget of a pool in one worker: retries may be at most budget_percent of the requests
 * of the last 10 s, plus a floor, so that retries cannot multiply an outage (SRE book, ch. 21). A
 * redispatch after a refused connection had no effect anywhere and costs no budget. Pure. Threads:
 * the worker's. Layer: upstream. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { HF_RETRY_WINDOW_S = 10, HF_RETRY_FLOOR = 10 /* retries a window that are always allowed */ };

struct hf_retry_budget { /* zeroed = fresh */
    struct {
        uint64_t second;
        uint32_t requests, retries;
    } slots[HF_RETRY_WINDOW_S];
};
void hf_retry_note_request(struct hf_retry_budget *budget, uint64_t now_ms);
/* True and taken, or false: the budget is used up. budget_percent counts whole retries: 20 % of 4
 * requests add none to the floor. */
bool hf_retry_take(struct hf_retry_budget *budget, uint8_t budget_percent, uint64_t now_ms);
