/* The keys that the outbox has to write, or remembers. */
#include "agent/external/outbox_internal.h"
#include "base/assert.h"
#include <stdlib.h>

uint64_t hf_outbox_now_ms(const struct hf_outbox *outbox)
{
    return hf_loop_now_ms(outbox->settings.loop);
}

static struct hf_outbox_key **bucket_of(const struct hf_outbox *outbox,
                                        const struct hf_store_key *key)
{
    return &outbox->buckets[key->id_hash & (HF_OUTBOX_BUCKETS - 1)];
}

static bool same(const struct hf_store_key *a, const struct hf_store_key *b)
{
    return a->id_hash == b->id_hash && hf_slice_equal(a->id, b->id) &&
           hf_slice_equal(a->prefix, b->prefix) && hf_slice_equal(a->suffix, b->suffix);
}

struct hf_outbox_key *hf_outbox_find(const struct hf_outbox *outbox, const struct hf_store_key *key)
{
    for (struct hf_outbox_key *found = *bucket_of(outbox, key); found != NULL; found = found->next)
        if (same(&found->key, key))
            return found;
    return NULL;
}

static struct hf_slice append(struct hf_outbox_key *key, struct hf_slice part)
{
    char *to = key->text + key->size;
    if (part.size > 0)
        memcpy(to, part.bytes, part.size);
    key->size += part.size;
    return hf_slice(to, part.size);
}

struct hf_outbox_key *hf_outbox_get(struct hf_outbox *outbox, const struct hf_store_key *parts)
{
    struct hf_outbox_key *key = hf_outbox_find(outbox, parts);
    struct hf_outbox_key **bucket = bucket_of(outbox, parts);
    if (key != NULL)
        return key;
    key = calloc(1, sizeof(*key) + parts->prefix.size + parts->id.size + parts->suffix.size);
    if (key == NULL) {
        outbox->walking = true;
        return NULL;
    }
    key->outbox = outbox;
    key->key = *parts;
    key->key.prefix = append(key, parts->prefix);
    key->key.id = append(key, parts->id);
    key->key.suffix = append(key, parts->suffix);
    key->deadline_ms = HF_DEADLINE_NEVER;
    key->remote.complete = hf_outbox_done;
    key->check.complete = hf_outbox_checked;
    hf_list_init(&key->node);
    hf_list_init(&key->tickets);
    key->next = *bucket;
    *bucket = key;
    return key;
}

void hf_outbox_key_free(struct hf_outbox_key *key)
{
    struct hf_outbox_key **link = bucket_of(key->outbox, &key->key);
    REQUIRE(!key->dirty && key->step == HF_OUTBOX_WAITING && hf_list_empty(&key->tickets));
    while (*link != key)
        link = &(*link)->next;
    *link = key->next;
    hf_list_remove(&key->node);
    free(key);
}

void hf_outbox_key_wait(struct hf_outbox_key *key, uint64_t due_ms)
{
    key->due_ms = due_ms;
    key->doubtful = key->gone;
    key->late = false;
    hf_list_remove(&key->node);
    hf_list_push_back(&key->outbox->waiting, &key->node);
}

void hf_outbox_limit(const struct hf_outbox *outbox)
{
    const struct hf_outbox_settings *settings = &outbox->settings;
    bool evicts = outbox->owed == 0 && !hf_remote_is_open(settings->remote);
    enum hf_store_full full = evicts ? HF_STORE_EVICT : HF_STORE_REFUSE;
    if (settings->writing == HF_OUTBOX_DELETES)
        full = settings->when_full;
    (void)hf_store_limit(settings->store, settings->memory, full);
}

void hf_outbox_key_dirty(struct hf_outbox_key *key)
{
    key->outbox->counts.dirty += !key->dirty;
    key->dirty = true;
}

void hf_outbox_key_owe(struct hf_outbox_key *key)
{
    struct hf_outbox *outbox = key->outbox;
    outbox->outage = true;
    if (key->owed)
        return;
    key->owed = true;
    if (outbox->owed++ == 0)
        hf_outbox_limit(outbox);
}

static void settle(struct hf_outbox_key *key)
{
    struct hf_outbox *outbox = key->outbox;
    if (key->owed && --outbox->owed == 0)
        hf_outbox_limit(outbox);
    key->owed = false;
    outbox->counts.dirty -= key->dirty;
    key->dirty = false;
    hf_list_remove(&key->node);
}

void hf_outbox_key_clean(struct hf_outbox_key *key)
{
    struct hf_outbox *outbox = key->outbox;
    uint64_t again_ms = key->again_ms, now_ms = hf_outbox_now_ms(outbox);
    settle(key);
    key->again_ms = 0;
    key->whole = false;
    if (again_ms > now_ms) {
        key->whole = true;
        hf_outbox_key_dirty(key);
        hf_outbox_key_wait(key, again_ms);
    } else if (key->gone) {
        key->due_ms = now_ms + HF_OUTBOX_AGAIN_MS;
        hf_list_push_back(&outbox->lingering, &key->node);
    } else {
        hf_outbox_key_free(key);
    }
}

void hf_outbox_key_forget(struct hf_outbox_key *key)
{
    hf_outbox_let_go(key, key->version);
    settle(key);
    hf_outbox_key_free(key);
}
