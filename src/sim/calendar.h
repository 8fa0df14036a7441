/* What happens when, in ticks of virtual time: a chain of item numbers for each tick, linked
 * through a field of the items themselves. Constant time; the order within a tick is last in, first
 * out. Never owns items. Threads: one. Layer: sim. */
#pragma once
#include <stdint.h>

#define HF_CALENDAR_NONE UINT32_MAX /* no item: the end of a chain */

struct hf_calendar {
    uint32_t *heads; /* owned; [tick_count] */
    uint32_t tick_count;
};

/* 0 or -ENOMEM. */
int hf_calendar_init(struct hf_calendar *calendar, uint32_t tick_count);
void hf_calendar_fini(struct hf_calendar *calendar);
/* next: the item's link. Beyond the last tick it is forgotten. */
void hf_calendar_add(struct hf_calendar *calendar, uint32_t tick, uint32_t item, uint32_t *next);
/* Takes the tick's chain: its first item or HF_CALENDAR_NONE. Read an item's link before the item
 * is added again. */
uint32_t hf_calendar_take(struct hf_calendar *calendar, uint32_t tick);
