/* Whether a request has read its session and found it alive: the write with which it ends is a late
 * one when the session was deleted meanwhile, and is dropped, also where ids may be used again.
 * Known of a connection that does what PHP's does: it reads a session and then writes it, and that
 * is all. Whatever asks for more belongs to a pool: what it read says nothing about who writes on
 * it, who may have seen the delete on another. Threads: the loop's. Layer: agent. */
#pragma once
#include "agent/operation.h"

enum { HF_READS_MS = 2 * 60 * 1000 }; /* no request is expected to last longer */

struct hf_reads {               /* zeroed = none */
    uint64_t id_hash, until_ms; /* of the one read; 0: it was not the first, or found nothing */
    bool seen;                  /* the connection has asked for a session before */
};

/* Looks at what came of an operation of the connection. */
void hf_reads_note(struct hf_reads *reads, const struct hf_operation *operation,
                   const struct hf_operation_result *result, uint64_t now_ms);
/* Whether the operation would be a late one, were its session deleted. */
bool hf_reads_late(const struct hf_reads *reads, const struct hf_operation *operation,
                   uint64_t now_ms);
