/* Input: which node of how many we are, then two HELLO of two others. Both sides judge alike, but
 * for the number that each gives itself; what was proved to one HELLO is proved to no other, nor by
 * another key. */
#include "fabric/hello.h"
#include "fuzz.h"

static bool same(const struct hf_wire_message *a, const struct hf_wire_message *b)
{
    char first[128], second[128];
    size_t size = hf_wire_encode(a, first, sizeof(first));
    return size > 0 && hf_wire_encode(b, second, sizeof(second)) == size &&
           memcmp(first, second, size) == 0;
}

static bool read_hello(const char *bytes, size_t size, struct hf_wire_message *ret_hello,
                       size_t *ret_used)
{
    enum { FRAME_MAX = 64 };
    return hf_wire_decode(hf_slice(bytes, size), FRAME_MAX, ret_hello, ret_used) == HF_WIRE_DONE &&
           ret_hello->type == HF_WIRE_HELLO;
}

static void check_proofs(const struct hf_wire_message *a, const struct hf_wire_message *b)
{
    static const uint8_t key[HF_HELLO_KEY_SIZE] = {1}, other[HF_HELLO_KEY_SIZE] = {2};
    uint8_t proof[HF_WIRE_NONCE_SIZE];
    REQUIRE(hf_hello_prove(key, a, b, proof) == 0);
    REQUIRE(hf_hello_proved(key, a, b, proof) && !hf_hello_proved(other, a, b, proof));
    REQUIRE(hf_hello_proved(key, b, a, proof) == same(a, b));
    proof[0] ^= 1;
    REQUIRE(!hf_hello_proved(key, a, b, proof));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_wire_message first, second;
    size_t used = 0, more = 0;
    uint8_t here = 0, there = 0;
    if (size < 1)
        return 0;
    char *bytes = fuzz_copy(data + 1, size - 1);
    if (read_hello(bytes, size - 1, &first, &used) &&
        read_hello(bytes + used, size - 1 - used, &second, &more)) {
        unsigned count = data[0];
        enum hf_hello_verdict ours = hf_hello_judge(&first, &second, count, &here);
        enum hf_hello_verdict theirs = hf_hello_judge(&second, &first, count, &there);
        REQUIRE(ours < HF_HELLO_PROOF && hf_hello_reason(ours)[0] != '\0');
        if (ours == HF_HELLO_OK) {
            REQUIRE(second.node < count && second.node != first.node);
            REQUIRE(here >= first.protocol_min && here <= second.protocol_max);
        }
        if (ours == HF_HELLO_OK && theirs == HF_HELLO_OK)
            REQUIRE(here == there);
        check_proofs(&first, &second);
    }
    free(bytes);
    return 0;
}
