/* Operations that a home sent on to the owner of their record. The answer goes from there to who
 * asked; the home remembers only whom to tell when the owner ends before, so that nobody waits out
 * his patience for a node that is known to be dead. */
#include "fabric/internal.h"
#include <stdlib.h>

struct relayed {
    struct hf_list node;
    uint64_t number, end_ms; /* after end_ms nobody waits for it any more */
    uint8_t origin, flags;
    uint16_t id_size;
    char id[];
};

static void forget(struct hf_peer *p, struct relayed *one)
{
    hf_list_remove(&one->node);
    p->relayed_count--;
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
                     const struct hf_request *request)
{
    struct relayed *one =
        p->relayed_count < HF_FABRIC_RELAYED_MAX ? malloc(sizeof(*one) + id.size) : NULL;
    if (one == NULL)
        return;
    one->number = request->number;
    one->end_ms = f->now_ms + HF_FABRIC_ANSWER_MS;
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
    if (!hf_queue_send(f, owner, &m))
        return false;
    remember(f, id, &f->peers[owner], request);
    return true;
}

/* A reply may start the next operation, which may be relayed in turn: those stand behind. */
void hf_relay_unlinked(struct hf_fabric *f, unsigned owner, bool gone)
{
    struct hf_peer *p = &f->peers[owner];
    struct relayed *one;
    unsigned left = p->relayed_count;
    for (; left > 0 && (one = first(p)) != NULL; left--) {
        bool reads = one->flags & HF_FABRIC_READS;
        hf_list_remove(&one->node);
        if (!reads && !gone) {
            hf_list_push_back(&p->relayed, &one->node);
            continue;
        }
        p->relayed_count--;
        hf_home_reply(f, hf_slice(one->id, one->id_size), one->origin, one->number,
                      reads ? HF_FABRIC_RETRY : HF_FABRIC_UNSURE);
        free(one);
    }
}

void hf_relay_tick(struct hf_fabric *f)
{
    struct relayed *one;
    for (unsigned i = 0; i < f->rank->count; i++)
        while ((one = first(&f->peers[i])) != NULL && one->end_ms <= f->now_ms)
            forget(&f->peers[i], one);
}

void hf_relay_forget(struct hf_peer *p)
{
    struct relayed *one;
    while ((one = first(p)) != NULL)
        forget(p, one);
}
