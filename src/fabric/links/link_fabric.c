/* A fabric as the host of links. */
#include "fabric/fabric.h"
#include "fabric/links.h"

static void up(void *user, unsigned peer, uint64_t now_ms)
{
    hf_fabric_link_up(user, peer, now_ms);
}

static void down(void *user, unsigned peer, bool gone, uint64_t now_ms)
{
    hf_fabric_link_down(user, peer, gone, now_ms);
}

static bool receive(void *user, unsigned peer, struct hf_slice bytes, uint64_t now_ms,
                    size_t *ret_used)
{
    return hf_fabric_receive(user, peer, bytes, now_ms, ret_used);
}

static size_t pull(void *user, unsigned peer, char *out, size_t size)
{
    return hf_fabric_pull(user, peer, out, size);
}

static uint8_t know(void *user, struct hf_slice id, uint64_t now_ms)
{
    return (uint8_t)hf_fabric_know(user, id, now_ms);
}

struct hf_links_host hf_links_host_of(struct hf_fabric *fabric)
{
    return (struct hf_links_host){
        .user = fabric, .up = up, .down = down, .receive = receive, .pull = pull, .know = know};
}
