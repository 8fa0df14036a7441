#include "memcached_model.h"
#include "base/assert.h"

static struct memcached_model_entry *find(struct memcached_model *model, struct hf_slice key)
{
    for (unsigned i = 0; i < MEMCACHED_MODEL_ENTRIES; i++) {
        struct memcached_model_entry *entry = &model->entries[i];
        if (entry->used && hf_slice_equal(hf_slice(entry->key, entry->key_size), key))
            return entry;
    }
    return NULL;
}

static struct memcached_model_entry *make(struct memcached_model *model, struct hf_slice key)
{
    unsigned i = 0;
    while (i < MEMCACHED_MODEL_ENTRIES && model->entries[i].used)
        i++;
    REQUIRE(i < MEMCACHED_MODEL_ENTRIES);
    model->entries[i] = (struct memcached_model_entry){.used = true, .key_size = key.size};
    memcpy(model->entries[i].key, key.bytes, key.size);
    return &model->entries[i];
}

/* The new value, or the old one with the new one at either end of it. */
static void put(struct memcached_model *model, struct memcached_model_entry *entry,
                const struct hf_memcache_request *request)
{
    char *value = entry->value;
    size_t old = entry->value_size, added = request->value.size;
    bool appends = request->operation == HF_MEMCACHE_APPEND;
    bool prepends = request->operation == HF_MEMCACHE_PREPEND;
    REQUIRE(old + added <= MEMCACHED_MODEL_VALUE_MAX);
    if (prepends)
        memmove(value + added, value, old);
    memcpy(value + (appends ? old : 0), request->value.bytes, added);
    entry->value_size = added + (appends || prepends ? old : 0);
    if (!appends && !prepends)
        entry->flags = request->flags;
    entry->cas = request->has_new_cas ? request->new_cas : ++model->cas;
}

static enum hf_memcache_status store(struct memcached_model *model,
                                     const struct hf_memcache_request *request,
                                     struct memcached_model_entry *entry)
{
    bool adds = request->operation == HF_MEMCACHE_ADD;
    bool sets = request->operation == HF_MEMCACHE_SET;
    if (entry != NULL && adds)
        return HF_MEMCACHE_PRESENT;
    if (entry == NULL && !adds && (!sets || request->has_cas))
        return HF_MEMCACHE_MISSING;
    if (entry != NULL && request->has_cas && request->cas != entry->cas)
        return HF_MEMCACHE_PRESENT;
    put(model, entry != NULL ? entry : make(model, request->key), request);
    return HF_MEMCACHE_DONE;
}

static enum hf_memcache_status count(struct memcached_model *model,
                                     const struct hf_memcache_request *request,
                                     struct memcached_model_entry *entry, uint64_t *ret_number)
{
    struct hf_memcache_request stored = {.operation = HF_MEMCACHE_SET};
    char digits[HF_WRITER_DIGITS_MAX];
    struct hf_writer writer = hf_writer(digits, sizeof(digits));
    uint64_t number = request->initial;
    if (entry == NULL && !request->creates)
        return HF_MEMCACHE_MISSING;
    if (entry != NULL) {
        if (!hf_slice_to_u64(hf_slice(entry->value, entry->value_size), &number))
            return HF_MEMCACHE_NOT_NUMERIC;
        if (request->operation == HF_MEMCACHE_INCREMENT)
            number += request->delta;
        else
            number = number > request->delta ? number - request->delta : 0;
    }
    hf_writer_u64(&writer, number);
    stored.value = hf_slice(digits, writer.size);
    stored.flags = entry != NULL ? entry->flags : 0;
    put(model, entry != NULL ? entry : make(model, request->key), &stored);
    *ret_number = number;
    return HF_MEMCACHE_DONE;
}

static enum hf_memcache_status delete (const struct hf_memcache_request *request,
                                       struct memcached_model_entry *entry) {
    if (entry == NULL) return HF_MEMCACHE_MISSING;
    if (request->has_cas && request->cas != entry->cas) return HF_MEMCACHE_PRESENT;
    entry->used = false;
    return HF_MEMCACHE_DONE;
}

static struct hf_memcache_result look(struct memcached_model_entry *entry, struct hf_slice key)
{
    struct hf_memcache_result result = {.status = HF_MEMCACHE_MISSING, .key = key};
    if (entry == NULL)
        return result;
    result.status = HF_MEMCACHE_DONE;
    result.fetched = entry->fetched;
    result.flags = entry->flags;
    result.ttl_s = HF_MEMCACHE_FOREVER;
    result.cas = entry->cas;
    result.value = hf_slice(entry->value, entry->value_size);
    return result;
}

static void get(struct memcached_model *model, const struct hf_memcache_request *request,
                struct hf_writer *writer)
{
    struct hf_slice rest = request->keys, key = request->key;
    bool many = request->dialect == HF_MEMCACHE_TEXT && hf_memcache_next_key(&rest, &key);
    do {
        struct memcached_model_entry *entry = find(model, key);
        struct hf_memcache_result result = look(entry, key);
        hf_memcache_write_result(writer, request, &result);
        if (entry != NULL)
            entry->fetched = true;
    } while (many && hf_memcache_next_key(&rest, &key));
    hf_memcache_write_end(writer, request);
}

static enum hf_memcache_status change(struct memcached_model *model,
                                      const struct hf_memcache_request *request,
                                      uint64_t *ret_number)
{
    struct memcached_model_entry *entry = find(model, request->key);
    switch (request->operation) {
    case HF_MEMCACHE_TOUCH:
        return entry != NULL ? HF_MEMCACHE_DONE : HF_MEMCACHE_MISSING;
    case HF_MEMCACHE_DELETE:
        return delete (request, entry);
    case HF_MEMCACHE_INCREMENT:
    case HF_MEMCACHE_DECREMENT:
        return count(model, request, entry, ret_number);
    case HF_MEMCACHE_FLUSH:
        memset(model->entries, 0, sizeof(model->entries));
        return HF_MEMCACHE_DONE;
    case HF_MEMCACHE_VERSION:
    case HF_MEMCACHE_VERBOSITY:
    case HF_MEMCACHE_NOOP:
        return HF_MEMCACHE_DONE;
    default:
        return store(model, request, entry);
    }
}

void memcached_model_answer(struct memcached_model *model,
                            const struct hf_memcache_request *request, struct hf_writer *writer)
{
    if (request->operation == HF_MEMCACHE_GET) {
        get(model, request, writer);
        return;
    }
    uint64_t number = 0;
    enum hf_memcache_status status = change(model, request, &number);
    struct hf_memcache_result result = look(find(model, request->key), request->key);
    bool version = request->operation == HF_MEMCACHE_VERSION;
    result.status = (uint8_t)status;
    result.number = number;
    result.value = version ? model->version : hf_slice(NULL, 0);
    hf_memcache_write_result(writer, request, &result);
}
