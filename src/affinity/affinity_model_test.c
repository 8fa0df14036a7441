/* Clients with cookie jars against a plain model of the rules, under random changes of everything.
 */
#include "affinity/affinity.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"

enum { SERVERS = 6, CLIENTS = 40, STEPS = 60000, LIFETIME_S = 5000, IDLE_S = 400 };

static struct hf_fixture f;
static struct hf_rng rng;
static unsigned done[HF_AFFINITY_VERDICT_COUNT]; /* how often each was met */
static unsigned stood_in, moved;

static struct client { /* what the model knows of it; its token is the product's */
    int owner;         /* -1 = it has no pin */
    uint64_t issued_s, seen_s;
    uint64_t id;
    uint32_t epoch;
    char token[HF_TOKEN_TEXT_SIZE + 1];
} clients[CLIENTS];

static enum hf_server_state state(unsigned index)
{
    return hf_server_state(hf_fixture_server(&f, index), f.request.now_ms);
}

static bool serves(unsigned index)
{
    return state(index) == HF_SERVER_READY || state(index) == HF_SERVER_DRAIN;
}

/* How willingly a server takes a client that it does not have: 0 = never, 3 = first. */
static unsigned rank(unsigned index)
{
    const struct hf_pool_server *one = &f.pool->servers[index];
    if (one->weight == 0 || one->server->admin != HF_ADMIN_READY)
        return 0;
    if (state(index) == HF_SERVER_EJECTED)
        return 1;
    return state(index) != HF_SERVER_READY ? 0 : one->backup ? 2 : 3;
}

static unsigned best_rank(void)
{
    unsigned best = 0;
    for (unsigned i = 0; i < SERVERS; i++)
        best = rank(i) > best ? rank(i) : best;
    return best;
}

static void change_a_server(void)
{
    unsigned index = hf_rng_below(&rng, SERVERS);
    struct hf_server *server = hf_fixture_server(&f, index);
    server->admin = (uint8_t)(hf_rng_below(&rng, 2) ? HF_ADMIN_READY : hf_rng_below(&rng, 3));
    server->health = (uint8_t)(hf_rng_below(&rng, 3) ? HF_HEALTH_UP : hf_rng_below(&rng, 3));
    server->ejected_until_ms = hf_rng_below(&rng, 4) ? 0 : f.request.now_ms + 20000;
    f.pool->servers[index].weight = hf_rng_below(&rng, 5);
    f.pool->servers[index].backup = hf_rng_below(&rng, 5) == 0;
}

/* The tables that take long to build come seldom. */
static void change_the_balancer(void)
{
    bool slow = hf_rng_below(&rng, 300) == 0;
    do
        f.pool->balance = (enum hf_balance)hf_rng_below(&rng, HF_BALANCE_COUNT);
    while (slow != (f.pool->balance == HF_BALANCE_MAGLEV || f.pool->balance == HF_BALANCE_RING));
    f.pool->bounded_percent = hf_rng_below(&rng, 2) ? 0 : 100 + hf_rng_below(&rng, 100);
}

static enum hf_affinity_verdict expected_verdict(const struct client *client)
{
    if (client->owner < 0)
        return HF_AFFINITY_NONE;
    if (f.request.wall_s - client->issued_s > LIFETIME_S)
        return HF_AFFINITY_EXPIRED_LIFETIME;
    uint64_t idle_s = f.request.wall_s - client->seen_s;
    if (idle_s > IDLE_S)
        return HF_AFFINITY_EXPIRED_IDLE;
    enum hf_server_state owner = state((unsigned)client->owner);
    if (owner == HF_SERVER_MAINTENANCE)
        return HF_AFFINITY_MAINTENANCE;
    if (owner == HF_SERVER_DOWN || (owner == HF_SERVER_EJECTED && best_rank() > 1))
        return HF_AFFINITY_DOWN;
    return idle_s > IDLE_S / 4 ? HF_AFFINITY_REFRESHED : HF_AFFINITY_PINNED;
}

static void check_choice(const struct client *client, enum hf_affinity_verdict verdict)
{
    assert_int_equal(f.choice.verdict, verdict);
    bool held = verdict == HF_AFFINITY_PINNED || verdict == HF_AFFINITY_REFRESHED;
    bool lost = verdict == HF_AFFINITY_DOWN || verdict == HF_AFFINITY_MAINTENANCE;
    assert_int_equal(f.choice.lost, lost);
    assert_int_equal(f.choice.pin_valid, held || lost);
    assert_int_equal(f.choice.owner, held || lost ? client->owner : -1);
    if (held) {
        assert_int_equal(f.choice.server, client->owner);
    } else if (best_rank() == 0) {
        assert_int_equal(f.choice.server, -1);
    } else {
        assert_int_equal(rank((unsigned)f.choice.server), best_rank());
    }
    if (lost) {
        int again = hf_affinity_next(&f.worker, f.pool, &f.choice, NULL, 0, f.request.now_ms);
        assert_int_equal(f.choice.server, again);
    }
}

/* The request is answered, here or after some failures elsewhere. -1: by nobody. */
static int answer(void)
{
    uint16_t tried[SERVERS];
    unsigned tried_count = 0;
    int server = f.choice.server;
    while (server >= 0 && hf_rng_below(&rng, 6) == 0) {
        tried[tried_count++] = (uint16_t)server;
        int next =
            hf_affinity_next(&f.worker, f.pool, &f.choice, tried, tried_count, f.request.now_ms);
        for (unsigned i = 0; next >= 0 && i < tried_count; i++)
            assert_int_not_equal(next, tried[i]);
        assert_true(next < 0 || rank((unsigned)next) > 0);
        server = next;
    }
    return server;
}

static void check_pin(struct client *client, unsigned served)
{
    bool valid = f.choice.pin_valid;
    bool by_owner = valid && client->owner == (int)served;
    bool leaves = valid && !by_owner && (f.choice.lost || !serves((unsigned)client->owner));
    bool wanted = !valid || leaves || (by_owner && f.choice.refresh);
    assert_int_equal(hf_fixture_pin(&f, served), wanted);
    assert_int_equal(f.moved, leaves);
    stood_in += valid && !by_owner && !leaves;
    moved += leaves;
    if (!wanted)
        return;
    struct hf_token token;
    assert_int_equal(hf_fixture_opened(&f, &token), HF_TOKEN_VALID);
    assert_true(token.server_id == hf_fixture_server(&f, served)->id);
    assert_int_equal(token.seen_s, f.request.wall_s);
    assert_int_equal(token.issued_s, valid ? client->issued_s : f.request.wall_s);
    assert_int_equal(token.epoch, valid ? client->epoch + leaves : 0);
    assert_true(!valid || token.client_id == client->id);
    *client = (struct client){.owner = (int)served,
                              .issued_s = token.issued_s,
                              .seen_s = token.seen_s,
                              .id = token.client_id,
                              .epoch = token.epoch};
    hf_fixture_token(&f, client->token);
}

static void test_like_the_model(void **unused)
{
    hf_rng_seed(&rng, 77);
    hf_fixture_open(&f, SERVERS);
    struct hf_affinity *insert = hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    insert->idle_s = IDLE_S;
    insert->lifetime_s = LIFETIME_S;
    hf_fixture_start(&f);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i].owner = -1;
    for (unsigned step = 0; step < STEPS; step++) {
        f.request.wall_s += hf_rng_below(&rng, 6);
        f.request.now_ms += hf_rng_below(&rng, 10000);
        if (hf_rng_below(&rng, 5) == 0) {
            change_a_server();
            change_the_balancer();
            hf_fixture_rebuild(&f);
        }
        struct client *client = &clients[hf_rng_below(&rng, CLIENTS)];
        enum hf_affinity_verdict verdict = expected_verdict(client);
        hf_fixture_return(&f, client->token);
        check_choice(client, verdict);
        done[verdict]++;
        int served = answer();
        if (served >= 0)
            check_pin(client, (unsigned)served);
    }
    hf_fixture_close(&f);
    /* The walk met everything that it could meet. */
    static const enum hf_affinity_verdict met[] = {HF_AFFINITY_NONE,
                                                   HF_AFFINITY_PINNED,
                                                   HF_AFFINITY_REFRESHED,
                                                   HF_AFFINITY_DOWN,
                                                   HF_AFFINITY_MAINTENANCE,
                                                   HF_AFFINITY_EXPIRED_IDLE,
                                                   HF_AFFINITY_EXPIRED_LIFETIME};
    for (unsigned i = 0; i < sizeof(met) / sizeof(met[0]); i++)
        assert_true(done[met[i]] > 20);
    assert_true(stood_in > 100 && moved > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_like_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
