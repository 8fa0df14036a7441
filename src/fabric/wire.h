/* The peer protocol's frames: what agents say to each other, as bytes and back. Strict: a frame
 * that is too long, ends early, has bytes left over or a value out of its range is refused, and the
 * link with it. No I/O, no allocation. The messages: wire_messages.def, docs/peer-protocol.md.
 * Threads: any. Layer: fabric. */
#pragma once
#include "base/slice.h"
#include "store/version.h"

enum {
    HF_WIRE_PROTOCOL = 1,           /* the version spoken here */
    HF_WIRE_HEAD_SIZE = 5,          /* length (of all that follows it) 4, message number 1 */
    HF_WIRE_CHUNK_SIZE = 62 * 1024, /* longer messages travel in pieces of this size */
    HF_WIRE_FRAME_MAX = HF_WIRE_CHUNK_SIZE + 1024 + 128, /* whole frame: content, id, fields; one
                                                          * fits in a connection's buffer */
    HF_WIRE_ID_MAX = 1024,                               /* bytes of a session id */
    HF_WIRE_NONCE_SIZE = 32,
    HF_WIRE_LANES = 2,
};

enum hf_wire_type {
#define HF_WIRE_MESSAGE(name, number, ...) HF_WIRE_##name = number,
#include "fabric/wire_messages.def"
#undef HF_WIRE_MESSAGE
    HF_WIRE_TYPES_MAX = 64,
};

/* How a REPLICATE is to be taken. */
enum hf_wire_kind {
    HF_WIRE_IMAGE,   /* the whole record */
    HF_WIRE_CHANGE,  /* what happened since `base`; empty: a new epoch alone */
    HF_WIRE_DELETED, /* a tombstone */
    HF_WIRE_GONE,    /* expired at its owner: forget it */
    HF_WIRE_RELEASE, /* others hold it now: give the copy up */
    HF_WIRE_NOTE,    /* where the owner is, without the value */
    HF_WIRE_HANDOFF, /* the owner leaves: be it yourself */
    HF_WIRE_KINDS,
};

struct hf_wire_message { /* a union in spirit: only the fields of its row are meaningful */
    enum hf_wire_type type;
    struct hf_slice id;        /* borrowed: from the frame when decoded */
    struct hf_slice bytes;     /* borrowed likewise */
    uint64_t number;           /* pairs a reply with its request; REPLICATE: place in its lane */
    uint64_t list;             /* hf_rank.list of the sender */
    uint64_t incarnation;      /* drawn at random at each start of an agent */
    uint64_t view;             /* names the sender's idea of who lives */
    uint64_t sent_ms, echo_ms; /* the sender's clock; yours, as you sent it last */
    uint64_t lanes[HF_WIRE_LANES];
    uint64_t remaining_ms; /* until the record expires; 0 = never */
    uint64_t asked_ms; /* your clock, before which it was not asked for; 0 = I do not know yours */
    struct hf_version version, base;
    uint16_t node, weight;
    uint8_t protocol_min, protocol_max;
    uint8_t state, kind, flags, status; /* each bounded by HF_WIRE_*_MAX or its enum */
    uint8_t nonce[HF_WIRE_NONCE_SIZE];
};

enum { HF_WIRE_TELL_DRAINS = 1 }; /* flag of a TELL: your server is to be drained */

enum { HF_WIRE_FLAGS_MAX = 0x7f, HF_WIRE_STATUS_MAX = 31 };

/* "REQUEST"; NULL for a number that names no message. */
const char *hf_wire_name(unsigned type);
/* The frame's size when encoded. */
size_t hf_wire_size(const struct hf_wire_message *message);
/* Writes the frame into out[size]; answers its size, 0 when it does not fit. The length of a frame
 * may exceed HF_WIRE_FRAME_MAX here: such frames travel as chunks (fabric/links/queue.c). */
size_t hf_wire_encode(const struct hf_wire_message *message, char *out, size_t size);

enum hf_wire_verdict {
    HF_WIRE_NEED_MORE,
    HF_WIRE_DONE,
    HF_WIRE_TOO_LONG,
    HF_WIRE_UNKNOWN, /* no such message */
    HF_WIRE_SHORT,   /* the frame ends inside a field */
    HF_WIRE_LEFT_OVER,
    HF_WIRE_RANGE, /* a value that no field may have */
};
/* Reads the first frame of the input, of at most frame_max bytes. DONE fills *ret_message, whose
 * slices point into the input, and *ret_used. The frame limit binds before anything is waited for.
 */
enum hf_wire_verdict hf_wire_decode(struct hf_slice input, size_t frame_max,
                                    struct hf_wire_message *ret_message, size_t *ret_used);

/* Reads the beginning of a frame whose rest is still to come: type and fields; BYTES is what is
 * there of them. False when it does not reach so far. */
bool hf_wire_begin(struct hf_slice beginning, struct hf_wire_message *ret_message);

/* One entry of VERSIONS: what the sender knows of a record. */
struct hf_wire_entry {
    struct hf_slice id;
    struct hf_version version;
    uint16_t node; /* the owner */
    uint8_t state;
};
/* Appends to out[*used..size); false when there is no room. */
bool hf_wire_put_entry(const struct hf_wire_entry *entry, char *out, size_t size, size_t *used);
/* Takes the next entry from *bytes; false at its end and on malformed bytes, which *ret_bad tells.
 */
bool hf_wire_get_entry(struct hf_slice *bytes, struct hf_wire_entry *ret_entry, bool *ret_bad);

/* One entry of DIGEST: the sum over a bucket that is not empty. */
bool hf_wire_put_sum(uint16_t bucket, uint64_t sum, char *out, size_t size, size_t *used);
bool hf_wire_get_sum(struct hf_slice *bytes, uint16_t *ret_bucket, uint64_t *ret_sum);
