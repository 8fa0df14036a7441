#include "upstream/health.h"

#include "base/assert.h"
#include "base/rng.h"
#include "model/recovery.h"
#include "upstream/limit.h"
#include "upstream/probe.h"
#include <errno.h>
#include <stdlib.h>

enum {
    HF_HEALTH_MAGIC = 0x484c5448,
    BUFFERS_MAX = 1024, /* checks whose request or answer is half way: 64 MiB at most */
    BUFFERS_KEPT = 4,
    SPREAD_PART = 4, /* first checks are spread over a quarter of the interval */
};

struct check { /* of one server; lives from the snapshot that brings it to the one that does not */
    struct hf_probe probe;
    struct hf_timer start;
    struct hf_health_checker *checker; /* borrowed */
    struct hf_server *server;          /* counted */
    const struct hf_pool *pool;        /* borrowed from the checker's snapshot */
    struct hf_address address;
    uint64_t started_ms;
    unsigned streak;     /* results in a row that speak against the present health */
    uint64_t generation; /* of the last apply that wanted it */
    bool leaving;        /* freed once its socket is gone */
};

struct hf_health_checker {
    uint32_t magic;
    bool ending;          /* freed: goes with its last check */
    struct hf_loop *loop; /* borrowed */
    hf_health_changed_fn changed;
    void *user;               /* borrowed */
    struct hf_config *config; /* counted; NULL before the first apply */
    uint64_t generation;
    struct hf_rng rng;
    struct hf_buffer_pool buffers;
    unsigned check_count; /* in memory, leaving ones included */
    struct check
        *checks[HF_SERVERS_MAX]; /* by slot: the check holds its server, and that its slot */
};

static void free_when_empty(struct hf_health_checker *checker)
{
    if (!checker->ending || checker->check_count > 0)
        return;
    hf_buffer_pool_fini(&checker->buffers);
    hf_config_unref(&checker->config);
    checker->magic = 0;
    free(checker);
}

static void free_check(struct check *check)
{
    struct hf_health_checker *checker = check->checker;
    hf_server_unref(&check->server);
    free(check);
    checker->check_count--;
    free_when_empty(checker);
}

static void count(struct check *check, enum hf_server_counter counter)
{
    hf_count(&check->server->shards[0].counts[counter]);
}

/* Relaxed stores: each field stands alone. */
static void set_health(struct hf_health_checker *checker, struct hf_server *server,
                       enum hf_health to, const char *reason)
{
    uint64_t now_ms = hf_loop_now_ms(checker->loop);
    enum hf_health from = atomic_load_explicit(&server->health, memory_order_relaxed);
    if (from == to)
        return;
    if (to == HF_HEALTH_DOWN)
        hf_recovery_judged_by_checks(server, now_ms);
    atomic_store_explicit(&server->health, (uint8_t)to, memory_order_relaxed);
    atomic_store_explicit(&server->state_since_ms, now_ms, memory_order_relaxed);
    if (to == HF_HEALTH_DOWN)
        hf_limit_flush(server);
    if (from == HF_HEALTH_DOWN)
        atomic_store_explicit(&server->up_since_ms, now_ms, memory_order_relaxed);
    if (to == HF_HEALTH_DOWN)
        hf_count(&server->shards[0].counts[HF_SERVER_WENT_DOWN]);
    else if (from == HF_HEALTH_DOWN)
        hf_count(&server->shards[0].counts[HF_SERVER_WENT_UP]);
    checker->changed(server, from, to, reason, checker->user);
}

static uint64_t jittered(struct hf_health_checker *checker, uint32_t interval_ms)
{
    uint32_t width = (uint32_t)((uint64_t)interval_ms * 2 * HF_CHECK_JITTER_PERCENT / 100);
    uint64_t least = interval_ms - width / 2;
    return least + hf_rng_below(&checker->rng, width + 1);
}

static void start_at(struct check *check, uint64_t at_ms)
{
    hf_timer_set(hf_loop_timers(check->checker->loop), &check->start, at_ms);
}

static void start_soon(struct check *check)
{
    uint32_t spread = check->pool->health.interval_ms / SPREAD_PART;
    start_at(check, hf_loop_now_ms(check->checker->loop) + 1 +
                        hf_rng_below(&check->checker->rng, spread + 1));
}

static void on_start(struct hf_timer *timer)
{
    struct check *check = hf_container_of(timer, struct check, start);
    struct hf_health_checker *checker = check->checker;
    uint64_t now_ms = hf_loop_now_ms(checker->loop);
    if (check->probe.open) { /* the last one ends in this very turn */
        start_at(check, now_ms + 1);
        return;
    }
    check->started_ms = now_ms;
    check->probe.settings = &check->pool->health;
    check->probe.address = &check->address;
    hf_probe_start(&check->probe, checker->loop, &checker->buffers);
}

/* The first result decides at once; later ones need `rise` or `fall` in a row. */
static void judge(struct check *check, bool good, const char *reason)
{
    enum hf_health health = atomic_load_explicit(&check->server->health, memory_order_relaxed);
    enum hf_health told = good ? HF_HEALTH_UP : HF_HEALTH_DOWN;
    if (good)
        hf_recovery_note_good(check->server, hf_loop_now_ms(check->checker->loop));
    count(check, good ? HF_SERVER_CHECKS_OK : HF_SERVER_CHECKS_FAILED);
    if (told == health) {
        check->streak = 0;
        return;
    }
    unsigned needed = good ? check->pool->health.rise : check->pool->health.fall;
    check->streak++;
    if (health != HF_HEALTH_UNKNOWN && check->streak < needed)
        return;
    check->streak = 0;
    set_health(check->checker, check->server, told, reason);
}

static void on_done(struct hf_probe *probe, enum hf_probe_result result, const char *reason)
{
    struct check *check = hf_container_of(probe, struct check, probe);
    uint64_t next_ms =
        check->started_ms + jittered(check->checker, check->pool->health.interval_ms);
    uint64_t soonest_ms = hf_loop_now_ms(check->checker->loop) + 1;
    start_at(check, next_ms > soonest_ms ? next_ms : soonest_ms);
    if (result != HF_PROBE_UNDECIDED)
        judge(check, result == HF_PROBE_OK, reason);
}

static void on_closed(struct hf_probe *probe)
{
    struct check *check = hf_container_of(probe, struct check, probe);
    if (check->leaving)
        free_check(check);
}

static void stop_check(struct check *check)
{
    hf_timer_cancel(hf_loop_timers(check->checker->loop), &check->start);
    hf_probe_cancel(&check->probe);
}

static void remove_check(struct check *check)
{
    stop_check(check);
    check->checker->checks[check->server->slot] = NULL;
    check->leaving = true;
    if (!check->probe.open)
        free_check(check);
}

static int add_check(struct hf_health_checker *checker, const struct hf_pool *pool,
                     const struct hf_pool_server *target)
{
    struct check *check = calloc(1, sizeof(*check));
    if (check == NULL)
        return -ENOMEM;
    check->probe.done = on_done;
    check->probe.closed = on_closed;
    check->start.expired = on_start;
    check->checker = checker;
    check->server = hf_server_ref(target->server);
    check->pool = pool;
    check->address = target->address;
    check->generation = checker->generation;
    checker->check_count++;
    checker->checks[target->server->slot] = check;
    return 0;
}

/* The server had a check before this snapshot: it goes on where it was. */
static void carry_on(struct check *check, const struct hf_pool *pool,
                     const struct hf_pool_server *target)
{
    struct hf_health_checker *checker = check->checker;
    check->pool = pool;
    check->generation = checker->generation;
    check->probe.settings = &pool->health;
    if (!hf_address_equal(&check->address, &target->address)) {
        stop_check(check);
        check->address = target->address;
        check->streak = 0;
        set_health(checker, check->server, HF_HEALTH_UNKNOWN, "its address changed");
        start_soon(check);
        return;
    }
    uint64_t latest_ms = hf_loop_now_ms(checker->loop) + pool->health.interval_ms;
    if (!check->probe.running && check->start.deadline_ms > latest_ms)
        start_at(check, latest_ms); /* the interval became shorter */
}

static void start_new(struct check *check)
{
    set_health(check->checker, check->server, HF_HEALTH_UNKNOWN, "it is checked from now on");
    start_soon(check);
}

/* Everything that can fail comes first: a check for each server that has none. */
static int add_missing(struct hf_health_checker *checker, const struct hf_config *config)
{
    for (unsigned p = 0; p < config->pool_count; p++) {
        const struct hf_pool *pool = &config->pools[p];
        for (unsigned i = 0; pool->health.kind != HF_CHECK_NONE && i < pool->server_count; i++) {
            const struct hf_pool_server *target = &pool->servers[i];
            struct check *check = checker->checks[target->server->slot];
            REQUIRE(check == NULL || check->server == target->server);
            if (check == NULL && add_check(checker, pool, target) < 0)
                return -ENOMEM;
        }
    }
    return 0;
}

static void settle_server(struct hf_health_checker *checker, const struct hf_pool *pool,
                          const struct hf_pool_server *target)
{
    struct check *check = checker->checks[target->server->slot];
    if (pool->health.kind == HF_CHECK_NONE)
        set_health(checker, target->server, HF_HEALTH_UNKNOWN, "it is not checked any more");
    else if (check->generation == checker->generation)
        start_new(check);
    else
        carry_on(check, pool, target);
}

/* Those that this apply brought, or those that it did not name. */
static void remove_checks(struct hf_health_checker *checker, bool brought)
{
    for (unsigned slot = 0; slot < HF_SERVERS_MAX; slot++) {
        struct check *check = checker->checks[slot];
        if (check != NULL && (check->generation == checker->generation) == brought)
            remove_check(check);
    }
}

int hf_health_checker_new(struct hf_loop *loop, hf_health_changed_fn changed, void *user,
                          struct hf_health_checker **ret_checker)
{
    REQUIRE(loop != NULL && changed != NULL && ret_checker != NULL);
    struct hf_health_checker *checker = calloc(1, sizeof(*checker));
    if (checker == NULL)
        return -ENOMEM;
    checker->magic = HF_HEALTH_MAGIC;
    checker->loop = loop;
    checker->changed = changed;
    checker->user = user;
    hf_rng_seed_random(&checker->rng);
    hf_buffer_pool_init(&checker->buffers, BUFFERS_MAX, BUFFERS_KEPT);
    *ret_checker = checker;
    return 0;
}

int hf_health_checker_apply(struct hf_health_checker *checker, struct hf_config *config)
{
    REQUIRE(HF_MAGIC_OK(checker, HF_HEALTH_MAGIC) && !checker->ending && config != NULL);
    checker->generation++;
    if (add_missing(checker, config) < 0) {
        remove_checks(checker, true);
        return -ENOMEM;
    }
    for (unsigned p = 0; p < config->pool_count; p++) {
        const struct hf_pool *pool = &config->pools[p];
        for (unsigned i = 0; i < pool->server_count; i++)
            settle_server(checker, pool, &pool->servers[i]);
    }
    remove_checks(checker, false);
    struct hf_config *before = checker->config;
    checker->config = hf_config_ref(config);
    hf_config_unref(&before);
    return 0;
}

void hf_health_checker_free(struct hf_health_checker **checker_pointer)
{
    struct hf_health_checker *checker = *checker_pointer;
    if (checker == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(checker, HF_HEALTH_MAGIC) && !checker->ending);
    *checker_pointer = NULL;
    for (unsigned slot = 0; slot < HF_SERVERS_MAX; slot++) {
        if (checker->checks[slot] != NULL)
            remove_check(checker->checks[slot]);
    }
    checker->ending = true;
    free_when_empty(checker);
}
