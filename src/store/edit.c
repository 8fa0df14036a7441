#include "store/edit.h"
#include "base/assert.h"

enum {
    TRIES_MAX = 64,   /* how often room is made for one edit */
    PACK_AFTER = 192, /* blocks looked at when memory grew: three spans' worth of 1 KiB sessions */
};

/* ---- the draft ---- */

static void doom(struct hf_edit *edit, const struct hf_entry *entry)
{
    if (!(entry->head.form & HF_ENTRY_LARGE))
        return;
    if (entry->fresh) {
        hf_shard_free_value(edit->store, entry);
        return;
    }
    REQUIRE(edit->doomed_count < HF_STORE_KEYS_MAX);
    edit->doomed[edit->doomed_count++] = *entry;
}

void hf_edit_put(struct hf_edit *edit, struct hf_entry *entry, uint8_t form, struct hf_slice bytes)
{
    doom(edit, entry);
    entry->head.form = form;
    entry->head.size = (uint32_t)bytes.size;
    entry->bytes = (char *)bytes.bytes; /* only read */
    entry->fresh = false;
}

void hf_edit_put_fields(struct hf_edit *edit, struct hf_entry *entry, struct hf_fields *fields)
{
    doom(edit, entry);
    entry->head.form = HF_ENTRY_HASH | HF_ENTRY_LARGE | HF_ENTRY_INDEXED;
    entry->head.size = 0;
    entry->bytes = (char *)fields;
    entry->fresh = true;
}

void hf_edit_delete(struct hf_edit *edit, struct hf_entry *entry)
{
    doom(edit, entry);
    struct hf_entry *last = &edit->entries[--edit->count];
    if (edit->entry == entry)
        edit->entry = NULL;
    else if (edit->entry == last)
        edit->entry = entry;
    *entry = *last;
    edit->dirty = true;
}

void hf_edit_clear(struct hf_edit *edit, bool keep_satellites)
{
    for (unsigned i = edit->count; i-- > 0;)
        if (!keep_satellites || !edit->store->names[edit->entries[i].head.name].satellite)
            hf_edit_delete(edit, &edit->entries[i]);
}

static struct hf_entry *find(struct hf_edit *edit, const struct hf_store_key *key)
{
    int name = hf_shard_name_find(edit->store, key);
    for (unsigned i = 0; i < edit->count; i++)
        if (edit->entries[i].head.name == name)
            return &edit->entries[i];
    return NULL;
}

enum hf_store_status hf_edit_add(struct hf_edit *edit, const struct hf_store_key *key,
                                 struct hf_entry **ret_entry)
{
    uint8_t name;
    enum hf_store_status status = hf_shard_name_add(edit->store, key, &name);
    if (status != HF_STORE_OK)
        return status;
    *ret_entry = find(edit, key);
    if (*ret_entry != NULL)
        return HF_STORE_OK;
    if (edit->count == HF_STORE_KEYS_MAX)
        return HF_STORE_TOO_MANY;
    *ret_entry = &edit->entries[edit->count++];
    **ret_entry = (struct hf_entry){.head.name = name, .deadline_ms = HF_DEADLINE_NEVER};
    return HF_STORE_OK;
}

/* A record begins: there was none, or a tombstone that may be replaced. */
static enum hf_store_status begin_record(struct hf_edit *edit)
{
    if (edit->state == HF_RECORD_OWNER)
        return HF_STORE_OK;
    if (edit->state == HF_RECORD_TOMB) {
        if (edit->key->satellite)
            return HF_STORE_OK;
        if (!edit->write->reuse_tomb || edit->write->fresh.birth <= edit->version.epoch)
            return HF_STORE_TOMBSTONE;
    }
    edit->state = HF_RECORD_OWNER;
    edit->version = edit->write->fresh;
    edit->owner = edit->write->owner;
    edit->deadline_ms = HF_DEADLINE_NEVER;
    edit->created_record = true;
    return HF_STORE_OK;
}

enum hf_store_status hf_edit_create(struct hf_edit *edit)
{
    if (edit->entry != NULL)
        return HF_STORE_OK;
    enum hf_store_status status = begin_record(edit);
    if (status != HF_STORE_OK)
        return status;
    edit->created_key = true;
    edit->dirty = true;
    return hf_edit_add(edit, edit->key, &edit->entry);
}

void hf_edit_changed(struct hf_edit *edit, struct hf_entry *entry)
{
    entry->cas = ++edit->store->cas;
    entry->ahead_ms = 0;
    edit->effect = HF_STORE_VALUE;
    edit->dirty = true;
}

void hf_edit_deadline(struct hf_edit *edit, struct hf_entry *entry, uint64_t deadline_ms)
{
    deadline_ms = hf_deadline_clamp(deadline_ms);
    if (deadline_ms == entry->deadline_ms)
        return;
    /* Modulo 2^64, as is the subtraction below: right for HF_DEADLINE_NEVER, which is never ahead.
     */
    uint64_t told_ms = entry->deadline_ms - (uint64_t)(int64_t)entry->ahead_ms;
    entry->deadline_ms = deadline_ms;
    entry->ahead_ms = 0;
    edit->dirty = true;
    if (edit->effect == HF_STORE_VALUE)
        return;
    if (hf_deadline_moved(edit->now_ms, told_ms, deadline_ms))
        edit->effect = HF_STORE_DEADLINE;
    else
        entry->ahead_ms = (int32_t)(deadline_ms - told_ms);
}

void hf_edit_end_key(struct hf_edit *edit, uint64_t tomb_ms)
{
    if (tomb_ms > 0) {
        hf_edit_clear(edit, true);
        if (edit->entry != NULL)
            hf_edit_delete(edit, edit->entry);
        edit->state = HF_RECORD_TOMB;
        edit->deadline_ms = hf_deadline_after(edit->now_ms, tomb_ms);
        edit->effect = HF_STORE_TOMBED;
    } else {
        hf_edit_delete(edit, edit->entry);
        edit->effect = HF_STORE_GONE;
    }
    edit->dirty = true;
}

/* ---- taking apart ---- */

static void open_record(struct hf_edit *edit, bool purge)
{
    struct hf_record *record = hf_shard_record(edit->store, edit->handle);
    edit->before = hf_shard_weigh(edit->store, record);
    edit->state = record->state;
    edit->base = edit->version = hf_record_version(record);
    edit->owner = record->owner;
    edit->deadline_ms = hf_record_load48(record->deadline);
    char *at = hf_record_entries(record);
    for (unsigned i = 0; i < record->key_count; i++) {
        struct hf_entry *entry = &edit->entries[edit->count++];
        at = hf_entry_read(at, entry);
        if (purge && hf_deadline_due(entry->deadline_ms, edit->now_ms))
            hf_edit_delete(edit, entry);
    }
    edit->entry = find(edit, edit->key);
}

/* Member by member: the arrays are large, and only what their counts cover is ever read. */
static void clear(struct hf_edit *edit)
{
    edit->handle = 0;
    edit->before = (struct hf_shard_weight){0};
    edit->base = edit->version = (struct hf_version){0};
    edit->owner = 0;
    edit->count = edit->doomed_count = 0;
    edit->entry = NULL;
    edit->effect = HF_STORE_NOTHING;
    edit->dirty = edit->created_record = edit->created_key = false;
}

static void open_edit(struct hf_edit *edit)
{
    struct hf_store *store = edit->store;
    clear(edit);
    edit->state = HF_RECORD_NONE;
    edit->deadline_ms = HF_DEADLINE_NEVER;
    edit->link = hf_index_find(store, edit->key->id, edit->key->id_hash);
    if (*edit->link != 0 &&
        hf_shard_gone(store, hf_shard_record(store, *edit->link), edit->now_ms)) {
        hf_shard_drop(store, edit->link, edit->key->id_hash, HF_STORE_EXPIRED);
        edit->link = hf_index_find(store, edit->key->id, edit->key->id_hash);
    }
    edit->handle = *edit->link;
    if (edit->handle == 0)
        return;
    enum hf_record_state state = hf_shard_record(store, edit->handle)->state;
    open_record(edit, state == HF_RECORD_OWNER || state == HF_RECORD_TOMB);
}

/* ---- putting together ---- */

static size_t block_size(const struct hf_edit *edit)
{
    size_t size = offsetof(struct hf_record, id) + edit->key->id.size;
    for (unsigned i = 0; i < edit->count; i++)
        size += hf_entry_inline_size(edit->entries[i].head.form, edit->entries[i].head.size);
    return size;
}

/* Moves the largest inline value out of the block. */
static bool move_out(struct hf_edit *edit)
{
    struct hf_entry *largest = NULL;
    for (unsigned i = 0; i < edit->count; i++) {
        struct hf_entry *entry = &edit->entries[i];
        if (!(entry->head.form & HF_ENTRY_LARGE) &&
            (largest == NULL || entry->head.size > largest->head.size))
            largest = entry;
    }
    REQUIRE(largest != NULL);
    char *large =
        hf_memory_large_acquire(&edit->store->memory, largest->head.size, hf_edit_limit(edit));
    if (large == NULL)
        return false;
    memcpy(large, largest->bytes, largest->head.size);
    largest->bytes = large;
    largest->head.form |= HF_ENTRY_LARGE;
    largest->fresh = true;
    return true;
}

static char *write_entry(char *to, struct hf_entry *entry)
{
    hf_entry_pack(entry);
    memcpy(to, &entry->head, sizeof(entry->head));
    to += sizeof(entry->head);
    if (entry->head.form & HF_ENTRY_LARGE)
        memcpy(to, &entry->bytes, sizeof(entry->bytes));
    else if (entry->head.size > 0)
        memcpy(to, entry->bytes, entry->head.size);
    return to + hf_entry_inline_size(entry->head.form, entry->head.size) - sizeof(entry->head);
}

static void write_record(struct hf_edit *edit, char *to)
{
    struct hf_record head = {0};
    if (edit->handle != 0)
        memcpy(&head, hf_shard_record(edit->store, edit->handle), offsetof(struct hf_record, id));
    head.state = (uint8_t)edit->state;
    head.key_count = (uint8_t)edit->count;
    head.epoch = edit->version.epoch;
    head.sequence = edit->version.sequence;
    head.birth = edit->version.birth;
    head.used = hf_shard_used(edit->now_ms);
    head.owner = edit->owner;
    head.id_size = (uint16_t)edit->key->id.size;
    hf_record_store48(head.deadline, edit->deadline_ms);
    memcpy(to, &head, offsetof(struct hf_record, id));
    to += offsetof(struct hf_record, id);
    memcpy(to, edit->key->id.bytes, edit->key->id.size);
    to += edit->key->id.size;
    for (unsigned i = 0; i < edit->count; i++)
        to = write_entry(to, &edit->entries[i]);
}

/* The block that the draft goes to: the old one if the size fits its class, or if there is no other
 * and it fits at all. */
static uint32_t block_for(struct hf_edit *edit, size_t size)
{
    struct hf_memory *memory = &edit->store->memory;
    unsigned class = hf_memory_class(memory, size);
    if (edit->handle != 0 && class == hf_memory_class_at(memory, edit->handle))
        return edit->handle;
    uint32_t block = hf_memory_acquire(memory, class, hf_edit_limit(edit));
    if (block == 0 && edit->handle != 0 && size <= hf_memory_size_at(memory, edit->handle))
        return edit->handle;
    return block;
}

static void replace_block(struct hf_edit *edit, uint32_t block, size_t size)
{
    struct hf_store *store = edit->store;
    uint64_t id_hash = edit->key->id_hash;
    if (edit->handle != 0)
        hf_shard_count(store, hf_shard_record(store, edit->handle), id_hash, false);
    if (block == edit->handle) {
        write_record(edit, store->scratch); /* its values may come from the block */
        memcpy(hf_shard_record(store, block), store->scratch, size);
    } else {
        write_record(edit, (char *)hf_shard_record(store, block));
    }
    hf_shard_count(store, hf_shard_record(store, block), id_hash, true);
    if (edit->handle == 0) {
        hf_index_insert(store, block, id_hash);
    } else if (block != edit->handle) {
        *edit->link = block;
        hf_wheel_follow(store, block);
        hf_memory_release(&store->memory, edit->handle);
    }
}

static void free_doomed(struct hf_edit *edit)
{
    for (unsigned i = 0; i < edit->doomed_count; i++)
        hf_shard_free_value(edit->store, &edit->doomed[i]);
    edit->doomed_count = 0;
}

static void abort_edit(struct hf_edit *edit)
{
    for (unsigned i = 0; i < edit->count; i++)
        if (edit->entries[i].fresh)
            hf_shard_free_value(edit->store, &edit->entries[i]);
}

static enum hf_store_status put_together(struct hf_edit *edit)
{
    struct hf_store *store = edit->store;
    size_t size = block_size(edit);
    for (; size > HF_RECORD_INLINE_MAX; size = block_size(edit))
        if (!move_out(edit))
            return HF_STORE_FULL;
    uint32_t block = block_for(edit, size);
    if (block == 0)
        return HF_STORE_FULL;
    replace_block(edit, block, size);
    struct hf_record *record = hf_shard_record(store, block);
    struct hf_shard_weight after = hf_shard_weigh(store, record);
    store->stats.keys += after.keys - edit->before.keys;
    store->stats.bytes_logical += after.bytes - edit->before.bytes;
    hf_wheel_arm(store, block, hf_shard_due(store, record));
    free_doomed(edit);
    return HF_STORE_OK;
}

/* The record goes: what the draft does not hold any more is still the block's to free. */
static enum hf_store_status remove_record(struct hf_edit *edit)
{
    abort_edit(edit);
    if (edit->handle != 0)
        hf_shard_remove(edit->store, edit->link, edit->key->id_hash, edit->before);
    return HF_STORE_OK;
}

static enum hf_store_status finish(struct hf_edit *edit)
{
    if (!edit->dirty)
        return HF_STORE_OK;
    bool empty = edit->count == 0 && edit->state == HF_RECORD_OWNER && edit->write != NULL;
    if (edit->state == HF_RECORD_NONE || (empty && edit->before.keys > 0)) {
        if (edit->effect == HF_STORE_GONE)
            edit->effect = HF_STORE_REMOVED;
        return remove_record(edit);
    }
    if (edit->handle == 0 && edit->count == 0 && edit->write != NULL)
        return HF_STORE_OK; /* stored and expired at once */
    return put_together(edit);
}

/* ---- running ---- */

static enum hf_store_status run_once(struct hf_edit *edit, hf_edit_fn function, void *args)
{
    open_edit(edit);
    bool foreign = edit->state == HF_RECORD_BACKUP || edit->state == HF_RECORD_POINTER;
    if (edit->write != NULL && foreign)
        return HF_STORE_NOT_OWNER;
    if (edit->write != NULL && edit->version.sequence == UINT32_MAX)
        return HF_STORE_TOO_MANY;
    enum hf_store_status status = function(edit, args);
    if (status == HF_STORE_OK && edit->write != NULL && edit->effect != HF_STORE_NOTHING)
        edit->version.sequence++;
    if (status == HF_STORE_OK)
        status = finish(edit);
    if (status != HF_STORE_OK)
        abort_edit(edit);
    return status;
}

/* Sizes that change leave holes in spans of the old class and ask for spans of the new one. Whoever
 * makes the memory grow packs a little, so slack stays bounded however seldom the owner ticks. */
static void pack_some(struct hf_store *store)
{
    if (store->memory.grown)
        hf_memory_pack(&store->memory, PACK_AFTER, false, hf_shard_moved, store);
}

static enum hf_store_status run(struct hf_edit *edit, hf_edit_fn function, void *args)
{
    for (unsigned tries = 0;; tries++) {
        enum hf_store_status status = run_once(edit, function, args);
        if (status != HF_STORE_FULL) {
            pack_some(edit->store);
            return status;
        }
        if (tries == TRIES_MAX || !hf_shard_make_room(edit->store, edit->key->id_hash)) {
            edit->store->stats.refused++;
            return status;
        }
    }
}

static void prepare(struct hf_edit *edit, struct hf_store *store, const struct hf_store_key *key,
                    const struct hf_store_write *write)
{
    edit->store = store;
    edit->key = key;
    edit->write = write;
}

static bool valid(const struct hf_store_key *key)
{
    return key->id.size > 0 && key->id.size <= HF_STORE_ID_MAX;
}

enum hf_store_status hf_edit_run(struct hf_store *store, const struct hf_store_key *key,
                                 const struct hf_store_write *write, hf_edit_fn function,
                                 void *args, struct hf_store_change *ret_change)
{
    REQUIRE(HF_MAGIC_OK(store, HF_STORE_MAGIC) && write != NULL);
    SLOW_CHECK(key->id_hash == hf_store_hash(store->options.hash_key, key->id));
    if (!valid(key))
        return HF_STORE_TOO_LARGE;
    struct hf_edit edit;
    prepare(&edit, store, key, write);
    edit.now_ms = write->now_ms;
    enum hf_store_status status = run(&edit, function, args);
    if (status != HF_STORE_OK)
        return status;
    *ret_change = (struct hf_store_change){
        .effect = edit.effect,
        .created_record = edit.created_record,
        .created_key = edit.created_key,
        .version = edit.version,
        .base = edit.base,
        .cas = edit.entry != NULL ? edit.entry->cas : 0,
    };
    return HF_STORE_OK;
}

enum hf_store_status hf_edit_run_record(struct hf_store *store, const struct hf_store_key *key,
                                        uint64_t now_ms, hf_edit_fn function, void *args)
{
    REQUIRE(HF_MAGIC_OK(store, HF_STORE_MAGIC));
    SLOW_CHECK(key->id_hash == hf_store_hash(store->options.hash_key, key->id));
    if (!valid(key))
        return HF_STORE_TOO_LARGE;
    struct hf_edit edit;
    prepare(&edit, store, key, NULL);
    edit.now_ms = now_ms;
    return run(&edit, function, args);
}
