/* Copies of what an owner changed: sending them, and the operations that wait for word of them. */
#include "fabric/internal.h"

static void unhook(struct hf_fabric_op *op)
{
    for (unsigned i = 0; i < op->need_count; i++)
        hf_list_remove(&op->needs[i].node);
    op->need_count = 0;
    hf_list_remove(&op->timed);
    hf_list_remove(&op->dirty);
    hf_list_remove(&op->node);
}

void hf_copies_init(struct hf_fabric_op *op)
{
    hf_list_init(&op->node);
    hf_list_init(&op->timed);
    hf_list_init(&op->dirty);
    hf_list_init(&op->followers);
    op->need_count = 0;
    op->travel_ms = 0;
    op->copied = op->missed = op->yielded = op->guards = false;
    memset(op->told, 0, sizeof(op->told));
}

bool hf_copies_told(const struct hf_fabric_op *op, unsigned peer)
{
    return op->told[peer / 64] >> peer % 64 & 1;
}

/* Ends an executed operation, and the reads that waited behind it. */
void hf_copies_finish(struct hf_fabric *f, struct hf_fabric_op *op, enum hf_fabric_status status)
{
    struct hf_list followers, *node;
    unhook(op);
    hf_list_init(&followers);
    hf_list_splice_back(&followers, &op->followers);
    bool done = status == HF_FABRIC_OK || status == HF_FABRIC_DEGRADED;
    if (done && !(op->flags & HF_OP_RELEASE) && !hf_membership_leased(f, op->hash))
        status = HF_FABRIC_UNSURE; /* a new owner may have begun without it */
    f->counts.degraded += status == HF_FABRIC_DEGRADED && !(op->flags & HF_OP_RELEASE);
    if (op->flags & (HF_OP_RELEASE | HF_OP_REMOTE))
        hf_owner_finish(f, op, status);
    else
        hf_operation_finish(f, op, status);
    while ((node = hf_list_pop_front(&followers)) != NULL)
        hf_copies_finish(f, hf_container_of(node, struct hf_fabric_op, node), status);
}

/* Just sent, it stands behind all that is long for that peer. */
static void wait_for_travel(const struct hf_fabric *f, struct hf_fabric_op *op, unsigned peer,
                            unsigned lane)
{
    uint64_t travel_ms = lane == 0 ? 0 : hf_patience_bulk_ms(f, peer);
    uint64_t passed_ms = op->executed ? f->now_ms - op->executed_ms : 0;
    if (travel_ms > 0 && passed_ms + travel_ms > op->travel_ms)
        op->travel_ms = passed_ms + travel_ms;
}

void hf_copies_need(struct hf_fabric *f, struct hf_fabric_op *op, unsigned peer, uint8_t lane,
                    uint64_t number)
{
    struct hf_fabric_need *need = &op->needs[op->need_count++];
    *need = (struct hf_fabric_need){.op = op, .number = number, .lane = lane};
    need->peer = (uint8_t)peer;
    op->told[peer / 64] |= 1ull << peer % 64;
    hf_list_push_back(&f->peers[peer].needs[lane], &need->node);
    wait_for_travel(f, op, peer, lane);
}

static void drop_need(struct hf_fabric_op *op, struct hf_fabric_need *need)
{
    struct hf_fabric_need *last = &op->needs[--op->need_count];
    hf_list_remove(&need->node);
    if (need == last)
        return;
    *need = *last; /* moves with its place in the list */
    hf_list_init(&need->node);
    hf_list_insert_after(&last->node, &need->node);
    hf_list_remove(&last->node);
}

bool hf_copies_send(struct hf_fabric *f, struct hf_fabric_record *record, struct hf_slice id,
                    unsigned peer, struct hf_wire_message *m)
{
    uint8_t lane;
    struct hf_wire_message whole = *m;
    hf_record_describe(f, record, m->kind == HF_WIRE_IMAGE || m->kind == HF_WIRE_HANDOFF, &whole);
    whole.id = id;
    if (m->bytes.size > 0)
        whole.bytes = m->bytes;
    bool sent = hf_queue_replicate(f, peer, &whole, &lane);
    m->number = whole.number;
    m->status = lane;
    return sent;
}

bool hf_copies_replicate(struct hf_fabric *f, struct hf_fabric_record *record, unsigned peer,
                         enum hf_wire_kind kind, struct hf_version base, struct hf_slice bytes)
{
    struct hf_wire_message m = {.kind = (uint8_t)kind, .base = base, .bytes = bytes};
    struct hf_slice id = f->store.id(f->store.user, record);
    return hf_copies_send(f, record, id, peer, &m);
}

/* Sends to every peer that is to hold the record; the operation then waits for their word. */
void hf_copies_out(struct hf_fabric *f, struct hf_fabric_record *record, struct hf_fabric_op *op,
                   struct hf_wire_message *m)
{
    uint8_t targets[HF_FABRIC_TARGETS_MAX];
    unsigned count = hf_membership_targets(f, op->hash, f->self, targets);
    for (unsigned i = 0; i < count; i++) {
        if (hf_copies_told(op, targets[i]))
            continue;
        if (hf_copies_send(f, record, op->id, targets[i], m))
            hf_copies_need(f, op, targets[i], m->status, m->number);
        else
            op->missed = true;
    }
}

static struct hf_list *dirty_chain(struct hf_fabric *f, uint64_t hash)
{
    return &f->dirty[hash % HF_FABRIC_DIRTY];
}

/* The latest write to the record whose copy nobody confirmed yet. */
struct hf_fabric_op *hf_copies_unconfirmed(struct hf_fabric *f, const struct hf_fabric_op *op)
{
    HF_LIST_EACH(dirty_chain(f, op->hash), node)
    {
        struct hf_fabric_op *one = hf_container_of(node, struct hf_fabric_op, dirty);
        if (one->hash == op->hash && hf_slice_equal(one->id, op->id))
            return one;
    }
    return NULL;
}

bool hf_copies_pending(struct hf_fabric *f, struct hf_slice id, uint64_t hash)
{
    const struct hf_fabric_op of = {.id = id, .hash = hash};
    return !hf_list_empty(dirty_chain(f, hash)) && hf_copies_unconfirmed(f, &of) != NULL;
}

void hf_copies_yielded(struct hf_fabric *f, struct hf_slice id, uint64_t hash)
{
    HF_LIST_EACH(dirty_chain(f, hash), node)
    {
        struct hf_fabric_op *one = hf_container_of(node, struct hf_fabric_op, dirty);
        one->yielded |= one->hash == hash && hf_slice_equal(one->id, id);
    }
}

static bool is_release(const struct hf_fabric_op *op)
{
    return op->flags & HF_OP_RELEASE && !op->guards;
}

/* A write that nobody else is known to have. A `consistent` fabric does not acknowledge it. */
static void finish_alone(struct hf_fabric *f, struct hf_fabric_op *op)
{
    enum hf_fabric_status status = f->rank->count > 1 ? HF_FABRIC_DEGRADED : HF_FABRIC_OK;
    bool refuses = f->settings.consistent && f->rank->count > 1 && !op->copied && !is_release(op);
    if (refuses && op->guards)
        return; /* asks again in a while */
    if (refuses) {
        status = HF_FABRIC_UNSURE;
        hf_owner_guard(f, op);
    }
    hf_copies_finish(f, op, status);
}

/* Nobody has said yet that it has the write. As long as somebody may, it waits. */
static void nobody_yet(struct hf_fabric *f, struct hf_fabric_op *op)
{
    bool asked = op->copied || is_release(op) || hf_standin_ask(f, op);
    if (op->need_count > 0 || (!asked && hf_standin_left(f, op)))
        return;
    finish_alone(f, op);
}

/* A write waits for the backups. With nobody to wait for, it is told so. */
void hf_copies_wait(struct hf_fabric *f, struct hf_fabric_op *op)
{
    bool wait = !f->settings.acknowledge_memory || op->deletes || op->flags & HF_OP_RELEASE;
    if (!wait)
        return hf_copies_finish(f, op, HF_FABRIC_OK);
    op->executed = true;
    op->executed_ms = f->now_ms;
    hf_operation_keep(f, op);
    if (!(op->flags & HF_OP_RELEASE)) { /* a release waits as long as it takes, or as its links */
        op->deadline_ms = f->now_ms + HF_FABRIC_ACKNOWLEDGE_MS;
        hf_list_push_back(&f->writes, &op->timed);
        hf_list_push_front(dirty_chain(f, op->hash), &op->dirty);
    }
    if (op->need_count == 0)
        nobody_yet(f, op);
}

void hf_copies_guard(struct hf_fabric *f, struct hf_fabric_op *guard, struct hf_fabric_op *op)
{
    guard->executed = true;
    guard->executed_ms = op->executed_ms;
    guard->deadline_ms = f->now_ms + HF_FABRIC_DEGRADE_MS;
    hf_list_push_back(&f->guards, &guard->timed);
    hf_list_insert_after(&op->dirty, &guard->dirty);
}

static void confirm(struct hf_fabric *f, struct hf_fabric_need *need)
{
    struct hf_fabric_op *op = need->op;
    op->copied = true;
    if (op->wants_all && op->need_count > 1)
        drop_need(op, need);
    else
        hf_copies_finish(f, op, HF_FABRIC_OK);
}

void hf_copies_acked(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_peer *p = &f->peers[peer];
    for (unsigned lane = 0; lane < HF_WIRE_LANES; lane++) {
        struct hf_list *needs = &p->needs[lane];
        if (m->lanes[lane] > p->sent[lane])
            continue;
        p->acked[lane] = m->lanes[lane];
        while (!hf_list_empty(needs)) {
            struct hf_fabric_need *need = hf_container_of(needs->next, struct hf_fabric_need, node);
            if (need->number > m->lanes[lane])
                break;
            confirm(f, need);
        }
    }
}

static struct hf_fabric_need *find_need(struct hf_peer *p, unsigned lane, uint64_t number)
{
    HF_LIST_EACH(&p->needs[lane], node)
    {
        struct hf_fabric_need *need = hf_container_of(node, struct hf_fabric_need, node);
        if (need->number == number)
            return need;
    }
    return NULL;
}

/* What the peer knows is what we did to the record afterwards: it went by what was to be told. */
static bool is_ours(const struct hf_fabric *f, const struct hf_fabric_record *record,
                    const struct hf_wire_message *m)
{
    return record != NULL && record->owner == f->self &&
           record->version.epoch == m->version.epoch && !hf_record_loses(record, m);
}

/* The peer knows a newer version: we serve no longer, and what we executed is nobody's. */
static void superseded(struct hf_fabric *f, struct hf_fabric_record *record,
                       const struct hf_wire_message *m, struct hf_fabric_need *need)
{
    if (hf_record_owned(f, record) && hf_record_loses(record, m)) {
        hf_record_given_up(f, record, hf_rank_hash(m->id));
        record->state = HF_RECORD_BACKUP;
    }
    if (need == NULL)
        return;
    /* Only a session that began after a delete, or another delete, wins over one; and whoever let
     * it begin knew of the delete. */
    if (need->op->flags & HF_OP_RELEASE || need->op->yielded || need->op->deletes ||
        is_ours(f, record, m))
        confirm(f, need);
    else
        hf_copies_finish(f, need->op, HF_FABRIC_UNSURE);
}

/* Whether the peer is to hold it, as we know the owner. */
static bool is_holder(const struct hf_fabric *f, const struct hf_fabric_record *record,
                      uint64_t hash, unsigned peer)
{
    return hf_record_has_value(record) && (hf_membership_home(f, hash) == (int)peer ||
                                           hf_membership_holds(f, hash, record->owner, peer));
}

/* Its peer will not say that it has it. */
static void lose_need(struct hf_fabric *f, struct hf_fabric_need *need)
{
    struct hf_fabric_op *op = need->op;
    op->missed = true;
    drop_need(op, need);
    if (op->need_count == 0)
        nobody_yet(f, op);
}

/* The peer could not apply a change: it gets the whole. */
void hf_copies_nack(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    unsigned lane = m->flags & HF_NACK_BULK ? 1 : 0;
    uint64_t hash = hf_rank_hash(m->id);
    struct hf_peer *p = &f->peers[peer];
    struct hf_fabric_record *record = hf_record_find(f, m->id, hash);
    struct hf_fabric_need *need = find_need(p, lane, m->number);
    struct hf_wire_message again = {.kind = HF_WIRE_IMAGE};
    if (m->flags & HF_NACK_STALE)
        return superseded(f, record, m, need);
    if (need != NULL && need->op->flags & HF_OP_RELEASE && !hf_record_owned(f, record))
        return confirm(f, need); /* who owns it now sees to its copies */
    if (m->flags & HF_NACK_FULL || !is_holder(f, record, hash, peer) ||
        !hf_copies_send(f, record, m->id, peer, &again)) {
        if (need != NULL)
            lose_need(f, need);
        return;
    }
    if (need == NULL)
        return;
    hf_list_remove(&need->node);
    need->number = again.number;
    need->lane = again.status;
    hf_list_push_back(&p->needs[need->lane], &need->node);
    wait_for_travel(f, need->op, peer, need->lane);
}

void hf_copies_unlinked(struct hf_fabric *f, unsigned peer)
{
    struct hf_peer *p = &f->peers[peer];
    for (unsigned lane = 0; lane < HF_WIRE_LANES; lane++) {
        while (!hf_list_empty(&p->needs[lane])) {
            struct hf_fabric_need *need =
                hf_container_of(p->needs[lane].next, struct hf_fabric_need, node);
            need->op->told[peer / 64] &= ~(1ull << peer % 64);
            lose_need(f, need);
        }
    }
}

static void resend(struct hf_fabric *f, struct hf_fabric_op *op)
{
    struct hf_fabric_record *record = hf_record_find(f, op->id, op->hash);
    struct hf_wire_message m = {.kind = HF_WIRE_IMAGE};
    if (op->need_count == 0 && hf_record_owned(f, record))
        hf_copies_out(f, record, op, &m);
}

void hf_copies_resend(struct hf_fabric *f)
{
    HF_LIST_EACH(&f->writes, node)
    resend(f, hf_container_of(node, struct hf_fabric_op, timed));
}

/* What keeps a write from readers asks all anew, once those it asked have refused. It ends when
 * another owns the record: that one knows what it has. */
static void guard_again(struct hf_fabric *f, struct hf_fabric_op *guard)
{
    struct hf_fabric_record *record = hf_record_find(f, guard->id, guard->hash);
    struct hf_wire_message m = {.kind = guard->deletes ? HF_WIRE_DELETED : HF_WIRE_IMAGE};
    bool ours =
        guard->deletes ? hf_record_state(record) == HF_RECORD_TOMB : hf_record_owned(f, record);
    if (!ours)
        return hf_copies_finish(f, guard, HF_FABRIC_UNSURE);
    guard->deadline_ms = f->now_ms + HF_FABRIC_DEGRADE_MS;
    hf_list_remove(&guard->timed);
    hf_list_push_back(&f->guards, &guard->timed);
    if (guard->need_count > 0)
        return;
    memset(guard->told, 0, sizeof(guard->told));
    hf_copies_out(f, record, guard, &m);
    if (guard->need_count == 0)
        nobody_yet(f, guard);
}

static void look_again(struct hf_fabric *f, struct hf_fabric_op *op)
{
    uint64_t waited_ms = f->now_ms - op->executed_ms;
    bool travels = waited_ms < op->travel_ms;
    waited_ms -= travels ? waited_ms : op->travel_ms;
    uint64_t patience_ms = f->settings.consistent ? f->lease_ms : HF_FABRIC_DEGRADE_MS;
    if (op->copied && waited_ms >= HF_FABRIC_DELETE_MS)
        return hf_copies_finish(f, op, HF_FABRIC_DEGRADED);
    if (waited_ms >= patience_ms)
        return finish_alone(f, op);
    op->deadline_ms = f->now_ms + HF_FABRIC_ACKNOWLEDGE_MS;
    hf_list_remove(&op->timed);
    hf_list_push_back(&f->writes, &op->timed);
    if (travels)
        hf_owner_under_way(f, op);
    else
        nobody_yet(f, op);
}

static struct hf_fabric_op *first_due(const struct hf_fabric *f, const struct hf_list *list)
{
    struct hf_fabric_op *op = hf_container_of(list->next, struct hf_fabric_op, timed);
    return !hf_list_empty(list) && op->deadline_ms <= f->now_ms ? op : NULL;
}

void hf_copies_tick(struct hf_fabric *f)
{
    struct hf_fabric_op *op;
    while ((op = first_due(f, &f->writes)) != NULL)
        look_again(f, op);
    while ((op = first_due(f, &f->guards)) != NULL)
        guard_again(f, op);
}

void hf_copies_lapsed(struct hf_fabric *f)
{
    struct hf_list *const lists[] = {&f->writes, &f->guards};
    for (unsigned i = 0; i < 2; i++)
        while (!hf_list_empty(lists[i]))
            hf_copies_finish(f, hf_container_of(lists[i]->next, struct hf_fabric_op, timed),
                             HF_FABRIC_UNSURE);
}
