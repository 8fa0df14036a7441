#include "sim/calendar.h"

#include "base/assert.h"
#include "sim/pages.h"
#include <errno.h>
#include <string.h>

int hf_calendar_init(struct hf_calendar *calendar, uint32_t tick_count)
{
    REQUIRE(tick_count > 0);
    uint32_t *heads = hf_pages_new(tick_count * sizeof(*heads));
    if (heads == NULL)
        return -ENOMEM;
    memset(heads, 0xff, tick_count * sizeof(*heads)); /* HF_CALENDAR_NONE */
    *calendar = (struct hf_calendar){.heads = heads, .tick_count = tick_count};
    return 0;
}

void hf_calendar_fini(struct hf_calendar *calendar)
{
    hf_pages_free(calendar->heads, calendar->tick_count * sizeof(*calendar->heads));
    *calendar = (struct hf_calendar){0};
}

void hf_calendar_add(struct hf_calendar *calendar, uint32_t tick, uint32_t item, uint32_t *next)
{
    REQUIRE(item != HF_CALENDAR_NONE);
    if (tick >= calendar->tick_count)
        return;
    *next = calendar->heads[tick];
    calendar->heads[tick] = item;
}

uint32_t hf_calendar_take(struct hf_calendar *calendar, uint32_t tick)
{
    REQUIRE(tick < calendar->tick_count);
    uint32_t first = calendar->heads[tick];
    calendar->heads[tick] = HF_CALENDAR_NONE;
    return first;
}
