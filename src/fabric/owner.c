/* Serving a record: executing, taking over, handing over. */
#include "fabric/internal.h"
#include <stdlib.h>

struct made { /* an operation of our own making: for another node, or a release */
    struct hf_fabric_op op;
    struct hf_version version;
    uint8_t released[HF_FABRIC_TARGETS_MAX + 1];
    unsigned released_count;
    char *reply;  /* owned */
    char bytes[]; /* id, then request */
};

static struct made *make(struct hf_slice id, uint64_t hash, struct hf_slice request, uint8_t flags)
{
    struct made *made = calloc(1, sizeof(*made) + id.size + request.size);
    if (made == NULL)
        return NULL;
    memcpy(made->bytes, id.bytes, id.size);
    if (request.size > 0)
        memcpy(made->bytes + id.size, request.bytes, request.size);
    made->op.id = hf_slice(made->bytes, id.size);
    made->op.request = hf_slice(made->bytes + id.size, request.size);
    made->op.hash = hash;
    made->op.flags = flags;
    return made;
}

static void finish_release(struct hf_fabric *f, struct made *made, enum hf_fabric_status status)
{
    struct hf_wire_message m = {.id = made->op.id, .kind = HF_WIRE_RELEASE};
    uint8_t lane;
    m.version = made->version;
    m.state = HF_RECORD_BACKUP;
    m.node = (uint16_t)f->self;
    if (made->op.missed)
        status = HF_FABRIC_DEGRADED; /* what they hold may be the only copies */
    for (unsigned i = 0; i < made->released_count && status == HF_FABRIC_OK; i++)
        hf_queue_replicate(f, made->released[i], &m, &lane);
    free(made);
}

static void finish_remote(struct hf_fabric *f, struct made *made, enum hf_fabric_status status)
{
    struct hf_wire_message m = {.type = HF_WIRE_RESULT, .number = made->op.number};
    unsigned origin = made->op.origin;
    m.status = (uint8_t)status;
    m.id = made->op.id;
    m.bytes = made->op.reply;
    if (origin == f->self)
        hf_operation_result(f, f->self, &m);
    else
        hf_queue_send(f, origin, &m);
    free(made->reply);
    free(made);
}

void hf_owner_under_way(struct hf_fabric *f, struct hf_fabric_op *op)
{
    if (op->flags & HF_OP_REMOTE)
        hf_home_reply(f, op->id, op->origin, op->number, HF_FABRIC_UNDER_WAY);
}

void hf_owner_finish(struct hf_fabric *f, struct hf_fabric_op *op, enum hf_fabric_status status)
{
    struct made *made = hf_container_of(op, struct made, op);
    op->status = (uint8_t)status;
    if (op->flags & HF_OP_RELEASE)
        finish_release(f, made, status);
    else if (op->held == NULL || !f->host.hold(f->host.user, op))
        finish_remote(f, made, status);
}

void hf_owner_resume(struct hf_fabric *f, struct hf_fabric_op *op)
{
    finish_remote(f, hf_container_of(op, struct made, op), (enum hf_fabric_status)op->status);
}

void hf_owner_tell_end(struct hf_fabric *f, struct hf_slice id, struct hf_version version)
{
    uint8_t targets[HF_FABRIC_TARGETS_MAX], lane;
    unsigned count = hf_membership_targets(f, hf_rank_hash(id), f->self, targets);
    bool remember = version.sequence > 0 && hf_membership_missing(f);
    hf_ended_note(f, hf_rank_hash(id), version);
    for (unsigned i = 0; i < count; i++) {
        struct hf_wire_message m = {.id = id, .base = version, .version = version};
        m.kind = remember ? HF_WIRE_DELETED : HF_WIRE_GONE;
        m.state = remember ? HF_RECORD_TOMB : HF_RECORD_OWNER;
        m.node = (uint16_t)f->self;
        if (remember)
            m.version.sequence = HF_FABRIC_EXPIRED;
        hf_queue_replicate(f, targets[i], &m, &lane);
    }
}

void hf_owner_expire(struct hf_fabric *f, struct hf_fabric_record *record)
{
    hf_owner_tell_end(f, f->store.id(f->store.user, record), record->version);
    hf_record_remove(f, record);
}

struct hf_fabric_record *hf_owner_find(struct hf_fabric *f, struct hf_slice id, uint64_t hash)
{
    struct hf_fabric_record *record = hf_record_find(f, id, hash);
    if (!hf_fabric_serves(f, record, hash, f->now_ms))
        return record;
    if (record->deadline_ms == 0 || record->deadline_ms > f->now_ms)
        return record;
    hf_owner_expire(f, record);
    return NULL;
}

static void replicate_change(struct hf_fabric *f, struct hf_fabric_record *record,
                             struct hf_fabric_op *op, const struct hf_fabric_outcome *outcome)
{
    struct hf_wire_message m = {.kind = HF_WIRE_IMAGE, .base = record->version};
    bool first = record->version.sequence == 0;
    record->version.sequence++;
    if (outcome->change == HF_FABRIC_DELETED) {
        m.kind = HF_WIRE_DELETED;
        op->deletes = op->wants_all = true;
        f->store.clear(f->store.user, record);
        record->state = HF_RECORD_TOMB;
        record->deadline_ms = f->now_ms + HF_FABRIC_TOMB_MS;
    } else if (!first && outcome->delta.size > 0) {
        m.kind = HF_WIRE_CHANGE;
        m.bytes = outcome->delta;
    }
    hf_copies_out(f, record, op, &m);
    hf_copies_wait(f, op);
}

static void read_done(struct hf_fabric *f, struct hf_fabric_op *op)
{
    struct hf_fabric_op *write = hf_copies_unconfirmed(f, op);
    if (write == NULL || f->settings.acknowledge_memory)
        return hf_copies_finish(f, op, HF_FABRIC_OK);
    if (write->guards)
        return hf_copies_finish(f, op, HF_FABRIC_UNSURE);
    hf_operation_keep(f, op);
    hf_list_push_back(&write->followers, &op->node);
}

static void keep_reply(struct made *made, struct hf_slice reply)
{
    if (reply.size == 0)
        return;
    made->reply = malloc(reply.size);
    if (made->reply == NULL)
        return;
    memcpy(made->reply, reply.bytes, reply.size);
    made->op.reply = hf_slice(made->reply, reply.size);
}

void hf_owner_execute(struct hf_fabric *f, struct hf_fabric_record *record, struct hf_fabric_op *op)
{
    struct hf_fabric_outcome outcome = {.deadline_ms = record->deadline_ms};
    hf_copies_init(op);
    if (op->takes)
        return hf_copies_finish(f, op, HF_FABRIC_OK);
    f->store.execute(f->store.user, record, op, &outcome);
    if (op->flags & HF_OP_REMOTE)
        keep_reply(hf_container_of(op, struct made, op), outcome.reply);
    record->deadline_ms = outcome.deadline_ms;
    if (outcome.change == HF_FABRIC_EMPTY) {
        hf_owner_expire(f, record);
        return hf_copies_finish(f, op, HF_FABRIC_OK);
    }
    if (outcome.change == HF_FABRIC_NOTHING)
        return read_done(f, op);
    replicate_change(f, record, op, &outcome);
}

void hf_owner_execute_for(struct hf_fabric *f, struct hf_fabric_record *record, unsigned origin,
                          const struct hf_wire_message *m)
{
    uint8_t flags = (uint8_t)((m->flags & (HF_OP_REFUSED - 1)) | HF_OP_REMOTE);
    if (!(flags & HF_FABRIC_READS) && hf_patience_over(f, m->asked_ms, m->bytes.size)) {
        f->counts.late++;
        return hf_home_reply(f, m->id, origin, m->number, HF_FABRIC_LATE);
    }
    struct made *made = make(m->id, hf_rank_hash(m->id), m->bytes, flags);
    if (made == NULL)
        return;
    made->op.origin = (uint8_t)origin;
    made->op.number = m->number;
    f->counts.relayed++;
    hf_owner_execute(f, record, &made->op);
}

/* Copies that the new owner's backups do not need go once those have theirs. */
static void release_old(struct hf_fabric *f, struct made *made, unsigned old_owner)
{
    uint8_t old[HF_FABRIC_TARGETS_MAX + 1];
    unsigned count = hf_membership_targets(f, made->op.hash, old_owner, old);
    if (old_owner < f->rank->count)
        old[count++] = (uint8_t)old_owner;
    for (unsigned i = 0; i < count; i++)
        if (old[i] != f->self && !hf_membership_holds(f, made->op.hash, f->self, old[i]))
            made->released[made->released_count++] = old[i];
}

static void establish(struct hf_fabric *f, struct hf_fabric_record *record,
                      const struct hf_wire_message *grant, struct made *made, bool kept)
{
    struct hf_wire_message m = {.kind = HF_WIRE_CHANGE, .base = grant->base};
    uint8_t targets[HF_FABRIC_TARGETS_MAX];
    unsigned granter = grant->status;
    unsigned count = hf_membership_targets(f, made->op.hash, f->self, targets);
    if (kept)
        m.kind = HF_WIRE_IMAGE;
    for (unsigned i = 0; i < count; i++) {
        if (targets[i] == granter && !kept)
            continue; /* it has what it granted */
        if (hf_copies_send(f, record, made->op.id, targets[i], &m))
            hf_copies_need(f, &made->op, targets[i], m.status, m.number);
        else
            made->op.missed = true;
    }
}

/* Ours wins over what the granter has under the version that it granted, wherever they meet. */
static struct hf_version kept_version(struct hf_version ours, struct hf_version granted)
{
    uint32_t sequence = ours.sequence > granted.sequence ? ours.sequence : granted.sequence;
    return (struct hf_version){.epoch = granted.epoch,
                               .sequence = sequence + 1,
                               .birth = ours.birth > granted.birth ? ours.birth : granted.birth};
}

/* `grant->status` holds the granter's number: the caller puts it there. */
void hf_owner_install(struct hf_fabric *f, struct hf_fabric_record *record, struct hf_slice id,
                      uint64_t hash, const struct hf_wire_message *grant)
{
    struct hf_slice none = {0};
    bool fresh = grant->state == HF_RECORD_POINTER;
    bool kept =
        !fresh && hf_record_has_value(record) && !hf_version_equal(record->version, grant->base);
    record->version = kept ? kept_version(record->version, grant->version) : grant->version;
    hf_record_saw_epoch(f, record->version.epoch);
    record->state = HF_RECORD_OWNER;
    record->owner = (uint16_t)f->self;
    record->generation = f->generation;
    if (fresh)
        return;
    struct made *made = make(id, hash, none, HF_OP_RELEASE);
    if (made == NULL)
        return; /* the next resync makes up for it */
    hf_copies_init(&made->op);
    made->version = record->version;
    made->op.wants_all = true;
    establish(f, record, grant, made, kept);
    release_old(f, made, grant->node);
    if (made->op.need_count == 0)
        hf_copies_finish(f, &made->op, HF_FABRIC_OK);
    else
        hf_copies_wait(f, &made->op);
}

/* A change of nothing: whoever does not hold what we do says so, and gets it. */
void hf_owner_relieve(struct hf_fabric *f, struct hf_fabric_record *record, unsigned peer)
{
    struct hf_slice none = {0}, id = f->store.id(f->store.user, record);
    struct hf_wire_message m = {.kind = HF_WIRE_CHANGE, .base = record->version};
    struct made *made = make(id, hf_rank_hash(id), none, HF_OP_RELEASE);
    if (made == NULL)
        return; /* the next resync makes up for it */
    hf_copies_init(&made->op);
    made->version = record->version;
    made->op.wants_all = true;
    made->released[made->released_count++] = (uint8_t)peer;
    hf_copies_out(f, record, &made->op, &m);
    made->op.missed |= made->op.need_count == 0;
    hf_copies_wait(f, &made->op);
}

void hf_owner_guard(struct hf_fabric *f, struct hf_fabric_op *op)
{
    struct hf_fabric_record *record = hf_record_find(f, op->id, op->hash);
    struct hf_slice none = {0};
    if (!hf_record_owned(f, record) && !op->deletes)
        return;
    struct made *made = make(op->id, op->hash, none, HF_OP_RELEASE);
    if (made == NULL) { /* then nobody is served before the home has decided anew */
        record->state = op->deletes ? record->state : HF_RECORD_BACKUP;
        return;
    }
    hf_copies_init(&made->op);
    made->op.deletes = op->deletes;
    made->op.guards = true;
    hf_copies_guard(f, &made->op, op);
}

/* Stops serving and tells what we hold. Asked again, we answer again. */
void hf_owner_transfer(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    struct hf_fabric_record *record = hf_record_find(f, m->id, hash);
    hf_operation_outdated(f, hf_activity_find(f, m->id, hash), peer);
    struct hf_wire_message answer = {.type = HF_WIRE_ANSWER, .number = m->number, .id = m->id};
    if (hf_record_owned(f, record) && record->deadline_ms != 0 &&
        record->deadline_ms <= f->now_ms) {
        hf_owner_expire(f, record);
        record = NULL;
    }
    bool served = hf_record_owned(f, record); /* or what we hold was brought back to us */
    bool evicted = !served && hf_evicted_covers(f, hf_digest_bucket(hash));
    if (served)
        hf_copies_yielded(f, m->id, hash);
    if (record != NULL && record->state == HF_RECORD_OWNER)
        record->state = HF_RECORD_BACKUP;
    record = hf_record_find(f, m->id, hash); /* nothing was made of it: then it is gone */
    bool ours = record != NULL && record->owner == f->self && record->state != HF_RECORD_TOMB;
    ours &= !evicted;
    bool value = hf_record_has_value(record) && !hf_version_equal(record->version, m->version);
    hf_record_describe(f, record, value, &answer);
    answer.flags = (uint8_t)((ours ? HF_ANSWER_YIELDED : 0) | (value ? HF_ANSWER_VALUE : 0) |
                             (served ? HF_ANSWER_SERVED : 0));
    hf_queue_send(f, peer, &answer);
}

/* A home that asks everybody is about to decide: what another home is still to grant us comes too
 * late from here on. */
void hf_owner_query(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    struct hf_fabric_record *record = hf_record_find(f, m->id, hash);
    struct hf_activity *activity = hf_activity_find(f, m->id, hash);
    struct hf_wire_message answer = {.type = HF_WIRE_ANSWER, .number = m->number, .id = m->id};
    hf_operation_outdated(f, activity, peer);
    bool newer =
        hf_version_compare((enum hf_record_state)hf_record_state(record), hf_record_version(record),
                           (enum hf_record_state)m->state, m->version) > 0;
    bool value = hf_record_has_value(record) && (newer || m->state == HF_RECORD_POINTER);
    hf_record_describe(f, record, value, &answer);
    answer.flags = value ? HF_ANSWER_VALUE : 0;
    hf_queue_send(f, peer, &answer);
}

void hf_owner_relay(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    struct hf_fabric_record *record = hf_owner_find(f, m->id, hash);
    struct hf_wire_message retry = {
        .type = HF_WIRE_RESULT, .number = m->number, .id = m->id, .status = HF_FABRIC_RETRY};
    if (m->node >= f->rank->count || m->node == f->self)
        return;
    if (hf_record_owned(f, record) && hf_membership_leased(f, hash))
        hf_owner_execute_for(f, record, m->node, m);
    else
        hf_queue_send(f, m->node, &retry);
}
