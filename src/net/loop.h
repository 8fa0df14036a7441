/* The event loop: edge-triggered epoll, one loop a thread, timers and messages from other threads.
 * Never blocks but in epoll_wait; never runs a callback of an event after hf_event_close.
 * Threads: everything but hf_loop_post and hf_loop_stop by the loop's own thread. Layer: net. */
#pragma once
#include "base/list.h"
#include "base/timer.h"
#include <stdbool.h>
#include <stdint.h>

struct hf_loop;
struct hf_event;

enum { HF_LOOP_STOPPED_MS = 500 };

enum hf_ready { /* bits; edge-triggered: act until EAGAIN or a short read */
                HF_READABLE = 1,
                HF_WRITABLE = 2,
                HF_PEER_CLOSED =
                    4, /* FIN came (EPOLLRDHUP, EPOLLHUP); bytes may still be readable */
                HF_BROKEN =
                    8, /* EPOLLERR: a socket error; bytes from before it may still be readable */
};

typedef void (*hf_ready_fn)(struct hf_event *event, unsigned ready);
typedef void (*hf_closed_fn)(struct hf_event *event);

struct hf_event {        /* embed it; memory is the caller's and reusable only from `closed` on */
    int fd;              /* owned once opened; -1 when closed */
    uint16_t again;      /* the loop's: bits of a pending hf_event_again */
    bool level;          /* the loop's: opened by hf_event_open_level */
    hf_ready_fn ready;   /* set before opening */
    hf_closed_fn closed; /* set before opening, may be NULL; called at the end of the turn */
    struct hf_list node; /* the loop's closing list, or its list of events to call again */
};

/* 0 and a loop, or negative errno. */
int hf_loop_new(struct hf_loop **ret_loop);
/* Frees a loop that does not run: calls `closed` where it is still due, drops messages not yet run.
 * *loop becomes NULL; NULL is harmless. */
void hf_loop_free(struct hf_loop **loop);
/* Turns until hf_loop_stop. Each turn: wait, clock, events, events again, messages, timers, closed
 * callbacks, turn end. */
void hf_loop_run(struct hf_loop *loop);
/* Any thread, also a signal handler. The turn under way is finished; a stop that comes before the
 * run makes it return at once. */
void hf_loop_stop(struct hf_loop *loop);

/* Watches fd for reading, writing and hang-up at once, edge-triggered; called once in its life.
 * Takes ownership of fd on success. 0 or negative errno. */
int hf_event_open(struct hf_loop *loop, struct hf_event *event, int fd);
/* The same, level-triggered and readable only: listeners, eventfds. */
int hf_event_open_level(struct hf_loop *loop, struct hf_event *event, int fd);
/* Stops or resumes a level-triggered event (a listener at its connection limit). */
void hf_event_pause(struct hf_loop *loop, struct hf_event *event, bool paused);
/* Closes fd now; no callback but `closed` follows, at the end of the turn. Harmless when closed. */
void hf_event_close(struct hf_loop *loop, struct hf_event *event);
/* Runs `event->ready(event, ready)` once more in this turn, after the other events: for work cut
 * into fair pieces. Asked for later than that (by such a call, a message, a timer) it runs in the
 * next turn, which then does not wait. Cancelled by close. */
void hf_event_again(struct hf_loop *loop, struct hf_event *event, unsigned ready);

uint64_t hf_loop_now_ms(const struct hf_loop *loop);  /* monotonic, read once a turn */
uint64_t hf_loop_now_us(const struct hf_loop *loop);  /* the same instant */
uint64_t hf_loop_wall_s(const struct hf_loop *loop);  /* since 1970, read once a turn */
uint64_t hf_loop_wall_ms(const struct hf_loop *loop); /* likewise */
/* When a turn last began HF_LOOP_STOPPED_MS later than it was due, because the process had been
 * stopped, or a turn took that long; monotonic, 0 = never. */
uint64_t hf_loop_woke_ms(const struct hf_loop *loop);
struct hf_timer_wheel *hf_loop_timers(struct hf_loop *loop);

typedef void (*hf_message_fn)(void *argument);
/* Runs fn(argument) on the loop's thread, in order of posting. Any thread, without a lock; not a
 * signal handler. 0 or -ENOMEM. */
int hf_loop_post(struct hf_loop *loop, hf_message_fn fn, void *argument);

/* Called at the end of every turn, before it waits: one function a loop, for batching. NULL takes
 * it away. */
void hf_loop_set_turn_end(struct hf_loop *loop, hf_message_fn fn, void *argument);
