/* The table of clients: a client's key -> the identity of its server, for ten million clients and
 * more. Memory is fixed by `size` (23.3 bytes for each), nothing is allocated for an entry.
 * Outlives reloads (a registry by name) and restarts (a file, written behind by a thread of the
 * table's own). docs/table.md tells the whole of it: layout, promises, limits.
 *
 * Signpost: space.c the memory; dictionary.c server identities; file.c the records on disk;
 * keeper.c the thread that loads, writes, sweeps and carries over to another size; table.c the
 * rest.
 *
 * Keys are hashed by SipHash-2-4 under a secret of 128 random bits that never leaves the process
 * and its file of mode 0600. Who may choose keys can therefore neither aim at a bucket to push
 * others out, nor find two keys of one hash, better than by chance: 2^-64 a pair, n/2^64 that an
 * unknown key meets one of n entries (5e-13 at ten million).
 *
 * Never logs (it gives notices), never waits for the disk but in hf_table_acquire (the file's head)
 * and while the file is loaded (see hf_table_find). Threads: any. Layer: table. */
#pragma once
#include "base/slice.h"
#include <stdbool.h>
#include <stdint.h>

struct hf_table;

enum {
    HF_TABLE_NAME_MAX = 256,   /* bytes of a name, NUL included */
    HF_TABLE_SLACK_PARTS = 16, /* an entry may live so small a part longer than asked */
    HF_TABLE_EXPIRE_MAX_S = 10 * 366 * 86400, /* longer lives are cut to it */
};

/* From the thread that acquires, or the table's own. bad: an operator must look. */
typedef void (*hf_table_notice_fn)(bool bad, const char *text);

struct hf_table_options {
    const char *name;      /* identity, such as "shop learn JSESSIONID" */
    const char *directory; /* where its file is; NULL = memory only */
    uint64_t size;         /* entries that have room, >= 1 */
    hf_table_notice_fn notice;
};

/* Finds the living table of that name or makes one; another size is taken on in the background,
 * without losing an entry that has room. A file that cannot be used is told by a notice and costs
 * its entries only: a damaged one is moved aside as FILE.corrupt. 0 or negative errno; the caller
 * holds a reference. */
int hf_table_acquire(const struct hf_table_options *options, struct hf_table **ret_table);
/* The last one lets the table write what is not written yet and end, in its own thread. */
void hf_table_release(struct hf_table **table);
/* Waits until every released table has ended, at most so long. False: some have not. */
bool hf_table_wait_ended(uint64_t deadline_ms);

/* Never 0. */
uint64_t hf_table_hash(const struct hf_table *table, struct hf_slice key);
/* Tells that the hash will be looked for soon, so that its memory is on the way meanwhile: then the
 * look-up itself need not wait for it. Changes nothing and waits for nothing. */
void hf_table_announce(const struct hf_table *table, uint64_t hash);
/* The identity of the server, or 0. A found entry lives for expire_s more, at least, and a
 * sixteenth of that at most beyond. While the file of an earlier process is being loaded, an entry
 * that is not in memory yet is looked up in it: two preads of 168 bytes, of pages that the loader
 * has asked for. */
uint64_t hf_table_find(struct hf_table *table, uint64_t hash, uint64_t expire_s, uint64_t now_ms);
/* Makes an entry unless there is one; answers whose it is now: of several at once one wins, and all
 * get his answer. server_id not 0. 0: no room for another server's identity (65,535). */
uint64_t hf_table_claim(struct hf_table *table, uint64_t hash, uint64_t server_id,
                        uint64_t expire_s, uint64_t now_ms);
struct hf_table_move { /* identities, not 0 */
    uint64_t from_id, to_id;
};
/* Moves an entry from one server to another if it still belongs to the first (or is gone); answers
 * whose it is now. */
uint64_t hf_table_move(struct hf_table *table, uint64_t hash, const struct hf_table_move *move,
                       uint64_t expire_s, uint64_t now_ms);

struct hf_table_stats {
    uint64_t size, bytes;     /* entries with room; memory of it all */
    uint64_t entries;         /* those that ended within the last minute may be among them */
    uint64_t inserts;         /* also of entries loaded or carried over */
    uint64_t hits, misses;    /* of hf_table_find */
    uint64_t moves;           /* to another server */
    uint64_t evictions;       /* living entries that had to go: the table was too small */
    uint64_t expired;         /* entries whose time was over, when that was seen */
    uint64_t refused;         /* no number for the server */
    uint64_t unwritten;       /* buckets in memory that differ from the file */
    uint64_t lag_ms;          /* since all that was known then had been written */
    uint64_t written;         /* buckets */
    uint64_t write_errors;    /* failed writes; what they held is tried again */
    uint64_t loaded;          /* entries from the file */
    uint64_t load_errors;     /* damaged records, each at most eight entries */
    bool loading, persistent; /* being loaded; has a file */
};
const char *hf_table_name(const struct hf_table *table);
/* Each living table, for exporters; `visit` runs under the registry's lock. */
void hf_table_each(void (*visit)(struct hf_table *table, void *user), void *user);
void hf_table_stats(struct hf_table *table, struct hf_table_stats *ret_stats);
