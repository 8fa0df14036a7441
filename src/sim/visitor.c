#include "sim/visitor.h"

#include "base/assert.h"
#include "proto/http1.h"
#include "sim/sim.h"
#include "upstream/breaker.h"
#include "upstream/passive.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WITH_TOKEN = 1,
    WITH_COOKIE = 2,
    WITH_KEY = 4,
    SHAPES = 8,
    TRIES_MAX = 16,
    SET_COOKIE_MAX = 1024
};
enum { TIME_MASK = (1 << 24) - 1 /* s: 194 days */ };

static const char key_blank[HF_USER_KEY_SIZE + 1] = "0000000000000000";

static enum hf_token_verdict open_token(void *user, struct hf_slice scope, struct hf_slice text,
                                        struct hf_token *ret_token)
{
    const struct hf_visitor *visitor = user;
    const struct hf_user *record = &visitor->population->users[visitor->user];
    (void)scope, (void)text;
    const struct hf_fleet_member *members = visitor->fleet->members;
    bool away = record->away_from != HF_USER_NOWHERE;
    REQUIRE(record->pinned != HF_USER_NOWHERE);
    *ret_token = (struct hf_token){.server_id = members[record->pinned].server->id,
                                   .home_id = away ? members[record->away_from].server->id : 0,
                                   .client_id = record->client_id,
                                   .issued_s = HF_FLEET_EPOCH_WALL_S + (uint64_t)record->issued_s,
                                   .seen_s = HF_FLEET_EPOCH_WALL_S + (uint64_t)record->seen_s,
                                   .epoch = record->moves};
    return HF_TOKEN_VALID;
}

/* What the cipher would have given back. */
static void check_token(struct hf_visitor *visitor, struct hf_slice scope,
                        const struct hf_token *token, char text[HF_TOKEN_TEXT_SIZE])
{
    struct hf_token_sealer *sealer = visitor->fleet->worker.sealer;
    struct hf_token opened;
    hf_token_seal(sealer, scope, token, text);
    REQUIRE(hf_token_open(sealer, scope, hf_slice(text, HF_TOKEN_TEXT_SIZE), &opened) ==
            HF_TOKEN_VALID);
    REQUIRE(opened.server_id == token->server_id && opened.client_id == token->client_id &&
            opened.issued_s == token->issued_s && opened.seen_s == token->seen_s &&
            opened.epoch == token->epoch && opened.home_id == token->home_id);
    visitor->checked++;
}

static void seal_token(void *user, struct hf_slice scope, const struct hf_token *token,
                       char out[HF_TOKEN_TEXT_SIZE])
{
    struct hf_visitor *visitor = user;
    struct hf_user *record = &visitor->population->users[visitor->user];
    visitor->sealed++;
    if (visitor->user % HF_SIM_CHECKED_EVERY == 0)
        check_token(visitor, scope, token, out);
    else
        memset(out, 'A', HF_TOKEN_TEXT_SIZE);
    record->pinned = hf_fleet_member_of(visitor->fleet, token->server_id);
    record->away_from =
        token->home_id ? hf_fleet_member_of(visitor->fleet, token->home_id) : HF_USER_NOWHERE;
    record->client_id = token->client_id;
    record->issued_s = (token->issued_s - HF_FLEET_EPOCH_WALL_S) & TIME_MASK;
    record->seen_s = (token->seen_s - HF_FLEET_EPOCH_WALL_S) & TIME_MASK;
    record->moves = token->epoch < UINT8_MAX ? (uint8_t)token->epoch : UINT8_MAX;
}

static void write_key(struct hf_visitor_head *shape, FILE *out)
{
    REQUIRE(shape->key_count < HF_VISITOR_PLACES_MAX && fflush(out) == 0);
    shape->key_at[shape->key_count++] = (uint16_t)ftell(out);
    fputs(key_blank, out);
}

/* The parts of a target that strategies of that kind look at. */
static void write_in_target(const struct hf_pool *pool, enum hf_affinity_kind kind,
                            struct hf_visitor_head *shape, FILE *out)
{
    bool first = true;
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        if (pool->affinities[i].kind != kind)
            continue;
        fprintf(out, "%c%s=",
                kind == HF_AFFINITY_PATH_PARAM ? ';'
                : first                        ? '?'
                                               : '&',
                pool->affinities[i].name);
        write_key(shape, out);
        first = false;
    }
}

static void write_headers(const struct hf_pool *pool, struct hf_visitor_head *shape, FILE *out)
{
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        if (pool->affinities[i].kind != HF_AFFINITY_HEADER)
            continue;
        fprintf(out, "%s: ", pool->affinities[i].name);
        write_key(shape, out);
        fputs("\r\n", out);
    }
}

static void write_cookies(const struct hf_pool *pool, unsigned kind, struct hf_visitor_head *shape,
                          FILE *out)
{
    fputs("Cookie: lang=en", out);
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        const struct hf_affinity *affinity = &pool->affinities[i];
        if (affinity->kind == HF_AFFINITY_COOKIE_INSERT && (kind & WITH_TOKEN)) {
            char token[HF_TOKEN_TEXT_SIZE + 1];
            memset(token, 'A', HF_TOKEN_TEXT_SIZE);
            token[HF_TOKEN_TEXT_SIZE] = '\0';
            fprintf(out, "; %s=%s", affinity->cookie, token);
        }
        if (affinity->kind == HF_AFFINITY_HASH_COOKIE && (kind & WITH_COOKIE)) {
            fprintf(out, "; %s=", affinity->cookie);
            write_key(shape, out);
        }
    }
    fputs("\r\n", out);
}

static void write_head(const struct hf_pool *pool, unsigned kind, struct hf_visitor_head *shape,
                       FILE *out)
{
    fputs("GET /", out);
    if (kind & WITH_KEY) {
        write_in_target(pool, HF_AFFINITY_PATH_PARAM, shape, out);
        write_in_target(pool, HF_AFFINITY_QUERY, shape, out);
    }
    fputs(" HTTP/1.1\r\nHost: shop.example.com\r\n", out);
    if (kind & WITH_KEY)
        write_headers(pool, shape, out);
    write_cookies(pool, kind, shape, out);
    fputs("\r\n", out);
}

static int make_shape(const struct hf_pool *pool, unsigned kind, struct hf_visitor_head *shape)
{
    static const struct hf_http1_limits limits = {.head_size_max = HF_VISITOR_TEXT_MAX,
                                                  .fields_max = HF_FIELDS_MAX};
    struct hf_http1_parser parser = {0};
    FILE *out = fmemopen(shape->text, sizeof(shape->text), "w");
    if (out == NULL)
        return -ENOMEM;
    write_head(pool, kind, shape, out);
    long size = ftell(out);
    REQUIRE(fclose(out) == 0 && size > 0 && size < HF_VISITOR_TEXT_MAX);
    REQUIRE(hf_http1_parse_request(&parser, &shape->head, shape->text, (size_t)size, &limits) ==
            HF_CODEC_DONE);
    return 0;
}

int hf_visitor_init(struct hf_visitor *visitor, struct hf_fleet *fleet,
                    struct hf_population *population)
{
    *visitor = (struct hf_visitor){.fleet = fleet, .population = population};
    visitor->heads = calloc(SHAPES, sizeof(*visitor->heads));
    int rc = visitor->heads ? 0 : -ENOMEM;
    for (unsigned kind = 0; rc == 0 && kind < SHAPES; kind++)
        rc = make_shape(hf_fleet_pool(fleet), kind, &visitor->heads[kind]);
    fleet->worker.cipher = (struct hf_affinity_cipher){open_token, seal_token, visitor};
    if (rc != 0)
        hf_visitor_fini(visitor);
    return rc;
}

void hf_visitor_fini(struct hf_visitor *visitor)
{
    free(visitor->heads);
    *visitor = (struct hf_visitor){0};
}

static void prepare(struct hf_visitor *visitor, uint32_t user, uint32_t now_ms)
{
    const struct hf_user *record = &visitor->population->users[user];
    bool cookies = hf_population_keeps_cookies(visitor->population, user);
    bool keyed = (record->marks & HF_USER_KEYED) != 0;
    unsigned kind = cookies && record->pinned != HF_USER_NOWHERE ? WITH_TOKEN : 0;
    kind |= cookies && keyed ? WITH_COOKIE : 0;
    kind |= keyed ? WITH_KEY : 0;
    struct hf_visitor_head *shape = &visitor->heads[kind];
    char key[HF_USER_KEY_SIZE];
    if (shape->key_count > 0)
        hf_population_key(visitor->population, user, key);
    for (unsigned i = 0; i < shape->key_count; i++)
        memcpy(shape->text + shape->key_at[i], key, sizeof(key));
    visitor->user = user;
    visitor->client = hf_population_address(visitor->population, user);
    visitor->request = (struct hf_affinity_request){
        .head = &shape->head,
        .client = &visitor->client,
        .secure = true,
        .now_ms = hf_fleet_monotonic_ms(now_ms),
        .wall_s = HF_FLEET_EPOCH_WALL_S + now_ms / 1000,
    };
}

static bool is_dead(const struct hf_visitor *visitor, int index)
{
    return visitor->fleet->members[visitor->fleet->member_at[index]].dead;
}

/* Whether the server takes the request and answers it, as its breaker and its health have it. */
static bool try_server(const struct hf_visitor *visitor, int index)
{
    const struct hf_pool *pool = hf_fleet_pool(visitor->fleet);
    struct hf_server *server = pool->servers[index].server;
    uint64_t now_ms = visitor->request.now_ms, probe = 0;
    if (!hf_breaker_admit(server, now_ms, &probe))
        return false;
    if (is_dead(visitor, index)) {
        hf_passive_failure(pool, (unsigned)index, 0, probe, now_ms); /* refused */
        return false;
    }
    if (probe != 0)
        hf_breaker_probe_ended(server, probe, true, now_ms);
    return true;
}

/* The first server that answers, from the chosen one on; -1 = none, or none may. */
static int try_servers(struct hf_visitor *visitor, const struct hf_affinity_choice *choice)
{
    const struct hf_pool *pool = hf_fleet_pool(visitor->fleet);
    uint64_t now_ms = visitor->request.now_ms;
    uint16_t tried[TRIES_MAX];
    unsigned tried_count = 0;
    int index = choice->server;
    bool bound = choice->owner >= 0 && choice->server == choice->owner && !choice->lost &&
                 pool->on_loss != HF_ON_LOSS_FRESH;
    while (index >= 0 && !try_server(visitor, index)) {
        bool again = (pool->retry.on & HF_RETRY_CONNECT) != 0 && !bound;
        if (!again || tried_count >= pool->retry.attempts || tried_count == TRIES_MAX)
            return -1;
        tried[tried_count++] = (uint16_t)index;
        index = hf_affinity_next(&visitor->fleet->worker, pool, choice, tried, tried_count, now_ms);
    }
    return index;
}

/* The answer may carry a pin, which seal_token keeps. */
static void stick(struct hf_visitor *visitor, const struct hf_affinity_choice *choice,
                  unsigned served)
{
    char set_cookie[SET_COOKIE_MAX];
    bool moved = false;
    hf_affinity_pin(&visitor->fleet->worker, hf_fleet_pool(visitor->fleet), &visitor->request,
                    choice, served, set_cookie, sizeof(set_cookie), &moved);
}

struct hf_visit hf_visitor_request(struct hf_visitor *visitor, uint32_t user, uint32_t now_ms)
{
    const struct hf_pool *pool = hf_fleet_pool(visitor->fleet);
    struct hf_affinity_choice choice;
    prepare(visitor, user, now_ms);
    hf_affinity_identify(&visitor->fleet->worker, pool, &visitor->request, &choice);
    if (choice.server < 0)
        return (struct hf_visit){.end = HF_VISIT_NO_SERVER};
    if (choice.lost && pool->on_loss != HF_ON_LOSS_FRESH) {
        if (pool->on_loss == HF_ON_LOSS_REDIRECT)
            stick(visitor, &choice, (unsigned)choice.server);
        return (struct hf_visit){.end = HF_VISIT_ON_LOSS};
    }
    int served = try_servers(visitor, &choice);
    if (served < 0)
        return (struct hf_visit){.end = HF_VISIT_NO_SERVER};
    stick(visitor, &choice, (unsigned)served);
    visitor->population->users[user].marks |= HF_USER_KEYED;
    return (struct hf_visit){.end = HF_VISIT_ANSWERED,
                             .member = visitor->fleet->member_at[served],
                             .stood_in = served != choice.server && choice.owner >= 0};
}
