#include "affinity/successor.h"

#include "base/assert.h"

/* What the application sees of its cookie: without the name that mode: prefix puts in front. */
static bool find_value(const struct hf_pool *pool, const struct hf_affinity_request *request,
                       struct hf_slice *ret_value)
{
    struct hf_slice name = hf_slice_text(pool->session.name), label;
    struct hf_cookie_found found;
    hf_cookie_find(request->head, name, &found);
    if (found.count == 0)
        return false;
    *ret_value = found.value;
    if (hf_slice_equal(hf_affinity_prefix_cookie(pool), name))
        hf_cookie_prefix(found.value, HF_COOKIE_PREFIX_SEPARATOR, &label, ret_value);
    return true;
}

bool hf_successor_session(const struct hf_pool *pool, const struct hf_affinity_request *request,
                          struct hf_session_id *ret_id)
{
    struct hf_slice value;
    return pool->agents != NULL && pool->session.name != NULL &&
           find_value(pool, request, &value) &&
           hf_session_id_read(pool->session.format, value, ret_id);
}

void hf_successor_note(const struct hf_pool *pool, const struct hf_affinity_request *request,
                       struct hf_affinity_choice *choice)
{
    struct hf_session_id id;
    if (choice->session_hash == 0 && hf_successor_session(pool, request, &id))
        choice->session_hash = hf_rank_hash(hf_slice(id.bytes, id.size));
}

static bool may_take(const struct hf_pool *pool, unsigned index, const uint16_t *tried,
                     unsigned tried_count, uint64_t now_ms)
{
    const struct hf_pool_server *one = &pool->servers[index];
    if (one->backup || one->weight == 0 || !hf_server_accepts(one->server, now_ms))
        return false;
    for (unsigned i = 0; i < tried_count; i++) {
        if (tried[i] == index)
            return false;
    }
    return true;
}

int hf_successor_next(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                      const uint16_t *tried, unsigned tried_count, uint64_t now_ms)
{
    REQUIRE(tried != NULL || tried_count == 0);
    if (pool->agents == NULL || choice->session_hash == 0)
        return -1;
    struct hf_rank_walk walk;
    hf_rank_walk_init(&walk, &pool->agents->rank, choice->session_hash);
    int number = -1;
    while ((number = hf_rank_walk_next(&walk)) >= 0) {
        unsigned index = pool->agents->servers[number];
        REQUIRE(index < pool->server_count);
        if (may_take(pool, index, tried, tried_count, now_ms))
            return (int)index;
    }
    return -1;
}

void hf_successor_choose(const struct hf_pool *pool, const struct hf_affinity_request *request,
                         struct hf_affinity_choice *choice)
{
    REQUIRE(choice->lost);
    hf_successor_note(pool, request, choice);
    int successor = hf_successor_next(pool, choice, NULL, 0, request->now_ms);
    if (successor >= 0)
        choice->server = successor;
}

bool hf_successor_follows(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                          int served)
{
    REQUIRE(served < (int)pool->server_count && choice->owner < (int)pool->server_count);
    if (pool->agents == NULL || served < 0 || pool->servers[served].agent.size == 0)
        return false;
    return choice->owner < 0 || pool->servers[choice->owner].agent.size != 0;
}

bool hf_successor_replaced(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                           const struct hf_head *response)
{
    struct hf_cookie_found found;
    struct hf_session_id id;
    if (choice->session_hash == 0)
        return false;
    hf_cookie_find_set(response, hf_slice_text(pool->session.name), &found);
    return found.count > 0 && hf_session_id_read(pool->session.format, found.value, &id) &&
           hf_rank_hash(hf_slice(id.bytes, id.size)) != choice->session_hash;
}
