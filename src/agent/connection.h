/* A client's connection: see front.h for what front ends get of it.
 * Threads: the loop's. Layer: agent. */
#pragma once
#include "agent/door.h"
#include "agent/locks.h"
#include <stdalign.h>

enum { HF_CONNECTION_MAGIC = 0x41434f4e };

struct hf_door {
    uint32_t magic;
    struct hf_door_settings settings;
    struct hf_loop *loop;
    struct hf_listener listener;
    struct hf_slab slab; /* of connections with their state */
    struct hf_bytes_pool pool;
    struct hf_list open;       /* connections */
    void *shared;              /* owned; the front end's */
    uint64_t next_id, told_ms; /* when refused connections were logged */
    struct hf_front_counts counts;
    bool bound, listening, stopping;
    hf_door_emptied_fn emptied;
    void *user;
};

enum hf_connection_phase {
    HF_CONNECTION_FEEDING, /* at the start of a request, or inside one that has not come entirely */
    HF_CONNECTION_WAITING, /* a call is under way, or put off */
    HF_CONNECTION_ENDING,  /* what was written is sent, then it closes */
    HF_CONNECTION_DRAINING, /* all is sent: what the client still sends is dropped, lest a reset
                 takes the end of our answer from it */
    HF_CONNECTION_CLOSED,
};

struct hf_connection {
    struct hf_event event;
    uint32_t magic;
    uint8_t phase; /* enum hf_connection_phase */
    bool can_read, can_write;
    bool peer_closed; /* FIN came: reading on until 0 gives what is left */
    bool read_ended;
    bool broken;     /* the socket failed, or memory did */
    bool submitting; /* inside hf_connection_submit: a completion is no resumption */
    bool put_off;    /* the call waits for output to drain */
    bool resumed;    /* the call under way has completed */
    bool authenticated;
    bool stopping;
    uint8_t auth_failures;
    struct hf_list node;
    struct hf_door *door;
    struct hf_sessions_call *call; /* borrowed: the front end's; NULL = none */
    hf_sessions_complete_fn complete;
    struct hf_bytes in, out;
    size_t needed;     /* bytes of input that are worth a look */
    size_t used;       /* of the request under way */
    size_t drop;       /* still to come, of a request that is over */
    uint64_t sent_ms;  /* since when output makes no progress */
    uint64_t begun_ms; /* since when a part of a request is here; 0: none is */
    struct hf_timer timer;
    struct hf_locks locks;
    struct hf_reads reads;
    uint64_t id;
    struct hf_address peer;
    alignas(max_align_t) char state[];
};

/* Takes over fd. Without room for it, it is told so and closed. */
void hf_connection_accept(struct hf_door *door, int fd, const struct hf_address *peer);
/* Ends it as soon as it has nothing to answer. */
void hf_connection_stop(struct hf_connection *connection);
void hf_connection_close(struct hf_connection *connection);
/* The next of a door's open ones, from its list's node. */
struct hf_connection *hf_connection_of(struct hf_list *node);
/* Bytes that a connection and its state take of the slab. */
size_t hf_connection_footprint(const struct hf_front *front);
/* A connection's memory is free again: called by it, may end a stopped door. */
void hf_door_closed_one(struct hf_door *door);
