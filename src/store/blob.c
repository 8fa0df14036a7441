/* format u8, part u8, count u8, then that many keys:
 *   kind u8, satellite u8, prefix size u8, suffix size u8, flags u32, cas u64,
 *   deadline i64 (less base; all ones but the sign = never), size u32, prefix, suffix, value
 * all little-endian. The value of a hash is a run of fields (fields.h). */
#include "store/blob.h"
#include "base/assert.h"
#include "store/edit.h"
#include <endian.h>

enum {
    HEAD_SIZE = 3,
    KEY_SIZE = 28, /* before the texts */
};

enum kind { KIND_STRING, KIND_HASH, KIND_GONE, KIND_DEADLINE, KINDS };

/* ---- encoding ---- */

/* Counts always, writes what fits. */
static void put(struct hf_blob_out *out, const void *bytes, size_t size)
{
    if (size > 0 && out->size <= out->room && size <= out->room - out->size)
        memcpy(out->bytes + out->size, bytes, size);
    out->size += size;
}

static void put_number(struct hf_blob_out *out, uint64_t value, size_t size)
{
    uint64_t little = htole64(value);
    put(out, &little, size);
}

static int64_t relative(uint64_t deadline_ms, uint64_t base_ms)
{
    return deadline_ms == HF_DEADLINE_NEVER ? INT64_MAX : (int64_t)(deadline_ms - base_ms);
}

static void put_head(struct hf_blob_out *out, enum hf_blob_part part, unsigned count)
{
    const uint8_t head[HEAD_SIZE] = {HF_BLOB_FORMAT, (uint8_t)part, (uint8_t)count};
    put(out, head, sizeof(head));
}

static void put_key(struct hf_blob_out *out, const struct hf_store_key *key, enum kind kind,
                    const struct hf_entry *entry, uint64_t base_ms)
{
    const struct hf_fields *fields = NULL;
    size_t size = kind == KIND_STRING || kind == KIND_HASH ? entry->head.size : 0;
    if (kind == KIND_HASH && entry->head.form & HF_ENTRY_INDEXED) {
        fields = (const void *)entry->bytes;
        size = hf_fields_live(fields);
    }
    const uint8_t head[] = {(uint8_t)kind, key->satellite, (uint8_t)key->prefix.size,
                            (uint8_t)key->suffix.size};
    put(out, head, sizeof(head));
    put_number(out, entry->head.flags, sizeof(uint32_t));
    put_number(out, entry->cas, sizeof(uint64_t));
    put_number(out, (uint64_t)relative(entry->deadline_ms, base_ms), sizeof(uint64_t));
    put_number(out, size, sizeof(uint32_t));
    put(out, key->prefix.bytes, key->prefix.size);
    put(out, key->suffix.bytes, key->suffix.size);
    if (fields == NULL) {
        put(out, entry->bytes, size);
        return;
    }
    struct hf_store_field field;
    for (size_t at = 0, next; (next = hf_fields_next(fields, at, &field)) != 0; at = next) {
        const char *first = field.name.bytes - HF_FIELDS_HEAD;
        put(out, first, hf_fields_size(field.name, field.value));
    }
}

static enum kind kind_of(const struct hf_entry *entry)
{
    return entry->head.form & HF_ENTRY_HASH ? KIND_HASH : KIND_STRING;
}

static void put_record(const struct hf_store *store, struct hf_record *record, uint64_t base_ms,
                       struct hf_blob_out *out)
{
    size_t head_at = out->size;
    unsigned count = 0;
    put_head(out, HF_BLOB_RECORD, 0);
    char *at = hf_record_entries(record);
    for (unsigned i = 0; i < record->key_count; i++) {
        struct hf_entry entry;
        at = hf_entry_read(at, &entry);
        if (hf_deadline_due(entry.deadline_ms, base_ms))
            continue;
        const struct hf_shard_name *name = &store->names[entry.head.name];
        struct hf_store_key key = {
            .prefix = hf_slice(name->text, name->prefix_size),
            .suffix = hf_slice(name->text + name->prefix_size, name->suffix_size),
            .satellite = name->satellite,
        };
        put_key(out, &key, kind_of(&entry), &entry, base_ms);
        count++;
    }
    if (out->size <= out->room)
        out->bytes[head_at + 2] = (char)count;
}

enum hf_store_status hf_blob_encode(const struct hf_store *store, const struct hf_store_key *key,
                                    enum hf_blob_part part, uint64_t base_ms,
                                    struct hf_blob_out *out)
{
    struct hf_record *record = hf_index_record(store, key->id, key->id_hash);
    if (record == NULL)
        return HF_STORE_MISSING;
    out->size = 0;
    if (part == HF_BLOB_RECORD) {
        put_record(store, record, base_ms, out);
        return out->size <= out->room ? HF_STORE_OK : HF_STORE_TOO_LARGE;
    }
    struct hf_entry entry;
    const struct hf_entry none = {.deadline_ms = HF_DEADLINE_NEVER};
    bool there = hf_shard_entry(store, record, key, base_ms, &entry);
    if (!there && part == HF_BLOB_DEADLINE)
        return HF_STORE_MISSING;
    put_head(out, part, 1);
    if (there)
        put_key(out, key, part == HF_BLOB_DEADLINE ? KIND_DEADLINE : kind_of(&entry), &entry,
                base_ms);
    else
        put_key(out, key, KIND_GONE, &none, base_ms);
    return out->size <= out->room ? HF_STORE_OK : HF_STORE_TOO_LARGE;
}

/* ---- decoding ---- */

struct blob_key {
    struct hf_store_key key; /* prefix, suffix, satellite */
    enum kind kind;
    uint32_t flags;
    uint64_t cas;
    int64_t relative_ms;
    struct hf_slice value;
};

struct blob {
    enum hf_blob_part part;
    unsigned count;
    struct blob_key keys[HF_STORE_KEYS_MAX];
};

static uint64_t get_number(const char *at, size_t size)
{
    uint64_t little = 0;
    memcpy(&little, at, size);
    return le64toh(little);
}

/* A field twice in a short list would be found once and shown twice; an index takes the last. */
static bool valid_hash(struct hf_slice run)
{
    long count = hf_fields_count(run);
    if (count <= 0 || count > HF_STORE_HASH_FIELDS_MAX || run.size > HF_STORE_HASH_BYTES_MAX)
        return false;
    struct hf_store_field field;
    for (size_t at = 0, next; count <= HF_FIELDS_PACKED_COUNT; at = next) {
        next = hf_fields_read(run, at, &field);
        if (next == 0)
            break;
        if (hf_fields_find(hf_slice(run.bytes + next, run.size - next), field.name) >= 0)
            return false;
    }
    return true;
}

static bool valid_key(const struct blob_key *key, enum hf_blob_part part)
{
    bool value = key->kind == KIND_STRING || key->kind == KIND_HASH;
    if (key->cas >= (UINT64_C(1) << 48) - 1 || (!value && key->value.size > 0))
        return false;
    if (key->kind == KIND_HASH && !valid_hash(key->value))
        return false;
    if (key->kind == KIND_STRING && key->value.size > HF_STORE_VALUE_MAX)
        return false;
    if (key->kind == KIND_GONE)
        return part == HF_BLOB_KEY;
    return (key->kind == KIND_DEADLINE) == (part == HF_BLOB_DEADLINE);
}

/* Answers the offset behind the key, 0 when it is malformed. */
static size_t parse_key(struct hf_slice bytes, size_t offset, struct blob_key *ret_key)
{
    if (bytes.size - offset < KEY_SIZE)
        return 0;
    const char *at = bytes.bytes + offset;
    uint8_t kind = (uint8_t)at[0], satellite = (uint8_t)at[1];
    size_t prefix = (uint8_t)at[2], suffix = (uint8_t)at[3];
    size_t size = get_number(at + 24, sizeof(uint32_t));
    if (kind >= KINDS || satellite > 1 || bytes.size - offset - KEY_SIZE < prefix + suffix + size)
        return 0;
    const char *text = at + KEY_SIZE;
    *ret_key = (struct blob_key){
        .key.prefix = hf_slice(text, prefix),
        .key.suffix = hf_slice(text + prefix, suffix),
        .key.satellite = satellite,
        .kind = kind,
        .flags = (uint32_t)get_number(at + 4, sizeof(uint32_t)),
        .cas = get_number(at + 8, sizeof(uint64_t)),
        .relative_ms = (int64_t)get_number(at + 16, sizeof(uint64_t)),
        .value = hf_slice(text + prefix + suffix, size),
    };
    return offset + KEY_SIZE + prefix + suffix + size;
}

static bool same_name(const struct hf_store_key *a, const struct hf_store_key *b)
{
    return hf_slice_equal(a->prefix, b->prefix) && hf_slice_equal(a->suffix, b->suffix);
}

static bool parse(struct hf_slice bytes, struct blob *ret_blob)
{
    if (bytes.size < HEAD_SIZE || bytes.bytes[0] != HF_BLOB_FORMAT)
        return false;
    uint8_t part = (uint8_t)bytes.bytes[1], count = (uint8_t)bytes.bytes[2];
    if (part > HF_BLOB_DEADLINE || count > HF_STORE_KEYS_MAX)
        return false;
    if (part != HF_BLOB_RECORD && count != 1)
        return false;
    ret_blob->part = part;
    ret_blob->count = count;
    size_t offset = HEAD_SIZE;
    for (unsigned i = 0; i < count; i++) {
        struct blob_key *key = &ret_blob->keys[i];
        offset = parse_key(bytes, offset, key);
        if (offset == 0 || !valid_key(key, part))
            return false;
        for (unsigned j = 0; j < i; j++)
            if (same_name(&ret_blob->keys[j].key, &key->key))
                return false;
    }
    return offset == bytes.size;
}

bool hf_blob_valid(struct hf_slice bytes)
{
    struct blob blob;
    return parse(bytes, &blob);
}

/* ---- applying ---- */

static uint64_t absolute(int64_t relative_ms, uint64_t base_ms)
{
    if (relative_ms == INT64_MAX)
        return HF_DEADLINE_NEVER;
    if (relative_ms >= 0)
        return hf_deadline_after(base_ms, (uint64_t)relative_ms);
    uint64_t ago_ms = 0 - (uint64_t)relative_ms;
    return ago_ms < base_ms ? base_ms - ago_ms : 0;
}

static enum hf_store_status put_hash(struct hf_edit *edit, struct hf_entry *entry,
                                     struct hf_slice run)
{
    uint32_t count = (uint32_t)hf_fields_count(run);
    if (run.size <= HF_FIELDS_PACKED_MAX && count <= HF_FIELDS_PACKED_COUNT) {
        hf_edit_put(edit, entry, HF_ENTRY_HASH, run);
        return HF_STORE_OK;
    }
    struct hf_fields *fields =
        hf_fields_new(&edit->store->memory, count, run.size, hf_edit_limit(edit));
    if (fields == NULL)
        return HF_STORE_FULL;
    struct hf_store_field field;
    for (size_t at = 0, next; (next = hf_fields_read(run, at, &field)) != 0; at = next)
        hf_fields_put(fields, field.name, field.value);
    hf_edit_put_fields(edit, entry, fields);
    return HF_STORE_OK;
}

static enum hf_store_status put_value(struct hf_edit *edit, struct hf_entry *entry,
                                      const struct blob_key *from)
{
    entry->head.flags = from->flags;
    if (from->kind == KIND_HASH)
        return put_hash(edit, entry, from->value);
    hf_edit_put(edit, entry, 0, from->value);
    return HF_STORE_OK;
}

struct application {
    const struct hf_blob_apply *how;
    const struct blob *blob;
};

/* Numbers given here must stay above all that were ever given for the key elsewhere. */
static void raise_cas(struct hf_store *store, uint64_t cas)
{
    if (cas > store->cas)
        store->cas = cas;
}

static enum hf_store_status apply_key(struct hf_edit *edit, const struct blob_key *from,
                                      uint64_t base_ms)
{
    struct hf_entry *entry;
    unsigned held = edit->count;
    enum hf_store_status status = hf_edit_add(edit, &from->key, &entry);
    if (status != HF_STORE_OK)
        return status;
    if (from->kind == KIND_DEADLINE && edit->count > held)
        return HF_STORE_NO_BASE; /* of a key that is not there */
    if (from->kind == KIND_GONE) {
        hf_edit_delete(edit, entry);
        return HF_STORE_OK;
    }
    entry->deadline_ms = hf_deadline_clamp(absolute(from->relative_ms, base_ms));
    entry->ahead_ms = 0;
    if (from->kind == KIND_DEADLINE)
        return HF_STORE_OK;
    entry->cas = from->cas;
    raise_cas(edit->store, from->cas);
    return put_value(edit, entry, from);
}

/* Whether what is held lets the blob in. */
static enum hf_store_status admit(const struct hf_edit *edit, const struct application *application)
{
    const struct hf_blob_apply *how = application->how;
    int order = hf_version_compare(edit->state, edit->version, how->role.state, how->role.version);
    if (application->blob->part == HF_BLOB_RECORD) {
        bool bare = edit->count == 0 && edit->state != HF_RECORD_TOMB;
        return order > 0 || (order == 0 && !bare) ? HF_STORE_OLDER : HF_STORE_OK;
    }
    if (order >= 0)
        return HF_STORE_OLDER;
    bool held = edit->state == HF_RECORD_OWNER || edit->state == HF_RECORD_BACKUP;
    return held && hf_version_equal(edit->version, how->base) ? HF_STORE_OK : HF_STORE_NO_BASE;
}

static enum hf_store_status edit_apply(struct hf_edit *edit, void *args)
{
    const struct application *application = args;
    const struct hf_blob_apply *how = application->how;
    const struct blob *blob = application->blob;
    bool whole = blob->part == HF_BLOB_RECORD;
    enum hf_store_status status = whole && how->force ? HF_STORE_OK : admit(edit, application);
    if (status == HF_STORE_OK && whole)
        hf_edit_clear(edit, false);
    for (unsigned i = 0; status == HF_STORE_OK && i < blob->count; i++)
        status = apply_key(edit, &blob->keys[i], how->base_ms);
    edit->state = how->role.state;
    edit->version = how->role.version;
    edit->owner = how->role.owner;
    edit->deadline_ms =
        edit->count > 0 ? HF_DEADLINE_NEVER : hf_deadline_clamp(how->role.deadline_ms);
    edit->dirty = true;
    return status;
}

enum hf_store_status hf_blob_apply(struct hf_store *store, struct hf_slice id, uint64_t id_hash,
                                   const struct hf_blob_apply *how)
{
    REQUIRE(how->role.state == HF_RECORD_OWNER || how->role.state == HF_RECORD_BACKUP);
    struct blob blob;
    if (!parse(how->blob, &blob))
        return HF_STORE_BAD;
    struct hf_store_key key = {.id = id, .id_hash = id_hash};
    struct application application = {how, &blob};
    return hf_edit_run_record(store, &key, how->now_ms, edit_apply, &application);
}

/* ---- another name ---- */

struct renaming {
    const struct hf_blob_put *put;
    const struct blob_key *from;
};

static enum hf_store_status edit_put(struct hf_edit *edit, void *args)
{
    const struct renaming *renaming = args;
    const struct blob_key *from = renaming->from;
    uint64_t deadline_ms = absolute(from->relative_ms, renaming->put->base_ms);
    if (edit->entry != NULL && renaming->put->only_new)
        return HF_STORE_EXISTS;
    if (hf_deadline_due(deadline_ms, edit->now_ms))
        return HF_STORE_MISSING;
    enum hf_store_status status = hf_edit_create(edit);
    if (status == HF_STORE_OK)
        status = put_value(edit, edit->entry, from);
    if (status != HF_STORE_OK)
        return status;
    hf_edit_changed(edit, edit->entry);
    hf_edit_deadline(edit, edit->entry, deadline_ms);
    return HF_STORE_OK;
}

enum hf_store_status hf_blob_put(struct hf_store *store, const struct hf_store_key *key,
                                 const struct hf_blob_put *how, const struct hf_store_write *write,
                                 struct hf_store_change *ret_change)
{
    struct blob blob;
    if (!parse(how->blob, &blob) || blob.part != HF_BLOB_KEY)
        return HF_STORE_BAD;
    if (blob.keys[0].kind == KIND_GONE)
        return HF_STORE_MISSING;
    struct renaming renaming = {how, &blob.keys[0]};
    return hf_edit_run(store, key, write, edit_put, &renaming, ret_change);
}
