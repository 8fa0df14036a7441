#include "agent/connection.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { DOOR_MAGIC = 0x444f4f52 };

static void end_if_empty(struct hf_door *door)
{
    if (!door->stopping || door->listening || door->slab.live_count > 0 || door->emptied == NULL)
        return;
    hf_door_emptied_fn emptied = door->emptied;
    door->emptied = NULL;
    emptied(door->user);
}

void hf_door_closed_one(struct hf_door *door)
{
    REQUIRE(HF_MAGIC_OK(door, DOOR_MAGIC));
    end_if_empty(door);
}

static void accepted(struct hf_listener *listener, int fd, const struct hf_address *peer)
{
    hf_connection_accept(listener->user, fd, peer);
}

static void listener_closed(struct hf_event *event)
{
    struct hf_door *door = hf_container_of(hf_container_of(event, struct hf_listener, event),
                                           struct hf_door, listener);
    door->listening = false;
    end_if_empty(door);
}

static int open_listener(struct hf_door *door)
{
    int fd = hf_listen_alone(&door->settings.bind);
    if (fd < 0)
        return fd;
    int result = hf_listener_open(&door->listener, door->loop, fd, accepted, door);
    if (result < 0) {
        close(fd);
        return result;
    }
    door->listening = door->bound = true;
    const struct hf_address *bound = &door->listener.address;
    if (bound->any.sa_family == AF_INET)
        door->counts.port = ntohs(bound->v4.sin_port);
    else if (bound->any.sa_family == AF_INET6)
        door->counts.port = ntohs(bound->v6.sin6_port);
    return 0;
}

int hf_door_new(struct hf_loop *loop, const struct hf_door_settings *settings,
                struct hf_door **ret_door)
{
    struct hf_door *door = calloc(1, sizeof(*door));
    void *shared = calloc(1, settings->front->shared_size + 1);
    if (door == NULL || shared == NULL) {
        free(shared);
        free(door);
        return -ENOMEM;
    }
    door->magic = DOOR_MAGIC;
    door->settings = *settings;
    if (door->settings.request_ms == 0)
        door->settings.request_ms = HF_DOOR_REQUEST_MS;
    door->loop = loop;
    door->shared = shared;
    door->counts.started_ms = hf_loop_now_ms(loop);
    door->counts.connections_max = settings->connections_max;
    hf_list_init(&door->open);
    hf_slab_init(&door->slab, "agent connections", hf_connection_footprint(settings->front),
                 settings->connections_max);
    int result = open_listener(door);
    if (result < 0) {
        hf_door_free(&door);
        return result;
    }
    *ret_door = door;
    return 0;
}

void hf_door_stop(struct hf_door *door, hf_door_emptied_fn emptied, void *user)
{
    REQUIRE(HF_MAGIC_OK(door, DOOR_MAGIC) && !door->stopping);
    door->stopping = true;
    door->emptied = emptied;
    door->user = user;
    hf_listener_close(&door->listener, listener_closed);
    HF_LIST_EACH(&door->open, node)
    {
        hf_connection_stop(hf_connection_of(node));
    }
}

void hf_door_cut(struct hf_door *door)
{
    REQUIRE(HF_MAGIC_OK(door, DOOR_MAGIC));
    HF_LIST_EACH(&door->open, node)
    {
        hf_connection_close(hf_connection_of(node));
    }
}

void hf_door_free(struct hf_door **ret_door)
{
    struct hf_door *door = *ret_door;
    if (door == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(door, DOOR_MAGIC) && hf_list_empty(&door->open));
    const struct hf_address *bind = &door->settings.bind;
    if (door->bound && bind->any.sa_family == AF_UNIX)
        (void)unlink(bind->local.sun_path);
    hf_slab_fini(&door->slab);
    hf_bytes_pool_fini(&door->pool);
    free(door->shared);
    door->magic = 0;
    free(door);
    *ret_door = NULL;
}

void hf_door_set_password(struct hf_door *door, struct hf_slice password)
{
    door->settings.password = password;
}

void hf_door_set_shared(struct hf_door *door, bool shared)
{
    door->settings.shared = shared;
}

const struct hf_front_counts *hf_door_counts(const struct hf_door *door)
{
    return &door->counts;
}

const struct hf_address *hf_door_address(const struct hf_door *door)
{
    return &door->listener.address;
}
