/* stay, return, temporary: where a client goes while its server is away, when that is back, and
 * what its pin says each time. */
#include "affinity/failback.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"

enum { SERVERS = 4, HOME = 1 };

static struct hf_fixture f;
static char token[HF_TOKEN_TEXT_SIZE + 1];

/* A client pinned to HOME. */
static void open_pool(enum hf_failback failback)
{
    hf_fixture_open(&f, SERVERS);
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    f.pool->failback = failback;
    hf_fixture_start(&f);
    struct hf_token pin = {.server_id = hf_fixture_server(&f, HOME)->id,
                           .client_id = 0x1234567890abcdef,
                           .issued_s = f.request.wall_s,
                           .seen_s = f.request.wall_s};
    hf_fixture_seal(&f, &pin, token);
}

static void set_down(int server, bool down)
{
    hf_fixture_server(&f, (unsigned)server)->health = down ? HF_HEALTH_DOWN : HF_HEALTH_UP;
}

/* One request, answered by the server chosen; the client keeps what it is given. */
static int visit(enum hf_affinity_verdict verdict, bool pinned)
{
    hf_fixture_return(&f, token);
    assert_int_equal(f.choice.verdict, verdict);
    assert_in_range(f.choice.server, 0, SERVERS - 1);
    assert_int_equal(hf_fixture_pin(&f, (unsigned)f.choice.server), pinned);
    assert_int_equal(f.moved, pinned);
    if (pinned)
        hf_fixture_token(&f, token);
    return f.choice.server;
}

static struct hf_token opened(void)
{
    struct hf_token pin;
    assert_int_equal(hf_token_open(f.worker.sealer, f.pool->affinities[0].scope,
                                   hf_slice(token, HF_TOKEN_TEXT_SIZE), &pin),
                     HF_TOKEN_VALID);
    return pin;
}

static void test_stay(void **unused)
{
    open_pool(HF_FAILBACK_STAY);
    set_down(HOME, true);
    int other = visit(HF_AFFINITY_DOWN, true);
    assert_int_not_equal(other, HOME);
    assert_true(opened().home_id == 0 && opened().epoch == 1);
    set_down(HOME, false);
    assert_int_equal(visit(HF_AFFINITY_PINNED, false), other);
    hf_fixture_close(&f);
}

static void test_return(void **unused)
{
    open_pool(HF_FAILBACK_RETURN);
    uint64_t home_id = hf_fixture_server(&f, HOME)->id;
    set_down(HOME, true);
    int other = visit(HF_AFFINITY_DOWN, true);
    assert_int_not_equal(other, HOME);
    assert_true(opened().home_id == home_id && opened().epoch == 1);
    assert_int_equal(visit(HF_AFFINITY_PINNED, false), other);
    /* Its new server is lost, too: home stays home. */
    set_down(other, true);
    int third = visit(HF_AFFINITY_DOWN, true);
    assert_true(third != other && third != HOME);
    assert_true(opened().home_id == home_id && opened().epoch == 2);
    /* A drain takes no clients back. */
    set_down(HOME, false);
    hf_fixture_server(&f, HOME)->admin = HF_ADMIN_DRAIN;
    assert_int_equal(visit(HF_AFFINITY_PINNED, false), third);
    hf_fixture_server(&f, HOME)->admin = HF_ADMIN_READY;
    assert_int_equal(visit(HF_AFFINITY_RETURNED, true), HOME);
    assert_true(opened().home_id == 0 && opened().epoch == 3);
    assert_true(opened().server_id == home_id);
    set_down(other, false);
    assert_int_equal(visit(HF_AFFINITY_PINNED, false), HOME);
    hf_fixture_close(&f);
}

/* Home is ready by its checks and refuses after all: who has the session answers, nothing moves. */
static void test_a_return_that_fails(void **unused)
{
    open_pool(HF_FAILBACK_RETURN);
    set_down(HOME, true);
    int other = visit(HF_AFFINITY_DOWN, true);
    set_down(HOME, false);
    hf_fixture_return(&f, token);
    assert_true(f.choice.returning && f.choice.server == HOME && f.choice.owner == other);
    const uint16_t tried[] = {HOME};
    assert_int_equal(hf_affinity_next(&f.worker, f.pool, &f.choice, tried, 1, f.request.now_ms),
                     other);
    assert_false(hf_fixture_pin(&f, (unsigned)other));
    /* That one fails as well: a stand-in, and still nothing moves. */
    const uint16_t both[] = {HOME, (uint16_t)other};
    int third = hf_affinity_next(&f.worker, f.pool, &f.choice, both, 2, f.request.now_ms);
    assert_true(third >= 0 && third != HOME && third != other);
    assert_false(hf_fixture_pin(&f, (unsigned)third));
    hf_fixture_close(&f);
}

static void test_a_home_that_is_gone(void **unused)
{
    open_pool(HF_FAILBACK_RETURN);
    struct hf_token pin = opened();
    pin.home_id = hf_server_id(HF_SLICE("shop"), HF_SLICE("removed"));
    hf_fixture_seal(&f, &pin, token);
    assert_int_equal(visit(HF_AFFINITY_PINNED, false), HOME);
    /* The next move forgets it: the server lost now is the home. */
    set_down(HOME, true);
    visit(HF_AFFINITY_DOWN, true);
    assert_true(opened().home_id == hf_fixture_server(&f, HOME)->id);
    hf_fixture_close(&f);
}

/* The setting may change while clients are away. */
static void test_home_is_followed_only_under_return(void **unused)
{
    open_pool(HF_FAILBACK_RETURN);
    set_down(HOME, true);
    int other = visit(HF_AFFINITY_DOWN, true);
    set_down(HOME, false);
    f.pool->failback = HF_FAILBACK_STAY;
    assert_int_equal(visit(HF_AFFINITY_PINNED, false), other);
    hf_fixture_close(&f);
}

static void test_temporary(void **unused)
{
    open_pool(HF_FAILBACK_TEMPORARY);
    set_down(HOME, true);
    int other = visit(HF_AFFINITY_DOWN, false);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(visit(HF_AFFINITY_DOWN, false), other);
    assert_int_not_equal(other, HOME);
    set_down(HOME, false);
    assert_int_equal(visit(HF_AFFINITY_PINNED, false), HOME);
    hf_fixture_close(&f);
}

/* A removed server never comes back: a temporary guest would be one for ever. */
static void test_temporary_and_gone(void **unused)
{
    open_pool(HF_FAILBACK_TEMPORARY);
    struct hf_token pin = opened();
    pin.server_id = hf_server_id(HF_SLICE("shop"), HF_SLICE("removed"));
    hf_fixture_seal(&f, &pin, token);
    int other = visit(HF_AFFINITY_GONE, true);
    assert_true(opened().server_id == hf_fixture_server(&f, (unsigned)other)->id);
    hf_fixture_close(&f);
}

/* Backups stand in like others, in their order, and are left like others. */
static void test_backups(void **unused)
{
    static const enum hf_failback modes[] = {HF_FAILBACK_STAY, HF_FAILBACK_RETURN,
                                             HF_FAILBACK_TEMPORARY};
    for (unsigned i = 0; i < 3; i++) {
        open_pool(modes[i]);
        f.pool->servers[3].backup = true;
        for (int server = 0; server < 3; server++)
            set_down(server, true);
        bool moves = modes[i] != HF_FAILBACK_TEMPORARY;
        assert_int_equal(visit(HF_AFFINITY_DOWN, moves), 3);
        set_down(HOME, false);
        bool returns = modes[i] == HF_FAILBACK_RETURN;
        int after = visit(returns ? HF_AFFINITY_RETURNED : HF_AFFINITY_PINNED, returns);
        assert_int_equal(after, modes[i] == HF_FAILBACK_STAY ? 3 : HOME);
        hf_fixture_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stay),
        cmocka_unit_test(test_return),
        cmocka_unit_test(test_a_return_that_fails),
        cmocka_unit_test(test_a_home_that_is_gone),
        cmocka_unit_test(test_home_is_followed_only_under_return),
        cmocka_unit_test(test_temporary),
        cmocka_unit_test(test_temporary_and_gone),
        cmocka_unit_test(test_backups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
