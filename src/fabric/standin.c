/* Copies on nodes that are no backups, asked for while the backups are silent: whoever takes over
 * from us asks every live node what it holds, so a write is as safe there. Such a copy is given
 * back once the backups have theirs: its holder finds it (upkeep.c), and tells the owner and the
 * home of it in a resync. */
#include "fabric/internal.h"

static bool may_hold(const struct hf_fabric *f, unsigned node)
{
    enum hf_peer_status status = f->peers[node].status;
    return node != f->self && (status == HF_PEER_READY || status == HF_PEER_SYNCING);
}

bool hf_standin_left(const struct hf_fabric *f, const struct hf_fabric_op *op)
{
    for (unsigned i = 0; i < f->rank->count; i++)
        if (may_hold(f, i) && !hf_copies_told(op, i))
            return true;
    return false;
}

bool hf_standin_ask(struct hf_fabric *f, struct hf_fabric_op *op)
{
    struct hf_fabric_record *record = hf_record_find(f, op->id, op->hash);
    bool deleted = hf_record_state(record) == HF_RECORD_TOMB;
    struct hf_wire_message m = {.kind = deleted ? HF_WIRE_DELETED : HF_WIRE_IMAGE};
    struct hf_rank_walk walk;
    int node;
    if ((!deleted && !hf_record_owned(f, record)) || op->need_count == HF_FABRIC_TARGETS_MAX)
        return false;
    hf_rank_walk_init(&walk, f->rank, op->hash);
    while ((node = hf_rank_walk_next(&walk)) >= 0) {
        unsigned peer = (unsigned)node;
        if (!may_hold(f, peer) || hf_copies_told(op, peer) ||
            !hf_copies_send(f, record, op->id, peer, &m))
            continue;
        f->counts.stood_in += !hf_membership_holds(f, op->hash, f->self, peer);
        hf_copies_need(f, op, peer, m.status, m.number);
        return true;
    }
    return false;
}

/* A copy of ours that is neither its home's nor a backup's, while its owner lives; or one that we
 * served once, until its home let us yield: who follows need not know of it, when the home granted
 * it anew in between. The home is the owner or a backup. */
void hf_standin_sweep(struct hf_fabric *f, const struct hf_fabric_record *record)
{
    bool served = record->owner == f->self;
    if (record->state != HF_RECORD_BACKUP || !hf_membership_alive(f, record->owner))
        return;
    uint64_t hash = hf_rank_hash(f->store.id(f->store.user, record));
    if (!served && hf_membership_holds(f, hash, record->owner, f->self))
        return;
    int home = hf_membership_home(f, hash);
    if (!served)
        hf_sync_again(f, record->owner);
    if (home >= 0 && home != (int)f->self)
        hf_sync_again(f, (unsigned)home);
}
