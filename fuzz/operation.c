#include "agent/operation.h"
#include "base/assert.h"
#include "fuzz.h"

/* Input: an operation, then a result, as a peer might send them. What is taken encodes to bytes
 * that are taken again and encode to the same. */

enum { NOW_MS = 1000000, ROOM = 1 << 20, FIELD_ROOM = 64 };

static char encoded[2][ROOM];
static struct hf_slice fields[FIELD_ROOM];
static const struct hf_operation_room room = {fields, FIELD_ROOM};

static struct hf_slice encode(const struct hf_operation *operation, unsigned number)
{
    struct hf_writer writer = hf_writer(encoded[number], ROOM);
    hf_operation_encode(operation, NOW_MS, &writer);
    REQUIRE(hf_writer_fits(&writer));
    return hf_slice(encoded[number], writer.size);
}

static struct hf_slice encode_result(const struct hf_operation_result *result, unsigned number)
{
    struct hf_writer writer = hf_writer(encoded[number], ROOM);
    hf_operation_encode_result(result, NOW_MS, &writer);
    REQUIRE(hf_writer_fits(&writer));
    return hf_slice(encoded[number], writer.size);
}

static void try_operation(struct hf_slice bytes)
{
    struct hf_operation operation;
    if (!hf_operation_decode(bytes, NOW_MS, &room, &operation))
        return;
    struct hf_slice first = encode(&operation, 0);
    REQUIRE(first.size == bytes.size);
    REQUIRE(hf_operation_decode(first, NOW_MS, &room, &operation));
    REQUIRE(hf_slice_equal(first, encode(&operation, 1)));
}

static void try_result(struct hf_slice bytes)
{
    struct hf_operation_result result;
    if (!hf_operation_decode_result(bytes, NOW_MS, &result))
        return;
    struct hf_slice first = encode_result(&result, 0);
    REQUIRE(first.size == bytes.size);
    REQUIRE(hf_operation_decode_result(first, NOW_MS, &result));
    REQUIRE(hf_slice_equal(first, encode_result(&result, 1)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > ROOM)
        return 0;
    char *bytes = fuzz_copy(data, size);
    try_operation(hf_slice(bytes, size));
    try_result(hf_slice(bytes, size));
    free(bytes);
    return 0;
}
