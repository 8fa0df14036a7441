/* Learns the application's own session ids from its answers: who sets one has the session. See
 * README.md. Keeps nothing itself; the table does. Threads: any. Layer: affinity. */
#pragma once
#include "affinity/affinity.h"

/* The session id that a request brings, or an empty slice. Borrowed from the head. */
struct hf_slice hf_learn_key(const struct hf_affinity *affinity, const struct hf_head *request);
/* The session id that an answer sets, or an empty slice. Borrowed from the head. */
struct hf_slice hf_learn_from(const struct hf_affinity *affinity, const struct hf_head *response);
