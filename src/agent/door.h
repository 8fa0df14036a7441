/* Where a front end's clients come in: a listening socket and its connections.
 * Threads: the loop's. Layer: agent. */
#pragma once
#include "agent/front.h"
#include "base/bytes.h"
#include "base/slab.h"
#include "net/listener.h"

enum {
    HF_DOOR_AUTH_MS = 10 * 1000,    /* a client must have authenticated by then */
    HF_DOOR_STALL_MS = 60 * 1000,   /* a client that takes nothing of its output is given up */
    HF_DOOR_REQUEST_MS = 60 * 1000, /* a request must be whole so long after its first byte */
    HF_DOOR_TOLD_MS = 60 * 1000,    /* between two lines about refused connections */
    HF_DOOR_WAKING_MS = 200,        /* behind a stop of this process: see `shared` */
};

struct hf_door_settings {
    const struct hf_front *front; /* borrowed, as all pointers here */
    struct hf_sessions *sessions;
    struct hf_address bind;
    struct hf_slice password; /* empty: none; may be replaced by hf_door_set_password */
    unsigned connections_max;
    uint32_t request_ms; /* a request's time to come entirely; 0: HF_DOOR_REQUEST_MS */
    /* Clients may go on at other agents. One that hung up while this process was stopped may have
     * done so: what it had asked for is not done any more, or it would come late over that. */
    bool shared;
};

struct hf_door;
/* All connections of a stopped door are closed. Called once, at the end of a turn. */
typedef void (*hf_door_emptied_fn)(void *user);

/* Listens. 0 or negative errno. */
int hf_door_new(struct hf_loop *loop, const struct hf_door_settings *settings,
                struct hf_door **ret_door);
/* Accepts no more; each connection ends when the requests that it sent are answered. */
void hf_door_stop(struct hf_door *door, hf_door_emptied_fn emptied, void *user);
/* Closes what is left, whatever it does. */
void hf_door_cut(struct hf_door *door);
/* After `emptied`, or before any turn of the loop. */
void hf_door_free(struct hf_door **door);

/* Reload: for clients that authenticate from now on. Borrowed. */
void hf_door_set_password(struct hf_door *door, struct hf_slice password);
void hf_door_set_shared(struct hf_door *door, bool shared);
const struct hf_front_counts *hf_door_counts(const struct hf_door *door);
const struct hf_address *hf_door_address(const struct hf_door *door); /* as bound */
