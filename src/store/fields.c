#include "store/fields.h"
#include "base/assert.h"
#include <limits.h>

enum { SLOTS_MIN = 64, LOG_MIN = 2048 };

size_t hf_fields_read(struct hf_slice run, size_t offset, struct hf_store_field *ret_field)
{
    if (offset > run.size || run.size - offset < HF_FIELDS_HEAD)
        return 0;
    uint32_t value_size;
    uint16_t name_size;
    const char *at = run.bytes + offset;
    memcpy(&value_size, at, sizeof(value_size));
    memcpy(&name_size, at + sizeof(value_size), sizeof(name_size));
    size_t left = run.size - offset - HF_FIELDS_HEAD;
    if (name_size > left || value_size > left - name_size)
        return 0;
    ret_field->name = hf_slice(at + HF_FIELDS_HEAD, name_size);
    ret_field->value = hf_slice(at + HF_FIELDS_HEAD + name_size, value_size);
    return offset + HF_FIELDS_HEAD + name_size + value_size;
}

size_t hf_fields_write(char *to, struct hf_slice name, struct hf_slice value)
{
    uint32_t value_size = (uint32_t)value.size;
    uint16_t name_size = (uint16_t)name.size;
    memcpy(to, &value_size, sizeof(value_size));
    memcpy(to + sizeof(value_size), &name_size, sizeof(name_size));
    if (name.size > 0)
        memcpy(to + HF_FIELDS_HEAD, name.bytes, name.size);
    if (value.size > 0)
        memcpy(to + HF_FIELDS_HEAD + name.size, value.bytes, value.size);
    return hf_fields_size(name, value);
}

long hf_fields_find(struct hf_slice run, struct hf_slice name)
{
    struct hf_store_field field;
    for (size_t offset = 0, next; (next = hf_fields_read(run, offset, &field)) != 0; offset = next)
        if (hf_slice_equal(field.name, name))
            return (long)offset;
    return -1;
}

long hf_fields_count(struct hf_slice run)
{
    struct hf_store_field field;
    long count = 0;
    for (size_t offset = 0; offset < run.size; count++) {
        offset = hf_fields_read(run, offset, &field);
        if (offset == 0)
            return -1;
    }
    return count;
}

/* ---- with an index ---- */

static struct hf_slice log_of(const struct hf_fields *fields)
{
    return hf_slice(fields->log, fields->used);
}

/* A slot holds the name, or is where it would go: the first empty one after its place. */
static uint32_t *slot_of(const struct hf_fields *fields, struct hf_slice name)
{
    uint32_t mask = fields->slots - 1;
    for (uint32_t at = (uint32_t)hf_hash64(name, fields->slots) & mask;; at = (at + 1) & mask) {
        uint32_t *slot = &fields->index[at];
        struct hf_store_field field;
        if (*slot == 0)
            return slot;
        REQUIRE(hf_fields_read(log_of(fields), *slot - 1, &field) != 0);
        if (hf_slice_equal(field.name, name))
            return slot;
    }
}

static uint32_t slots_for(size_t count)
{
    uint32_t slots = SLOTS_MIN;
    while (slots < 2 * count)
        slots *= 2;
    return slots;
}

struct hf_fields *hf_fields_new(struct hf_memory *memory, uint32_t count, size_t size, size_t limit)
{
    struct hf_fields *fields = hf_memory_large_acquire(memory, sizeof(*fields), limit);
    if (fields == NULL)
        return NULL;
    *fields = (struct hf_fields){0};
    if (hf_fields_reserve(memory, fields, count, size, limit))
        return fields;
    hf_fields_free(memory, fields);
    return NULL;
}

void hf_fields_free(struct hf_memory *memory, struct hf_fields *fields)
{
    if (fields == NULL)
        return;
    hf_memory_large_release(memory, fields->log);
    hf_memory_large_release(memory, fields->index);
    hf_memory_large_release(memory, fields);
}

/* Offsets change when the log is packed, so the index is made anew, in `index`. */
static void rebuild(struct hf_fields *fields, char *log, uint32_t room, uint32_t *index,
                    uint32_t slots)
{
    struct hf_fields fresh = {.room = room, .slots = slots, .log = log, .index = index};
    struct hf_store_field field;
    memset(index, 0, slots * sizeof(*index));
    for (size_t next = hf_fields_next(fields, 0, &field); next != 0;
         next = hf_fields_next(fields, next, &field))
        hf_fields_put(&fresh, field.name, field.value);
    *fields = fresh;
}

bool hf_fields_reserve(struct hf_memory *memory, struct hf_fields *fields, uint32_t count,
                       size_t size, size_t limit)
{
    if (fields->slots >= 2 * (fields->count + (size_t)count) && fields->room - fields->used >= size)
        return true;
    size_t live = hf_fields_live(fields) + size;
    size_t room = live + live / 4 < LOG_MIN ? LOG_MIN : live + live / 4;
    uint32_t slots = slots_for(fields->count + (size_t)count);
    if (room > INT_MAX)
        return false;
    char *log = hf_memory_large_acquire(memory, room, limit);
    uint32_t *index = hf_memory_large_acquire(memory, slots * sizeof(*index), limit);
    if (log == NULL || index == NULL) {
        hf_memory_large_release(memory, log);
        hf_memory_large_release(memory, index);
        return false;
    }
    char *old_log = fields->log;
    uint32_t *old_index = fields->index;
    rebuild(fields, log, (uint32_t)room, index, slots);
    hf_memory_large_release(memory, old_log);
    hf_memory_large_release(memory, old_index);
    return true;
}

static void bury(struct hf_fields *fields, uint32_t offset)
{
    struct hf_store_field field;
    fields->dead += (uint32_t)(hf_fields_read(log_of(fields), offset, &field) - offset);
}

bool hf_fields_put(struct hf_fields *fields, struct hf_slice name, struct hf_slice value)
{
    uint32_t *slot = slot_of(fields, name);
    bool created = *slot == 0;
    REQUIRE(fields->room - fields->used >= hf_fields_size(name, value));
    if (!created)
        bury(fields, *slot - 1);
    *slot = fields->used + 1;
    fields->used += (uint32_t)hf_fields_write(fields->log + fields->used, name, value);
    fields->count += created;
    REQUIRE(fields->count < fields->slots);
    return created;
}

bool hf_fields_get(const struct hf_fields *fields, struct hf_slice name, struct hf_slice *ret_value)
{
    struct hf_store_field field;
    uint32_t slot = *slot_of(fields, name);
    if (slot == 0)
        return false;
    hf_fields_read(log_of(fields), slot - 1, &field);
    *ret_value = field.value;
    return true;
}

/* Closes the gap, so that no mark of a removed field is needed (Knuth 6.4, algorithm R). */
static void close_gap(struct hf_fields *fields, uint32_t gap)
{
    uint32_t mask = fields->slots - 1;
    for (uint32_t at = (gap + 1) & mask; fields->index[at] != 0; at = (at + 1) & mask) {
        struct hf_store_field field;
        hf_fields_read(log_of(fields), fields->index[at] - 1, &field);
        uint32_t home = (uint32_t)hf_hash64(field.name, fields->slots) & mask;
        if (((at - home) & mask) < ((at - gap) & mask))
            continue;
        fields->index[gap] = fields->index[at];
        fields->index[at] = 0;
        gap = at;
    }
}

bool hf_fields_remove(struct hf_fields *fields, struct hf_slice name)
{
    uint32_t *slot = slot_of(fields, name);
    if (*slot == 0)
        return false;
    bury(fields, *slot - 1);
    *slot = 0;
    fields->count--;
    close_gap(fields, (uint32_t)(slot - fields->index));
    return true;
}

size_t hf_fields_next(const struct hf_fields *fields, size_t offset,
                      struct hf_store_field *ret_field)
{
    for (size_t next; (next = hf_fields_read(log_of(fields), offset, ret_field)) != 0;
         offset = next)
        if (*slot_of(fields, ret_field->name) == offset + 1)
            return next;
    return 0;
}
