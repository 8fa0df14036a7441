/* What we know of one record, and taking over what a peer knows better. */
#include "fabric/internal.h"

/* The granter's number in the low bits: so no two homes can grant the same epoch, whatever they
 * believe of each other. */
uint32_t hf_record_next_epoch(uint32_t epoch, unsigned granter)
{
    return ((epoch >> HF_FABRIC_GRANTER_BITS) + 1) << HF_FABRIC_GRANTER_BITS | granter;
}

bool hf_record_hollow(const struct hf_fabric *f, const struct hf_fabric_record *record)
{
    bool value = record->state == HF_RECORD_OWNER || record->state == HF_RECORD_BACKUP;
    return value && record->version.sequence == 0 && !hf_record_owned(f, record);
}

struct hf_fabric_record *hf_record_find(struct hf_fabric *f, struct hf_slice id, uint64_t hash)
{
    struct hf_fabric_record *record = f->store.find(f->store.user, id, hash);
    if (record == NULL || !hf_record_hollow(f, record))
        return record;
    hf_record_remove(f, record);
    return NULL;
}

struct hf_fabric_record *hf_record_ensure(struct hf_fabric *f, struct hf_slice id, uint64_t hash)
{
    struct hf_fabric_record *record = hf_record_find(f, id, hash);
    return record != NULL ? record : f->store.create(f->store.user, id, hash);
}

void hf_record_saw_epoch(struct hf_fabric *f, uint32_t epoch)
{
    f->epoch_top = epoch > f->epoch_top ? epoch : f->epoch_top;
}

void hf_record_forget_epoch(struct hf_fabric *f, uint64_t hash, uint32_t epoch)
{
    uint32_t *high = &f->epoch_high[hf_digest_bucket(hash)];
    *high = epoch > *high ? epoch : *high;
    hf_record_saw_epoch(f, epoch);
}

void hf_record_remove(struct hf_fabric *f, struct hf_fabric_record *record)
{
    uint64_t hash = hf_rank_hash(f->store.id(f->store.user, record));
    hf_record_forget_epoch(f, hash, record->version.epoch);
    f->store.remove(f->store.user, record);
}

uint8_t hf_record_state(const struct hf_fabric_record *record)
{
    return record != NULL ? record->state : HF_RECORD_NONE;
}

struct hf_version hf_record_version(const struct hf_fabric_record *record)
{
    return record != NULL ? record->version : (struct hf_version){0};
}

bool hf_record_owned(const struct hf_fabric *f, const struct hf_fabric_record *record)
{
    return record != NULL && record->state == HF_RECORD_OWNER &&
           record->generation == f->generation;
}

bool hf_record_has_value(const struct hf_fabric_record *record)
{
    return record != NULL &&
           (record->state == HF_RECORD_OWNER || record->state == HF_RECORD_BACKUP);
}

uint64_t hf_record_remaining(const struct hf_fabric *f, const struct hf_fabric_record *record)
{
    if (record->deadline_ms == 0)
        return 0;
    return record->deadline_ms > f->now_ms ? record->deadline_ms - f->now_ms : 1;
}

uint64_t hf_record_deadline(const struct hf_fabric *f, uint64_t remaining_ms)
{
    enum { YEARS = 1ull << 40 }; /* bounds what a peer may say; 34 years */
    if (remaining_ms > YEARS)
        remaining_ms = 0;
    return remaining_ms == 0 ? 0 : f->now_ms + remaining_ms;
}

void hf_record_describe(struct hf_fabric *f, struct hf_fabric_record *record, bool with_image,
                        struct hf_wire_message *m)
{
    m->state = hf_record_state(record);
    m->version = hf_record_version(record);
    m->node = record != NULL ? record->owner : HF_FABRIC_NOBODY;
    if (record == NULL)
        return;
    if (record->state == HF_RECORD_OWNER && !hf_record_owned(f, record))
        m->state = HF_RECORD_BACKUP;
    m->remaining_ms = hf_record_remaining(f, record);
    if (with_image && hf_record_has_value(record))
        m->bytes = f->store.image(f->store.user, record);
}

static bool fill(struct hf_fabric *f, struct hf_fabric_record *record,
                 const struct hf_wire_message *m, bool with_value)
{
    record->deadline_ms = hf_record_deadline(f, m->remaining_ms);
    if (m->state == HF_RECORD_TOMB) {
        f->store.clear(f->store.user, record);
        record->state = HF_RECORD_TOMB;
        if (record->deadline_ms == 0 || record->deadline_ms > f->now_ms + HF_FABRIC_TOMB_MS)
            record->deadline_ms = f->now_ms + HF_FABRIC_TOMB_MS;
        return true;
    }
    if (with_value) {
        record->state = HF_RECORD_BACKUP;
        return f->store.load(f->store.user, record, m->bytes);
    }
    record->state = HF_RECORD_POINTER;
    return true;
}

bool hf_record_loses(const struct hf_fabric_record *mine, const struct hf_wire_message *m)
{
    return hf_version_compare((enum hf_record_state)hf_record_state(mine), hf_record_version(mine),
                              (enum hf_record_state)m->state, m->version) < 0;
}

bool hf_record_passing(const struct hf_fabric *f, const struct hf_fabric_record *record)
{
    return hf_record_has_value(record) && !hf_record_owned(f, record) && record->deadline_ms != 0 &&
           record->deadline_ms <= f->now_ms + HF_DEADLINE_SLACK_MS;
}

bool hf_record_outlived(const struct hf_fabric *f, const struct hf_fabric_record *record,
                        uint64_t remaining_ms)
{
    uint64_t deadline_ms = hf_record_deadline(f, remaining_ms);
    return hf_record_passing(f, record) && (deadline_ms == 0 || deadline_ms > record->deadline_ms);
}

/* A pointer replaces no copy: the copy may be the last there is. */
static bool worth_taking(const struct hf_fabric *f, const struct hf_fabric_record *mine,
                         const struct hf_wire_message *m, bool with_value)
{
    if (m->state == HF_RECORD_NONE)
        return false;
    if (!with_value && m->state != HF_RECORD_TOMB && hf_record_state(mine) != HF_RECORD_NONE &&
        hf_record_state(mine) != HF_RECORD_POINTER)
        return false;
    bool wanted =
        hf_record_state(mine) == HF_RECORD_POINTER || hf_record_outlived(f, mine, m->remaining_ms);
    if (with_value && wanted && hf_version_equal(mine->version, m->version))
        return true; /* the value to what we knew of, or its life */
    return hf_record_loses(mine, m);
}

void hf_record_given_up(struct hf_fabric *f, const struct hf_fabric_record *record, uint64_t hash)
{
    uint8_t holders[HF_FABRIC_TARGETS_MAX];
    if (!hf_record_owned(f, record))
        return;
    f->counts.contested++;
    unsigned count = hf_membership_targets(f, hash, f->self, holders);
    for (unsigned i = 0; i < count; i++)
        hf_sync_again(f, holders[i]);
}

bool hf_record_take(struct hf_fabric *f, struct hf_slice id, uint64_t hash,
                    const struct hf_wire_message *m, bool with_value)
{
    struct hf_fabric_record *record = hf_record_find(f, id, hash);
    if (!worth_taking(f, record, m, with_value) || m->node >= f->rank->count ||
        (!hf_record_has_value(record) && hf_ended_covers(f, hash, m)))
        return false;
    record = hf_record_ensure(f, id, hash);
    if (record == NULL)
        return false;
    if (m->state == HF_RECORD_OWNER)
        hf_ended_forget(f, hash);
    hf_record_given_up(f, record, hash);
    hf_record_forget_epoch(f, hash, record->version.epoch);
    record->version = m->version;
    record->owner = m->node;
    hf_record_saw_epoch(f, m->version.epoch);
    if (!fill(f, record, m, with_value)) {
        hf_record_remove(f, record);
        return false;
    }
    return true;
}
