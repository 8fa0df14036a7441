#include "proxy/relay.h"
#include "base/assert.h"
#include "proxy/origin.h"

struct direction {
    enum hf_flow (*read)(struct hf_exchange *x, struct hf_slice *ret_piece);
    void (*consume)(struct hf_exchange *x);
    bool (*write)(struct hf_exchange *x, struct hf_slice piece);
    bool (*write_end)(struct hf_exchange *x);
    enum hf_flow (*flush)(struct hf_exchange *x);
    size_t (*staged)(const struct hf_exchange *x);
    bool up;
};

static size_t origin_staged(const struct hf_exchange *x)
{
    const struct hf_buffer *out = x->origin->conn.out;
    return out ? hf_buffer_used(out) : 0;
}

static size_t client_staged(const struct hf_exchange *x)
{
    return x->client_side->staged(x);
}

/* More was taken than may be? Only content of unknown length can get here. */
static bool over_limit(const struct hf_exchange *x)
{
    uint64_t limit = x->snapshot->config->limits.request_body;
    return limit > 0 && x->up.total > limit;
}

/* Flushes when a send is due. END: go on. */
static enum hf_flow make_room(const struct direction *way, struct hf_exchange *x)
{
    return way->staged(x) < HF_RELAY_STAGE_MAX ? HF_FLOW_END : way->flush(x);
}

static enum hf_relay finish_flush(const struct direction *way, struct hf_exchange *x,
                                  enum hf_relay flushed)
{
    enum hf_flow flow = way->flush(x);
    if (flow == HF_FLOW_GONE)
        return HF_RELAY_SINK_GONE;
    return flow == HF_FLOW_WAIT ? HF_RELAY_WAIT : flushed;
}

static void note_moved(const struct direction *way, struct hf_exchange *x, size_t size)
{
    uint64_t now_ms = hf_loop_now_ms(x->worker->loop);
    hf_count_add(&x->worker->counts.proxy[way->up ? HF_PROXY_RECEIVED_BYTES : HF_PROXY_SENT_BYTES],
                 size);
    if (way->up)
        x->up_moved_ms = now_ms;
    else
        x->down_moved_ms = now_ms;
}

static enum hf_relay relay(const struct direction *way, struct hf_exchange *x,
                           struct hf_content *content)
{
    REQUIRE(x->origin != NULL || content->ended);
    size_t moved = 0;
    while (!content->passed) {
        enum hf_flow flow = make_room(way, x);
        if (flow != HF_FLOW_END)
            return flow == HF_FLOW_WAIT ? HF_RELAY_WAIT : HF_RELAY_SINK_GONE;
        struct hf_slice piece = {0};
        flow = way->read(x, &piece);
        if (flow == HF_FLOW_GONE)
            return HF_RELAY_SOURCE_GONE;
        if (flow == HF_FLOW_BAD)
            return HF_RELAY_SOURCE_BAD;
        if (flow == HF_FLOW_WAIT)
            return finish_flush(way, x, HF_RELAY_WAIT);
        if (flow == HF_FLOW_END) {
            if (!way->write_end(x))
                return HF_RELAY_SINK_GONE;
            content->passed = true;
            break;
        }
        if (way->up && over_limit(x))
            return HF_RELAY_FULL;
        bool written = way->write(x, piece);
        moved += piece.size;
        note_moved(way, x, piece.size);
        way->consume(x);
        if (!written)
            return HF_RELAY_SINK_GONE;
        if (moved >= HF_RELAY_BURST) {
            x->client_side->again(x);
            return finish_flush(way, x, HF_RELAY_WAIT);
        }
    }
    return finish_flush(way, x, HF_RELAY_DONE);
}

static enum hf_flow client_read(struct hf_exchange *x, struct hf_slice *ret_piece)
{
    return x->client_side->read_content(x, ret_piece);
}
static void client_consume(struct hf_exchange *x)
{
    x->client_side->consume(x);
}
static bool client_write(struct hf_exchange *x, struct hf_slice piece)
{
    return x->client_side->write_content(x, piece);
}
static bool client_write_end(struct hf_exchange *x)
{
    return x->client_side->write_end(x);
}
static enum hf_flow client_flush(struct hf_exchange *x)
{
    return x->client_side->flush(x);
}

enum hf_relay hf_relay_up(struct hf_exchange *x)
{
    static const struct direction up = {client_read,
                                        client_consume,
                                        hf_origin_write_content,
                                        hf_origin_write_end,
                                        hf_origin_flush,
                                        origin_staged,
                                        true};
    return relay(&up, x, &x->up);
}

enum hf_relay hf_relay_down(struct hf_exchange *x)
{
    static const struct direction down = {
        hf_origin_read_content, hf_origin_consume, client_write, client_write_end,
        client_flush,           client_staged,     false};
    return relay(&down, x, &x->down);
}
