/* The life of a connection is one loop, `run`: send what waits, go on with a call that was put off,
 * hand input to the front end, read more; until it has to wait for the socket or for a call. */
#include "agent/connection.h"
#include "base/assert.h"
#include "base/log.h"
#include <errno.h>
#include <unistd.h>

enum {
    BURST = 128, /* requests before others have their turn */
    DRAIN_MS = 1000,
};

static void run(struct hf_connection *connection);

size_t hf_connection_footprint(const struct hf_front *front)
{
    return sizeof(struct hf_connection) + front->state_size;
}

struct hf_connection *hf_connection_of(struct hf_list *node)
{
    struct hf_connection *connection = hf_container_of(node, struct hf_connection, node);
    REQUIRE(HF_MAGIC_OK(connection, HF_CONNECTION_MAGIC));
    return connection;
}

static const struct hf_front *front_of(const struct hf_connection *connection)
{
    return connection->door->settings.front;
}

/* ---- the end ---- */

static void closed(struct hf_event *event)
{
    struct hf_connection *connection = hf_container_of(event, struct hf_connection, event);
    struct hf_door *door = connection->door;
    REQUIRE(HF_MAGIC_OK(connection, HF_CONNECTION_MAGIC) &&
            connection->phase == HF_CONNECTION_CLOSED);
    connection->magic = 0;
    hf_slab_release(&door->slab, &connection);
    hf_door_closed_one(door);
}

static void abandon_call(struct hf_connection *connection)
{
    struct hf_sessions_call *call = connection->call;
    connection->call = NULL;
    if (call != NULL && !connection->put_off)
        hf_sessions_abandon(call);
}

void hf_connection_close(struct hf_connection *connection)
{
    struct hf_door *door = connection->door;
    REQUIRE(HF_MAGIC_OK(connection, HF_CONNECTION_MAGIC) && !connection->submitting);
    if (connection->phase == HF_CONNECTION_CLOSED)
        return;
    connection->phase = HF_CONNECTION_CLOSED;
    abandon_call(connection);
    if (front_of(connection)->close)
        front_of(connection)->close(connection);
    hf_locks_release(&connection->locks);
    hf_bytes_clear(&door->pool, &connection->in);
    hf_bytes_clear(&door->pool, &connection->out);
    hf_timer_cancel(hf_loop_timers(door->loop), &connection->timer);
    hf_list_remove(&connection->node);
    door->counts.open--;
    hf_event_close(door->loop, &connection->event);
}

void hf_connection_stop(struct hf_connection *connection)
{
    connection->stopping = true;
    run(connection);
}

/* ---- time ---- */

static void set_timer(struct hf_connection *connection, uint64_t delay_ms)
{
    struct hf_loop *loop = connection->door->loop;
    hf_timer_set(hf_loop_timers(loop), &connection->timer, hf_loop_now_ms(loop) + delay_ms);
}

/* How much longer the client may go on as it does; 0: it had its time. */
static uint64_t patience_ms(const struct hf_connection *connection)
{
    uint64_t now_ms = hf_loop_now_ms(connection->door->loop), left_ms = UINT64_MAX;
    uint64_t stalled_ms = now_ms - connection->sent_ms;
    if (hf_bytes_size(&connection->out) > 0)
        left_ms = stalled_ms < HF_DOOR_STALL_MS ? HF_DOOR_STALL_MS - stalled_ms : 0;
    if (connection->begun_ms == 0)
        return left_ms;
    uint64_t since_ms = now_ms - connection->begun_ms;
    uint64_t request_max_ms = connection->door->settings.request_ms;
    uint64_t request_ms = since_ms < request_max_ms ? request_max_ms - since_ms : 0;
    return request_ms < left_ms ? request_ms : left_ms;
}

static void expired(struct hf_timer *timer)
{
    struct hf_connection *connection = hf_container_of(timer, struct hf_connection, timer);
    bool ending = connection->phase == HF_CONNECTION_DRAINING;
    uint64_t left_ms = patience_ms(connection);
    if (!ending && (!connection->authenticated || left_ms == 0))
        connection->door->counts.overdue++;
    if (ending || !connection->authenticated || left_ms == 0)
        hf_connection_close(connection);
    else if (left_ms != UINT64_MAX)
        set_timer(connection, left_ms);
}

/* ---- the socket ---- */

static void flush(struct hf_connection *connection)
{
    struct hf_bytes *out = &connection->out;
    struct hf_door *door = connection->door;
    while (connection->can_write && !connection->broken && hf_bytes_size(out) > 0) {
        struct hf_slice bytes = hf_bytes_slice(out);
        ssize_t sent =
            send(connection->event.fd, bytes.bytes, bytes.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN)
            connection->broken = true;
        if (sent < (ssize_t)bytes.size) /* an edge tells when it is worth trying again */
            connection->can_write = false;
        if (sent <= 0)
            break;
        hf_bytes_consume(out, (size_t)sent);
        door->counts.bytes_out += (uint64_t)sent;
        connection->sent_ms = hf_loop_now_ms(door->loop);
    }
    hf_bytes_trim(&door->pool, out, 0);
    if (hf_bytes_size(out) > 0 && !hf_timer_armed(&connection->timer))
        set_timer(connection, HF_DOOR_STALL_MS);
}

static void drop_input(struct hf_connection *connection)
{
    size_t have = hf_bytes_size(&connection->in);
    size_t size = connection->drop < have ? connection->drop : have;
    hf_bytes_consume(&connection->in, size);
    connection->drop -= size;
}

/* True: there are bytes that were not there before. */
static bool receive(struct hf_connection *connection)
{
    struct hf_bytes *in = &connection->in;
    struct hf_door *door = connection->door;
    size_t have = hf_bytes_size(in);
    size_t room = connection->needed > have ? connection->needed - have : 1;
    if (!connection->can_read || connection->read_ended)
        return false;
    if (!hf_bytes_reserve(&door->pool, in, room)) {
        connection->broken = true;
        return false;
    }
    size_t size = in->room - in->end;
    ssize_t got;
    do
        got = recv(connection->event.fd, in->bytes + in->end, size, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    bool short_read = got < (ssize_t)size; /* an edge follows what comes later, but a FIN */
    if (got <= 0 || (short_read && !connection->peer_closed))
        connection->can_read = false;
    if (got == 0)
        connection->read_ended = true;
    if (got < 0 && errno != EAGAIN)
        connection->broken = true;
    if (got <= 0)
        return false;
    in->end += (size_t)got;
    door->counts.bytes_in += (uint64_t)got;
    drop_input(connection);
    return true;
}

/* ---- requests ---- */

static bool has_request(const struct hf_connection *connection)
{
    size_t have = hf_bytes_size(&connection->in);
    return have > 0 && have >= connection->needed && connection->drop == 0;
}

static bool is_full(const struct hf_connection *connection)
{
    return hf_bytes_size(&connection->out) > HF_CONNECTION_OUTPUT_HIGH;
}

static void end_request(struct hf_connection *connection)
{
    size_t have = hf_bytes_size(&connection->in);
    connection->drop = connection->used;
    connection->begun_ms = 0;
    connection->needed = 1;
    connection->phase = HF_CONNECTION_FEEDING;
    connection->door->counts.requests++;
    drop_input(connection);
    REQUIRE(connection->used > 0 && have >= hf_bytes_size(&connection->in));
}

static void apply(struct hf_connection *connection, enum hf_front_step step)
{
    switch (step) {
    case HF_FRONT_MORE:
        REQUIRE(connection->phase == HF_CONNECTION_FEEDING);
        if (connection->needed <= hf_bytes_size(&connection->in))
            connection->needed = hf_bytes_size(&connection->in) + 1;
        return;
    case HF_FRONT_DONE:
        REQUIRE(connection->call == NULL);
        end_request(connection);
        return;
    case HF_FRONT_WAIT:
        REQUIRE(connection->call != NULL || connection->resumed);
        connection->phase = HF_CONNECTION_WAITING;
        return;
    case HF_FRONT_CLOSE:
        REQUIRE(connection->call == NULL);
        connection->phase = HF_CONNECTION_ENDING;
        connection->needed = 1;
        return;
    }
}

static void feed(struct hf_connection *connection)
{
    connection->used = 0;
    connection->needed = 0;
    apply(
        connection,
        front_of(connection)->feed(connection, hf_bytes_slice(&connection->in), &connection->used));
}

static bool submit_now(struct hf_connection *connection)
{
    connection->submitting = true;
    hf_sessions_submit(connection->door->settings.sessions, connection->call);
    connection->submitting = false;
    return connection->call == NULL;
}

/* False: the call is still under way. */
static bool go_on(struct hf_connection *connection)
{
    if (connection->put_off) {
        connection->put_off = false;
        connection->resumed = submit_now(connection);
    }
    if (!connection->resumed)
        return false;
    connection->resumed = false;
    apply(connection, front_of(connection)->resume(connection));
    return true;
}

/* Before the front end's own function: what the connection has to know of it. */
static void completed(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct hf_connection *connection = call->carrier;
    REQUIRE(HF_MAGIC_OK(connection, HF_CONNECTION_MAGIC) && connection->call == call);
    call->complete = connection->complete;
    connection->call = NULL;
    hf_locks_note(&connection->locks, call, result);
    call->complete(call, result);
    if (connection->submitting)
        return;
    connection->resumed = true;
    hf_event_again(connection->door->loop, &connection->event, HF_WRITABLE);
}

bool hf_connection_submit(struct hf_connection *connection, struct hf_sessions_call *call)
{
    REQUIRE(HF_MAGIC_OK(connection, HF_CONNECTION_MAGIC) && connection->call == NULL);
    connection->call = call;
    connection->complete = call->complete;
    call->complete = completed;
    call->carrier = connection;
    call->reads = &connection->reads;
    call->locks = hf_locks_has_room(&connection->locks);
    connection->put_off = is_full(connection);
    return !connection->put_off && submit_now(connection);
}

/* ---- the loop of a connection ---- */

/* True: the client had sent more than it was answered for. */
static bool drop_rest(struct hf_connection *connection)
{
    struct hf_bytes *in = &connection->in;
    bool rest = hf_bytes_size(in) > 0;
    hf_bytes_consume(in, hf_bytes_size(in));
    for (unsigned i = 0; i < BURST && receive(connection); i++) {
        rest = true;
        hf_bytes_consume(in, hf_bytes_size(in));
    }
    if (connection->can_read && !connection->read_ended)
        hf_event_again(connection->door->loop, &connection->event, HF_WRITABLE);
    return rest;
}

static void drain(struct hf_connection *connection)
{
    bool rest = drop_rest(connection);
    bool begins = connection->phase == HF_CONNECTION_ENDING;
    if (connection->read_ended || connection->broken || (begins && !rest)) {
        hf_connection_close(connection);
        return;
    }
    if (!begins)
        return;
    connection->phase = HF_CONNECTION_DRAINING;
    shutdown(connection->event.fd, SHUT_WR);
    set_timer(connection, DRAIN_MS);
}

/* The client has to send the rest of a request. One that waits for its turn is whole. */
static void note_part(struct hf_connection *connection)
{
    bool part = (hf_bytes_size(&connection->in) > 0 || connection->drop > 0) &&
                !has_request(connection) && !is_full(connection);
    if (!part)
        connection->begun_ms = 0;
    else if (connection->begun_ms == 0)
        connection->begun_ms = hf_loop_now_ms(connection->door->loop);
    if (part && !hf_timer_armed(&connection->timer))
        set_timer(connection, connection->door->settings.request_ms);
}

/* Whether nothing is left to do, and how it ends. */
static void end_if_over(struct hf_connection *connection)
{
    bool sent = hf_bytes_size(&connection->out) == 0;
    bool idle = connection->phase == HF_CONNECTION_FEEDING && !has_request(connection) && sent;
    bool over = connection->read_ended || (connection->stopping && !connection->can_read);
    if (connection->broken || (idle && over)) {
        hf_connection_close(connection);
    } else if (connection->phase >= HF_CONNECTION_ENDING && sent) {
        drain(connection);
    } else if (connection->phase == HF_CONNECTION_FEEDING) {
        hf_bytes_trim(&connection->door->pool, &connection->in, 0);
        note_part(connection);
    }
}

static void work(struct hf_connection *connection)
{
    for (unsigned i = 0; connection->phase < HF_CONNECTION_ENDING && !connection->broken; i++) {
        if (i == BURST) {
            hf_event_again(connection->door->loop, &connection->event, HF_WRITABLE);
            return;
        }
        if (is_full(connection))
            flush(connection);
        if (is_full(connection))
            return;
        if (connection->phase == HF_CONNECTION_WAITING) {
            if (!go_on(connection))
                return;
        } else if (has_request(connection)) {
            feed(connection);
        } else if (!receive(connection)) {
            return;
        }
    }
}

static void run(struct hf_connection *connection)
{
    flush(connection);
    work(connection);
    flush(connection);
    end_if_over(connection);
}

/* The client hung up while this process was stopped. */
static bool is_forsaken(const struct hf_connection *connection, unsigned bits)
{
    const struct hf_door *door = connection->door;
    uint64_t woke_ms = hf_loop_woke_ms(door->loop);
    return door->settings.shared && bits & (HF_PEER_CLOSED | HF_BROKEN) && woke_ms != 0 &&
           hf_loop_now_ms(door->loop) < woke_ms + HF_DOOR_WAKING_MS;
}

static void ready(struct hf_event *event, unsigned bits)
{
    struct hf_connection *connection = hf_container_of(event, struct hf_connection, event);
    struct hf_door *door = connection->door;
    REQUIRE(HF_MAGIC_OK(connection, HF_CONNECTION_MAGIC));
    hf_sessions_set_time(door->settings.sessions, hf_loop_now_ms(door->loop),
                         hf_loop_wall_ms(door->loop));
    if (is_forsaken(connection, bits)) {
        door->counts.forsaken++;
        hf_connection_close(connection);
        return;
    }
    if (bits & (HF_READABLE | HF_PEER_CLOSED))
        connection->can_read = true;
    if (bits & HF_WRITABLE)
        connection->can_write = true;
    if (bits & HF_PEER_CLOSED)
        connection->peer_closed = true;
    if (bits & HF_BROKEN) { /* what came before the error is read first, then it shows */
        connection->can_read = connection->peer_closed = true;
        connection->can_write = false;
    }
    run(connection);
}

/* ---- the beginning ---- */

static void refuse(struct hf_door *door, int fd)
{
    struct hf_slice text = door->settings.front->too_many;
    uint64_t now_ms = hf_loop_now_ms(door->loop);
    if (door->counts.refused++ == 0 || now_ms >= door->told_ms + HF_DOOR_TOLD_MS) {
        char bind[HF_ADDRESS_TEXT_MAX];
        hf_address_format(&door->listener.address, bind);
        door->told_ms = now_ms;
        hf_warning("%s: %u clients are connected, as many as may be: others are told so and "
                   "closed, %llu so far; let the application keep fewer connections, or raise "
                   "LimitNOFILE= (ulimit -n) if that is what limits them",
                   bind, door->settings.connections_max, (unsigned long long)door->counts.refused);
    }
    /* the socket is new, so there is room for it; and there is nothing to do if there is not */
    (void)!send(fd, text.bytes, text.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
}

void hf_connection_accept(struct hf_door *door, int fd, const struct hf_address *peer)
{
    struct hf_connection *connection = NULL;
    size_t footprint = hf_connection_footprint(door->settings.front);
    if (door->counts.open < door->settings.connections_max)
        connection = hf_slab_acquire(&door->slab);
    if (connection == NULL) {
        refuse(door, fd);
        return;
    }
    memset(connection, 0, footprint);
    connection->magic = HF_CONNECTION_MAGIC;
    connection->event = (struct hf_event){.fd = -1, .ready = ready, .closed = closed};
    connection->door = door;
    connection->needed = 1;
    connection->id = ++door->next_id;
    connection->peer = *peer;
    connection->stopping = door->stopping;
    connection->timer.expired = expired;
    hf_locks_init(&connection->locks, door->settings.sessions, hf_loop_timers(door->loop),
                  HF_CONNECTION_LOCKS_MAX);
    connection->reads = (struct hf_reads){0};
    if (hf_event_open(door->loop, &connection->event, fd) != 0) {
        close(fd);
        connection->magic = 0;
        hf_slab_release(&door->slab, &connection);
        return;
    }
    hf_list_push_back(&door->open, &connection->node);
    door->counts.open++;
    door->counts.opened++;
    connection->authenticated = door->settings.password.size == 0;
    if (!connection->authenticated)
        set_timer(connection, HF_DOOR_AUTH_MS);
    if (door->settings.front->open)
        door->settings.front->open(connection);
}
