/* Holding copies for others: what an owner sends is applied in order, or what is missing is told.
 */
#include "fabric/internal.h"

static void nack(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m,
                 unsigned flags)
{
    struct hf_wire_message answer = {.type = HF_WIRE_NACK, .number = m->number, .id = m->id};
    struct hf_fabric_record *record = hf_record_find(f, m->id, hf_rank_hash(m->id));
    answer.state = hf_record_state(record);
    answer.version = hf_record_version(record);
    answer.flags = (uint8_t)(flags | (f->peers[peer].lane_in ? HF_NACK_BULK : 0));
    hf_queue_send(f, peer, &answer);
}

static bool is_home(const struct hf_fabric *f, uint64_t hash)
{
    return hf_membership_home(f, hash) == (int)f->self;
}

static void handed(struct hf_fabric *f, struct hf_slice id, uint64_t hash)
{
    struct hf_fabric_record *record = hf_record_find(f, id, hash);
    bool idle = hf_activity_find(f, id, hash) == NULL;
    if (idle && is_home(f, hash) && hf_record_has_value(record) && !hf_record_owned(f, record))
        hf_home_adopt(f, record, id, hash);
}

static void whole(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    bool taken = hf_record_take(f, m->id, hash, m, m->kind != HF_WIRE_DELETED);
    struct hf_fabric_record *record = hf_record_find(f, m->id, hash);
    if (record == NULL && (m->version.sequence == 0 || hf_ended_covers(f, hash, m)))
        return; /* nothing was made of it at its owner, or it is over */
    if (record == NULL)
        return nack(f, peer, m, HF_NACK_FULL);
    bool same = hf_version_equal(record->version, m->version);
    if (!taken && same && !hf_record_owned(f, record) && m->node < f->rank->count)
        record->owner = m->node;
    else if (!taken && !same && (m->state == HF_RECORD_OWNER || m->kind == HF_WIRE_DELETED))
        return nack(f, peer, m, HF_NACK_STALE);
    if (m->kind == HF_WIRE_HANDOFF)
        handed(f, m->id, hash);
}

static void apply(struct hf_fabric *f, struct hf_fabric_record *record, uint64_t hash,
                  const struct hf_wire_message *m)
{
    hf_record_given_up(f, record, hash);
    record->version = m->version;
    record->owner = m->node;
    record->state = HF_RECORD_BACKUP;
    hf_record_saw_epoch(f, m->version.epoch);
    record->deadline_ms = hf_record_deadline(f, m->remaining_ms);
}

static void change(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    struct hf_fabric_record *record = hf_record_find(f, m->id, hash);
    if (record != NULL && hf_version_equal(record->version, m->version) &&
        hf_record_has_value(record))
        return;
    if (record != NULL && !hf_record_loses(record, m))
        return nack(f, peer, m, HF_NACK_STALE);
    if (!hf_record_has_value(record) || !hf_version_equal(record->version, m->base)) {
        hf_record_forget_epoch(f, hash, m->version.epoch); /* it was granted */
        return nack(f, peer, m, 0);
    }
    apply(f, record, hash, m);
    if (m->bytes.size > 0 && !f->store.change(f->store.user, record, m->bytes)) {
        hf_record_remove(f, record);
        nack(f, peer, m, 0);
    }
}

static bool not_newer(const struct hf_fabric_record *record, const struct hf_wire_message *m)
{
    return hf_version_compare((enum hf_record_state)record->state, record->version,
                              (enum hf_record_state)m->state, m->version) <= 0;
}

static void gone(struct hf_fabric *f, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    struct hf_fabric_record *record = hf_record_find(f, m->id, hash);
    hf_ended_note(f, hash, m->version);
    if (record != NULL && record->state != HF_RECORD_TOMB && !hf_record_owned(f, record) &&
        not_newer(record, m))
        hf_record_remove(f, record);
}

/* Others hold it. For a while we remember at which version, so that an older copy that is still on
 * its way to us finds no place. */
static void released(struct hf_fabric *f, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    struct hf_fabric_record *record = hf_record_find(f, m->id, hash);
    bool kept = record != NULL &&
                (hf_record_owned(f, record) ? !hf_record_loses(record, m) : !not_newer(record, m));
    if (kept || is_home(f, hash) || m->node >= f->rank->count ||
        hf_membership_holds(f, hash, m->node, f->self))
        return;
    record = hf_record_ensure(f, m->id, hash);
    if (record == NULL)
        return;
    hf_record_given_up(f, record, hash);
    hf_record_forget_epoch(f, hash, record->version.epoch);
    f->store.clear(f->store.user, record);
    record->state = HF_RECORD_POINTER;
    record->version = m->version;
    record->owner = m->node;
    record->deadline_ms = f->now_ms + HF_FABRIC_RELEASED_MS;
}

/* Where the owner is, from the home before us. A copy older than what was granted is none. */
static void noted(struct hf_fabric *f, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    struct hf_fabric_record *record = hf_record_find(f, m->id, hash);
    if (m->node >= f->rank->count || m->node == f->self)
        return;
    if (hf_record_has_value(record) && hf_version_equal(record->version, m->base))
        return apply(f, record, hash, m);
    if (record != NULL && !hf_record_loses(record, m))
        return;
    record = hf_record_ensure(f, m->id, hash);
    if (record == NULL)
        return;
    hf_record_forget_epoch(f, hash, record->version.epoch);
    f->store.clear(f->store.user, record);
    apply(f, record, hash, m);
    record->state = HF_RECORD_POINTER;
}

void hf_backup_replicate(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_wire_message tomb = *m;
    switch ((enum hf_wire_kind)m->kind) {
    case HF_WIRE_IMAGE:
    case HF_WIRE_HANDOFF:
        return whole(f, peer, m);
    case HF_WIRE_DELETED:
        tomb.state = HF_RECORD_TOMB;
        return whole(f, peer, &tomb);
    case HF_WIRE_CHANGE:
        return change(f, peer, m);
    case HF_WIRE_GONE:
        return gone(f, m);
    case HF_WIRE_RELEASE:
        return released(f, m);
    case HF_WIRE_NOTE:
        return noted(f, m);
    case HF_WIRE_KINDS:
        break;
    }
}
