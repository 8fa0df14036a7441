/* Content over a real socket pair: out of one framing, into another. */
#include "base/test.h"
#include "proxy/content.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    struct hf_loop *loop;
    struct hf_buffer_pool buffers;
    struct hf_conn conn;
    int peer;
};

static void ready(struct hf_event *event, unsigned bits)
{
    (void)event;
    (void)bits;
}

static void closed(struct hf_event *event)
{
    (void)event;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    int pair[2];
    assert_non_null(f);
    assert_int_equal(hf_loop_new(&f->loop), 0);
    hf_buffer_pool_init(&f->buffers, 8, 2);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    f->peer = pair[1];
    assert_int_equal(hf_conn_open(&f->conn, f->loop, &f->buffers, pair[0], ready, closed), 0);
    f->conn.can_write = true;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    hf_conn_close(&f->conn);
    if (f->peer >= 0)
        close(f->peer);
    hf_loop_free(&f->loop);
    hf_buffer_pool_fini(&f->buffers);
    free(f);
    return 0;
}

static void peer_sends(struct fixture *f, const char *text)
{
    size_t size = strlen(text);
    assert_int_equal(write(f->peer, text, size), (ssize_t)size);
    hf_conn_note_ready(&f->conn, HF_READABLE);
}

static void expect_piece(struct fixture *f, struct hf_content *content, const char *text)
{
    struct hf_slice piece;
    assert_int_equal(hf_content_read(content, &f->conn, &piece), HF_FLOW_MOVED);
    assert_int_equal(piece.size, strlen(text));
    assert_memory_equal(piece.bytes, text, piece.size);
    hf_content_consume(content, &f->conn);
}

static void expect_flow(struct fixture *f, struct hf_content *content, enum hf_flow flow)
{
    struct hf_slice piece;
    assert_int_equal(hf_content_read(content, &f->conn, &piece), flow);
}

static void a_length_ends_where_it_says(void **state)
{
    struct fixture *f = *state;
    struct hf_content content;
    hf_content_start(&content, HF_BODY_LENGTH, 5);
    peer_sends(f, "abc");
    expect_piece(f, &content, "abc");
    expect_flow(f, &content, HF_FLOW_WAIT);
    peer_sends(f, "deGET");
    expect_piece(f, &content, "de");
    expect_flow(f, &content, HF_FLOW_END);
    assert_int_equal(content.total, 5);
    assert_true(hf_slice_equal(hf_conn_input(&f->conn), HF_SLICE("GET")));
}

static void a_short_length_is_no_end(void **state)
{
    struct fixture *f = *state;
    struct hf_content content;
    hf_content_start(&content, HF_BODY_LENGTH, 5);
    peer_sends(f, "abc");
    close(f->peer);
    f->peer = -1;
    hf_conn_note_ready(&f->conn, HF_READABLE | HF_PEER_CLOSED);
    expect_piece(f, &content, "abc");
    expect_flow(f, &content, HF_FLOW_GONE);
    assert_false(content.ended);
}

static void chunks_come_in_any_cut(void **state)
{
    static const char text[] = "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\nNEXT";
    struct fixture *f = *state;
    struct hf_content content;
    char got[16] = "";
    size_t size = 0;
    hf_content_start(&content, HF_BODY_CHUNKED, 0);
    for (size_t i = 0; text[i]; i++) {
        peer_sends(f, (char[]){text[i], '\0'});
        struct hf_slice piece;
        enum hf_flow flow;
        while ((flow = hf_content_read(&content, &f->conn, &piece)) == HF_FLOW_MOVED) {
            assert_true(size + piece.size < sizeof(got));
            memcpy(got + size, piece.bytes, piece.size);
            size += piece.size;
            hf_content_consume(&content, &f->conn);
        }
        if (flow == HF_FLOW_END)
            break;
        assert_int_equal(flow, HF_FLOW_WAIT);
    }
    assert_true(content.ended);
    assert_string_equal(got, "abcde");
    assert_int_equal(content.total, 5);
}

static void bad_chunks_are_bad(void **state)
{
    struct fixture *f = *state;
    struct hf_content content;
    hf_content_start(&content, HF_BODY_CHUNKED, 0);
    peer_sends(f, "0x3\r\nabc\r\n");
    expect_flow(f, &content, HF_FLOW_BAD);
    assert_int_not_equal(content.chunked.reason, HF_HTTP1_OK);
}

static void close_ends_what_has_no_length(void **state)
{
    struct fixture *f = *state;
    struct hf_content content;
    hf_content_start(&content, HF_BODY_UNTIL_CLOSE, 0);
    peer_sends(f, "abc");
    expect_piece(f, &content, "abc");
    expect_flow(f, &content, HF_FLOW_WAIT);
    close(f->peer);
    f->peer = -1;
    hf_conn_note_ready(&f->conn, HF_READABLE | HF_PEER_CLOSED);
    expect_flow(f, &content, HF_FLOW_END);
}

static void expect_at_peer(struct fixture *f, const char *text)
{
    char got[256];
    ssize_t size = read(f->peer, got, sizeof(got));
    assert_int_equal(size, (ssize_t)strlen(text));
    assert_memory_equal(got, text, (size_t)size);
}

static void runs_become_chunks(void **state)
{
    struct fixture *f = *state;
    assert_true(hf_content_write(&f->conn, HF_BODY_CHUNKED, HF_SLICE("hello, chunks!!!!")));
    assert_true(hf_content_write_end(&f->conn, HF_BODY_CHUNKED));
    assert_int_equal(hf_content_flush(&f->conn), HF_FLOW_END);
    expect_at_peer(f, "11\r\nhello, chunks!!!!\r\n0\r\n\r\n");
    assert_int_equal(f->buffers.lent_count, 0);
}

/* More than the socket takes: everything is kept, in order, and flush says so. */
static void a_full_socket_loses_nothing(void **state)
{
    enum { PIECE = 32 * 1024, PIECES_MAX = 64 };
    struct fixture *f = *state;
    static char piece[PIECE];
    size_t written = 0, read_back = 0;
    while (!hf_conn_has_output(&f->conn)) {
        assert_true(written < (size_t)PIECES_MAX * PIECE);
        for (size_t i = 0; i < PIECE; i++)
            piece[i] = (char)((written + i) % 251);
        assert_true(hf_content_write(&f->conn, HF_BODY_LENGTH, hf_slice(piece, PIECE)));
        written += PIECE;
    }
    assert_int_equal(hf_content_flush(&f->conn), HF_FLOW_WAIT);
    while (read_back < written) {
        char got[PIECE];
        ssize_t size = read(f->peer, got, sizeof(got));
        assert_true(size > 0);
        for (ssize_t i = 0; i < size; i++)
            assert_int_equal(got[i], (char)((read_back + (size_t)i) % 251));
        read_back += (size_t)size;
        hf_conn_note_ready(&f->conn, HF_WRITABLE);
        assert_int_not_equal(hf_content_flush(&f->conn), HF_FLOW_GONE);
    }
    assert_int_equal(read_back, written);
    assert_false(hf_conn_has_output(&f->conn));
}

static void a_closed_peer_is_told(void **state)
{
    struct fixture *f = *state;
    close(f->peer);
    f->peer = -1;
    bool written = hf_content_write(&f->conn, HF_BODY_LENGTH, HF_SLICE("x"));
    assert_true(!written || hf_content_flush(&f->conn) == HF_FLOW_GONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_length_ends_where_it_says),   TEST(a_short_length_is_no_end),
        TEST(chunks_come_in_any_cut),        TEST(bad_chunks_are_bad),
        TEST(close_ends_what_has_no_length), TEST(runs_become_chunks),
        TEST(a_full_socket_loses_nothing),   TEST(a_closed_peer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
