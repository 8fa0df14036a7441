/* What the unit tests of affinity/ share: a pool, a worker, and requests as the parser makes them.
 * Never in the product. Threads: the test's. Layer: affinity. */
#pragma once
#include "affinity/affinity.h"
#include "base/assert.h"
#include "base/clock.h"
#include "proto/http1.h"
#include <stdio.h>
#include <stdlib.h>

enum { HF_FIXTURE_COOKIE_MAX = 512, HF_FIXTURE_REQUEST_MAX = 4096 };

struct hf_fixture {
    struct hf_config *config;
    struct hf_pool *pool;
    struct hf_affinity_worker worker;
    struct hf_affinity_request request;
    struct hf_head head;
    struct hf_address client;
    struct hf_affinity_choice choice;
    char request_text[HF_FIXTURE_REQUEST_MAX];
    char set_cookie[HF_FIXTURE_COOKIE_MAX]; /* what the last pin wrote, NUL-terminated */
    bool moved;
};

/* A pool "shop" of app0, app1... of weight 1; no strategy yet. Wall clock 1,000,000 s. */
static inline void hf_fixture_open(struct hf_fixture *f, unsigned server_count)
{
    memset(f, 0, sizeof(*f));
    f->config = hf_config_new();
    REQUIRE(f->config != NULL);
    f->config->cookie_key_count = 2;
    for (unsigned i = 0; i < 2; i++) {
        f->config->cookie_keys[i].id = (uint8_t)(7 + i);
        memset(f->config->cookie_keys[i].bytes, (int)(0x40 + i), HF_TOKEN_KEY_SIZE);
    }
    f->config->pools = f->pool = calloc(1, sizeof(*f->pool));
    f->config->pool_count = 1;
    REQUIRE(f->pool != NULL);
    hf_pool_init(f->pool);
    snprintf(f->pool->name, sizeof(f->pool->name), "shop");
    f->pool->servers = calloc(server_count, sizeof(*f->pool->servers));
    REQUIRE(f->pool->servers != NULL);
    f->pool->server_count = server_count;
    for (unsigned i = 0; i < server_count; i++) {
        char name[HF_NAME_MAX];
        snprintf(name, sizeof(name), "app%u", i);
        f->pool->servers[i].server = hf_server_acquire("shop", name, 1);
        f->pool->servers[i].weight = 1;
        REQUIRE(f->pool->servers[i].server != NULL);
    }
    REQUIRE(hf_address_parse(HF_SLICE("192.0.2.1:4000"), &f->client) == 0);
    f->request = (struct hf_affinity_request){
        .head = &f->head, .client = &f->client, .secure = true, .now_ms = 1000, .wall_s = 1000000};
}

static inline struct hf_affinity *hf_fixture_add(struct hf_fixture *f, enum hf_affinity_kind kind,
                                                 const char *name)
{
    struct hf_affinity *affinity = &f->pool->affinities[f->pool->affinity_count++];
    *affinity = (struct hf_affinity){.kind = kind, .ipv4_prefix = 32, .ipv6_prefix = 64};
    if (kind == HF_AFFINITY_SOURCE_IP || kind == HF_AFFINITY_SOURCE_IP_TABLE)
        return affinity;
    bool named = (kind >= HF_AFFINITY_HEADER && kind <= HF_AFFINITY_PATH_PARAM) ||
                 (kind >= HF_AFFINITY_HEADER_TABLE && kind <= HF_AFFINITY_PATH_PARAM_TABLE);
    char **owned = named ? &affinity->name : &affinity->cookie;
    *owned = strdup(name);
    REQUIRE(*owned != NULL);
    if (affinity->cookie != NULL)
        affinity->attributes.name = hf_slice_text(affinity->cookie);
    if (kind == HF_AFFINITY_ROUTE) {
        affinity->separator = '.';
        affinity->param = strdup(name);
        REQUIRE(affinity->param != NULL);
        for (char *at = affinity->param; *at != '\0'; at++)
            *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + ('a' - 'A') : *at);
    }
    if (kind != HF_AFFINITY_COOKIE_INSERT)
        return affinity;
    affinity->path = strdup("/");
    affinity->scope_text = strdup("shop HOLDFAST");
    REQUIRE(affinity->path != NULL && affinity->scope_text != NULL);
    affinity->scope = hf_slice_text(affinity->scope_text);
    affinity->attributes = (struct hf_cookie_attributes){.name = hf_slice_text(affinity->cookie),
                                                         .path = hf_slice_text(affinity->path),
                                                         .same_site = HF_SAME_SITE_LAX,
                                                         .http_only = true};
    return affinity;
}

/* After the last change of the configuration. */
static inline void hf_fixture_start(struct hf_fixture *f)
{
    REQUIRE(hf_pool_index(f->pool) == 0);
    REQUIRE(hf_affinity_worker_init(&f->worker, f->config) == 0);
    hf_rng_seed(&f->worker.rng, 1);
}

/* After a change of servers, balancer or strategies once it was started: as a reload makes it. */
static inline void hf_fixture_rebuild(struct hf_fixture *f)
{
    hf_pool_unindex(f->pool);
    REQUIRE(hf_pool_index(f->pool) == 0);
}

static inline void hf_fixture_close(struct hf_fixture *f)
{
    hf_affinity_worker_fini(&f->worker);
    hf_config_unref(&f->config);
}

static inline struct hf_server *hf_fixture_server(const struct hf_fixture *f, unsigned index)
{
    return f->pool->servers[index].server;
}

/* A request for `target` with these field lines ("Cookie: a=b\r\n", or ""), identified into
 * f->choice. */
static inline void hf_fixture_ask(struct hf_fixture *f, const char *target, const char *lines)
{
    static const struct hf_http1_limits limits = {.head_size_max = HF_FIXTURE_REQUEST_MAX,
                                                  .fields_max = HF_FIELDS_MAX};
    struct hf_http1_parser parser = {0};
    int size = snprintf(f->request_text, sizeof(f->request_text),
                        "GET %s HTTP/1.1\r\nHost: shop\r\n%s\r\n", target, lines);
    REQUIRE(size > 0 && (size_t)size < sizeof(f->request_text));
    REQUIRE(hf_http1_parse_request(&parser, &f->head, f->request_text, (size_t)size, &limits) ==
            HF_CODEC_DONE);
    hf_affinity_identify(&f->worker, f->pool, &f->request, &f->choice);
}

/* The same for "/". */
static inline void hf_fixture_identify(struct hf_fixture *f, const char *lines)
{
    hf_fixture_ask(f, "/", lines);
}

/* The same with the cookie HOLDFAST; "" = without. */
static inline void hf_fixture_return(struct hf_fixture *f, const char *token)
{
    char lines[HF_FIXTURE_COOKIE_MAX];
    snprintf(lines, sizeof(lines), "Cookie: a=b; HOLDFAST=%s; c=d\r\n", token);
    hf_fixture_identify(f, token[0] != '\0' ? lines : "");
}

/* Whether an answer of that server carries a Set-Cookie, which is in f->set_cookie. */
static inline bool hf_fixture_pin(struct hf_fixture *f, unsigned served)
{
    size_t size = hf_affinity_pin(&f->worker, f->pool, &f->request, &f->choice, served,
                                  f->set_cookie, sizeof(f->set_cookie) - 1, &f->moved);
    f->set_cookie[size] = '\0';
    return size > 0;
}

/* The token of f->set_cookie. */
static inline void hf_fixture_token(const struct hf_fixture *f, char out[HF_TOKEN_TEXT_SIZE + 1])
{
    const char *value = strchr(f->set_cookie, '=');
    REQUIRE(value != NULL && strlen(value) > HF_TOKEN_TEXT_SIZE);
    memcpy(out, value + 1, HF_TOKEN_TEXT_SIZE);
    out[HF_TOKEN_TEXT_SIZE] = '\0';
}

static inline void hf_fixture_seal(const struct hf_fixture *f, const struct hf_token *token,
                                   char out[HF_TOKEN_TEXT_SIZE + 1])
{
    hf_token_seal(f->worker.sealer, f->pool->affinities[0].scope, token, out);
    out[HF_TOKEN_TEXT_SIZE] = '\0';
}

/* What the token of f->set_cookie says, and how it opened. */
static inline enum hf_token_verdict hf_fixture_opened(const struct hf_fixture *f,
                                                      struct hf_token *ret_token)
{
    char text[HF_TOKEN_TEXT_SIZE + 1];
    hf_fixture_token(f, text);
    return hf_token_open(f->worker.sealer, f->pool->affinities[0].scope,
                         hf_slice(text, HF_TOKEN_TEXT_SIZE), ret_token);
}
