/* A timer stands in the slot of the time `slot_ms`, on the level that its distance asks for. When
 * the wheel's time enters a slot, each timer in it is settled anew: due ones go to `expired`, the
 * others (from a coarser level, or moved to a later deadline meanwhile) to a nearer slot. A slot's
 * index may equal the present one only for a time one full turn of that level away, because the
 * present slot was emptied when it was entered. */
#include "base/timer.h"
#include "base/assert.h"

enum { SLOT_BITS = 6 };
_Static_assert(1 << SLOT_BITS == HF_TIMER_SLOTS, "an index is SLOT_BITS of the time");
static const uint64_t REACH_MS = (uint64_t)1 << (SLOT_BITS * HF_TIMER_LEVELS);

void hf_timer_wheel_init(struct hf_timer_wheel *wheel, uint64_t now_ms)
{
    REQUIRE(wheel != NULL);
    *wheel = (struct hf_timer_wheel){.now_ms = now_ms};
    hf_list_init(&wheel->due);
    hf_list_init(&wheel->expired);
    for (int level = 0; level < HF_TIMER_LEVELS; level++)
        for (int i = 0; i < HF_TIMER_SLOTS; i++)
            hf_list_init(&wheel->slots[level][i]);
}

static int level_of(uint64_t distance_ms)
{
    return (63 - __builtin_clzll(distance_ms | 1)) / SLOT_BITS;
}

/* A timer whose deadline passed goes to `passed`. slot_ms must not be 0: that means not armed. */
static void settle(struct hf_timer_wheel *wheel, struct hf_timer *timer, struct hf_list *passed)
{
    if (timer->deadline_ms <= wheel->now_ms) {
        timer->slot_ms = timer->deadline_ms != 0 ? timer->deadline_ms : 1;
        hf_list_push_back(passed, &timer->node);
        return;
    }
    uint64_t distance_ms = timer->deadline_ms - wheel->now_ms;
    if (distance_ms >= REACH_MS)
        distance_ms = REACH_MS - 1;
    timer->slot_ms = wheel->now_ms + distance_ms;
    int level = level_of(distance_ms);
    unsigned index = (timer->slot_ms >> (SLOT_BITS * level)) % HF_TIMER_SLOTS;
    hf_list_push_back(&wheel->slots[level][index], &timer->node);
    wheel->occupied[level] |= (uint64_t)1 << index;
}

static void detach(struct hf_timer_wheel *wheel, struct hf_timer *timer)
{
    struct hf_list *next = timer->node.next;
    bool was_alone = next == timer->node.previous;
    hf_list_remove(&timer->node);
    timer->slot_ms = 0;
    wheel->armed_count--;
    if (!was_alone)
        return;
    struct hf_list *first = &wheel->slots[0][0];
    struct hf_list *end = first + HF_TIMER_LEVELS * HF_TIMER_SLOTS;
    if (next < first || next >= end) /* the head of due or expired */
        return;
    size_t position = (size_t)(next - first);
    wheel->occupied[position / HF_TIMER_SLOTS] &= ~((uint64_t)1 << (position % HF_TIMER_SLOTS));
}

void hf_timer_set(struct hf_timer_wheel *wheel, struct hf_timer *timer, uint64_t deadline_ms)
{
    REQUIRE(wheel != NULL && timer != NULL);
    REQUIRE(timer->expired != NULL);
    bool armed = hf_timer_armed(timer);
    timer->deadline_ms = deadline_ms;
    if (armed && deadline_ms >= timer->slot_ms)
        return;
    if (armed)
        detach(wheel, timer);
    wheel->armed_count++;
    settle(wheel, timer, &wheel->due);
}

void hf_timer_cancel(struct hf_timer_wheel *wheel, struct hf_timer *timer)
{
    REQUIRE(wheel != NULL && timer != NULL);
    if (!hf_timer_armed(timer))
        return;
    REQUIRE(wheel->armed_count > 0);
    detach(wheel, timer);
}

/* When time next enters an occupied slot; UINT64_MAX when there is none. */
static uint64_t next_visit_ms(const struct hf_timer_wheel *wheel)
{
    uint64_t next_ms = UINT64_MAX;
    for (int level = 0; level < HF_TIMER_LEVELS; level++) {
        uint64_t bits = wheel->occupied[level];
        if (bits == 0)
            continue;
        uint64_t tick = (wheel->now_ms >> (SLOT_BITS * level)) + 1;
        unsigned shift = tick % HF_TIMER_SLOTS;
        uint64_t ahead = shift == 0 ? bits : bits >> shift | bits << (HF_TIMER_SLOTS - shift);
        uint64_t enters_ms = (tick + (uint64_t)__builtin_ctzll(ahead)) << (SLOT_BITS * level);
        if (enters_ms < next_ms)
            next_ms = enters_ms;
    }
    return next_ms;
}

static void visit(struct hf_timer_wheel *wheel, int level)
{
    unsigned index = (wheel->now_ms >> (SLOT_BITS * level)) % HF_TIMER_SLOTS;
    struct hf_list entered;
    hf_list_init(&entered);
    hf_list_splice_back(&entered, &wheel->slots[level][index]);
    wheel->occupied[level] &= ~((uint64_t)1 << index);
    struct hf_list *node;
    while ((node = hf_list_pop_front(&entered)) != NULL)
        settle(wheel, hf_container_of(node, struct hf_timer, node), &wheel->expired);
}

/* Coarse levels first: what they hand down may belong to the finer slot of this very instant. */
static void visit_slots(struct hf_timer_wheel *wheel)
{
    for (int level = HF_TIMER_LEVELS - 1; level > 0; level--) {
        uint64_t below = ((uint64_t)1 << (SLOT_BITS * level)) - 1;
        if ((wheel->now_ms & below) == 0)
            visit(wheel, level);
    }
    visit(wheel, 0);
}

/* A callback may have moved or cancelled any timer that still stands in `expired`, and may free the
 * object around its own: nothing of it is touched after the call. */
static void fire(struct hf_timer_wheel *wheel)
{
    struct hf_list *node;
    while ((node = wheel->expired.next) != &wheel->expired) {
        struct hf_timer *timer = hf_container_of(node, struct hf_timer, node);
        if (timer->deadline_ms > wheel->now_ms) {
            hf_list_remove(node);
            settle(wheel, timer, &wheel->due);
            continue;
        }
        detach(wheel, timer);
        timer->expired(timer);
    }
}

void hf_timer_wheel_advance(struct hf_timer_wheel *wheel, uint64_t now_ms)
{
    REQUIRE(wheel != NULL);
    REQUIRE(!wheel->advancing);
    wheel->advancing = true;
    hf_list_splice_back(&wheel->expired, &wheel->due);
    uint64_t next_ms;
    while ((next_ms = next_visit_ms(wheel)) <= now_ms) {
        wheel->now_ms = next_ms;
        visit_slots(wheel);
    }
    if (now_ms > wheel->now_ms)
        wheel->now_ms = now_ms;
    fire(wheel);
    wheel->advancing = false;
}

int hf_timer_wheel_wait_ms(const struct hf_timer_wheel *wheel, int max_ms)
{
    REQUIRE(wheel != NULL && max_ms >= 0);
    if (wheel->armed_count == 0)
        return -1;
    if (!hf_list_empty(&wheel->due))
        return 0;
    uint64_t next_ms = next_visit_ms(wheel);
    REQUIRE(next_ms > wheel->now_ms);
    uint64_t wait_ms = next_ms - wheel->now_ms;
    return wait_ms < (uint64_t)max_ms ? (int)wait_ms : max_ms;
}
