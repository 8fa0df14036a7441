/* Locks of a connection that only it can end: a satellite key that it set where there was none,
 * without a deadline. When the connection dies they are deleted, if they still hold its value.
 * Where other agents hold copies, nobody would do so once this one is dead. There such a lock is a
 * lease (hf_sessions_settings.lock_lease_ms): it has a deadline after all, which is moved on three
 * times in its life as long as the connection stands.
 * Threads: the loop's. Layer: agent. */
#pragma once
#include "agent/sessions.h"
#include "base/list.h"
#include "base/timer.h"

enum { HF_LOCKS_RENEWALS = 3 }; /* tries in one lease */

struct hf_locks {
    struct hf_list list; /* of struct hf_lock, owned */
    unsigned count, max;
    struct hf_sessions *sessions; /* borrowed, as the next */
    struct hf_timer_wheel *timers;
    struct hf_timer timer; /* the next renewal */
};

/* Beyond `max` and without memory a lock is not noted: nothing but its owner ends it then. */
void hf_locks_init(struct hf_locks *locks, struct hf_sessions *sessions,
                   struct hf_timer_wheel *timers, unsigned max);
/* Whether one more would be noted. */
bool hf_locks_has_room(const struct hf_locks *locks);
/* Looks at a finished call of the connection: notes a lock, or forgets one that was deleted, set
 * anew or given a deadline. */
void hf_locks_note(struct hf_locks *locks, const struct hf_sessions_call *call,
                   const struct hf_operation_result *result);
/* Submits the deletions; leaves `locks` empty. */
void hf_locks_release(struct hf_locks *locks);
