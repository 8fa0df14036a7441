/* A hierarchical timer wheel (Varghese and Lauck 1987) whose members are handles: 8 bytes and a
 * slot number in each record. Slots are emptied one record at a time, so a million records that are
 * due together, or that come down from a coarse level together, are no pause. */
#include "base/assert.h"
#include "store/shard.h"

enum { STEPS_A_BUDGET = 64 }; /* empty slots that cost as much as one record */

void hf_wheel_init(struct hf_wheel *wheel, uint64_t now_ms)
{
    *wheel = (struct hf_wheel){.position = now_ms >> HF_WHEEL_TICK_BITS};
}

/* The slot for a tick: of the lowest level that reaches it. One that passed already is where the
 * wheel looks next; one beyond the highest level comes back when that level has gone round. */
static unsigned slot_for(const struct hf_wheel *wheel, uint64_t tick)
{
    if (tick < wheel->position)
        tick = wheel->position;
    for (unsigned level = 0; level < HF_WHEEL_LEVELS; level++) {
        unsigned shift = level * HF_WHEEL_LEVEL_BITS;
        if ((tick >> shift) - (wheel->position >> shift) < HF_WHEEL_SLOTS)
            return level * HF_WHEEL_SLOTS + (unsigned)(tick >> shift) % HF_WHEEL_SLOTS;
    }
    unsigned shift = (HF_WHEEL_LEVELS - 1) * HF_WHEEL_LEVEL_BITS;
    uint64_t last = (wheel->position >> shift) + HF_WHEEL_SLOTS - 1;
    return (HF_WHEEL_LEVELS - 1) * HF_WHEEL_SLOTS + (unsigned)(last % HF_WHEEL_SLOTS);
}

/* The first tick of a slot, seen from where the wheel stands. */
static uint64_t tick_of(const struct hf_wheel *wheel, unsigned slot)
{
    unsigned shift = slot / HF_WHEEL_SLOTS * HF_WHEEL_LEVEL_BITS;
    uint64_t base = wheel->position >> shift;
    return (base + ((slot - base) & (HF_WHEEL_SLOTS - 1))) << shift;
}

void hf_wheel_disarm(struct hf_store *store, uint32_t handle)
{
    struct hf_record *record = hf_shard_record(store, handle);
    if (!record->wheel_armed)
        return;
    if (record->wheel_previous != 0)
        hf_shard_record(store, record->wheel_previous)->wheel_next = record->wheel_next;
    else
        store->wheel.heads[record->wheel_slot] = record->wheel_next;
    if (record->wheel_next != 0)
        hf_shard_record(store, record->wheel_next)->wheel_previous = record->wheel_previous;
    record->wheel_armed = false;
    store->wheel.armed--;
}

void hf_wheel_arm(struct hf_store *store, uint32_t handle, uint64_t due_ms)
{
    struct hf_record *record = hf_shard_record(store, handle);
    struct hf_wheel *wheel = &store->wheel;
    if (due_ms == HF_DEADLINE_NEVER) {
        hf_wheel_disarm(store, handle);
        return;
    }
    uint64_t tick = due_ms >> HF_WHEEL_TICK_BITS;
    if (record->wheel_armed && tick_of(wheel, record->wheel_slot) <= tick)
        return;
    hf_wheel_disarm(store, handle);
    unsigned slot = slot_for(wheel, tick);
    record->wheel_slot = (uint8_t)slot;
    record->wheel_armed = true;
    record->wheel_previous = 0;
    record->wheel_next = wheel->heads[slot];
    if (record->wheel_next != 0)
        hf_shard_record(store, record->wheel_next)->wheel_previous = handle;
    wheel->heads[slot] = handle;
    wheel->armed++;
}

void hf_wheel_follow(struct hf_store *store, uint32_t to)
{
    struct hf_record *record = hf_shard_record(store, to);
    if (!record->wheel_armed)
        return;
    if (record->wheel_previous != 0)
        hf_shard_record(store, record->wheel_previous)->wheel_next = to;
    else
        store->wheel.heads[record->wheel_slot] = to;
    if (record->wheel_next != 0)
        hf_shard_record(store, record->wheel_next)->wheel_previous = to;
}

/* A slot of a coarser level that begins at this tick and is not empty; its records go down before
 * the tick is looked at. */
static int coarse_slot(const struct hf_wheel *wheel)
{
    for (unsigned level = HF_WHEEL_LEVELS - 1; level > 0; level--) {
        unsigned shift = level * HF_WHEEL_LEVEL_BITS;
        unsigned slot =
            level * HF_WHEEL_SLOTS + (unsigned)(wheel->position >> shift) % HF_WHEEL_SLOTS;
        if (wheel->position % (UINT64_C(1) << shift) == 0 && wheel->heads[slot] != 0)
            return (int)slot;
    }
    return -1;
}

uint32_t hf_wheel_pop(struct hf_store *store, uint64_t now_ms, unsigned *budget)
{
    struct hf_wheel *wheel = &store->wheel;
    uint64_t now = now_ms >> HF_WHEEL_TICK_BITS;
    unsigned steps = 0;
    while (*budget > 0 && wheel->position < now) {
        if (wheel->armed == 0) {
            wheel->position = now;
            return 0;
        }
        int slot = coarse_slot(wheel);
        if (slot < 0)
            slot = (int)(wheel->position % HF_WHEEL_SLOTS);
        uint32_t handle = wheel->heads[slot];
        if (handle != 0) {
            --*budget;
            hf_wheel_disarm(store, handle);
            return handle;
        }
        wheel->position++;
        if (++steps % STEPS_A_BUDGET == 0)
            --*budget;
    }
    return 0;
}
