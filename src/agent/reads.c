#include "agent/reads.h"

static unsigned find(const struct hf_reads *reads, uint64_t id_hash)
{
    unsigned i = 0;
    while (i < HF_READS_MAX && (reads->last[i].until_ms == 0 || reads->last[i].id_hash != id_hash))
        i++;
    return i;
}

static unsigned oldest(const struct hf_reads *reads)
{
    unsigned found = 0;
    for (unsigned i = 1; i < HF_READS_MAX; i++)
        if (reads->last[i].until_ms < reads->last[found].until_ms)
            found = i;
    return found;
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
    unsigned place = find(reads, operation->key.id_hash);
    if (operation->key.satellite || (!alive && !over))
        return;
    if (alive && place == HF_READS_MAX)
        place = oldest(reads);
    if (place == HF_READS_MAX)
        return;
    reads->last[place].id_hash = operation->key.id_hash;
    reads->last[place].until_ms = alive ? now_ms + HF_READS_MS : 0;
}

bool hf_reads_late(const struct hf_reads *reads, const struct hf_operation *operation,
                   uint64_t now_ms)
{
    unsigned place = find(reads, operation->key.id_hash);
    return place < HF_READS_MAX && reads->last[place].until_ms > now_ms &&
           operation->when != HF_OPERATION_IF_NEW;
}
