/* The session store (store/store.h) as the fabric sees it. What the fabric knows of a record (role,
 * version, owner) lives in the store's own record and nowhere else, so a session costs no byte more
 * here; while an event is handled, the few records that it touches stand unpacked in slots, and
 * what changed is written back when it ends, and before anything is executed.
 * What the store drops by itself (hf_store_options.dropped) is to be told to hf_fabric_dropped, or
 * a session that expired may come back.
 * Never: knows a key's text or an operation; those are the executor's.
 * Threads: the store's and the fabric's, one. Layer: fabric. */
#pragma once
#include "fabric/fabric.h"
#include "store/store.h"

struct hf_records_done {           /* what executing an operation came to */
    struct hf_store_key key;       /* the one that changed; borrowed until the next call */
    struct hf_store_change change; /* effect NOTHING: nothing for copies */
    struct hf_slice reply;         /* for another node's operation; borrowed likewise */
};
/* Executes op->request on the store with `write`, whose reuse_tomb it may set. A delete must leave
 * a tombstone of HF_FABRIC_TOMB_MS. Zeroed *ret_done: nothing happened. */
typedef void (*hf_records_execute_fn)(void *user, struct hf_fabric_op *op,
                                      const struct hf_store_write *write,
                                      struct hf_records_done *ret_done);

struct hf_records_settings {
    struct hf_store *store; /* borrowed as long as the records */
    uint8_t hash_key[16];   /* the store's */
    unsigned self;          /* this node's number */
    hf_records_execute_fn execute;
    /* This node owns the record from now on, by another term than before, whatever keys it has.
     * May read the store, and is not to change it. May be NULL. */
    void (*owned)(void *user, struct hf_slice id, uint64_t id_hash);
    void *user; /* of both; borrowed likewise */
};

struct hf_records;
/* 0 or -ENOMEM. The caller frees, after the fabric. */
int hf_records_new(const struct hf_records_settings *settings, struct hf_records **ret_records);
void hf_records_free(struct hf_records **records);
/* The record as it stands, without a trace, for whoever is about to read it; only outside the
 * fabric's events. False: there is none with a key that is alive, satellites aside. id_hash:
 * hf_store_hash. */
bool hf_records_look(const struct hf_records *records, struct hf_slice id, uint64_t id_hash,
                     uint64_t now_ms, struct hf_fabric_record *ret_record);
/* Likewise, whatever keys it has. */
bool hf_records_peek(const struct hf_records *records, struct hf_slice id, uint64_t id_hash,
                     uint64_t now_ms, struct hf_fabric_record *ret_record);
/* What hf_fabric_new takes; valid as long as the records. */
struct hf_fabric_store hf_records_store(struct hf_records *records);
/* Records that found no place in a full store. */
uint64_t hf_records_refused(const struct hf_records *records);
