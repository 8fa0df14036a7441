#include "fabric/wire.h"
#include "fuzz.h"

/* Input: bytes of a peer. A frame is taken only whole; what is taken has one spelling; lists inside
 * it end where it ends. */

static void check_lists(struct hf_slice bytes)
{
    struct hf_slice entries = bytes, sums = bytes;
    struct hf_wire_entry entry;
    uint16_t bucket;
    uint64_t sum;
    bool bad = false;
    size_t left = entries.size;
    while (hf_wire_get_entry(&entries, &entry, &bad)) {
        REQUIRE(entries.size < left && entry.id.size <= HF_WIRE_ID_MAX);
        left = entries.size;
    }
    REQUIRE(bad || entries.size == 0);
    while (hf_wire_get_sum(&sums, &bucket, &sum))
        REQUIRE(sums.size < bytes.size);
}

static void check_frame(const struct hf_wire_message *message, const char *frame, size_t used)
{
    char *again = malloc(used);
    REQUIRE(again != NULL && hf_wire_size(message) == used);
    REQUIRE(hf_wire_encode(message, again, used) == used);
    REQUIRE(memcmp(again, frame, used) == 0);
    free(again);
    check_lists(message->bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_copy(data, size);
    size_t at = 0, used = 0;
    struct hf_wire_message message;
    while (hf_wire_decode(hf_slice(bytes + at, size - at), HF_WIRE_FRAME_MAX, &message, &used) ==
           HF_WIRE_DONE) {
        REQUIRE(used >= HF_WIRE_HEAD_SIZE && used <= size - at && used <= HF_WIRE_FRAME_MAX);
        check_frame(&message, bytes + at, used);
        at += used;
    }
    free(bytes);
    return 0;
}
