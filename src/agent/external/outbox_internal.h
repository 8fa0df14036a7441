/* Inside of the outbox: its keys, and what its files ask of each other.
 * Threads: the agent's loop. Layer: agent. */
#pragma once
#include "agent/external/outbox.h"
#include "base/list.h"
#include "base/timer.h"

enum { HF_OUTBOX_MAGIC = 0x4f555442, HF_OUTBOX_BUCKETS = 1 << 16 };

struct hf_outbox_key;
struct hf_outbox_ticket { /* an operation that waits for its key to be in the store */
    struct hf_list node;  /* of the key's; oldest first */
    struct hf_list timed; /* of the outbox's; oldest first */
    struct hf_outbox_key *key;
    struct hf_fabric_op *op;
    uint64_t version, until_ms;
    bool stored;   /* or need not be: the fabric is what is waited for */
    bool finished; /* the fabric's part is over */
};

enum hf_outbox_step {
    HF_OUTBOX_WAITING, /* in `ready` or `waiting`, or lingering */
    HF_OUTBOX_SENDING,
    HF_OUTBOX_CHECKING, /* before a delete is repeated: does the fabric have the key? */
};

struct hf_outbox_key {
    struct hf_outbox_key *next; /* of its bucket */
    struct hf_outbox *outbox;
    struct hf_list node; /* of ready, waiting or lingering; of none while under way */
    struct hf_list tickets;
    struct hf_remote_call remote;
    struct hf_sessions_call check;
    struct hf_store_key key; /* in `text` */
    uint64_t version, sent;  /* raised by every change; what is under way */
    uint64_t due_ms;         /* not before */
    uint64_t again_ms;       /* 0; else it is written once more then */
    uint64_t deadline_ms;    /* of its value, when it was last seen */
    uint8_t step;            /* enum hf_outbox_step */
    bool dirty;
    bool gone;     /* deleted here */
    bool doubtful; /* and that was a while ago */
    bool whole;    /* more than the expiry is to be written */
    bool owed;     /* the store did not take it */
    bool late;     /* it waited: what it comes to is counted in `window` */
    bool windowed; /* it is */
    size_t size;
    char text[];
};

struct hf_outbox {
    uint32_t magic;
    struct hf_outbox_settings settings;
    struct hf_replicated_hooks hooks;
    struct hf_sessions_backend inner;
    struct hf_outbox_key **buckets; /* owned: [HF_OUTBOX_BUCKETS] */
    struct hf_list ready;           /* to be sent at the end of this turn */
    struct hf_list waiting;         /* for their time, or for the store */
    struct hf_list lingering;       /* gone, and the store knows it */
    struct hf_list tickets;
    struct hf_list stored; /* of those: what the fabric alone is to end */
    struct hf_timer flush;
    uint32_t window, owed;
    bool flushing;
    bool walking; /* everything that is owned is written */
    uint64_t walk;
    uint64_t reunion_ms; /* then that is begun; 0: it is not */
    bool outage;         /* since it began not all is written yet */
    bool tombing;        /* deletes since `tombs_since_ms` are told again */
    uint64_t tombs, tombs_since_ms;
    uint64_t opened_ms; /* the breaker is open since then; 0: it is not */
    struct hf_external_counts counts;
    /* The keys that a session had before an operation that may have ended it. */
    unsigned sibling_count;
    struct hf_outbox_key *siblings[HF_STORE_KEYS_MAX];
};

/* outbox_keys.c */
uint64_t hf_outbox_now_ms(const struct hf_outbox *outbox);
struct hf_outbox_key *hf_outbox_find(const struct hf_outbox *outbox,
                                     const struct hf_store_key *key);
/* Made if need be; NULL without memory, after which everything is written in its time. */
struct hf_outbox_key *hf_outbox_get(struct hf_outbox *outbox, const struct hf_store_key *key);
void hf_outbox_key_free(struct hf_outbox_key *key);
/* Into the row of those that wait, not before that time. */
void hf_outbox_key_wait(struct hf_outbox_key *key, uint64_t due_ms);
void hf_outbox_key_dirty(struct hf_outbox_key *key);
void hf_outbox_key_owe(struct hf_outbox_key *key);
/* The store has it, or somebody else is to write it: lingers, waits to be written again, or is
 * freed. */
void hf_outbox_key_clean(struct hf_outbox_key *key);
/* Nothing about it is this node's to write. */
void hf_outbox_key_forget(struct hf_outbox_key *key);
/* Says again whether a full store may evict. */
void hf_outbox_limit(const struct hf_outbox *outbox);

/* outbox_hold.c */
void hf_outbox_hold(struct hf_outbox_key *key, struct hf_fabric_op *op);
/* Those up to that version go on. */
void hf_outbox_let_go(struct hf_outbox_key *key, uint64_t version);
void hf_outbox_let_go_late(struct hf_outbox *outbox);
void hf_outbox_let_go_all(struct hf_outbox *outbox);
/* As hf_replicated_hooks.hold. */
bool hf_outbox_held(void *user, struct hf_fabric_op *op);

/* outbox_send.c */
void hf_outbox_send(struct hf_outbox_key *key);
void hf_outbox_done(struct hf_remote_call *call, struct hf_remote_result *result);
void hf_outbox_checked(struct hf_sessions_call *call, const struct hf_operation_result *result);

/* outbox_tombs.c */
/* Has the deletes of all agents since then told again. */
void hf_outbox_tombs_since(struct hf_outbox *outbox, uint64_t since_ms);
void hf_outbox_tombs_on(struct hf_outbox *outbox);

/* outbox.c */
void hf_outbox_flush(struct hf_outbox *outbox);
