/* The home of a record: it alone says who owns it. Requests wait in a line for each record; the
 * first is decided anew (decide.c) whenever something was learned. */
#include "fabric/internal.h"
#include <stdlib.h>

void hf_home_reply(struct hf_fabric *f, struct hf_slice id, unsigned origin, uint64_t number,
                   enum hf_fabric_status status)
{
    struct hf_wire_message m = {.type = HF_WIRE_RESULT, .id = id, .number = number};
    m.status = (uint8_t)status;
    if (origin == f->self)
        hf_operation_result(f, f->self, &m);
    else
        hf_queue_send(f, origin, &m);
}

static struct hf_request *request_new(const struct hf_fabric *f, unsigned origin,
                                      const struct hf_wire_message *m)
{
    struct hf_request *request = calloc(1, sizeof(*request) + m->bytes.size);
    if (request == NULL)
        return NULL;
    request->origin = (uint8_t)origin;
    request->flags = m->flags;
    request->state = m->state;
    request->version = m->version;
    request->asked_ms = m->asked_ms;
    request->number = m->number;
    request->deadline_ms = f->now_ms + HF_FABRIC_OPERATION_MS;
    request->size = m->bytes.size;
    if (m->bytes.size > 0)
        memcpy(request->bytes, m->bytes.bytes, m->bytes.size);
    return request;
}

void hf_home_request(struct hf_fabric *f, unsigned origin, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    if (hf_membership_home(f, hash) != (int)f->self)
        return hf_home_reply(f, m->id, origin, m->number, HF_FABRIC_RETRY);
    if (!hf_membership_quorum(f))
        return hf_home_reply(f, m->id, origin, m->number, HF_FABRIC_UNSURE);
    struct hf_activity *activity = hf_activity_ensure(f, m->id, hash);
    struct hf_request *request = NULL;
    if (activity != NULL && activity->request_count < HF_FABRIC_REQUESTS_MAX)
        request = request_new(f, origin, m);
    if (request == NULL)
        return hf_home_reply(f, m->id, origin, m->number, HF_FABRIC_RETRY);
    hf_list_push_back(&activity->requests, &request->node);
    activity->request_count++;
    hf_home_advance(f, activity);
    if (origin != f->self)
        hf_activity_settle(f, activity);
}

static struct hf_request *first_request(struct hf_activity *activity)
{
    if (hf_list_empty(&activity->requests))
        return NULL;
    return hf_container_of(activity->requests.next, struct hf_request, node);
}

static void drop_request(struct hf_activity *activity, struct hf_request *request)
{
    hf_list_remove(&request->node);
    activity->request_count--;
    free(request);
}

void hf_home_advance(struct hf_fabric *f, struct hf_activity *activity)
{
    struct hf_request *request;
    if (activity->deciding)
        return;
    activity->deciding = true;
    while ((request = first_request(activity)) != NULL) {
        enum hf_decision decision = hf_home_decide(f, activity, request);
        if (decision == HF_DECISION_WAIT)
            break;
        if (decision == HF_DECISION_MADE)
            drop_request(activity, request);
    }
    activity->deciding = false;
}

static void learn(struct hf_fabric *f, unsigned peer, struct hf_activity *activity,
                  const struct hf_wire_message *m, bool learned)
{
    activity->waiting[peer / 64] &= ~(1ull << peer % 64);
    if (m->state == HF_RECORD_OWNER || m->state == HF_RECORD_BACKUP)
        activity->holders[peer / 64] |= 1ull << peer % 64;
    if (m->version.epoch > activity->epoch_seen)
        activity->epoch_seen = m->version.epoch;
    if (activity->step == HF_HOME_QUERYING) {
        activity->denied &= !learned;
        if (!hf_home_answered(activity))
            return;
        activity->known = !activity->lost;
    } else {
        /* Our copy, which the owner knew of, may have been dropped meanwhile. */
        bool value = hf_record_has_value(hf_record_find(f, m->id, activity->hash));
        bool last = m->flags & HF_ANSWER_SERVED || hf_membership_sure(f);
        activity->yielded = m->flags & HF_ANSWER_YIELDED && value && last;
        activity->denied = !activity->yielded && !learned;
        activity->known = false;
    }
    activity->step = HF_HOME_IDLE;
    hf_home_advance(f, activity);
}

void hf_home_answer(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    bool learned = hf_record_take(f, m->id, hash, m, m->flags & HF_ANSWER_VALUE);
    struct hf_activity *activity = hf_activity_find(f, m->id, hash);
    if (m->flags & HF_ANSWER_PULLED)
        return hf_sync_pulled(f, peer, m);
    bool waited = activity != NULL && activity->step != HF_HOME_IDLE &&
                  activity->number == m->number && activity->waiting[peer / 64] >> peer % 64 & 1;
    if (!waited)
        return;
    learn(f, peer, activity, m, learned);
    hf_activity_settle(f, activity);
}

static void send_away(struct hf_fabric *f, struct hf_activity *activity)
{
    struct hf_request *request;
    while ((request = first_request(activity)) != NULL) {
        unsigned origin = request->origin;
        uint64_t number = request->number;
        drop_request(activity, request);
        hf_home_reply(f, hf_activity_id(activity), origin, number, HF_FABRIC_RETRY);
    }
}

static void reconsider(struct hf_fabric *f, struct hf_activity *activity, unsigned argument)
{
    hf_home_forget_step(activity);
    activity->deciding = true; /* it must outlive the replies */
    if (hf_membership_home(f, activity->hash) != (int)f->self)
        send_away(f, activity);
    activity->deciding = false;
    hf_home_advance(f, activity);
    hf_activity_settle(f, activity);
}

void hf_home_reconsider(struct hf_fabric *f)
{
    hf_activity_each(f, reconsider, 0);
}

void hf_home_progress(struct hf_fabric *f, struct hf_activity *activity)
{
    bool tells = f->now_ms - activity->under_way_ms >= HF_FABRIC_UNDER_WAY_MS;
    if (tells)
        activity->under_way_ms = f->now_ms;
    HF_LIST_EACH(&activity->requests, node)
    {
        struct hf_request *request = hf_container_of(node, struct hf_request, node);
        request->deadline_ms = f->now_ms + HF_FABRIC_OPERATION_MS;
        if (tells)
            hf_home_reply(f, hf_activity_id(activity), request->origin, request->number,
                          HF_FABRIC_UNDER_WAY);
    }
}

static void expire_requests(struct hf_fabric *f, struct hf_activity *activity, unsigned argument)
{
    struct hf_request *request;
    activity->deciding = true;
    if (activity->step != HF_HOME_IDLE && f->now_ms < activity->travels_ms)
        hf_home_progress(f, activity);
    while ((request = first_request(activity)) != NULL && request->deadline_ms <= f->now_ms) {
        unsigned origin = request->origin;
        uint64_t number = request->number;
        drop_request(activity, request);
        hf_home_forget_step(activity);
        hf_home_reply(f, hf_activity_id(activity), origin, number, HF_FABRIC_RETRY);
    }
    activity->deciding = false;
    hf_home_advance(f, activity);
    hf_activity_settle(f, activity);
}

/* Who asked was told at once that nothing is known of it; done later it could undo what he does
 * meanwhile. */
static void forget_requests(struct hf_fabric *f, struct hf_activity *activity, unsigned origin)
{
    struct hf_list *node = activity->requests.next;
    if (activity->deciding)
        return;
    while (node != &activity->requests) {
        struct hf_request *request = hf_container_of(node, struct hf_request, node);
        node = node->next;
        if (request->origin != origin)
            continue;
        if (request == first_request(activity))
            hf_home_forget_step(activity);
        drop_request(activity, request);
    }
    hf_home_advance(f, activity);
    hf_activity_settle(f, activity);
}

void hf_home_unlinked(struct hf_fabric *f, unsigned peer)
{
    hf_activity_each(f, forget_requests, peer);
}

void hf_home_tick(struct hf_fabric *f)
{
    hf_activity_each(f, expire_requests, 0);
}
