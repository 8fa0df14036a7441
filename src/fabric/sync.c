/* Making two nodes know the same, after anything that may have kept them from it: sums over 1,024
 * buckets find where they differ, lists of versions find what, and only that is fetched. Who was
 * told all under one view is told under the next only of records that a node which came or went has
 * to do with: the owner, home and backups of all the rest are who they were. */
#include "fabric/internal.h"
#include <stdlib.h>

enum { SUM_BYTES = HF_FABRIC_BUCKETS * 10 };

/* Both may hold it, or one is its home: what the pair has to agree about. */
static bool concerns(const struct hf_fabric *f, const struct hf_fabric_record *record,
                     uint64_t hash, unsigned peer)
{
    return hf_membership_home(f, hash) == (int)peer ||
           hf_membership_holds(f, hash, record->owner, peer);
}

static uint64_t hash_of(struct hf_fabric *f, const struct hf_fabric_record *record)
{
    return hf_rank_hash(f->store.id(f->store.user, record));
}

void hf_sync_fini(struct hf_sync *sync)
{
    free(sync->sums);
    free(sync->theirs);
    sync->sums = sync->theirs = NULL;
    hf_survey_leave(sync);
}

void hf_sync_summed(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    struct hf_wire_message m = {.type = HF_WIRE_DIGEST, .view = s->view, .number = s->number};
    char bytes[SUM_BYTES];
    size_t used = 0;
    for (unsigned i = 0; i < HF_FABRIC_BUCKETS; i++)
        if (s->sums[i] != 0)
            REQUIRE(hf_wire_put_sum((uint16_t)i, s->sums[i], bytes, sizeof(bytes), &used));
    m.bytes = hf_slice(bytes, used);
    m.flags = s->asks ? HF_SYNC_TELL : 0;
    s->step = hf_queue_send(f, peer, &m) ? HF_SYNC_ASKED : HF_SYNC_IDLE;
    s->wanted |= s->step == HF_SYNC_IDLE;
    s->asks &= s->step == HF_SYNC_IDLE;
}

static void begin(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    bool unended = s->step != HF_SYNC_IDLE && s->tells_whole;
    s->owes |= s->settles;
    s->wanted = false;
    s->tells_whole = s->whole || unended || s->base == 0;
    s->whole = s->tells_whole && s->agains > 0;
    s->view = f->view;
    s->number = s->tells_whole ? ++f->number : s->base;
    s->settles = s->owes && s->tells_whole;
    s->owes &= !s->settles;
    s->listed = 0;
    s->summed = s->lists = false; /* the walk under way began too early */
    s->progress_ms = f->now_ms;
    s->step = s->tells_whole ? HF_SYNC_SUMMING : HF_SYNC_LISTING;
    if (s->tells_whole || hf_rank_any(s->changed))
        return;
    s->step = HF_SYNC_IDLE;
    if (s->base != s->view)
        hf_sync_list(f, peer, true);
}

/* What follows from an end is told again when a change that the peer saw later has been seen by
 * all; unless that is so much that sums are the shorter way. */
static void ended(struct hf_fabric *f, struct hf_sync *s)
{
    s->base = s->view;
    s->settles = false;
    if (s->agains > 0)
        s->whole |= !s->tells_whole && s->listed > HF_FABRIC_SYNC_RELISTED;
    else if (s->view == f->view)
        memset(s->changed, 0, sizeof(s->changed));
}

void hf_sync_list(struct hf_fabric *f, unsigned peer, bool last)
{
    struct hf_sync *s = &f->peers[peer].sync;
    struct hf_wire_message m = {.type = HF_WIRE_VERSIONS, .view = s->view, .number = s->number};
    m.bytes = hf_slice(s->list, s->list_size);
    m.flags = (uint8_t)((last ? HF_SYNC_LAST : 0) | (s->tells_whole ? 0 : HF_SYNC_CHANGES));
    s->step = last ? HF_SYNC_IDLE : HF_SYNC_LISTED;
    s->list_size = 0;
    bool nothing = last && !s->tells_whole && s->listed == 0 && s->base == s->view;
    bool sent = nothing || hf_queue_send(f, peer, &m);
    s->wanted |= !sent;
    s->whole |= !sent && s->tells_whole;
    if (sent && last)
        ended(f, s);
}

/* What was sent before the peer had learned of the change it dropped as not meant for it. */
static bool again(const struct hf_fabric *f, struct hf_sync *s)
{
    if (s->agains == 0 || f->now_ms < s->again_ms)
        return false;
    s->agains--;
    s->again_ms = f->now_ms + 3 * HF_FABRIC_SYNC_AGAIN_MS;
    return true;
}

/* Of many nodes that come or go at once each changes the view, under which all would be compared.
 */
static bool quiet(const struct hf_fabric *f)
{
    return f->now_ms - f->changed_ms >= (uint64_t)HF_FABRIC_NODE_QUIET_MS * f->rank->count ||
           f->now_ms - f->restless_ms >= HF_FABRIC_QUIET_MS_MAX;
}

/* Whatever went astray because nodes saw a change at different times is found at last. The more
 * nodes, the more pairs of them, and the later. */
static uint64_t whole_after_ms(const struct hf_fabric *f)
{
    uint64_t ms = (uint64_t)HF_FABRIC_SYNC_AGAIN_MS * f->rank->count / HF_FABRIC_SYNC_WHOLE_NODES;
    return ms > HF_FABRIC_SYNC_AGAIN_MS ? ms : HF_FABRIC_SYNC_AGAIN_MS;
}

static void tell(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    s->wanted |= again(f, s);
    if (s->whole_ms != 0 && f->now_ms >= s->whole_ms) {
        s->whole_ms = 0;
        s->wanted = s->whole = true;
    }
    bool stuck = s->step != HF_SYNC_IDLE && f->now_ms > s->progress_ms + HF_FABRIC_SYNC_RETRY_MS;
    bool starts = s->wanted && (s->step == HF_SYNC_IDLE || s->view != f->view);
    if ((stuck || starts) && quiet(f))
        begin(f, peer);
    if (s->step == HF_SYNC_SUMMING || s->step == HF_SYNC_LISTING)
        s->progress_ms = f->now_ms;
}

/* What is being told may lack what the peer asks for. */
static void tell_anew(struct hf_sync *s)
{
    s->wanted = s->whole = true;
    s->summed = s->lists = false;
    s->step = HF_SYNC_IDLE;
}

/* What is still under way of an earlier telling counts for it alone. */
static void forget_pulls(struct hf_sync *s)
{
    s->pulls = 0;
    s->asked_more = false;
    s->round++;
}

void hf_sync_digest(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_sync *s = &f->peers[peer].sync;
    struct hf_slice bytes = m->bytes;
    uint16_t bucket;
    uint64_t sum;
    if (s->theirs == NULL)
        s->theirs = malloc(HF_FABRIC_BUCKETS * sizeof(*s->theirs));
    if (s->theirs == NULL)
        return;
    memset(s->theirs, 0, HF_FABRIC_BUCKETS * sizeof(*s->theirs));
    while (hf_wire_get_sum(&bytes, &bucket, &sum))
        if (bucket < HF_FABRIC_BUCKETS)
            s->theirs[bucket] = sum;
    if (!s->comparing || s->their_view != m->view)
        s->heard_round = f->evicted.round;
    s->comparing = true;
    s->their_view = m->view;
    s->their_number = m->number;
    s->hears_whole = true;
    if (m->flags & HF_SYNC_TELL)
        tell_anew(s);
    s->busy_ms = f->now_ms;
    forget_pulls(s);
    if (hf_survey_has_sums(f, peer))
        hf_sync_compared(f, peer);
}

static struct hf_wire_message answer_to_telling(const struct hf_sync *s)
{
    return (struct hf_wire_message){
        .type = HF_WIRE_DIFFERENT, .view = s->their_view, .number = s->their_number};
}

void hf_sync_compared(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    struct hf_wire_message m = answer_to_telling(s);
    uint8_t different[HF_FABRIC_BUCKETS / 8] = {0};
    for (unsigned i = 0; i < HF_FABRIC_BUCKETS; i++)
        if (s->sums[i] != s->theirs[i])
            different[i / 8] |= (uint8_t)(1 << i % 8);
    m.bytes = hf_slice((const char *)different, sizeof(different));
    s->comparing = !hf_queue_send(f, peer, &m);
}

/* A comparison may take longer than the patience of who waits for it. */
static void say_busy(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    struct hf_wire_message m = answer_to_telling(s);
    if (!s->comparing || f->now_ms - s->busy_ms < HF_FABRIC_SYNC_BUSY_MS)
        return;
    s->busy_ms = f->now_ms;
    hf_queue_send(f, peer, &m);
}

/* With content: the buckets that differ; all of them, when the peer was not told before what the
 * changes build on. Without: go on, or wait for the content. */
void hf_sync_different(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_sync *s = &f->peers[peer].sync;
    bool first = s->step == HF_SYNC_ASKED && m->bytes.size == sizeof(s->different);
    if (m->view != s->view || m->number != s->number)
        return;
    if (!s->tells_whole && m->bytes.size > 0)
        s->wanted = s->whole = true;
    if (s->step == HF_SYNC_ASKED)
        s->progress_ms = f->now_ms;
    if (!first && s->step != HF_SYNC_LISTED)
        return;
    if (first)
        memcpy(s->different, m->bytes.bytes, sizeof(s->different));
    s->step = HF_SYNC_LISTING;
    s->progress_ms = f->now_ms;
    hf_survey_walk(f);
}

static void go_on(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    struct hf_wire_message more = answer_to_telling(s);
    bool waits = s->pulls > (s->last_list ? 0 : HF_FABRIC_PULLS_LEFT) || s->asked_more;
    if (waits || s->their_view == 0)
        return;
    if (s->last_list) {
        s->done_view = s->their_view;
        if (s->hears_whole)
            s->told_round = s->heard_round;
    } else {
        s->asked_more = hf_queue_send(f, peer, &more);
    }
}

static void release(struct hf_fabric *f, unsigned peer, struct hf_fabric_record *record)
{
    struct hf_slice none = {0};
    if (hf_record_owned(f, record))
        return hf_owner_relieve(f, record, peer);
    if (hf_record_has_value(record) && hf_membership_alive(f, record->owner))
        hf_copies_replicate(f, record, peer, HF_WIRE_RELEASE, record->version, none);
}

/* The owner sees to its copies; others stand in for one that is dead. */
static void push(struct hf_fabric *f, unsigned peer, struct hf_fabric_record *record)
{
    struct hf_slice none = {0};
    bool ours = hf_record_owned(f, record) || !hf_membership_alive(f, record->owner) ||
                record->owner == f->self || hf_membership_home(f, hash_of(f, record)) == (int)peer;
    if (record->state == HF_RECORD_TOMB)
        hf_copies_replicate(f, record, peer, HF_WIRE_DELETED, record->version, none);
    else if (ours && hf_record_has_value(record))
        hf_copies_replicate(f, record, peer, HF_WIRE_IMAGE, record->version, none);
}

static void fetch(struct hf_fabric *f, unsigned peer, const struct hf_wire_entry *entry)
{
    struct hf_sync *s = &f->peers[peer].sync;
    struct hf_wire_message pull = {.type = HF_WIRE_PULL, .id = entry->id, .number = s->round};
    if (hf_queue_send(f, peer, &pull)) {
        s->pulls++;
        f->counts.pulled++;
        return;
    }
    hf_sync_doubt(f, peer); /* without it this telling is not whole */
    hf_sync_ask(f, peer);
}

/* A copy of what is no more. */
static void end_there(struct hf_fabric *f, unsigned peer, const struct hf_wire_entry *entry)
{
    struct hf_wire_message m = {.id = entry->id, .base = entry->version, .kind = HF_WIRE_GONE};
    uint8_t lane;
    m.version = entry->version;
    m.state = HF_RECORD_OWNER;
    m.node = (uint16_t)f->self;
    hf_queue_replicate(f, peer, &m, &lane);
}

static void consider(struct hf_fabric *f, unsigned peer, const struct hf_wire_entry *entry)
{
    uint64_t hash = hf_rank_hash(entry->id);
    struct hf_fabric_record *record = hf_record_find(f, entry->id, hash);
    struct hf_wire_message m = {.state = entry->state, .version = entry->version};
    bool value = entry->state == HF_RECORD_OWNER || entry->state == HF_RECORD_BACKUP;
    bool same = record != NULL && hf_version_equal(record->version, entry->version) &&
                (entry->state == HF_RECORD_TOMB) == (record->state == HF_RECORD_TOMB);
    m.node = entry->node;
    /* Told under another view than ours, it may be what we shall need under that one. */
    bool wanted =
        f->peers[peer].sync.their_view != f->view || hf_membership_home(f, hash) == (int)f->self ||
        hf_membership_holds(f, hash, entry->node, f->self) || !hf_membership_alive(f, entry->node);
    bool newer = hf_record_loses(record, &m);
    if (!hf_record_has_value(record) && hf_ended_covers(f, hash, &m))
        return end_there(f, peer, entry);
    if (value && wanted && (newer || (same && record->state == HF_RECORD_POINTER)))
        return fetch(f, peer, entry);
    if (newer) {
        hf_record_take(f, entry->id, hash, &m, false);
        return;
    }
    bool holds = record != NULL && concerns(f, record, hash, peer);
    if (record != NULL && record->state == HF_RECORD_TOMB && !same)
        push(f, peer, record);
    else if (!holds && record != NULL)
        release(f, peer, record);
    else if (!same && record != NULL)
        push(f, peer, record);
}

/* Changes say nothing to who was not told before all that they build on. */
static bool hears_changes(struct hf_sync *s, const struct hf_wire_message *m)
{
    if (s->done_view == 0 || (s->done_view != m->number && s->done_view != m->view))
        return false;
    if (s->hears_whole || s->their_view != m->view)
        forget_pulls(s);
    s->hears_whole = s->comparing = false;
    s->their_view = m->view;
    s->their_number = m->number;
    return true;
}

static void refuse_changes(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_wire_message all = {.type = HF_WIRE_DIFFERENT, .view = m->view, .number = m->number};
    char different[HF_FABRIC_BUCKETS / 8];
    memset(different, 0xff, sizeof(different));
    all.bytes = hf_slice(different, sizeof(different));
    hf_queue_send(f, peer, &all);
}

bool hf_sync_versions(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_sync *s = &f->peers[peer].sync;
    struct hf_slice bytes = m->bytes;
    struct hf_wire_entry entry;
    bool bad = false;
    if (m->flags & HF_SYNC_CHANGES && !hears_changes(s, m))
        return refuse_changes(f, peer, m), true;
    if (m->view != s->their_view || m->number != s->their_number)
        return true;
    while (hf_wire_get_entry(&bytes, &entry, &bad)) {
        consider(f, peer, &entry);
        hf_fabric_end_event(f);
    }
    s->last_list = m->flags & HF_SYNC_LAST;
    s->asked_more = false;
    go_on(f, peer);
    return !bad;
}

/* The peer asks for more when it has what it asked for: that is not stuck which is on its way. */
static void travel(struct hf_fabric *f, unsigned peer)
{
    struct hf_peer *p = &f->peers[peer];
    uint64_t there_ms = f->now_ms + hf_queue_size(&p->queue) / HF_FABRIC_BYTES_A_MS;
    p->sync.progress_ms = there_ms > p->sync.progress_ms ? there_ms : p->sync.progress_ms;
}

void hf_sync_pull(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_fabric_record *record = hf_record_find(f, m->id, hf_rank_hash(m->id));
    struct hf_wire_message answer = {.type = HF_WIRE_ANSWER, .id = m->id, .number = m->number};
    hf_record_describe(f, record, true, &answer);
    answer.flags = HF_ANSWER_PULLED;
    if (hf_record_has_value(record))
        answer.flags |= HF_ANSWER_VALUE;
    hf_queue_send(f, peer, &answer);
    travel(f, peer);
}

void hf_sync_pulled(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_sync *s = &f->peers[peer].sync;
    if (s->pulls == 0 || m->number != s->round)
        return;
    s->pulls--;
    go_on(f, peer);
}

static void want(struct hf_fabric *f, bool whole)
{
    if (quiet(f))
        f->restless_ms = f->now_ms;
    f->changed_ms = f->now_ms;
    for (unsigned i = 0; i < f->rank->count; i++) {
        struct hf_sync *s = &f->peers[i].sync;
        if (i == f->self || !hf_membership_alive(f, i))
            continue;
        s->wanted = true;
        s->whole |= whole;
        if (!s->whole && s->base != 0 && !hf_rank_any(s->changed))
            continue; /* who has only come is told by whom it concerns */
        s->agains = HF_FABRIC_SYNC_AGAINS;
        s->again_ms = f->now_ms + HF_FABRIC_SYNC_AGAIN_MS;
        s->whole_ms = s->whole_ms != 0 ? s->whole_ms : f->now_ms + whole_after_ms(f);
    }
}

void hf_sync_changed(struct hf_fabric *f)
{
    want(f, false);
}

void hf_sync_wanted(struct hf_fabric *f)
{
    want(f, true);
}

void hf_sync_changed_node(struct hf_fabric *f, unsigned node, bool forgets)
{
    for (unsigned i = 0; i < f->rank->count; i++) {
        struct hf_sync *s = &f->peers[i].sync;
        bool of_pair = node == f->self || node == i;
        s->changed[node / 64] |= 1ull << node % 64;
        s->whole |= of_pair; /* it has to do with all that concerns the two */
        if (of_pair && forgets)
            s->base = 0;
    }
}

void hf_sync_again(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    uint64_t soon_ms = f->now_ms + HF_FABRIC_SYNC_AGAIN_MS;
    s->whole = true;
    if (s->wanted)
        return;
    s->again_ms = s->agains > 0 && s->again_ms < soon_ms ? s->again_ms : soon_ms;
    s->agains += s->agains == 0;
}

void hf_sync_ask(struct hf_fabric *f, unsigned peer)
{
    f->peers[peer].sync.asks = true;
    hf_sync_again(f, peer);
}

void hf_sync_owe(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    s->wanted = s->whole = s->owes = true;
}

bool hf_sync_owes(const struct hf_fabric *f, unsigned peer)
{
    const struct hf_sync *s = &f->peers[peer].sync;
    return s->owes || s->settles;
}

bool hf_sync_done(const struct hf_fabric *f, unsigned peer)
{
    const struct hf_sync *s = &f->peers[peer].sync;
    return s->done_view == f->view && s->pulls == 0;
}

void hf_sync_doubt(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    s->their_view = s->done_view = 0;
    s->comparing = s->last_list = false;
    forget_pulls(s);
}

void hf_sync_unlinked(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    s->wanted = true;
    s->step = HF_SYNC_IDLE;
    hf_survey_leave(s);
    s->base = 0;
    s->owes = s->settles = false; /* the whole is to be told anyway */
    hf_sync_doubt(f, peer);
}

void hf_sync_tick(struct hf_fabric *f)
{
    for (unsigned i = 0; i < f->rank->count; i++) {
        struct hf_peer *p = &f->peers[i];
        if (i == f->self || !p->linked || p->status == HF_PEER_DEAD)
            continue;
        tell(f, i);
        say_busy(f, i);
    }
    hf_survey_tick(f);
}
