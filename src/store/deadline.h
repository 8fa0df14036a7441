/* Deadlines: absolute milliseconds on this machine's monotonic clock. Pure; never asks a clock.
 * Threads: any. Layer: store. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define HF_DEADLINE_NEVER UINT64_MAX
#define HF_DEADLINE_MAX ((UINT64_C(1) << 40) - 2) /* 34 years; later ones become this */

enum {
    HF_DEADLINE_SLACK_MS = 1000,        /* a deadline that moved by less is not worth a message */
    HF_DEADLINE_SLACK_PERCENT = 1,      /* nor by less than this part of the time that is left */
    HF_DEADLINE_SLACK_MS_MAX = 7200000, /* but 2 hours always are */
};

/* now + ttl, both ms, saturating at HF_DEADLINE_MAX. */
uint64_t hf_deadline_after(uint64_t now_ms, uint64_t ttl_ms);
/* A deadline given by the wall clock (EXAT, PXAT, a memcached date): both clocks read at the same
 * moment. A time that has passed becomes now_ms, which is due at once. */
uint64_t hf_deadline_from_wall(uint64_t wall_ms, uint64_t now_wall_ms, uint64_t now_ms);
/* Back again, for EXPIRETIME. HF_DEADLINE_NEVER stays; else stops at 0 and at 2^63. */
uint64_t hf_deadline_to_wall(uint64_t deadline_ms, uint64_t now_wall_ms, uint64_t now_ms);
/* Whether a holder that was told `told_ms` must be told `deadline_ms`: it moved, either way, by
 * more than max(1 s, 1 % of what is left) but never more than 2 h, or to or from never. */
bool hf_deadline_moved(uint64_t now_ms, uint64_t told_ms, uint64_t deadline_ms);

/* What a store keeps of a deadline: at most HF_DEADLINE_MAX, or never. */
static inline uint64_t hf_deadline_clamp(uint64_t deadline_ms)
{
    return deadline_ms > HF_DEADLINE_MAX && deadline_ms != HF_DEADLINE_NEVER ? HF_DEADLINE_MAX
                                                                             : deadline_ms;
}

static inline bool hf_deadline_due(uint64_t deadline_ms, uint64_t now_ms)
{
    return deadline_ms <= now_ms;
}
