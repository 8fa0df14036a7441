/* Operations that a home sent on to the owner of their record. The answer goes from there to who
 * asked; the home remembers only whom to tell when the owner ends before, so that nobody waits out
 * his patience for a node that is known to be dead. */
#include "fabric/internal.h"
#include <stdlib.h>

struct relayed {
    struct hf_list node;
    uint64_t number, end_ms;      /* after end_ms nobody waits for it any more */
    uint64_t travels_ms, told_ms; /* it may be under way until; who waits was told so last */
    uint8_t origin, flags;
    uint16_t id_size;
    char id[];
};

static void forget(struct hf_peer *p, struct relayed *one)
{
    hf_list_remove(&one->node);
    p->relayed_count--;
    p->relayed_long -= one->travels_ms > 0;
    free(one);
}

static struct relayed *first(struct hf_peer *p)
{
    if (hf_list_empty(&p->relayed))
        return NULL;
    return hf_container_of(p->relayed.next, struct relayed, node);
}

/* What finds no place is answered by patience alone. */
static void remember(struct hf_fabric *f, struct hf_slice id, struct hf_peer *p,
                     const struct hf_request *request, uint64_t travel_ms)
{
    struct relayed *one =
        p->relayed_count < HF_FABRIC_RELAYED_MAX ? malloc(sizeof(*one) + id.size) : NULL;
    if (one == NULL)
        return;
    one->number = request->number;
    one->end_ms = f->now_ms + HF_FABRIC_ANSWER_MS + travel_ms + hf_patience_hops_ms(request->size);
    one->travels_ms = travel_ms > 0 ? f->now_ms + travel_ms : 0;
    one->told_ms = 0;
    p->relayed_long += travel_ms > 0;
    one->origin = request->origin;
    one->flags = request->flags;
    one->id_size = (uint16_t)id.size;
    memcpy(one->id, id.bytes, id.size);
    hf_list_push_back(&p->relayed, &one->node);
    p->relayed_count++;
}

bool hf_relay_send(struct hf_fabric *f, struct hf_slice id, unsigned owner,
                   const struct hf_request *request)
{
    struct hf_wire_message m = {.type = HF_WIRE_RELAY, .number = request->number, .id = id};
    m.node = request->origin;
    m.flags = request->flags & (HF_OP_REFUSED - 1);
    m.bytes = hf_slice(request->bytes, request->size);
    m.asked_ms = hf_patience_clock(f, owner, request->asked_ms);
    uint64_t travel_ms;
    if (m.asked_ms == 0 || !hf_patience_send(f, owner, &m, &travel_ms))
        return false;
    remember(f, id, &f->peers[owner], request, travel_ms);
    return true;
}

/* One that is dead because it was silent may do what it got when it is heard again; a write is left
 * to the patience of who asked for it, as when the link alone ends.
 * A reply may start the next operation, which may be relayed in turn: those stand behind. */
void hf_relay_unlinked(struct hf_fabric *f, unsigned owner, bool gone)
{
    struct hf_peer *p = &f->peers[owner];
    struct relayed *one;
    unsigned left = p->relayed_count;
    bool ended = gone && p->gone;
    for (; left > 0 && (one = first(p)) != NULL; left--) {
        bool reads = one->flags & HF_FABRIC_READS;
        hf_list_remove(&one->node);
        if (!reads && !ended) {
            hf_list_push_back(&p->relayed, &one->node);
            continue;
        }
        p->relayed_count--;
        p->relayed_long -= one->travels_ms > 0;
        hf_home_reply(f, hf_slice(one->id, one->id_size), one->origin, one->number,
                      reads ? HF_FABRIC_RETRY : HF_FABRIC_UNSURE);
        free(one);
    }
}

/* The owner, who has not heard of it yet, cannot say so. */
static void tell_under_way(struct hf_fabric *f, struct hf_peer *p)
{
    HF_LIST_EACH(&p->relayed, node)
    {
        struct relayed *one = hf_container_of(node, struct relayed, node);
        if (one->travels_ms <= f->now_ms || f->now_ms - one->told_ms < HF_FABRIC_UNDER_WAY_MS)
            continue;
        one->told_ms = f->now_ms;
        hf_home_reply(f, hf_slice(one->id, one->id_size), one->origin, one->number,
                      HF_FABRIC_UNDER_WAY);
    }
}

void hf_relay_tick(struct hf_fabric *f)
{
    struct relayed *one;
    for (unsigned i = 0; i < f->rank->count; i++) {
        struct hf_peer *p = &f->peers[i];
        while ((one = first(p)) != NULL && one->end_ms <= f->now_ms)
            forget(p, one);
        if (p->relayed_long > 0)
            tell_under_way(f, p);
    }
}

void hf_relay_forget(struct hf_peer *p)
{
    struct relayed *one;
    while ((one = first(p)) != NULL)
        forget(p, one);
}
