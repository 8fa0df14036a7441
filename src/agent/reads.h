/* Which sessions a connection has read and found alive: the write with which such a request ends is
 * a late one when the session was deleted meanwhile, and is dropped, also where ids may be used
 * again. That read is over with the first write, which ends a request; with a miss, whose reader
 * begins a new session; or with a delete of its own.
 * Exact where a request has a connection of its own, as PHP's, or uses one from its read to its
 * write. Threads: the loop's. Layer: agent. */
#pragma once
#include "agent/operation.h"

enum {
    HF_READS_MAX = 4,            /* sessions; the one read longest ago is forgotten */
    HF_READS_MS = 2 * 60 * 1000, /* no request is expected to last longer */
};

struct hf_reads { /* zeroed = none */
    struct {
        uint64_t id_hash, until_ms; /* until_ms 0: unused */
    } last[HF_READS_MAX];
};

/* Looks at what came of an operation of the connection. */
void hf_reads_note(struct hf_reads *reads, const struct hf_operation *operation,
                   const struct hf_operation_result *result, uint64_t now_ms);
/* Whether the operation would be a late one, were its session deleted. */
bool hf_reads_late(const struct hf_reads *reads, const struct hf_operation *operation,
                   uint64_t now_ms);
