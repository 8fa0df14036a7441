#include "agent/reads.h"

/* Whether the connection has asked for no other session so far. */
static bool is_own(struct hf_reads *reads, uint64_t id_hash)
{
    reads->shared |= reads->seen && reads->id_hash != id_hash;
    reads->seen = true;
    reads->id_hash = id_hash;
    return !reads->shared;
}

static bool reads_session(const struct hf_operation *operation)
{
    bool gets_and_touches =
        operation->kind == HF_OPERATION_EXPIRE && operation->flags & HF_OPERATION_OLD_VALUE;
    return !hf_operation_writes(operation) || gets_and_touches;
}

void hf_reads_note(struct hf_reads *reads, const struct hf_operation *operation,
                   const struct hf_operation_result *result, uint64_t now_ms)
{
    bool reading = reads_session(operation), ok = result->status == HF_OPERATION_OK;
    bool alive = reading && ok;
    bool over = (!reading && ok) || result->status == HF_OPERATION_MISSING;
    if (!is_own(reads, operation->key.id_hash) || operation->key.satellite || (!alive && !over))
        return;
    reads->until_ms = alive ? now_ms + HF_READS_MS : 0;
}

bool hf_reads_late(const struct hf_reads *reads, const struct hf_operation *operation,
                   uint64_t now_ms)
{
    return reads->id_hash == operation->key.id_hash && !reads->shared && reads->until_ms > now_ms &&
           operation->when != HF_OPERATION_IF_NEW;
}
