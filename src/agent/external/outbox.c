#include "agent/external/outbox_internal.h"
#include "base/assert.h"
#include "base/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { WALK_RECORDS = 16, WALKS = 64, LOOKED_AT_MAX = 4 * HF_EXTERNAL_WINDOW };

/* ---- what the owner executes ---- */

static bool is_full(const struct hf_outbox *outbox, const struct hf_outbox_key *key)
{
    return (key == NULL || !key->dirty) && outbox->counts.dirty >= outbox->settings.dirty_max;
}

static bool is_away(const struct hf_outbox *outbox, const struct hf_store_key *key)
{
    char bytes[2 * HF_STORE_AFFIX_MAX + HF_STORE_ID_MAX];
    struct hf_writer text = hf_writer(bytes, sizeof(bytes));
    hf_writer_slice(&text, key->prefix);
    hf_writer_slice(&text, key->id);
    hf_writer_slice(&text, key->suffix);
    return hf_remote_is_away(outbox->settings.remote, hf_slice(bytes, text.size));
}

/* A session whose ids are never used again ends with all its keys. */
static void note_siblings(struct hf_outbox *outbox, const struct hf_operation *operation)
{
    struct hf_store_key other;
    uint64_t now_ms = hf_outbox_now_ms(outbox);
    if (!(operation->flags & HF_OPERATION_STRICT) || operation->key.satellite)
        return;
    for (unsigned i = 0; i < HF_STORE_KEYS_MAX; i++) {
        if (!hf_store_key_at(outbox->settings.store, operation->key.id, operation->key.id_hash, i,
                             now_ms, &other))
            continue;
        struct hf_outbox_key *key = hf_outbox_get(outbox, &other);
        if (key != NULL)
            outbox->siblings[outbox->sibling_count++] = key;
    }
}

static bool is_idle(const struct hf_outbox_key *key)
{
    return !key->dirty && key->step == HF_OUTBOX_WAITING && hf_list_empty(&key->node);
}

static enum hf_operation_status admit(void *user, const struct hf_operation *operation)
{
    struct hf_outbox *outbox = user;
    struct hf_outbox_key *key = hf_outbox_find(outbox, &operation->key);
    if (operation->flags & HF_OPERATION_ADOPTS)
        return key != NULL && key->gone ? HF_OPERATION_DROPPED : HF_OPERATION_OK;
    if (!hf_operation_writes(operation))
        return HF_OPERATION_OK;
    if (is_full(outbox, key) && outbox->settings.writing != HF_OUTBOX_DELETES &&
        is_away(outbox, &operation->key)) {
        outbox->counts.refused++;
        return HF_OPERATION_FULL;
    }
    if (operation->kind == HF_OPERATION_DELETE || operation->kind == HF_OPERATION_HASH_DELETE)
        note_siblings(outbox, operation);
    return HF_OPERATION_OK;
}

static void mark(struct hf_outbox_key *key, bool whole)
{
    struct hf_outbox *outbox = key->outbox;
    struct hf_store_value value;
    bool there = hf_store_get(outbox->settings.store, &key->key, hf_outbox_now_ms(outbox),
                              &value) == HF_STORE_OK;
    key->gone = !there;
    key->doubtful = false;
    key->whole |= whole;
    if (there)
        key->deadline_ms = value.deadline_ms;
    key->version++;
    hf_outbox_key_dirty(key);
    if (key->step == HF_OUTBOX_WAITING)
        hf_list_remove(&key->node);
}

static void queue(struct hf_outbox_key *key, struct hf_fabric_op *op)
{
    struct hf_outbox *outbox = key->outbox;
    enum hf_outbox_writing writing = outbox->settings.writing;
    bool away = hf_remote_is_away(outbox->settings.remote, hf_slice(key->text, key->size));
    bool untold = writing == HF_OUTBOX_DELETES && !key->gone; /* forgotten in its turn */
    bool later = untold || (writing == HF_OUTBOX_BEHIND &&
                            outbox->counts.dirty <= outbox->settings.dirty_max);
    outbox->counts.kept += away && !untold;
    if (away && !untold)
        hf_outbox_key_owe(key);
    if (op != NULL && !away && !later)
        hf_outbox_hold(key, op);
    if (key->step != HF_OUTBOX_WAITING)
        return; /* told when that is over */
    if (away || later)
        hf_outbox_key_wait(key, 0);
    else
        hf_list_push_back(&outbox->ready, &key->node);
}

static void mark_siblings(struct hf_outbox *outbox, const struct hf_store_change *change,
                          const struct hf_outbox_key *but)
{
    for (unsigned i = 0; i < outbox->sibling_count; i++) {
        struct hf_outbox_key *key = outbox->siblings[i];
        struct hf_store_value value;
        bool there = hf_store_get(outbox->settings.store, &key->key, hf_outbox_now_ms(outbox),
                                  &value) == HF_STORE_OK;
        if (key == but)
            continue;
        if (!there && change->effect == HF_STORE_TOMBED) {
            mark(key, true);
            queue(key, NULL);
        } else if (is_idle(key)) {
            hf_outbox_key_free(key);
        }
    }
    outbox->sibling_count = 0;
}

static void changed(void *user, struct hf_fabric_op *op, const struct hf_operation *operation,
                    const struct hf_store_change *change)
{
    struct hf_outbox *outbox = user;
    if (operation->flags & HF_OPERATION_ADOPTS)
        return; /* it comes from there */
    if (change->effect == HF_STORE_NOTHING) {
        mark_siblings(outbox, change, NULL);
        return;
    }
    struct hf_outbox_key *key = hf_outbox_get(outbox, &operation->key);
    bool owes = key != NULL && key->dirty;
    if (key != NULL)
        mark(key, change->effect != HF_STORE_DEADLINE);
    if (key != NULL && outbox->settings.writing == HF_OUTBOX_DELETES && !owes && !key->gone)
        hf_outbox_key_forget(key); /* nothing to tell, nothing under way */
    else if (key != NULL)
        queue(key, op);
    mark_siblings(outbox, change, key);
}

/* ---- what it takes over ---- */

static void take(struct hf_outbox *outbox, const struct hf_store_key *parts)
{
    struct hf_outbox_key *key = hf_outbox_find(outbox, parts);
    if (is_full(outbox, key)) {
        outbox->walking = true; /* what finds no place is found by walking */
        outbox->walk = 0;
        return;
    }
    if (key == NULL)
        key = hf_outbox_get(outbox, parts);
    if (key == NULL)
        return;
    key->again_ms = hf_outbox_now_ms(outbox) + HF_OUTBOX_AGAIN_MS;
    mark(key, true); /* what was known of it is of an earlier term */
    if (key->step != HF_OUTBOX_WAITING)
        return; /* written after that, and then again */
    if (hf_list_empty(&key->tickets))
        hf_outbox_key_wait(key, key->again_ms);
    else
        hf_list_push_back(&outbox->ready, &key->node);
}

static void owned(void *user, struct hf_slice id, uint64_t id_hash)
{
    struct hf_outbox *outbox = user;
    struct hf_store_key key;
    if (outbox->settings.writing == HF_OUTBOX_DELETES)
        return;
    for (unsigned i = 0; i < HF_STORE_KEYS_MAX; i++)
        if (hf_store_key_at(outbox->settings.store, id, id_hash, i, hf_outbox_now_ms(outbox), &key))
            take(outbox, &key);
}

void hf_outbox_delete(struct hf_outbox *outbox, const struct hf_store_key *parts)
{
    struct hf_outbox_key *key = hf_outbox_find(outbox, parts);
    if (key != NULL || is_full(outbox, NULL))
        return;
    key = hf_outbox_get(outbox, parts);
    if (key == NULL)
        return;
    key->gone = true;
    hf_outbox_key_dirty(key);
    hf_outbox_key_wait(key, hf_outbox_now_ms(outbox));
}

/* ---- everything that is owned ---- */

static void visit(void *user, struct hf_slice text, enum hf_store_kind kind)
{
    struct hf_outbox *outbox = user;
    struct hf_pattern_match match;
    (void)kind;
    const struct hf_store_key parts = hf_sessions_match(outbox->settings.sessions, text, &match);
    struct hf_outbox_key *key = hf_outbox_get(outbox, &parts);
    if (key == NULL || key->dirty || key->step != HF_OUTBOX_WAITING)
        return;
    mark(key, true);
    hf_outbox_key_owe(key);
    hf_outbox_key_wait(key, hf_outbox_now_ms(outbox));
}

static void walk_on(struct hf_outbox *outbox)
{
    const struct hf_sessions_scan how = {.visit = visit, .user = outbox, .count = WALK_RECORDS};
    hf_sessions_scan(outbox->settings.sessions, &outbox->walk, &how);
    outbox->walking = outbox->walk != 0;
}

static void walk_anew(struct hf_outbox *outbox)
{
    outbox->walking = outbox->settings.writing != HF_OUTBOX_DELETES;
    outbox->walk = 0;
    outbox->outage = true;
}

void hf_outbox_peer_back(struct hf_outbox *outbox)
{
    outbox->reunion_ms = hf_outbox_now_ms(outbox) + HF_OUTBOX_REUNION_MS;
}

static void report_end(struct hf_outbox *outbox)
{
    const struct hf_external_counts *counts = &outbox->counts;
    if (!outbox->outage || outbox->walking || outbox->tombing || outbox->owed > 0 ||
        hf_remote_is_open(outbox->settings.remote))
        return;
    outbox->outage = false;
    bool writes = outbox->settings.writing != HF_OUTBOX_DELETES;
    hf_info("external store: %s; since the beginning %" PRIu64 " keys were written late",
            writes ? "it has all that this agent owns" : "nothing is left to be deleted there",
            counts->written);
}

/* ---- sending ---- */

static void send_waiting(struct hf_outbox *outbox, unsigned budget)
{
    uint64_t now_ms = hf_outbox_now_ms(outbox);
    struct hf_list seen;
    hf_list_init(&seen);
    while (budget-- > 0 && outbox->window < HF_EXTERNAL_WINDOW) {
        struct hf_list *node = hf_list_pop_front(&outbox->waiting);
        if (node == NULL)
            break;
        struct hf_outbox_key *key = hf_container_of(node, struct hf_outbox_key, node);
        bool away = hf_remote_is_away(outbox->settings.remote, hf_slice(key->text, key->size));
        if (away || key->due_ms > now_ms) {
            hf_list_push_back(&seen, node);
            continue;
        }
        key->late = true;
        hf_outbox_send(key);
    }
    hf_list_splice_back(&outbox->waiting, &seen);
}

static bool may_walk(const struct hf_outbox *outbox)
{
    return (outbox->walking || outbox->tombing) && outbox->window < HF_EXTERNAL_WINDOW &&
           outbox->counts.dirty < outbox->settings.dirty_max &&
           !hf_remote_is_open(outbox->settings.remote);
}

void hf_outbox_flush(struct hf_outbox *outbox)
{
    if (outbox->flushing)
        return;
    outbox->flushing = true;
    send_waiting(outbox, LOOKED_AT_MAX);
    for (unsigned i = 0; i < WALKS && may_walk(outbox); i++) {
        if (outbox->walking)
            walk_on(outbox);
        else
            hf_outbox_tombs_on(outbox);
        send_waiting(outbox, LOOKED_AT_MAX);
    }
    outbox->flushing = false;
    report_end(outbox);
}

void hf_outbox_turn(struct hf_outbox *outbox)
{
    struct hf_list *node;
    while ((node = hf_list_pop_front(&outbox->ready)) != NULL)
        hf_outbox_send(hf_container_of(node, struct hf_outbox_key, node));
}

static void flush_expired(struct hf_timer *timer)
{
    struct hf_outbox *outbox = hf_container_of(timer, struct hf_outbox, flush);
    uint64_t now_ms = hf_outbox_now_ms(outbox);
    hf_timer_set(hf_loop_timers(outbox->settings.loop), timer, now_ms + HF_OUTBOX_FLUSH_MS / 2);
    hf_outbox_let_go_late(outbox);
    if (outbox->reunion_ms != 0 && outbox->reunion_ms <= now_ms) {
        outbox->reunion_ms = 0;
        walk_anew(outbox);
    }
    while (!hf_list_empty(&outbox->lingering)) {
        struct hf_outbox_key *key =
            hf_container_of(outbox->lingering.next, struct hf_outbox_key, node);
        if (key->due_ms > now_ms)
            break;
        hf_outbox_key_free(key);
    }
    hf_outbox_flush(outbox);
}

void hf_outbox_store_changed(struct hf_outbox *outbox, enum hf_remote_change change)
{
    switch (change) {
    case HF_REMOTE_OPENED:
        outbox->outage = true;
        if (outbox->opened_ms == 0)
            outbox->opened_ms = hf_outbox_now_ms(outbox);
        hf_error("external store: %s: sessions go on in the agents until it answers",
                 hf_remote_trouble(outbox->settings.remote));
        break;
    case HF_REMOTE_OTHER:
        hf_warning("external store: it began anew, or is another one: every session that this "
                   "agent owns is written to it");
        walk_anew(outbox);
        break;
    case HF_REMOTE_CLOSED:
        hf_warning("external store: it answers; %" PRIu32 " keys are to be written",
                   outbox->counts.dirty);
        HF_LIST_EACH(&outbox->waiting, node)
        hf_container_of(node, struct hf_outbox_key, node)->due_ms = 0;
        if (outbox->opened_ms != 0)
            hf_outbox_tombs_since(outbox, outbox->opened_ms - HF_OUTBOX_TOMBS_MS);
        outbox->opened_ms = 0;
        hf_outbox_flush(outbox);
        break;
    }
    hf_outbox_limit(outbox);
}

/* ---- life ---- */

void hf_outbox_set_memory(struct hf_outbox *outbox, size_t memory, enum hf_store_full when_full)
{
    outbox->settings.when_full = when_full;
    outbox->settings.memory = memory;
    hf_outbox_limit(outbox);
}

void hf_outbox_set_writing(struct hf_outbox *outbox, enum hf_outbox_writing writing)
{
    bool begins = outbox->settings.writing == HF_OUTBOX_DELETES && writing != HF_OUTBOX_DELETES;
    outbox->settings.writing = writing;
    if (begins || writing == HF_OUTBOX_DELETES)
        walk_anew(outbox);
    hf_outbox_limit(outbox);
}

void hf_outbox_leave(struct hf_outbox *outbox)
{
    HF_LIST_EACH(&outbox->waiting, node)
    {
        struct hf_outbox_key *key = hf_container_of(node, struct hf_outbox_key, node);
        struct hf_store_value value;
        enum hf_store_status status =
            hf_store_get(outbox->settings.store, &key->key, hf_outbox_now_ms(outbox), &value);
        if (!key->gone && status == HF_STORE_NOT_OWNER && hf_list_empty(&key->tickets))
            hf_outbox_key_forget(key);
    }
}

struct hf_external_counts *hf_outbox_counts(struct hf_outbox *outbox)
{
    return &outbox->counts;
}

int hf_outbox_new(const struct hf_outbox_settings *settings, struct hf_outbox **ret_outbox)
{
    struct hf_outbox *outbox = calloc(1, sizeof(*outbox));
    if (outbox == NULL)
        return -ENOMEM;
    outbox->magic = HF_OUTBOX_MAGIC;
    outbox->settings = *settings;
    outbox->hooks = (struct hf_replicated_hooks){
        .user = outbox, .admit = admit, .changed = changed, .hold = hf_outbox_held, .owned = owned};
    outbox->inner = hf_replicated_backend(settings->replicated);
    hf_list_init(&outbox->ready);
    hf_list_init(&outbox->waiting);
    hf_list_init(&outbox->lingering);
    hf_list_init(&outbox->tickets);
    hf_list_init(&outbox->stored);
    outbox->flush.expired = flush_expired;
    outbox->buckets = calloc(HF_OUTBOX_BUCKETS, sizeof(struct hf_outbox_key *));
    if (outbox->buckets == NULL) {
        free(outbox);
        return -ENOMEM;
    }
    walk_anew(outbox); /* what is owned already */
    outbox->outage = hf_sessions_key_count(settings->sessions) > 0;
    hf_outbox_limit(outbox);
    hf_replicated_set_hooks(settings->replicated, &outbox->hooks);
    hf_timer_set(hf_loop_timers(settings->loop), &outbox->flush,
                 hf_outbox_now_ms(outbox) + HF_OUTBOX_FLUSH_MS);
    *ret_outbox = outbox;
    return 0;
}

static void free_key(struct hf_outbox_key *key)
{
    if (key->step == HF_OUTBOX_CHECKING)
        key->outbox->inner.abandon(key->outbox->inner.user, &key->check);
    hf_list_remove(&key->node);
    free(key);
}

void hf_outbox_free(struct hf_outbox **outbox)
{
    struct hf_outbox *gone = *outbox;
    *outbox = NULL;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, HF_OUTBOX_MAGIC));
    hf_timer_cancel(hf_loop_timers(gone->settings.loop), &gone->flush);
    hf_replicated_set_hooks(gone->settings.replicated, NULL);
    hf_outbox_let_go_all(gone);
    for (unsigned i = 0; i < HF_OUTBOX_BUCKETS; i++)
        for (struct hf_outbox_key *key; (key = gone->buckets[i]) != NULL;) {
            gone->buckets[i] = key->next;
            free_key(key);
        }
    free(gone->buckets);
    gone->magic = 0;
    free(gone);
}
