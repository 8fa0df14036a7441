/* What is long takes its time. A wait that is counted in moments would give up what is still on its
 * way, and ask for it once more; so who waits counts the bytes that he sent, and counts anew
 * whenever he sees, or is told, that what he waits for is coming. */
#include "fabric/internal.h"

uint64_t hf_patience_travel_ms(size_t size)
{
    uint64_t ms = size > HF_WIRE_FRAME_MAX ? size / HF_FABRIC_BYTES_A_MS : 0;
    return ms < HF_FABRIC_TRAVEL_MS_MAX ? ms : HF_FABRIC_TRAVEL_MS_MAX;
}

uint64_t hf_patience_hops_ms(size_t size)
{
    return HF_FABRIC_HOPS * hf_patience_travel_ms(size);
}

bool hf_patience_send(struct hf_fabric *f, unsigned peer, struct hf_wire_message *m,
                      uint64_t *ret_travel_ms)
{
    const struct hf_queue *queue = &f->peers[peer].queue;
    size_t before = queue->bulk_size;
    bool sent = hf_queue_send(f, peer, m);
    *ret_travel_ms = queue->bulk_size > before ? hf_patience_bulk_ms(f, peer) : 0;
    return sent;
}

uint64_t hf_patience_bulk_ms(const struct hf_fabric *f, unsigned peer)
{
    return hf_patience_travel_ms(f->peers[peer].queue.bulk_size + HF_FABRIC_SOCKET_SIZE);
}

/* A heartbeat tells the peer's clock as it was when that left; since then it has gone on as ours.
 */
uint64_t hf_patience_clock(const struct hf_fabric *f, unsigned peer, uint64_t at_ms)
{
    const struct hf_peer *p = &f->peers[peer];
    if (peer == f->self)
        return at_ms;
    if (p->echo_ms == 0)
        return 0;
    return p->echo_ms + at_ms > p->heard_ms ? p->echo_ms + at_ms - p->heard_ms : 1;
}

/* He waits for ANSWER_MS; the rest of it is for those who look at their clocks once in a turn. */
bool hf_patience_over(const struct hf_fabric *f, uint64_t asked_ms, size_t size)
{
    return asked_ms == 0 ||
           asked_ms + HF_FABRIC_OPERATION_MS + hf_patience_hops_ms(size) < f->now_ms;
}

/* Whatever the peer sends about the record comes before its answer, if it is not the answer: a
 * GRANT of the home that was asked, a RESULT of the owner that the home sent us to, an ANSWER to us
 * as the home. What it sends about others is no sign: who was asked may be dead. */
void hf_patience_progress(struct hf_fabric *f, unsigned peer)
{
    const struct hf_peer *p = &f->peers[peer];
    struct hf_wire_message m;
    if (!hf_wire_begin(hf_slice(p->partial, p->partial_size), &m) || m.id.size == 0)
        return;
    struct hf_activity *activity = hf_activity_find(f, m.id, hf_rank_hash(m.id));
    if (activity == NULL)
        return;
    if (activity->asked)
        hf_operation_progress(f, activity);
    if (activity->step != HF_HOME_IDLE && activity->waiting[peer / 64] >> peer % 64 & 1)
        hf_home_progress(f, activity);
}
