#include "agent/sessions.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>

enum { SESSIONS_MAGIC = 0x53455353 };

struct hf_sessions {
    uint32_t magic;
    struct hf_sessions_settings settings; /* what it points at is borrowed */
    struct hf_sessions_backend local, first;
    const struct hf_sessions_backend *backend;
    struct hf_bytes scratch; /* owned */
    struct hf_sessions_counts counts;
    uint64_t now_ms, wall_ms;
    bool flush_allowed;
};

/* ---- the local backend: this process's store holds everything ---- */

static void submit_local(void *user, struct hf_sessions_call *call)
{
    struct hf_sessions *sessions = user;
    const struct hf_sessions_settings *settings = &sessions->settings;
    /* Alone, a tombstone is of use only where ids are never used again: elsewhere a deleted key is
     * merely not there, as in any store. */
    bool strict = call->operation.flags & HF_OPERATION_STRICT;
    struct hf_operation_context context = {
        .store = settings->store,
        .scratch = &sessions->scratch,
        .write = {.now_ms = sessions->now_ms,
                  .fresh = {settings->epoch_floor, 0, settings->epoch_floor}},
        .tomb_ms = strict ? settings->tomb_ms : 0,
    };
    struct hf_operation_result result;
    struct hf_store_change change;
    hf_operation_execute(&context, &call->operation, &result, &change);
    hf_sessions_complete(call, &result);
}

/* ---- calls ---- */

struct hf_store_key hf_sessions_match(const struct hf_sessions *sessions, struct hf_slice key,
                                      struct hf_pattern_match *ret_match)
{
    hf_pattern_match(sessions->settings.patterns, key, ret_match);
    return (struct hf_store_key){
        .id = ret_match->id,
        .id_hash = hf_store_hash(sessions->settings.hash_key, ret_match->id),
        .prefix = ret_match->prefix,
        .suffix = ret_match->suffix,
        .satellite = ret_match->satellite,
    };
}

/* How the table says what a key is, as the store wants it. */
static bool fill_key(const struct hf_sessions *sessions, struct hf_slice text,
                     struct hf_operation *operation)
{
    struct hf_pattern_match match;
    if (text.size == 0)
        return false;
    struct hf_store_key key = hf_sessions_match(sessions, text, &match);
    if (match.id.size > HF_STORE_ID_MAX || match.prefix.size > HF_STORE_AFFIX_MAX ||
        match.suffix.size > HF_STORE_AFFIX_MAX)
        return false;
    operation->key = key;
    operation->flags &= (uint16_t) ~(HF_OPERATION_STRICT | HF_OPERATION_LATE);
    if (match.tomb == HF_PATTERN_TOMB_STRICT)
        operation->flags |= HF_OPERATION_STRICT;
    return true;
}

static bool takes_lock(const struct hf_operation *operation)
{
    return operation->kind == HF_OPERATION_SET && operation->when == HF_OPERATION_IF_NEW &&
           operation->key.satellite && operation->deadline_ms == HF_DEADLINE_NEVER;
}

void hf_sessions_submit(struct hf_sessions *sessions, struct hf_sessions_call *call)
{
    REQUIRE(HF_MAGIC_OK(sessions, SESSIONS_MAGIC));
    REQUIRE(call->operation.kind < HF_OPERATION_KINDS && call->pending == NULL);
    call->sessions = sessions;
    sessions->counts.operations[call->operation.kind]++;
    if (!fill_key(sessions, call->key, &call->operation)) {
        struct hf_operation_result result = hf_operation_failed(HF_OPERATION_BAD_KEY);
        hf_sessions_complete(call, &result);
        return;
    }
    call->locks = call->locks && takes_lock(&call->operation);
    if (call->locks)
        call->operation.deadline_ms = hf_sessions_lock_deadline_ms(sessions);
    if (call->reads != NULL && hf_reads_late(call->reads, &call->operation, sessions->now_ms))
        call->operation.flags |= HF_OPERATION_LATE;
    call->backend = sessions->backend;
    call->backend->submit(call->backend->user, call);
}

static bool reads_value(const struct hf_operation *operation)
{
    return operation->kind == HF_OPERATION_GET || operation->kind == HF_OPERATION_HASH_GET ||
           operation->kind == HF_OPERATION_HASH_ALL;
}

void hf_sessions_complete(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct hf_sessions_counts *counts = &call->sessions->counts;
    call->pending = NULL;
    if (call->nested) {
        call->complete(call, result);
        return;
    }
    counts->statuses[result->status]++;
    if (reads_value(&call->operation)) {
        counts->hits += result->status == HF_OPERATION_OK;
        counts->misses += result->status == HF_OPERATION_MISSING;
    }
    if (call->reads != NULL)
        hf_reads_note(call->reads, &call->operation, result, call->sessions->now_ms);
    call->complete(call, result);
}

void hf_sessions_abandon(struct hf_sessions_call *call)
{
    if (call->pending == NULL)
        return;
    const struct hf_sessions_backend *backend = call->backend;
    REQUIRE(backend->abandon != NULL);
    backend->abandon(backend->user, call);
    call->pending = NULL;
}

/* ---- looking around ---- */

struct scan {
    const struct hf_sessions *sessions;
    const struct hf_sessions_scan *how;
};

static void visit_key(const struct scan *scan, const struct hf_store_record *record, unsigned index)
{
    char text[2 * HF_STORE_AFFIX_MAX + HF_STORE_ID_MAX];
    struct hf_writer writer = hf_writer(text, sizeof(text));
    struct hf_store_key key;
    const struct hf_store *store = scan->sessions->settings.store;
    uint64_t now_ms = scan->sessions->now_ms;
    if (!hf_store_key_at(store, record->id, record->id_hash, index, now_ms, &key))
        return;
    /* A hash is never empty. Unlike a get this leaves no trace of an access. */
    struct hf_store_cursor cursor = {0};
    struct hf_store_field field;
    bool hash = hf_store_hash_next(store, &key, now_ms, &cursor, &field);
    hf_writer_slice(&writer, key.prefix);
    hf_writer_slice(&writer, key.id);
    hf_writer_slice(&writer, key.suffix);
    REQUIRE(hf_writer_fits(&writer));
    scan->how->visit(scan->how->user, hf_slice(text, writer.size),
                     hash ? HF_STORE_HASH : HF_STORE_STRING);
}

static bool visit_record(void *user, const struct hf_store_record *record)
{
    const struct scan *scan = user;
    for (unsigned i = 0; record->state == HF_RECORD_OWNER && i < record->key_count; i++)
        visit_key(scan, record, i);
    return true;
}

void hf_sessions_scan(struct hf_sessions *sessions, uint64_t *cursor,
                      const struct hf_sessions_scan *how)
{
    struct scan scan = {sessions, how};
    struct hf_store_scan records = {.visit = visit_record,
                                    .user = &scan,
                                    .now_ms = sessions->now_ms,
                                    .count = how->count > 0 ? how->count : 1,
                                    .bucket = -1};
    hf_store_scan(sessions->settings.store, cursor, &records);
}

uint64_t hf_sessions_key_count(const struct hf_sessions *sessions)
{
    struct hf_store_stats stats;
    hf_store_stats(sessions->settings.store, &stats);
    return stats.keys;
}

void hf_sessions_each_pattern(const struct hf_sessions *sessions, hf_pattern_visit_fn visit,
                              void *user)
{
    hf_pattern_each(sessions->settings.patterns, visit, user);
}

uint64_t hf_sessions_lock_lease_ms(const struct hf_sessions *sessions)
{
    return sessions->settings.lock_lease_ms;
}

uint64_t hf_sessions_lock_deadline_ms(const struct hf_sessions *sessions)
{
    uint64_t lease_ms = sessions->settings.lock_lease_ms;
    return lease_ms > 0 ? hf_deadline_after(sessions->now_ms, lease_ms) : HF_DEADLINE_NEVER;
}

uint64_t hf_sessions_now_ms(const struct hf_sessions *sessions)
{
    return sessions->now_ms;
}

uint64_t hf_sessions_wall_ms(const struct hf_sessions *sessions)
{
    return sessions->wall_ms;
}

size_t hf_sessions_value_max(const struct hf_sessions *sessions)
{
    return sessions->settings.value_max;
}

const struct hf_sessions_counts *hf_sessions_counts(const struct hf_sessions *sessions)
{
    return &sessions->counts;
}

void hf_sessions_stats(const struct hf_sessions *sessions, struct hf_store_stats *ret_stats)
{
    hf_store_stats(sessions->settings.store, ret_stats);
}

size_t hf_sessions_memory_max(const struct hf_sessions *sessions)
{
    return sessions->settings.memory;
}

enum hf_store_full hf_sessions_when_full(const struct hf_sessions *sessions)
{
    return sessions->settings.when_full;
}

enum hf_operation_status hf_sessions_flush(struct hf_sessions *sessions)
{
    enum hf_operation_status status =
        sessions->flush_allowed ? HF_OPERATION_OK : HF_OPERATION_DENIED;
    sessions->counts.statuses[status]++;
    if (sessions->flush_allowed)
        hf_store_clear(sessions->settings.store);
    return status;
}

void hf_sessions_allow_flush(struct hf_sessions *sessions, bool allowed)
{
    REQUIRE(!allowed || sessions->backend->user == sessions); /* the local one's */
    sessions->flush_allowed = allowed;
}

/* ---- life ---- */

int hf_sessions_new(const struct hf_sessions_settings *settings, struct hf_sessions **ret_sessions)
{
    struct hf_sessions *sessions = calloc(1, sizeof(*sessions));
    if (sessions == NULL)
        return -ENOMEM;
    sessions->magic = SESSIONS_MAGIC;
    sessions->settings = *settings;
    if (sessions->settings.value_max == 0)
        sessions->settings.value_max = HF_STORE_VALUE_MAX;
    sessions->local =
        (struct hf_sessions_backend){.name = "local", .user = sessions, .submit = submit_local};
    sessions->first = settings->backend != NULL ? *settings->backend : sessions->local;
    sessions->backend = &sessions->first;
    *ret_sessions = sessions;
    return 0;
}

void hf_sessions_free(struct hf_sessions **sessions)
{
    if (*sessions == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(*sessions, SESSIONS_MAGIC));
    hf_bytes_clear(NULL, &(*sessions)->scratch);
    (*sessions)->magic = 0;
    free(*sessions);
    *sessions = NULL;
}

void hf_sessions_set_backend(struct hf_sessions *sessions,
                             const struct hf_sessions_backend *backend)
{
    sessions->backend = backend != NULL ? backend : &sessions->first;
}

void hf_sessions_set_first(struct hf_sessions *sessions, const struct hf_sessions_backend *backend)
{
    sessions->first = backend != NULL ? *backend : sessions->local;
}

void hf_sessions_set_time(struct hf_sessions *sessions, uint64_t now_ms, uint64_t wall_ms)
{
    sessions->now_ms = now_ms;
    sessions->wall_ms = wall_ms;
}

int hf_sessions_set_limit(struct hf_sessions *sessions, size_t memory, enum hf_store_full full)
{
    int result = hf_store_limit(sessions->settings.store, memory, full);
    if (result != 0)
        return result;
    sessions->settings.memory = memory;
    sessions->settings.when_full = full;
    return 0;
}
