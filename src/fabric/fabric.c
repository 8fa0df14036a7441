/* The doors of a fabric: each event comes in here, is handled by the file whose role it is, and
 * what it changed about the membership is settled before the call returns. */
#include "fabric/internal.h"
#include <errno.h>
#include <stdlib.h>

const char *hf_fabric_status_word(enum hf_fabric_status status)
{
    static const char *const words[HF_FABRIC_STATUSES] = {
        "ok", "degraded", "miss", "dropped", "unsure", "full", "retry", "under way", "late"};
    REQUIRE(status < HF_FABRIC_STATUSES);
    return words[status];
}

static void init_peer(struct hf_peer *p)
{
    hf_queue_init(&p->queue);
    for (unsigned lane = 0; lane < HF_WIRE_LANES; lane++)
        hf_list_init(&p->needs[lane]);
    hf_list_init(&p->relayed);
}

static bool settings_valid(const struct hf_fabric_settings *settings, const struct hf_rank *rank)
{
    return settings->self < rank->count && settings->backups >= 1 && settings->backups <= 2 &&
           settings->incarnation != 0 && settings->activities_max > 0 &&
           settings->epoch_floor < 1u << (32 - HF_FABRIC_GRANTER_BITS);
}

int hf_fabric_new(const struct hf_fabric_settings *settings, const struct hf_rank *rank,
                  const struct hf_fabric_store *store, const struct hf_fabric_host *host,
                  uint64_t now_ms, struct hf_fabric **ret_fabric)
{
    if (!settings_valid(settings, rank))
        return -EINVAL;
    struct hf_fabric *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return -ENOMEM;
    f->magic = HF_FABRIC_MAGIC;
    f->settings = *settings;
    f->rank = rank;
    f->store = *store;
    f->host = *host;
    f->now_ms = f->started_ms = now_ms;
    f->self = settings->self;
    f->status = HF_PEER_SYNCING;
    f->lease_ms = hf_rank_lease_ms(rank->count);
    f->dead_ms = f->lease_ms * HF_FABRIC_DEAD_MS / HF_FABRIC_LEASE_MS;
    f->incarnation = settings->incarnation;
    f->generation = f->swept_generation = 1;
    f->outage = 1;
    f->epoch_top = settings->epoch_floor << HF_FABRIC_GRANTER_BITS;
    for (unsigned i = 0; i < HF_FABRIC_BUCKETS; i++)
        f->epoch_high[i] = settings->epoch_floor << HF_FABRIC_GRANTER_BITS;
    for (unsigned i = 0; i < rank->count; i++)
        init_peer(&f->peers[i]);
    for (unsigned i = 0; i < HF_FABRIC_DIRTY; i++)
        hf_list_init(&f->dirty[i]);
    for (unsigned i = 0; i < HF_FABRIC_ACTIVE; i++)
        hf_list_init(&f->active[i]);
    hf_list_init(&f->writes);
    hf_list_init(&f->guards);
    hf_list_init(&f->waiting);
    hf_list_init(&f->patient);
    hf_list_init(&f->adrift);
    hf_membership_changed(f);
    *ret_fabric = f;
    return 0;
}

static void enter(struct hf_fabric *f, uint64_t now_ms)
{
    REQUIRE(HF_MAGIC_OK(f, HF_FABRIC_MAGIC));
    uint64_t before = f->now_ms;
    f->depth++;
    f->now_ms = now_ms > before ? now_ms : before;
    if (f->now_ms - before > HF_FABRIC_AWAY_MS)
        hf_membership_away(f);
    if (f->depth == 1 && f->store.begin != NULL)
        f->store.begin(f->store.user, f->now_ms);
}

void hf_fabric_end_event(struct hf_fabric *f)
{
    if (f->depth == 1 && f->store.end != NULL)
        f->store.end(f->store.user);
}

static void leave(struct hf_fabric *f)
{
    if (f->depth == 1)
        hf_membership_settle(f);
    hf_fabric_end_event(f);
    f->depth--;
}

/* Whatever still waits is answered, in the order of its patience. */
static void end_all(struct hf_fabric *f)
{
    f->now_ms += 2 * HF_FABRIC_WRITE_MS + HF_FABRIC_HOPS * HF_FABRIC_TRAVEL_MS_MAX;
    for (unsigned i = 0; i < f->rank->count; i++)
        f->peers[i].linked = false;
    f->status = HF_PEER_DEAD; /* no home is asked any more */
    for (unsigned i = 0; i < f->rank->count; i++)
        f->peers[i].status = HF_PEER_DEAD;
    hf_membership_changed(f);
    hf_copies_tick(f);
    hf_copies_lapsed(f);
    for (unsigned i = 0; i < f->rank->count; i++)
        hf_copies_unlinked(f, i); /* what waits for copies as long as it takes */
    hf_operation_tick(f);
    hf_activity_free_all(f);
}

void hf_fabric_free(struct hf_fabric **fabric)
{
    struct hf_fabric *f = *fabric;
    if (f == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(f, HF_FABRIC_MAGIC));
    end_all(f);
    for (unsigned i = 0; i < f->rank->count; i++) {
        hf_queue_fini(&f->peers[i].queue);
        hf_sync_fini(&f->peers[i].sync);
        hf_relay_forget(&f->peers[i]);
        free(f->peers[i].partial);
    }
    f->magic = 0;
    free(f);
    *fabric = NULL;
}

void hf_fabric_submit(struct hf_fabric *f, struct hf_fabric_op *op, uint64_t now_ms)
{
    enter(f, now_ms);
    REQUIRE(op->id.size > 0 && op->id.size <= HF_WIRE_ID_MAX);
    hf_operation_start(f, op);
    leave(f);
}

bool hf_fabric_readable(struct hf_fabric *f, const struct hf_fabric_record *record,
                        struct hf_slice id, uint64_t hash, uint64_t now_ms)
{
    REQUIRE(HF_MAGIC_OK(f, HF_FABRIC_MAGIC));
    if (f->depth > 0 || now_ms > f->now_ms + HF_FABRIC_AWAY_MS)
        return false; /* the way through an event looks at more */
    f->now_ms = now_ms > f->now_ms ? now_ms : f->now_ms;
    bool alive = record->deadline_ms == 0 || record->deadline_ms > f->now_ms;
    return alive && hf_fabric_serves(f, record, hash, f->now_ms) &&
           !hf_copies_pending(f, id, hash) && hf_activity_find(f, id, hash) == NULL;
}

static void reset_link(struct hf_fabric *f, unsigned peer)
{
    struct hf_peer *p = &f->peers[peer];
    p->linked = false;
    hf_queue_fini(&p->queue);
    hf_queue_init(&p->queue);
    free(p->partial);
    p->partial = NULL;
    p->partial_size = p->partial_whole = 0;
    hf_copies_unlinked(f, peer);
    hf_operation_unlinked(f, peer);
    hf_home_unlinked(f, peer);
    hf_relay_unlinked(f, peer, false);
    hf_sync_unlinked(f, peer);
    memset(p->sent, 0, sizeof(p->sent));
    memset(p->taken, 0, sizeof(p->taken));
    memset(p->told, 0, sizeof(p->told));
    memset(p->acked, 0, sizeof(p->acked));
    p->ready_asked = p->ready_yes = false;
    p->asks_ready = 0;
    p->echo_ms = 0;
}

void hf_fabric_link_up(struct hf_fabric *f, unsigned peer, uint64_t now_ms)
{
    enter(f, now_ms);
    REQUIRE(peer < f->rank->count && peer != f->self);
    reset_link(f, peer);
    f->peers[peer].linked = true;
    if (hf_membership_alive(f, peer))
        hf_sync_wanted(f); /* what was lost with the link may be found at any third node */
    hf_membership_beat(f, peer);
    hf_home_reconsider(f);
    hf_copies_resend(f);
    leave(f);
}

void hf_fabric_link_down(struct hf_fabric *f, unsigned peer, bool gone, uint64_t now_ms)
{
    enter(f, now_ms);
    REQUIRE(peer < f->rank->count && peer != f->self);
    reset_link(f, peer);
    if (gone)
        hf_membership_dead(f, peer, true);
    leave(f);
}

typedef void (*handle_fn)(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m);

static void on_request(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    if (hf_membership_alive(f, peer))
        hf_home_request(f, peer, m);
}

static const handle_fn handlers[HF_WIRE_TYPES_MAX] = {
    [HF_WIRE_HEARTBEAT] = hf_membership_heartbeat,
    [HF_WIRE_ACK] = hf_copies_acked,
    [HF_WIRE_REQUEST] = on_request,
    [HF_WIRE_RELAY] = hf_owner_relay,
    [HF_WIRE_RESULT] = hf_operation_result,
    [HF_WIRE_GRANT] = hf_operation_grant,
    [HF_WIRE_TRANSFER] = hf_owner_transfer,
    [HF_WIRE_QUERY] = hf_owner_query,
    [HF_WIRE_ANSWER] = hf_home_answer,
    [HF_WIRE_REPLICATE] = hf_backup_replicate,
    [HF_WIRE_NACK] = hf_copies_nack,
    [HF_WIRE_OFFER] = hf_offer_take,
    [HF_WIRE_DIGEST] = hf_sync_digest,
    [HF_WIRE_DIFFERENT] = hf_sync_different,
    [HF_WIRE_PULL] = hf_sync_pull,
    [HF_WIRE_READY_ASK] = hf_membership_ready_ask,
    [HF_WIRE_READY_YES] = hf_membership_ready_yes,
};

static bool has_id(enum hf_wire_type type)
{
    return (type >= HF_WIRE_REQUEST && type <= HF_WIRE_OFFER) || type == HF_WIRE_PULL;
}

static bool dispatch(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_peer *p = &f->peers[peer];
    if (has_id(m->type) && m->id.size == 0)
        return false;
    if (m->type == HF_WIRE_REPLICATE && m->number != ++p->taken[p->lane_in])
        return false;
    if (m->type == HF_WIRE_RESULT && m->status >= HF_FABRIC_STATUSES)
        return false;
    if (m->type == HF_WIRE_HEARTBEAT &&
        (m->status < HF_PEER_SYNCING || m->status > HF_PEER_LEAVING || m->incarnation == 0))
        return false;
    if (m->type == HF_WIRE_VERSIONS)
        return hf_sync_versions(f, peer, m);
    if (handlers[m->type] == NULL)
        return false;
    handlers[m->type](f, peer, m);
    return true;
}

static bool receive_whole(struct hf_fabric *f, unsigned peer)
{
    struct hf_peer *p = &f->peers[peer];
    struct hf_slice bytes = hf_slice(p->partial, p->partial_whole);
    struct hf_wire_message m;
    size_t used = 0;
    enum hf_wire_verdict verdict = hf_wire_decode(bytes, bytes.size, &m, &used);
    p->lane_in = 1;
    bool fine = verdict == HF_WIRE_DONE && used == bytes.size && m.type != HF_WIRE_CHUNK &&
                dispatch(f, peer, &m);
    p->lane_in = 0;
    free(p->partial);
    p->partial = NULL;
    p->partial_size = p->partial_whole = 0;
    return fine;
}

static bool receive_chunk(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    enum { AROUND = HF_WIRE_ID_MAX + 256 }; /* id and fields beside the image */
    struct hf_peer *p = &f->peers[peer];
    if (p->partial == NULL) {
        if (m->number < HF_WIRE_HEAD_SIZE || m->number > f->settings.image_size_max + AROUND)
            return false;
        p->partial_whole = (size_t)m->number;
        p->partial = malloc(p->partial_whole);
    }
    if (p->partial == NULL || m->number != p->partial_whole ||
        m->bytes.size > p->partial_whole - p->partial_size)
        return false;
    memcpy(p->partial + p->partial_size, m->bytes.bytes, m->bytes.size);
    p->partial_size += m->bytes.size;
    if (p->partial_size == p->partial_whole)
        return receive_whole(f, peer);
    hf_patience_progress(f, peer);
    return true;
}

static void acknowledge(struct hf_fabric *f, unsigned peer)
{
    struct hf_peer *p = &f->peers[peer];
    struct hf_wire_message m = {.type = HF_WIRE_ACK, .lanes = {p->taken[0], p->taken[1]}};
    if (memcmp(p->taken, p->told, sizeof(p->told)) != 0 && hf_queue_send(f, peer, &m))
        memcpy(p->told, p->taken, sizeof(p->told));
}

bool hf_fabric_receive(struct hf_fabric *f, unsigned peer, struct hf_slice bytes, uint64_t now_ms,
                       size_t *ret_used)
{
    enum hf_wire_verdict verdict = HF_WIRE_DONE;
    struct hf_wire_message m;
    size_t used = 0;
    bool fine = true;
    enter(f, now_ms);
    REQUIRE(peer < f->rank->count && peer != f->self);
    *ret_used = 0;
    while (fine) {
        struct hf_slice left = hf_slice(bytes.bytes + *ret_used, bytes.size - *ret_used);
        verdict = hf_wire_decode(left, HF_WIRE_FRAME_MAX, &m, &used);
        if (verdict != HF_WIRE_DONE)
            break;
        *ret_used += used;
        fine = m.type == HF_WIRE_CHUNK ? receive_chunk(f, peer, &m) : dispatch(f, peer, &m);
        hf_fabric_end_event(f);
    }
    fine &= verdict == HF_WIRE_DONE || verdict == HF_WIRE_NEED_MORE;
    f->counts.protocol_errors += !fine;
    acknowledge(f, peer);
    leave(f);
    return fine;
}

size_t hf_fabric_pull(struct hf_fabric *f, unsigned peer, char *out, size_t size)
{
    REQUIRE(size >= HF_WIRE_FRAME_MAX);
    return hf_queue_pull(&f->peers[peer].queue, out, size);
}

void hf_fabric_tick(struct hf_fabric *f, uint64_t now_ms)
{
    enter(f, now_ms);
    hf_membership_tick(f);
    hf_membership_settle(f);
    hf_copies_tick(f);
    hf_relay_tick(f);
    hf_home_tick(f);
    hf_operation_tick(f);
    hf_evicted_tick(f);
    hf_sync_tick(f);
    hf_upkeep_sweep(f);
    hf_upkeep_adopt(f);
    hf_upkeep_hand_over(f);
    hf_offer_tick(f);
    leave(f);
}

void hf_fabric_leave(struct hf_fabric *f, uint64_t now_ms)
{
    if (f->status == HF_PEER_LEAVING)
        return;
    enter(f, now_ms);
    f->status = HF_PEER_LEAVING;
    f->incarnation++;
    hf_membership_changed(f);
    leave(f);
}

bool hf_fabric_left(const struct hf_fabric *f)
{
    if (f->status != HF_PEER_LEAVING || !f->handed_over)
        return false;
    for (unsigned i = 0; i < f->rank->count; i++) {
        const struct hf_peer *p = &f->peers[i];
        bool hears = p->linked && p->status != HF_PEER_DEAD; /* a dead one will never say so */
        if (hears && memcmp(p->sent, p->acked, sizeof(p->sent)) != 0)
            return false;
    }
    return true;
}

enum hf_fabric_knowledge hf_fabric_know(struct hf_fabric *f, struct hf_slice id, uint64_t now_ms)
{
    enum hf_fabric_knowledge knowledge = HF_FABRIC_KNOWS_NOTHING;
    REQUIRE(id.size > 0 && id.size <= HF_WIRE_ID_MAX);
    enter(f, now_ms);
    uint64_t hash = hf_rank_hash(id);
    const struct hf_fabric_record *record = hf_record_find(f, id, hash);
    if (hf_fabric_serves(f, record, hash, f->now_ms) && record->version.sequence > 0)
        knowledge = record->version.birth < record->version.epoch ? HF_FABRIC_KNOWS_OLD
                                                                  : HF_FABRIC_KNOWS_NEW;
    leave(f);
    return knowledge;
}

void hf_fabric_resume(struct hf_fabric *f, struct hf_fabric_op *op, uint64_t now_ms)
{
    enter(f, now_ms);
    hf_owner_resume(f, op);
    leave(f);
}

bool hf_fabric_differs(const struct hf_fabric *f, unsigned peer)
{
    const struct hf_peer *p = &f->peers[peer];
    return p->status != HF_PEER_DEAD && p->settings != hf_membership_settings(f);
}

bool hf_fabric_ready(const struct hf_fabric *f)
{
    return f->status == HF_PEER_READY;
}

bool hf_fabric_complete(const struct hf_fabric *f)
{
    for (unsigned i = 0; i < f->rank->count; i++)
        if (i != f->self && hf_membership_alive(f, i) && !hf_sync_done(f, i))
            return false;
    return true;
}

bool hf_fabric_serves(const struct hf_fabric *f, const struct hf_fabric_record *record,
                      uint64_t hash, uint64_t now_ms)
{
    return hf_record_owned(f, record) && now_ms <= f->now_ms && hf_membership_leased(f, hash);
}

const struct hf_fabric_counts *hf_fabric_counts(const struct hf_fabric *f)
{
    return &f->counts;
}
