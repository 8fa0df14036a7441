#include "proxy/content.h"
#include "base/assert.h"
#include <errno.h>

/* Runs at least this long go to the socket from where they lie; shorter ones are staged behind the
 * head, because one send of both is cheaper than the copy saved. */
enum { DIRECT_SIZE_MIN = 8 * 1024 };

void hf_content_start(struct hf_content *content, enum hf_body body, uint64_t length)
{
    REQUIRE(body != HF_BODY_LENGTH || length > 0);
    *content = (struct hf_content){.body = body, .left = length, .ended = body == HF_BODY_NONE};
}

static enum hf_flow next_chunked(struct hf_content *content, struct hf_conn *conn,
                                 struct hf_slice *ret_piece)
{
    for (;;) {
        struct hf_slice input = hf_conn_input(conn);
        if (input.size == 0)
            return HF_FLOW_WAIT;
        size_t used = 0;
        struct hf_slice piece = {0};
        enum hf_codec codec =
            hf_http1_chunked_decode(&content->chunked, input.bytes, input.size, &used, &piece);
        if (codec == HF_CODEC_BAD)
            return HF_FLOW_BAD;
        content->ended = codec == HF_CODEC_DONE;
        if (piece.size > 0) {
            content->lent = used;
            *ret_piece = piece;
            return HF_FLOW_MOVED;
        }
        hf_conn_consume(conn, used);
        if (content->ended)
            return HF_FLOW_END;
        if (used == 0)
            return HF_FLOW_WAIT;
    }
}

/* What the bytes already received give. */
static enum hf_flow next_received(struct hf_content *content, struct hf_conn *conn,
                                  struct hf_slice *ret_piece)
{
    if (content->ended)
        return HF_FLOW_END;
    if (content->body == HF_BODY_CHUNKED)
        return next_chunked(content, conn, ret_piece);
    struct hf_slice piece = hf_conn_input(conn);
    if (piece.size == 0) {
        bool complete = content->body == HF_BODY_UNTIL_CLOSE && conn->read_ended && !conn->broken;
        content->ended = complete;
        return complete ? HF_FLOW_END : HF_FLOW_WAIT;
    }
    if (content->body == HF_BODY_LENGTH) {
        if (piece.size > content->left)
            piece.size = (size_t)content->left;
        content->left -= piece.size;
        content->ended = content->left == 0;
    }
    content->lent = piece.size;
    *ret_piece = piece;
    return HF_FLOW_MOVED;
}

enum hf_flow hf_content_read(struct hf_content *content, struct hf_conn *conn,
                             struct hf_slice *ret_piece)
{
    REQUIRE(content->lent == 0);
    for (;;) {
        enum hf_flow flow = next_received(content, conn, ret_piece);
        if (flow == HF_FLOW_MOVED)
            content->total += ret_piece->size;
        if (flow != HF_FLOW_WAIT)
            return flow;
        if (conn->read_ended)
            return HF_FLOW_GONE;
        if (!conn->can_read)
            return conn->broken ? HF_FLOW_GONE : HF_FLOW_WAIT;
        ssize_t got = hf_conn_receive(conn, HF_CONTENT_RECEIVE_MAX);
        if (got == -EAGAIN)
            return HF_FLOW_WAIT;
        if (got < 0)
            return HF_FLOW_GONE;
    }
}

void hf_content_consume(struct hf_content *content, struct hf_conn *conn)
{
    REQUIRE(content->lent > 0);
    hf_conn_consume(conn, content->lent);
    content->lent = 0;
}

static bool stage(struct hf_conn *conn, struct hf_slice bytes)
{
    struct hf_buffer *out = hf_conn_output(conn);
    if (!out)
        return false;
    if (hf_buffer_room(out) < bytes.size)
        hf_buffer_compact(out);
    return hf_buffer_append(out, bytes);
}

static bool write_chunk(struct hf_conn *conn, struct hf_slice piece)
{
    char head[HF_HTTP1_CHUNK_HEAD_MAX];
    size_t head_size = hf_http1_chunk_head(piece.size, head);
    return stage(conn, hf_slice(head, head_size)) && stage(conn, piece) &&
           stage(conn, HF_SLICE("\r\n"));
}

bool hf_content_write(struct hf_conn *conn, enum hf_body framing, struct hf_slice piece)
{
    REQUIRE(piece.size > 0 && piece.size <= HF_BUFFER_SIZE);
    if (framing == HF_BODY_CHUNKED)
        return write_chunk(conn, piece);
    if (piece.size >= DIRECT_SIZE_MIN && !hf_conn_has_output(conn) && conn->can_write) {
        ssize_t sent = hf_conn_send(conn, piece);
        if (sent < 0)
            return false;
        piece.bytes += sent;
        piece.size -= (size_t)sent;
    }
    return piece.size == 0 || stage(conn, piece);
}

bool hf_content_write_end(struct hf_conn *conn, enum hf_body framing)
{
    return framing != HF_BODY_CHUNKED || stage(conn, HF_SLICE("0\r\n\r\n"));
}

enum hf_flow hf_content_flush(struct hf_conn *conn)
{
    if (!hf_conn_has_output(conn))
        return conn->broken ? HF_FLOW_GONE : HF_FLOW_END;
    if (!conn->can_write)
        return conn->broken ? HF_FLOW_GONE : HF_FLOW_WAIT;
    int result = hf_conn_flush(conn, false);
    if (result == 0)
        return HF_FLOW_END;
    return result == -EAGAIN ? HF_FLOW_WAIT : HF_FLOW_GONE;
}
