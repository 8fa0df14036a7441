/* Which records may be unknown here because the store dropped them to have room: whole buckets of
 * them, for which a home asks every live node before it says that there is none. When the store has
 * dropped nothing for a while, every live node is asked to tell anew what it holds. What it tells
 * after it was asked makes up for all that was dropped before, so those buckets are known again. */
#include "fabric/internal.h"

static bool bit(const uint8_t *buckets, unsigned bucket)
{
    return buckets[bucket / 8] >> bucket % 8 & 1;
}

void hf_evicted_note(struct hf_fabric *f, unsigned bucket)
{
    struct hf_evicted *evicted = &f->evicted;
    evicted->recent[bucket / 8] |= (uint8_t)(1 << bucket % 8);
    evicted->some = true;
    evicted->last_ms = f->now_ms;
}

bool hf_evicted_covers(const struct hf_fabric *f, unsigned bucket)
{
    return bit(f->evicted.recent, bucket) || bit(f->evicted.asked, bucket);
}

static void ask(struct hf_fabric *f)
{
    struct hf_evicted *evicted = &f->evicted;
    for (unsigned i = 0; i < sizeof(evicted->recent); i++)
        evicted->asked[i] |= evicted->recent[i];
    memset(evicted->recent, 0, sizeof(evicted->recent));
    evicted->some = false;
    evicted->asks = true;
    evicted->last_ms = f->now_ms;
    evicted->round++;
    for (unsigned i = 0; i < f->rank->count; i++)
        if (i != f->self && hf_membership_alive(f, i))
            hf_sync_ask(f, i);
}

static bool all_told(const struct hf_fabric *f)
{
    for (unsigned i = 0; i < f->rank->count; i++)
        if (i != f->self && hf_membership_alive(f, i) &&
            f->peers[i].sync.told_round != f->evicted.round)
            return false;
    return hf_fabric_complete(f);
}

void hf_evicted_tick(struct hf_fabric *f)
{
    struct hf_evicted *evicted = &f->evicted;
    if (evicted->asks && all_told(f)) {
        evicted->asks = false;
        memset(evicted->asked, 0, sizeof(evicted->asked));
        hf_upkeep_seek(f);
    }
    if ((evicted->some || evicted->asks) && f->status == HF_PEER_READY &&
        f->now_ms - evicted->last_ms >= HF_FABRIC_EVICTED_MS)
        ask(f);
}
