/* A door on a loop of its own, for the unit tests that reach it over sockets. Tests only; once a
 * program. Threads: one. Layer: agent. */
#pragma once
#include "agent/connection.h"
#include "agent/testing.h"

enum { HF_TESTING_DEADLINE_MS = 10000 };

typedef bool (*hf_testing_condition_fn)(void);

struct hf_testing_doorstep {
    struct hf_loop *loop; /* owned, as the door */
    struct hf_door *door; /* NULL: the test has freed it */
    struct hf_timer watch;
    hf_testing_condition_fn condition;
    uint64_t begun_ms; /* when the condition was waited for */
    bool late, emptied;
};
static struct hf_testing_doorstep hf_testing_doorstep; /* of the running test */

static inline struct hf_door *hf_testing_door(void)
{
    return hf_testing_doorstep.door;
}

static inline void hf_testing_look(struct hf_timer *timer)
{
    struct hf_testing_doorstep *here = &hf_testing_doorstep;
    uint64_t now_ms = hf_loop_now_ms(here->loop);
    here->late = now_ms > here->begun_ms + HF_TESTING_DEADLINE_MS;
    if (here->late || here->condition())
        hf_loop_stop(here->loop);
    else
        hf_timer_set(hf_loop_timers(here->loop), timer, now_ms + 1);
}

/* Turns the loop until it holds; fails the test when that takes too long. */
static inline void hf_testing_turn_until(hf_testing_condition_fn condition)
{
    struct hf_testing_doorstep *here = &hf_testing_doorstep;
    here->condition = condition;
    here->begun_ms = hf_loop_now_ms(here->loop);
    hf_timer_set(hf_loop_timers(here->loop), &here->watch, here->begun_ms + 1);
    hf_loop_run(here->loop);
    assert_false(here->late);
}

static inline void hf_testing_note_emptied(void *user)
{
    hf_testing_doorstep.emptied = true;
}

static inline bool hf_testing_is_emptied(void)
{
    return hf_testing_doorstep.emptied;
}

/* On a free port of 127.0.0.1, whatever `bind` says. */
static inline void hf_testing_open_door(struct hf_door_settings settings)
{
    struct hf_testing_doorstep *here = &hf_testing_doorstep;
    *here = (struct hf_testing_doorstep){.watch.expired = hf_testing_look};
    assert_int_equal(hf_loop_new(&here->loop), 0);
    assert_int_equal(hf_address_parse(HF_SLICE("127.0.0.1:0"), &settings.bind), 0);
    assert_int_equal(hf_door_new(here->loop, &settings, &here->door), 0);
    assert_true(hf_door_counts(here->door)->port > 0);
}

static inline void hf_testing_close_door(void)
{
    struct hf_testing_doorstep *here = &hf_testing_doorstep;
    if (here->door != NULL) {
        hf_door_stop(here->door, hf_testing_note_emptied, NULL);
        hf_door_cut(here->door);
        hf_testing_turn_until(hf_testing_is_emptied);
        hf_door_free(&here->door);
    }
    hf_loop_free(&here->loop);
}

/* A client's end of a connection, blocking; the caller closes it. */
static inline int hf_testing_connect(void)
{
    const struct hf_address *address = hf_door_address(hf_testing_doorstep.door);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &address->any, address->size), 0);
    return fd;
}
