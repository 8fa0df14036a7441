#include "fabric/records.h"
#include "base/assert.h"
#include "base/bytes.h"
#include "store/blob.h"
#include <errno.h>
#include <stdlib.h>

enum {
    CHAINS = 256,
    OWNER_BITS = 7,       /* of the store's owner: the node; above them the generation */
    EMPTY_MS = 10 * 1000, /* a granted record may be without keys for this long */
    ROOM_FIRST = 64 * 1024,
    SLOTS_FIRST = 256, /* taken at the start: more than an event touches */
};
_Static_assert(HF_RANK_NODES_MAX <= 1 << OWNER_BITS, "a node fits");
_Static_assert(HF_FABRIC_GENERATIONS <= 1 << (16 - OWNER_BITS), "a generation fits");

struct slot {
    struct hf_list chain; /* by hash */
    struct hf_list node;  /* those in use, or the unused ones */
    struct hf_fabric_record record, stored;
    bool cleared; /* its keys are to go */
    uint64_t id_hash;
    uint16_t id_size;
    char id[HF_STORE_ID_MAX];
};

struct hf_records {
    struct hf_records_settings settings;
    uint64_t now_ms, refused;
    struct hf_list chains[CHAINS], used, unused;
    struct hf_bytes image, delta; /* renewed by every use */
};

static struct slot *slot_of(struct hf_fabric_record *record)
{
    return hf_container_of(record, struct slot, record);
}

static struct hf_slice id_of_slot(const struct slot *slot)
{
    return hf_slice(slot->id, slot->id_size);
}

/* ---- unpacking and writing back ---- */

static void unpack(const struct hf_store_record *from, struct hf_fabric_record *record)
{
    *record = (struct hf_fabric_record){
        .version = from->version,
        .deadline_ms = from->deadline_ms == HF_DEADLINE_NEVER ? 0 : from->deadline_ms,
        .owner = from->owner & ((1 << OWNER_BITS) - 1),
        .generation = (uint16_t)(from->owner >> OWNER_BITS),
        .state = (uint8_t)from->state,
    };
}

static bool has_keys(const struct hf_fabric_record *record)
{
    return record->state == HF_RECORD_OWNER || record->state == HF_RECORD_BACKUP;
}

static bool same(const struct hf_fabric_record *a, const struct hf_fabric_record *b)
{
    bool deadline = has_keys(a) || a->deadline_ms == b->deadline_ms; /* keys have their own */
    return a->state == b->state && a->owner == b->owner && a->generation == b->generation &&
           hf_version_equal(a->version, b->version) && deadline;
}

static bool assign(struct hf_records *records, struct slot *slot, enum hf_record_state state)
{
    const struct hf_fabric_record *record = &slot->record;
    uint64_t deadline_ms = record->deadline_ms == 0 ? HF_DEADLINE_NEVER : record->deadline_ms;
    struct hf_store_role role = {
        .state = state,
        .version = record->version,
        .owner = (uint16_t)(record->owner | record->generation << OWNER_BITS),
        .deadline_ms = state == HF_RECORD_OWNER ? records->now_ms + EMPTY_MS : deadline_ms,
    };
    enum hf_store_status status = hf_store_assign(records->settings.store, id_of_slot(slot),
                                                  slot->id_hash, &role, records->now_ms);
    records->refused += status != HF_STORE_OK;
    return status == HF_STORE_OK;
}

static void write_back(struct hf_records *records, struct slot *slot)
{
    bool drops = slot->cleared && has_keys(&slot->record) && has_keys(&slot->stored);
    if (!drops && same(&slot->record, &slot->stored))
        return;
    if (drops)
        assign(records, slot, HF_RECORD_POINTER);
    assign(records, slot, (enum hf_record_state)slot->record.state);
    bool begins = slot->record.state == HF_RECORD_OWNER &&
                  (slot->stored.state != HF_RECORD_OWNER ||
                   slot->stored.version.epoch != slot->record.version.epoch);
    slot->stored = slot->record;
    slot->cleared = false;
    if (begins && records->settings.owned != NULL)
        records->settings.owned(records->settings.user, id_of_slot(slot), slot->id_hash);
}

static void give_back(struct hf_records *records, struct slot *slot)
{
    hf_list_remove(&slot->chain);
    hf_list_remove(&slot->node);
    hf_list_push_front(&records->unused, &slot->node);
}

static void settle(struct hf_records *records)
{
    while (!hf_list_empty(&records->used)) {
        struct slot *slot = hf_container_of(records->used.next, struct slot, node);
        write_back(records, slot);
        give_back(records, slot);
    }
}

static void begin(void *user, uint64_t now_ms)
{
    ((struct hf_records *)user)->now_ms = now_ms;
}

static void end(void *user)
{
    settle(user);
}

/* ---- finding ---- */

static struct slot *known(struct hf_records *records, struct hf_slice id, uint64_t id_hash)
{
    HF_LIST_EACH(&records->chains[id_hash % CHAINS], node)
    {
        struct slot *slot = hf_container_of(node, struct slot, chain);
        if (slot->id_hash == id_hash && hf_slice_equal(id_of_slot(slot), id))
            return slot;
    }
    return NULL;
}

static struct slot *take(struct hf_records *records, struct hf_slice id, uint64_t id_hash)
{
    struct hf_list *node = hf_list_pop_front(&records->unused);
    struct slot *slot =
        node != NULL ? hf_container_of(node, struct slot, node) : malloc(sizeof(*slot));
    if (slot == NULL)
        return NULL;
    slot->record = slot->stored = (struct hf_fabric_record){0};
    slot->cleared = false;
    slot->id_hash = id_hash;
    slot->id_size = (uint16_t)id.size;
    memcpy(slot->id, id.bytes, id.size);
    hf_list_init(&slot->node);
    hf_list_init(&slot->chain);
    hf_list_push_front(&records->used, &slot->node);
    hf_list_push_front(&records->chains[id_hash % CHAINS], &slot->chain);
    return slot;
}

/* A record that is there must not look as if it were not: that would be a false miss. So it needs a
 * slot, of which there are SLOTS_FIRST when the system has no memory. */
static struct hf_fabric_record *show(struct hf_records *records,
                                     const struct hf_store_record *found)
{
    struct slot *slot = take(records, found->id, found->id_hash);
    REQUIRE(slot != NULL);
    unpack(found, &slot->record);
    slot->stored = slot->record;
    return &slot->record;
}

static uint64_t hash_of(const struct hf_records *records, struct hf_slice id)
{
    return hf_store_hash(records->settings.hash_key, id);
}

/* Expired ones too: their end is the fabric's to decide and to tell. */
static struct hf_fabric_record *find(void *user, struct hf_slice id, uint64_t hash)
{
    struct hf_records *records = user;
    uint64_t id_hash = hash_of(records, id);
    struct slot *slot = known(records, id, id_hash);
    struct hf_store_record found;
    if (slot != NULL)
        return &slot->record;
    if (!hf_store_find(records->settings.store, id, id_hash, 0, &found))
        return NULL;
    return show(records, &found);
}

/* Takes its place in the store at once, as a pointer to nobody, so that a full one says so here and
 * not when others were told of the record. Left in state NONE it goes again. */
static struct hf_fabric_record *create(void *user, struct hf_slice id, uint64_t hash)
{
    struct hf_records *records = user;
    struct slot *slot = take(records, id, hash_of(records, id));
    if (slot == NULL)
        return NULL;
    if (!assign(records, slot, HF_RECORD_POINTER)) {
        give_back(records, slot);
        return NULL;
    }
    slot->stored.state = HF_RECORD_POINTER;
    return &slot->record;
}

static void drop(void *user, struct hf_fabric_record *record)
{
    struct slot *slot = slot_of(record);
    assign(user, slot, HF_RECORD_NONE);
    give_back(user, slot);
}

static void clear(void *user, struct hf_fabric_record *record)
{
    slot_of(record)->cleared = true;
}

static struct hf_slice id_of(void *user, const struct hf_fabric_record *record)
{
    return id_of_slot(hf_container_of(record, const struct slot, record));
}

static struct hf_fabric_record *next(void *user, uint64_t *cursor)
{
    struct hf_records *records = user;
    struct hf_store_record found;
    settle(records); /* whoever walks holds no other record */
    return hf_store_next(records->settings.store, cursor, 0, &found) ? show(records, &found) : NULL;
}

/* ---- content ---- */

static struct hf_slice encode(struct hf_records *records, const struct hf_store_key *key,
                              enum hf_blob_part part, struct hf_bytes *bytes)
{
    for (;;) {
        struct hf_blob_out out = {bytes->bytes, bytes->room, 0};
        enum hf_store_status status =
            hf_blob_encode(records->settings.store, key, part, records->now_ms, &out);
        if (status == HF_STORE_OK)
            return hf_slice(bytes->bytes, out.size);
        if (status != HF_STORE_TOO_LARGE)
            return hf_slice(NULL, 0);
        if (hf_bytes_renew(bytes, out.size > ROOM_FIRST ? out.size : ROOM_FIRST) == NULL)
            return hf_slice(NULL, 0);
    }
}

static struct hf_slice image(void *user, const struct hf_fabric_record *record)
{
    struct hf_records *records = user;
    const struct slot *slot = hf_container_of(record, const struct slot, record);
    struct hf_store_key key = {.id = id_of_slot(slot), .id_hash = slot->id_hash};
    if (slot->cleared)
        return hf_slice(NULL, 0);
    return encode(records, &key, HF_BLOB_RECORD, &records->image);
}

/* The fabric has compared versions; `base` is what is held, whatever its role became meanwhile. */
static bool apply(struct hf_records *records, struct slot *slot, struct hf_slice blob, bool force)
{
    const struct hf_fabric_record *record = &slot->record;
    struct hf_blob_apply how = {
        .blob = blob,
        .role = {.state = HF_RECORD_BACKUP, .version = record->version, .owner = record->owner},
        .base = slot->stored.version,
        .base_ms = records->now_ms,
        .now_ms = records->now_ms,
        .force = force,
    };
    if (hf_blob_apply(records->settings.store, id_of_slot(slot), slot->id_hash, &how) !=
        HF_STORE_OK)
        return false;
    struct hf_store_record now;
    if (!hf_store_find(records->settings.store, id_of_slot(slot), slot->id_hash, records->now_ms,
                       &now))
        return false; /* all of it had expired on the way */
    unpack(&now, &slot->stored);
    slot->record.deadline_ms = slot->stored.deadline_ms;
    slot->cleared = false;
    return true;
}

static bool load(void *user, struct hf_fabric_record *record, struct hf_slice blob)
{
    return apply(user, slot_of(record), blob, true);
}

static bool change(void *user, struct hf_fabric_record *record, struct hf_slice blob)
{
    return apply(user, slot_of(record), blob, false);
}

/* ---- executing ---- */

/* What copies are told. A key that ends by a deadline set in the past is deleted like any other. */
static void judge(struct hf_records *records, const struct hf_records_done *done,
                  struct hf_fabric_outcome *outcome)
{
    switch (done->change.effect) {
    case HF_STORE_NOTHING:
        return;
    case HF_STORE_DEADLINE:
    case HF_STORE_VALUE:
    case HF_STORE_GONE:
        outcome->change = HF_FABRIC_VALUE;
        outcome->delta =
            encode(records, &done->key,
                   done->change.effect == HF_STORE_DEADLINE ? HF_BLOB_DEADLINE : HF_BLOB_KEY,
                   &records->delta);
        return;
    case HF_STORE_REMOVED: /* a lock's end is no session's */
        outcome->change = done->key.satellite || done->change.base.sequence == 0
                              ? HF_FABRIC_EMPTY
                              : HF_FABRIC_DELETED;
        return;
    case HF_STORE_TOMBED:
        outcome->change = HF_FABRIC_DELETED;
        return;
    }
}

static void execute(void *user, struct hf_fabric_record *record, struct hf_fabric_op *op,
                    struct hf_fabric_outcome *outcome)
{
    struct hf_records *records = user;
    struct slot *slot = slot_of(record);
    struct hf_store_write write = {.now_ms = records->now_ms, .fresh = record->version};
    struct hf_records_done done = {0};
    struct hf_store_record now;
    write_back(records, slot);
    write.owner = (uint16_t)(record->owner | record->generation << OWNER_BITS);
    records->settings.execute(records->settings.user, op, &write, &done);
    judge(records, &done, outcome);
    outcome->reply = done.reply;
    slot->stored = (struct hf_fabric_record){0};
    bool found = hf_store_find(records->settings.store, id_of_slot(slot), slot->id_hash,
                               records->now_ms, &now);
    if (found)
        unpack(&now, &slot->stored);
    outcome->deadline_ms = slot->stored.deadline_ms;
    if (outcome->change == HF_FABRIC_NOTHING && (!found || now.key_count == 0))
        outcome->change = HF_FABRIC_EMPTY;
}

bool hf_records_look(const struct hf_records *records, struct hf_slice id, uint64_t id_hash,
                     uint64_t now_ms, struct hf_fabric_record *ret_record)
{
    struct hf_store_record found;
    if (!hf_list_empty(&records->used) ||
        !hf_store_find(records->settings.store, id, id_hash, now_ms, &found) || !found.alive)
        return false;
    hf_store_announce(records->settings.store, &found);
    unpack(&found, ret_record);
    return true;
}

bool hf_records_peek(const struct hf_records *records, struct hf_slice id, uint64_t id_hash,
                     uint64_t now_ms, struct hf_fabric_record *ret_record)
{
    struct hf_store_record found;
    if (!hf_list_empty(&records->used) ||
        !hf_store_find(records->settings.store, id, id_hash, now_ms, &found))
        return false;
    unpack(&found, ret_record);
    return true;
}

/* ---- life ---- */

static bool take_slots(struct hf_records *records)
{
    for (unsigned i = 0; i < SLOTS_FIRST; i++) {
        struct slot *slot = malloc(sizeof(*slot));
        if (slot == NULL)
            return false;
        hf_list_init(&slot->node);
        hf_list_push_front(&records->unused, &slot->node);
    }
    return true;
}

int hf_records_new(const struct hf_records_settings *settings, struct hf_records **ret_records)
{
    struct hf_records *records = calloc(1, sizeof(*records));
    if (records == NULL)
        return -ENOMEM;
    REQUIRE(settings->store != NULL && settings->execute != NULL);
    records->settings = *settings;
    for (unsigned i = 0; i < CHAINS; i++)
        hf_list_init(&records->chains[i]);
    hf_list_init(&records->used);
    hf_list_init(&records->unused);
    if (!take_slots(records)) {
        hf_records_free(&records);
        return -ENOMEM;
    }
    *ret_records = records;
    return 0;
}

void hf_records_free(struct hf_records **records)
{
    struct hf_list *node;
    if (*records == NULL)
        return;
    settle(*records);
    while ((node = hf_list_pop_front(&(*records)->unused)) != NULL)
        free(hf_container_of(node, struct slot, node));
    hf_bytes_clear(NULL, &(*records)->image);
    hf_bytes_clear(NULL, &(*records)->delta);
    free(*records);
    *records = NULL;
}

uint64_t hf_records_refused(const struct hf_records *records)
{
    return records->refused;
}

struct hf_fabric_store hf_records_store(struct hf_records *records)
{
    return (struct hf_fabric_store){
        .user = records,
        .begin = begin,
        .end = end,
        .find = find,
        .create = create,
        .remove = drop,
        .clear = clear,
        .id = id_of,
        .next = next,
        .image = image,
        .load = load,
        .change = change,
        .execute = execute,
    };
}
