/* A hashed hierarchical timer wheel, 1 ms a tick. Never allocates, never calls the clock.
 * Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987.
 * Threads: the owner's. Layer: base. */
#pragma once
#include "base/list.h"
#include <stdint.h>

enum { HF_TIMER_LEVELS = 4, HF_TIMER_SLOTS = 64 }; /* 64^4 ms = 4.6 hours; later ones re-enter */

struct hf_timer;
typedef void (*hf_timer_fn)(struct hf_timer *timer); /* may set or cancel any timer, free its own */

struct hf_timer { /* zeroed = not armed */
    struct hf_list node;
    uint64_t deadline_ms; /* monotonic */
    uint64_t slot_ms;     /* when the wheel looks at it: <= deadline_ms; 0 = not armed */
    hf_timer_fn expired;
};

struct hf_timer_wheel {
    uint64_t now_ms;
    uint64_t armed_count;
    uint64_t occupied[HF_TIMER_LEVELS]; /* bit i: slots[level][i] is not empty */
    struct hf_list due;     /* set to a time that had passed: fire at the next advance */
    struct hf_list expired; /* during an advance: what is about to fire */
    bool advancing;
    struct hf_list slots[HF_TIMER_LEVELS][HF_TIMER_SLOTS];
};

void hf_timer_wheel_init(struct hf_timer_wheel *wheel, uint64_t now_ms);
/* Arms the timer, or moves it. Moving to a later time costs one store: the wheel finds out when it
 * reaches the old slot. Deadlines that passed fire at the next advance. */
void hf_timer_set(struct hf_timer_wheel *wheel, struct hf_timer *timer, uint64_t deadline_ms);
/* Harmless when not armed. */
void hf_timer_cancel(struct hf_timer_wheel *wheel, struct hf_timer *timer);
static inline bool hf_timer_armed(const struct hf_timer *timer)
{
    return timer->slot_ms != 0;
}
/* Fires everything due until now_ms, each exactly once, never before its deadline. */
void hf_timer_wheel_advance(struct hf_timer_wheel *wheel, uint64_t now_ms);
/* Milliseconds until the wheel must be advanced again, -1 when nothing is armed, at most max_ms. */
int hf_timer_wheel_wait_ms(const struct hf_timer_wheel *wheel, int max_ms);
