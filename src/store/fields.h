/* Fields of a hash. A small hash is a packed list that is searched from the front; a larger one
 * gets an index. Both hold fields as (value size, name size, name, value).
 * Threads: the shard's. Layer: store. */
#pragma once
#include "store/memory.h"
#include "store/store.h"

enum {
    HF_FIELDS_HEAD = 6,          /* bytes before each name: u32 value size, u16 name size */
    HF_FIELDS_PACKED_MAX = 1024, /* bytes of a packed list; larger ones get an index */
    HF_FIELDS_PACKED_COUNT = 32, /* and so do longer ones */
};

struct hf_fields {   /* a hash with an index */
    uint32_t count;  /* fields */
    uint32_t used;   /* bytes of the log */
    uint32_t dead;   /* bytes of them that belong to no field any more */
    uint32_t room;   /* bytes that the log may grow to */
    uint32_t slots;  /* of the index: a power of two, at least twice the fields */
    char *log;       /* owned: fields one after the other, in the order of their writing */
    uint32_t *index; /* owned: offset + 1 into the log, open addressing; 0 = empty */
};

/* Reads the field at `offset` of a run of fields; answers the offset behind it, 0 when the run ends
 * there or is malformed. Bounds are checked against run.size, so a peer's bytes may be walked. */
size_t hf_fields_read(struct hf_slice run, size_t offset, struct hf_store_field *ret_field);
/* Bytes that a field takes. */
static inline size_t hf_fields_size(struct hf_slice name, struct hf_slice value)
{
    return HF_FIELDS_HEAD + name.size + value.size;
}
/* Writes one; the room was checked. Answers its size. */
size_t hf_fields_write(char *to, struct hf_slice name, struct hf_slice value);
/* Offset of a name in a packed list, or -1. */
long hf_fields_find(struct hf_slice run, struct hf_slice name);
/* Number of fields of a run; -1: malformed, a name given twice is not noticed. */
long hf_fields_count(struct hf_slice run);

/* A hash with an index and room for `count` fields of `size` bytes together. NULL: no memory. */
struct hf_fields *hf_fields_new(struct hf_memory *memory, uint32_t count, size_t size,
                                size_t limit);
void hf_fields_free(struct hf_memory *memory, struct hf_fields *fields);
/* Makes sure that `count` more fields of `size` bytes together can be put without failing. */
bool hf_fields_reserve(struct hf_memory *memory, struct hf_fields *fields, uint32_t count,
                       size_t size, size_t limit);
/* Puts one, in reserved room. True: it is new. Neither name nor value may lie in the log. */
bool hf_fields_put(struct hf_fields *fields, struct hf_slice name, struct hf_slice value);
bool hf_fields_get(const struct hf_fields *fields, struct hf_slice name,
                   struct hf_slice *ret_value);
bool hf_fields_remove(struct hf_fields *fields, struct hf_slice name);
/* The first live field at or behind `offset` of the log; 0 when there is none, else the offset
 * behind it. */
size_t hf_fields_next(const struct hf_fields *fields, size_t offset,
                      struct hf_store_field *ret_field);
/* Bytes of its live fields. */
static inline size_t hf_fields_live(const struct hf_fields *fields)
{
    return fields->used - fields->dead;
}
