/* Whether a connection has read its session and found it alive: the write with which such a request
 * ends is a late one when the session was deleted meanwhile, and is dropped, also where ids may be
 * used again. A connection that saw the miss, or deleted the session itself, begins a new one.
 * That holds where a request has a connection of its own, as PHP's. One that has asked for two
 * sessions belongs to a pool: what it read says nothing about who writes on it, who may have seen
 * the delete on another. Threads: the loop's. Layer: agent. */
#pragma once
#include "agent/operation.h"

enum { HF_READS_MS = 2 * 60 * 1000 }; /* no request is expected to last longer */

struct hf_reads {               /* zeroed = none */
    uint64_t id_hash, until_ms; /* the session's; 0: it was not found alive, or that was used */
    bool seen, shared;          /* it has asked for a session; for several: nothing counts */
};

/* Looks at what came of an operation of the connection. */
void hf_reads_note(struct hf_reads *reads, const struct hf_operation *operation,
                   const struct hf_operation_result *result, uint64_t now_ms);
/* Whether the operation would be a late one, were its session deleted. */
bool hf_reads_late(const struct hf_reads *reads, const struct hf_operation *operation,
                   uint64_t now_ms);
