/* Who lives, who is ready, and for how long we may believe that others believe in us. */
#include "base/hash.h"
#include "fabric/internal.h"

enum { BEATS_A_HEARTBEAT = 4 }; /* of those that tell all of a change, at most */

bool hf_membership_alive(const struct hf_fabric *f, unsigned node)
{
    if (node == f->self)
        return true;
    return node < f->rank->count && f->peers[node].status != HF_PEER_DEAD;
}

static enum hf_peer_status status_of(const struct hf_fabric *f, unsigned node)
{
    return node == f->self ? f->status : f->peers[node].status;
}

bool hf_membership_ready(const struct hf_fabric *f, unsigned node)
{
    return status_of(f, node) == HF_PEER_READY;
}

static unsigned leases(const struct hf_fabric *f)
{
    unsigned count = 1; /* our own */
    for (unsigned i = 0; i < f->rank->count; i++)
        count += i != f->self && f->peers[i].lease_ms > f->now_ms;
    return count;
}

bool hf_membership_quorum(const struct hf_fabric *f)
{
    return !f->settings.consistent || 2 * leases(f) > f->rank->count;
}

/* All who live have given up the same others, so that no promise to those stands any more; and of
 * those at most one may hold something: a write that was acknowledged is known to two. */
bool hf_membership_sure(const struct hf_fabric *f)
{
    unsigned missing = 0;
    if (!f->settings.consistent)
        return true;
    for (unsigned i = 0; i < f->rank->count; i++) {
        if (i == f->self)
            continue;
        if (f->peers[i].status == HF_PEER_DEAD)
            missing += !f->peers[i].gone;
        else if (f->peers[i].view != f->view)
            return false;
    }
    return missing < 2 && hf_membership_quorum(f);
}

/* When the first lease of a ready node ends, as long as those are a quorum. Every read asks
 * whether its record is leased, and ranking all nodes for each would cost more than the read. */
static uint64_t leased_ms(const struct hf_fabric *f)
{
    uint64_t least_ms = UINT64_MAX;
    unsigned count = 1; /* our own */
    for (unsigned i = 0; i < f->rank->count; i++) {
        if (i == f->self || f->peers[i].status != HF_PEER_READY)
            continue;
        count++;
        least_ms = f->peers[i].lease_ms < least_ms ? f->peers[i].lease_ms : least_ms;
    }
    return !f->settings.consistent || 2 * count > f->rank->count ? least_ms : 0;
}

void hf_membership_leases_changed(struct hf_fabric *f)
{
    f->leased_ms = 0;
}

/* The first ready node of the rank but us is the one that would take over: as long as it has
 * promised not to, nobody does. */
static bool successor_leased(const struct hf_fabric *f, uint64_t hash)
{
    struct hf_rank_walk walk;
    if (!hf_membership_quorum(f))
        return false;
    hf_rank_walk_init_among(&walk, f->rank, hash, f->ready);
    int node = hf_rank_walk_next(&walk);
    if (node == (int)f->self)
        node = hf_rank_walk_next(&walk);
    return node < 0 || f->peers[node].lease_ms > f->now_ms;
}

bool hf_membership_leased(const struct hf_fabric *f, uint64_t hash)
{
    bool all = f->now_ms < f->leased_ms;
    SLOW_CHECK(!all || successor_leased(f, hash));
    return all || successor_leased(f, hash);
}

int hf_membership_home(const struct hf_fabric *f, uint64_t hash)
{
    struct hf_rank_walk walk;
    hf_rank_walk_init_among(&walk, f->rank, hash, f->ready);
    return hf_rank_walk_next(&walk);
}

/* The first of the joining nodes that stand before the last of the `ready` targets. */
static unsigned joining_targets(const struct hf_fabric *f, uint64_t hash, unsigned owner,
                                const uint64_t joining[HF_RANK_WORDS], unsigned ready,
                                uint8_t targets[HF_FABRIC_TARGETS_MAX])
{
    struct hf_rank_walk walk;
    unsigned count = ready, most = HF_FABRIC_TARGETS_MAX - f->settings.backups + ready;
    bool all = ready < f->settings.backups;
    uint64_t last = ready > 0 ? hf_rank_score(f->rank, targets[ready - 1], hash) : 0;
    int node;
    hf_rank_walk_init_among(&walk, f->rank, hash, joining);
    while (count < most && (node = hf_rank_walk_next(&walk)) >= 0) {
        if (!all && hf_rank_score(f->rank, (unsigned)node, hash) < last)
            break;
        if ((unsigned)node != owner)
            targets[count++] = (uint8_t)node;
    }
    return count;
}

/* The first ready nodes of the rank, as many as there are to be backups, and the joining ones that
 * stand before the last of them: they will be next. */
static unsigned targets_among(const struct hf_fabric *f, uint64_t hash, unsigned owner,
                              const uint64_t ready[HF_RANK_WORDS],
                              const uint64_t joining[HF_RANK_WORDS],
                              uint8_t ret_targets[HF_FABRIC_TARGETS_MAX])
{
    unsigned count = 0;
    struct hf_rank_walk walk;
    int node;
    hf_rank_walk_init_among(&walk, f->rank, hash, ready);
    while (count < f->settings.backups && (node = hf_rank_walk_next(&walk)) >= 0)
        if ((unsigned)node != owner)
            ret_targets[count++] = (uint8_t)node;
    return hf_rank_any(joining) ? joining_targets(f, hash, owner, joining, count, ret_targets)
                                : count;
}

unsigned hf_membership_targets(const struct hf_fabric *f, uint64_t hash, unsigned owner,
                               uint8_t ret_targets[HF_FABRIC_TARGETS_MAX])
{
    return targets_among(f, hash, owner, f->ready, f->joining, ret_targets);
}

unsigned hf_membership_told(const struct hf_fabric *f, uint64_t hash, unsigned owner,
                            uint8_t ret_targets[HF_FABRIC_TARGETS_MAX])
{
    return targets_among(f, hash, owner, f->serving, f->coming, ret_targets);
}

bool hf_membership_missing(const struct hf_fabric *f)
{
    for (unsigned i = 0; i < f->rank->count; i++)
        if (i != f->self && f->peers[i].status == HF_PEER_DEAD && !f->peers[i].gone)
            return true;
    return false;
}

bool hf_membership_holds(const struct hf_fabric *f, uint64_t hash, unsigned owner, unsigned node)
{
    uint8_t targets[HF_FABRIC_TARGETS_MAX];
    unsigned count = hf_membership_targets(f, hash, owner, targets);
    if (node == owner)
        return true;
    for (unsigned i = 0; i < count; i++)
        if (targets[i] == node)
            return true;
    return false;
}

/* It is or was among the first of the rank: too few of those that serve stand before it. */
static bool is_first(const struct hf_fabric *f, uint64_t hash, unsigned node)
{
    uint64_t score = hf_rank_score(f->rank, node, hash);
    unsigned before = 0;
    for (unsigned word = 0; word < HF_RANK_WORDS; word++)
        for (uint64_t left = f->serving[word]; left != 0; left &= left - 1) {
            unsigned i = word * 64 + (unsigned)__builtin_ctzll(left);
            before += hf_rank_score(f->rank, i, hash) > score;
            if (before > f->settings.backups) /* one of those may be the owner */
                return false;
        }
    return true;
}

bool hf_membership_concerned(const struct hf_fabric *f, uint64_t hash, unsigned owner,
                             const uint64_t changed[HF_RANK_WORDS])
{
    if (owner < f->rank->count && changed[owner / 64] >> owner % 64 & 1)
        return true;
    for (unsigned word = 0; word < HF_RANK_WORDS; word++)
        for (uint64_t left = changed[word]; left != 0; left &= left - 1)
            if (is_first(f, hash, word * 64 + (unsigned)__builtin_ctzll(left)))
                return true;
    return false;
}

static uint64_t view_of(const struct hf_fabric *f)
{
    uint64_t view = f->rank->list;
    for (unsigned i = 0; i < f->rank->count; i++) {
        uint64_t incarnation = i == f->self ? f->incarnation : f->peers[i].incarnation;
        if (hf_membership_alive(f, i))
            view = hf_hash_mix(view, hf_hash_mix(i, incarnation));
    }
    return view;
}

static void sort_nodes(struct hf_fabric *f)
{
    memset(f->ready, 0, sizeof(f->ready));
    memset(f->joining, 0, sizeof(f->joining));
    memset(f->serving, 0, sizeof(f->serving));
    memset(f->coming, 0, sizeof(f->coming));
    for (unsigned i = 0; i < f->rank->count; i++) {
        enum hf_peer_status status = status_of(f, i);
        uint64_t bit = 1ull << i % 64;
        bool says_so = i == f->self || f->peers[i].claims == HF_PEER_READY;
        f->ready[i / 64] |= status == HF_PEER_READY ? bit : 0;
        f->serving[i / 64] |= status == HF_PEER_READY && says_so ? bit : 0;
        f->joining[i / 64] |= status == HF_PEER_SYNCING ? bit : 0;
    }
    for (unsigned word = 0; word < HF_RANK_WORDS; word++)
        f->coming[word] = f->joining[word] | (f->ready[word] & ~f->serving[word]);
}

/* What has changed of each node since the last time. Who begins to join stands beside those whose
 * place it will take, and takes it when it is ready. */
static void note_changes(struct hf_fabric *f)
{
    for (unsigned i = 0; i < f->rank->count; i++) {
        struct hf_peer *p = &f->peers[i];
        enum hf_peer_status status = status_of(f, i);
        uint64_t incarnation = i == f->self ? f->incarnation : p->incarnation;
        bool rises = status == HF_PEER_READY && p->stood != HF_PEER_READY;
        bool falls = p->stood != HF_PEER_DEAD && status != p->stood && !rises;
        bool began = p->stood != HF_PEER_DEAD && incarnation != p->stood_incarnation;
        if (rises || falls || began)
            hf_sync_changed_node(f, i, falls || began);
        p->stood = (uint8_t)status;
        p->stood_incarnation = incarnation;
    }
}

void hf_membership_changed(struct hf_fabric *f)
{
    sort_nodes(f);
    note_changes(f);
    f->view = view_of(f);
    f->changed = true;
    hf_membership_leases_changed(f);
}

/* As many a second as 32 nodes send, until a lease allows no fewer: on each machine they cost what
 * the number of nodes is, and on one machine that holds many nodes its square. */
static uint64_t heartbeat_ms(const struct hf_fabric *f)
{
    uint64_t ms = (uint64_t)HF_FABRIC_HEARTBEAT_MS * f->rank->count / HF_FABRIC_HEARTBEAT_NODES;
    if (ms < HF_FABRIC_HEARTBEAT_MS)
        return HF_FABRIC_HEARTBEAT_MS;
    return ms < HF_FABRIC_HEARTBEAT_MS_MAX ? ms : HF_FABRIC_HEARTBEAT_MS_MAX;
}

/* Whoever lives has changed. Of many changes at once all are told together. */
static void beat_all(struct hf_fabric *f)
{
    if (!f->beats || f->now_ms - f->beats_ms < heartbeat_ms(f) / BEATS_A_HEARTBEAT)
        return;
    f->beats = false;
    f->beats_ms = f->now_ms;
    for (unsigned i = 0; i < f->rank->count; i++)
        if (i != f->self && f->peers[i].linked)
            hf_membership_beat(f, i);
}

void hf_membership_settle(struct hf_fabric *f)
{
    while (f->changed) {
        f->changed = false;
        f->beats = true;
        hf_upkeep_seek(f);
        hf_sync_changed(f);
        hf_home_reconsider(f);
        hf_copies_resend(f);
    }
}

void hf_membership_dead(struct hf_fabric *f, unsigned peer, bool gone)
{
    struct hf_peer *p = &f->peers[peer];
    p->gone |= gone;
    p->decided = true;
    p->lease_ms = 0;
    hf_membership_leases_changed(f);
    p->counts_us = p->ready_yes = p->ready_asked = false;
    if (p->status == HF_PEER_DEAD)
        return;
    p->status = HF_PEER_DEAD;
    f->outage += !gone;
    p->ready_incarnation = 0;
    if (p->linked)
        hf_membership_beat(f, peer); /* it is counted no longer */
    hf_membership_changed(f); /* first: what follows may decide, and must not take the old view */
    hf_sync_unlinked(f, peer);
    hf_copies_unlinked(f, peer);
    hf_operation_unlinked(f, peer);
    hf_relay_unlinked(f, peer, true);
}

/* What we own is ours no longer until its home says so anew; we grant nothing until told all. */
void hf_membership_rejoin(struct hf_fabric *f, enum hf_peer_status status)
{
    hf_copies_lapsed(f);
    f->status = status;
    f->incarnation++;
    f->generation = (uint16_t)((f->generation + 1) % HF_FABRIC_GENERATIONS);
    for (unsigned i = 0; i < f->rank->count; i++) {
        f->peers[i].ready_asked = f->peers[i].ready_yes = false;
        hf_sync_doubt(f, i);
    }
    hf_membership_changed(f);
}

static void lapse(struct hf_fabric *f)
{
    f->counts.lapses++;
    for (unsigned i = 0; i < f->rank->count; i++)
        if (f->peers[i].lease_ms <= f->now_ms)
            f->peers[i].lease_ms = 0; /* told once */
    hf_membership_leases_changed(f);
    hf_membership_rejoin(f, f->status == HF_PEER_LEAVING ? HF_PEER_LEAVING : HF_PEER_SYNCING);
}

/* The peer may have taken us for dead for a while. Who serves ends that; who joins acts on nothing,
 * and has only to be told again what it missed meanwhile. If it began anew, all would compare with
 * it again: when nodes are late because they compare, they would compare for ever. */
static void doubt(struct hf_fabric *f, unsigned peer)
{
    struct hf_peer *p = &f->peers[peer];
    if (f->status != HF_PEER_SYNCING) {
        lapse(f);
        return;
    }
    p->ready_asked = p->ready_yes = false;
    hf_sync_doubt(f, peer);
    p->sync.wanted = true;
    hf_sync_ask(f, peer);
}

/* Two sides that went on apart meet again: the smaller one joins the other. */
static bool loses_to(const struct hf_fabric *f, unsigned peer, unsigned their_weight)
{
    unsigned ours = leases(f);
    return ours != their_weight ? ours < their_weight : f->self > peer;
}

static enum hf_peer_status judge(struct hf_fabric *f, unsigned peer,
                                 const struct hf_wire_message *m)
{
    struct hf_peer *p = &f->peers[peer];
    bool known = p->ready_incarnation == m->incarnation;
    if (m->status == HF_PEER_LEAVING)
        return HF_PEER_LEAVING;
    if (m->status == HF_PEER_SYNCING || known)
        return known ? HF_PEER_READY : HF_PEER_SYNCING;
    if (f->status == HF_PEER_READY && loses_to(f, peer, m->weight))
        lapse(f);
    if (f->status == HF_PEER_READY)
        return HF_PEER_SYNCING;
    p->ready_incarnation = m->incarnation;
    return HF_PEER_READY;
}

/* Whether a promise of the peer ran out before it was renewed, or was taken back. */
static bool promise_broken(const struct hf_fabric *f, const struct hf_peer *p, bool counts_us)
{
    if (p->status == HF_PEER_DEAD)
        return false;
    return (p->lease_ms != 0 && p->lease_ms <= f->now_ms) || (p->counts_us && !counts_us);
}

static bool two_way(const struct hf_fabric *f, const struct hf_wire_message *m)
{
    return m->echo_ms != 0 && m->echo_ms <= f->now_ms && f->now_ms - m->echo_ms < f->lease_ms;
}

uint8_t hf_membership_settings(const struct hf_fabric *f)
{
    return (f->settings.backups > 1 ? HF_PEER_TWO_BACKUPS : 0) |
           (f->settings.consistent ? HF_PEER_CONSISTENT : 0);
}

void hf_membership_heartbeat(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    struct hf_peer *p = &f->peers[peer];
    bool counts_us = m->flags & HF_PEER_COUNTS_YOU, was_dead = p->status == HF_PEER_DEAD;
    bool broken = promise_broken(f, p, counts_us);
    p->heard_ms = f->now_ms;
    p->echo_ms = m->sent_ms;
    p->weight = m->weight;
    p->drains = m->flags & HF_PEER_DRAINS;
    p->settings = m->flags & HF_PEER_SETTINGS;
    if (was_dead && f->now_ms - p->beat_ms >= HF_FABRIC_TICK_MS)
        hf_membership_beat(f, peer); /* so that it learns at once that we hear it */
    if (was_dead && !two_way(f, m))
        return;
    if (counts_us && two_way(f, m) && m->echo_ms + f->lease_ms > p->lease_ms)
        p->lease_ms = m->echo_ms + f->lease_ms;
    if (counts_us || was_dead)
        p->counted_ms = f->now_ms;
    p->counts_us = counts_us;
    p->decided = true;
    if (broken)
        doubt(f, peer);
    enum hf_peer_status status = judge(f, peer, m);
    bool same = status == p->status && m->incarnation == p->incarnation && m->status == p->claims;
    p->view = m->view;
    if (same)
        return;
    p->claims = m->status;
    p->gone = false;
    p->status = status;
    p->incarnation = m->incarnation;
    hf_membership_changed(f);
    if (was_dead)
        hf_membership_beat(f, peer);
}

void hf_membership_beat(struct hf_fabric *f, unsigned peer)
{
    struct hf_peer *p = &f->peers[peer];
    struct hf_wire_message m = {.type = HF_WIRE_HEARTBEAT, .sent_ms = f->now_ms};
    m.echo_ms = p->echo_ms;
    m.status = (uint8_t)f->status;
    m.flags = hf_membership_settings(f) | (p->status != HF_PEER_DEAD ? HF_PEER_COUNTS_YOU : 0);
    m.flags |= f->drains ? HF_PEER_DRAINS : 0;
    m.weight = (uint16_t)leases(f);
    m.view = f->view;
    m.incarnation = f->incarnation;
    p->beat_ms = f->now_ms;
    hf_queue_send(f, peer, &m);
}

/* From here on the asker is a home to us; nothing we decided before is unknown to it, because it
 * was told on the same link before. */
static void agree(struct hf_fabric *f, unsigned peer)
{
    struct hf_peer *p = &f->peers[peer];
    struct hf_wire_message yes = {.type = HF_WIRE_READY_YES, .incarnation = p->asks_ready};
    yes.version.epoch = f->epoch_top;
    p->asks_ready = 0;
    if (p->status == HF_PEER_DEAD || p->incarnation != yes.incarnation)
        return;
    p->ready_incarnation = yes.incarnation;
    p->status = HF_PEER_READY;
    hf_membership_changed(f);
    hf_membership_settle(f);
    hf_queue_send(f, peer, &yes);
}

/* It is told first what found no room when it was to be told. */
void hf_membership_ready_ask(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    f->peers[peer].asks_ready = m->incarnation;
    if (!hf_sync_owes(f, peer))
        agree(f, peer);
}

/* What this node granted before it was started anew is known to those who were told of it, although
 * the records may be over: it grants above the highest that any of them has met. */
void hf_membership_ready_yes(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    if (m->incarnation != f->incarnation)
        return;
    f->peers[peer].ready_yes = true;
    for (unsigned i = 0; i < HF_FABRIC_BUCKETS; i++)
        if (m->version.epoch > f->epoch_high[i])
            f->epoch_high[i] = m->version.epoch;
    hf_record_saw_epoch(f, m->version.epoch);
}

static void ask_ready(struct hf_fabric *f)
{
    struct hf_wire_message m = {.type = HF_WIRE_READY_ASK, .incarnation = f->incarnation};
    for (unsigned i = 0; i < f->rank->count; i++) {
        struct hf_peer *p = &f->peers[i];
        if (i != f->self && p->status != HF_PEER_DEAD && !p->ready_asked)
            p->ready_asked = hf_queue_send(f, i, &m);
    }
}

/* Every peer is known to live or not, has told us all it holds, and agrees. */
static void become_ready(struct hf_fabric *f)
{
    bool agreed = true;
    for (unsigned i = 0; i < f->rank->count; i++)
        if (i != f->self && !f->peers[i].decided)
            return;
    if (!hf_fabric_complete(f))
        return;
    ask_ready(f);
    for (unsigned i = 0; i < f->rank->count; i++)
        agreed &= i == f->self || f->peers[i].status == HF_PEER_DEAD || f->peers[i].ready_yes;
    if (!agreed)
        return;
    f->status = HF_PEER_READY;
    hf_membership_changed(f);
}

/* A peer hears from all nodes of a machine, whose clocks are one, in the same tick: it wakes up
 * once for all of them. Each peer has its tick of the interval, so that the work is spread over it.
 */
static bool beat_is_due(const struct hf_fabric *f, unsigned peer)
{
    uint64_t interval_ms = heartbeat_ms(f), shift_ms = (uint64_t)peer * HF_FABRIC_TICK_MS;
    return (f->now_ms + shift_ms) / interval_ms !=
           (f->peers[peer].beat_ms + shift_ms) / interval_ms;
}

/* A peer that is dead to us was heard since it last heard of us: it may count us when we say so. */
static bool owes_answer(const struct hf_fabric *f, const struct hf_peer *p)
{
    return p->status == HF_PEER_DEAD && p->echo_ms != 0 && p->heard_ms >= p->beat_ms &&
           f->now_ms - p->beat_ms >= HF_FABRIC_TICK_MS;
}

static void watch(struct hf_fabric *f, unsigned peer)
{
    struct hf_peer *p = &f->peers[peer];
    uint64_t silent_ms = f->now_ms - p->heard_ms, uncounted_ms = f->now_ms - p->counted_ms;
    if (p->status != HF_PEER_DEAD && (silent_ms > f->dead_ms || uncounted_ms > f->dead_ms))
        hf_membership_dead(f, peer, false);
    if (!p->decided && f->now_ms - f->started_ms > f->dead_ms)
        p->decided = true;
    if (p->linked && (beat_is_due(f, peer) || owes_answer(f, p)))
        hf_membership_beat(f, peer);
    if (p->asks_ready != 0 && !hf_sync_owes(f, peer))
        agree(f, peer);
}

void hf_membership_away(struct hf_fabric *f)
{
    for (unsigned i = 0; i < f->rank->count; i++)
        f->peers[i].heard_ms = f->peers[i].counted_ms = f->now_ms;
}

void hf_membership_tick(struct hf_fabric *f)
{
    for (unsigned i = 0; i < f->rank->count; i++)
        if (i != f->self)
            watch(f, i);
    if (f->status == HF_PEER_READY && !hf_membership_quorum(f))
        lapse(f); /* the others may have gone on without us */
    if (f->status == HF_PEER_SYNCING && hf_membership_quorum(f))
        become_ready(f);
    beat_all(f);
    f->leased_ms = leased_ms(f);
}
