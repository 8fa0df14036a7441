/* Recache tokens of meta's N and R flags: one client is told to make a value anew (W), all others
 * that somebody does (Z). A token belongs to one state of a value, named by its CAS number and its
 * deadline, so whatever is stored next is without one.
 *
 * A fixed table that forgets: a newcomer takes the place of another token, and what moves to
 * another node leaves its tokens behind. Then a second client makes the value, which is what
 * happens without tokens. Never allocates. Threads: the owner's. Layer: agent. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { HF_MEMCACHE_TOKENS_MAX = 256 };

struct hf_memcache_tokens { /* zeroed = none is out */
    struct hf_memcache_token {
        uint64_t cas, deadline_ms; /* cas 0: a free place */
    } tokens[HF_MEMCACHE_TOKENS_MAX];
};

/* Whether one is out for that state of the value. */
bool hf_memcache_tokens_sent(const struct hf_memcache_tokens *tokens, uint64_t cas,
                             uint64_t deadline_ms);
/* Notes that it is out from now on; cas is not 0. */
void hf_memcache_tokens_send(struct hf_memcache_tokens *tokens, uint64_t cas, uint64_t deadline_ms);
