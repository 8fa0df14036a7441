#include "remote/cluster.h"
#include "fuzz.h"

/* Input: what a node of a cluster sends. As an error: where it sends us is a slot and an address.
 * As an answer that is well-formed: its ranges are ranges, no more than it has items. */

static const struct hf_resp_reply_limits limits = {
    .bulk_size_max = 1024, .reply_size_max = 64 * 1024, .items_max = 1000};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_resp_reply_parser parser = {0};
    struct hf_cluster_move move;
    struct hf_cluster_range range;
    size_t used = 0;
    unsigned count = 0;
    char *bytes = fuzz_copy(data, size);
    if (hf_cluster_parse_move(hf_slice(bytes, size), &move))
        REQUIRE(move.slot < HF_CLUSTER_SLOTS && move.address.size > 0);
    REQUIRE(hf_cluster_slot(hf_slice(bytes, size)) < HF_CLUSTER_SLOTS);
    if (hf_resp_parse_reply(&parser, bytes, size, &limits, &used) == HF_CODEC_DONE) {
        struct hf_cluster_cursor cursor = {.items = {.reply = hf_slice(bytes, used)}};
        while (hf_cluster_next_range(&cursor, &range)) {
            REQUIRE(range.first <= range.last && range.last < HF_CLUSTER_SLOTS);
            REQUIRE(range.address.size > 0 && ++count <= limits.items_max);
        }
    }
    free(bytes);
    return 0;
}
