#include "net/conn.h"
#include "base/assert.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

static inline ssize_t tcp_receive(struct hf_conn *conn, char *out, size_t size)
{
    ssize_t got;
    do
        got = recv(conn->event.fd, out, size, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

static inline ssize_t tcp_send(struct hf_conn *conn, const char *bytes, size_t size, bool more)
{
    int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    ssize_t sent;
    do
        sent = send(conn->event.fd, bytes, size, flags);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

static int tcp_shutdown_write(struct hf_conn *conn)
{
    return shutdown(conn->event.fd, SHUT_WR) == 0 ? 0 : -errno;
}

const struct hf_transport hf_transport_tcp = {
    .name = "tcp",
    .receive = tcp_receive,
    .send = tcp_send,
    .shutdown_write = tcp_shutdown_write,
};

/* TCP, the common case, is called directly. */
static inline bool is_tcp(const struct hf_conn *conn)
{
    return __builtin_expect(conn->transport == &hf_transport_tcp, 1);
}

int hf_conn_open(struct hf_conn *conn, struct hf_loop *loop, struct hf_buffer_pool *buffers, int fd,
                 hf_ready_fn ready, hf_closed_fn closed)
{
    REQUIRE(conn != NULL && loop != NULL && buffers != NULL);
    REQUIRE(fd >= 0 && ready != NULL);
    *conn = (struct hf_conn){
        .event = {.fd = -1, .ready = ready, .closed = closed},
        .transport = &hf_transport_tcp,
        .loop = loop,
        .buffers = buffers,
    };
    return hf_event_open(loop, &conn->event, fd);
}

void hf_conn_close(struct hf_conn *conn)
{
    REQUIRE(conn != NULL && conn->loop != NULL);
    if (conn->event.fd < 0)
        return;
    hf_buffer_return(conn->buffers, &conn->in);
    hf_buffer_return(conn->buffers, &conn->out);
    conn->can_read = conn->can_write = false;
    conn->broken = true;
    hf_event_close(conn->loop, &conn->event);
}

void hf_conn_reset(struct hf_conn *conn)
{
    REQUIRE(conn != NULL);
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (conn->event.fd >= 0) /* an error leaves a FIN, which is the best that is left to do */
        setsockopt(conn->event.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    hf_conn_close(conn);
}

/* A reset may follow a response that still waits to be read (a server that refused the rest of a
 * body); only when nothing waits is the connection broken at once. FIONREAD leaves the pending
 * error for hf_conn_connect_result. */
static void note_error(struct hf_conn *conn)
{
    int waiting = 0;
    conn->can_write = false;
    conn->peer_closed = true;
    if (ioctl(conn->event.fd, FIONREAD, &waiting) != 0 || waiting <= 0) {
        conn->can_read = false;
        conn->broken = true;
    }
}

void hf_conn_note_ready(struct hf_conn *conn, unsigned ready)
{
    REQUIRE(conn != NULL);
    REQUIRE(conn->event.fd >= 0);
    if ((ready & (HF_READABLE | HF_PEER_CLOSED)) && !conn->read_ended)
        conn->can_read = true;
    if (ready & HF_WRITABLE)
        conn->can_write = true;
    if (ready & HF_PEER_CLOSED)
        conn->peer_closed = true;
    if (ready & HF_BROKEN)
        note_error(conn);
}

static void give_back_if_empty(struct hf_conn *conn)
{
    if (conn->in != NULL && hf_buffer_used(conn->in) == 0)
        hf_buffer_return(conn->buffers, &conn->in);
}

/* Room in `in`, which is borrowed or compacted if that takes it; 0 when there is none. */
static size_t make_room(struct hf_conn *conn)
{
    if (conn->in == NULL)
        conn->in = hf_buffer_borrow(conn->buffers);
    if (conn->in == NULL)
        return 0;
    if (hf_buffer_room(conn->in) == 0)
        hf_buffer_compact(conn->in);
    return hf_buffer_room(conn->in);
}

static ssize_t received_nothing(struct hf_conn *conn, ssize_t result)
{
    conn->can_read = false;
    if (result == 0)
        conn->read_ended = true;
    else if (result != -EAGAIN)
        conn->broken = true;
    give_back_if_empty(conn);
    return result;
}

ssize_t hf_conn_receive(struct hf_conn *conn, size_t size_max)
{
    REQUIRE(conn != NULL);
    REQUIRE(size_max > 0);
    if (conn->read_ended)
        return 0;
    if (conn->broken)
        return -ECONNRESET;
    if (!conn->can_read)
        return -EAGAIN;
    size_t room = make_room(conn);
    if (room == 0)
        return -ENOBUFS;
    size_t size = room < size_max ? room : size_max;
    char *out = conn->in->bytes + conn->in->end;
    ssize_t got =
        is_tcp(conn) ? tcp_receive(conn, out, size) : conn->transport->receive(conn, out, size);
    if (got <= 0)
        return received_nothing(conn, got);
    conn->in->end += (uint32_t)got;
    /* A record layer answers short while more waits; it ends with -EAGAIN instead. */
    if ((size_t)got < size && !conn->peer_closed && is_tcp(conn))
        conn->can_read = false;
    return got;
}

void hf_conn_consume(struct hf_conn *conn, size_t size)
{
    REQUIRE(conn != NULL);
    REQUIRE(size == 0 || (conn->in != NULL && size <= hf_buffer_used(conn->in)));
    if (conn->in == NULL)
        return;
    conn->in->start += (uint32_t)size;
    give_back_if_empty(conn);
}

struct hf_buffer *hf_conn_output(struct hf_conn *conn)
{
    REQUIRE(conn != NULL);
    REQUIRE(!conn->write_ended && !conn->write_ending);
    if (conn->out == NULL)
        conn->out = hf_buffer_borrow(conn->buffers);
    else
        hf_buffer_compact(conn->out);
    return conn->out;
}

/* Bytes taken, 0 when the socket is full, or negative errno (broken is set). */
static ssize_t send_some(struct hf_conn *conn, const char *bytes, size_t size, bool more)
{
    if (conn->broken)
        return -EPIPE;
    if (!conn->can_write)
        return 0;
    ssize_t sent = is_tcp(conn) ? tcp_send(conn, bytes, size, more)
                                : conn->transport->send(conn, bytes, size, more);
    if (sent == -EAGAIN)
        sent = 0;
    if (sent < 0)
        conn->broken = true;
    if (sent < (ssize_t)size) /* the kernel asked for an edge when it could not take the rest */
        conn->can_write = false;
    return sent;
}

static int end_writing(struct hf_conn *conn)
{
    if (conn->broken)
        return -EPIPE;
    int error = conn->transport->shutdown_write(conn);
    if (error == 0)
        conn->write_ended = true;
    else
        conn->broken = true;
    return error;
}

int hf_conn_flush(struct hf_conn *conn, bool more)
{
    REQUIRE(conn != NULL);
    if (conn->out == NULL)
        return conn->broken ? -EPIPE : 0;
    size_t used = hf_buffer_used(conn->out);
    if (used > 0) {
        const char *bytes = conn->out->bytes + conn->out->start;
        ssize_t sent = send_some(conn, bytes, used, more && !conn->write_ending);
        if (sent < 0)
            return (int)sent;
        conn->out->start += (uint32_t)sent;
        if ((size_t)sent < used)
            return -EAGAIN;
    }
    hf_buffer_return(conn->buffers, &conn->out);
    return conn->write_ending && !conn->write_ended ? end_writing(conn) : 0;
}

ssize_t hf_conn_send(struct hf_conn *conn, struct hf_slice bytes)
{
    REQUIRE(conn != NULL && conn->out == NULL);
    REQUIRE(!conn->write_ended && !conn->write_ending);
    if (bytes.size == 0)
        return conn->broken ? -EPIPE : 0;
    return send_some(conn, bytes.bytes, bytes.size, false);
}

int hf_conn_shutdown_write(struct hf_conn *conn)
{
    REQUIRE(conn != NULL && conn->loop != NULL);
    if (conn->write_ended || conn->write_ending)
        return 0;
    conn->write_ending = true;
    if (conn->out != NULL && hf_buffer_used(conn->out) > 0)
        return conn->broken ? -EPIPE : 0;
    hf_buffer_return(conn->buffers, &conn->out);
    return end_writing(conn);
}

static int start_connecting(int fd, const struct hf_address *address)
{
    int on = 1;
    if (address->any.sa_family != AF_UNIX &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
        return -errno;
    if (connect(fd, &address->any, address->size) == 0 || errno == EINPROGRESS)
        return 0;
    return -errno;
}

int hf_connect_start(const struct hf_address *address)
{
    REQUIRE(address != NULL && address->size > 0);
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = start_connecting(fd, address);
    if (error == 0)
        return fd;
    close(fd);
    return error;
}

int hf_conn_connect_result(const struct hf_conn *conn)
{
    REQUIRE(conn != NULL);
    REQUIRE(conn->event.fd >= 0);
    if (conn->can_write)
        return 0;
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(conn->event.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        return -errno;
    if (error != 0)
        return -error;
    if (conn->broken)
        return -ECONNRESET; /* the error itself was fetched by an earlier call */
    struct hf_address peer = {.size = sizeof(peer.local)};
    return getpeername(conn->event.fd, &peer.any, &peer.size) == 0 ? 0 : -EINPROGRESS;
}
