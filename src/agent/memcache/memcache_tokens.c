#include "agent/memcache/memcache_tokens.h"
#include "base/assert.h"

/* Numbers of one store follow each other, so their low bits spread well. */
static unsigned place_of(uint64_t cas)
{
    return (unsigned)(cas % HF_MEMCACHE_TOKENS_MAX);
}

bool hf_memcache_tokens_sent(const struct hf_memcache_tokens *tokens, uint64_t cas,
                             uint64_t deadline_ms)
{
    const struct hf_memcache_token *token = &tokens->tokens[place_of(cas)];
    return cas != 0 && token->cas == cas && token->deadline_ms == deadline_ms;
}

void hf_memcache_tokens_send(struct hf_memcache_tokens *tokens, uint64_t cas, uint64_t deadline_ms)
{
    REQUIRE(cas != 0);
    tokens->tokens[place_of(cas)] = (struct hf_memcache_token){cas, deadline_ms};
}
