#include "agent/reads.h"

static bool reads_session(const struct hf_operation *operation)
{
    bool gets_and_touches =
        operation->kind == HF_OPERATION_EXPIRE && operation->flags & HF_OPERATION_OLD_VALUE;
    return !hf_operation_writes(operation) || gets_and_touches;
}

void hf_reads_note(struct hf_reads *reads, const struct hf_operation *operation,
                   const struct hf_operation_result *result, uint64_t now_ms)
{
    bool alive = reads_session(operation) && result->status == HF_OPERATION_OK;
    if (operation->key.satellite)
        return; /* a lock before the read */
    reads->until_ms = alive && !reads->seen ? now_ms + HF_READS_MS : 0;
    reads->id_hash = operation->key.id_hash;
    reads->seen = true;
}

bool hf_reads_late(const struct hf_reads *reads, const struct hf_operation *operation,
                   uint64_t now_ms)
{
    return reads->id_hash == operation->key.id_hash && reads->until_ms > now_ms &&
           operation->when != HF_OPERATION_IF_NEW;
}
