#include "fabric/hello.h"
#include "base/assert.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>

const char *hf_hello_reason(enum hf_hello_verdict verdict)
{
    static const char *const reasons[HF_HELLO_VERDICTS] = {
        [HF_HELLO_OK] = "accepted",
        [HF_HELLO_PROTOCOL] = "no common version of the peer protocol",
        [HF_HELLO_LIST] = "another list of nodes is configured there",
        [HF_HELLO_NODE] = "it claims a node number that is not its own",
        [HF_HELLO_PROOF] = "the peer key differs",
        [HF_HELLO_NAMESAKE] = "another process of that name is linked",
    };
    REQUIRE(verdict < HF_HELLO_VERDICTS);
    return reasons[verdict];
}

enum hf_hello_verdict hf_hello_judge(const struct hf_wire_message *ours,
                                     const struct hf_wire_message *theirs, unsigned node_count,
                                     uint8_t *ret_protocol)
{
    uint8_t most =
        ours->protocol_max < theirs->protocol_max ? ours->protocol_max : theirs->protocol_max;
    if (theirs->protocol_min > theirs->protocol_max || most < ours->protocol_min ||
        most < theirs->protocol_min)
        return HF_HELLO_PROTOCOL;
    if (theirs->list != ours->list)
        return HF_HELLO_LIST;
    if (theirs->node >= node_count || theirs->node == ours->node)
        return HF_HELLO_NODE;
    *ret_protocol = most;
    return HF_HELLO_OK;
}

int hf_hello_prove(const uint8_t key[HF_HELLO_KEY_SIZE], const struct hf_wire_message *prover,
                   const struct hf_wire_message *verifier, uint8_t ret_proof[HF_WIRE_NONCE_SIZE])
{
    enum { HELLO_MAX = 128 };
    static const uint8_t no_nonce[HF_WIRE_NONCE_SIZE];
    char text[2 * HELLO_MAX];
    struct hf_wire_message own = *prover;
    if (own.type == HF_WIRE_TELLER) /* its nonce is the proof */
        memcpy(own.nonce, no_nonce, sizeof(own.nonce));
    size_t size = hf_wire_encode(&own, text, HELLO_MAX);
    REQUIRE((own.type == HF_WIRE_HELLO || own.type == HF_WIRE_TELLER) && size > 0);
    REQUIRE(verifier->type == HF_WIRE_HELLO);
    size += hf_wire_encode(verifier, text + size, HELLO_MAX);
    unsigned written = 0;
    if (HMAC(EVP_sha256(), key, HF_HELLO_KEY_SIZE, (const unsigned char *)text, size, ret_proof,
             &written) == NULL)
        return -ENOMEM;
    REQUIRE(written == HF_WIRE_NONCE_SIZE);
    return 0;
}

bool hf_hello_proved(const uint8_t key[HF_HELLO_KEY_SIZE], const struct hf_wire_message *prover,
                     const struct hf_wire_message *verifier,
                     const uint8_t proof[HF_WIRE_NONCE_SIZE])
{
    uint8_t expected[HF_WIRE_NONCE_SIZE];
    if (hf_hello_prove(key, prover, verifier, expected) < 0)
        return false;
    return CRYPTO_memcmp(expected, proof, sizeof(expected)) == 0;
}
