/* All links of an agent: the listener, the peers, and what is theirs together. */
#include "fabric/links.h"
#include "base/assert.h"
#include "fabric/links/link.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { HF_LINKS_MAGIC = 0x4c4e4b53, BUFFERS_KEPT = 8, LINKS_A_PEER = 5 };

static bool on_loopback(const struct hf_address *address)
{
    static const char *const texts[] = {"127.0.0.0/8", "::1"};
    if (address->any.sa_family == AF_UNIX)
        return true;
    for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct hf_network network;
        REQUIRE(hf_network_parse(hf_slice(texts[i], strlen(texts[i])), &network) == 0);
        if (hf_network_contains(&network, address))
            return true;
    }
    return false;
}

bool hf_links_on_loopback(const struct hf_address *addresses, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (!on_loopback(&addresses[i]))
            return false;
    return true;
}

static void retry(struct hf_timer *timer)
{
    hf_link_dial(hf_container_of(timer, struct hf_link_peer, retry));
}

static void init_peers(struct hf_links *links, const struct hf_address *addresses)
{
    for (unsigned i = 0; i < links->settings.rank->count; i++) {
        struct hf_link_peer *peer = &links->peers[i];
        peer->links = links;
        peer->number = i;
        peer->address = addresses[i];
        peer->retry.expired = retry;
        hf_list_init(&peer->node);
    }
}

/* Each peer may have a link, a dial or a look, one accepted, and two that close in this turn. */
static void init_memory(struct hf_links *links)
{
    unsigned most = LINKS_A_PEER * links->settings.rank->count + HF_LINKS_UNPROVED_MAX +
                    2 * HF_LINKS_TELLERS_MAX;
    hf_buffer_pool_init(&links->buffers, 2 * most, BUFFERS_KEPT);
    hf_slab_init(&links->slab, "peer links", sizeof(struct hf_link), most);
    hf_list_init(&links->open);
    hf_list_init(&links->fresh);
    hf_list_init(&links->woken);
}

static int check(const struct hf_links_settings *settings)
{
    if (settings->self >= settings->rank->count || settings->incarnation == 0)
        return -EINVAL;
    bool local = hf_links_on_loopback(settings->addresses, settings->rank->count) &&
                 hf_links_on_loopback(settings->bind, 1);
    return settings->key != NULL || local ? 0 : -EPERM;
}

int hf_links_new(const struct hf_links_settings *settings, struct hf_loop *loop,
                 const struct hf_links_host *host, struct hf_links **ret_links)
{
    REQUIRE(settings != NULL && loop != NULL && host != NULL);
    int error = check(settings);
    if (error != 0)
        return error;
    size_t peers_size = settings->rank->count * sizeof(struct hf_link_peer);
    struct hf_links *links = calloc(1, sizeof(*links) + peers_size);
    if (links == NULL)
        return -ENOMEM;
    links->magic = HF_LINKS_MAGIC;
    links->settings = *settings;
    links->loop = loop;
    links->host = *host;
    links->bind = *settings->bind;
    if (settings->key != NULL)
        memcpy(links->key, settings->key, sizeof(links->key));
    hf_rng_seed_random(&links->rng);
    links->listener.event.fd = -1;
    init_memory(links);
    init_peers(links, settings->addresses);
    hf_link_metrics_register(links);
    *ret_links = links;
    return 0;
}

void hf_links_free(struct hf_links **links)
{
    REQUIRE(links != NULL);
    struct hf_links *gone = *links;
    *links = NULL;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, HF_LINKS_MAGIC) && gone->listener.event.fd < 0);
    hf_link_metrics_unregister(gone);
    hf_slab_fini(&gone->slab);
    hf_buffer_pool_fini(&gone->buffers);
    explicit_bzero(gone->key, sizeof(gone->key));
    gone->magic = 0;
    free(gone);
}

/* The oldest gives way: who knows the key needs a round trip, who does not may wait for ever. */
static void make_room(struct hf_links *links)
{
    if (links->fresh_count < HF_LINKS_UNPROVED_MAX + links->settings.rank->count)
        return;
    struct hf_link *oldest = hf_container_of(links->fresh.next, struct hf_link, fresh);
    hf_link_refuse(oldest, HF_LINK_CROWDED, false);
}

static void accepted(struct hf_listener *listener, int fd, const struct hf_address *remote)
{
    struct hf_links *links = listener->user;
    if (links->closing) {
        close(fd);
        return;
    }
    make_room(links);
    struct hf_link *link = hf_link_open(links, fd, remote);
    if (link == NULL)
        return;
    hf_list_push_back(&links->fresh, &link->fresh);
    links->fresh_count++;
    link->conn.can_write = true;
    hf_link_greet(link);
}

int hf_links_open(struct hf_links *links)
{
    REQUIRE(HF_MAGIC_OK(links, HF_LINKS_MAGIC) && links->listener.event.fd < 0);
    int fd = hf_listen_alone(&links->bind);
    if (fd < 0)
        return fd;
    int error = hf_listener_open(&links->listener, links->loop, fd, accepted, links);
    if (error != 0) {
        close(fd);
        return error;
    }
    links->bind = links->listener.address;
    for (unsigned i = 0; i < links->settings.rank->count; i++)
        if (i != links->settings.self)
            hf_link_dial(&links->peers[i]);
    return 0;
}

void hf_links_close(struct hf_links *links)
{
    REQUIRE(HF_MAGIC_OK(links, HF_LINKS_MAGIC));
    links->closing = true;
    hf_listener_close(&links->listener, NULL);
    for (unsigned i = 0; i < links->settings.rank->count; i++) {
        struct hf_link_peer *peer = &links->peers[i];
        hf_timer_cancel(hf_loop_timers(links->loop), &peer->retry);
        hf_list_remove(&peer->node);
        peer->up = peer->dial = peer->look = NULL;
    }
    hf_count_add(&links->counts[HF_LINK_COUNT_UP], -links->counts[HF_LINK_COUNT_UP]);
    while (!hf_list_empty(&links->open))
        hf_link_close(hf_container_of(links->open.next, struct hf_link, node));
}

void hf_links_wake(struct hf_links *links, unsigned peer)
{
    REQUIRE(HF_MAGIC_OK(links, HF_LINKS_MAGIC) && peer < links->settings.rank->count);
    struct hf_link_peer *woken = &links->peers[peer];
    if (woken->up != NULL && hf_list_empty(&woken->node))
        hf_list_push_back(&links->woken, &woken->node);
}

void hf_links_flush(struct hf_links *links)
{
    REQUIRE(HF_MAGIC_OK(links, HF_LINKS_MAGIC));
    struct hf_list *node;
    while ((node = hf_list_pop_front(&links->woken)) != NULL)
        hf_link_drain(hf_container_of(node, struct hf_link_peer, node)->up);
}

bool hf_links_up(const struct hf_links *links, unsigned peer)
{
    REQUIRE(HF_MAGIC_OK(links, HF_LINKS_MAGIC) && peer < links->settings.rank->count);
    return links->peers[peer].up != NULL;
}

const struct hf_address *hf_links_address(const struct hf_links *links)
{
    return &links->bind;
}
