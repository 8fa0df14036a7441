/* Operations of our own clients: executed here, or brought to whoever may. */
#include "fabric/internal.h"

void hf_operation_finish(struct hf_fabric *f, struct hf_fabric_op *op, enum hf_fabric_status status)
{
    if (op->takes)
        return hf_offer_taken(f, op, status);
    op->status = (uint8_t)status;
    f->counts.unsure += status == HF_FABRIC_UNSURE;
    f->host.complete(f->host.user, op);
}

static struct hf_fabric_op *first_parked(struct hf_activity *activity)
{
    if (hf_list_empty(&activity->parked))
        return NULL;
    return hf_container_of(activity->parked.next, struct hf_fabric_op, node);
}

static void unpark(struct hf_fabric_op *op)
{
    hf_list_remove(&op->node);
    hf_list_remove(&op->timed);
}

void hf_operation_keep(struct hf_fabric *f, struct hf_fabric_op *op)
{
    if (op->user != NULL && f->host.keep != NULL)
        f->host.keep(f->host.user, op);
}

static void ask_home(struct hf_fabric *f, struct hf_activity *activity, struct hf_fabric_op *op)
{
    int home = hf_membership_home(f, activity->hash);
    struct hf_wire_message m = {.type = HF_WIRE_REQUEST, .id = op->id};
    struct hf_fabric_record *record = hf_record_find(f, op->id, op->hash);
    if (home < 0 || activity->retry_ms > f->now_ms)
        return;
    m.asked_ms = hf_patience_clock(f, (unsigned)home, f->now_ms);
    if (m.asked_ms == 0 && !(op->flags & HF_FABRIC_READS)) { /* until its first heartbeat */
        activity->retry_ms = f->now_ms + HF_FABRIC_RETRY_MS;
        return;
    }
    if (op->request.size == 0 && !op->takes && f->host.encode != NULL)
        op->request = f->host.encode(f->host.user, op);
    hf_record_describe(f, record, false, &m);
    m.state = hf_record_passing(f, record) ? HF_RECORD_POINTER : m.state;
    m.number = activity->asked_number = ++f->number;
    m.flags = op->flags;
    if (f->status == HF_PEER_LEAVING || (!op->takes && hf_offer_declines(f)))
        m.flags |= HF_FABRIC_STAYS;
    if (activity->refused)
        m.flags |= HF_OP_REFUSED;
    activity->refused = false;
    activity->asked = true;
    activity->outdated = false;
    activity->asked_peer = (uint8_t)home;
    activity->asked_ms = f->now_ms;
    activity->asked_travel_ms = 0;
    m.bytes = op->request;
    if ((unsigned)home == f->self) {
        hf_home_request(f, f->self, &m);
    } else if (!hf_patience_send(f, (unsigned)home, &m, &activity->asked_travel_ms)) {
        activity->asked = false;
        activity->retry_ms = f->now_ms + HF_FABRIC_RETRY_MS;
    }
}

void hf_operation_advance(struct hf_fabric *f, struct hf_activity *activity)
{
    struct hf_fabric_op *op;
    if (activity->advancing)
        return;
    activity->advancing = true;
    while (!activity->asked && (op = first_parked(activity)) != NULL) {
        struct hf_fabric_record *record = hf_owner_find(f, op->id, op->hash);
        if (hf_fabric_serves(f, record, op->hash, f->now_ms)) {
            unpark(op);
            hf_owner_execute(f, record, op);
            continue;
        }
        if (hf_record_owned(f, record))
            break; /* until the lease is renewed, or the peer that gives it is dead */
        ask_home(f, activity, op);
        if (activity->asked || first_parked(activity) != op)
            continue;
        record = hf_owner_find(f, op->id, op->hash);
        if (!hf_fabric_serves(f, record, op->hash, f->now_ms)) /* else it was granted at once */
            break;
    }
    activity->advancing = false;
}

static void park(struct hf_fabric *f, struct hf_fabric_op *op)
{
    struct hf_activity *activity = hf_activity_ensure(f, op->id, op->hash);
    if (activity == NULL)
        return hf_operation_finish(f, op, HF_FABRIC_FULL);
    bool reads = op->flags & HF_FABRIC_READS;
    op->parked_ms = f->now_ms;
    op->deadline_ms = f->now_ms + (reads ? HF_FABRIC_OPERATION_MS : HF_FABRIC_WRITE_MS);
    hf_list_push_back(&activity->parked, &op->node);
    hf_list_push_back(reads ? &f->waiting : &f->patient, &op->timed);
    hf_operation_advance(f, activity);
    hf_activity_settle(f, activity);
}

void hf_operation_start(struct hf_fabric *f, struct hf_fabric_op *op)
{
    op->hash = hf_rank_hash(op->id);
    op->remote = op->executed = op->deletes = op->wants_all = false;
    op->reply = (struct hf_slice){0};
    op->need_count = 0;
    struct hf_activity *activity = hf_activity_find(f, op->id, op->hash);
    struct hf_fabric_record *record = hf_owner_find(f, op->id, op->hash);
    bool queued = activity != NULL && !hf_list_empty(&activity->parked);
    if (!queued && hf_fabric_serves(f, record, op->hash, f->now_ms))
        hf_owner_execute(f, record, op);
    else
        park(f, op);
}

static struct hf_activity *asked_for(struct hf_fabric *f, const struct hf_wire_message *m)
{
    struct hf_activity *activity = hf_activity_find(f, m->id, hf_rank_hash(m->id));
    bool fits = activity != NULL && activity->asked && activity->asked_number == m->number;
    return fits ? activity : NULL;
}

static void finish_asked(struct hf_fabric *f, struct hf_fabric_op *op,
                         const struct hf_wire_message *m)
{
    unpark(op);
    op->remote = m->status == HF_FABRIC_OK || m->status == HF_FABRIC_DEGRADED;
    op->reply = m->bytes;
    f->counts.dropped += m->status == HF_FABRIC_DROPPED;
    hf_operation_finish(f, op, (enum hf_fabric_status)m->status);
}

/* The home had sent it on before the link ended. */
static void adrift_result(struct hf_fabric *f, const struct hf_wire_message *m)
{
    struct hf_wire_message result = *m;
    HF_LIST_EACH(&f->adrift, node)
    {
        struct hf_fabric_op *op = hf_container_of(node, struct hf_fabric_op, node);
        if (op->number != m->number || !hf_slice_equal(op->id, m->id))
            continue;
        if (m->status == HF_FABRIC_UNDER_WAY) {
            uint64_t end_ms =
                f->now_ms + HF_FABRIC_ANSWER_MS + hf_patience_hops_ms(op->request.size);
            op->deadline_ms = end_ms > op->deadline_ms ? end_ms : op->deadline_ms;
            return;
        }
        if (m->status == HF_FABRIC_RETRY || m->status == HF_FABRIC_LATE)
            result.status = HF_FABRIC_UNSURE;
        return finish_asked(f, op, &result);
    }
}

void hf_operation_result(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_activity *activity = asked_for(f, m);
    struct hf_fabric_op *op = activity != NULL ? first_parked(activity) : NULL;
    if (op == NULL)
        return adrift_result(f, m);
    if (m->status == HF_FABRIC_UNDER_WAY)
        return hf_operation_progress(f, activity);
    activity->asked = false;
    if (m->status == HF_FABRIC_RETRY || m->status == HF_FABRIC_LATE) {
        activity->refused = m->status == HF_FABRIC_RETRY && peer != activity->asked_peer;
        activity->retry_ms = f->now_ms + HF_FABRIC_RETRY_MS;
        return;
    }
    finish_asked(f, op, m);
    hf_operation_advance(f, activity);
    hf_activity_settle(f, activity);
}

/* The reads of one record wait for the same answer. */
void hf_operation_progress(struct hf_fabric *f, struct hf_activity *activity)
{
    activity->asked_ms = f->now_ms;
    HF_LIST_EACH(&activity->parked, node)
    {
        struct hf_fabric_op *op = hf_container_of(node, struct hf_fabric_op, node);
        if (!(op->flags & HF_FABRIC_READS))
            continue;
        op->deadline_ms = f->now_ms + HF_FABRIC_OPERATION_MS;
        hf_list_remove(&op->timed);
        hf_list_push_back(&f->waiting, &op->timed);
    }
}

/* Another home than the one we asked is about to decide: what that one may still grant us comes too
 * late. A read is asked again at once; a write may have been executed, and waits for word of it. */
void hf_operation_outdated(struct hf_fabric *f, struct hf_activity *activity, unsigned home)
{
    if (activity == NULL || !activity->asked || activity->asked_peer == home)
        return;
    struct hf_fabric_op *op = first_parked(activity);
    activity->outdated = true;
    if (op == NULL || !(op->flags & HF_FABRIC_READS))
        return;
    activity->asked = false;
    activity->retry_ms = f->now_ms + HF_FABRIC_RETRY_MS;
}

/* What we hold stays, unless that is older than what is granted, or would end before it. */
static bool keeps_own(const struct hf_fabric *f, const struct hf_fabric_record *record,
                      const struct hf_wire_message *m)
{
    int order = hf_version_compare((enum hf_record_state)hf_record_state(record), record->version,
                                   HF_RECORD_BACKUP, m->base);
    return hf_record_has_value(record) &&
           (order > 0 || (order == 0 && !hf_record_outlived(f, record, m->remaining_ms)));
}

static bool take_granted(struct hf_fabric *f, struct hf_fabric_record *record,
                         const struct hf_wire_message *m)
{
    if (m->state == HF_RECORD_POINTER) { /* there is none: an empty one begins */
        f->store.clear(f->store.user, record);
        record->deadline_ms = 0;
        return true;
    }
    if (m->state == HF_RECORD_NONE || keeps_own(f, record, m))
        return hf_record_has_value(record);
    hf_record_forget_epoch(f, hf_rank_hash(m->id), record->version.epoch);
    record->deadline_ms = hf_record_deadline(f, m->remaining_ms);
    record->version = m->base;
    return f->store.load(f->store.user, record, m->bytes);
}

/* Only what we asked for, and only under a valid lease of the granter: a grant that lay about while
 * this process was stopped may have been granted again. */
void hf_operation_grant(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_activity *activity = asked_for(f, m);
    struct hf_wire_message grant = *m;
    if (activity == NULL || activity->asked_peer != peer)
        return;
    activity->asked = false;
    struct hf_fabric_record *record = hf_record_ensure(f, m->id, activity->hash);
    bool leased = peer == f->self || f->peers[peer].lease_ms > f->now_ms;
    if (record == NULL || !leased || activity->outdated ||
        record->version.epoch >= m->version.epoch) {
        activity->retry_ms = f->now_ms + HF_FABRIC_RETRY_MS;
        return;
    }
    if (!take_granted(f, record, m)) {
        hf_record_remove(f, record);
        activity->retry_ms = f->now_ms + HF_FABRIC_RETRY_MS;
        return;
    }
    grant.status = (uint8_t)peer;
    hf_owner_install(f, record, m->id, activity->hash, &grant);
    hf_operation_advance(f, activity);
    hf_activity_settle(f, activity);
}

/* Until then the first of the parked ones may be answered, and be done by whoever gets it. */
static uint64_t answered_ms(const struct hf_activity *activity, const struct hf_fabric_op *op)
{
    return activity->asked_ms + activity->asked_travel_ms + HF_FABRIC_ANSWER_MS +
           hf_patience_hops_ms(op->request.size);
}

/* Whether the operation was executed is not known; one that reads may be asked again. A write may
 * still be done by who reads what stands in the old connection, or by the owner it was sent on to.
 * It is not answered before nobody does it any more, or it could undo what its client does next;
 * but what is parked behind it goes on. */
static void forget_asked(struct hf_fabric *f, struct hf_activity *activity, unsigned peer)
{
    struct hf_fabric_op *op = first_parked(activity);
    if (!activity->asked || activity->asked_peer != peer || op == NULL)
        return;
    activity->asked = false;
    if (!(op->flags & HF_FABRIC_READS)) {
        unpark(op);
        op->number = activity->asked_number;
        op->deadline_ms = answered_ms(activity, op);
        hf_list_push_back(&f->adrift, &op->node);
    }
    hf_operation_advance(f, activity);
    hf_activity_settle(f, activity);
}

void hf_operation_unlinked(struct hf_fabric *f, unsigned peer)
{
    hf_activity_each(f, forget_asked, peer);
}

static void give_up(struct hf_fabric *f, struct hf_fabric_op *op)
{
    struct hf_activity *activity = hf_activity_find(f, op->id, op->hash);
    if (activity != NULL && first_parked(activity) == op)
        activity->asked = false;
    unpark(op);
    hf_operation_finish(f, op, HF_FABRIC_UNSURE);
    if (activity != NULL)
        hf_activity_settle(f, activity);
}

/* What was sent and got lost on the way must not keep up what stands behind it. */
static void advance(struct hf_fabric *f, struct hf_activity *activity, unsigned argument)
{
    struct hf_fabric_op *op = first_parked(activity);
    if (activity->asked && op != NULL && answered_ms(activity, op) <= f->now_ms)
        return give_up(f, op);
    if (!activity->asked)
        hf_operation_advance(f, activity);
    hf_activity_settle(f, activity);
}

/* A long write is not given up before it can have travelled, nor one that was sent before nobody
 * does it any more, nor a read whose question may still be under way. Looked at again, they stand
 * behind those of the same patience. */
static bool waits_on(struct hf_fabric *f, struct hf_fabric_op *op)
{
    struct hf_activity *activity = hf_activity_find(f, op->id, op->hash);
    bool reads = op->flags & HF_FABRIC_READS;
    bool sent = activity != NULL && activity->asked && first_parked(activity) == op;
    uint64_t end_ms = op->parked_ms + HF_FABRIC_WRITE_MS + hf_patience_hops_ms(op->request.size);
    if (sent && answered_ms(activity, op) > end_ms)
        end_ms = answered_ms(activity, op);
    if (reads) /* those behind it wait for the same answer */
        end_ms = activity != NULL && activity->asked
                     ? activity->asked_ms + activity->asked_travel_ms
                     : 0;
    if (end_ms <= f->now_ms)
        return false;
    op->deadline_ms = f->now_ms + (reads ? HF_FABRIC_OPERATION_MS : HF_FABRIC_WRITE_MS);
    hf_list_remove(&op->timed);
    hf_list_push_back(reads ? &f->waiting : &f->patient, &op->timed);
    return true;
}

static void expire(struct hf_fabric *f, struct hf_list *list)
{
    while (!hf_list_empty(list)) {
        struct hf_fabric_op *op = hf_container_of(list->next, struct hf_fabric_op, timed);
        if (op->deadline_ms > f->now_ms)
            break;
        if (!waits_on(f, op))
            give_up(f, op);
    }
}

static void expire_adrift(struct hf_fabric *f)
{
    struct hf_list *node = f->adrift.next;
    while (node != &f->adrift) {
        struct hf_fabric_op *op = hf_container_of(node, struct hf_fabric_op, node);
        node = node->next;
        if (op->deadline_ms > f->now_ms)
            continue;
        hf_list_remove(&op->node);
        hf_operation_finish(f, op, HF_FABRIC_UNSURE);
    }
}

void hf_operation_tick(struct hf_fabric *f)
{
    expire_adrift(f);
    expire(f, &f->waiting);
    expire(f, &f->patient);
    hf_activity_each(f, advance, 0);
}
