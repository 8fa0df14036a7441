/* Locks of a connection that only it can end: a satellite key that it set where there was none,
 * without a deadline. When the connection dies they are deleted, if they still hold its value.
 * Threads: the loop's. Layer: agent. */
#pragma once
#include "agent/sessions.h"
#include "base/list.h"

struct hf_locks {
    struct hf_list list; /* of struct hf_lock, owned */
    unsigned count;
};

void hf_locks_init(struct hf_locks *locks);
/* Looks at a finished call of the connection: notes a lock, or forgets one that was deleted, set
 * anew or given a deadline. Beyond `max` and without memory a lock is not noted: nothing but its
 * owner ends it then. */
void hf_locks_note(struct hf_locks *locks, const struct hf_sessions_call *call,
                   const struct hf_operation_result *result, unsigned max);
/* Submits the deletions; leaves `locks` empty. */
void hf_locks_release(struct hf_locks *locks, struct hf_sessions *sessions);
