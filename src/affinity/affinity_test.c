/* The choice: strategies in order, balancers, fall-backs, and what a pin does to them. */
#include "affinity/affinity.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>

#include "affinity/fixture.h"

enum { SERVERS = 6, CLIENTS = 6000 };

static struct hf_fixture f;

static int setup(void **unused)
{
    hf_fixture_open(&f, SERVERS);
    return 0;
}

static int teardown(void **unused)
{
    hf_fixture_close(&f);
    return 0;
}

static void set(unsigned index, enum hf_admin_state admin, enum hf_health health)
{
    hf_fixture_server(&f, index)->admin = (uint8_t)admin;
    hf_fixture_server(&f, index)->health = (uint8_t)health;
}

static void eject(unsigned index)
{
    hf_fixture_server(&f, index)->ejected_until_ms = f.request.now_ms + 1000;
}

static void test_words(void **unused)
{
    assert_string_equal(hf_affinity_verdict_word(HF_AFFINITY_NONE), "none");
    assert_string_equal(hf_affinity_verdict_word(HF_AFFINITY_EXPIRED_IDLE), "expired_idle");
    assert_string_equal(hf_affinity_verdict_word(HF_AFFINITY_DUPLICATE), "duplicate");
    hf_fixture_start(&f);
}

static void test_worker_without_keys(void **unused)
{
    f.config->cookie_key_count = 0;
    hf_fixture_start(&f);
    assert_null(f.worker.sealer);
    hf_fixture_identify(&f, "");
    assert_int_equal(f.choice.server, 0);
    assert_int_equal(hf_affinity_own_cookie(f.pool).size, 0);
    hf_affinity_worker_fini(&f.worker);
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    hf_fixture_rebuild(&f);
    assert_int_equal(hf_affinity_worker_init(&f.worker, f.config), -EINVAL);
    assert_null(f.worker.balance);
}

static void test_every_balancer_takes_the_ready_only(void **unused)
{
    set(0, HF_ADMIN_DRAIN, HF_HEALTH_UP);
    set(1, HF_ADMIN_READY, HF_HEALTH_DOWN);
    set(2, HF_ADMIN_MAINTENANCE, HF_HEALTH_UP);
    f.pool->servers[3].weight = 0;
    f.pool->servers[4].backup = true;
    hf_fixture_start(&f);
    for (enum hf_balance balance = 0; balance < HF_BALANCE_COUNT; balance++) {
        f.pool->balance = balance;
        hf_fixture_rebuild(&f);
        for (unsigned turn = 0; turn < 50; turn++) {
            hf_fixture_identify(&f, "");
            assert_int_equal(f.choice.server, 5);
        }
        eject(5); /* then the backup, then the ejected one, then nobody */
        hf_fixture_identify(&f, "");
        assert_int_equal(f.choice.server, 4);
        set(4, HF_ADMIN_READY, HF_HEALTH_DOWN);
        hf_fixture_identify(&f, "");
        assert_int_equal(f.choice.server, 5);
        set(5, HF_ADMIN_DRAIN, HF_HEALTH_UP);
        hf_fixture_identify(&f, "");
        assert_int_equal(f.choice.server, -1);
        set(4, HF_ADMIN_READY, HF_HEALTH_UP);
        set(5, HF_ADMIN_READY, HF_HEALTH_UP);
        hf_fixture_server(&f, 5)->ejected_until_ms = 0;
    }
}

static void test_balancers_see_load_and_cost(void **unused)
{
    for (unsigned i = 2; i < SERVERS; i++)
        f.pool->servers[i].weight = 0;
    hf_fixture_start(&f);
    hf_fixture_server(&f, 0)->active = 5;
    hf_fixture_server(&f, 1)->active = 4;
    for (unsigned i = 0; i < 20; i++) {
        f.pool->balance = i % 2 ? HF_BALANCE_LEAST_CONNECTIONS : HF_BALANCE_P2C;
        hf_fixture_identify(&f, "");
        assert_int_equal(f.choice.server, 1);
    }
    hf_fixture_server(&f, 0)->active = -1; /* a gauge in the midst of two updates */
    f.pool->balance = HF_BALANCE_LEAST_CONNECTIONS;
    hf_fixture_identify(&f, "");
    assert_int_equal(f.choice.server, 0);
    f.pool->balance = HF_BALANCE_P2C;
    hf_fixture_server(&f, 0)->active = hf_fixture_server(&f, 1)->active = 0;
    hf_fixture_server(&f, 0)->ewma_us = 100000;
    hf_fixture_server(&f, 1)->ewma_us = 2000;
    hf_fixture_server(&f, 0)->ewma_at_us = hf_fixture_server(&f, 1)->ewma_at_us = 1000000;
    for (unsigned i = 0; i < 20; i++) {
        hf_fixture_identify(&f, "");
        assert_int_equal(f.choice.server, 1);
    }
    /* What was slow long ago is asked again, even beside one that answers now. */
    hf_fixture_server(&f, 1)->ewma_at_us = 121 * 1000000;
    f.request.now_ms = 121 * 1000;
    unsigned asked = 0;
    for (unsigned i = 0; i < 20; i++) {
        hf_fixture_identify(&f, "");
        asked += f.choice.server == 0;
    }
    assert_int_not_equal(asked, 0);
}

static void test_next_ends_when_all_were_tried(void **unused)
{
    f.pool->servers[2].backup = true;
    set(3, HF_ADMIN_DRAIN, HF_HEALTH_UP);
    eject(4);
    f.pool->servers[5].weight = 0;
    hf_fixture_start(&f);
    for (unsigned client = 0; client < 100; client++) {
        hf_fixture_identify(&f, "");
        assert_in_range(f.choice.server, 0, 1);
        uint16_t tried[SERVERS] = {(uint16_t)f.choice.server};
        int expected[] = {1 - f.choice.server, 2, 4, -1};
        for (unsigned count = 1; count <= 4; count++) {
            int next =
                hf_affinity_next(&f.worker, f.pool, &f.choice, tried, count, f.request.now_ms);
            assert_int_equal(next, expected[count - 1]);
            assert_int_equal(
                hf_affinity_next(&f.worker, f.pool, &f.choice, tried, count, f.request.now_ms),
                next);
            tried[count % SERVERS] = (uint16_t)(next < 0 ? 0 : next);
        }
    }
}

/* The clients of a server that fails spread over all others alike. */
static void test_next_spreads_clients(void **unused)
{
    hf_fixture_start(&f);
    unsigned seen[SERVERS] = {0};
    const uint16_t tried[] = {3};
    for (unsigned client = 0; client < CLIENTS; client++) {
        hf_fixture_identify(&f, "");
        seen[hf_affinity_next(&f.worker, f.pool, &f.choice, tried, 1, f.request.now_ms)]++;
    }
    double deviation = sqrt(CLIENTS * 0.2 * 0.8);
    for (unsigned i = 0; i < SERVERS; i++)
        assert_true(i == 3 ? seen[i] == 0 : fabs(seen[i] - CLIENTS / 5.0) < 5 * deviation);
}

static void test_cookie_before_source_ip(void **unused)
{
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    hf_fixture_add(&f, HF_AFFINITY_SOURCE_IP, NULL);
    hf_fixture_start(&f);
    hf_fixture_return(&f, "forged");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_HASHED);
    assert_int_equal(f.choice.strategy, 1);
    assert_int_equal(f.worker.verdicts[HF_AFFINITY_MALFORMED], 1);
    assert_int_equal(f.worker.verdicts[HF_AFFINITY_HASHED], 1);
    unsigned by_address = (unsigned)f.choice.server;
    struct hf_token first, second;
    assert_true(hf_fixture_pin(&f, by_address));
    assert_int_equal(hf_fixture_opened(&f, &first), HF_TOKEN_VALID);
    assert_true(hf_fixture_pin(&f, by_address));
    assert_int_equal(hf_fixture_opened(&f, &second), HF_TOKEN_VALID);
    assert_true(first.client_id != second.client_id); /* behind one address are many clients */
    /* From then on the cookie decides, whatever the address says. */
    char text[HF_TOKEN_TEXT_SIZE + 1];
    hf_fixture_token(&f, text);
    for (unsigned i = 0; i < 50; i++) {
        char address[32];
        snprintf(address, sizeof(address), "198.51.100.%u:99", i);
        assert_int_equal(hf_address_parse(hf_slice_text(address), &f.client), 0);
        hf_fixture_return(&f, text);
        assert_int_equal(f.choice.strategy, 0);
        assert_int_equal(f.choice.server, by_address);
    }
    assert_true(hf_slice_equal(hf_affinity_own_cookie(f.pool), HF_SLICE("HOLDFAST")));
}

static void test_hash_before_cookie(void **unused)
{
    hf_fixture_add(&f, HF_AFFINITY_HASH_COOKIE, "SID");
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    hf_fixture_start(&f);
    hf_fixture_identify(&f, "Cookie: SID=7\r\n");
    assert_int_equal(f.choice.strategy, 0);
    assert_false(hf_fixture_pin(&f, (unsigned)f.choice.server)); /* the pin would not be read */
    hf_fixture_identify(&f, "");
    assert_int_equal(f.choice.strategy, -1);
    assert_true(hf_fixture_pin(&f, (unsigned)f.choice.server));
    assert_true(hf_slice_equal(hf_affinity_own_cookie(f.pool), HF_SLICE("HOLDFAST")));
    assert_int_equal(f.worker.verdicts[HF_AFFINITY_NONE], 2);
}

static void test_verdict_of_what_was_found(void **unused)
{
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    hf_fixture_add(&f, HF_AFFINITY_HASH_COOKIE, "SID");
    hf_fixture_start(&f);
    hf_fixture_return(&f, "forged");
    assert_int_equal(f.choice.strategy, -1);
    assert_int_equal(f.choice.verdict, HF_AFFINITY_MALFORMED);
}

#define CHOICE_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHOICE_TEST(test_words),
        CHOICE_TEST(test_worker_without_keys),
        CHOICE_TEST(test_every_balancer_takes_the_ready_only),
        CHOICE_TEST(test_balancers_see_load_and_cost),
        CHOICE_TEST(test_next_ends_when_all_were_tried),
        CHOICE_TEST(test_next_spreads_clients),
        CHOICE_TEST(test_cookie_before_source_ip),
        CHOICE_TEST(test_hash_before_cookie),
        CHOICE_TEST(test_verdict_of_what_was_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
