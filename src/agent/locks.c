#include "agent/locks.h"
#include <stdlib.h>

struct hf_lock {
    struct hf_list node;
    struct hf_sessions_call call; /* of its release */
    size_t key_size, value_size;
    char texts[]; /* key, value */
};

void hf_locks_init(struct hf_locks *locks)
{
    *locks = (struct hf_locks){.count = 0};
    hf_list_init(&locks->list);
}

static struct hf_slice key_of(const struct hf_lock *lock)
{
    return hf_slice(lock->texts, lock->key_size);
}

static void forget(struct hf_locks *locks, struct hf_slice key)
{
    HF_LIST_EACH(&locks->list, node)
    {
        struct hf_lock *lock = hf_container_of(node, struct hf_lock, node);
        if (!hf_slice_equal(key_of(lock), key))
            continue;
        hf_list_remove(&lock->node);
        locks->count--;
        free(lock);
        return;
    }
}

static void note(struct hf_locks *locks, struct hf_slice key, struct hf_slice value)
{
    struct hf_lock *lock = malloc(sizeof(*lock) + key.size + value.size);
    if (lock == NULL)
        return;
    lock->key_size = key.size;
    lock->value_size = value.size;
    memcpy(lock->texts, key.bytes, key.size);
    if (value.size > 0)
        memcpy(lock->texts + key.size, value.bytes, value.size);
    hf_list_push_back(&locks->list, &lock->node);
    locks->count++;
}

void hf_locks_note(struct hf_locks *locks, const struct hf_sessions_call *call,
                   const struct hf_operation_result *result, unsigned max)
{
    const struct hf_operation *operation = &call->operation;
    bool sets = operation->kind == HF_OPERATION_SET;
    bool ends = operation->kind == HF_OPERATION_DELETE || operation->kind == HF_OPERATION_EXPIRE;
    if (result->status != HF_OPERATION_OK || (!sets && !ends))
        return;
    if (locks->count > 0)
        forget(locks, call->key);
    bool lock = sets && operation->when == HF_OPERATION_IF_NEW && operation->key.satellite &&
                operation->deadline_ms == HF_DEADLINE_NEVER;
    if (lock && locks->count < max)
        note(locks, call->key, operation->value);
}

static void released(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    (void)result; /* whoever holds the key now, it is no longer this connection */
    free(hf_container_of(call, struct hf_lock, call));
}

void hf_locks_release(struct hf_locks *locks, struct hf_sessions *sessions)
{
    for (struct hf_list *node; (node = hf_list_pop_front(&locks->list)) != NULL;) {
        struct hf_lock *lock = hf_container_of(node, struct hf_lock, node);
        lock->call = (struct hf_sessions_call){
            .key = key_of(lock),
            .operation = {.kind = HF_OPERATION_DELETE,
                          .when = HF_OPERATION_IF_EQUAL,
                          .match = hf_slice(lock->texts + lock->key_size, lock->value_size)},
            .complete = released,
        };
        hf_sessions_submit(sessions, &lock->call);
    }
    locks->count = 0;
}
