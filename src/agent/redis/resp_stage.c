/* Bytes that have to be whole before they are sent or used: they grow on the heap, up to a bound.
 */
#include "agent/redis/resp_client.h"

bool hf_resp_stage_reserve(struct hf_resp_stage *stage, size_t size)
{
    size_t have = hf_bytes_size(&stage->bytes), most = HF_RESP_FRONT_STAGE_SIZE_MAX;
    if (size > most - have || !hf_bytes_reserve(NULL, &stage->bytes, size))
        stage->failed = true;
    return !stage->failed;
}

void hf_resp_stage_append(struct hf_resp_stage *stage, struct hf_slice bytes)
{
    if (hf_resp_stage_reserve(stage, bytes.size))
        hf_bytes_append(NULL, &stage->bytes, bytes);
}

void hf_resp_stage_bulk(struct hf_resp_stage *stage, struct hf_slice bytes)
{
    size_t room = bytes.size + HF_RESP_CLIENT_HEAD_ROOM;
    if (!hf_resp_stage_reserve(stage, room))
        return;
    struct hf_bytes *staged = &stage->bytes;
    struct hf_resp_out out = {.writer = hf_writer(staged->bytes + staged->end, room)};
    hf_resp_write_bulk(&out, bytes);
    staged->end += out.writer.size;
}

void hf_resp_stage_fini(struct hf_resp_stage *stage)
{
    hf_bytes_clear(NULL, &stage->bytes);
    stage->failed = false;
}
