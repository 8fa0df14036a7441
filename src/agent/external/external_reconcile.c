/* Dirty keys, and copies after the store began anew: what is written, and who wins. */
#include "agent/external/external_internal.h"
#include "base/assert.h"
#include "base/log.h"
#include <inttypes.h>

enum { WALK_RECORDS = 16, LOOKED_AT_MAX = 4 * HF_EXTERNAL_WINDOW };

/* ---- one key ---- */

static void compare(struct hf_external_key *key)
{
    const struct hf_remote_request request = {
        .kind = HF_REMOTE_LOAD, .hash = key->hash, .key = hf_slice(key->text, key->size)};
    key->external->catching++;
    key->step = HF_EXTERNAL_COMPARING;
    hf_remote_submit(key->external->remote, &key->remote, &request);
}

/* It is gone from memory and was not deleted: its time is over, or it had to make room. */
static bool is_lost(struct hf_external_key *key)
{
    struct hf_external *external = key->external;
    struct hf_store_value value;
    if (key->gone || hf_external_copy_get(key, &value))
        return false;
    if (hf_deadline_due(key->deadline_ms, hf_external_now_ms(external))) {
        key->gone = true; /* the store may have been told a later time */
        return false;
    }
    external->counts.lost += !key->restoring;
    return true;
}

/* At the end of the row: the others first. */
static void put_off(struct hf_external_key *key, const struct hf_remote_result *result)
{
    key->external->outage = true;
    hf_list_remove(&key->node);
    hf_list_push_back(&key->external->dirty, &key->node);
    key->compare = true;
    key->retry_ms =
        hf_external_now_ms(key->external) +
        (result->status == HF_REMOTE_MOVED ? HF_EXTERNAL_BEHIND_MS : HF_EXTERNAL_RETRY_MS);
}

static void catch_up(struct hf_external_key *key)
{
    key->external->catching++;
    key->step = HF_EXTERNAL_CATCHING;
    hf_external_copy_send(key, HF_REMOTE_ALWAYS);
}

void hf_external_reconcile(struct hf_external_key *key)
{
    struct hf_store_value value;
    if (is_lost(key)) {
        hf_external_key_clean(key);
        return;
    }
    if (!key->compare) {
        catch_up(key);
        return;
    }
    key->hash = hf_external_copy_get(key, &value) && value.kind == HF_STORE_HASH;
    key->turned = false;
    compare(key);
}

static uint64_t deadline_of(const struct hf_external_key *key,
                            const struct hf_remote_result *result)
{
    return result->ttl_ms == HF_REMOTE_NEVER
               ? HF_DEADLINE_NEVER
               : hf_deadline_after(hf_external_now_ms(key->external), result->ttl_ms);
}

/* Whether the store's is the later one of two that differ. */
static bool is_later(const struct hf_external_key *key, const struct hf_remote_result *result)
{
    struct hf_store_value value;
    uint64_t theirs_ms = deadline_of(key, result);
    if (!hf_external_copy_get(key, &value))
        return false; /* a deletion is final */
    return theirs_ms == value.deadline_ms ? key->restoring : theirs_ms > value.deadline_ms;
}

static void yield_to(struct hf_external_key *key, struct hf_remote_result *result)
{
    (void)hf_external_copy_put(key, result);
    hf_external_key_clean(key);
}

/* Both have the same value. */
static void agree(struct hf_external_key *key, struct hf_remote_result *result)
{
    struct hf_store_value value;
    uint64_t now_ms = hf_external_now_ms(key->external);
    uint64_t theirs_ms = deadline_of(key, result);
    bool there = hf_external_copy_get(key, &value);
    uint64_t ours_ms = there ? value.deadline_ms : theirs_ms;
    uint64_t apart_ms = ours_ms > theirs_ms ? ours_ms - theirs_ms : theirs_ms - ours_ms;
    if (key->restoring && there)
        yield_to(key, result);
    else if (apart_ms <= HF_DEADLINE_SLACK_MS || hf_deadline_due(ours_ms, now_ms))
        hf_external_key_clean(key);
    else
        catch_up(key);
}

/* The store has said what it has, or that it is of no kind we know. */
static void decide(struct hf_external_key *key, struct hf_remote_result *result)
{
    struct hf_external *external = key->external;
    if (is_lost(key)) {
        hf_external_key_clean(key);
        return;
    }
    bool alien = result->status == HF_REMOTE_WRONG_TYPE;
    uint64_t theirs = hf_external_result_digest(external, result);
    uint64_t ours = hf_external_copy_digest(key);
    if (theirs == ours && !alien) {
        agree(key, result);
        return;
    }
    bool expected = !alien && (theirs == 0 || theirs == key->base || theirs == key->tried);
    if (!expected && !alien && is_later(key, result)) {
        external->counts.yielded++;
        yield_to(key, result);
        return;
    }
    external->counts.won += !expected;
    external->counts.restored += !alien && theirs == 0 && key->base != 0;
    catch_up(key);
}

void hf_external_compared(struct hf_external_key *key, struct hf_remote_result *result)
{
    key->external->catching--;
    switch ((enum hf_remote_status)result->status) {
    case HF_REMOTE_OK:
    case HF_REMOTE_MISSING:
        decide(key, result);
        return;
    case HF_REMOTE_WRONG_TYPE:
        if (key->turned) {
            decide(key, result);
            return;
        }
        key->turned = true;
        key->hash = !key->hash;
        compare(key);
        return;
    case HF_REMOTE_MOVED:
    case HF_REMOTE_UNMET:
    case HF_REMOTE_REFUSED:
    case HF_REMOTE_FAILED:
    case HF_REMOTE_DOWN:
    case HF_REMOTE_STATUS_COUNT:
        break;
    }
    put_off(key, result);
}

void hf_external_caught(struct hf_external_key *key, const struct hf_remote_result *result)
{
    struct hf_external *external = key->external;
    external->catching--;
    if (result->status == HF_REMOTE_OK) {
        external->counts.written++;
        hf_external_key_clean(key);
        return;
    }
    if (result->status != HF_REMOTE_DOWN)
        key->tried = hf_external_copy_digest(key);
    put_off(key, result);
}

/* ---- all of them ---- */

static void start(struct hf_external_key *key)
{
    key->advancing = true;
    hf_external_reconcile(key);
    key->advancing = false;
    hf_external_advance(key);
}

/* A copy that the store had: does it still? */
void hf_external_key_restore(struct hf_external_key *key)
{
    hf_external_key_mark(key, true, hf_external_copy_digest(key));
    key->restoring = true;
}

struct walk {
    struct hf_external *external;
    struct hf_list found;
};

static void visit(void *user, struct hf_slice text, enum hf_store_kind kind)
{
    struct walk *walk = user;
    struct hf_pattern_match match;
    struct hf_external *external = walk->external;
    (void)kind;
    const struct hf_store_key parts = hf_sessions_match(external->sessions, text, &match);
    struct hf_external_key *key =
        hf_external_key_get(external, text, &parts, match.tomb == HF_PATTERN_TOMB_STRICT);
    if (key != NULL && !key->dirty && hf_list_empty(&key->node))
        hf_list_push_back(&walk->found, &key->node);
}

static void walk_on(struct hf_external *external)
{
    struct walk walk = {.external = external};
    const struct hf_sessions_scan how = {.visit = visit, .user = &walk, .count = WALK_RECORDS};
    hf_list_init(&walk.found);
    hf_sessions_scan(external->sessions, &external->walk, &how);
    external->walking = external->walk != 0;
    for (struct hf_list *node; (node = hf_list_pop_front(&walk.found)) != NULL;) {
        struct hf_external_key *key = hf_container_of(node, struct hf_external_key, node);
        if (key->step == HF_EXTERNAL_IDLE && !key->advancing) {
            hf_external_key_restore(key);
            start(key);
        }
    }
}

static void report_end(struct hf_external *external)
{
    const struct hf_external_counts *counts = &external->counts;
    if (!external->outage || external->walking || counts->dirty > 0 ||
        hf_remote_is_open(external->remote))
        return;
    external->outage = false;
    (void)hf_external_limit(external);
    hf_info("external store: reconciled; since the beginning %" PRIu64
            " keys were written late, %" PRIu64 " of them put back, %" PRIu64
            " conflicts won and %" PRIu64 " yielded",
            counts->written, counts->restored, counts->won, counts->yielded);
}

void hf_external_flush(struct hf_external *external)
{
    unsigned budget = LOOKED_AT_MAX;
    if (external->flushing)
        return;
    external->flushing = true;
    HF_LIST_EACH(&external->dirty, node)
    {
        struct hf_external_key *key = hf_container_of(node, struct hf_external_key, node);
        if (external->catching >= HF_EXTERNAL_WINDOW || budget-- == 0)
            break;
        if (key->step == HF_EXTERNAL_IDLE && !key->advancing && hf_external_asks(key))
            start(key);
    }
    while (external->walking && external->catching < HF_EXTERNAL_WINDOW &&
           !hf_remote_is_open(external->remote))
        walk_on(external);
    external->flushing = false;
    report_end(external);
}

void hf_external_changed(void *owner, enum hf_remote_change change)
{
    struct hf_external *external = owner;
    switch (change) {
    case HF_REMOTE_OPENED:
        external->outage = true;
        hf_error("external store: %s: sessions go on in this agent until it answers",
                 hf_remote_trouble(external->remote));
        break;
    case HF_REMOTE_OTHER: /* before the first call there are no copies */
        external->walking = external->sessions != NULL;
        external->walk = 0;
        external->outage = true;
        hf_warning("external store: it began anew, or is another one: every session that is held "
                   "here is compared with it, and put back if it is missing");
        break;
    case HF_REMOTE_CLOSED:
        hf_warning("external store: it answers; %" PRIu32 " keys are to be reconciled",
                   external->counts.dirty);
        HF_LIST_EACH(&external->dirty, node)
        hf_container_of(node, struct hf_external_key, node)->retry_ms = 0;
        hf_external_flush(external);
        break;
    }
}
