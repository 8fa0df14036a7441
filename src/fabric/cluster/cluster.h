/* A whole cluster of fabrics in one process, run from one seed: nodes with the session store or a
 * toy in its place, links that delay and stall, crashes, pauses, clients that remember what they
 * saw, and a judge. For tests.
 * Threads: one. Layer: fabric. */
#pragma once
#include "base/rng.h"
#include "fabric/records.h"

enum {
    HF_CLUSTER_NODES_MAX = 6,
    HF_CLUSTER_SESSIONS = 8,
    HF_CLUSTER_CLIENTS = 12,
    HF_CLUSTER_WRITES_MAX = 60000,
    HF_CLUSTER_EPOCHS_MAX = 4000,
    HF_CLUSTER_WAITS_MAX = 256,
    HF_CLUSTER_LONG = 150 * 1000, /* bytes of a session that travels in chunks */
    HF_CLUSTER_MORTAL = 4,        /* sessions from this one on have deadlines */
};

struct hf_cluster_value { /* what a node's store holds of a session */
    bool present;
    struct hf_fabric_record record;
    uint32_t write; /* which write made it; 0 = empty */
};

/* A request: a letter of enum hf_cluster_kind, which write it is, ms to live (0 = for ever). */
enum { HF_CLUSTER_REQUEST_SIZE = 1 + 2 * sizeof(uint32_t) };

struct hf_cluster_node {
    struct hf_cluster *cluster;
    struct hf_fabric *fabric; /* owned; NULL = not running */
    unsigned number;
    bool paused, leaving;
    uint64_t resume_ms, ended_ms;
    uint64_t drained_ms;                                 /* to be drained until then; 0 = not */
    unsigned wakes;                                      /* bit a peer */
    struct hf_cluster_value values[HF_CLUSTER_SESSIONS]; /* of the toy */
    struct hf_store *store;                              /* owned; else */
    struct hf_records *records;                          /* owned */
};

struct hf_cluster_blob {
    struct hf_list node;
    uint64_t sent_ms, due_ms;
    size_t size;
    char bytes[];
};

struct hf_cluster_link { /* one direction */
    struct hf_list blobs;
    uint64_t last_due_ms;
    size_t waiting; /* bytes under way: a socket takes only so much */
    bool cut;       /* nothing passes; it waits */
    bool ending;    /* the sender has ended it; the receiver still reads what is under way */
    char *rest;     /* owned: an incomplete frame at the receiver */
    size_t rest_size;
};

enum hf_cluster_kind { HF_CLUSTER_READ, HF_CLUSTER_WRITE, HF_CLUSTER_DELETE, HF_CLUSTER_TOUCH };

struct hf_cluster_client {
    struct hf_fabric_op op;
    struct hf_cluster *cluster;
    bool busy, abandoned; /* abandoned: its node ended; the answer never comes */
    unsigned node, session;
    enum hf_cluster_kind kind;
    uint64_t next_ms;
    uint32_t write, seen, floor; /* floor: what must be seen, as of when it was asked */
    uint64_t asked_ms;
    char request[HF_CLUSTER_REQUEST_SIZE];
};

struct hf_cluster_write { /* of one session, in the order of execution, deletes and touches too */
    uint8_t session;
    bool deletes, touches, executed, strong; /* strong: acknowledged, and to survive one node */
    bool answered;                           /* whatever the answer was */
    uint32_t order, life_ms;                 /* life_ms 0: for ever */
    uint32_t other; /* of a touch: the write whose end it moved; of a write: its last touch */
    uint64_t executed_ms;
    uint64_t least_ms,
        most_ms; /* its value lives at least, at most, until; UINT64_MAX = for ever */
};

struct hf_cluster_options {
    uint64_t seed;
    unsigned nodes, backups;
    bool records; /* on the session store, else on the toy, where nothing expires */
    bool consistent, memory;
    bool narrow;            /* queues that hold little */
    bool steady;            /* no message takes longer than others */
    unsigned wire_bytes_ms; /* what a link carries in one, 0 = anything; and writes to the long
                             * session are long themselves */
    bool moves, crashes, pauses, joins, cuts; /* what may happen */
    bool drains;   /* beside what else happens nodes are drained for a while */
    bool evicts;   /* nothing else does: stores drop copies, as if they were full */
    bool severs;   /* nothing else does: links of a node are cut, and soon it is killed */
    bool fleeting; /* all sessions that have deadlines live for moments */
    bool abandons; /* links are ended by one side, and the other reads on */
    unsigned duration_ms;
    const char *trace; /* NULL: none; "s3": of one session; "": all; borrowed */
};

struct hf_cluster {
    struct hf_cluster_options options;
    struct hf_rng rng;
    uint64_t now_ms;
    struct hf_rank rank;
    struct hf_cluster_node nodes[HF_CLUSTER_NODES_MAX];
    struct hf_cluster_link links[HF_CLUSTER_NODES_MAX][HF_CLUSTER_NODES_MAX];
    bool joined[HF_CLUSTER_NODES_MAX][HF_CLUSTER_NODES_MAX]; /* link established */
    uint64_t join_ms[HF_CLUSTER_NODES_MAX][HF_CLUSTER_NODES_MAX];
    struct hf_cluster_client clients[HF_CLUSTER_CLIENTS];
    struct hf_cluster_write writes[HF_CLUSTER_WRITES_MAX];
    uint32_t write_count, order;
    uint32_t floors[HF_CLUSTER_SESSIONS];    /* latest strong write of each session */
    uint32_t deleted[HF_CLUSTER_SESSIONS];   /* order of the last delete that was executed */
    unsigned unsettled[HF_CLUSTER_SESSIONS]; /* deletes executed and not acknowledged: each may
                                              * still take effect, however late */
    struct {
        uint32_t epoch;
        uint8_t session, node;
    } epochs[HF_CLUSTER_EPOCHS_MAX];
    unsigned epoch_count;
    uint64_t next_fault_ms, heal_ms;
    uint64_t rest_ms[HF_CLUSTER_SESSIONS]; /* nobody asks for it before */
    /* The longest that bytes were under way, and when they arrived: so much later may deadlines,
     * which travel as time left, have become. */
    uint64_t stall_ms, stalled_ms;
    unsigned expired; /* misses that were right because of a deadline */
    uint64_t kill_ms; /* 0 = nobody is to be killed */
    unsigned victim;
    bool parted;     /* two sides may both have served: only what follows from that is judged */
    char wrong[400]; /* the first broken promise; empty = none */
    unsigned done[HF_FABRIC_STATUSES];
    unsigned long_unsure; /* of the session that travels in chunks */
    unsigned faults;
    /* Of a session whose owner ended: when somebody first asked for it since. */
    struct hf_cluster_orphan {
        bool waits, silent;
        uint64_t asked_ms; /* 0 = nobody yet */
    } orphans[HF_CLUSTER_SESSIONS];
    uint16_t waits_ms[2][HF_CLUSTER_WAITS_MAX]; /* until the first answer: [silent] */
    unsigned wait_count[2];
    struct hf_fabric_counts total;
};

/* Runs the cluster to its end and judges; the caller looks at `wrong`. */
void hf_cluster_run(struct hf_cluster *cluster, const struct hf_cluster_options *options);

/* Inside: cluster_judge.c */
/* An owner executes a request; `held` is the write whose value it holds, 0 = none. */
void hf_cluster_executed(struct hf_cluster_node *node, unsigned session, uint32_t epoch,
                         uint32_t write, uint32_t held);
/* Bytes arrive that were sent then. */
void hf_cluster_arrived(struct hf_cluster *cluster, uint64_t sent_ms);
void hf_cluster_finished(struct hf_cluster *cluster, struct hf_cluster_client *client);
void hf_cluster_judge_end(struct hf_cluster *cluster);
void hf_cluster_wrong(struct hf_cluster *cluster, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* cluster_trace.c */
void hf_cluster_trace_bytes(const struct hf_cluster *cluster, unsigned from, unsigned to,
                            struct hf_slice bytes);
void hf_cluster_trace(const struct hf_cluster *cluster, struct hf_slice id, const char *what,
                      unsigned first, unsigned second);
/* cluster_store.c */
struct hf_fabric_store hf_cluster_store(struct hf_cluster_node *node);
struct hf_cluster_value hf_cluster_look(const struct hf_cluster_node *node, unsigned session);
unsigned hf_cluster_session_of(struct hf_slice id);
/* The store drops the session to have room. */
void hf_cluster_evict(struct hf_cluster_node *node, unsigned session);
/* Notes what an operation of one of our clients read. */
void hf_cluster_saw(struct hf_cluster *cluster, const struct hf_fabric_op *op, uint32_t write);
/* cluster_records.c */
struct hf_fabric_store hf_cluster_records_open(struct hf_cluster_node *node);
void hf_cluster_records_close(struct hf_cluster_node *node);
void hf_cluster_records_tick(struct hf_cluster_node *node);
struct hf_cluster_value hf_cluster_records_look(const struct hf_cluster_node *node,
                                                unsigned session);
void hf_cluster_records_evict(struct hf_cluster_node *node, unsigned session);
/* cluster_faults.c */
void hf_cluster_faults(struct hf_cluster *cluster);
void hf_cluster_heal(struct hf_cluster *cluster);
/* cluster.c */
void hf_cluster_start(struct hf_cluster *cluster, unsigned node);
void hf_cluster_end(struct hf_cluster *cluster, unsigned node, bool silent);
void hf_cluster_unlink(struct hf_cluster *cluster, unsigned a, unsigned b);
void hf_cluster_abandon(struct hf_cluster *cluster, unsigned a, unsigned b);
void hf_cluster_flush(struct hf_cluster *cluster, struct hf_cluster_node *node);
