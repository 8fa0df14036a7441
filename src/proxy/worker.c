#include "proxy/worker.h"
#include "base/assert.h"
#include "base/log.h"
#include "proxy/client_h1.h"
#include "proxy/process.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEEP_SPARE_CONNS = 64 /* connections to servers beyond one a client */ };

/* --- snapshots --- */

static bool acquire_budgets(struct hf_snapshot *snapshot, const struct hf_config *config)
{
    for (unsigned i = 0; i < config->pool_count; i++) {
        snapshot->budgets[i] = hf_retry_budget_acquire(config->pools[i].name);
        if (!snapshot->budgets[i])
            return false;
    }
    return true;
}

static void release_budgets(struct hf_snapshot *snapshot, const struct hf_config *config)
{
    for (unsigned i = 0; snapshot->budgets && i < config->pool_count; i++)
        hf_retry_budget_release(&snapshot->budgets[i]);
    free(snapshot->budgets);
}

struct hf_snapshot *hf_snapshot_new(struct hf_config *config)
{
    REQUIRE(config != NULL);
    struct hf_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (!snapshot)
        return NULL;
    snapshot->budgets = calloc(config->pool_count + 1, sizeof(*snapshot->budgets));
    if (!snapshot->budgets || !acquire_budgets(snapshot, config) ||
        hf_affinity_worker_init(&snapshot->affinity, config) < 0) {
        release_budgets(snapshot, config);
        free(snapshot);
        return NULL;
    }
    snapshot->config = hf_config_ref(config);
    snapshot->references = 1;
    snapshot->limits = (struct hf_http1_limits){.head_size_max = config->limits.request_head,
                                                .fields_max = config->limits.headers};
    return snapshot;
}

struct hf_snapshot *hf_snapshot_ref(struct hf_snapshot *snapshot)
{
    REQUIRE(snapshot->references > 0);
    snapshot->references++;
    return snapshot;
}

void hf_snapshot_unref(struct hf_snapshot **snapshot)
{
    struct hf_snapshot *one = *snapshot;
    *snapshot = NULL;
    REQUIRE(one->references > 0);
    if (--one->references > 0)
        return;
    hf_affinity_worker_fini(&one->affinity);
    release_budgets(one, one->config);
    hf_config_unref(&one->config);
    free(one);
}

/* --- small services --- */

void hf_worker_count_server(struct hf_worker *worker, struct hf_server *server,
                            enum hf_server_counter counter)
{
    REQUIRE(hf_worker_shard(worker) < server->shard_count);
    hf_count(&server->shards[hf_worker_shard(worker)].counts[counter]);
}

struct hf_slice hf_worker_date(struct hf_worker *worker)
{
    uint64_t now_s = hf_loop_wall_s(worker->loop);
    if (worker->http_date_s != now_s) {
        hf_clock_http_date(now_s, worker->http_date);
        worker->http_date_s = now_s;
    }
    return hf_slice(worker->http_date, HF_HTTP_DATE_SIZE);
}

/* --- accepting --- */

static void pause_accepting(struct hf_worker *worker, bool paused)
{
    if (worker->accept_paused == paused)
        return;
    worker->accept_paused = paused;
    for (unsigned i = 0; i < HF_WORKER_LISTENERS; i++)
        if (worker->listeners[i].open && !worker->listeners[i].closing)
            hf_listener_pause(&worker->listeners[i].listener, paused);
    if (!paused)
        return;
    hf_worker_count(worker, HF_PROXY_CONNECTIONS_PAUSED);
    hf_timer_set(hf_loop_timers(worker->loop), &worker->accept_retry,
                 hf_loop_now_ms(worker->loop) + HF_ACCEPT_RETRY_MS);
}

/* Another worker's connections may have ended meanwhile. */
static void accept_retry_expired(struct hf_timer *timer)
{
    struct hf_worker *worker = hf_container_of(timer, struct hf_worker, accept_retry);
    if (hf_process_has_room(worker->process))
        pause_accepting(worker, false);
    else
        hf_timer_set(hf_loop_timers(worker->loop), timer,
                     hf_loop_now_ms(worker->loop) + HF_ACCEPT_RETRY_MS);
}

static void accepted(struct hf_listener *listener, int fd, const struct hf_address *peer)
{
    struct hf_worker *worker = listener->user;
    REQUIRE(HF_MAGIC_OK(worker, HF_WORKER_MAGIC));
    hf_process_client_began(worker->process);
    if (!hf_process_has_room(worker->process))
        pause_accepting(worker, true);
    hf_client_h1_accept(worker, fd, peer);
}

void hf_worker_client_ended(struct hf_worker *worker)
{
    hf_process_client_ended(worker->process);
    if (worker->accept_paused && hf_process_has_room(worker->process))
        pause_accepting(worker, false);
    if (worker->draining && hf_list_empty(&worker->client_list))
        hf_loop_stop(worker->loop);
}

/* --- updates and drain --- */

static void listener_closed(struct hf_event *event)
{
    struct hf_listener *listener = hf_container_of(event, struct hf_listener, event);
    struct hf_worker_listener *one = hf_container_of(listener, struct hf_worker_listener, listener);
    one->open = one->closing = false;
}

static void close_listener(struct hf_worker_listener *one)
{
    if (!one->open || one->closing)
        return;
    one->closing = true;
    hf_listener_close(&one->listener, listener_closed);
}

static bool listens(const struct hf_config *config, const struct hf_address *bind)
{
    for (unsigned i = 0; i < config->listener_count; i++)
        if (hf_address_equal(&config->listeners[i].bind, bind))
            return true;
    return false;
}

static void open_listener(struct hf_worker *worker, const struct hf_address *bind, int fd)
{
    for (unsigned i = 0; i < HF_WORKER_LISTENERS; i++) {
        struct hf_worker_listener *one = &worker->listeners[i];
        if (one->open)
            continue;
        one->worker = worker;
        one->bind = *bind;
        int result = hf_listener_open(&one->listener, worker->loop, fd, accepted, worker);
        if (result < 0) {
            hf_error("a listening socket cannot be watched: %s", strerror(-result));
            close(fd);
            return;
        }
        one->open = true;
        if (worker->accept_paused)
            hf_listener_pause(&one->listener, true);
        return;
    }
    REQUIRE(false && "more listeners than the configuration's limit");
}

static void apply_update(void *argument)
{
    struct hf_worker_update *update = argument;
    struct hf_worker *worker = update->worker;
    struct hf_snapshot *snapshot = hf_snapshot_new(update->config);
    if (!snapshot) {
        hf_error("worker %u keeps its old configuration: out of memory", worker->index);
    } else {
        hf_snapshot_unref(&worker->snapshot);
        worker->snapshot = snapshot;
    }
    for (unsigned i = 0; i < HF_WORKER_LISTENERS; i++)
        if (!listens(update->config, &worker->listeners[i].bind))
            close_listener(&worker->listeners[i]);
    for (unsigned i = 0; i < update->config->listener_count; i++)
        if (update->fds[i] >= 0)
            open_listener(worker, &update->config->listeners[i].bind, update->fds[i]);
    hf_config_unref(&update->config);
    free(update);
}

int hf_worker_post_update(struct hf_worker_update *update)
{
    REQUIRE(HF_MAGIC_OK(update->worker, HF_WORKER_MAGIC));
    return hf_loop_post(update->worker->loop, apply_update, update);
}

static void drain_clients(struct hf_worker *worker, bool force)
{
    HF_LIST_EACH(&worker->client_list, node)
    hf_client_h1_drain(hf_container_of(node, struct hf_client_h1, node), force);
}

static void drain_expired(struct hf_timer *timer)
{
    struct hf_worker *worker = hf_container_of(timer, struct hf_worker, drain_deadline);
    drain_clients(worker, true);
    hf_loop_stop(worker->loop);
}

static void start_drain(void *argument)
{
    struct hf_worker *worker = argument;
    /* acquire: pairs with the post's release; a later order may have shortened it already */
    uint64_t deadline_ms = atomic_load_explicit(&worker->drain_ms, memory_order_acquire);
    worker->draining = true;
    for (unsigned i = 0; i < HF_WORKER_LISTENERS; i++)
        close_listener(&worker->listeners[i]);
    drain_clients(worker, deadline_ms == 0);
    hf_timer_set(hf_loop_timers(worker->loop), &worker->drain_deadline,
                 hf_loop_now_ms(worker->loop) + deadline_ms);
    if (hf_list_empty(&worker->client_list))
        hf_loop_stop(worker->loop);
}

int hf_worker_post_drain(struct hf_worker *worker, uint64_t deadline_ms)
{
    atomic_store_explicit(&worker->drain_ms, deadline_ms, memory_order_release);
    return hf_loop_post(worker->loop, start_drain, worker);
}

/* --- life --- */

static int init_memory(struct hf_worker *worker, unsigned clients_max)
{
    hf_buffer_pool_init(&worker->buffers, 4 * clients_max + HF_BUFFERS_KEEP, HF_BUFFERS_KEEP);
    hf_slab_init(&worker->exchanges, "exchanges", sizeof(struct hf_exchange), clients_max);
    hf_slab_init(&worker->clients, "clients", sizeof(struct hf_client_h1), clients_max);
    return hf_upstream_pool_new(worker->loop, &worker->buffers,
                                (size_t)2 * clients_max + KEEP_SPARE_CONNS, &worker->upstreams);
}

int hf_worker_new(struct hf_process *process, unsigned index, struct hf_config *config,
                  struct hf_worker **ret_worker)
{
    struct hf_worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    worker->magic = HF_WORKER_MAGIC;
    worker->index = index;
    worker->process = process;
    hf_list_init(&worker->client_list);
    worker->accept_retry.expired = accept_retry_expired;
    worker->drain_deadline.expired = drain_expired;
    int result = hf_loop_new(&worker->loop);
    if (result == 0)
        result = hf_limit_waker_open(&worker->waker, worker->loop, hf_slot_woken);
    if (result == 0)
        result = init_memory(worker, config->limits.connections + HF_ACCEPT_BURST);
    if (result == 0 && !(worker->snapshot = hf_snapshot_new(config)))
        result = -ENOMEM;
    if (result < 0) {
        hf_loop_free(&worker->loop);
        free(worker);
        return result;
    }
    hf_proxy_counts_register(&worker->counts);
    *ret_worker = worker;
    return 0;
}

static void *worker_main(void *argument)
{
    struct hf_worker *worker = argument;
    char name[16];
    snprintf(name, sizeof(name), "worker-%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    hf_log_thread_init();
    hf_loop_run(worker->loop);
    hf_process_worker_ended(worker->process, worker);
    return NULL;
}

int hf_worker_start(struct hf_worker *worker)
{
    return -pthread_create(&worker->thread, NULL, worker_main, worker);
}

void hf_worker_free(struct hf_worker **worker)
{
    struct hf_worker *one = *worker;
    REQUIRE(HF_MAGIC_OK(one, HF_WORKER_MAGIC) && hf_list_empty(&one->client_list));
    *worker = NULL;
    hf_upstream_pool_free(&one->upstreams);
    hf_limit_waker_close(&one->waker, one->loop);
    hf_loop_free(&one->loop);
    hf_snapshot_unref(&one->snapshot);
    hf_slab_fini(&one->exchanges);
    hf_slab_fini(&one->clients);
    hf_buffer_pool_fini(&one->buffers);
    hf_proxy_counts_unregister(&one->counts);
    one->magic = 0;
    free(one);
}
