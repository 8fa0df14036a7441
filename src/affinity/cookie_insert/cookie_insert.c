#include "affinity/cookie_insert/cookie_insert.h"

#include "affinity/failback.h"
#include "base/assert.h"

/* Seconds from `then` to now; 0 when then is later (clock skew). */
static uint64_t age_s(uint64_t now_s, uint64_t then_s)
{
    return now_s > then_s ? now_s - then_s : 0;
}

static enum hf_affinity_verdict judge_lifetimes(const struct hf_affinity *affinity,
                                                const struct hf_token *token, uint64_t now_s)
{
    if (token->issued_s > now_s + HF_CLOCK_SKEW_S || token->seen_s > now_s + HF_CLOCK_SKEW_S)
        return HF_AFFINITY_FUTURE;
    if (affinity->lifetime_s > 0 && age_s(now_s, token->issued_s) > affinity->lifetime_s)
        return HF_AFFINITY_EXPIRED_LIFETIME;
    if (affinity->idle_s > 0 && age_s(now_s, token->seen_s) > affinity->idle_s)
        return HF_AFFINITY_EXPIRED_IDLE;
    return HF_AFFINITY_PINNED;
}

static bool refresh_due(const struct hf_affinity *affinity, const struct hf_token *token,
                        uint64_t now_s)
{
    uint64_t after_s = affinity->idle_s > 0 ? affinity->idle_s / HF_COOKIE_INSERT_REFRESH_PARTS
                                            : HF_COOKIE_INSERT_REFRESH_S;
    return age_s(now_s, token->seen_s) > after_s;
}

static enum hf_affinity_verdict why_not_opened(enum hf_token_verdict verdict)
{
    switch (verdict) {
    case HF_TOKEN_MALFORMED:
        return HF_AFFINITY_MALFORMED;
    case HF_TOKEN_UNKNOWN_KEY:
        return HF_AFFINITY_UNKNOWN_KEY;
    case HF_TOKEN_FORGED:
    case HF_TOKEN_VALID:
    case HF_TOKEN_OLD_KEY:
        break;
    }
    return HF_AFFINITY_FORGED;
}

enum hf_affinity_verdict hf_cookie_insert_identify(struct hf_affinity_worker *worker,
                                                   const struct hf_pool *pool,
                                                   const struct hf_affinity *affinity,
                                                   const struct hf_affinity_request *request,
                                                   struct hf_affinity_choice *choice)
{
    REQUIRE(affinity->kind == HF_AFFINITY_COOKIE_INSERT && worker->sealer != NULL);
    struct hf_cookie_found found;
    hf_cookie_find(request->head, affinity->attributes.name, &found);
    if (found.count != 1)
        return found.count == 0 ? HF_AFFINITY_NONE : HF_AFFINITY_DUPLICATE;
    struct hf_token token;
    enum hf_token_verdict opened =
        worker->cipher.open(worker->cipher.user, affinity->scope, found.value, &token);
    if (opened != HF_TOKEN_VALID && opened != HF_TOKEN_OLD_KEY)
        return why_not_opened(opened);
    enum hf_affinity_verdict verdict = judge_lifetimes(affinity, &token, request->wall_s);
    if (verdict != HF_AFFINITY_PINNED)
        return verdict;
    choice->pin_valid = true;
    choice->client_id = token.client_id;
    choice->issued_s = token.issued_s;
    choice->seen_s = token.seen_s;
    choice->epoch = token.epoch;
    struct hf_failback_pin pin = {.owner_id = token.server_id, .home_id = token.home_id};
    verdict = hf_failback_choose(pool, &pin, request->now_ms, choice);
    if (verdict != HF_AFFINITY_PINNED)
        return verdict;
    choice->refresh = opened == HF_TOKEN_OLD_KEY || refresh_due(affinity, &token, request->wall_s);
    return choice->refresh ? HF_AFFINITY_REFRESHED : HF_AFFINITY_PINNED;
}

/* `secure: auto` follows the request, but what is only valid with Secure always has it: __Host- and
 * __Secure- names, SameSite=None, Partitioned. A browser then refuses the cookie over plain HTTP,
 * as it would refuse the same without Secure. */
static bool wants_secure(const struct hf_affinity *affinity, bool secure_request)
{
    if (affinity->secure != HF_SECURE_AUTO || secure_request)
        return affinity->secure != HF_SECURE_NEVER;
    struct hf_cookie_attributes plain = affinity->attributes;
    plain.secure = false;
    return hf_cookie_attributes_check(&plain) != NULL;
}

size_t hf_cookie_insert_write(struct hf_affinity_worker *worker, const struct hf_affinity *affinity,
                              const struct hf_affinity_request *request,
                              const struct hf_token *token, char *out, size_t room)
{
    REQUIRE(affinity->kind == HF_AFFINITY_COOKIE_INSERT && worker->sealer != NULL);
    char text[HF_TOKEN_TEXT_SIZE];
    worker->cipher.seal(worker->cipher.user, affinity->scope, token, text);
    struct hf_cookie_attributes attributes = affinity->attributes;
    attributes.secure = wants_secure(affinity, request->secure);
    return hf_cookie_write(&attributes, hf_slice(text, sizeof(text)), out, room);
}
