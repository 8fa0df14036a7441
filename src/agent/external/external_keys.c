/* The keys that something is under way for, or that the store does not have yet. */
#include "agent/external/external_internal.h"
#include "base/assert.h"
#include <stdlib.h>

uint64_t hf_external_now_ms(const struct hf_external *external)
{
    return hf_loop_now_ms(external->settings.loop);
}

static struct hf_external_key **bucket_of(const struct hf_external *external, struct hf_slice text)
{
    uint64_t hash = hf_store_hash(external->settings.hash_key, text);
    return &external->buckets[hash & (HF_EXTERNAL_BUCKETS - 1)];
}

static struct hf_slice moved(struct hf_slice part, struct hf_slice *rest)
{
    struct hf_slice here = hf_slice(rest->bytes, part.size);
    *rest = hf_slice(rest->bytes + part.size, rest->size - part.size);
    return here;
}

static void done(struct hf_remote_call *call, struct hf_remote_result *result)
{
    struct hf_external_key *key = hf_container_of(call, struct hf_external_key, remote);
    hf_external_done(key, result);
}

struct hf_external_key *hf_external_key_get(struct hf_external *external, struct hf_slice text,
                                            const struct hf_store_key *parts, bool strict)
{
    struct hf_external_key **bucket = bucket_of(external, text);
    for (struct hf_external_key *key = *bucket; key != NULL; key = key->next)
        if (hf_slice_equal(hf_slice(key->text, key->size), text))
            return key;
    struct hf_external_key *key = calloc(1, sizeof(*key) + text.size);
    if (key == NULL)
        return NULL;
    memcpy(key->text, text.bytes, text.size);
    key->external = external;
    key->size = text.size;
    key->strict = strict;
    key->remote.complete = done;
    hf_list_init(&key->node);
    hf_list_init(&key->calls);
    struct hf_slice rest = hf_slice(key->text, key->size);
    key->key = *parts;
    key->key.prefix = moved(parts->prefix, &rest);
    key->key.id = moved(parts->id, &rest);
    key->key.suffix = moved(parts->suffix, &rest);
    REQUIRE(rest.size == 0);
    key->next = *bucket;
    *bucket = key;
    return key;
}

void hf_external_key_settle(struct hf_external_key *key)
{
    bool needed = key->dirty || key->advancing || key->step != HF_EXTERNAL_IDLE ||
                  !hf_list_empty(&key->calls);
    if (needed)
        return;
    struct hf_external_key **link = bucket_of(key->external, hf_slice(key->text, key->size));
    while (*link != key)
        link = &(*link)->next;
    *link = key->next;
    free(key);
}

int hf_external_limit(const struct hf_external *external)
{
    bool owes = external->counts.dirty > 0 || external->walking;
    return hf_store_limit(external->settings.store, external->settings.memory,
                          owes ? HF_STORE_REFUSE : HF_STORE_EVICT);
}

void hf_external_key_mark(struct hf_external_key *key, bool compare, uint64_t base)
{
    struct hf_external *external = key->external;
    struct hf_store_value value;
    bool there = hf_external_copy_get(key, &value);
    key->gone = !there;
    key->deadline_ms = there ? value.deadline_ms : HF_DEADLINE_NEVER;
    key->compare |= compare;
    key->restoring = false;
    if (key->dirty)
        return;
    key->dirty = true;
    key->base = base;
    key->tried = base;
    hf_list_push_back(&external->dirty, &key->node);
    if (external->counts.dirty++ == 0)
        (void)hf_external_limit(external);
}

void hf_external_key_clean(struct hf_external_key *key)
{
    struct hf_external *external = key->external;
    if (!key->dirty)
        return;
    key->dirty = key->compare = key->restoring = key->gone = false;
    key->retry_ms = 0;
    hf_list_remove(&key->node);
    REQUIRE(external->counts.dirty > 0);
    if (--external->counts.dirty == 0)
        (void)hf_external_limit(external);
}
