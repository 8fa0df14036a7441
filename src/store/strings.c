#include "base/assert.h"
#include "store/edit.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void fill(const struct hf_entry *entry, struct hf_store_value *ret_value)
{
    bool hash = entry->head.form & HF_ENTRY_HASH;
    struct hf_slice bytes = hf_slice(entry->bytes, entry->head.size);
    uint32_t field_count = 0;
    if (entry->head.form & HF_ENTRY_INDEXED)
        field_count = ((const struct hf_fields *)(const void *)entry->bytes)->count;
    else if (hash)
        field_count = (uint32_t)hf_fields_count(bytes);
    *ret_value = (struct hf_store_value){
        .kind = hash ? HF_STORE_HASH : HF_STORE_STRING,
        .bytes = hash ? hf_slice(NULL, 0) : bytes,
        .flags = entry->head.flags,
        .field_count = field_count,
        .cas = entry->cas,
        .deadline_ms = entry->deadline_ms,
    };
}

enum hf_store_status hf_shard_read(struct hf_store *store, const struct hf_store_key *key,
                                   uint64_t now_ms, struct hf_entry *ret_entry)
{
    struct hf_record *record = hf_index_record(store, key->id, key->id_hash);
    if (record == NULL)
        return HF_STORE_MISSING;
    bool foreign = record->state == HF_RECORD_BACKUP || record->state == HF_RECORD_POINTER;
    if (foreign)
        return hf_shard_gone(store, record, now_ms) ? HF_STORE_MISSING : HF_STORE_NOT_OWNER;
    if (record->state == HF_RECORD_TOMB && hf_shard_gone(store, record, now_ms))
        return HF_STORE_MISSING;
    if (!hf_shard_entry(store, record, key, now_ms, ret_entry))
        return HF_STORE_MISSING;
    record->used = hf_shard_used(now_ms);
    return HF_STORE_OK;
}

enum hf_store_status hf_store_get(struct hf_store *store, const struct hf_store_key *key,
                                  uint64_t now_ms, struct hf_store_value *ret_value)
{
    struct hf_entry entry;
    enum hf_store_status status = hf_shard_read(store, key, now_ms, &entry);
    if (status == HF_STORE_OK)
        fill(&entry, ret_value);
    return status;
}

/* ---- set ---- */

static enum hf_store_status check_when(const struct hf_edit *edit, const struct hf_store_set *set)
{
    bool there = edit->entry != NULL;
    if (set->when == HF_STORE_IF_NEW && there)
        return HF_STORE_EXISTS;
    if ((set->when == HF_STORE_IF_EXISTS || set->when == HF_STORE_IF_CAS) && !there)
        return HF_STORE_MISSING;
    if (set->when == HF_STORE_IF_CAS && edit->entry->cas != set->cas)
        return HF_STORE_MISMATCH;
    return HF_STORE_OK;
}

static bool holds(const struct hf_entry *entry, struct hf_slice value, uint32_t flags)
{
    return !(entry->head.form & HF_ENTRY_HASH) && entry->head.flags == flags &&
           hf_slice_equal(hf_slice(entry->bytes, entry->head.size), value);
}

static enum hf_store_status edit_set(struct hf_edit *edit, void *args)
{
    const struct hf_store_set *set = args;
    if (set->value.size > edit->store->options.value_max)
        return HF_STORE_TOO_LARGE;
    enum hf_store_status status = check_when(edit, set);
    if (status != HF_STORE_OK)
        return status;
    if (!set->keep_deadline && hf_deadline_due(set->deadline_ms, edit->now_ms)) {
        if (edit->entry != NULL)
            hf_edit_end_key(edit, 0);
        return HF_STORE_OK;
    }
    status = hf_edit_create(edit);
    if (status != HF_STORE_OK)
        return status;
    struct hf_entry *entry = edit->entry;
    uint32_t flags = set->keep_flags ? entry->head.flags : set->flags;
    if (edit->created_key || !holds(entry, set->value, flags)) {
        hf_edit_put(edit, entry, 0, set->value);
        entry->head.flags = flags;
        hf_edit_changed(edit, entry);
    }
    if (!set->keep_deadline)
        hf_edit_deadline(edit, entry, set->deadline_ms);
    return HF_STORE_OK;
}

enum hf_store_status hf_store_set(struct hf_store *store, const struct hf_store_key *key,
                                  const struct hf_store_set *set,
                                  const struct hf_store_write *write,
                                  struct hf_store_change *ret_change)
{
    struct hf_store_set copy = *set;
    return hf_edit_run(store, key, write, edit_set, &copy, ret_change);
}

/* ---- append, prepend ---- */

struct extension {
    const struct hf_store_extend *how;
    char *joined; /* owned by the caller of the edit; may be left from a try before */
};

static enum hf_store_status join(struct hf_edit *edit, struct extension *extension)
{
    struct hf_slice old = hf_slice(edit->entry->bytes, edit->entry->head.size);
    struct hf_slice bytes = extension->how->bytes;
    size_t size = old.size + bytes.size;
    if (size > edit->store->options.value_max)
        return HF_STORE_TOO_LARGE;
    free(extension->joined);
    extension->joined = malloc(size + 1);
    if (extension->joined == NULL)
        return HF_STORE_FULL;
    bool append = extension->how->end == HF_STORE_APPEND;
    struct hf_slice first = append ? old : bytes, second = append ? bytes : old;
    if (first.size > 0)
        memcpy(extension->joined, first.bytes, first.size);
    if (second.size > 0)
        memcpy(extension->joined + first.size, second.bytes, second.size);
    hf_edit_put(edit, edit->entry, 0, hf_slice(extension->joined, size));
    hf_edit_changed(edit, edit->entry);
    return HF_STORE_OK;
}

static enum hf_store_status edit_extend(struct hf_edit *edit, void *args)
{
    struct extension *extension = args;
    const struct hf_store_extend *how = extension->how;
    if (edit->entry == NULL && !how->create)
        return HF_STORE_MISSING;
    if (edit->entry != NULL && edit->entry->head.form & HF_ENTRY_HASH)
        return HF_STORE_WRONG_TYPE;
    if (how->cas != 0 && (edit->entry == NULL || edit->entry->cas != how->cas))
        return edit->entry == NULL ? HF_STORE_MISSING : HF_STORE_MISMATCH;
    if (edit->entry != NULL && how->bytes.size == 0)
        return HF_STORE_OK;
    enum hf_store_status status = hf_edit_create(edit);
    return status == HF_STORE_OK ? join(edit, extension) : status;
}

enum hf_store_status hf_store_extend(struct hf_store *store, const struct hf_store_key *key,
                                     const struct hf_store_extend *extend,
                                     const struct hf_store_write *write,
                                     struct hf_store_change *ret_change)
{
    struct extension extension = {.how = extend};
    enum hf_store_status status =
        hf_edit_run(store, key, write, edit_extend, &extension, ret_change);
    free(extension.joined);
    return status;
}

/* ---- numbers ---- */

static enum hf_store_status parse_signed(struct hf_slice text, int64_t *ret_value)
{
    bool negative = text.size > 0 && text.bytes[0] == '-';
    struct hf_slice digits = hf_slice(text.bytes + negative, text.size - negative);
    uint64_t size;
    if (!hf_slice_to_u64(digits, &size) || (digits.size > 1 && digits.bytes[0] == '0') ||
        (negative && size == 0) || size > (uint64_t)INT64_MAX + negative)
        return HF_STORE_NOT_NUMBER;
    *ret_value = negative ? (int64_t)(0 - size) : (int64_t)size;
    return HF_STORE_OK;
}

enum hf_store_status hf_edit_sum(struct hf_edit *edit, struct hf_slice old,
                                 struct hf_store_add *add, struct hf_slice *ret_text)
{
    char *text = edit->number;
    int size;
    if (add->sum == HF_STORE_SIGNED) {
        int64_t value;
        enum hf_store_status status = parse_signed(old, &value);
        if (status != HF_STORE_OK)
            return status;
        if (__builtin_add_overflow(value, (int64_t)add->amount, &value))
            return HF_STORE_OVERFLOW;
        add->result = (uint64_t)value;
        size = snprintf(text, sizeof(edit->number), "%" PRId64, value);
    } else {
        uint64_t value;
        if (!hf_slice_to_u64(old, &value))
            return HF_STORE_NOT_NUMBER;
        if (add->sum == HF_STORE_INCREASE)
            value += add->amount;
        else
            value = value > add->amount ? value - add->amount : 0;
        add->result = value;
        size = snprintf(text, sizeof(edit->number), "%" PRIu64, value);
    }
    *ret_text = hf_slice(text, (size_t)size);
    return HF_STORE_OK;
}

static enum hf_store_status create_number(struct hf_edit *edit, struct hf_store_add *add,
                                          struct hf_slice *ret_text)
{
    bool is_signed = add->sum == HF_STORE_SIGNED;
    if ((!is_signed && !add->create) || add->cas != 0)
        return HF_STORE_MISSING;
    enum hf_store_status status = hf_edit_create(edit);
    if (status != HF_STORE_OK)
        return status;
    if (is_signed)
        return hf_edit_sum(edit, HF_SLICE("0"), add, ret_text);
    edit->entry->deadline_ms = hf_deadline_clamp(add->deadline_ms);
    struct hf_store_add none = {.sum = HF_STORE_INCREASE, .amount = add->initial};
    status = hf_edit_sum(edit, HF_SLICE("0"), &none, ret_text);
    add->result = none.result;
    return status;
}

static enum hf_store_status edit_add(struct hf_edit *edit, void *args)
{
    struct hf_store_add *add = args;
    struct hf_slice text;
    enum hf_store_status status;
    if (edit->entry == NULL) {
        status = create_number(edit, add, &text);
    } else {
        if (edit->entry->head.form & HF_ENTRY_HASH)
            return HF_STORE_WRONG_TYPE;
        if (add->cas != 0 && edit->entry->cas != add->cas)
            return HF_STORE_MISMATCH;
        struct hf_slice old = hf_slice(edit->entry->bytes, edit->entry->head.size);
        status = hf_edit_sum(edit, old, add, &text);
    }
    if (status != HF_STORE_OK)
        return status;
    if (!edit->created_key && holds(edit->entry, text, edit->entry->head.flags))
        return HF_STORE_OK;
    hf_edit_put(edit, edit->entry, 0, text);
    hf_edit_changed(edit, edit->entry);
    return HF_STORE_OK;
}

enum hf_store_status hf_store_add(struct hf_store *store, const struct hf_store_key *key,
                                  struct hf_store_add *add, const struct hf_store_write *write,
                                  struct hf_store_change *ret_change)
{
    return hf_edit_run(store, key, write, edit_add, add, ret_change);
}

/* ---- deadlines and deletion ---- */

static enum hf_store_status edit_expire(struct hf_edit *edit, void *args)
{
    const uint64_t *deadline_ms = args;
    if (edit->entry == NULL)
        return HF_STORE_MISSING;
    if (hf_deadline_due(*deadline_ms, edit->now_ms))
        hf_edit_end_key(edit, 0);
    else
        hf_edit_deadline(edit, edit->entry, *deadline_ms);
    return HF_STORE_OK;
}

enum hf_store_status hf_store_expire(struct hf_store *store, const struct hf_store_key *key,
                                     uint64_t deadline_ms, const struct hf_store_write *write,
                                     struct hf_store_change *ret_change)
{
    return hf_edit_run(store, key, write, edit_expire, &deadline_ms, ret_change);
}

static enum hf_store_status edit_delete(struct hf_edit *edit, void *args)
{
    const struct hf_store_delete *how = args;
    if (edit->entry == NULL)
        return HF_STORE_MISSING;
    if (how->cas != 0 && edit->entry->cas != how->cas)
        return HF_STORE_MISMATCH;
    hf_edit_end_key(edit, how->tomb_ms);
    return HF_STORE_OK;
}

enum hf_store_status hf_store_delete(struct hf_store *store, const struct hf_store_key *key,
                                     const struct hf_store_delete *how,
                                     const struct hf_store_write *write,
                                     struct hf_store_change *ret_change)
{
    struct hf_store_delete copy = *how;
    return hf_edit_run(store, key, write, edit_delete, &copy, ret_change);
}
