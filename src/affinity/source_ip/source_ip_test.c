/* hash mod N over the client's network, as a strategy and as a balancer. */
#include "affinity/source_ip/source_ip.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"
#include "base/hash.h"

enum { SERVERS = 4 };

static struct hf_fixture f;

static int setup_strategy(void **unused)
{
    hf_fixture_open(&f, SERVERS);
    hf_fixture_add(&f, HF_AFFINITY_SOURCE_IP, NULL);
    hf_fixture_start(&f);
    return 0;
}

static int setup_balancer(void **unused)
{
    hf_fixture_open(&f, SERVERS);
    f.pool->balance = HF_BALANCE_IP_HASH;
    hf_fixture_start(&f);
    return 0;
}

static int teardown(void **unused)
{
    hf_fixture_close(&f);
    return 0;
}

static int come_from(const char *address)
{
    assert_int_equal(hf_address_parse(hf_slice_text(address), &f.client), 0);
    hf_fixture_identify(&f, "");
    return f.choice.server;
}

static int come_from_v4(unsigned number)
{
    char text[HF_ADDRESS_TEXT_MAX];
    snprintf(text, sizeof(text), "10.%u.%u.%u:%u", number >> 16, number >> 8 & 255, number & 255,
             1024 + number % 1000);
    return come_from(text);
}

static void test_textbook_form(void **unused)
{
    uint8_t key[16] = {[10] = 0xff, [11] = 0xff, [12] = 203, [14] = 113, [15] = 9};
    uint64_t hash = hf_hash64(hf_slice((const char *)key, sizeof(key)), 0);
    assert_int_equal(come_from("203.0.113.9:1"), hash % SERVERS);
    assert_int_equal(come_from("203.0.113.9:65000"), hash % SERVERS);
    assert_int_equal(come_from("[::ffff:203.0.113.9]:80"), hash % SERVERS);
}

static void test_prefixes(void **unused)
{
    f.pool->affinities[0].ipv4_prefix = 24;
    f.pool->affinities[0].ipv6_prefix = 48;
    unsigned servers = 0;
    for (unsigned net = 0; net < 64; net++) {
        char one[64], other[64];
        snprintf(one, sizeof(one), "10.0.%u.1:80", net);
        snprintf(other, sizeof(other), "10.0.%u.254:90", net);
        assert_int_equal(come_from(one), come_from(other));
        snprintf(one, sizeof(one), "[2001:db8:%x::1]:80", net);
        snprintf(other, sizeof(other), "[2001:db8:%x:ffff:1:2:3:4]:80", net);
        assert_int_equal(come_from(one), come_from(other));
        servers |= 1u << f.choice.server;
    }
    assert_int_equal(servers, (1u << SERVERS) - 1);
}

static void test_strategy_on_drain(void **unused)
{
    int before[256];
    for (unsigned i = 0; i < 256; i++)
        before[i] = come_from_v4(i);
    assert_int_equal(f.choice.verdict, HF_AFFINITY_HASHED);
    hf_fixture_server(&f, 1)->admin = HF_ADMIN_DRAIN;
    for (unsigned i = 0; i < 256; i++)
        assert_int_equal(come_from_v4(i), before[i]);
}

/* The balancer is the same hash, but whom it places is new: a draining server gets none. */
static void test_balancer_on_drain(void **unused)
{
    unsigned moved = 0;
    int before[256];
    for (unsigned i = 0; i < 256; i++)
        before[i] = come_from_v4(i);
    assert_int_equal(f.choice.strategy, -1);
    hf_fixture_server(&f, 1)->admin = HF_ADMIN_DRAIN;
    for (unsigned i = 0; i < 256; i++) {
        int now = come_from_v4(i);
        assert_int_not_equal(now, 1);
        assert_true(before[i] == 1 || now == before[i]);
        moved += before[i] == 1;
    }
    assert_in_range(moved, 30, 98); /* 64 expected, five deviations */
}

static void test_balancer_and_strategy_agree(void **unused)
{
    struct hf_address client;
    assert_int_equal(hf_address_parse(HF_SLICE("[2001:db8::7]:80"), &client), 0);
    assert_int_equal(come_from("[2001:db8::7]:80"), hf_source_ip_hash(&client, 32, 64) % SERVERS);
    assert_int_equal(come_from("[2001:db8::ffff:0:0:1]:9"), f.choice.server); /* the same /64 */
}

#define STRATEGY_TEST(test) cmocka_unit_test_setup_teardown(test, setup_strategy, teardown)
#define BALANCER_TEST(test) cmocka_unit_test_setup_teardown(test, setup_balancer, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STRATEGY_TEST(test_textbook_form),     BALANCER_TEST(test_textbook_form),
        STRATEGY_TEST(test_prefixes),          STRATEGY_TEST(test_strategy_on_drain),
        BALANCER_TEST(test_balancer_on_drain), BALANCER_TEST(test_balancer_and_strategy_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
