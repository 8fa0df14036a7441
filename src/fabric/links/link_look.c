/* Looks whether the process of a peer that is linked still runs, by connecting to it once more. A
 * refusal says that it has ended, as that of a dial does (docs/peer-protocol.md, "When a process is
 * known to have ended"). Whatever else is seen changes nothing: a peer that is silent may serve
 * under its lease. */
#include "base/assert.h"
#include "fabric/links/link.h"
#include <errno.h>

static struct hf_link_peer *end(struct hf_link *link, enum hf_link_count found)
{
    struct hf_links *links = link->links;
    struct hf_link_peer *peer = &links->peers[link->peer];
    REQUIRE(peer->look == link);
    hf_link_count(links, found);
    hf_link_close(link);
    peer->look = NULL;
    return peer;
}

static void begin(struct hf_link_peer *peer)
{
    struct hf_links *links = peer->links;
    int fd = hf_connect_start(&peer->address);
    if (fd == -ECONNREFUSED) {
        hf_link_count(links, HF_LINK_COUNT_LOOKED_ENDED);
        hf_link_ended(peer);
        return;
    }
    struct hf_link *link = fd >= 0 ? hf_link_open(links, fd, &peer->address) : NULL;
    if (link == NULL)
        return;
    link->dialled = true;
    link->peer = (int)peer->number;
    link->state = HF_LINK_LOOKS;
    peer->look = link;
    hf_timer_set(hf_loop_timers(links->loop), &link->deadline,
                 hf_loop_now_ms(links->loop) + HF_LINKS_CONNECT_MS);
}

/* Without a link it is being dialled anyway, but not always now. */
void hf_link_look(struct hf_link_peer *peer)
{
    struct hf_links *links = peer->links;
    uint64_t now_ms = hf_loop_now_ms(links->loop);
    bool lately = peer->looked_ms != 0 && now_ms - peer->looked_ms < HF_LINKS_LOOK_MS;
    if (lately || links->closing || peer->dial != NULL || peer->look != NULL)
        return;
    peer->looked_ms = now_ms;
    if (peer->up == NULL)
        hf_link_dial(peer);
    else
        begin(peer);
}

/* Who runs says HELLO; a process that is stopped is connected to all the same, by its kernel. */
void hf_link_looked(struct hf_link *link)
{
    enum { SOME = 64 };
    int result = hf_conn_connect_result(&link->conn);
    if (result == -ECONNREFUSED) {
        hf_link_ended(end(link, HF_LINK_COUNT_LOOKED_ENDED));
        return;
    }
    if (result == -EINPROGRESS)
        return;
    ssize_t got = result == 0 ? hf_conn_receive(&link->conn, SOME) : result;
    if (got != -EAGAIN)
        end(link, got > 0 ? HF_LINK_COUNT_LOOKED_RUNS : HF_LINK_COUNT_LOOKED_SILENT);
}

void hf_link_saw_nothing(struct hf_link *link)
{
    end(link, HF_LINK_COUNT_LOOKED_SILENT);
}
