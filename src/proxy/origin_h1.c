/* HTTP/1 towards servers. */
#include "base/assert.h"
#include "proxy/content.h"
#include "proxy/origin.h"
#include <errno.h>

void hf_origin_ready(struct hf_event *event, unsigned ready)
{
    struct hf_upstream_conn *origin = hf_container_of(hf_container_of(event, struct hf_conn, event),
                                                      struct hf_upstream_conn, conn);
    struct hf_exchange *x = origin->user;
    REQUIRE(HF_MAGIC_OK(x, HF_EXCHANGE_MAGIC) && x->origin == origin);
    hf_conn_note_ready(&origin->conn, ready);
    x->client_side->wake(x->client);
}

static void write_framing(struct hf_http1_writer *writer, const struct hf_outgoing *outgoing)
{
    if (outgoing->body == HF_BODY_CHUNKED) {
        hf_http1_write(writer, HF_SLICE("Transfer-Encoding: chunked\r\n"));
    } else if (outgoing->body == HF_BODY_LENGTH || outgoing->announce_length) {
        hf_http1_write(writer, HF_SLICE("Content-Length: "));
        hf_http1_write_u64(writer, outgoing->content_length);
        hf_http1_write(writer, HF_SLICE("\r\n"));
    }
}

bool hf_origin_write_head(struct hf_exchange *x, const struct hf_outgoing *outgoing)
{
    struct hf_buffer *out = hf_conn_output(&x->origin->conn);
    if (!out)
        return false;
    const struct hf_head *head = outgoing->head;
    struct hf_http1_writer writer = {.out = out->bytes + out->end, .room = hf_buffer_room(out)};
    hf_http1_write(&writer, hf_head_span(head, head->method_text));
    hf_http1_write(&writer, HF_SLICE(" "));
    hf_http1_write(&writer, hf_head_span(head, head->path));
    hf_http1_write(&writer, HF_SLICE(" HTTP/1.1\r\n"));
    for (unsigned i = 0; i < outgoing->added_count; i++)
        hf_http1_write_field(&writer, outgoing->added[i].name, outgoing->added[i].value);
    hf_http1_write_fields(&writer, head, outgoing->skip);
    write_framing(&writer, outgoing);
    if (outgoing->upgrade)
        hf_http1_write(&writer, HF_SLICE("Connection: Upgrade\r\n"));
    hf_http1_write(&writer, HF_SLICE("\r\n"));
    if (writer.size > writer.room)
        return false;
    out->end += (uint32_t)writer.size;
    return true;
}

bool hf_origin_write_content(struct hf_exchange *x, struct hf_slice piece)
{
    return hf_content_write(&x->origin->conn, x->up.body, piece);
}

bool hf_origin_write_end(struct hf_exchange *x)
{
    return hf_content_write_end(&x->origin->conn, x->up.body);
}

enum hf_flow hf_origin_flush(struct hf_exchange *x)
{
    return hf_content_flush(&x->origin->conn);
}

static enum hf_origin_head parse_head(struct hf_exchange *x, struct hf_slice input)
{
    static const struct hf_http1_limits limits = {.head_size_max = HF_HEAD_SIZE_MAX,
                                                  .fields_max = HF_FIELDS_MAX};
    enum hf_codec codec =
        hf_http1_parse_response(&x->response_parser, &x->response, input.bytes, input.size,
                                (enum hf_method)x->request.method, &limits);
    if (codec == HF_CODEC_BAD) {
        hf_count(&x->worker->counts.bad_responses[x->response_parser.reason]);
        return HF_ORIGIN_BAD;
    }
    return codec == HF_CODEC_DONE ? HF_ORIGIN_HEAD : HF_ORIGIN_WAIT;
}

enum hf_origin_head hf_origin_read_head(struct hf_exchange *x)
{
    struct hf_conn *conn = &x->origin->conn;
    for (;;) {
        struct hf_slice input = hf_conn_input(conn);
        if (input.size > x->response_parser.scanned) {
            x->response_seen = true;
            enum hf_origin_head head = parse_head(x, input);
            if (head != HF_ORIGIN_WAIT)
                return head;
        }
        if (!conn->can_read && !conn->broken)
            return HF_ORIGIN_WAIT;
        ssize_t got = conn->read_ended ? 0 : hf_conn_receive(conn, HF_CONTENT_RECEIVE_MAX);
        if (got == -EAGAIN)
            return HF_ORIGIN_WAIT;
        if (got == -ENOBUFS)
            return HF_ORIGIN_FULL;
        if (got <= 0)
            return x->response_seen ? HF_ORIGIN_CUT : HF_ORIGIN_CLOSED;
    }
}

void hf_origin_head_done(struct hf_exchange *x)
{
    hf_conn_consume(&x->origin->conn, x->response.size);
    x->response_parser = (struct hf_http1_parser){0};
    hf_content_start(&x->down, (enum hf_body)x->response.body, x->response.content_length);
}

enum hf_flow hf_origin_read_content(struct hf_exchange *x, struct hf_slice *ret_piece)
{
    return hf_content_read(&x->down, &x->origin->conn, ret_piece);
}

void hf_origin_consume(struct hf_exchange *x)
{
    hf_content_consume(&x->down, &x->origin->conn);
}

bool hf_origin_reusable(const struct hf_exchange *x)
{
    const struct hf_conn *conn = &x->origin->conn;
    return x->up.passed && x->down.ended && x->down.body != HF_BODY_UNTIL_CLOSE &&
           x->response.keep_alive && !x->request.upgrade && !conn->in && !conn->out &&
           !conn->peer_closed && !conn->broken;
}
