/* A pipelined connection to one store, with its breaker: what remote.h promises, for one server and
 * one protocol (struct hf_pipe_codec). Inside of remote/.
 * Threads: the loop's. Layer: remote. */
#pragma once
#include "base/bytes.h"
#include "model/server.h"
#include "proto/codec.h"
#include "remote/remote.h"

enum { HF_PIPE_TOPOLOGY = HF_REMOTE_KINDS + 1 }; /* a request: CLUSTER SLOTS, as `value` */

enum {
    HF_PIPE_MAGIC = 0x50495045,
    HF_PIPE_TICK_MS = 50,
    HF_PIPE_TROUBLE_MAX = 160,
    HF_PIPE_GREETINGS_MAX = 8,
    HF_PIPE_ROOM_KEPT = 1 << 20, /* an empty buffer that has more gives it back */
};

struct hf_pipe_slot {            /* a request whose answer is to come */
    struct hf_remote_call *call; /* borrowed; NULL: nobody waits any more, or a probe */
    uint64_t deadline_ms;
    uint8_t kind;    /* enum hf_remote_kind, HF_PIPE_TOPOLOGY; HF_REMOTE_KINDS: a probe */
    uint8_t replies; /* still to come: a request may be several commands */
    bool hash;       /* the request's */
    bool persists;   /* EXPIRE: to never */
    uint8_t error;   /* enum hf_remote_status of the first reply that was an error, or OK */
};

struct hf_pipe;

struct hf_pipe_codec {
    const char *name;
    /* Appends a request; answers how many replies there will be. */
    unsigned (*encode)(const struct hf_remote_request *request, struct hf_writer *writer);
    unsigned (*probe)(struct hf_writer *writer);
    /* Finds the end of the first reply. */
    enum hf_codec (*split)(struct hf_pipe *pipe, struct hf_slice input, size_t *ret_used);
    /* Judges a reply of the slot; the last one fills *result. */
    void (*fold)(struct hf_pipe *pipe, struct hf_pipe_slot *slot, struct hf_slice reply,
                 struct hf_remote_result *result);
    /* What is said first on a connection, in stages: appends one and answers how many replies it
     * has; 0: it is over. */
    unsigned (*greet)(struct hf_pipe *pipe, unsigned stage, struct hf_writer *writer);
    /* Reply number `index` of that stage. False: the store does not want us; trouble says why. */
    bool (*greeted)(struct hf_pipe *pipe, unsigned stage, unsigned index, struct hf_slice reply);
};
extern const struct hf_pipe_codec hf_redis_codec, hf_memcached_codec;
extern const struct hf_pipe_codec hf_sentinel_codec; /* of a greeting alone */

enum hf_pipe_phase {
    HF_PIPE_APART, /* no connection, nor one under way */
    HF_PIPE_CONNECTING,
    HF_PIPE_GREETING,
    HF_PIPE_READY,
};

struct hf_pipe_link { /* a connection; outlives its pipe until the loop has closed it */
    struct hf_event event;
    struct hf_pipe *pipe; /* NULL: given up */
};

struct hf_pipe {
    uint32_t magic;
    const struct hf_pipe_codec *codec; /* of the connection: the store's, or hf_sentinel_codec */
    const struct hf_pipe_codec *store_codec;
    struct hf_loop *loop; /* borrowed */
    struct hf_remote_settings settings;
    struct hf_address addresses[HF_STORE_URL_HOSTS_MAX]; /* of the store, or of its sentinels */
    struct hf_address address;                           /* of the connection */
    char *secrets;  /* owned: what settings.user, password and master borrow */
    unsigned guide; /* SENTINEL: which one is asked next */
    bool guided;    /* `address` is where a sentinel says that the master is */
    bool misled;    /* it is no master any more */
    struct hf_remote_counts counts;

    uint8_t phase;             /* enum hf_pipe_phase */
    struct hf_pipe_link *link; /* owned until given up */
    bool can_read, can_write, read_ended;
    void (*moved)(struct hf_pipe *pipe, struct hf_slice error); /* of a cluster's node; or NULL */
    uint64_t phase_until_ms;                                    /* of CONNECTING, GREETING */
    uint64_t heard_ms;                                          /* the last byte that came */
    struct hf_bytes in, out, hello;
    size_t needed;                      /* bytes of `in` that are worth a look */
    struct hf_resp_reply_parser parser; /* the Redis codec's */

    unsigned stage, replies, reply; /* of the greeting */
    bool known;                     /* identity and client_id are of a connection before */
    uint64_t identity, was;         /* of the server; of the one before */
    int64_t client_id, fence_id;    /* ours at the server; to be ended there, or 0 */
    uint8_t greetings[HF_PIPE_GREETINGS_MAX];

    struct hf_pipe_slot *slots; /* owned: a ring of slot_room, a power of two */
    uint32_t slot_room, first, count;
    uint32_t orphans; /* at its beginning: nobody waits for them */

    uint8_t breaker; /* enum hf_breaker_state */
    uint64_t open_until_ms;
    unsigned failures;
    bool probing;
    struct hf_timer tick;
    char trouble[HF_PIPE_TROUBLE_MAX];
};

static inline void hf_pipe_consume(struct hf_bytes *buffer, size_t size)
{
    hf_bytes_consume(buffer, size);
    hf_bytes_trim(NULL, buffer, HF_PIPE_ROOM_KEPT);
}

/* pipe_link.c */
void hf_pipe_connect(struct hf_pipe *pipe);
/* Ends the connection. What was not sent stays, as do requests: hf_pipe_drop. */
void hf_pipe_give_up(struct hf_pipe *pipe);
/* No connection could be made: the store is not there. */
void hf_pipe_not_connected(struct hf_pipe *pipe);
/* One that was in use ended: requests on it are answered by FAILED, and it is made anew. */
void hf_pipe_lost(struct hf_pipe *pipe);
void hf_pipe_send_later(struct hf_pipe *pipe); /* once, for all that this turn asks */

/* pipe.c */
struct hf_pipe_slot *hf_pipe_slot_at(const struct hf_pipe *pipe, uint32_t index);
void hf_pipe_answer(struct hf_pipe *pipe, struct hf_remote_call *call,
                    struct hf_remote_result *result);
/* Of a connection that is no more: none of its answers will come. */
void hf_pipe_drop(struct hf_pipe *pipe, enum hf_remote_status status);
void hf_pipe_tell(struct hf_pipe *pipe, enum hf_remote_change change);
/* Opens the breaker, or opens it again. What was under way is answered: of a connection that is no
 * more, and that sent nothing, as not done. */
void hf_pipe_open(struct hf_pipe *pipe, bool connected);
void hf_pipe_close(struct hf_pipe *pipe);
__attribute__((format(printf, 2, 3))) void hf_pipe_note_trouble(struct hf_pipe *pipe,
                                                                const char *format, ...);

int hf_pipe_init(struct hf_pipe *pipe, struct hf_loop *loop, const struct hf_pipe_codec *codec,
                 const struct hf_remote_settings *settings);
void hf_pipe_fini(struct hf_pipe *pipe);
void hf_pipe_submit(struct hf_pipe *pipe, struct hf_remote_call *call,
                    const struct hf_remote_request *request);
