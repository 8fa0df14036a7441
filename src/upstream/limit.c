#include "upstream/limit.h"

#include "base/assert.h"
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* --- the waker --- */

static struct hf_limit_waiter *waiter_of(struct hf_list *node)
{
    return node ? hf_container_of(node, struct hf_limit_waiter, node) : NULL;
}

static struct hf_limit_waiter *pop_woken(struct hf_limit_waker *waker, bool *ret_granted)
{
    pthread_mutex_lock(&waker->lock);
    struct hf_limit_waiter *waiter = waiter_of(hf_list_pop_front(&waker->woken));
    if (waiter) {
        *ret_granted = waiter->state == HF_LIMIT_GRANTED;
        waiter->state = HF_LIMIT_IDLE;
    }
    pthread_mutex_unlock(&waker->lock);
    return waiter;
}

static void waker_ready(struct hf_event *event, unsigned ready)
{
    (void)ready;
    struct hf_limit_waker *waker = hf_container_of(event, struct hf_limit_waker, event);
    uint64_t count;
    /* Before the list is looked at: what comes later rings again. */
    if (read(event->fd, &count, sizeof(count)) < 0)
        REQUIRE(errno == EAGAIN);
    bool granted = false;
    struct hf_limit_waiter *waiter;
    while ((waiter = pop_woken(waker, &granted)))
        waker->fn(waiter, granted);
}

int hf_limit_waker_open(struct hf_limit_waker *waker, struct hf_loop *loop, hf_limit_woken_fn fn)
{
    *waker = (struct hf_limit_waker){.event = {.fd = -1, .ready = waker_ready}, .fn = fn};
    pthread_mutex_init(&waker->lock, NULL);
    hf_list_init(&waker->woken);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int result = hf_event_open_level(loop, &waker->event, fd);
    if (result < 0)
        close(fd);
    return result;
}

void hf_limit_waker_close(struct hf_limit_waker *waker, struct hf_loop *loop)
{
    REQUIRE(hf_list_empty(&waker->woken));
    hf_event_close(loop, &waker->event);
    pthread_mutex_destroy(&waker->lock);
}

/* Under the server's lock. */
static void wake(struct hf_limit_waiter *waiter, enum hf_limit_state state)
{
    struct hf_limit_waker *waker = waiter->waker;
    uint64_t one = 1;
    pthread_mutex_lock(&waker->lock);
    waiter->state = (uint8_t)state;
    hf_list_push_back(&waker->woken, &waiter->node);
    /* A counter at its maximum has rung already. */
    ssize_t wrote = write(waker->event.fd, &one, sizeof(one));
    pthread_mutex_unlock(&waker->lock);
    REQUIRE(wrote == sizeof(one) || errno == EAGAIN);
}

/* --- slots --- */

/* Sequentially consistent: see the header. */
static bool take_slot(struct hf_server *server, uint32_t active_max)
{
    int32_t active = atomic_load_explicit(&server->active, memory_order_seq_cst);
    while (active_max == 0 || active < (int32_t)active_max) {
        if (atomic_compare_exchange_weak_explicit(&server->active, &active, active + 1,
                                                  memory_order_seq_cst, memory_order_seq_cst))
            return true;
    }
    return false;
}

bool hf_limit_try_bounded(struct hf_server *server, uint32_t active_max)
{
    return atomic_load_explicit(&server->limit.pending, memory_order_seq_cst) == 0 &&
           take_slot(server, active_max);
}

static void set_pending(struct hf_server *server, int by)
{
    uint32_t pending = atomic_load_explicit(&server->limit.pending, memory_order_relaxed);
    atomic_store_explicit(&server->limit.pending, pending + (uint32_t)by, memory_order_seq_cst);
}

/* Under the lock: gives free slots to the oldest waiters. `self` is not woken, its state tells. */
static void hand_over_locked(struct hf_server *server, struct hf_limit_waiter *self)
{
    while (!hf_list_empty(&server->limit.waiting)) {
        /* Read each time: a reload may lift the limit meanwhile. */
        uint32_t active_max = atomic_load_explicit(&server->limit.active_max, memory_order_relaxed);
        if (!take_slot(server, active_max))
            return;
        struct hf_limit_waiter *first = waiter_of(hf_list_pop_front(&server->limit.waiting));
        set_pending(server, -1);
        if (first == self)
            self->state = HF_LIMIT_IDLE;
        else
            wake(first, HF_LIMIT_GRANTED);
    }
}

void hf_limit_hand_over(struct hf_server *server)
{
    pthread_mutex_lock(&server->limit.lock);
    hand_over_locked(server, NULL);
    pthread_mutex_unlock(&server->limit.lock);
}

/* Relaxed: a worker that reads the old limit a moment longer began before the change. */
void hf_limit_apply(const struct hf_config *config)
{
    for (unsigned p = 0; p < config->pool_count; p++) {
        const struct hf_pool *pool = &config->pools[p];
        for (unsigned i = 0; i < pool->server_count; i++) {
            struct hf_server *server = pool->servers[i].server;
            atomic_store_explicit(&server->limit.active_max, pool->breaker.connections,
                                  memory_order_relaxed);
            atomic_store_explicit(&server->limit.pending_max, pool->breaker.pending,
                                  memory_order_relaxed);
            hf_limit_hand_over(server);
        }
    }
}

enum hf_limit_entry hf_limit_wait(struct hf_server *server, struct hf_limit_waker *waker,
                                  struct hf_limit_waiter *waiter)
{
    REQUIRE(waiter->state == HF_LIMIT_IDLE);
    pthread_mutex_lock(&server->limit.lock);
    uint32_t pending = atomic_load_explicit(&server->limit.pending, memory_order_relaxed);
    bool full = pending >= atomic_load_explicit(&server->limit.pending_max, memory_order_relaxed);
    if (!full) {
        waiter->server = server;
        waiter->waker = waker;
        waiter->state = HF_LIMIT_QUEUED;
        hf_list_push_back(&server->limit.waiting, &waiter->node);
        set_pending(server, 1);
        hand_over_locked(server, waiter);
    }
    bool entered = !full && waiter->state == HF_LIMIT_IDLE;
    pthread_mutex_unlock(&server->limit.lock);
    return full ? HF_LIMIT_FULL : entered ? HF_LIMIT_ENTERED : HF_LIMIT_WAITING;
}

/* Under both locks, so that no state is missed. */
static enum hf_limit_state leave_locked(struct hf_limit_waiter *waiter)
{
    enum hf_limit_state state = (enum hf_limit_state)waiter->state;
    if (state != HF_LIMIT_IDLE)
        hf_list_remove(&waiter->node);
    if (state == HF_LIMIT_QUEUED)
        set_pending(waiter->server, -1);
    waiter->state = HF_LIMIT_IDLE;
    return state;
}

void hf_limit_cancel(struct hf_limit_waiter *waiter)
{
    struct hf_server *server = waiter->server;
    if (!server)
        return;
    pthread_mutex_lock(&server->limit.lock);
    pthread_mutex_lock(&waiter->waker->lock);
    enum hf_limit_state state = leave_locked(waiter);
    pthread_mutex_unlock(&waiter->waker->lock);
    pthread_mutex_unlock(&server->limit.lock);
    waiter->server = NULL;
    if (state == HF_LIMIT_GRANTED)
        hf_limit_leave(server);
}

void hf_limit_flush(struct hf_server *server)
{
    struct hf_list *node;
    pthread_mutex_lock(&server->limit.lock);
    while ((node = hf_list_pop_front(&server->limit.waiting))) {
        set_pending(server, -1);
        wake(waiter_of(node), HF_LIMIT_SENT_AWAY);
    }
    pthread_mutex_unlock(&server->limit.lock);
}
