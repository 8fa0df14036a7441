/* Slow start: the share of a server that came back, by weight and in real choices. */
#include "affinity/slow_start.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"

enum { SERVERS = 4, SLOW_MS = 10000, CLIENTS = 20000 };

static struct hf_fixture f;

static void open_pool(enum hf_balance balance)
{
    hf_fixture_open(&f, SERVERS);
    f.pool->balance = balance;
    f.pool->slow_start_ms = SLOW_MS;
    for (unsigned i = 0; i < SERVERS; i++)
        f.pool->servers[i].server->up_since_ms = 0;
    hf_fixture_start(&f);
}

static void test_the_ramp(void **unused)
{
    open_pool(HF_BALANCE_RANDOM);
    struct hf_pool_server *one = &f.pool->servers[1];
    one->weight = 7;
    uint64_t now_ms = 100000;
    assert_int_equal(hf_slow_start_weight(f.pool, one, now_ms), 7 * HF_SLOW_START_SCALE);
    one->server->up_since_ms = now_ms;
    uint32_t before = 0;
    for (unsigned age_ms = 0; age_ms <= SLOW_MS; age_ms += 100) {
        uint32_t weight = hf_slow_start_weight(f.pool, one, now_ms + age_ms);
        unsigned part = age_ms / (SLOW_MS / 100);
        assert_int_equal(weight, 7 * (part > HF_SLOW_START_LEAST ? part : HF_SLOW_START_LEAST));
        assert_true(weight >= before);
        before = weight;
    }
    assert_int_equal(before, 7 * HF_SLOW_START_SCALE);
    /* Another thread's clock may be a moment ahead. */
    assert_int_equal(hf_slow_start_weight(f.pool, one, now_ms - 1), 7 * HF_SLOW_START_LEAST);
    /* The end of an ejection is a return, too. */
    one->server->up_since_ms = 0;
    one->server->ejected_until_ms = now_ms;
    assert_int_equal(hf_slow_start_weight(f.pool, one, now_ms + SLOW_MS / 2),
                     7 * HF_SLOW_START_SCALE / 2);
    hf_fixture_close(&f);
}

/* How many of CLIENTS new clients server 0 gets when it came up so long ago. */
static unsigned share_of_first(uint64_t age_ms)
{
    unsigned share = 0;
    f.request.now_ms = 100000;
    f.pool->servers[0].server->up_since_ms = f.request.now_ms - age_ms;
    for (unsigned i = 0; i < CLIENTS; i++) {
        hf_fixture_identify(&f, "");
        share += f.choice.server == 0;
    }
    return share;
}

static void check_shares(enum hf_balance balance)
{
    open_pool(balance);
    unsigned least = CLIENTS * HF_SLOW_START_LEAST / (300 + HF_SLOW_START_LEAST);
    unsigned half = CLIENTS * 50 / 350, full = CLIENTS / 4;
    assert_in_range(share_of_first(0), least * 8 / 10, least * 12 / 10);
    assert_in_range(share_of_first(SLOW_MS / 2), half * 9 / 10, half * 11 / 10);
    assert_in_range(share_of_first(SLOW_MS), full * 95 / 100, full * 105 / 100);
    hf_fixture_close(&f);
}

static void test_shares(void **unused)
{
    check_shares(HF_BALANCE_ROUND_ROBIN);
    check_shares(HF_BALANCE_RANDOM);
    check_shares(HF_BALANCE_LEAST_CONNECTIONS); /* without load: by weight */
}

/* Round robin must not pay old debts in one burst when the ramp is over. */
static void test_no_burst_after_the_ramp(void **unused)
{
    open_pool(HF_BALANCE_ROUND_ROBIN);
    share_of_first(SLOW_MS / 3);
    f.pool->servers[0].server->up_since_ms = f.request.now_ms - SLOW_MS;
    int last = -1;
    unsigned run = 0, longest = 0;
    for (unsigned i = 0; i < 100; i++) {
        hf_fixture_identify(&f, "");
        run = f.choice.server == last ? run + 1 : 1;
        last = f.choice.server;
        longest = run > longest ? run : longest;
    }
    assert_in_range(longest, 1, 3);
    hf_fixture_close(&f);
}

static void test_a_hash_moves_nobody(void **unused)
{
    open_pool(HF_BALANCE_IP_HASH);
    for (unsigned i = 0; i < 1000; i++) {
        char text[HF_ADDRESS_TEXT_MAX];
        snprintf(text, sizeof(text), "10.0.%u.%u:1", i / 250, i % 250 + 1);
        assert_int_equal(hf_address_parse(hf_slice_text(text), &f.client), 0);
        f.request.now_ms = 100000;
        f.pool->servers[0].server->up_since_ms = 0;
        hf_fixture_identify(&f, "");
        int before = f.choice.server;
        f.pool->servers[0].server->up_since_ms = f.request.now_ms;
        hf_fixture_identify(&f, "");
        assert_int_equal(f.choice.server, before);
    }
    hf_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_ramp),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_no_burst_after_the_ramp),
        cmocka_unit_test(test_a_hash_moves_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
