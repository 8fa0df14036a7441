/* What waits for one peer: a lane of short messages, and one of long ones in pieces between them,
 * so that a large session delays no other. */
#include "fabric/internal.h"
#include <stdlib.h>

enum { CHUNK_HEAD = HF_WIRE_HEAD_SIZE + 8 };

void hf_queue_init(struct hf_queue *queue)
{
    memset(queue, 0, sizeof(*queue));
    hf_list_init(&queue->bulk);
}

static void free_bulk(struct hf_queue *queue, struct hf_queue_bulk *bulk)
{
    queue->bulk_size -= bulk->size;
    hf_list_remove(&bulk->node);
    free(bulk);
}

void hf_queue_fini(struct hf_queue *queue)
{
    while (!hf_list_empty(&queue->bulk))
        free_bulk(queue, hf_container_of(queue->bulk.next, struct hf_queue_bulk, node));
    hf_bytes_clear(NULL, &queue->brief);
}

size_t hf_queue_size(const struct hf_queue *queue)
{
    return hf_bytes_size(&queue->brief) + queue->bulk_size;
}

/* Of a change that the peer has not acknowledged it may ask for the whole. */
static bool is_crowded(const struct hf_peer *p)
{
    uint64_t under_way = 0;
    for (unsigned lane = 0; lane < HF_WIRE_LANES; lane++)
        under_way += p->sent[lane] - p->acked[lane];
    return p->linked &&
           (under_way > HF_FABRIC_COPIES || hf_queue_size(&p->queue) > HF_FABRIC_CROWDED);
}

bool hf_queue_crowded(const struct hf_fabric *f)
{
    for (unsigned i = 0; i < f->rank->count; i++)
        if (is_crowded(&f->peers[i]))
            return true;
    return false;
}

/* Long messages, and those about a record that has one waiting: they must not overtake it. */
static bool goes_bulk(const struct hf_queue *queue, const struct hf_wire_message *m, size_t size)
{
    if (size > HF_WIRE_FRAME_MAX)
        return true;
    if (m->id.size == 0 || hf_list_empty(&queue->bulk))
        return false;
    uint64_t hash = hf_rank_hash(m->id);
    HF_LIST_EACH(&queue->bulk, node)
    if (hf_container_of(node, struct hf_queue_bulk, node)->hash == hash)
        return true;
    return false;
}

static bool send_bulk(struct hf_queue *queue, const struct hf_wire_message *m, size_t size)
{
    struct hf_queue_bulk *bulk = malloc(sizeof(*bulk) + size);
    if (bulk == NULL)
        return false;
    bulk->hash = hf_rank_hash(m->id);
    bulk->size = size;
    bulk->sent = 0;
    REQUIRE(hf_wire_encode(m, bulk->bytes, size) == size);
    hf_list_push_back(&queue->bulk, &bulk->node);
    queue->bulk_size += size;
    return true;
}

/* Copies give way first: a resync makes up for them. */
static bool has_place(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m,
                      size_t size)
{
    size_t most = f->settings.queue_size_max * (m->type == HF_WIRE_REPLICATE ? 1 : 2);
    if (!f->peers[peer].linked)
        return false;
    if (hf_queue_size(&f->peers[peer].queue) + size <= most)
        return true;
    f->counts.queue_full++;
    hf_sync_owe(f, peer);
    return false;
}

static bool append(struct hf_fabric *f, unsigned peer, const struct hf_wire_message *m, bool bulk)
{
    struct hf_queue *queue = &f->peers[peer].queue;
    size_t size = hf_wire_size(m);
    if (bulk && !send_bulk(queue, m, size))
        return false;
    if (!bulk) {
        struct hf_bytes *brief = &queue->brief;
        if (!hf_bytes_reserve(NULL, brief, size))
            return false;
        brief->end += hf_wire_encode(m, brief->bytes + brief->end, size);
    }
    f->host.wake(f->host.user, peer);
    return true;
}

bool hf_queue_send(struct hf_fabric *f, unsigned peer, struct hf_wire_message *m)
{
    size_t size = hf_wire_size(m);
    if (!has_place(f, peer, m, size))
        return false;
    return append(f, peer, m, goes_bulk(&f->peers[peer].queue, m, size));
}

bool hf_queue_replicate(struct hf_fabric *f, unsigned peer, struct hf_wire_message *m,
                        uint8_t *ret_lane)
{
    struct hf_peer *p = &f->peers[peer];
    m->type = HF_WIRE_REPLICATE;
    size_t size = hf_wire_size(m);
    if (!has_place(f, peer, m, size))
        return false;
    *ret_lane = goes_bulk(&p->queue, m, size);
    m->number = p->sent[*ret_lane] + 1;
    if (!append(f, peer, m, *ret_lane))
        return false;
    p->sent[*ret_lane]++;
    return true;
}

static size_t frame_size(const char *frame)
{
    const unsigned char *at = (const unsigned char *)frame;
    return 4 + ((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3]);
}

static size_t pull_chunk(struct hf_queue *queue, char *out, size_t size)
{
    struct hf_queue_bulk *bulk = hf_container_of(queue->bulk.next, struct hf_queue_bulk, node);
    size_t left = bulk->size - bulk->sent;
    size_t piece = left < HF_WIRE_CHUNK_SIZE ? left : HF_WIRE_CHUNK_SIZE;
    struct hf_wire_message m = {.type = HF_WIRE_CHUNK, .number = bulk->size};
    if (size < CHUNK_HEAD + piece)
        return 0;
    m.bytes = hf_slice(bulk->bytes + bulk->sent, piece);
    size_t written = hf_wire_encode(&m, out, size);
    bulk->sent += piece;
    if (bulk->sent == bulk->size)
        free_bulk(queue, bulk);
    return written;
}

/* Whole frames, at most a chunk's worth, so that the lanes alternate. */
static size_t pull_short(struct hf_queue *queue, char *out, size_t size)
{
    size_t taken = 0, most = size < HF_WIRE_FRAME_MAX ? size : HF_WIRE_FRAME_MAX;
    struct hf_slice brief = hf_bytes_slice(&queue->brief);
    while (taken < brief.size && taken + frame_size(brief.bytes + taken) <= most)
        taken += frame_size(brief.bytes + taken);
    memcpy(out, brief.bytes, taken);
    hf_bytes_consume(&queue->brief, taken);
    return taken;
}

size_t hf_queue_pull(struct hf_queue *queue, char *out, size_t size)
{
    size_t taken = 0, piece = 1;
    while (piece > 0) {
        bool brief = hf_bytes_size(&queue->brief) > 0;
        bool chunk = !hf_list_empty(&queue->bulk) && (queue->chunk_next || !brief);
        if (!chunk && !brief)
            break;
        piece = chunk ? pull_chunk(queue, out + taken, size - taken)
                      : pull_short(queue, out + taken, size - taken);
        queue->chunk_next = piece > 0 ? !chunk : queue->chunk_next;
        taken += piece;
    }
    return taken;
}
