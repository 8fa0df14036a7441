/* Records about which something is under way, and only those: memory goes with activity. */
#include "fabric/internal.h"
#include <stdlib.h>

static struct hf_list *chain(struct hf_fabric *f, uint64_t hash)
{
    return &f->active[hash % HF_FABRIC_ACTIVE];
}

struct hf_slice hf_activity_id(struct hf_activity *activity)
{
    return hf_slice(activity->id, activity->id_size);
}

struct hf_activity *hf_activity_find(struct hf_fabric *f, struct hf_slice id, uint64_t hash)
{
    HF_LIST_EACH(chain(f, hash), node)
    {
        struct hf_activity *one = hf_container_of(node, struct hf_activity, node);
        if (one->hash == hash && hf_slice_equal(hf_activity_id(one), id))
            return one;
    }
    return NULL;
}

struct hf_activity *hf_activity_ensure(struct hf_fabric *f, struct hf_slice id, uint64_t hash)
{
    struct hf_activity *one = hf_activity_find(f, id, hash);
    if (one != NULL || f->active_count >= f->settings.activities_max)
        return one;
    one = calloc(1, sizeof(*one) + id.size);
    if (one == NULL)
        return NULL;
    one->hash = hash;
    one->visited = f->round; /* a round that is under way need not see it */
    one->id_size = (uint16_t)id.size;
    memcpy(one->id, id.bytes, id.size);
    hf_list_init(&one->parked);
    hf_list_init(&one->requests);
    hf_list_push_back(chain(f, hash), &one->node);
    f->active_count++;
    return one;
}

void hf_activity_settle(struct hf_fabric *f, struct hf_activity *one)
{
    if (one == NULL || one->advancing || one->deciding || !hf_list_empty(&one->parked) ||
        !hf_list_empty(&one->requests))
        return;
    hf_list_remove(&one->node);
    f->active_count--;
    free(one);
}

/* A visit may add and end other activities of its chain: each time the first that was not visited
 * is looked for anew. Chains are short. */
static struct hf_activity *unvisited(struct hf_list *chain, uint64_t round)
{
    HF_LIST_EACH(chain, node)
    {
        struct hf_activity *one = hf_container_of(node, struct hf_activity, node);
        if (one->visited < round)
            return one;
    }
    return NULL;
}

void hf_activity_each(struct hf_fabric *f, hf_activity_fn visit, unsigned argument)
{
    struct hf_activity *one;
    uint64_t round = ++f->round;
    if (f->active_count == 0)
        return;
    for (unsigned i = 0; i < HF_FABRIC_ACTIVE; i++) {
        while ((one = unvisited(&f->active[i], round)) != NULL) {
            one->visited = round;
            visit(f, one, argument);
        }
    }
}

static void free_one(struct hf_fabric *f, struct hf_activity *one, unsigned argument)
{
    struct hf_list *node;
    while ((node = hf_list_pop_front(&one->requests)) != NULL)
        free(hf_container_of(node, struct hf_request, node));
    hf_list_remove(&one->node);
    f->active_count--;
    free(one);
}

void hf_activity_free_all(struct hf_fabric *f)
{
    hf_activity_each(f, free_one, 0);
}
