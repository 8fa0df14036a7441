/* Several strategies in one pool against a plain model: the first that names a usable server wins,
 * else the balancer chooses; but no URL outranks a token. Random pools, servers and requests.
 * A new kind of strategy is one row of `kinds`: how it is configured, and what its key claims. */
#include "affinity/affinity.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "affinity/fixture.h"
#include "affinity/source_ip/source_ip.h"
#include "base/hash.h"

enum { SERVERS = 5, POOLS = 400, REQUESTS = 150, KEY_MAX = 200, TEXT_MAX = 1024 };

static struct hf_fixture f;
static struct hf_rng rng;

/* What a key in the request says, as the model sees it. */
enum claim_kind {
    CLAIM_NOTHING,
    CLAIM_TOKEN, /* sealed and valid */
    CLAIM_NAME,  /* a cookie of the application names a server */
    CLAIM_URL,   /* so does a URL */
    CLAIM_HASH,
    CLAIM_COUNT,
};
struct claim {
    enum claim_kind kind;
    int server; /* index; -1 = one that the pool does not have (a token only) */
};

/* The request that is being drawn. */
static char cookies[TEXT_MAX], target[TEXT_MAX];
static unsigned met[CLAIM_COUNT], met_lost, met_balanced, met_outranked, met_stood_in;

static void add_cookie(const char *name, const char *value)
{
    size_t size = strlen(cookies);
    int more = snprintf(cookies + size, sizeof(cookies) - size, "%s%s=%s", size > 0 ? "; " : "",
                        name, value);
    assert_in_range(more, 1, sizeof(cookies) - size - 1);
}

static void add_param(const char *name, const char *value)
{
    size_t size = strlen(target);
    int more = snprintf(target + size, sizeof(target) - size, ";%s=%s", name, value);
    assert_in_range(more, 1, sizeof(target) - size - 1);
}

static enum hf_server_state state(int index)
{
    return hf_server_state(hf_fixture_server(&f, (unsigned)index), f.request.now_ms);
}

static bool serves(int index)
{
    return state(index) == HF_SERVER_READY || state(index) == HF_SERVER_DRAIN;
}

/* How willingly a server takes a client that it does not have. */
static unsigned rank(int index)
{
    return state(index) == HF_SERVER_READY ? 2 : state(index) == HF_SERVER_EJECTED ? 1 : 0;
}

static unsigned best_rank(void)
{
    unsigned best = 0;
    for (int i = 0; i < SERVERS; i++)
        best = rank(i) > best ? rank(i) : best;
    return best;
}

/* May the server keep a session that it has? */
static bool keeps(int index)
{
    return serves(index) || (state(index) == HF_SERVER_EJECTED && best_rank() < 2);
}

/* --- the kinds: each draws a key, puts it into the request, and says what it claims ----------- */

static struct claim draw_token(const struct hf_affinity *affinity)
{
    char text[HF_TOKEN_TEXT_SIZE + 1] = {0};
    unsigned draw = hf_rng_below(&rng, 8);
    int server = (int)hf_rng_below(&rng, SERVERS);
    struct hf_token token = {.server_id = hf_fixture_server(&f, (unsigned)server)->id,
                             .client_id = hf_rng_u64(&rng),
                             .issued_s = f.request.wall_s,
                             .seen_s = f.request.wall_s};
    if (draw < 3)
        return (struct claim){CLAIM_NOTHING, -1};
    if (draw == 3) {
        token.server_id = hf_server_id(HF_SLICE("shop"), HF_SLICE("removed"));
        server = -1;
    }
    hf_token_seal(f.worker.sealer, affinity->scope, &token, text);
    if (draw == 4)
        text[50] = text[50] == 'A' ? 'B' : 'A';
    add_cookie(affinity->cookie, text);
    return draw == 4 ? (struct claim){CLAIM_NOTHING, -1} : (struct claim){CLAIM_TOKEN, server};
}

/* A server's name in the application's cookie, between these texts. */
static struct claim draw_name(const struct hf_affinity *affinity, const char *front,
                              const char *behind)
{
    char name[HF_NAME_MAX], value[KEY_MAX];
    unsigned draw = hf_rng_below(&rng, 10);
    unsigned server = hf_rng_below(&rng, SERVERS);
    snprintf(name, sizeof(name), "%s%u", draw == 1 ? "gone" : "app", server);
    snprintf(value, sizeof(value), "%s%s%s", front, name, behind);
    if (draw == 0) /* without a name */
        snprintf(value, sizeof(value), "plain");
    if (draw > 5)
        return (struct claim){CLAIM_NOTHING, -1};
    add_cookie(affinity->cookie, value);
    if (draw == 2) { /* twice, and not the same */
        add_cookie(affinity->cookie, "plain");
        return (struct claim){CLAIM_NOTHING, -1};
    }
    return draw < 2 ? (struct claim){CLAIM_NOTHING, -1} : (struct claim){CLAIM_NAME, (int)server};
}

static struct claim draw_prefix(const struct hf_affinity *affinity)
{
    return draw_name(affinity, "", "~abc");
}

static struct claim draw_route(const struct hf_affinity *affinity)
{
    if (hf_rng_below(&rng, 2))
        return draw_name(affinity, "abc.", "");
    unsigned server = hf_rng_below(&rng, SERVERS);
    char value[KEY_MAX];
    snprintf(value, sizeof(value), "abc.app%u", server);
    add_param(affinity->param, value);
    return (struct claim){CLAIM_URL, (int)server};
}

static struct claim draw_hash_cookie(const struct hf_affinity *affinity)
{
    char value[KEY_MAX];
    if (hf_rng_below(&rng, 4) > 0)
        return (struct claim){CLAIM_NOTHING, -1};
    snprintf(value, sizeof(value), "id%u", hf_rng_below(&rng, 1000));
    add_cookie(affinity->cookie, value);
    return (struct claim){CLAIM_HASH, (int)(hf_hash64(hf_slice_text(value), 0) % SERVERS)};
}

static struct claim draw_source_ip(const struct hf_affinity *affinity)
{
    uint64_t hash =
        hf_source_ip_hash(f.request.client, affinity->ipv4_prefix, affinity->ipv6_prefix);
    return (struct claim){CLAIM_HASH, (int)(hash % SERVERS)};
}

static const struct {
    enum hf_affinity_kind kind;
    struct claim (*draw)(const struct hf_affinity *affinity);
} kinds[] = {
    {HF_AFFINITY_COOKIE_INSERT, draw_token},
    {HF_AFFINITY_COOKIE_PREFIX, draw_prefix},
    {HF_AFFINITY_ROUTE, draw_route},
    {HF_AFFINITY_ROUTE, draw_route},
    {HF_AFFINITY_HASH_COOKIE, draw_hash_cookie},
    {HF_AFFINITY_SOURCE_IP, draw_source_ip},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* --- the model -------------------------------------------------------------------------------- */

struct expected {
    int strategy;      /* that decides, or -1: the balancer */
    int owner, server; /* server -1 = the best there is */
    bool lost;
    struct claim claim;
};

static bool usable(struct claim claim)
{
    if (claim.kind == CLAIM_HASH)
        return serves(claim.server) || best_rank() > 0;
    return claim.kind != CLAIM_NOTHING && claim.server >= 0 && keeps(claim.server);
}

static int token_in(const struct claim *claims, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (claims[i].kind == CLAIM_TOKEN)
            return (int)i;
    return -1;
}

/* Who decides: the rules, in the words of the documentation. */
static int decider(const struct claim *claims, unsigned count)
{
    int lost = -1;
    for (unsigned i = 0; i < count; i++) {
        if (claims[i].kind == CLAIM_TOKEN)
            return (int)i; /* usable or not: its client is ours */
        if (usable(claims[i])) {
            int token = claims[i].kind == CLAIM_URL ? token_in(claims, count) : -1;
            met_outranked += token >= 0;
            return token >= 0 ? token : (int)i;
        }
        if (lost < 0 && (claims[i].kind == CLAIM_NAME || claims[i].kind == CLAIM_URL))
            lost = (int)i;
    }
    return lost;
}

static struct expected expect(const struct claim *claims, unsigned count)
{
    int strategy = decider(claims, count);
    struct expected expected = {.strategy = strategy, .owner = -1, .server = -1};
    if (strategy < 0)
        return expected;
    struct claim claim = claims[strategy];
    expected.claim = claim;
    expected.owner = claim.server;
    if (claim.kind == CLAIM_HASH) {
        expected.server = serves(claim.server) ? claim.server : -1;
        return expected;
    }
    expected.lost = !usable(claim);
    expected.server = expected.lost ? -1 : claim.server;
    return expected;
}

static void check_choice(const struct expected *expected)
{
    assert_int_equal(f.choice.strategy, expected->strategy);
    assert_int_equal(f.choice.lost, expected->lost);
    assert_int_equal(f.choice.pin_valid, expected->claim.kind == CLAIM_TOKEN);
    assert_int_equal(f.choice.by_url, expected->claim.kind == CLAIM_URL);
    if (expected->claim.kind != CLAIM_HASH)
        assert_int_equal(f.choice.owner, expected->owner);
    if (expected->server >= 0)
        assert_int_equal(f.choice.server, expected->server);
    else if (best_rank() == 0)
        assert_int_equal(f.choice.server, -1);
    else
        assert_int_equal(rank(f.choice.server), best_rank());
}

/* Whether the answer of that server carries a new token. */
static bool expect_pin(const struct expected *expected, int served)
{
    enum claim_kind kind = expected->claim.kind;
    int insert = -1;
    for (unsigned i = 0; i < f.pool->affinity_count; i++)
        if (f.pool->affinities[i].kind == HF_AFFINITY_COOKIE_INSERT)
            insert = (int)i;
    bool others = served != expected->owner;
    bool leaves = expected->owner < 0 || (f.pool->failback != HF_FAILBACK_TEMPORARY &&
                                          (expected->lost || !serves(expected->owner)));
    if (kind == CLAIM_TOKEN)
        return others && leaves;
    bool stands_in = (kind == CLAIM_NAME || kind == CLAIM_URL) && others && !leaves;
    met_stood_in += stands_in;
    bool asked = expected->strategy < 0 || expected->lost || kind == CLAIM_URL ||
                 insert < expected->strategy;
    return insert >= 0 && asked && !stands_in;
}

static void check_pin(const struct expected *expected, int served)
{
    bool pinned = hf_fixture_pin(&f, (unsigned)served);
    bool known = expected->claim.kind != CLAIM_NOTHING && served != expected->owner;
    assert_int_equal(pinned, expect_pin(expected, served));
    assert_int_equal(f.moved, pinned && known);
}

/* --- the walk --------------------------------------------------------------------------------- */

static void shuffle_servers(void)
{
    for (unsigned i = 0; i < SERVERS; i++) {
        struct hf_server *server = hf_fixture_server(&f, i);
        server->admin = (uint8_t)(hf_rng_below(&rng, 3) ? HF_ADMIN_READY : hf_rng_below(&rng, 3));
        server->health = (uint8_t)(hf_rng_below(&rng, 3) ? HF_HEALTH_UP : HF_HEALTH_DOWN);
        bool ejected = server->admin == HF_ADMIN_READY && hf_rng_below(&rng, 4) == 0;
        server->ejected_until_ms = ejected ? f.request.now_ms + 1000 : 0;
    }
}

static void draw_request(const unsigned *drawn, struct claim *claims)
{
    char lines[TEXT_MAX + 16] = "";
    cookies[0] = '\0';
    snprintf(target, sizeof(target), "/a");
    f.client.v4.sin_addr.s_addr = htonl(hf_rng_below(&rng, 1 << 30));
    for (unsigned i = 0; i < f.pool->affinity_count; i++) {
        claims[i] = kinds[drawn[i]].draw(&f.pool->affinities[i]);
        met[claims[i].kind]++;
    }
    if (cookies[0] != '\0')
        snprintf(lines, sizeof(lines), "Cookie: %s\r\n", cookies);
    hf_fixture_ask(&f, target, lines);
}

static void one_request(const unsigned *drawn)
{
    struct claim claims[HF_AFFINITIES_MAX];
    if (hf_rng_below(&rng, 3) == 0)
        shuffle_servers();
    draw_request(drawn, claims);
    struct expected expected = expect(claims, f.pool->affinity_count);
    check_choice(&expected);
    met_lost += expected.lost;
    met_balanced += expected.strategy < 0;
    int served = f.choice.server;
    if (served >= 0 && hf_rng_below(&rng, 4) == 0)
        served = (int)hf_rng_below(&rng, SERVERS);
    if (served >= 0 && expected.claim.kind != CLAIM_HASH)
        check_pin(&expected, served);
}

/* A pool of some kinds in some order, none twice. */
static void one_pool(void)
{
    unsigned drawn[KINDS], count = 1 + hf_rng_below(&rng, KINDS);
    for (unsigned i = 0; i < KINDS; i++)
        drawn[i] = i;
    hf_fixture_open(&f, SERVERS);
    f.pool->failback = hf_rng_below(&rng, 3) ? HF_FAILBACK_STAY : HF_FAILBACK_TEMPORARY;
    for (unsigned i = 0; i < count; i++) {
        char cookie[HF_NAME_MAX];
        unsigned other = i + hf_rng_below(&rng, KINDS - i), swap = drawn[i];
        drawn[i] = drawn[other];
        drawn[other] = swap;
        snprintf(cookie, sizeof(cookie), "COOKIE%u", i);
        hf_fixture_add(&f, kinds[drawn[i]].kind, cookie);
    }
    hf_fixture_start(&f);
    for (unsigned i = 0; i < REQUESTS; i++)
        one_request(drawn);
    hf_fixture_close(&f);
}

static void test_the_first_usable_server_wins(void **unused)
{
    hf_rng_seed(&rng, 303);
    for (unsigned i = 0; i < POOLS; i++)
        one_pool();
    for (unsigned i = 0; i < CLAIM_COUNT; i++)
        assert_true(met[i] > 1000);
    assert_true(met_lost > 500 && met_balanced > 500 && met_outranked > 200 && met_stood_in > 200);
}

/* The rule that matters most, spelled out. */
static void test_no_url_outranks_a_token(void **unused)
{
    char text[HF_TOKEN_TEXT_SIZE + 1] = {0}, lines[TEXT_MAX];
    hf_fixture_open(&f, SERVERS);
    hf_fixture_add(&f, HF_AFFINITY_ROUTE, "JSESSIONID");
    struct hf_affinity *insert = hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    hf_fixture_start(&f);
    struct hf_token token = {.server_id = hf_fixture_server(&f, 3)->id,
                             .issued_s = f.request.wall_s,
                             .seen_s = f.request.wall_s};
    hf_token_seal(f.worker.sealer, insert->scope, &token, text);
    snprintf(lines, sizeof(lines), "Cookie: HOLDFAST=%s\r\n", text);
    hf_fixture_ask(&f, "/a;jsessionid=x.app1", lines);
    assert_int_equal(f.choice.server, 3);
    assert_int_equal(f.choice.strategy, 1);
    /* Not even while the token's server is down: a link does not decide whose session is lost. */
    hf_fixture_server(&f, 3)->health = HF_HEALTH_DOWN;
    hf_fixture_ask(&f, "/a;jsessionid=x.app1", lines);
    assert_true(f.choice.lost && f.choice.pin_valid);
    assert_int_equal(f.choice.owner, 3);
    hf_fixture_server(&f, 3)->health = HF_HEALTH_UP;
    /* The application's cookie is no link: there the order of the list holds. */
    snprintf(lines, sizeof(lines), "Cookie: HOLDFAST=%s; JSESSIONID=x.app1\r\n", text);
    hf_fixture_ask(&f, "/a;jsessionid=x.app2", lines);
    assert_int_equal(f.choice.server, 1);
    assert_int_equal(f.choice.strategy, 0);
    /* A forged token is none. */
    text[40] = text[40] == 'A' ? 'B' : 'A';
    snprintf(lines, sizeof(lines), "Cookie: HOLDFAST=%s\r\n", text);
    hf_fixture_ask(&f, "/a;jsessionid=x.app1", lines);
    assert_int_equal(f.choice.server, 1);
    assert_true(f.choice.by_url);
    hf_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_usable_server_wins),
        cmocka_unit_test(test_no_url_outranks_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
