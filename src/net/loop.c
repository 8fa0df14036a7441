#include "net/loop.h"
#include "base/assert.h"
#include "base/clock.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { BATCH_MAX = 256, WAIT_MS_MAX = 60 * HF_MS_PER_S };

struct message {
    struct message *next;
    hf_message_fn fn;
    void *argument;
};

struct hf_loop {
    int epoll_fd;
    int wake_fd;            /* an eventfd that is never read: each write is a new edge */
    uint64_t now_ns;        /* monotonic */
    uint64_t now_ms;        /* the same instant */
    uint64_t wall_ms;       /* since 1970, of that instant too */
    uint64_t woke_ms;       /* when it last found that the process had not run; 0 = never */
    struct hf_list closing; /* events whose `closed` is due */
    struct hf_list again;   /* events that asked for another call */
    hf_message_fn turn_end;
    void *turn_end_argument;
    struct hf_timer_wheel timers;
    struct epoll_event batch[BATCH_MAX];
    /* other threads write below: on a cache line of its own */
    _Alignas(64) _Atomic(struct message *) posted; /* newest first */
    atomic_bool stopping;
};

static void read_clock(struct hf_loop *loop)
{
    loop->now_ns = hf_clock_monotonic_ns();
    loop->now_ms = loop->now_ns / 1000000;
    loop->wall_ms = hf_clock_wall_ms();
}

static int watch_wake_fd(struct hf_loop *loop)
{
    struct epoll_event interest = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->wake_fd, &interest);
}

int hf_loop_new(struct hf_loop **ret_loop)
{
    REQUIRE(ret_loop != NULL);
    struct hf_loop *loop = aligned_alloc(_Alignof(struct hf_loop), sizeof(*loop));
    if (loop == NULL)
        return -ENOMEM;
    *loop = (struct hf_loop){.epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                             .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (loop->epoll_fd < 0 || loop->wake_fd < 0 || watch_wake_fd(loop) != 0) {
        int error = -errno;
        hf_loop_free(&loop);
        return error;
    }
    hf_list_init(&loop->closing);
    hf_list_init(&loop->again);
    read_clock(loop);
    hf_timer_wheel_init(&loop->timers, loop->now_ms);
    *ret_loop = loop;
    return 0;
}

static void run_closed(struct hf_loop *loop)
{
    struct hf_list *node;
    while ((node = hf_list_pop_front(&loop->closing)) != NULL) {
        struct hf_event *event = hf_container_of(node, struct hf_event, node);
        if (event->closed != NULL)
            event->closed(event);
    }
}

static struct message *take_posted(struct hf_loop *loop)
{
    /* acquire: pairs with the release of the post, so that the message's fields are seen */
    struct message *newest = atomic_exchange_explicit(&loop->posted, NULL, memory_order_acquire);
    struct message *oldest = NULL;
    while (newest != NULL) {
        struct message *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void run_posted(struct hf_loop *loop)
{
    struct message *message = take_posted(loop);
    while (message != NULL) {
        struct message *done = message;
        message = message->next;
        done->fn(done->argument);
        free(done);
    }
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void hf_loop_free(struct hf_loop **loop)
{
    REQUIRE(loop != NULL);
    struct hf_loop *gone = *loop;
    if (gone == NULL)
        return;
    *loop = NULL;
    if (gone->closing.next != NULL) /* NULL: hf_loop_new failed half-way */
        run_closed(gone);
    struct message *message = take_posted(gone);
    while (message != NULL) {
        struct message *next = message->next;
        free(message);
        message = next;
    }
    close_fd(gone->epoll_fd);
    close_fd(gone->wake_fd);
    free(gone);
}

/* A hang-up alone is no error: it is also what a stream shows that ended in both directions. */
static unsigned ready_bits(uint32_t events)
{
    unsigned ready = 0;
    if (events & EPOLLIN)
        ready |= HF_READABLE;
    if (events & EPOLLOUT)
        ready |= HF_WRITABLE;
    if (events & (EPOLLRDHUP | EPOLLHUP))
        ready |= HF_PEER_CLOSED;
    if (events & EPOLLERR)
        ready |= HF_BROKEN;
    return ready;
}

static void run_events(struct hf_loop *loop, int count)
{
    for (int i = 0; i < count; i++) {
        struct hf_event *event = loop->batch[i].data.ptr;
        if (event == NULL || event->fd < 0) /* the wake-up, or closed earlier in this batch */
            continue;
        event->ready(event, ready_bits(loop->batch[i].events));
    }
}

/* What asks again while these run waits for the next turn: new events come first. */
static void run_again(struct hf_loop *loop)
{
    if (hf_list_empty(&loop->again))
        return;
    struct hf_list round;
    hf_list_init(&round);
    hf_list_splice_back(&round, &loop->again);
    struct hf_list *node;
    while ((node = hf_list_pop_front(&round)) != NULL) {
        struct hf_event *event = hf_container_of(node, struct hf_event, node);
        unsigned ready = event->again;
        event->again = 0;
        event->ready(event, ready);
    }
}

static int wait_ms(const struct hf_loop *loop)
{
    if (!hf_list_empty(&loop->again) || !hf_list_empty(&loop->closing))
        return 0;
    return hf_timer_wheel_wait_ms(&loop->timers, WAIT_MS_MAX);
}

static void turn(struct hf_loop *loop)
{
    int patience_ms = wait_ms(loop);
    uint64_t due_ms = loop->now_ms + (uint64_t)(patience_ms > 0 ? patience_ms : 0);
    int count = epoll_wait(loop->epoll_fd, loop->batch, BATCH_MAX, patience_ms);
    REQUIRE(count >= 0 || errno == EINTR);
    read_clock(loop);
    if (loop->now_ms >= due_ms + HF_LOOP_STOPPED_MS)
        loop->woke_ms = loop->now_ms;
    run_events(loop, count);
    run_again(loop);
    /* relaxed: a miss here is caught by the wake-up that the poster writes */
    if (atomic_load_explicit(&loop->posted, memory_order_relaxed) != NULL)
        run_posted(loop);
    hf_timer_wheel_advance(&loop->timers, loop->now_ms);
    run_closed(loop);
    if (loop->turn_end != NULL)
        loop->turn_end(loop->turn_end_argument);
    run_closed(loop);
}

void hf_loop_run(struct hf_loop *loop)
{
    REQUIRE(loop != NULL);
    /* acquire: what the stopping thread wrote before is seen after the run */
    while (!atomic_exchange_explicit(&loop->stopping, false, memory_order_acquire))
        turn(loop);
}

/* Async-signal-safe. The counter is never read: it overflows after 2^64 - 2 wake-ups. */
static void wake(struct hf_loop *loop)
{
    int saved = errno;
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof(one));
    REQUIRE(written == sizeof(one));
    errno = saved;
}

void hf_loop_stop(struct hf_loop *loop)
{
    REQUIRE(loop != NULL);
    /* release: pairs with the acquire in hf_loop_run */
    atomic_store_explicit(&loop->stopping, true, memory_order_release);
    wake(loop);
}

int hf_loop_post(struct hf_loop *loop, hf_message_fn fn, void *argument)
{
    REQUIRE(loop != NULL && fn != NULL);
    struct message *message = malloc(sizeof(*message));
    if (message == NULL)
        return -ENOMEM;
    message->fn = fn;
    message->argument = argument;
    struct message *before = atomic_load_explicit(&loop->posted, memory_order_relaxed);
    /* release: publishes the message; the loop takes the whole chain at once, so no node is
     * reused while another thread compares with it */
    do
        message->next = before;
    while (!atomic_compare_exchange_weak_explicit(&loop->posted, &before, message,
                                                  memory_order_release, memory_order_relaxed));
    if (before == NULL) /* else the wake-up is under way already */
        wake(loop);
    return 0;
}

static int add(struct hf_loop *loop, struct hf_event *event, int fd, uint32_t events)
{
    REQUIRE(loop != NULL && event != NULL);
    REQUIRE(event->ready != NULL && fd >= 0);
    struct epoll_event interest = {.events = events, .data.ptr = event};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &interest) != 0)
        return -errno;
    event->fd = fd;
    event->again = 0;
    event->level = !(events & EPOLLET);
    hf_list_init(&event->node);
    return 0;
}

int hf_event_open(struct hf_loop *loop, struct hf_event *event, int fd)
{
    return add(loop, event, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

int hf_event_open_level(struct hf_loop *loop, struct hf_event *event, int fd)
{
    return add(loop, event, fd, EPOLLIN);
}

void hf_event_pause(struct hf_loop *loop, struct hf_event *event, bool paused)
{
    REQUIRE(loop != NULL && event != NULL);
    REQUIRE(event->fd >= 0 && event->level);
    struct epoll_event interest = {.events = paused ? 0 : EPOLLIN, .data.ptr = event};
    REQUIRE(epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, event->fd, &interest) == 0);
}

void hf_event_close(struct hf_loop *loop, struct hf_event *event)
{
    REQUIRE(loop != NULL && event != NULL);
    if (event->fd < 0)
        return;
    /* A listener may be open in another process too; then closing it here would not unwatch it. A
     * connection never is, and is spared the system call. */
    if (event->level)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, event->fd, NULL);
    close(event->fd);
    event->fd = -1;
    event->again = 0;
    hf_list_remove(&event->node); /* out of `again` */
    hf_list_push_back(&loop->closing, &event->node);
}

void hf_event_again(struct hf_loop *loop, struct hf_event *event, unsigned ready)
{
    REQUIRE(loop != NULL && event != NULL);
    REQUIRE(event->fd >= 0 && ready != 0);
    if (event->again == 0)
        hf_list_push_back(&loop->again, &event->node);
    event->again |= (uint16_t)ready;
}

uint64_t hf_loop_now_ms(const struct hf_loop *loop)
{
    return loop->now_ms;
}

uint64_t hf_loop_now_us(const struct hf_loop *loop)
{
    return loop->now_ns / 1000;
}

uint64_t hf_loop_wall_s(const struct hf_loop *loop)
{
    return loop->wall_ms / HF_MS_PER_S;
}

uint64_t hf_loop_wall_ms(const struct hf_loop *loop)
{
    return loop->wall_ms;
}

uint64_t hf_loop_woke_ms(const struct hf_loop *loop)
{
    REQUIRE(loop != NULL);
    return loop->woke_ms;
}

struct hf_timer_wheel *hf_loop_timers(struct hf_loop *loop)
{
    return &loop->timers;
}

void hf_loop_set_turn_end(struct hf_loop *loop, hf_message_fn fn, void *argument)
{
    REQUIRE(loop != NULL);
    REQUIRE(fn == NULL || loop->turn_end == NULL);
    loop->turn_end = fn;
    loop->turn_end_argument = argument;
}
