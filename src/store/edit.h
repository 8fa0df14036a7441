/* Changing a record: it is taken apart into a draft, a function edits the draft, and it is put
 * together again, in the same block when the size allows. Until then nothing has changed, so
 * whatever fails leaves the record as it was; when memory was what failed, room is made and the
 * edit runs again from the beginning. Threads: the shard's. Layer: store. */
#pragma once
#include "store/shard.h"

enum { HF_EDIT_NUMBER_SIZE = 24 }; /* "-9223372036854775808", "18446744073709551615" */

struct hf_edit {
    struct hf_store *store;
    const struct hf_store_key *key;     /* what it is about */
    const struct hf_store_write *write; /* NULL: an edit of the fabric's */
    uint64_t now_ms;
    uint32_t *link;  /* names the record in the index */
    uint32_t handle; /* 0 = there was none */
    struct hf_shard_weight before;
    struct hf_version base; /* the version that was there */
    /* the draft */
    enum hf_record_state state;
    struct hf_version version;
    uint16_t owner;
    uint64_t deadline_ms; /* of a record without keys, or of a tombstone */
    unsigned count;
    struct hf_entry entries[HF_STORE_KEYS_MAX];
    struct hf_entry *entry; /* the key's; NULL = none */
    /* values that the record held and the draft does not: freed when it is put together */
    unsigned doomed_count;
    struct hf_entry doomed[HF_STORE_KEYS_MAX];
    /* what the editing function says */
    enum hf_store_effect effect;
    bool dirty; /* there is something to put together */
    bool created_record, created_key;
    char number[HF_EDIT_NUMBER_SIZE]; /* hf_edit_sum's text */
};

/* Edits; OK puts the draft together. Runs again after a FULL, so it must not keep state in args. */
typedef enum hf_store_status (*hf_edit_fn)(struct hf_edit *edit, void *args);

/* Runs an operation on a key: checks key and role, raises the version by the effect, fills
 * *ret_change. */
enum hf_store_status hf_edit_run(struct hf_store *store, const struct hf_store_key *key,
                                 const struct hf_store_write *write, hf_edit_fn function,
                                 void *args, struct hf_store_change *ret_change);
/* Runs an edit of a whole record, in any role: key needs id and id_hash. Takes version, state and
 * all from the draft. A draft in state NONE removes the record. */
enum hf_store_status hf_edit_run_record(struct hf_store *store, const struct hf_store_key *key,
                                        uint64_t now_ms, hf_edit_fn function, void *args);

/* Makes the key's entry (edit->entry), empty and without deadline, where there is none; gives the
 * record a beginning where it has none. OK, TOMBSTONE, TOO_MANY, TOO_LARGE, FULL. */
enum hf_store_status hf_edit_create(struct hf_edit *edit);
/* The same for any key, without asking for a tombstone. */
enum hf_store_status hf_edit_add(struct hf_edit *edit, const struct hf_store_key *key,
                                 struct hf_entry **ret_entry);
/* Replaces an entry's value by bytes that stay where they are until the edit ends. */
void hf_edit_put(struct hf_edit *edit, struct hf_entry *entry, uint8_t form, struct hf_slice bytes);
/* Replaces it by a hash that the edit made; the edit owns it from here. */
void hf_edit_put_fields(struct hf_edit *edit, struct hf_entry *entry, struct hf_fields *fields);
/* Takes an entry out; other entries may move. */
void hf_edit_delete(struct hf_edit *edit, struct hf_entry *entry);
/* Takes out all, or all but satellites. */
void hf_edit_clear(struct hf_edit *edit, bool keep_satellites);
/* The entry holds another value now: a new CAS number, deadlines are told with it. */
void hf_edit_changed(struct hf_edit *edit, struct hf_entry *entry);
/* Gives an unchanged entry that deadline; the effect is DEADLINE if copies must know. */
void hf_edit_deadline(struct hf_edit *edit, struct hf_entry *entry, uint64_t deadline_ms);
/* The key goes; with tomb_ms the record becomes a tombstone. */
void hf_edit_end_key(struct hf_edit *edit, uint64_t tomb_ms);
/* Adds to the number that `old` is: *ret_text is the sum, which stays as long as the edit. OK,
 * NOT_NUMBER, OVERFLOW. */
enum hf_store_status hf_edit_sum(struct hf_edit *edit, struct hf_slice old,
                                 struct hf_store_add *add, struct hf_slice *ret_text);
/* Bytes that the edit may make the shard use. */
static inline size_t hf_edit_limit(const struct hf_edit *edit)
{
    return hf_shard_limit(edit->store, edit->handle != 0 || edit->write == NULL);
}
