/* What a fabric does bit by bit at every tick: ending lives on time, taking over orphans, handing
 * over before it leaves. */
#include "fabric/internal.h"

_Static_assert((int)HF_FABRIC_GRACE_MS > (int)HF_DEADLINE_SLACK_MS_MAX,
               "no copy is forgotten while its owner may have moved the deadline in silence");
enum {
    /* Of a sweep, in records times nodes and BASE: ranking one costs as much as there are nodes. */
    SWEEP_TICK_WORK = 10 * 1000,
    SWEEP_MS_WORK = 100, /* on average, as long as it gets round in SWEEP_MS_MAX */
    SWEEP_MS_MIN = 1000, /* from the start of one to the next */
    SWEEP_MS_MAX = 30 * 1000,
};

/* Whether a record that the store has as OWNER is ours to end. After a lapse those of the
 * generation before look the same, until a sweep has made copies of them; and a process that was
 * stopped may not have seen yet that it lapsed. By then another may serve them. */
static bool ends(struct hf_fabric *f, uint64_t hash, uint64_t now_ms)
{
    if (f->swept_generation != f->generation || now_ms > f->now_ms + HF_FABRIC_AWAY_MS)
        return false;
    f->now_ms = now_ms > f->now_ms ? now_ms : f->now_ms;
    return hf_membership_leased(f, hash);
}

void hf_fabric_dropped(struct hf_fabric *f, struct hf_slice id, enum hf_record_state state,
                       struct hf_version version, bool expired, uint64_t now_ms)
{
    uint64_t hash = hf_rank_hash(id);
    unsigned bucket = hf_digest_bucket(hash);
    hf_record_forget_epoch(f, hash, version.epoch);
    struct hf_activity *activity = expired ? NULL : hf_activity_find(f, id, hash);
    if (!expired)
        hf_evicted_note(f, bucket);
    if (activity != NULL) {
        activity->lost = true;
        activity->known = false;
    }
    if (state == HF_RECORD_OWNER && expired && ends(f, hash, now_ms))
        hf_owner_tell_end(f, id, version);
}

/* Only the owner ends a record's life on time; others wait the grace longer, then forget. A copy
 * that is not to be here is given back. */
static void sweep_one(struct hf_fabric *f, struct hf_fabric_record *record)
{
    uint64_t deadline_ms = record->deadline_ms;
    if (record->state == HF_RECORD_OWNER && !hf_record_owned(f, record))
        record->state = HF_RECORD_BACKUP; /* before its generation comes again */
    if (deadline_ms == 0 || deadline_ms > f->now_ms)
        return hf_standin_sweep(f, record);
    uint64_t hash = hf_rank_hash(f->store.id(f->store.user, record));
    bool home = hf_membership_home(f, hash) == (int)f->self;
    bool orphan = record->owner == f->self || !hf_membership_alive(f, record->owner);
    uint64_t grace_ms = orphan ? HF_FABRIC_ORPHAN_MS : HF_FABRIC_GRACE_MS;
    bool late = deadline_ms + grace_ms <= f->now_ms;
    if (hf_fabric_serves(f, record, hash, f->now_ms))
        hf_owner_expire(f, record);
    else if (record->state == HF_RECORD_TOMB || (record->state == HF_RECORD_POINTER && !home) ||
             (late && !hf_record_owned(f, record))) {
        if (hf_record_has_value(record))
            hf_ended_note(f, hash, record->version);
        hf_record_remove(f, record);
    }
}

static unsigned work_of_one(const struct hf_fabric *f)
{
    return f->rank->count + HF_FABRIC_SURVEY_BASE;
}

static void begin_sweep(struct hf_fabric *f)
{
    uint64_t wait_ms = f->swept * work_of_one(f) / SWEEP_MS_WORK;
    wait_ms = wait_ms < SWEEP_MS_MAX ? wait_ms : SWEEP_MS_MAX;
    f->sweep_ms = f->now_ms + (wait_ms > SWEEP_MS_MIN ? wait_ms : SWEEP_MS_MIN);
    f->swept = 0;
    f->sweep_generation = f->generation;
}

/* Nothing waits for it: whoever reads looks at the deadline, and what is astray costs room alone.
 * So it takes the less time the more there is to look at. */
void hf_upkeep_sweep(struct hf_fabric *f)
{
    if (f->sweep_cursor == 0 && f->now_ms < f->sweep_ms)
        return;
    if (f->sweep_cursor == 0)
        begin_sweep(f);
    for (unsigned i = 0; i < SWEEP_TICK_WORK / work_of_one(f); i++) {
        struct hf_fabric_record *record = f->store.next(f->store.user, &f->sweep_cursor);
        if (record == NULL) {
            f->swept_generation = f->sweep_generation;
            return;
        }
        f->swept++;
        sweep_one(f, record);
    }
}

/* True when the record became ours. */
static bool adopt_one(struct hf_fabric *f, struct hf_fabric_record *record)
{
    bool orphan = record->owner == f->self || !hf_membership_alive(f, record->owner);
    bool expired = record->deadline_ms != 0 && record->deadline_ms <= f->now_ms;
    if (record->state == HF_RECORD_TOMB || hf_record_owned(f, record) || !orphan || expired)
        return false;
    struct hf_slice id = f->store.id(f->store.user, record);
    uint64_t hash = hf_rank_hash(id);
    if (hf_membership_home(f, hash) != (int)f->self)
        return false;
    if (hf_evicted_covers(f, hf_digest_bucket(hash)))
        return false; /* somebody may hold a newer one: evicted.c looks again when it is known */
    if (hf_activity_find(f, id, hash) != NULL) {
        f->adopt_again = true; /* it is being decided */
        return false;
    }
    if (!hf_record_has_value(record) || hf_record_hollow(f, record)) {
        f->counts.lost += record->version.sequence > 0;
        hf_record_remove(f, record);
        return false;
    }
    hf_home_adopt(f, record, id, hash);
    return true;
}

/* Faster than a peer takes the copies, they would stand before all a client waits for, before the
 * heartbeats, and in the end find no room. Some go always: clients may keep a queue crowded. */
static bool enough(const struct hf_fabric *f, unsigned copied, unsigned copied_max)
{
    return copied >= copied_max || (copied >= HF_FABRIC_ADOPTED_MIN && hf_queue_crowded(f));
}

void hf_upkeep_seek(struct hf_fabric *f)
{
    f->adopting = true;
    f->adopt_cursor = 0;
}

/* Once every live node has told what it holds: what nobody owns becomes its home's. */
void hf_upkeep_adopt(struct hf_fabric *f)
{
    unsigned adopted = 0;
    if (!f->adopting || f->status != HF_PEER_READY || !hf_fabric_complete(f) ||
        !hf_membership_quorum(f) || !hf_membership_sure(f))
        return;
    if (f->adopt_cursor == 0)
        f->adopt_again = false;
    for (unsigned i = 0; i < HF_FABRIC_SCAN; i++) {
        struct hf_fabric_record *record = f->store.next(f->store.user, &f->adopt_cursor);
        if (record == NULL) {
            f->adopting = f->adopt_again;
            return;
        }
        if (adopt_one(f, record) && enough(f, ++adopted, HF_FABRIC_ADOPTED))
            return;
    }
}

/* True when the record is another's now. */
static bool hand_over_one(struct hf_fabric *f, struct hf_fabric_record *record)
{
    struct hf_slice none = {0};
    uint64_t hash = hf_rank_hash(f->store.id(f->store.user, record));
    int home = hf_membership_home(f, hash);
    if (!hf_record_owned(f, record) || home < 0)
        return false;
    if (hf_copies_replicate(f, record, (unsigned)home, HF_WIRE_HANDOFF, record->version, none)) {
        record->state = HF_RECORD_BACKUP;
        return true;
    }
    f->left_behind = true; /* the queue is full: once more */
    return false;
}

void hf_upkeep_hand_over(struct hf_fabric *f)
{
    if (f->status != HF_PEER_LEAVING || f->handed_over)
        return;
    unsigned handed = 0;
    if (f->leave_cursor == 0)
        f->left_behind = false;
    for (unsigned i = 0; i < HF_FABRIC_SCAN; i++) {
        struct hf_fabric_record *record = f->store.next(f->store.user, &f->leave_cursor);
        if (record == NULL) {
            f->handed_over = !f->left_behind;
            return;
        }
        if (hand_over_one(f, record) && enough(f, ++handed, HF_FABRIC_SCAN))
            return;
    }
}
