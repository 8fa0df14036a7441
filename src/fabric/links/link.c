/* One connection between two agents: shaking hands, then whole frames in and what waits out. */
#include "fabric/links/link.h"
#include "base/assert.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

enum {
    HANDSHAKE_FRAME_MAX = 64, /* HELLO is the longest */
    HANDSHAKE_READ_MAX = 256, /* at once, before proof */
    DRAIN_BUFFERS_MAX = 4,    /* of one peer in a turn: then the others' */
    UNSENT_SIZE_MAX =
        128 * 1024, /* in the kernel; what waits longer waits where it can be sorted */
    UNACKNOWLEDGED_MS_MAX = 2000, /* what the kernel keeps of a link after its end */
};
_Static_assert((size_t)HF_WIRE_FRAME_MAX <= HF_BUFFER_SIZE, "a frame is received into one buffer");

struct hf_wire_message hf_link_hello(const struct hf_link *link)
{
    const struct hf_links *links = link->links;
    struct hf_wire_message hello = {
        .type = HF_WIRE_HELLO,
        .protocol_min = HF_WIRE_PROTOCOL,
        .protocol_max = HF_WIRE_PROTOCOL,
        .list = links->settings.rank->list,
        .node = (uint16_t)links->settings.self,
        .incarnation = links->settings.incarnation,
    };
    memcpy(hello.nonce, link->nonce, sizeof(hello.nonce));
    return hello;
}

/* An error shows at the next look at the socket; a buffer that is not to be had ends the link by
 * its deadline. */
void hf_link_say(struct hf_link *link, const struct hf_wire_message *message)
{
    struct hf_buffer *out = hf_conn_output(&link->conn);
    if (out == NULL)
        return;
    out->end += (uint32_t)hf_wire_encode(message, out->bytes + out->end, hf_buffer_room(out));
    hf_conn_flush(&link->conn, false);
}

static void prove(struct hf_link *link)
{
    struct hf_wire_message ours = hf_link_hello(link), proof = {.type = HF_WIRE_PROOF};
    if (hf_hello_prove(link->links->key, &ours, &link->theirs, proof.nonce) == 0)
        hf_link_say(link, &proof);
}

void hf_link_refuse_aloud(struct hf_link *link, enum hf_hello_verdict verdict)
{
    struct hf_wire_message bye = {.type = HF_WIRE_BYE, .status = (uint8_t)verdict};
    hf_link_say(link, &bye);
    hf_link_refuse(link, (enum hf_link_refusal)verdict, false);
}

/* Nobody listened on a port of our own machine, and the kernel drew that port for our side: the
 * socket is connected to itself. */
static bool is_itself(const struct hf_link *link, const struct hf_wire_message *hello)
{
    return link->dialled && memcmp(hello->nonce, link->nonce, sizeof(link->nonce)) == 0;
}

/* A process that ended has closed its link, or is silent. So while the link stands, whoever comes
 * as the same node is a second one, and taking him would make the two end each other's links for
 * ever.
 */
static bool is_namesake(const struct hf_link *link, const struct hf_wire_message *hello)
{
    const struct hf_link *up = link->links->peers[hello->node].up;
    return up != NULL && up->theirs.incarnation != hello->incarnation;
}

/* The higher side proves itself first, so that the lower one can choose among connections by
 * proving itself on one of them. */
static void take_hello(struct hf_link *link, const struct hf_wire_message *hello)
{
    struct hf_links *links = link->links;
    struct hf_wire_message ours = hf_link_hello(link);
    uint8_t protocol;
    if (is_itself(link, hello)) {
        hf_link_lost(link, -ECONNREFUSED, HF_LINK_COUNT_CLOSED);
        return;
    }
    enum hf_hello_verdict verdict =
        hf_hello_judge(&ours, hello, links->settings.rank->count, &protocol);
    if (verdict == HF_HELLO_OK && link->peer >= 0 && hello->node != link->peer)
        verdict = HF_HELLO_NODE;
    if (verdict == HF_HELLO_OK && is_namesake(link, hello))
        verdict = HF_HELLO_NAMESAKE;
    if (verdict != HF_HELLO_OK) {
        hf_link_refuse_aloud(link, verdict);
        return;
    }
    link->theirs = *hello;
    link->peer = hello->node;
    link->state = HF_LINK_AWAITS_PROOF;
    if (links->settings.self > hello->node)
        prove(link);
}

static void take_proof(struct hf_link *link, const struct hf_wire_message *proof)
{
    struct hf_links *links = link->links;
    struct hf_wire_message ours = hf_link_hello(link);
    if (!hf_hello_proved(links->key, &link->theirs, &ours, proof->nonce)) {
        hf_link_refuse_aloud(link, HF_HELLO_PROOF);
        return;
    }
    if (links->settings.self < link->theirs.node && !hf_link_chosen(link)) {
        hf_link_refuse(link, HF_LINK_DUPLICATE, false);
        return;
    }
    if (links->settings.self < link->theirs.node)
        prove(link);
    if (!hf_list_empty(&link->fresh)) {
        hf_list_remove(&link->fresh);
        links->fresh_count--;
    }
    hf_link_proved(link);
}

/* False: such a message has no place here. */
static bool take(struct hf_link *link, const struct hf_wire_message *message)
{
    if (message->type == HF_WIRE_HELLO && link->state == HF_LINK_AWAITS_HELLO)
        take_hello(link, message);
    else if (message->type == HF_WIRE_PROOF && link->state == HF_LINK_AWAITS_PROOF)
        take_proof(link, message);
    else if (message->type == HF_WIRE_BYE && message->status > HF_HELLO_OK &&
             message->status < HF_HELLO_VERDICTS)
        hf_link_refuse(link, message->status, true);
    else if (message->type == HF_WIRE_TELLER && link->state == HF_LINK_AWAITS_HELLO &&
             !link->dialled)
        hf_link_tells(link, message);
    else
        return false;
    return true;
}

static unsigned count_frames(struct hf_slice frames)
{
    const unsigned char *at = (const unsigned char *)frames.bytes, *end = at + frames.size;
    unsigned count = 0;
    for (; end - at >= HF_WIRE_HEAD_SIZE; count++)
        at += 4 + ((size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3]);
    return count;
}

uint64_t hf_link_silent_ms(const struct hf_links *links)
{
    unsigned count = links->settings.rank->count;
    return (uint64_t)HF_LINKS_SILENT_MS * hf_rank_lease_ms(count) / hf_rank_lease_ms(1);
}

/* Hands the host whole frames of what was received. */
static void feed(struct hf_link *link)
{
    struct hf_links *links = link->links;
    struct hf_slice input = hf_conn_input(&link->conn);
    uint64_t now_ms = hf_loop_now_ms(links->loop);
    size_t used = 0;
    if (input.size == 0)
        return;
    link->heard_ms = now_ms;
    hf_timer_set(hf_loop_timers(links->loop), &link->deadline, now_ms + hf_link_silent_ms(links));
    bool fine = links->host.receive(links->host.user, (unsigned)link->peer, input, now_ms, &used);
    hf_count_add(&links->counts[HF_LINK_COUNT_BYTES_IN], used);
    hf_count_add(&links->counts[HF_LINK_COUNT_FRAMES_IN],
                 count_frames(hf_slice(input.bytes, used)));
    hf_conn_consume(&link->conn, used);
    if (!fine)
        hf_link_lost(link, -EPROTO, HF_LINK_COUNT_BROKE);
}

static void receive_failed(struct hf_link *link, ssize_t result)
{
    if (result == 0)
        hf_link_lost(link, 0, HF_LINK_COUNT_CLOSED);
    else if (result != -EAGAIN)
        hf_link_lost(link, (int)result, HF_LINK_COUNT_RESET);
}

/* One buffer's worth; the rest after the other links' turn. */
static void receive_frames(struct hf_link *link)
{
    ssize_t got = hf_conn_receive(&link->conn, HF_BUFFER_SIZE);
    if (got <= 0) {
        receive_failed(link, got);
        return;
    }
    feed(link);
    if (link->state == HF_LINK_UP && link->conn.can_read)
        hf_event_again(link->links->loop, &link->conn.event, HF_READABLE);
}

static bool shaking(const struct hf_link *link)
{
    return link->state == HF_LINK_AWAITS_HELLO || link->state == HF_LINK_AWAITS_PROOF;
}

/* Frames may follow the proof at once: they are the host's. */
static void shake_hands(struct hf_link *link)
{
    struct hf_wire_message message;
    size_t used = 0;
    while (shaking(link)) {
        enum hf_wire_verdict verdict =
            hf_wire_decode(hf_conn_input(&link->conn), HANDSHAKE_FRAME_MAX, &message, &used);
        if (verdict == HF_WIRE_NEED_MORE) {
            ssize_t got = hf_conn_receive(&link->conn, HANDSHAKE_READ_MAX);
            if (got <= 0) {
                receive_failed(link, got);
                return;
            }
            continue;
        }
        if (verdict == HF_WIRE_DONE)
            hf_conn_consume(&link->conn, used);
        if (verdict != HF_WIRE_DONE || !take(link, &message)) {
            hf_link_refuse(link, HF_LINK_GARBAGE, false);
            return;
        }
    }
    if (link->state == HF_LINK_UP)
        feed(link);
}

static void connected(struct hf_link *link)
{
    int result = hf_conn_connect_result(&link->conn);
    if (result == 0)
        hf_link_greet(link);
    else if (result != -EINPROGRESS)
        hf_link_lost(link, result, HF_LINK_COUNT_RESET);
}

static void ready(struct hf_event *event, unsigned bits)
{
    struct hf_link *link = hf_container_of(event, struct hf_link, conn.event);
    hf_conn_note_ready(&link->conn, bits);
    if (link->state == HF_LINK_CONNECTING)
        connected(link);
    if (shaking(link))
        shake_hands(link);
    if (link->state == HF_LINK_UP)
        receive_frames(link);
    else if (link->state == HF_LINK_TELLS)
        hf_link_hear(link);
    else if (link->state == HF_LINK_LOOKS)
        hf_link_looked(link);
    if (link->state == HF_LINK_UP && link->conn.can_write)
        hf_links_wake(link->links, (unsigned)link->peer);
    else if (shaking(link) && hf_conn_has_output(&link->conn))
        hf_conn_flush(&link->conn, false);
}

static void closed(struct hf_event *event)
{
    struct hf_link *link = hf_container_of(event, struct hf_link, conn.event);
    struct hf_slab *slab = &link->links->slab;
    hf_slab_release(slab, &link);
}

static void expired(struct hf_timer *timer)
{
    struct hf_link *link = hf_container_of(timer, struct hf_link, deadline);
    if (shaking(link))
        hf_link_refuse(link, HF_LINK_SLOW, false);
    else if (link->state == HF_LINK_LOOKS)
        hf_link_saw_nothing(link);
    else
        hf_link_lost(link, -ETIMEDOUT, HF_LINK_COUNT_SILENT);
}

/* Each is an improvement only: without it a link works too. */
static void tune(int fd, const struct hf_address *remote)
{
    unsigned unsent = UNSENT_SIZE_MAX, unacknowledged_ms = UNACKNOWLEDGED_MS_MAX;
    if (remote->any.sa_family == AF_UNIX)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof(unacknowledged_ms));
}

struct hf_link *hf_link_open(struct hf_links *links, int fd, const struct hf_address *remote)
{
    struct hf_link *link = hf_slab_acquire(&links->slab);
    if (link != NULL) {
        memset(link, 0, sizeof(*link));
        if (hf_conn_open(&link->conn, links->loop, &links->buffers, fd, ready, closed) != 0)
            hf_slab_release(&links->slab, &link);
    }
    if (link == NULL) {
        close(fd);
        return NULL;
    }
    tune(fd, remote);
    link->links = links;
    link->peer = -1;
    link->remote = *remote;
    link->deadline.expired = expired;
    hf_list_push_back(&links->open, &link->node);
    hf_list_init(&link->fresh);
    return link;
}

void hf_link_greet(struct hf_link *link)
{
    struct hf_loop *loop = link->links->loop;
    link->state = HF_LINK_AWAITS_HELLO;
    link->begun_us = hf_loop_now_us(loop);
    hf_timer_set(hf_loop_timers(loop), &link->deadline,
                 hf_loop_now_ms(loop) + HF_LINKS_HANDSHAKE_MS);
    hf_random_bytes(link->nonce, sizeof(link->nonce));
    struct hf_wire_message hello = hf_link_hello(link);
    hf_link_say(link, &hello);
}

static bool pull(struct hf_link *link)
{
    struct hf_links *links = link->links;
    struct hf_buffer *out = hf_conn_output(&link->conn);
    if (out == NULL)
        return false;
    size_t size = links->host.pull(links->host.user, (unsigned)link->peer, out->bytes + out->end,
                                   hf_buffer_room(out));
    hf_count_add(&links->counts[HF_LINK_COUNT_BYTES_OUT], size);
    hf_count_add(&links->counts[HF_LINK_COUNT_FRAMES_OUT],
                 count_frames(hf_slice(out->bytes + out->end, size)));
    out->end += (uint32_t)size;
    return size > 0;
}

/* A broken socket is seen to in the next turn, because the host is not called from here. */
void hf_link_drain(struct hf_link *link)
{
    struct hf_loop *loop = link->links->loop;
    int result = hf_conn_flush(&link->conn, false);
    for (unsigned i = 0; result == 0 && i < DRAIN_BUFFERS_MAX; i++) {
        bool more = pull(link);
        result = hf_conn_flush(&link->conn, false);
        if (!more && result == 0)
            return;
    }
    if (result != -EAGAIN)
        hf_event_again(loop, &link->conn.event, result == 0 ? HF_WRITABLE : HF_BROKEN);
}

void hf_link_close(struct hf_link *link)
{
    struct hf_links *links = link->links;
    REQUIRE(link->state != HF_LINK_CLOSED);
    if (link->state == HF_LINK_TELLS)
        hf_link_fell_silent(link);
    hf_timer_cancel(hf_loop_timers(links->loop), &link->deadline);
    hf_list_remove(&link->node);
    if (!hf_list_empty(&link->fresh)) {
        hf_list_remove(&link->fresh);
        links->fresh_count--;
    }
    link->state = HF_LINK_CLOSED;
    hf_conn_close(&link->conn);
}
