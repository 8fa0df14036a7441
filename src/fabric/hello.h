/* How two agents get to trust a link: HELLO, then PROOF of the shared key, both ways. Each side's
 * proof is an HMAC-SHA256 (RFC 2104) over both HELLO frames, the prover's first; the nonces in them
 * make it worthless elsewhere, the order makes a reflected one wrong.
 * Never: encrypts what follows; that is TLS's work. Threads: any. Layer: fabric. */
#pragma once
#include "fabric/wire.h"

enum { HF_HELLO_KEY_SIZE = 32 };

/* Why a link is refused; the status of BYE. */
enum hf_hello_verdict {
    HF_HELLO_OK,
    HF_HELLO_PROTOCOL, /* no common protocol version */
    HF_HELLO_LIST,     /* another list of nodes is configured there */
    HF_HELLO_NODE,     /* a number outside the list, or our own */
    HF_HELLO_PROOF,    /* the key differs */
    HF_HELLO_NAMESAKE, /* another process has a link as that node */
    HF_HELLO_VERDICTS,
};
/* "another list of nodes". */
const char *hf_hello_reason(enum hf_hello_verdict verdict);

/* Whether theirs fits ours; *ret_protocol is the highest version both speak. */
enum hf_hello_verdict hf_hello_judge(const struct hf_wire_message *ours,
                                     const struct hf_wire_message *theirs, unsigned node_count,
                                     uint8_t *ret_protocol);
/* What `prover` sends after the HELLOs. 0, or -ENOMEM from the library. A TELLER, which answers a
 * HELLO instead, has its proof for a nonce, and is signed as if that were zeros. */
int hf_hello_prove(const uint8_t key[HF_HELLO_KEY_SIZE], const struct hf_wire_message *prover,
                   const struct hf_wire_message *verifier, uint8_t ret_proof[HF_WIRE_NONCE_SIZE]);
/* Compares in constant time. */
bool hf_hello_proved(const uint8_t key[HF_HELLO_KEY_SIZE], const struct hf_wire_message *prover,
                     const struct hf_wire_message *verifier,
                     const uint8_t proof[HF_WIRE_NONCE_SIZE]);
