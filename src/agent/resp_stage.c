/* Bytes that have to be whole before they are sent or used: they grow on the heap, up to a bound.
 */
#include "agent/resp_client.h"
#include <stdlib.h>

enum { STAGE_SIZE_MIN = 1024 };

bool hf_resp_stage_reserve(struct hf_resp_stage *stage, size_t size)
{
    size_t needed = stage->size + size, room = stage->room * 2;
    if (stage->failed || needed > HF_RESP_FRONT_STAGE_SIZE_MAX) {
        stage->failed = true;
        return false;
    }
    if (needed <= stage->room)
        return true;
    if (room < needed)
        room = needed < STAGE_SIZE_MIN ? STAGE_SIZE_MIN : needed;
    char *bytes = realloc(stage->bytes, room);
    if (bytes == NULL) {
        stage->failed = true;
        return false;
    }
    stage->bytes = bytes;
    stage->room = room;
    return true;
}

void hf_resp_stage_append(struct hf_resp_stage *stage, struct hf_slice bytes)
{
    if (bytes.size == 0 || !hf_resp_stage_reserve(stage, bytes.size))
        return;
    memcpy(stage->bytes + stage->size, bytes.bytes, bytes.size);
    stage->size += bytes.size;
}

void hf_resp_stage_bulk(struct hf_resp_stage *stage, struct hf_slice bytes)
{
    size_t room = bytes.size + HF_RESP_CLIENT_HEAD_ROOM;
    if (!hf_resp_stage_reserve(stage, room))
        return;
    struct hf_resp_out out = {.writer = hf_writer(stage->bytes + stage->size, room)};
    hf_resp_write_bulk(&out, bytes);
    stage->size += out.writer.size;
}

void hf_resp_stage_fini(struct hf_resp_stage *stage)
{
    free(stage->bytes);
    *stage = (struct hf_resp_stage){0};
}
