#include "agent/locks.h"
#include <stdlib.h>

struct hf_lock {
    struct hf_list node;
    struct hf_locks *locks; /* NULL: it is none of its connection's any more */
    struct hf_sessions_call renewal, release;
    bool renewing, releasing; /* the call is under way */
    size_t key_size, value_size;
    char texts[]; /* key, value */
};

static void renew_all(struct hf_timer *timer);

void hf_locks_init(struct hf_locks *locks, struct hf_sessions *sessions,
                   struct hf_timer_wheel *timers, unsigned max)
{
    *locks = (struct hf_locks){.max = max, .sessions = sessions, .timers = timers};
    locks->timer.expired = renew_all;
    hf_list_init(&locks->list);
}

bool hf_locks_has_room(const struct hf_locks *locks)
{
    return locks->count < locks->max;
}

static struct hf_slice key_of(const struct hf_lock *lock)
{
    return hf_slice(lock->texts, lock->key_size);
}

/* With the last that needs it. */
static void free_unused(struct hf_lock *lock)
{
    if (lock->locks == NULL && !lock->renewing && !lock->releasing)
        free(lock);
}

static void let_go(struct hf_lock *lock)
{
    hf_list_remove(&lock->node);
    lock->locks->count--;
    lock->locks = NULL;
    free_unused(lock);
}

static void forget(struct hf_locks *locks, struct hf_slice key)
{
    HF_LIST_EACH(&locks->list, node)
    {
        struct hf_lock *lock = hf_container_of(node, struct hf_lock, node);
        if (!hf_slice_equal(key_of(lock), key))
            continue;
        let_go(lock);
        return;
    }
}

static void await_renewal(struct hf_locks *locks)
{
    uint64_t lease_ms = hf_sessions_lock_lease_ms(locks->sessions);
    if (lease_ms > 0 && locks->count > 0 && !hf_timer_armed(&locks->timer))
        hf_timer_set(locks->timers, &locks->timer,
                     hf_sessions_now_ms(locks->sessions) + lease_ms / HF_LOCKS_RENEWALS);
}

static void note(struct hf_locks *locks, struct hf_slice key, struct hf_slice value)
{
    struct hf_lock *lock = calloc(1, sizeof(*lock) + key.size + value.size);
    if (lock == NULL)
        return;
    lock->locks = locks;
    lock->key_size = key.size;
    lock->value_size = value.size;
    memcpy(lock->texts, key.bytes, key.size);
    if (value.size > 0)
        memcpy(lock->texts + key.size, value.bytes, value.size);
    hf_list_push_back(&locks->list, &lock->node);
    locks->count++;
    await_renewal(locks);
}

void hf_locks_note(struct hf_locks *locks, const struct hf_sessions_call *call,
                   const struct hf_operation_result *result)
{
    const struct hf_operation *operation = &call->operation;
    bool sets = operation->kind == HF_OPERATION_SET;
    bool ends = operation->kind == HF_OPERATION_DELETE || operation->kind == HF_OPERATION_EXPIRE;
    if (result->status != HF_OPERATION_OK || (!sets && !ends))
        return;
    if (locks->count > 0)
        forget(locks, call->key);
    if (call->locks && hf_locks_has_room(locks))
        note(locks, call->key, operation->value);
}

/* Of the key if it still holds the value of this connection. */
static struct hf_sessions_call call_of(struct hf_lock *lock, enum hf_operation_kind kind,
                                       hf_sessions_complete_fn complete)
{
    return (struct hf_sessions_call){
        .key = key_of(lock),
        .operation = {.kind = (uint8_t)kind,
                      .when = HF_OPERATION_IF_EQUAL,
                      .match = hf_slice(lock->texts + lock->key_size, lock->value_size)},
        .complete = complete,
    };
}

static void released(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct hf_lock *lock = hf_container_of(call, struct hf_lock, release);
    (void)result; /* whoever holds the key now, it is no longer this connection */
    lock->releasing = false;
    free_unused(lock);
}

static void renewed(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct hf_lock *lock = hf_container_of(call, struct hf_lock, renewal);
    bool lost = result->status == HF_OPERATION_MISSING || result->status == HF_OPERATION_MISMATCH;
    lock->renewing = false;
    if (lost && lock->locks != NULL)
        let_go(lock);
    else
        free_unused(lock);
}

static void renew(struct hf_locks *locks, struct hf_lock *lock)
{
    if (lock->renewing)
        return;
    lock->renewing = true;
    lock->renewal = call_of(lock, HF_OPERATION_EXPIRE, renewed);
    lock->renewal.operation.deadline_ms = hf_sessions_lock_deadline_ms(locks->sessions);
    hf_sessions_submit(locks->sessions, &lock->renewal);
}

static void renew_all(struct hf_timer *timer)
{
    struct hf_locks *locks = hf_container_of(timer, struct hf_locks, timer);
    struct hf_list due, *node;
    hf_list_init(&due);
    hf_list_splice_back(&due, &locks->list);
    while ((node = hf_list_pop_front(&due)) != NULL) {
        hf_list_push_back(&locks->list, node);
        renew(locks, hf_container_of(node, struct hf_lock, node));
    }
    await_renewal(locks);
}

void hf_locks_release(struct hf_locks *locks)
{
    hf_timer_cancel(locks->timers, &locks->timer);
    for (struct hf_list *node; (node = hf_list_pop_front(&locks->list)) != NULL;) {
        struct hf_lock *lock = hf_container_of(node, struct hf_lock, node);
        lock->locks = NULL;
        lock->releasing = true;
        lock->release = call_of(lock, HF_OPERATION_DELETE, released);
        hf_sessions_submit(locks->sessions, &lock->release);
    }
    locks->count = 0;
}
