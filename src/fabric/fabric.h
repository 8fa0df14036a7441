/* How agents agree on who holds a session, as a machine without I/O: it is told of bytes from
 * peers, of links, of client operations and of time, and it answers with bytes for peers and with
 * finished operations. One seed therefore runs a whole cluster (cluster_test.c).
 * The protocol and its promises: docs/peer-protocol.md. Never: a socket, a clock, a key or value.
 * Glossary: a *record* is all keys of one session id. Its *home* is the first ready node of its
 * rank: it alone grants ownership. Its *owner* serves it. Its *backups* hold copies that may not
 * be served. An *epoch* is one term of one owner. A *lease* is the promise of a peer not to take
 * this node for dead before a certain time. Start with fabric.c, then owner.c and home.c.
 * Threads: one owns a fabric and everything given to it. Layer: fabric. */
#pragma once
#include "balance/rank.h"
#include "base/list.h"
#include "base/slice.h"
#include "store/deadline.h"
#include "store/version.h"

enum {
    HF_FABRIC_TICK_MS = 10, /* hf_fabric_tick is to be called this often */
    HF_FABRIC_HEARTBEAT_MS = 100,
    HF_FABRIC_HEARTBEAT_MS_MAX = 300, /* of very many nodes: three still fall into a lease */
    HF_FABRIC_HEARTBEAT_NODES = 32,   /* with more of them each is heard of less often */
    HF_FABRIC_LEASE_MS = 1000,        /* a peer's promise, counted from when it was asked for: of
                                         few nodes, else hf_rank_lease_ms */
    HF_FABRIC_DEAD_MS = 1100,         /* silence that makes a peer dead: the lease and 10 % drift */
    HF_FABRIC_AWAY_MS = 500,          /* no call for that long: the process was stopped */
    HF_FABRIC_OPERATION_MS = 250,     /* until a read without an owner is answered UNSURE */
    HF_FABRIC_WRITE_MS = 3000,   /* the same for a write, which nobody may ask twice: it outlasts
                                    the lease of an owner that is dead */
    HF_FABRIC_ANSWER_MS = 300,   /* a write that was sent and not answered for that long: UNSURE.
                                    A home that lives says within OPERATION_MS that it cannot */
    HF_FABRIC_BYTES_A_MS = 1024, /* the slowest wire: for what is longer than a frame all these
                                    wait as long again as it takes over one */
    HF_FABRIC_TRAVEL_MS_MAX = 10 * 1000, /* but no more than this */
    HF_FABRIC_HOPS = 3,                  /* of a write: to the home, to the owner, to its backup */
    HF_FABRIC_SOCKET_SIZE = 128 * 1024,  /* bytes that may stand before all in a socket */
    HF_FABRIC_UNDER_WAY_MS = 50,         /* who works on something long says so, no more often */
    HF_FABRIC_ACKNOWLEDGE_MS = 20,       /* without word of a copy, until one more node is asked */
    HF_FABRIC_DEGRADE_MS = 250,          /* until a write nobody confirmed is answered, loudly;
                                            `consistent`: UNSURE, after a lease at the latest */
    HF_FABRIC_DELETE_MS = 100,           /* until a delete that one node has waits for no other */
    HF_FABRIC_TOMB_MS = 15 * 60 * 1000,  /* life of a tombstone */
    HF_FABRIC_ORPHAN_MS = 60 * 1000, /* what a backup adds to a deadline; while the owner lives */
    HF_FABRIC_GRACE_MS = (int)HF_DEADLINE_SLACK_MS_MAX + HF_FABRIC_ORPHAN_MS, /* also what the owner
                                      may have added and told nobody: it alone expires a record */
    HF_FABRIC_GENERATIONS = 512, /* of ownership; then they begin anew */
    HF_FABRIC_TARGETS_MAX = 8,   /* peers a write is sent to, joining ones included */
};

/* The fabric's part of a record; lives in the store's record. Zeroed = NONE. */
struct hf_fabric_record {
    struct hf_version version;
    uint64_t deadline_ms; /* this machine's monotonic time; 0 = never */
    uint16_t owner;       /* node number */
    uint16_t generation;  /* OWNER counts only while it is the fabric's */
    uint8_t state;        /* enum hf_record_state */
};

enum hf_fabric_flag { /* of an operation */
                      HF_FABRIC_ACQUIRES =
                          1, /* a request starts with it (GET, SET NX): it pulls the record here */
                      HF_FABRIC_CREATES = 2, /* makes a record where there is none */
                      HF_FABRIC_OVER_TOMB =
                          4, /* may do so over a tombstone: the client saw the miss, or adds */
                      HF_FABRIC_READS =
                          8, /* changes nothing: may be asked again when an answer is lost */
                      HF_FABRIC_STAYS = 16, /* never makes this node the owner */
};

enum hf_fabric_status {
    HF_FABRIC_OK,
    HF_FABRIC_DEGRADED, /* done, but no other node (delete: not every backup) said so in time; a
                           `consistent` fabric says it only of a delete that another node has */
    HF_FABRIC_MISS,     /* known: there is no such record */
    HF_FABRIC_DROPPED,  /* a write after the delete: answer OK, nothing was kept */
    HF_FABRIC_UNSURE, /* not known, or not known to have happened: answer an error, never a miss */
    HF_FABRIC_FULL,   /* the store or a table is full */
    HF_FABRIC_RETRY,  /* between nodes only: ask again */
    HF_FABRIC_UNDER_WAY, /* between nodes only: it is long, and coming; wait on */
    HF_FABRIC_LATE,      /* between nodes only: who asked may wait no longer; nothing was done */
    HF_FABRIC_STATUSES,
};

struct hf_fabric_op;
struct hf_fabric_need { /* an acknowledgement that an operation waits for */
    struct hf_list node;
    struct hf_fabric_op *op;
    uint64_t number;
    uint8_t peer, lane;
};

/* One operation of a client. The caller's memory until `complete`. */
struct hf_fabric_op {
    struct hf_slice id;      /* borrowed until complete */
    struct hf_slice request; /* what the store executes, here or on the owner; borrowed likewise */
    void *user;              /* the caller's; NULL: another node's operation */
    void *held;              /* the caller's, set while it executes: `hold` is asked */
    uint8_t flags;           /* enum hf_fabric_flag */
    /* To be read in `complete`. */
    uint8_t status;        /* enum hf_fabric_status */
    bool remote;           /* executed elsewhere: `reply` holds the store's answer from there */
    struct hf_slice reply; /* borrowed for the call of complete */
    /* The fabric's own. */
    bool executed, deletes, wants_all, follows;
    bool copied;  /* a node has confirmed it */
    bool yielded; /* its record was handed over with it: whoever owns that now has it */
    bool guards;  /* nobody confirmed a write that was answered UNSURE: keeps it from readers */
    bool missed;  /* a node that is to hold it could not be told */
    bool takes;   /* to own the record is all it asks for: nothing is executed */
    uint8_t need_count, origin;
    uint64_t hash, number, deadline_ms, parked_ms, executed_ms;
    uint64_t travel_ms; /* how long its copies may be under way, counted from executed_ms */
    uint64_t told[HF_RANK_NODES_MAX / 64]; /* nodes it was sent to, over links that still stand */
    struct hf_list node;      /* waiting for an owner, or following another operation */
    struct hf_list timed;     /* among those with the same patience */
    struct hf_list dirty;     /* among executed ones that wait, by hash */
    struct hf_list followers; /* reads whose reply must not outrun this write */
    struct hf_fabric_need needs[HF_FABRIC_TARGETS_MAX];
};

/* What executing came to. */
enum hf_fabric_change {
    HF_FABRIC_NOTHING, /* for copies; also a deadline that hardly moved */
    HF_FABRIC_VALUE,
    HF_FABRIC_DELETED,
    HF_FABRIC_EMPTY
};
struct hf_fabric_outcome {
    enum hf_fabric_change change; /* EMPTY: the record holds nothing and was not deleted */
    uint64_t deadline_ms;         /* of the record from now on; 0 = never */
    struct hf_slice delta;        /* what hf_fabric_store.change applies elsewhere; empty = image */
    struct hf_slice reply;        /* kept by the fabric only for another node's operation */
};

/* Where records live. All functions are called on the fabric's thread; `store` is `user`. */
struct hf_fabric_store {
    void *user;
    /* An event begins; no pointer to a record is kept over its end. Both may be NULL. */
    void (*begin)(void *user, uint64_t now_ms);
    void (*end)(void *user);
    struct hf_fabric_record *(*find)(void *user, struct hf_slice id, uint64_t hash);
    /* A new empty record; NULL when full. */
    struct hf_fabric_record *(*create)(void *user, struct hf_slice id, uint64_t hash);
    void (*remove)(void *user, struct hf_fabric_record *record);
    void (*clear)(void *user, struct hf_fabric_record *record); /* its content; it stays */
    struct hf_slice (*id)(void *user, const struct hf_fabric_record *record);
    /* The next record behind *cursor (0 = start), NULL and *cursor = 0 at the end. Records that
     * stay throughout are met, seldom twice. Pointers to other records end with the call. */
    struct hf_fabric_record *(*next)(void *user, uint64_t *cursor);
    /* The whole content as bytes, deadlines as time left; valid until the next call. */
    struct hf_slice (*image)(void *user, const struct hf_fabric_record *record);
    /* Replaces the content; false on bytes that are none, or when full (then it is empty). */
    bool (*load)(void *user, struct hf_fabric_record *record, struct hf_slice image);
    bool (*change)(void *user, struct hf_fabric_record *record, struct hf_slice delta);
    void (*execute)(void *user, struct hf_fabric_record *record, struct hf_fabric_op *op,
                    struct hf_fabric_outcome *ret_outcome);
};

struct hf_fabric_host {
    void *user;
    void (*complete)(void *user, struct hf_fabric_op *op);
    /* Bytes wait for the peer: hf_fabric_pull. */
    void (*wake)(void *user, unsigned peer);
    /* The two below may be NULL. The operation goes to another node, and its request is empty: its
     * bytes, borrowed until complete. */
    struct hf_slice (*encode)(void *user, struct hf_fabric_op *op);
    /* It was executed here just now and is to wait: what came of it must outlive the store's next
     * change. */
    void (*keep)(void *user, struct hf_fabric_op *op);
    /* An operation of another node, whose `held` is set, is over. True: whoever asked is told by
     * hf_fabric_resume alone, which is to come before HF_FABRIC_ANSWER_MS are over. */
    bool (*hold)(void *user, struct hf_fabric_op *op);
};

/* What the fabric counts: one row gives field, metric and help. */
struct hf_fabric_counts {
#define HF_FABRIC_COUNT(name, help) uint64_t name;
#include "fabric/counts.def"
#undef HF_FABRIC_COUNT
};

struct hf_fabric_settings {
    unsigned self;           /* our number in the rank */
    unsigned backups;        /* 1 or 2 */
    bool acknowledge_memory; /* writes do not wait for a backup */
    bool consistent;         /* a minority refuses to serve and to grant */
    uint64_t incarnation;    /* random, another at each start; never 0 */
    uint32_t epoch_floor;    /* epochs begin above: higher at each start, e.g. wall minutes */
    size_t activities_max;   /* records with something under way */
    size_t queue_size_max;   /* bytes that wait for one peer; beyond it copies wait for a digest */
    size_t image_size_max;   /* bytes of a record */
};

struct hf_fabric;
/* 0 or -ENOMEM, -EINVAL. Store and host are copied; the rank is borrowed. */
int hf_fabric_new(const struct hf_fabric_settings *settings, const struct hf_rank *rank,
                  const struct hf_fabric_store *store, const struct hf_fabric_host *host,
                  uint64_t now_ms, struct hf_fabric **ret_fabric);
/* Operations under way are completed UNSURE. */
void hf_fabric_free(struct hf_fabric **fabric);

/* Starts an operation; `complete` may be called before this returns. */
void hf_fabric_submit(struct hf_fabric *fabric, struct hf_fabric_op *op, uint64_t now_ms);
/* Whether a read of the record may be executed on the store past the fabric, as if it had been
 * submitted: it is served here and now and no other operation on it waits. False also inside an
 * event. `hash`: hf_rank_hash of the id. */
bool hf_fabric_readable(struct hf_fabric *fabric, const struct hf_fabric_record *record,
                        struct hf_slice id, uint64_t hash, uint64_t now_ms);
/* Ends what `hold` kept; `op` is the fabric's again. */
void hf_fabric_resume(struct hf_fabric *fabric, struct hf_fabric_op *op, uint64_t now_ms);
void hf_fabric_tick(struct hf_fabric *fabric, uint64_t now_ms);

/* A proved link to the peer begins; a link that was there before has ended. */
void hf_fabric_link_up(struct hf_fabric *fabric, unsigned peer, uint64_t now_ms);
/* The link ended. `gone`: the peer's process certainly ended too (a refused connection, or another
 * incarnation answered), so its leases need not be waited for. */
void hf_fabric_link_down(struct hf_fabric *fabric, unsigned peer, bool gone, uint64_t now_ms);
/* The store has dropped the record by itself: its time was over, or memory was wanted. To be told
 * at once, also from inside a call of the store: what is granted for it next must stand above. With
 * `expired` an owner's copies go too, under its lease. */
void hf_fabric_dropped(struct hf_fabric *fabric, struct hf_slice id, enum hf_record_state state,
                       struct hf_version version, bool expired, uint64_t now_ms);

/* Takes whole frames; *ret_used tells how many bytes. False: the peer broke the protocol, close. */
bool hf_fabric_receive(struct hf_fabric *fabric, unsigned peer, struct hf_slice bytes,
                       uint64_t now_ms, size_t *ret_used);
/* Takes what waits for the peer into out[size]; answers how much. */
size_t hf_fabric_pull(struct hf_fabric *fabric, unsigned peer, char *out, size_t size);

/* Begins a planned end: owned records are handed over. Then wait for hf_fabric_left. */
void hf_fabric_leave(struct hf_fabric *fabric, uint64_t now_ms);
bool hf_fabric_left(const struct hf_fabric *fabric);

/* While it is to be drained a node hands what it owns to others, bit by bit, and acquires nothing;
 * it serves its clients by asking the owners, and stays home and backup. So its end moves nothing.
 */
void hf_fabric_drain(struct hf_fabric *fabric, bool drains, uint64_t now_ms);

/* What this node knows of a record by itself: it asks nobody and changes nothing. */
enum hf_fabric_knowledge {
    HF_FABRIC_KNOWS_NOTHING, /* it does not own it, or not for certain */
    HF_FABRIC_KNOWS_OLD,     /* it owns it, and it was made under an owner before */
    HF_FABRIC_KNOWS_NEW,     /* it owns it, and it was made under this one */
    HF_FABRIC_KNOWLEDGES,
};
enum hf_fabric_knowledge hf_fabric_know(struct hf_fabric *fabric, struct hf_slice id,
                                        uint64_t now_ms);

/* This node grants and answers misses; false while it is joining. */
bool hf_fabric_ready(const struct hf_fabric *fabric);
/* Every live peer has told all it knows, under the present membership. */
bool hf_fabric_complete(const struct hf_fabric *fabric);
/* Whether a peer that lives has other `backups` than we, or another `consistent`: then only what
 * the weaker of them promises holds. */
bool hf_fabric_differs(const struct hf_fabric *fabric, unsigned peer);
/* Whether the record may be served here and now. */
bool hf_fabric_serves(const struct hf_fabric *fabric, const struct hf_fabric_record *record,
                      uint64_t hash, uint64_t now_ms);
const struct hf_fabric_counts *hf_fabric_counts(const struct hf_fabric *fabric);
const char *hf_fabric_status_word(enum hf_fabric_status status);
