/* Records and keys as bytes, for transfer, replication and renaming. The encoding is versioned and
 * opaque to everyone else; the decoder is strict and bounded, and takes nothing from a bad blob.
 * Never looks at rights, leases or peers. Threads: the shard's. Layer: store.
 *
 * A blob holds no id, no version and no role: they travel beside it. Its deadlines are relative to
 * `base_ms`, because monotonic clocks of machines have no common zero: encode with the sender's
 * clock, apply with the receiver's at the same moment (now less the time of travel, if known).
 *
 * Renaming a key to another id, whose record may belong to another shard or thread, has two phases:
 *   1. hf_blob_encode KEY of the old name, then hf_blob_put under the new one;
 *   2. hf_store_delete of the old name with the CAS number that phase 1 read.
 * A crash in between leaves both. MISMATCH in phase 2 means that the old key changed meanwhile:
 * delete the new one (with its CAS number) and begin again. */
#pragma once
#include "store/store.h"

enum { HF_BLOB_FORMAT = 1 }; /* first byte of every blob; another one is BAD */

enum hf_blob_part {
    HF_BLOB_RECORD,   /* all keys: replaces whatever the receiver holds */
    HF_BLOB_KEY,      /* one key, or that it is gone: needs the base version */
    HF_BLOB_DEADLINE, /* one key's deadline: needs the base version */
};

struct hf_blob_out {
    char *bytes; /* the caller's */
    size_t room;
    size_t size; /* out: bytes needed, whether or not they fitted */
};

/* Encodes what is held, whatever its role. key: of a RECORD only id and id_hash count. A KEY that
 * is not there is encoded as gone; expired ones are left out of a RECORD, and may leave it empty.
 * OK; TOO_LARGE: room is too small, out->bytes is worth nothing; MISSING: no such record, or
 * DEADLINE of a key that is not there. */
enum hf_store_status hf_blob_encode(const struct hf_store *store, const struct hf_store_key *key,
                                    enum hf_blob_part part, uint64_t base_ms,
                                    struct hf_blob_out *out);

struct hf_blob_apply {
    struct hf_slice blob;
    struct hf_store_role role; /* what the record is afterwards: OWNER or BACKUP, its version */
    struct hf_version base;    /* version that a KEY or DEADLINE was made upon */
    uint64_t base_ms;          /* see above */
    uint64_t now_ms;
    bool force; /* a RECORD replaces a newer one too (a merge was decided) */
};
/* OK; BAD: malformed, or longer than the limits of store.h allow; OLDER: what is held is as new or
 * newer; NO_BASE: the version held is not `base`, or lacks the key whose DEADLINE this is: ask for
 * the whole record; TOO_MANY, FULL. On any but OK the record is as it was. Copies are taken up to
 * the memory limit, reserve included. */
enum hf_store_status hf_blob_apply(struct hf_store *store, struct hf_slice id, uint64_t id_hash,
                                   const struct hf_blob_apply *how);

/* Stores the key that a KEY blob holds under another name, as hf_store_set with ALWAYS or IF_NEW
 * would: value or hash, flags, deadline. MISSING: the blob says that it is gone. */
struct hf_blob_put {
    struct hf_slice blob;
    uint64_t base_ms;
    bool only_new; /* RENAMENX: EXISTS */
};
enum hf_store_status hf_blob_put(struct hf_store *store, const struct hf_store_key *key,
                                 const struct hf_blob_put *put, const struct hf_store_write *write,
                                 struct hf_store_change *ret_change);

/* Whether a blob is one that hf_blob_apply would understand; needs no store. For links and tests.
 */
bool hf_blob_valid(struct hf_slice blob);
