#include "affinity/affinity.h"

#include "affinity/candidates.h"
#include "affinity/cookie_insert/cookie_insert.h"
#include "affinity/cookie_prefix/cookie_prefix.h"
#include "affinity/failback.h"
#include "affinity/hash_cookie/hash_cookie.h"
#include "affinity/header/header.h"
#include "affinity/path_param/path_param.h"
#include "affinity/query/query.h"
#include "affinity/route/route.h"
#include "affinity/source_ip/source_ip.h"
#include "affinity/successor.h"
#include "affinity/table_pin.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>

static const hf_strategy_fn strategies[] = {
    [HF_AFFINITY_COOKIE_INSERT] = hf_cookie_insert_identify,
    [HF_AFFINITY_COOKIE_PREFIX] = hf_cookie_prefix_identify,
    [HF_AFFINITY_ROUTE] = hf_route_identify,
    [HF_AFFINITY_HASH_COOKIE] = hf_hash_cookie_identify,
    [HF_AFFINITY_SOURCE_IP] = hf_source_ip_identify,
    [HF_AFFINITY_HEADER] = hf_header_identify,
    [HF_AFFINITY_QUERY] = hf_query_identify,
    [HF_AFFINITY_PATH_PARAM] = hf_path_param_identify,
    [HF_AFFINITY_SOURCE_IP_TABLE] = hf_table_pin_identify,
    [HF_AFFINITY_HEADER_TABLE] = hf_table_pin_identify,
    [HF_AFFINITY_QUERY_TABLE] = hf_table_pin_identify,
    [HF_AFFINITY_PATH_PARAM_TABLE] = hf_table_pin_identify,
    [HF_AFFINITY_LEARN] = hf_table_pin_identify,
};
enum { STRATEGY_COUNT = sizeof(strategies) / sizeof(strategies[0]) };

const char *hf_affinity_verdict_word(enum hf_affinity_verdict verdict)
{
    static const char *const words[] = {
#define HF_AFFINITY_WORD(id, word, help) [HF_AFFINITY_##id] = word,
        HF_AFFINITY_VERDICTS(HF_AFFINITY_WORD)
#undef HF_AFFINITY_WORD
    };
    REQUIRE((unsigned)verdict < HF_AFFINITY_VERDICT_COUNT);
    return words[verdict];
}

static bool needs_keys(const struct hf_pool *pool)
{
    return hf_affinity_own_cookie(pool).size > 0;
}

static enum hf_token_verdict open_token(void *user, struct hf_slice scope, struct hf_slice text,
                                        struct hf_token *ret_token)
{
    return hf_token_open(user, scope, text, ret_token);
}

static void seal_token(void *user, struct hf_slice scope, const struct hf_token *token,
                       char out[HF_TOKEN_TEXT_SIZE])
{
    hf_token_seal(user, scope, token, out);
}

int hf_affinity_worker_init(struct hf_affinity_worker *worker, const struct hf_config *config)
{
    REQUIRE(worker != NULL && config != NULL);
    *worker = (struct hf_affinity_worker){0};
    hf_rng_seed_random(&worker->rng);
    worker->balance = calloc(config->pool_count + 1, sizeof(*worker->balance));
    int result = worker->balance != NULL ? 0 : -ENOMEM;
    for (unsigned i = 0; result == 0 && i < config->pool_count; i++) {
        REQUIRE(config->pools[i].index == i);
        result = hf_balance_state_init(&worker->balance[i], config->pools[i].server_count);
        worker->pool_count += result == 0;
        if (result == 0 && needs_keys(&config->pools[i]) && config->cookie_key_count == 0)
            result = -EINVAL;
    }
    if (result == 0)
        result = hf_table_pin_open(worker, config);
    if (result == 0 && config->cookie_key_count > 0)
        result =
            hf_token_sealer_new(config->cookie_keys, config->cookie_key_count, &worker->sealer);
    worker->cipher = (struct hf_affinity_cipher){open_token, seal_token, worker->sealer};
    if (result < 0)
        hf_affinity_worker_fini(worker);
    return result;
}

void hf_affinity_worker_fini(struct hf_affinity_worker *worker)
{
    REQUIRE(worker != NULL);
    for (unsigned i = 0; i < worker->pool_count; i++)
        hf_balance_state_fini(&worker->balance[i]);
    free(worker->balance);
    hf_table_pin_close(worker);
    hf_token_sealer_free(&worker->sealer);
    *worker = (struct hf_affinity_worker){0};
}

static const struct hf_affinity_choice nobody = {.owner = -1, .server = -1, .strategy = -1};

/* What was found decides at once: a valid token, or a usable server that more than a URL names. */
static bool decides(const struct hf_affinity_choice *choice)
{
    return choice->pin_valid || (choice->server >= 0 && !choice->by_url);
}

/* Keeps what is good for something if nothing better comes: a usable server of a URL, else the
 * first that was lost. */
static void keep(const struct hf_affinity_choice *choice, struct hf_affinity_choice *kept)
{
    if (choice->server >= 0 || (choice->lost && kept->strategy < 0))
        *kept = *choice;
}

/* For a client about whom no strategy knows. All requests with one session id that nobody has
 * learned meet on one server, without an entry that whoever invents ids could make. */
static void choose_new(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                       const struct hf_affinity_request *request, struct hf_affinity_choice *choice)
{
    choice->client_id = hf_rng_u64(&worker->rng);
    if (choice->unlisted_key == 0) {
        choice->server = hf_candidates_balance(worker, pool, request);
        return;
    }
    choice->client_id = choice->unlisted_key;
    choice->server = hf_candidates_rendezvous(pool, choice->client_id, NULL, 0, request->now_ms);
}

/* No strategy decided. */
static void fall_back(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                      const struct hf_affinity_request *request, struct hf_affinity_choice *kept)
{
    if (kept->strategy < 0) {
        choose_new(worker, pool, request, kept);
    } else if (kept->lost) { /* all requests of the session meet on the first of its rank */
        kept->server = hf_candidates_rendezvous(pool, kept->client_id, NULL, 0, request->now_ms);
        hf_successor_choose(pool, request, kept);
    }
    if (pool->has_tables)
        hf_table_pin_claim(worker, pool, request,
                           kept->by_url ? (unsigned)kept->strategy : pool->affinity_count, kept);
}

void hf_affinity_identify(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                          const struct hf_affinity_request *request,
                          struct hf_affinity_choice *ret_choice)
{
    REQUIRE(pool->index < worker->pool_count && pool->affinity_count <= HF_AFFINITIES_MAX);
    struct hf_affinity_choice kept = nobody;
    uint64_t unlisted_key = 0;
    uint8_t found = HF_AFFINITY_NONE;
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        const struct hf_affinity *affinity = &pool->affinities[i];
        REQUIRE((unsigned)affinity->kind < STRATEGY_COUNT);
        if (kept.server >= 0 && affinity->kind != HF_AFFINITY_COOKIE_INSERT)
            continue; /* a URL names a usable server: only a token is more */
        struct hf_affinity_choice choice = nobody;
        enum hf_affinity_verdict verdict =
            strategies[affinity->kind](worker, pool, affinity, request, &choice);
        worker->verdicts[verdict]++;
        if (verdict != HF_AFFINITY_NONE)
            found = (uint8_t)verdict;
        choice.verdict = (uint8_t)verdict;
        choice.strategy = (int8_t)i;
        if (decides(&choice)) {
            if (choice.lost)
                hf_successor_choose(pool, request, &choice);
            if (pool->has_tables)
                hf_table_pin_claim(worker, pool, request, i, &choice);
            *ret_choice = choice;
            return;
        }
        keep(&choice, &kept);
        unlisted_key = unlisted_key != 0 ? unlisted_key : choice.unlisted_key;
    }
    kept.unlisted_key = unlisted_key;
    if (kept.strategy < 0)
        kept.verdict = found;
    fall_back(worker, pool, request, &kept);
    *ret_choice = kept;
}

static bool contains(const uint16_t *tried, unsigned tried_count, int server)
{
    for (unsigned i = 0; i < tried_count; i++) {
        if (tried[i] == server)
            return true;
    }
    return false;
}

/* The hash that chose, with its key; false when none did. A balancer's key is not kept: any stands
 * in for it, and the bound holds. */
static bool hash_of(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                    struct hf_candidates_hash *ret_by)
{
    struct hf_candidates_hash by = {.key = choice->client_id};
    if (choice->strategy < 0) {
        if (!hf_balance_is_hash(pool->balance, &by.hash))
            return false;
        by.bounded_percent = pool->bounded_percent;
    } else {
        const struct hf_affinity *affinity = &pool->affinities[choice->strategy];
        if (!hf_affinity_is_hash(affinity))
            return false;
        by.hash = affinity->hash;
        by.bounded_percent = affinity->bounded_percent;
    }
    *ret_by = by;
    return true;
}

int hf_affinity_next(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                     const struct hf_affinity_choice *choice, const uint16_t *tried,
                     unsigned tried_count, uint64_t now_ms)
{
    REQUIRE(pool->index < worker->pool_count && choice != NULL);
    /* Home was back and failed after all: the session is still where the client came from. */
    if (choice->returning && choice->owner >= 0 && !contains(tried, tried_count, choice->owner) &&
        hf_server_serves(pool->servers[choice->owner].server, now_ms))
        return choice->owner;
    struct hf_candidates_hash by = {0};
    if (hash_of(pool, choice, &by)) {
        by.tried = tried;
        by.tried_count = tried_count;
        return hf_candidates_follow(pool, &by, -1, now_ms);
    }
    int successor = hf_successor_next(pool, choice, tried, tried_count, now_ms);
    if (successor >= 0)
        return successor;
    return hf_candidates_rendezvous(pool, choice->client_id, tried, tried_count, now_ms);
}

/* The pin that came is one in a cookie of ours. */
static bool cookie_found(const struct hf_pool *pool, const struct hf_affinity_choice *choice)
{
    return choice->pin_valid &&
           pool->affinities[choice->strategy].kind == HF_AFFINITY_COOKIE_INSERT;
}

/* The strategy that writes pins for this choice: the one that found the client's, else the first of
 * its kind that was asked. One that stands behind the strategy which decided is not needed. */
static const struct hf_affinity *pinning(const struct hf_pool *pool,
                                         const struct hf_affinity_choice *choice)
{
    bool asked_all = choice->strategy < 0 || choice->by_url || (choice->lost && choice->named);
    unsigned asked = asked_all ? pool->affinity_count : (unsigned)choice->strategy + 1;
    REQUIRE(asked <= pool->affinity_count);
    if (cookie_found(pool, choice))
        return &pool->affinities[choice->strategy];
    for (unsigned i = 0; i < asked; i++) {
        if (pool->affinities[i].kind == HF_AFFINITY_COOKIE_INSERT)
            return &pool->affinities[i];
    }
    return NULL;
}

/* A client that brought no pin: who answered it has the session now. */
static void first_pin(struct hf_affinity_worker *worker, const struct hf_affinity_choice *choice,
                      uint64_t now_s, struct hf_token *token)
{
    /* A hash of an address is many clients': each gets an id of its own. */
    token->client_id =
        choice->strategy < 0 && choice->claimed == 0 ? choice->client_id : hf_rng_u64(&worker->rng);
    token->issued_s = now_s;
    token->epoch = 0;
}

/* One failure moves nobody: who stood in for the server that the application or a table named has
 * no session to pin the client to. Nor has a temporary guest's host. */
static bool stood_in(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                     unsigned served, uint64_t now_ms)
{
    bool table = choice->pin_valid && !cookie_found(pool, choice);
    if (!(choice->named || table) || choice->owner == (int)served)
        return false;
    if (table && choice->owner < 0)
        return false; /* gone: it moves, whatever failback says */
    return pool->failback == HF_FAILBACK_TEMPORARY ||
           (!choice->lost && hf_server_serves(pool->servers[choice->owner].server, now_ms));
}

/* False: the pin that the client has stays as it is. */
static bool next_pin(const struct hf_pool *pool, const struct hf_affinity_request *request,
                     const struct hf_affinity_choice *choice, unsigned served,
                     struct hf_token *token)
{
    struct hf_failback_pin pin;
    bool moves = hf_failback_next(pool, choice, served, request->now_ms, &pin);
    if (!moves && (choice->owner != (int)served || !choice->refresh))
        return false;
    token->server_id = pin.owner_id;
    token->home_id = pin.home_id;
    token->client_id = choice->client_id;
    token->issued_s = choice->issued_s; /* the lifetime is the client's, not the server's */
    token->epoch = choice->epoch + moves;
    return true;
}

/* The common case: the client's own server answered, and there is nothing to write anywhere. */
static bool stays(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                  unsigned served)
{
    return choice->pin_valid && choice->owner == (int)served && !choice->refresh &&
           !pool->has_tables;
}

/* rule zero: eight parameters, since four say what came and was chosen and four where one value
 * goes; a struct would only be filled for this one call. */
size_t hf_affinity_pin(struct hf_affinity_worker *worker, const struct hf_pool *pool,
                       const struct hf_affinity_request *request,
                       const struct hf_affinity_choice *choice, unsigned served, char *out,
                       size_t room, bool *ret_moved)
{
    REQUIRE(served < pool->server_count && choice->owner < (int)pool->server_count);
    REQUIRE(!choice->pin_valid || choice->strategy >= 0);
    *ret_moved = false;
    if (stays(pool, choice, served))
        return 0;
    const struct hf_affinity *affinity = pinning(pool, choice);
    *ret_moved = pool->has_tables && hf_table_pin_settle(worker, pool, request, choice, served);
    if (affinity == NULL || stood_in(pool, choice, served, request->now_ms))
        return 0;
    struct hf_token token = {.server_id = pool->servers[served].server->id,
                             .seen_s = request->wall_s};
    bool known = cookie_found(pool, choice);
    if (!known)
        first_pin(worker, choice, request->wall_s, &token);
    else if (!next_pin(pool, request, choice, served, &token))
        return 0;
    size_t size = hf_cookie_insert_write(worker, affinity, request, &token, out, room);
    *ret_moved |= size > 0 && (known || choice->named) && choice->owner != (int)served;
    return size;
}
