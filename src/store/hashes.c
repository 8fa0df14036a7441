#include "base/assert.h"
#include "store/edit.h"

static struct hf_fields *indexed(const struct hf_entry *entry)
{
    return entry->head.form & HF_ENTRY_INDEXED ? (void *)entry->bytes : NULL;
}

static struct hf_slice packed_run(const struct hf_entry *entry)
{
    return hf_slice(entry->bytes, entry->head.size);
}

static bool get_field(const struct hf_entry *entry, struct hf_slice name,
                      struct hf_slice *ret_value)
{
    struct hf_store_field field;
    if (indexed(entry) != NULL)
        return hf_fields_get(indexed(entry), name, ret_value);
    long offset = hf_fields_find(packed_run(entry), name);
    if (offset < 0)
        return false;
    hf_fields_read(packed_run(entry), (size_t)offset, &field);
    *ret_value = field.value;
    return true;
}

enum hf_store_status hf_store_hash_get(struct hf_store *store, const struct hf_store_key *key,
                                       struct hf_slice field, uint64_t now_ms,
                                       struct hf_slice *ret_value)
{
    struct hf_entry entry;
    enum hf_store_status status = hf_shard_read(store, key, now_ms, &entry);
    if (status != HF_STORE_OK)
        return status;
    if (!(entry.head.form & HF_ENTRY_HASH))
        return HF_STORE_WRONG_TYPE;
    return get_field(&entry, field, ret_value) ? HF_STORE_OK : HF_STORE_MISSING;
}

bool hf_store_hash_next(const struct hf_store *store, const struct hf_store_key *key,
                        uint64_t now_ms, struct hf_store_cursor *cursor,
                        struct hf_store_field *ret_field)
{
    struct hf_entry entry;
    struct hf_record *record = hf_index_record(store, key->id, key->id_hash);
    if (record == NULL || record->state == HF_RECORD_BACKUP ||
        hf_shard_gone(store, record, now_ms) ||
        !hf_shard_entry(store, record, key, now_ms, &entry) || !(entry.head.form & HF_ENTRY_HASH))
        return false;
    size_t next = indexed(&entry) != NULL
                      ? hf_fields_next(indexed(&entry), cursor->at, ret_field)
                      : hf_fields_read(packed_run(&entry), cursor->at, ret_field);
    cursor->at = (uint32_t)next;
    return next != 0;
}

/* ---- writing ---- */

struct addition { /* fields to put, and what they come to */
    const struct hf_store_field *fields;
    uint32_t count;
    uint32_t present; /* that are there already */
    uint32_t same;    /* that are there with the same value */
    size_t size;      /* bytes of all */
    size_t replaced;  /* bytes of those that are there */
    uint32_t created; /* out */
};

static enum hf_store_status weigh(const struct hf_edit *edit, struct addition *add)
{
    if (add->count == 0 || add->count > HF_STORE_HASH_FIELDS_MAX)
        return HF_STORE_TOO_MANY;
    for (uint32_t i = 0; i < add->count; i++) {
        const struct hf_store_field *field = &add->fields[i];
        struct hf_slice old;
        if (field->name.size > HF_STORE_FIELD_MAX || field->value.size > HF_STORE_HASH_BYTES_MAX)
            return HF_STORE_TOO_LARGE;
        add->size += hf_fields_size(field->name, field->value);
        if (edit->entry == NULL || !get_field(edit->entry, field->name, &old))
            continue;
        add->present++;
        add->same += hf_slice_equal(old, field->value);
        add->replaced += hf_fields_size(field->name, old);
    }
    return HF_STORE_OK;
}

/* Fields and bytes of the hash as it is, heads of fields included. */
static void measure(const struct hf_edit *edit, uint32_t *ret_count, size_t *ret_size)
{
    *ret_count = 0;
    *ret_size = 0;
    if (edit->entry == NULL)
        return;
    const struct hf_fields *fields = indexed(edit->entry);
    *ret_count =
        fields != NULL ? fields->count : (uint32_t)hf_fields_count(packed_run(edit->entry));
    *ret_size = fields != NULL ? hf_fields_live(fields) : edit->entry->head.size;
}

static bool given_later(const struct addition *add, uint32_t from, struct hf_slice name)
{
    for (uint32_t i = from; i < add->count; i++)
        if (hf_slice_equal(add->fields[i].name, name))
            return true;
    return false;
}

/* The old fields that stay, then the new ones; of a name given twice the last. */
static void put_packed(struct hf_edit *edit, struct addition *add)
{
    char *to = edit->store->packed;
    struct hf_slice old = packed_run(edit->entry);
    struct hf_store_field field;
    for (size_t offset = 0, next; (next = hf_fields_read(old, offset, &field)) != 0; offset = next)
        if (!given_later(add, 0, field.name))
            to += hf_fields_write(to, field.name, field.value);
    for (uint32_t i = 0; i < add->count; i++) {
        field = add->fields[i];
        if (given_later(add, i + 1, field.name))
            continue;
        add->created += hf_fields_find(old, field.name) < 0;
        to += hf_fields_write(to, field.name, field.value);
    }
    struct hf_slice run = hf_slice(edit->store->packed, (size_t)(to - edit->store->packed));
    hf_edit_put(edit, edit->entry, HF_ENTRY_HASH, run);
}

static enum hf_store_status put_indexed(struct hf_edit *edit, struct addition *add)
{
    struct hf_memory *memory = &edit->store->memory;
    struct hf_fields *fields = indexed(edit->entry);
    if (fields == NULL) {
        struct hf_slice old = packed_run(edit->entry);
        struct hf_store_field field;
        fields = hf_fields_new(memory, add->count + HF_FIELDS_PACKED_COUNT, add->size + old.size,
                               hf_edit_limit(edit));
        if (fields == NULL)
            return HF_STORE_FULL;
        for (size_t at = 0, next; (next = hf_fields_read(old, at, &field)) != 0; at = next)
            hf_fields_put(fields, field.name, field.value);
        hf_edit_put_fields(edit, edit->entry, fields);
    } else if (!hf_fields_reserve(memory, fields, add->count, add->size, hf_edit_limit(edit))) {
        return HF_STORE_FULL;
    }
    for (uint32_t i = 0; i < add->count; i++)
        add->created += hf_fields_put(fields, add->fields[i].name, add->fields[i].value);
    return HF_STORE_OK;
}

static enum hf_store_status put_fields(struct hf_edit *edit, struct addition *add)
{
    if (edit->entry != NULL && !(edit->entry->head.form & HF_ENTRY_HASH))
        return HF_STORE_WRONG_TYPE;
    enum hf_store_status status = weigh(edit, add);
    if (status != HF_STORE_OK)
        return status;
    uint32_t count;
    size_t size;
    measure(edit, &count, &size);
    /* A name given twice makes `present` and `replaced` too large, never the sums too small. */
    size_t room = add->replaced < size ? size - add->replaced : 0;
    if (room + add->size > HF_STORE_HASH_BYTES_MAX)
        return HF_STORE_TOO_LARGE;
    if (count + (size_t)add->count - (add->present < count ? add->present : count) >
        HF_STORE_HASH_FIELDS_MAX)
        return HF_STORE_TOO_MANY;
    if (add->same == add->count)
        return HF_STORE_OK;
    bool created = edit->entry == NULL;
    status = hf_edit_create(edit);
    if (status != HF_STORE_OK)
        return status;
    if (created)
        hf_edit_put(edit, edit->entry, HF_ENTRY_HASH, hf_slice(NULL, 0));
    bool small = size + add->size <= HF_FIELDS_PACKED_MAX &&
                 count + (size_t)add->count <= HF_FIELDS_PACKED_COUNT;
    if (indexed(edit->entry) == NULL && small)
        put_packed(edit, add);
    else
        status = put_indexed(edit, add);
    if (status == HF_STORE_OK)
        hf_edit_changed(edit, edit->entry);
    return status;
}

static enum hf_store_status edit_hash_set(struct hf_edit *edit, void *args)
{
    struct hf_store_hash_set *set = args;
    struct addition add = {.fields = set->fields, .count = set->field_count};
    struct hf_slice old;
    bool is_hash = edit->entry != NULL && edit->entry->head.form & HF_ENTRY_HASH;
    for (uint32_t i = 0; set->only_new && is_hash && i < set->field_count; i++)
        if (get_field(edit->entry, set->fields[i].name, &old))
            return HF_STORE_EXISTS;
    enum hf_store_status status = put_fields(edit, &add);
    set->created = add.created;
    return status;
}

enum hf_store_status hf_store_hash_set(struct hf_store *store, const struct hf_store_key *key,
                                       struct hf_store_hash_set *set,
                                       const struct hf_store_write *write,
                                       struct hf_store_change *ret_change)
{
    return hf_edit_run(store, key, write, edit_hash_set, set, ret_change);
}

struct hash_sum {
    struct hf_slice field;
    struct hf_store_add *add;
};

static enum hf_store_status edit_hash_add(struct hf_edit *edit, void *args)
{
    const struct hash_sum *sum = args;
    struct hf_slice old = HF_SLICE("0");
    if (edit->entry != NULL && !(edit->entry->head.form & HF_ENTRY_HASH))
        return HF_STORE_WRONG_TYPE;
    if (edit->entry != NULL)
        get_field(edit->entry, sum->field, &old);
    struct hf_store_field field = {.name = sum->field};
    sum->add->sum = HF_STORE_SIGNED;
    enum hf_store_status status = hf_edit_sum(edit, old, sum->add, &field.value);
    if (status != HF_STORE_OK)
        return status;
    struct addition add = {.fields = &field, .count = 1};
    return put_fields(edit, &add);
}

enum hf_store_status hf_store_hash_add(struct hf_store *store, const struct hf_store_key *key,
                                       struct hf_slice field, struct hf_store_add *add,
                                       const struct hf_store_write *write,
                                       struct hf_store_change *ret_change)
{
    struct hash_sum sum = {field, add};
    return hf_edit_run(store, key, write, edit_hash_add, &sum, ret_change);
}

/* ---- deleting ---- */

static bool listed(const struct hf_store_hash_delete *how, struct hf_slice name)
{
    for (uint32_t i = 0; i < how->field_count; i++)
        if (hf_slice_equal(how->fields[i], name))
            return true;
    return false;
}

/* Answers how many fields are left. */
static uint32_t delete_packed(struct hf_edit *edit, struct hf_store_hash_delete *how)
{
    char *to = edit->store->packed;
    struct hf_slice old = packed_run(edit->entry);
    struct hf_store_field field;
    uint32_t left = 0;
    for (size_t offset = 0, next; (next = hf_fields_read(old, offset, &field)) != 0;
         offset = next) {
        if (listed(how, field.name)) {
            how->deleted++;
            continue;
        }
        to += hf_fields_write(to, field.name, field.value);
        left++;
    }
    struct hf_slice run = hf_slice(edit->store->packed, (size_t)(to - edit->store->packed));
    if (how->deleted > 0)
        hf_edit_put(edit, edit->entry, HF_ENTRY_HASH, run);
    return left;
}

static uint32_t delete_indexed(struct hf_fields *fields, struct hf_store_hash_delete *how)
{
    for (uint32_t i = 0; i < how->field_count; i++)
        how->deleted += hf_fields_remove(fields, how->fields[i]);
    return fields->count;
}

static enum hf_store_status edit_hash_delete(struct hf_edit *edit, void *args)
{
    struct hf_store_hash_delete *how = args;
    how->deleted = 0;
    if (edit->entry == NULL)
        return HF_STORE_MISSING;
    if (!(edit->entry->head.form & HF_ENTRY_HASH))
        return HF_STORE_WRONG_TYPE;
    struct hf_fields *fields = indexed(edit->entry);
    uint32_t left = fields != NULL ? delete_indexed(fields, how) : delete_packed(edit, how);
    if (how->deleted == 0)
        return HF_STORE_OK;
    if (left == 0)
        hf_edit_end_key(edit, how->tomb_ms);
    else
        hf_edit_changed(edit, edit->entry);
    return HF_STORE_OK;
}

enum hf_store_status hf_store_hash_delete(struct hf_store *store, const struct hf_store_key *key,
                                          struct hf_store_hash_delete *how,
                                          const struct hf_store_write *write,
                                          struct hf_store_change *ret_change)
{
    return hf_edit_run(store, key, write, edit_hash_delete, how, ret_change);
}
