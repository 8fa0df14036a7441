/* One walk over the store serves every peer that waits for sums or for a list, a bounded piece at
 * each tick. Who comes to wait in the middle of a walk is served by the next one. A walk for one
 * peer's sums makes those of all, so that a digest that comes later is compared at once: what was
 * the same here before is known here still. */
#include "fabric/internal.h"
#include <stdlib.h>

enum {
    LIST_BYTES = 32 * 1024, /* of a VERSIONS message; it is looked at in one turn of its receiver */
    ENTRY_BYTES_MAX = HF_WIRE_ID_MAX + 17,
    REST_MS_MAX = 200,
    URGENT_MS = 5000,
    LEISURE = 8,        /* of the work of a tick, while nobody waits */
    SUMS_MS_MAX = 1000, /* what changed since differs, and is listed in vain */
};

/* Somebody who comes, or follows one who went, waits for it; or may, soon after a change. */
static bool is_urgent(const struct hf_fabric *f)
{
    return f->status != HF_PEER_READY || !hf_fabric_complete(f) ||
           f->now_ms - f->changed_ms < URGENT_MS;
}

/* Ranking a record costs as much as there are nodes. */
static unsigned work_of_one(const struct hf_fabric *f)
{
    return HF_FABRIC_SURVEY_BASE + (f->survey.whole ? f->rank->count : 0);
}

static bool waits(const struct hf_fabric *f, unsigned peer)
{
    const struct hf_peer *p = &f->peers[peer];
    return peer != f->self && p->linked && p->status != HF_PEER_DEAD;
}

static bool ensure(uint64_t **sums)
{
    if (*sums == NULL)
        *sums = malloc(HF_FABRIC_BUCKETS * sizeof(**sums));
    if (*sums != NULL)
        memset(*sums, 0, HF_FABRIC_BUCKETS * sizeof(**sums));
    return *sums != NULL;
}

static bool wants_sums(const struct hf_fabric *f, unsigned peer)
{
    const struct hf_sync *s = &f->peers[peer].sync;
    return waits(f, peer) && (s->step == HF_SYNC_SUMMING || s->comparing);
}

static void join_sums(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    s->adds = waits(f, peer) && ensure(&s->sums);
    s->summed = s->adds && s->step == HF_SYNC_SUMMING;
    s->sums_view = 0;
}

static void join_lists(struct hf_fabric *f, unsigned peer)
{
    struct hf_sync *s = &f->peers[peer].sync;
    s->lists = false;
    if (!waits(f, peer) || s->step != HF_SYNC_LISTING)
        return;
    s->list = s->list != NULL ? s->list : malloc(LIST_BYTES);
    s->lists = s->list != NULL;
    s->list_size = 0;
    f->survey.whole |= s->lists && s->tells_whole;
    for (unsigned word = 0; word < HF_RANK_WORDS; word++)
        f->survey.changed[word] |= s->changed[word];
}

static bool begin(struct hf_fabric *f)
{
    bool sums = false, lists = false;
    if (f->now_ms < f->survey.rest_ms)
        return false;
    for (unsigned i = 0; i < f->rank->count; i++)
        sums |= wants_sums(f, i);
    f->survey.whole = sums;
    memset(f->survey.changed, 0, sizeof(f->survey.changed));
    for (unsigned i = 0; i < f->rank->count; i++) {
        f->peers[i].sync.adds = f->peers[i].sync.summed = false;
        if (sums)
            join_sums(f, i);
        join_lists(f, i);
        lists |= f->peers[i].sync.lists;
    }
    f->survey.walking = sums || lists;
    f->survey.view = f->view;
    f->survey.cursor = 0;
    f->survey.began_ms = f->now_ms;
    return f->survey.walking;
}

/* No entry of any length would fit. */
static bool is_full(const struct hf_sync *s)
{
    return s->lists && s->list_size + ENTRY_BYTES_MAX > LIST_BYTES;
}

static bool is_wanted(const struct hf_fabric *f, const struct hf_sync *s,
                      const struct hf_fabric_record *record, uint64_t hash)
{
    unsigned bucket = hf_digest_bucket(hash);
    if (s->tells_whole)
        return s->different[bucket / 8] >> bucket % 8 & 1;
    return hf_membership_concerned(f, hash, record->owner, s->changed);
}

static void list_record(struct hf_fabric *f, struct hf_sync *s,
                        const struct hf_fabric_record *record, uint64_t hash)
{
    struct hf_wire_entry entry = {.version = record->version, .node = record->owner};
    if (!is_wanted(f, s, record, hash))
        return;
    s->listed++;
    entry.id = f->store.id(f->store.user, record);
    entry.state = hf_record_state(record);
    REQUIRE(hf_wire_put_entry(&entry, s->list, LIST_BYTES, &s->list_size));
    f->survey.full |= is_full(s);
}

/* The owner and those that are to hold it are all whom it concerns: the home is one of them. */
static void survey_one(struct hf_fabric *f, const struct hf_fabric_record *record)
{
    uint8_t concerned[HF_FABRIC_TARGETS_MAX + 1];
    if (hf_record_hollow(f, record))
        return;
    uint64_t hash = hf_rank_hash(f->store.id(f->store.user, record));
    unsigned bucket = hf_digest_bucket(hash);
    if (!f->survey.whole && !hf_membership_concerned(f, hash, record->owner, f->survey.changed))
        return;
    unsigned count = hf_membership_told(f, hash, record->owner, concerned);
    if (record->owner < f->rank->count)
        concerned[count++] = (uint8_t)record->owner;
    uint64_t share = record->state == HF_RECORD_POINTER
                         ? 0
                         : hf_digest_of(hash, record->state == HF_RECORD_TOMB, record->version);
    for (unsigned i = 0; i < count; i++) {
        struct hf_sync *s = &f->peers[concerned[i]].sync;
        if (s->adds)
            s->sums[bucket] += share;
        if (s->lists)
            list_record(f, s, record, hash);
    }
}

static void send_list(struct hf_fabric *f, unsigned peer, bool last)
{
    struct hf_sync *s = &f->peers[peer].sync;
    hf_sync_list(f, peer, last);
    if (!last)
        return;
    s->lists = false;
    free(s->list);
    s->list = NULL;
}

/* A peer whose list is full must ask for more first. */
static bool held_up(struct hf_fabric *f)
{
    bool held = false;
    for (unsigned i = 0; i < f->rank->count; i++) {
        struct hf_sync *s = &f->peers[i].sync;
        if (s->step == HF_SYNC_LISTING && is_full(s))
            send_list(f, i, false);
        held |= s->lists && s->step == HF_SYNC_LISTED;
    }
    return held;
}

/* As long as it took, so that of many peers more wait for the next. */
static void rest(struct hf_fabric *f)
{
    uint64_t took_ms = f->now_ms - f->survey.began_ms;
    f->survey.rest_ms = f->now_ms + (took_ms < REST_MS_MAX ? took_ms : REST_MS_MAX);
}

static void end(struct hf_fabric *f)
{
    f->survey.walking = false;
    rest(f);
    for (unsigned i = 0; i < f->rank->count; i++) {
        struct hf_sync *s = &f->peers[i].sync;
        if (s->adds) {
            s->sums_view = f->survey.view;
            s->sums_ms = f->now_ms;
        }
        if (s->summed)
            hf_sync_summed(f, i);
        if (s->adds && s->comparing)
            hf_sync_compared(f, i);
        if (s->lists)
            send_list(f, i, true);
        s->summed = s->adds = false;
    }
}

bool hf_survey_has_sums(const struct hf_fabric *f, unsigned peer)
{
    const struct hf_sync *s = &f->peers[peer].sync;
    return s->sums_view == f->view && f->now_ms - s->sums_ms <= SUMS_MS_MAX;
}

void hf_survey_walk(struct hf_fabric *f)
{
    if (f->survey.walking && f->survey.view != f->view)
        f->survey.walking = false; /* all is compared anew */
    if (!f->survey.walking && !begin(f))
        return;
    int work = (int)work_of_one(f);
    while (f->survey.left > 0 && !held_up(f)) {
        f->survey.full = false;
        while (f->survey.left > 0 && !f->survey.full) {
            struct hf_fabric_record *record = f->store.next(f->store.user, &f->survey.cursor);
            if (record == NULL)
                return end(f);
            f->survey.left -= work;
            survey_one(f, record);
        }
    }
}

void hf_survey_tick(struct hf_fabric *f)
{
    f->survey.left = HF_FABRIC_SURVEY_WORK / (is_urgent(f) ? 1 : LEISURE);
    hf_survey_walk(f);
}

void hf_survey_leave(struct hf_sync *s)
{
    s->summed = s->adds = s->lists = false;
    s->sums_view = 0;
    free(s->list);
    s->list = NULL;
}
