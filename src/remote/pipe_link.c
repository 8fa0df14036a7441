/* The connection of a pipe: made, greeted, read, written, given up. */
#include "base/assert.h"
#include "net/conn.h"
#include "remote/pipe.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, READS_A_TURN = 16 };

static void link_ready(struct hf_event *event, unsigned ready);

static uint64_t now_ms(const struct hf_pipe *pipe)
{
    return hf_loop_now_ms(pipe->loop);
}

static void link_closed(struct hf_event *event)
{
    free(hf_container_of(event, struct hf_pipe_link, event));
}

void hf_pipe_give_up(struct hf_pipe *pipe)
{
    struct hf_pipe_link *link = pipe->link;
    pipe->phase = HF_PIPE_APART;
    hf_pipe_consume(&pipe->in, hf_bytes_size(&pipe->in));
    hf_pipe_consume(&pipe->hello, hf_bytes_size(&pipe->hello));
    pipe->parser = (struct hf_resp_reply_parser){0};
    pipe->needed = 0;
    pipe->link = NULL;
    if (link == NULL)
        return;
    link->pipe = NULL;
    hf_event_close(pipe->loop, &link->event);
}

/* No connection could be made: the store is not there. */
void hf_pipe_not_connected(struct hf_pipe *pipe)
{
    bool guiding = pipe->codec != pipe->store_codec;
    pipe->guide += guiding; /* another sentinel, the next time */
    pipe->guided = false;
    hf_pipe_give_up(pipe);
    hf_pipe_open(pipe, false);
}

/* One that was in use ended. */
void hf_pipe_lost(struct hf_pipe *pipe)
{
    REQUIRE(pipe->phase == HF_PIPE_READY);
    if (pipe->count > 0)
        pipe->fence_id = pipe->client_id;
    hf_pipe_give_up(pipe);
    if (pipe->breaker == HF_BREAKER_HALF_OPEN)
        pipe->breaker = HF_BREAKER_OPEN;
    hf_pipe_drop(pipe, HF_REMOTE_FAILED);
    if (pipe->phase == HF_PIPE_APART)
        hf_pipe_connect(pipe);
}

/* Whom to connect to: the store, or one that knows where it is now. */
static void choose_address(struct hf_pipe *pipe)
{
    bool asks = pipe->settings.kind == HF_STORE_URL_SENTINEL && !pipe->guided;
    pipe->codec = asks ? &hf_sentinel_codec : pipe->store_codec;
    if (asks)
        pipe->address = pipe->addresses[pipe->guide % pipe->settings.address_count];
}

void hf_pipe_connect(struct hf_pipe *pipe)
{
    choose_address(pipe);
    char text[HF_ADDRESS_TEXT_MAX];
    hf_address_format(&pipe->address, text);
    struct hf_pipe_link *link = calloc(1, sizeof(*link));
    int fd = link ? hf_connect_start(&pipe->address) : -ENOMEM;
    int result = fd < 0 ? fd : 0;
    if (fd >= 0) {
        link->event.ready = link_ready;
        link->event.closed = link_closed;
        result = hf_event_open(pipe->loop, &link->event, fd);
        if (result < 0)
            close(fd);
    }
    if (result < 0) {
        free(link);
        hf_pipe_note_trouble(pipe, "cannot connect to %s: %s", text, strerror(-result));
        hf_pipe_not_connected(pipe);
        return;
    }
    link->pipe = pipe;
    pipe->link = link;
    pipe->phase = HF_PIPE_CONNECTING;
    pipe->phase_until_ms = now_ms(pipe) + HF_REMOTE_DEADLINE_MS;
    pipe->can_read = pipe->can_write = pipe->read_ended = false;
}

/* ---- the greeting ---- */

void hf_pipe_send_later(struct hf_pipe *pipe)
{
    hf_event_again(pipe->loop, &pipe->link->event, HF_WRITABLE);
}

static void be_ready(struct hf_pipe *pipe)
{
    bool other = pipe->known && (pipe->identity == 0 || pipe->identity != pipe->was);
    pipe->phase = HF_PIPE_READY;
    pipe->guided = false; /* it is asked again before the next connection */
    pipe->known = true;
    pipe->was = pipe->identity;
    pipe->fence_id = 0;
    pipe->heard_ms = now_ms(pipe);
    pipe->counts.connections++;
    uint64_t limit_ms = now_ms(pipe) + HF_REMOTE_DEADLINE_MS;
    for (uint32_t i = 0; i < pipe->count; i++)
        hf_pipe_slot_at(pipe, i)->deadline_ms = limit_ms; /* they are sent only now */
    if (other)
        hf_pipe_tell(pipe, HF_REMOTE_OTHER);
    hf_pipe_close(pipe);
    if (pipe->phase == HF_PIPE_READY)
        hf_pipe_send_later(pipe);
}

static void greet(struct hf_pipe *pipe)
{
    struct hf_writer writer = hf_writer(NULL, 0);
    pipe->replies = pipe->codec->greet(pipe, pipe->stage, &writer);
    pipe->reply = 0;
    if (pipe->replies == 0 && pipe->codec != pipe->store_codec) {
        hf_pipe_give_up(pipe);
        hf_pipe_connect(pipe);
        return;
    }
    if (pipe->replies == 0) {
        be_ready(pipe);
        return;
    }
    if (!hf_bytes_reserve(NULL, &pipe->hello, writer.size)) {
        hf_pipe_note_trouble(pipe, "out of memory");
        hf_pipe_not_connected(pipe);
        return;
    }
    writer = hf_writer(pipe->hello.bytes + pipe->hello.end, writer.size);
    pipe->codec->greet(pipe, pipe->stage, &writer);
    pipe->hello.end += writer.size;
    hf_pipe_send_later(pipe);
}

static void take_greeting(struct hf_pipe *pipe, struct hf_slice reply)
{
    if (!pipe->codec->greeted(pipe, pipe->stage, pipe->reply, reply)) {
        hf_pipe_not_connected(pipe);
        return;
    }
    if (++pipe->reply < pipe->replies)
        return;
    pipe->stage++;
    greet(pipe);
}

/* ---- replies ---- */

static void take_reply(struct hf_pipe *pipe, struct hf_slice reply)
{
    struct hf_remote_result result = {.ttl_ms = HF_REMOTE_NEVER};
    struct hf_pipe_slot *slot = hf_pipe_slot_at(pipe, 0);
    slot->replies--;
    pipe->codec->fold(pipe, slot, reply, &result);
    if (slot->replies > 0)
        return;
    struct hf_remote_call *call = slot->call;
    bool probe = slot->kind == HF_REMOTE_KINDS;
    pipe->first = (pipe->first + 1) & (pipe->slot_room - 1);
    pipe->count--;
    if (pipe->orphans > 0) {
        pipe->orphans--;
        pipe->counts.late += !probe;
    }
    if (call != NULL) {
        pipe->failures = 0;
        hf_pipe_answer(pipe, call, &result);
    }
    if (probe) {
        pipe->probing = false;
        if (result.status == HF_REMOTE_OK)
            hf_pipe_close(pipe);
        else
            hf_pipe_open(pipe, true);
    }
    if (!pipe->misled)
        return;
    pipe->misled = false;
    hf_pipe_lost(pipe);
}

/* False: the connection is no more, or is another one. */
static bool take_input(struct hf_pipe *pipe)
{
    struct hf_pipe_link *link = pipe->link;
    while (hf_bytes_size(&pipe->in) >= (pipe->needed > 1 ? pipe->needed : 1)) {
        struct hf_slice input = hf_bytes_slice(&pipe->in);
        size_t used = 0;
        enum hf_codec found = pipe->codec->split(pipe, input, &used);
        bool expected = pipe->phase == HF_PIPE_GREETING || pipe->count > 0;
        if (found == HF_CODEC_NEED_MORE && pipe->needed <= HF_REMOTE_ANSWER_MAX)
            return true;
        if (found != HF_CODEC_DONE || !expected) {
            hf_pipe_note_trouble(pipe, "the store answers what is no %s", pipe->codec->name);
            if (pipe->phase == HF_PIPE_READY)
                hf_pipe_lost(pipe);
            else
                hf_pipe_not_connected(pipe);
            return false;
        }
        pipe->needed = 0;
        if (pipe->phase == HF_PIPE_GREETING)
            take_greeting(pipe, hf_slice(input.bytes, used));
        else
            take_reply(pipe, hf_slice(input.bytes, used));
        if (pipe->link != link)
            return false;
        hf_pipe_consume(&pipe->in, used);
    }
    return true;
}

/* ---- the socket ---- */

static void ended(struct hf_pipe *pipe, int error)
{
    char text[HF_ADDRESS_TEXT_MAX];
    hf_address_format(&pipe->address, text);
    hf_pipe_note_trouble(pipe, "the connection to %s ended%s%s", text, error ? ": " : "",
                         error ? strerror(error) : "");
    if (pipe->phase == HF_PIPE_READY)
        hf_pipe_lost(pipe);
    else
        hf_pipe_not_connected(pipe);
}

/* False as take_input. */
static bool receive(struct hf_pipe *pipe)
{
    for (unsigned i = 0; i < READS_A_TURN && pipe->can_read; i++) {
        size_t wanted = READ_SIZE;
        if (pipe->needed > hf_bytes_size(&pipe->in) + wanted)
            wanted = pipe->needed - hf_bytes_size(&pipe->in);
        if (!hf_bytes_reserve(NULL, &pipe->in, wanted)) {
            ended(pipe, ENOMEM);
            return false;
        }
        ssize_t got =
            read(pipe->link->event.fd, pipe->in.bytes + pipe->in.end, pipe->in.room - pipe->in.end);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN) {
            pipe->can_read = false;
            return true;
        }
        if (got <= 0) {
            ended(pipe, got < 0 ? errno : 0);
            return false;
        }
        pipe->in.end += (size_t)got;
        pipe->heard_ms = now_ms(pipe);
        if (!take_input(pipe))
            return false;
    }
    if (pipe->can_read)
        hf_event_again(pipe->loop, &pipe->link->event, HF_READABLE);
    return true;
}

static bool send_buffer(struct hf_pipe *pipe, struct hf_bytes *buffer)
{
    while (hf_bytes_size(buffer) > 0 && pipe->can_write) {
        ssize_t sent = send(pipe->link->event.fd, buffer->bytes + buffer->start,
                            hf_bytes_size(buffer), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            pipe->can_write = false;
            return true;
        }
        if (sent < 0) {
            ended(pipe, errno);
            return false;
        }
        hf_pipe_consume(buffer, (size_t)sent);
    }
    return true;
}

static void connected(struct hf_pipe *pipe)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(pipe->link->event.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error != 0) {
        char text[HF_ADDRESS_TEXT_MAX];
        hf_address_format(&pipe->address, text);
        hf_pipe_note_trouble(pipe, "cannot connect to %s: %s", text, strerror(error));
        hf_pipe_not_connected(pipe);
        return;
    }
    pipe->phase = HF_PIPE_GREETING;
    pipe->stage = 0;
    greet(pipe);
}

static void link_ready(struct hf_event *event, unsigned ready)
{
    struct hf_pipe_link *link = hf_container_of(event, struct hf_pipe_link, event);
    struct hf_pipe *pipe = link->pipe;
    if (pipe == NULL)
        return;
    pipe->can_write |= (ready & HF_WRITABLE) != 0;
    pipe->can_read |= (ready & (HF_READABLE | HF_PEER_CLOSED | HF_BROKEN)) != 0;
    if (pipe->phase == HF_PIPE_CONNECTING && ready & (HF_WRITABLE | HF_BROKEN | HF_PEER_CLOSED))
        connected(pipe);
    if (pipe->link != link || !receive(pipe) || pipe->link != link)
        return;
    if (!send_buffer(pipe, &pipe->hello))
        return;
    if (pipe->phase == HF_PIPE_READY)
        (void)send_buffer(pipe, &pipe->out);
}
