/* What the home of a record decides about a request, with all that is known now. */
#include "fabric/internal.h"

/* Asks everybody alive, joining nodes and leaving ones too. */
static void start_query(struct hf_fabric *f, struct hf_activity *activity,
                        const struct hf_fabric_record *record)
{
    struct hf_wire_message m = {.type = HF_WIRE_QUERY, .id = hf_activity_id(activity)};
    m.state = hf_record_state(record);
    m.version = hf_record_version(record);
    m.number = activity->number = ++f->number;
    uint64_t travel_ms;
    memset(activity->waiting, 0, sizeof(activity->waiting));
    activity->step = HF_HOME_QUERYING;
    f->counts.queries++;
    activity->hearsay = record == NULL;
    activity->travels_ms = 0;
    activity->lost = false;
    for (unsigned i = 0; i < f->rank->count; i++) {
        if (i == f->self || !hf_membership_alive(f, i))
            continue;
        activity->waiting[i / 64] |= 1ull << i % 64;
        hf_patience_send(f, i, &m, &travel_ms);
        if (f->now_ms + travel_ms > activity->travels_ms)
            activity->travels_ms = f->now_ms + travel_ms;
    }
}

bool hf_home_answered(const struct hf_activity *activity)
{
    uint64_t left = 0;
    for (unsigned i = 0; i < HF_RANK_NODES_MAX / 64; i++)
        left |= activity->waiting[i];
    return left == 0;
}

static void start_transfer(struct hf_fabric *f, struct hf_activity *activity,
                           const struct hf_fabric_record *record, unsigned to)
{
    struct hf_wire_message m = {.type = HF_WIRE_TRANSFER, .id = hf_activity_id(activity)};
    m.number = activity->number = ++f->number;
    m.node = (uint16_t)to;
    bool wanted = record->state == HF_RECORD_POINTER || hf_record_passing(f, record);
    m.version = wanted ? (struct hf_version){0} : record->version;
    memset(activity->waiting, 0, sizeof(activity->waiting));
    activity->waiting[record->owner / 64] |= 1ull << record->owner % 64;
    activity->step = HF_HOME_TRANSFERRING;
    uint64_t travel_ms;
    hf_patience_send(f, record->owner, &m, &travel_ms);
    activity->travels_ms = f->now_ms + travel_ms;
}

void hf_home_forget_step(struct hf_activity *activity)
{
    activity->step = HF_HOME_IDLE;
    activity->known = activity->yielded = activity->denied = activity->hearsay = false;
    memset(activity->holders, 0, sizeof(activity->holders));
}

/* Joining nodes that will be the home learn of what is decided before they are. */
static void note(struct hf_fabric *f, struct hf_fabric_record *record, uint64_t hash,
                 struct hf_version base)
{
    struct hf_rank_walk walk;
    struct hf_slice none = {0};
    int node;
    hf_rank_walk_init(&walk, f->rank, hash);
    while ((node = hf_rank_walk_next(&walk)) >= 0 && (unsigned)node != f->self)
        if (hf_membership_alive(f, (unsigned)node))
            hf_copies_replicate(f, record, (unsigned)node, HF_WIRE_NOTE, base, none);
}

static void send_grant(struct hf_fabric *f, struct hf_slice id, unsigned to,
                       struct hf_wire_message *grant)
{
    grant->type = HF_WIRE_GRANT;
    grant->id = id;
    if (to == f->self)
        hf_operation_grant(f, f->self, grant);
    else
        hf_queue_send(f, to, grant);
}

/* A node that is cut off grants on until its leases end. What the larger part grants afterwards
 * must win over that when they meet, so the first epoch after it fell silent leaps ahead; that was
 * done for a record is remembered, and forgotten for another in its place, which costs one more. */
uint32_t hf_home_epoch(struct hf_fabric *f, uint64_t hash, uint32_t epoch)
{
    struct hf_leap *leap = &f->leaps[hash % HF_FABRIC_BRAKES];
    bool leaped = leap->hash == hash && leap->outage == f->outage;
    if (f->settings.consistent && !leaped && hf_membership_missing(f)) {
        *leap = (struct hf_leap){hash, f->outage};
        epoch += HF_FABRIC_LEAP << HF_FABRIC_GRANTER_BITS;
    }
    epoch = hf_record_next_epoch(epoch, f->self);
    hf_record_saw_epoch(f, epoch);
    return epoch;
}

static uint32_t next_epoch(struct hf_fabric *f, const struct hf_activity *activity,
                           const struct hf_fabric_record *record, uint32_t requested)
{
    uint32_t most = f->epoch_high[hf_digest_bucket(activity->hash)];
    uint32_t known = hf_record_version(record).epoch;
    most = known > most ? known : most;
    most = activity->epoch_seen > most ? activity->epoch_seen : most;
    most = requested > most ? requested : most;
    return hf_home_epoch(f, activity->hash, most);
}

/* Whom the new owner relieves of its copy once others have theirs: the owner before it. When that
 * is itself, because it never took its grant, one that said it holds a copy and is not to. */
static unsigned holder_before(const struct hf_fabric *f, const struct hf_activity *activity,
                              const struct hf_fabric_record *record, unsigned to)
{
    for (unsigned i = 0; record->owner == to && i < f->rank->count; i++)
        if (activity->holders[i / 64] >> i % 64 & 1 && hf_membership_alive(f, i) &&
            !hf_membership_holds(f, activity->hash, to, i))
            return i;
    return record->owner;
}

/* The requester gets our copy, unless it has the same. */
static void grant_value(struct hf_fabric *f, struct hf_activity *activity,
                        struct hf_fabric_record *record, const struct hf_request *request)
{
    struct hf_wire_message grant = {.number = request->number};
    unsigned to = request->origin;
    bool has = (request->state == HF_RECORD_BACKUP || request->state == HF_RECORD_OWNER) &&
               hf_version_equal(request->version, record->version);
    hf_record_describe(f, record, !has && to != f->self, &grant);
    grant.base = record->version;
    grant.state = has || to == f->self ? HF_RECORD_NONE : HF_RECORD_BACKUP;
    grant.version.epoch = next_epoch(f, activity, record, request->version.epoch);
    bool promoted = record->owner < f->rank->count && !hf_membership_alive(f, record->owner);
    f->counts.promotions += promoted;
    if (!promoted && record->owner != to)
        hf_brake_moved(f, activity->hash);
    grant.node = (uint16_t)holder_before(f, activity, record, to);
    hf_home_forget_step(activity);
    if (to != f->self) {
        record->version = grant.version;
        record->owner = (uint16_t)to;
        record->state = HF_RECORD_BACKUP;
    }
    struct hf_version base = grant.base;
    send_grant(f, hf_activity_id(activity), to, &grant);
    record = hf_record_find(f, hf_activity_id(activity), activity->hash);
    if (record != NULL)
        note(f, record, activity->hash, base);
}

static void grant_fresh(struct hf_fabric *f, struct hf_activity *activity,
                        const struct hf_request *request)
{
    struct hf_slice id = hf_activity_id(activity);
    struct hf_fabric_record *record = hf_record_ensure(f, id, activity->hash);
    struct hf_wire_message grant = {.number = request->number, .state = HF_RECORD_POINTER};
    unsigned to = request->origin;
    if (record == NULL)
        return hf_home_reply(f, id, to, request->number, HF_FABRIC_FULL);
    uint32_t epoch = next_epoch(f, activity, record, request->version.epoch);
    grant.version = (struct hf_version){.epoch = epoch, .birth = epoch};
    grant.node = HF_FABRIC_NOBODY;
    if (record->state == HF_RECORD_TOMB) /* forgotten, should nothing come of this grant */
        hf_ended_note(f, activity->hash, record->version);
    hf_home_forget_step(activity);
    if (to != f->self) {
        f->store.clear(f->store.user, record);
        record->state = HF_RECORD_POINTER;
        record->deadline_ms = 0;
        record->version = grant.version;
        record->owner = (uint16_t)to;
    }
    send_grant(f, id, to, &grant);
    record = hf_record_find(f, id, activity->hash);
    if (record != NULL)
        note(f, record, activity->hash, (struct hf_version){0});
}

/* Known to be nowhere, or deleted. */
static void decide_absent(struct hf_fabric *f, struct hf_activity *activity,
                          struct hf_fabric_record *record, const struct hf_request *request)
{
    bool tomb = hf_record_state(record) == HF_RECORD_TOMB;
    bool deleted = tomb && record->version.sequence != HF_FABRIC_EXPIRED;
    enum hf_fabric_status status = HF_FABRIC_MISS;
    if (!tomb && record != NULL) {
        f->counts.lost += record->version.sequence > 0 && record->state == HF_RECORD_POINTER &&
                          !activity->hearsay;
        if (record->state != HF_RECORD_POINTER) /* its time was over */
            hf_ended_note(f, activity->hash, record->version);
        hf_record_remove(f, record);
    }
    if (deleted && (request->flags & HF_FABRIC_CREATES) && !(request->flags & HF_FABRIC_OVER_TOMB))
        status = HF_FABRIC_DROPPED;
    else if (request->flags & HF_FABRIC_CREATES)
        return grant_fresh(f, activity, request);
    hf_home_forget_step(activity);
    hf_home_reply(f, hf_activity_id(activity), request->origin, request->number, status);
}

/* The home takes the record itself when the requester may not. */
void hf_home_adopt(struct hf_fabric *f, struct hf_fabric_record *record, struct hf_slice id,
                   uint64_t hash)
{
    struct hf_wire_message grant = {.type = HF_WIRE_GRANT};
    hf_record_describe(f, record, false, &grant);
    grant.base = record->version;
    hf_record_forget_epoch(f, hash, record->version.epoch);
    grant.version.epoch = hf_home_epoch(f, hash, f->epoch_high[hf_digest_bucket(hash)]);
    grant.status = (uint8_t)f->self;
    grant.state = HF_RECORD_NONE;
    f->counts.promotions++;
    hf_owner_install(f, record, id, hash, &grant);
    note(f, record, hash, grant.base);
}

/* Who only wants to own it asks for nothing to be executed. */
static bool refuses_to_move(struct hf_fabric *f, struct hf_activity *activity,
                            const struct hf_request *request)
{
    if (request->size > 0)
        return false;
    hf_home_reply(f, hf_activity_id(activity), request->origin, request->number, HF_FABRIC_UNSURE);
    return true;
}

static void execute_here(struct hf_fabric *f, struct hf_activity *activity,
                         struct hf_fabric_record *record, const struct hf_request *request)
{
    if (refuses_to_move(f, activity, request))
        return;
    struct hf_wire_message m = {.number = request->number, .flags = request->flags};
    m.asked_ms = request->asked_ms;
    m.id = hf_activity_id(activity);
    m.bytes = hf_slice(request->bytes, request->size);
    hf_owner_execute_for(f, record, request->origin, &m);
}

static bool wants_pull(struct hf_fabric *f, const struct hf_activity *activity,
                       const struct hf_request *request)
{
    bool pinned = hf_brake_pinned(f, activity->hash);
    bool acquires = request->flags & HF_FABRIC_ACQUIRES && !(request->flags & HF_FABRIC_STAYS);
    f->counts.braked += acquires && pinned;
    return acquires && !pinned;
}

/* We own it: we serve the requester, or give it away. */
static enum hf_decision decide_owned(struct hf_fabric *f, struct hf_activity *activity,
                                     struct hf_fabric_record *record,
                                     const struct hf_request *request)
{
    if (request->origin == f->self) { /* it became ours meanwhile */
        hf_home_reply(f, hf_activity_id(activity), f->self, request->number, HF_FABRIC_RETRY);
        return HF_DECISION_MADE;
    }
    if (record->deadline_ms != 0 && record->deadline_ms <= f->now_ms) {
        hf_owner_expire(f, record);
        return HF_DECISION_AGAIN;
    }
    if (!wants_pull(f, activity, request)) {
        execute_here(f, activity, record, request);
        return HF_DECISION_MADE;
    }
    hf_copies_yielded(f, hf_activity_id(activity), activity->hash);
    record->state = HF_RECORD_BACKUP;
    activity->yielded = true;
    return HF_DECISION_AGAIN;
}

static enum hf_decision decide_elsewhere(struct hf_fabric *f, struct hf_activity *activity,
                                         struct hf_fabric_record *record,
                                         const struct hf_request *request)
{
    if (record->owner == request->origin) { /* it does not serve, or it would not ask */
        /* But it may have yielded to a home that is cut off now, and granted it further. */
        activity->yielded = hf_version_equal(record->version, request->version) &&
                            request->state != HF_RECORD_POINTER && hf_membership_sure(f);
        activity->denied = !activity->yielded;
        return HF_DECISION_AGAIN;
    }
    if (request->flags & HF_OP_REFUSED || wants_pull(f, activity, request)) {
        start_transfer(f, activity, record, request->origin);
        return HF_DECISION_WAIT;
    }
    if (refuses_to_move(f, activity, request) ||
        hf_relay_send(f, hf_activity_id(activity), record->owner, request))
        return HF_DECISION_MADE;
    return HF_DECISION_WAIT; /* for a link, its first heartbeat, or room in its queue */
}

static bool requester_knows_more(struct hf_fabric *f, uint64_t hash,
                                 const struct hf_fabric_record *record,
                                 const struct hf_request *request)
{
    struct hf_wire_message m = {.state = request->state, .version = request->version};
    return hf_record_loses(record, &m) &&
           !(!hf_record_has_value(record) && hf_ended_covers(f, hash, &m));
}

/* All that is known anywhere is known here; but not of what the store dropped for room: its owner,
 * or another, may still have it. A tombstone may be that of one before it, and so may a pointer to
 * where nothing is, or a copy that somebody brought back since. The owner itself would know. */
static bool knows_all(const struct hf_fabric *f, const struct hf_activity *activity,
                      const struct hf_fabric_record *record, unsigned origin)
{
    unsigned bucket = hf_digest_bucket(activity->hash);
    uint8_t state = hf_record_state(record);
    bool absent = state == HF_RECORD_NONE || state == HF_RECORD_TOMB;
    bool owner_tells = !absent && record->owner != f->self && record->owner != origin &&
                       hf_membership_alive(f, record->owner);
    bool evicted = !owner_tells && hf_evicted_covers(f, bucket);
    return activity->known || (hf_fabric_complete(f) && !activity->denied && !evicted);
}

/* One look at the first request, with all that is known now. */
enum hf_decision hf_home_decide(struct hf_fabric *f, struct hf_activity *activity,
                                struct hf_request *request)
{
    struct hf_fabric_record *record = hf_record_find(f, hf_activity_id(activity), activity->hash);
    bool sure = knows_all(f, activity, record, request->origin);
    if (activity->step != HF_HOME_IDLE || !hf_membership_leased(f, activity->hash))
        return HF_DECISION_WAIT; /* for an answer; or another may be the home by now */
    if (hf_record_owned(f, record))
        return decide_owned(f, activity, record, request);
    if (!activity->yielded &&
        (!sure || (!activity->known && requester_knows_more(f, activity->hash, record, request)))) {
        start_query(f, activity, record);
        return hf_home_answered(activity)
                   ? (activity->step = HF_HOME_IDLE, activity->known = true, HF_DECISION_AGAIN)
                   : HF_DECISION_WAIT;
    }
    uint8_t state = hf_record_state(record);
    bool absent = state == HF_RECORD_NONE || state == HF_RECORD_TOMB;
    bool doubtful =
        f->settings.consistent && hf_copies_pending(f, hf_activity_id(activity), activity->hash);
    if (absent && (doubtful || !hf_membership_sure(f)))
        return HF_DECISION_WAIT; /* for who lives; or for word of our own delete */
    if (absent)
        return decide_absent(f, activity, record, request), HF_DECISION_MADE;
    bool lives = record->owner != f->self && hf_membership_alive(f, record->owner);
    if (lives && !activity->yielded && !activity->denied)
        return decide_elsewhere(f, activity, record, request);
    if (!activity->yielded && !hf_membership_sure(f))
        return HF_DECISION_WAIT;
    bool expired = record->deadline_ms != 0 && record->deadline_ms <= f->now_ms;
    if (state == HF_RECORD_POINTER || expired)
        return decide_absent(f, activity, record, request), HF_DECISION_MADE;
    if (request->flags & HF_FABRIC_STAYS && request->origin != f->self) {
        hf_home_adopt(f, record, hf_activity_id(activity), activity->hash);
        hf_home_forget_step(activity);
        return HF_DECISION_AGAIN;
    }
    grant_value(f, activity, record, request);
    return HF_DECISION_MADE;
}
