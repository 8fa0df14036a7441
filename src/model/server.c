#include "model/server.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { HF_SERVER_MAGIC = 0x53525631 };

/* Every living server. A slot whose id is 0 is free. The lock guards the arrays and the step of a
 * count from or to zero; it is never held together with another lock but by hf_server_each. */
static struct {
    pthread_mutex_t lock;
    uint64_t ids[HF_SERVERS_MAX]; /* beside the pointers, so that a search reads 32 KiB at most */
    struct hf_server *servers[HF_SERVERS_MAX];
    unsigned slot_end;    /* one beyond the highest slot ever used */
    unsigned shards_most; /* a server made after `workers` shrank must still fit older threads */
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER};

static const char *const admin_words[] = {
    [HF_ADMIN_READY] = "ready",
    [HF_ADMIN_DRAIN] = "drain",
    [HF_ADMIN_MAINTENANCE] = "maintenance",
};
enum { ADMIN_WORD_COUNT = sizeof(admin_words) / sizeof(admin_words[0]) };

const char *hf_admin_state_word(enum hf_admin_state state)
{
    REQUIRE((unsigned)state < ADMIN_WORD_COUNT);
    return admin_words[state];
}

int hf_admin_state_parse(struct hf_slice word, enum hf_admin_state *ret_state)
{
    REQUIRE(ret_state != NULL);
    for (unsigned i = 0; i < ADMIN_WORD_COUNT; i++) {
        if (hf_slice_equal(word, hf_slice_text(admin_words[i]))) {
            *ret_state = (enum hf_admin_state)i;
            return 0;
        }
    }
    return -EINVAL;
}

const char *hf_server_state_word(enum hf_server_state state)
{
    static const char *const words[] = {
        [HF_SERVER_READY] = "ready",     [HF_SERVER_DRAIN] = "drain",
        [HF_SERVER_DOWN] = "down",       [HF_SERVER_MAINTENANCE] = "maintenance",
        [HF_SERVER_EJECTED] = "ejected",
    };
    REQUIRE((unsigned)state < sizeof(words) / sizeof(words[0]));
    return words[state];
}

const char *hf_breaker_state_word(enum hf_breaker_state state)
{
    static const char *const words[] = {
        [HF_BREAKER_CLOSED] = "closed",
        [HF_BREAKER_OPEN] = "open",
        [HF_BREAKER_HALF_OPEN] = "half_open",
    };
    REQUIRE((unsigned)state < sizeof(words) / sizeof(words[0]));
    return words[state];
}

uint64_t hf_server_id(struct hf_slice pool, struct hf_slice name)
{
    char both[2 * HF_NAME_MAX];
    REQUIRE(pool.size < HF_NAME_MAX && name.size < HF_NAME_MAX);
    memcpy(both, pool.bytes, pool.size);
    both[pool.size] = '\0';
    memcpy(both + pool.size + 1, name.bytes, name.size);
    uint64_t id = hf_hash64(hf_slice(both, pool.size + 1 + name.size), 0);
    return id ? id : 1;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* Both at a run of digits, of any length; moves behind them. */
static int compare_numbers(const char **one, const char **other)
{
    *one += strspn(*one, "0");
    *other += strspn(*other, "0");
    size_t one_size = strspn(*one, "0123456789"), other_size = strspn(*other, "0123456789");
    int order = one_size != other_size ? (one_size > other_size) - (one_size < other_size)
                                       : memcmp(*one, *other, one_size);
    *one += one_size;
    *other += other_size;
    return order;
}

int hf_server_compare_names(const char *one, const char *other)
{
    const char *a = one, *b = other;
    while (*a != '\0' && *b != '\0') {
        int order = 0;
        if (is_digit(*a) && is_digit(*b))
            order = compare_numbers(&a, &b);
        else
            order = (unsigned char)*a++ - (unsigned char)*b++;
        if (order != 0)
            return order;
    }
    int order = (*a != '\0') - (*b != '\0');
    return order != 0 ? order : strcmp(one, other); /* app1 and app01 */
}

static struct hf_server *server_new(const char *pool, const char *name, unsigned shard_count)
{
    struct hf_server *server = calloc(1, sizeof(*server));
    size_t size = shard_count * sizeof(struct hf_server_shard);
    struct hf_server_shard *shards = aligned_alloc(_Alignof(struct hf_server_shard), size);
    if (server == NULL || shards == NULL) {
        free(server);
        free(shards);
        return NULL;
    }
    memset(shards, 0, size);
    server->magic = HF_SERVER_MAGIC;
    server->id = hf_server_id(hf_slice_text(pool), hf_slice_text(name));
    memcpy(server->pool, pool, strlen(pool) + 1);
    memcpy(server->name, name, strlen(name) + 1);
    uint64_t now = hf_clock_monotonic_ms();
    atomic_init(&server->references, 1);
    atomic_init(&server->up_since_ms, now);
    atomic_init(&server->state_since_ms, now);
    pthread_mutex_init(&server->limit.lock, NULL);
    hf_list_init(&server->limit.waiting);
    server->shard_count = shard_count;
    server->shards = shards;
    return server;
}

/* The slot of that id, or the first free one, or HF_SERVERS_MAX. Under the lock. */
static unsigned find_slot(uint64_t id)
{
    unsigned unused = HF_SERVERS_MAX;
    for (unsigned i = 0; i < registry.slot_end; i++) {
        if (registry.ids[i] == id)
            return i;
        if (registry.ids[i] == 0 && unused == HF_SERVERS_MAX)
            unused = i;
    }
    return unused < HF_SERVERS_MAX ? unused : registry.slot_end;
}

static struct hf_server *acquire_locked(const char *pool, const char *name, unsigned shard_count)
{
    uint64_t id = hf_server_id(hf_slice_text(pool), hf_slice_text(name));
    unsigned slot = find_slot(id);
    if (slot == HF_SERVERS_MAX)
        return NULL;
    struct hf_server *server = registry.servers[slot];
    if (server != NULL) {
        /* Two names of one 64-bit hash: 2^-40 for a full registry, and refused, not confused. */
        if (strcmp(server->pool, pool) != 0 || strcmp(server->name, name) != 0)
            return NULL;
        return hf_server_ref(server);
    }
    if (shard_count > registry.shards_most)
        registry.shards_most = shard_count;
    server = server_new(pool, name, registry.shards_most);
    if (server == NULL)
        return NULL;
    server->slot = slot;
    registry.ids[slot] = id;
    registry.servers[slot] = server;
    if (slot == registry.slot_end)
        registry.slot_end++;
    return server;
}

struct hf_server *hf_server_acquire(const char *pool, const char *name, unsigned shard_count)
{
    REQUIRE(strlen(pool) < HF_NAME_MAX && strlen(name) < HF_NAME_MAX);
    REQUIRE(shard_count >= 1 && shard_count <= HF_WORKERS_MAX + 1);
    pthread_mutex_lock(&registry.lock);
    struct hf_server *server = acquire_locked(pool, name, shard_count);
    pthread_mutex_unlock(&registry.lock);
    return server;
}

struct hf_server *hf_server_ref(struct hf_server *server)
{
    REQUIRE(HF_MAGIC_OK(server, HF_SERVER_MAGIC));
    /* relaxed: who refs already holds a reference, or the registry's lock */
    unsigned before = atomic_fetch_add_explicit(&server->references, 1, memory_order_relaxed);
    REQUIRE(before > 0 && before < UINT32_MAX);
    return server;
}

/* The last one, unless someone acquired the server meanwhile. */
static void unref_last(struct hf_server *server)
{
    pthread_mutex_lock(&registry.lock);
    /* acquire pairs with the release of other holders: their writes are seen before the free */
    bool last = atomic_fetch_sub_explicit(&server->references, 1, memory_order_acq_rel) == 1;
    if (last) {
        REQUIRE(registry.servers[server->slot] == server);
        registry.ids[server->slot] = 0;
        registry.servers[server->slot] = NULL;
    }
    pthread_mutex_unlock(&registry.lock);
    if (!last)
        return;
    REQUIRE(hf_list_empty(&server->limit.waiting)); /* who waits holds a reference */
    pthread_mutex_destroy(&server->limit.lock);
    server->magic = 0;
    free(server->shards);
    free(server);
}

void hf_server_unref(struct hf_server **server)
{
    struct hf_server *gone = *server;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, HF_SERVER_MAGIC));
    *server = NULL;
    unsigned count = atomic_load_explicit(&gone->references, memory_order_relaxed);
    while (count > 1) {
        /* release: what this holder wrote is seen by whoever frees */
        if (atomic_compare_exchange_weak_explicit(&gone->references, &count, count - 1,
                                                  memory_order_release, memory_order_relaxed))
            return;
    }
    REQUIRE(count == 1);
    unref_last(gone);
}

enum hf_breaker_state hf_server_breaker(const struct hf_server *server, uint64_t now_ms)
{
    uint64_t until_ms = atomic_load_explicit(&server->ejected_until_ms, memory_order_relaxed);
    if (until_ms == 0)
        return HF_BREAKER_CLOSED;
    if (until_ms > now_ms)
        return HF_BREAKER_OPEN;
    bool probing = atomic_load_explicit(&server->probing, memory_order_relaxed) != 0;
    return probing ? HF_BREAKER_HALF_OPEN : HF_BREAKER_CLOSED;
}

uint64_t hf_server_usable_since_ms(const struct hf_server *server, uint64_t now_ms)
{
    uint64_t up_ms = atomic_load_explicit(&server->up_since_ms, memory_order_relaxed);
    uint64_t ejected_ms = atomic_load_explicit(&server->ejected_until_ms, memory_order_relaxed);
    return ejected_ms > up_ms && ejected_ms <= now_ms ? ejected_ms : up_ms;
}

/* Closed, or half open with room for one more probe. */
static bool probes_begin(const struct hf_server *server, uint64_t now_ms)
{
    uint64_t until_ms = atomic_load_explicit(&server->ejected_until_ms, memory_order_relaxed);
    if (until_ms == 0)
        return true;
    if (until_ms > now_ms)
        return false;
    uint64_t probing = atomic_load_explicit(&server->probing, memory_order_relaxed);
    if (probing == 0)
        return true;
    /* Another time: the breaker opens again at this very moment. */
    return hf_server_probing_until_ms(probing) == until_ms && hf_server_probing_room(probing) > 0;
}

/* All loads are relaxed: each field stands alone, and a value one turn old is as good. */
enum hf_server_state hf_server_state(const struct hf_server *server, uint64_t now_ms)
{
    REQUIRE(HF_MAGIC_OK(server, HF_SERVER_MAGIC));
    uint8_t admin = atomic_load_explicit(&server->admin, memory_order_relaxed);
    if (admin == HF_ADMIN_MAINTENANCE)
        return HF_SERVER_MAINTENANCE;
    if (atomic_load_explicit(&server->health, memory_order_relaxed) == HF_HEALTH_DOWN)
        return HF_SERVER_DOWN;
    if (!probes_begin(server, now_ms))
        return HF_SERVER_EJECTED;
    return admin == HF_ADMIN_DRAIN ? HF_SERVER_DRAIN : HF_SERVER_READY;
}

bool hf_server_serves(const struct hf_server *server, uint64_t now_ms)
{
    enum hf_server_state state = hf_server_state(server, now_ms);
    return state == HF_SERVER_READY || state == HF_SERVER_DRAIN;
}

bool hf_server_accepts(const struct hf_server *server, uint64_t now_ms)
{
    return hf_server_state(server, now_ms) == HF_SERVER_READY;
}

void hf_server_note_latency(struct hf_server *server, uint64_t took_us, uint64_t now_us)
{
    enum { DECAY_US = 10 * 1000 * 1000 };
    uint64_t old_us = atomic_load_explicit(&server->ewma_us, memory_order_relaxed);
    uint64_t at_us = atomic_load_explicit(&server->ewma_at_us, memory_order_relaxed);
    uint64_t new_us = took_us;
    if (took_us < old_us && now_us >= at_us) {
        double weight = exp(-(double)(now_us - at_us) / DECAY_US);
        new_us = (uint64_t)((double)old_us * weight + (double)took_us * (1 - weight));
    }
    atomic_store_explicit(&server->ewma_us, new_us, memory_order_relaxed);
    atomic_store_explicit(&server->ewma_at_us, now_us, memory_order_relaxed);
}

uint64_t hf_server_count(const struct hf_server *server, enum hf_server_counter counter)
{
    REQUIRE(HF_MAGIC_OK(server, HF_SERVER_MAGIC));
    REQUIRE((unsigned)counter < HF_SERVER_COUNTER_COUNT);
    uint64_t sum = 0;
    for (unsigned i = 0; i < server->shard_count; i++)
        sum += atomic_load_explicit(&server->shards[i].counts[counter], memory_order_relaxed);
    return sum;
}

void hf_server_each(void (*visit)(struct hf_server *server, void *user), void *user)
{
    pthread_mutex_lock(&registry.lock);
    for (unsigned i = 0; i < registry.slot_end; i++) {
        if (registry.servers[i] != NULL)
            visit(registry.servers[i], user);
    }
    pthread_mutex_unlock(&registry.lock);
}
