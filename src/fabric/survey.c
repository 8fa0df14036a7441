/* One walk over the store serves every peer that waits for sums or for a list, a bounded piece at
 * each tick. Who comes to wait in the middle of a walk is served by the next one. */
#include "fabric/internal.h"
#include <stdlib.h>

enum { LIST_BYTES = HF_FABRIC_LISTED * (HF_WIRE_ID_MAX + 17) };

/* Records looked at in a tick: ranking one costs as much as there are nodes. */
static unsigned records_of_a_tick(const struct hf_fabric *f)
{
    return HF_FABRIC_SURVEY_WORK / (f->rank->count + HF_FABRIC_SURVEY_BASE);
}

static bool waits(const struct hf_fabric *f, unsigned peer)
{
    const struct hf_peer *p = &f->peers[peer];
    return peer != f->self && p->linked && p->status != HF_PEER_DEAD;
}

static bool ensure(uint64_t **sums)
{
    if (*sums == NULL)
        *sums = malloc(HF_FABRIC_BUCKETS * sizeof(**sums));
    if (*sums != NULL)
        memset(*sums, 0, HF_FABRIC_BUCKETS * sizeof(**sums));
    return *sums != NULL;
}

static void join(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    bool waiting = waits(f, peer);
    s->summed = s->lists = s->compares = false;
    if (waiting && (s->step == HF_SYNC_SUMMING || s->comparing) && ensure(&s->sums)) {
        s->summed = s->step == HF_SYNC_SUMMING;
        s->compares = s->comparing;
    }
    if (!waiting || s->step != HF_SYNC_LISTING)
        return;
    s->list = s->list != NULL ? s->list : malloc(LIST_BYTES);
    s->lists = s->list != NULL;
    s->listed = 0;
    s->list_size = 0;
}

static bool begin(struct hf_fabric *f)
{
    bool any = false;
    for (unsigned i = 0; i < f->rank->count; i++) {
        const struct hf_sync *s = &f->peers[i].sync;
        join(f, i);
        any |= s->summed || s->compares || s->lists;
    }
    f->survey.walking = any;
    f->survey.view = f->view;
    f->survey.cursor = 0;
    return any;
}

static void list_record(struct hf_fabric *f, struct hf_sync *s,
                        const struct hf_fabric_record *record, unsigned bucket)
{
    struct hf_wire_entry entry = {.version = record->version, .node = record->owner};
    if (!(s->different[bucket / 8] >> bucket % 8 & 1))
        return;
    entry.id = f->store.id(f->store.user, record);
    entry.state = hf_record_state(record);
    REQUIRE(s->listed < HF_FABRIC_LISTED);
    REQUIRE(hf_wire_put_entry(&entry, s->list, LIST_BYTES, &s->list_size));
    s->listed++;
}

/* The owner and those that are to hold it are all whom it concerns: the home is one of them. */
static void survey_one(struct hf_fabric *f, const struct hf_fabric_record *record)
{
    uint8_t concerned[HF_FABRIC_TARGETS_MAX + 1];
    if (hf_record_hollow(f, record))
        return;
    uint64_t hash = hf_rank_hash(f->store.id(f->store.user, record));
    unsigned bucket = hf_digest_bucket(hash);
    unsigned count = hf_membership_targets(f, hash, record->owner, concerned);
    if (record->owner < f->rank->count)
        concerned[count++] = (uint8_t)record->owner;
    uint64_t share = record->state == HF_RECORD_POINTER
                         ? 0
                         : hf_digest_of(hash, record->state == HF_RECORD_TOMB, record->version);
    for (unsigned i = 0; i < count; i++) {
        struct hf_sync *s = &f->peers[concerned[i]].sync;
        if (s->summed || s->compares)
            s->sums[bucket] += share;
        if (s->lists)
            list_record(f, s, record, bucket);
    }
}

static void send_list(struct hf_fabric *f, unsigned peer, bool last)
{
    struct hf_sync *s = &f->peers[peer].sync;
    struct hf_wire_message m = {.type = HF_WIRE_VERSIONS, .view = s->view};
    m.bytes = hf_slice(s->list, s->list_size);
    m.flags = last ? HF_SYNC_LAST : 0;
    s->step = last ? HF_SYNC_IDLE : HF_SYNC_LISTED;
    s->wanted |= !hf_queue_send(f, peer, &m);
    s->listed = 0;
    s->list_size = 0;
    if (!last)
        return;
    s->lists = false;
    free(s->list);
    s->list = NULL;
}

/* A peer whose list is full must ask for more first. */
static bool held_up(struct hf_fabric *f)
{
    bool held = false;
    for (unsigned i = 0; i < f->rank->count; i++) {
        struct hf_sync *s = &f->peers[i].sync;
        if (s->lists && s->step == HF_SYNC_LISTING && s->listed == HF_FABRIC_LISTED)
            send_list(f, i, false);
        held |= s->lists && s->step == HF_SYNC_LISTED;
    }
    return held;
}

static void end(struct hf_fabric *f)
{
    f->survey.walking = false;
    for (unsigned i = 0; i < f->rank->count; i++) {
        struct hf_sync *s = &f->peers[i].sync;
        if (s->summed)
            hf_sync_summed(f, i);
        if (s->compares)
            hf_sync_compared(f, i);
        if (s->lists)
            send_list(f, i, true);
        s->summed = s->compares = false;
    }
}

static bool list_is_full(const struct hf_fabric *f)
{
    for (unsigned i = 0; i < f->rank->count; i++) {
        const struct hf_sync *s = &f->peers[i].sync;
        if (s->lists && s->listed == HF_FABRIC_LISTED)
            return true;
    }
    return false;
}

void hf_survey_walk(struct hf_fabric *f)
{
    if (f->survey.walking && f->survey.view != f->view)
        f->survey.walking = false; /* all is compared anew */
    if (!f->survey.walking && !begin(f))
        return;
    while (f->survey.left > 0 && !held_up(f)) {
        bool full = false;
        while (f->survey.left > 0 && !full) {
            struct hf_fabric_record *record = f->store.next(f->store.user, &f->survey.cursor);
            if (record == NULL)
                return end(f);
            f->survey.left--;
            survey_one(f, record);
            full = list_is_full(f);
        }
    }
}

void hf_survey_tick(struct hf_fabric *f)
{
    f->survey.left = records_of_a_tick(f);
    hf_survey_walk(f);
}

void hf_survey_leave(struct hf_sync *s)
{
    s->summed = s->compares = s->lists = false;
    free(s->list);
    s->list = NULL;
}
