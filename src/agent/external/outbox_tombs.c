/* Deletes that an agent which ended owed the store. A tombstone has no keys, so every text that the
 * patterns make of its id is deleted, after the fabric said that it holds no such key. */
#include "agent/external/outbox_internal.h"

enum { TOMB_RECORDS = 16 };

struct hf_outbox_tomb {
    struct hf_outbox *outbox;
    const struct hf_store_record *record;
};

static void delete_key(void *user, struct hf_slice prefix, struct hf_slice suffix, bool satellite)
{
    const struct hf_outbox_tomb *tomb = user;
    const struct hf_store_key key = {.id = tomb->record->id,
                                     .id_hash = tomb->record->id_hash,
                                     .prefix = prefix,
                                     .suffix = suffix};
    if (!satellite)
        hf_outbox_delete(tomb->outbox, &key);
}

static bool visit(void *user, const struct hf_store_record *record)
{
    struct hf_outbox *outbox = user;
    struct hf_outbox_tomb tomb = {outbox, record};
    struct hf_slice none = {record->id.bytes, 0};
    if (record->state != HF_RECORD_TOMB ||
        record->deadline_ms < outbox->tombs_since_ms + HF_FABRIC_TOMB_MS)
        return true;
    hf_sessions_each_pattern(outbox->settings.sessions, delete_key, &tomb);
    delete_key(&tomb, none, none, false);
    return true;
}

void hf_outbox_tombs_on(struct hf_outbox *outbox)
{
    const struct hf_store_scan scan = {.visit = visit,
                                       .user = outbox,
                                       .now_ms = hf_outbox_now_ms(outbox),
                                       .count = TOMB_RECORDS,
                                       .bucket = -1};
    hf_store_scan(outbox->settings.store, &outbox->tombs, &scan);
    outbox->tombing = outbox->tombs != 0;
}

void hf_outbox_tombs_since(struct hf_outbox *outbox, uint64_t since_ms)
{
    if (!outbox->tombing || since_ms < outbox->tombs_since_ms)
        outbox->tombs_since_ms = since_ms;
    outbox->tombing = true;
    outbox->tombs = 0;
}

void hf_outbox_peer_lost(struct hf_outbox *outbox)
{
    uint64_t now_ms = hf_outbox_now_ms(outbox);
    if (outbox->opened_ms == 0) /* else when the store is back */
        hf_outbox_tombs_since(outbox, now_ms - HF_OUTBOX_TOMBS_MS);
}
