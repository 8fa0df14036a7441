/* What the unit tests of upstream/ share: a loop that turns until something has come true.
 * Never in the product. Threads: the test's. Layer: upstream. */
#pragma once
#include "base/clock.h"
#include "net/address.h"
#include "net/loop.h"
#include <unistd.h>

struct hf_testing_wait {
    struct hf_timer tick;
    struct hf_loop *loop;
    bool (*done)(void *user);
    void *user;
    uint64_t deadline_ms;
    bool reached;
};

static inline void hf_testing_wait_tick(struct hf_timer *timer)
{
    struct hf_testing_wait *wait = hf_container_of(timer, struct hf_testing_wait, tick);
    uint64_t now_ms = hf_loop_now_ms(wait->loop);
    wait->reached = wait->done(wait->user);
    if (wait->reached || now_ms >= wait->deadline_ms)
        hf_loop_stop(wait->loop);
    else
        hf_timer_set(hf_loop_timers(wait->loop), timer, now_ms + 1);
}

/* Turns the loop until done(user), at most limit_ms. Whether it came true. */
static inline bool hf_testing_run_until(struct hf_loop *loop, bool (*done)(void *user), void *user,
                                        uint64_t limit_ms)
{
    struct hf_testing_wait wait = {.tick = {.expired = hf_testing_wait_tick},
                                   .loop = loop,
                                   .done = done,
                                   .user = user,
                                   .deadline_ms = hf_clock_monotonic_ms() + limit_ms};
    hf_timer_set(hf_loop_timers(loop), &wait.tick, hf_clock_monotonic_ms());
    hf_loop_run(loop);
    return wait.reached;
}

static inline bool hf_testing_at_once(void *user)
{
    return true;
}

/* A turn or two: whatever is due has happened afterwards. */
static inline void hf_testing_turn(struct hf_loop *loop)
{
    hf_testing_run_until(loop, hf_testing_at_once, NULL, 1000);
}

/* A blocking listening socket on a free loopback port; -1 when there is none. */
static inline int hf_testing_listen(int backlog, struct hf_address *ret_address)
{
    struct hf_address address = {
        .size = sizeof(struct sockaddr_in),
        .v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (bind(fd, &address.any, address.size) < 0 || listen(fd, backlog) < 0 ||
        getsockname(fd, &address.any, &address.size) < 0) {
        close(fd);
        return -1;
    }
    *ret_address = address;
    return fd;
}
