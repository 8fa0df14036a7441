/* When a link begins and ends: dialling, trying again, choosing among two connections, and what the
 * end of one tells about the peer's process. */
#include "base/assert.h"
#include "base/log.h"
#include "fabric/links/link.h"
#include <errno.h>

static void log_peer(const struct hf_link_peer *peer, enum hf_log_level level, const char *what)
{
    char address[HF_ADDRESS_TEXT_MAX];
    struct hf_slice name = peer->links->settings.rank->names[peer->number];
    hf_address_format(&peer->address, address);
    hf_log(level, "peer %.*s (%s) %s", (int)name.size, name.bytes, address, what);
}

static void tell_down(struct hf_link_peer *peer, bool gone)
{
    struct hf_links *links = peer->links;
    peer->told = gone ? HF_LINK_TOLD_GONE : HF_LINK_TOLD_DOWN;
    if (gone)
        hf_link_count(links, HF_LINK_COUNT_GONE);
    links->host.down(links->host.user, peer->number, gone, hf_loop_now_ms(links->loop));
    log_peer(peer, HF_LOG_INFO, gone ? "does not run" : "has no link");
}

/* Half to all of the wait: nodes that start together do not keep dialling together. */
static void retry_later(struct hf_link_peer *peer)
{
    struct hf_links *links = peer->links;
    unsigned wait_ms = peer->retry_ms;
    if (links->closing || peer->up != NULL || peer->dial != NULL)
        return;
    wait_ms = wait_ms / 2 + hf_rng_below(&links->rng, wait_ms / 2 + 1);
    peer->retry_ms = peer->retry_ms > 0 ? 2 * peer->retry_ms : 1;
    if (peer->retry_ms > HF_LINKS_RETRY_MS_MAX)
        peer->retry_ms = HF_LINKS_RETRY_MS_MAX;
    hf_timer_set(hf_loop_timers(links->loop), &peer->retry, hf_loop_now_ms(links->loop) + wait_ms);
}

/* Nobody listens where a living agent always does: its process ended. */
static void dial_failed(struct hf_link_peer *peer, int error)
{
    if (error == -ECONNREFUSED && peer->told != HF_LINK_TOLD_GONE)
        tell_down(peer, true);
    retry_later(peer);
}

void hf_link_dial(struct hf_link_peer *peer)
{
    struct hf_links *links = peer->links;
    REQUIRE(peer->up == NULL && peer->dial == NULL);
    hf_timer_cancel(hf_loop_timers(links->loop), &peer->retry);
    hf_link_count(links, HF_LINK_COUNT_DIALS);
    int fd = hf_connect_start(&peer->address);
    struct hf_link *link = fd >= 0 ? hf_link_open(links, fd, &peer->address) : NULL;
    if (link == NULL) {
        dial_failed(peer, fd < 0 ? fd : -ENOMEM);
        return;
    }
    link->dialled = true;
    link->peer = (int)peer->number;
    link->state = HF_LINK_CONNECTING;
    peer->dial = link;
    hf_timer_set(hf_loop_timers(links->loop), &link->deadline,
                 hf_loop_now_ms(links->loop) + HF_LINKS_CONNECT_MS);
}

static void forget_up(struct hf_link_peer *peer)
{
    hf_count_add(&peer->links->counts[HF_LINK_COUNT_UP], (uint64_t)-1);
    peer->up = NULL;
    hf_list_remove(&peer->node);
}

/* A dial that is refused at once (local sockets; others in the next turn) makes it one call. */
static void up_ended(struct hf_link_peer *peer, uint64_t lasted_ms)
{
    forget_up(peer);
    if (peer->look != NULL) /* the dial that follows sees as much */
        hf_link_close(peer->look);
    peer->look = NULL;
    if (lasted_ms >= HF_LINKS_STABLE_MS) {
        peer->retry_ms = 0;
        hf_link_dial(peer);
    } else {
        retry_later(peer);
    }
    if (peer->told == HF_LINK_TOLD_UP)
        tell_down(peer, false);
}

void hf_link_ended(struct hf_link_peer *peer)
{
    struct hf_link *up = peer->up;
    if (up != NULL) {
        hf_link_count(peer->links, HF_LINK_COUNT_CLOSED);
        forget_up(peer);
        hf_link_close(up);
    }
    if (peer->told != HF_LINK_TOLD_GONE)
        tell_down(peer, true);
    retry_later(peer);
}

void hf_link_lost(struct hf_link *link, int error, enum hf_link_count count)
{
    struct hf_links *links = link->links;
    struct hf_link_peer *peer = link->peer >= 0 ? &links->peers[link->peer] : NULL;
    bool was_up = link->state == HF_LINK_UP, was_dial = peer != NULL && peer->dial == link;
    uint64_t lasted_ms = hf_loop_now_ms(links->loop) - link->up_ms;
    hf_link_close(link);
    if (was_up) {
        hf_link_count(links, count);
        if (count == HF_LINK_COUNT_BROKE)
            peer->retry_ms = HF_LINKS_RETRY_MS_MAX;
        up_ended(peer, count == HF_LINK_COUNT_BROKE ? 0 : lasted_ms);
    } else if (was_dial) {
        peer->dial = NULL;
        dial_failed(peer, error);
    }
}

void hf_link_dropped(struct hf_link *link, bool slowly)
{
    struct hf_link_peer *peer = link->peer >= 0 ? &link->links->peers[link->peer] : NULL;
    hf_link_close(link);
    if (peer == NULL || peer->dial != link)
        return;
    peer->dial = NULL;
    if (slowly)
        peer->retry_ms = HF_LINKS_RETRY_MS_MAX;
    retry_later(peer);
}

/* The other side proves itself only on a connection that it would take instead of the link that we
 * know of; but it may have begun that before the link came up. So a link that was heard lately
 * stays. */
bool hf_link_chosen(const struct hf_link *link)
{
    const struct hf_link_peer *peer = &link->links->peers[link->peer];
    if (peer->up == NULL || peer->incarnation != link->theirs.incarnation)
        return true;
    return hf_loop_now_ms(link->links->loop) - peer->up->heard_ms >= HF_LINKS_ALIVE_MS;
}

static void replace(struct hf_link_peer *peer)
{
    struct hf_link *before = peer->up;
    if (before == NULL)
        return;
    hf_link_count(peer->links, HF_LINK_COUNT_REPLACED);
    forget_up(peer);
    hf_link_close(before);
}

static void note_incarnation(struct hf_link_peer *peer, uint64_t incarnation)
{
    if (peer->incarnation == incarnation && peer->told == HF_LINK_TOLD_GONE)
        log_peer(peer, HF_LOG_WARNING,
                 "was taken for ended because it refused connections, but runs; let firewalls "
                 "between the nodes drop what they do not let pass, not reject it");
    if (peer->incarnation != 0 && peer->incarnation != incarnation &&
        peer->told != HF_LINK_TOLD_GONE)
        tell_down(peer, true);
    peer->incarnation = incarnation;
}

void hf_link_proved(struct hf_link *link)
{
    struct hf_links *links = link->links;
    struct hf_link_peer *peer = &links->peers[link->peer];
    uint64_t now_ms = hf_loop_now_ms(links->loop);
    replace(peer);
    if (peer->dial != NULL && peer->dial != link)
        hf_link_close(peer->dial);
    if (peer->look != NULL) /* what it finds may be true of the process before */
        hf_link_close(peer->look);
    peer->dial = peer->look = NULL;
    hf_timer_cancel(hf_loop_timers(links->loop), &peer->retry);
    note_incarnation(peer, link->theirs.incarnation);
    peer->up = link;
    peer->told = HF_LINK_TOLD_UP;
    peer->logged = 0;
    link->state = HF_LINK_UP;
    link->up_ms = link->heard_ms = now_ms;
    hf_timer_set(hf_loop_timers(links->loop), &link->deadline, now_ms + hf_link_silent_ms(links));
    hf_histogram_record(&links->handshake, hf_loop_now_us(links->loop) - link->begun_us);
    hf_link_count(links, HF_LINK_COUNT_UP);
    hf_link_count(links, HF_LINK_COUNT_OPENED);
    log_peer(peer, HF_LOG_INFO, "is linked");
    links->host.up(links->host.user, peer->number, now_ms);
}
