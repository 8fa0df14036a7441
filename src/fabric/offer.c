/* A node that is to be drained gives away what it owns while it goes on serving: it offers each of
 * its records to another node, which acquires it from the home as if a client had asked for it
 * there. The offer moves nothing by itself, so nothing depends on its arrival, nor on its truth. */
#include "fabric/internal.h"
#include <stdlib.h>

struct taker {
    struct hf_fabric_op op;
    char id[];
};

static bool takes_offers(const struct hf_fabric *f, unsigned node)
{
    return node != f->self && hf_membership_ready(f, node) && !f->peers[node].drains;
}

/* The first of the rank that can: where proxies send the clients of a session that moves. -1: none.
 */
static int taker_of(const struct hf_fabric *f, uint64_t hash)
{
    struct hf_rank_walk walk;
    int node;
    hf_rank_walk_init(&walk, f->rank, hash);
    while ((node = hf_rank_walk_next(&walk)) >= 0)
        if (takes_offers(f, (unsigned)node))
            break;
    return node;
}

bool hf_offer_declines(const struct hf_fabric *f)
{
    for (unsigned i = 0; f->drains && i < f->rank->count; i++)
        if (takes_offers(f, i))
            return true;
    return false;
}

void hf_fabric_drain(struct hf_fabric *f, bool drains, uint64_t now_ms)
{
    f->drains = drains;
    f->offer_ms = now_ms;
    f->offer_cursor = 0;
    f->offered = false;
}

static void offer(struct hf_fabric *f, const struct hf_fabric_record *record)
{
    struct hf_wire_message m = {.type = HF_WIRE_OFFER};
    m.id = f->store.id(f->store.user, record);
    int taker = taker_of(f, hf_rank_hash(m.id));
    if (taker >= 0 && hf_queue_send(f, (unsigned)taker, &m))
        f->counts.offered++;
}

void hf_offer_tick(struct hf_fabric *f)
{
    unsigned offered = 0;
    if (f->status != HF_PEER_READY || f->now_ms < f->offer_ms || !hf_offer_declines(f))
        return;
    for (unsigned i = 0; i < HF_FABRIC_SCAN && offered < HF_FABRIC_OFFERED; i++) {
        struct hf_fabric_record *record = f->store.next(f->store.user, &f->offer_cursor);
        if (record == NULL) {
            f->offer_ms =
                f->now_ms + (f->offered ? HF_FABRIC_OFFER_AGAIN_MS : HF_FABRIC_OFFER_IDLE_MS);
            f->offered = false;
            return;
        }
        bool over = record->deadline_ms != 0 && record->deadline_ms <= f->now_ms;
        if (!hf_record_owned(f, record) || over)
            continue;
        offer(f, record);
        f->offered = true;
        offered++;
    }
}

void hf_offer_take(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m)
{
    uint64_t hash = hf_rank_hash(m->id);
    bool able = f->status == HF_PEER_READY && !f->drains && hf_membership_alive(f, peer);
    if (!able || f->taking >= HF_FABRIC_TAKING_MAX || hf_activity_find(f, m->id, hash) != NULL)
        return; /* it is offered again, if it is still theirs */
    struct taker *taker = calloc(1, sizeof(*taker) + m->id.size);
    if (taker == NULL)
        return;
    memcpy(taker->id, m->id.bytes, m->id.size);
    taker->op.id = hf_slice(taker->id, m->id.size);
    taker->op.flags = HF_FABRIC_ACQUIRES | HF_FABRIC_READS;
    taker->op.takes = true;
    f->taking++;
    hf_operation_start(f, &taker->op);
}

void hf_offer_taken(struct hf_fabric *f, struct hf_fabric_op *op, enum hf_fabric_status status)
{
    struct taker *taker = hf_container_of(op, struct taker, op);
    f->counts.taken += status == HF_FABRIC_OK;
    f->taking--;
    free(taker);
}
