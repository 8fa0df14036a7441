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

enum hf_ready { /* bits; edge-triggered: act until EAGAIN or a short read */
    HF_READABLE = 1,
    HF_WRITABLE = 2,
    HF_PEER_CLOSED = 4, /* the peer sent FIN (EPOLLRDHUP); bytes may still be readable */
    HF_BROKEN = 8,      /* EPOLLERR or EPOLLHUP */
};

typedef void (*hf_ready_fn)(struct hf_event *event, unsigned ready);
typedef void (*hf_closed_fn)(struct hf_event *event);

struct hf_event { /* embed it; memory is the caller's and reusable only from `closed` on */
    int fd;               /* owned once opened; -1 when closed */
    hf_ready_fn ready;
    hf_closed_fn closed;  /* called at the end of the loop's turn */
    struct hf_list node;  /* the loop's closing list */
};

/* 0 and a loop, or negative errno. */
int hf_loop_new(struct hf_loop **ret_loop);
/* Frees a loop that does not run. */
void hf_loop_free(struct hf_loop **loop);
/* Turns until hf_loop_stop. Each turn: wait, clock, events, messages, timers, closed callbacks. */
void hf_loop_run(struct hf_loop *loop);
/* Any thread, also a signal handler. */
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
 * into fair pieces. Cancelled by close. */
void hf_event_again(struct hf_loop *loop, struct hf_event *event, unsigned ready);

uint64_t hf_loop_now_ms(const struct hf_loop *loop); /* monotonic, read once a turn */
uint64_t hf_loop_now_us(const struct hf_loop *loop); /* the same instant */
uint64_t hf_loop_wall_s(const struct hf_loop *loop); /* since 1970, read once a turn */
struct hf_timer_wheel *hf_loop_timers(struct hf_loop *loop);

typedef void (*hf_message_fn)(void *argument);
/* Runs fn(argument) on the loop's thread, in order of posting. Any thread. 0 or -ENOMEM. */
int hf_loop_post(struct hf_loop *loop, hf_message_fn fn, void *argument);

/* Called at the end of every turn, before it waits: one function a loop, for batching. */
void hf_loop_set_turn_end(struct hf_loop *loop, hf_message_fn fn, void *argument);
