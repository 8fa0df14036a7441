/* What all strategies of a hash share, for each hash: servers are names, failures and bounds go on
 * in the key's own sequence, and strategies stand in order. */
#include "affinity/strategy.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"

enum { SERVERS = 12, CLIENTS = 300 };

static struct hf_fixture f;
static struct hf_affinity *by_header;

static void open_with(enum hf_hash hash)
{
    hf_fixture_open(&f, SERVERS);
    by_header = hf_fixture_add(&f, HF_AFFINITY_HEADER, "K");
    by_header->hash = hash;
    hf_fixture_start(&f);
}

/* The name of whom the client is sent to. */
static const char *come(unsigned client)
{
    char lines[32];
    snprintf(lines, sizeof(lines), "K: key%u\r\n", client);
    hf_fixture_identify(&f, lines);
    assert_in_range(f.choice.server, 0, SERVERS - 1);
    return hf_fixture_server(&f, (unsigned)f.choice.server)->name;
}

static void reverse_the_file(void)
{
    for (unsigned i = 0; i < SERVERS / 2; i++) {
        struct hf_pool_server one = f.pool->servers[i];
        f.pool->servers[i] = f.pool->servers[SERVERS - 1 - i];
        f.pool->servers[SERVERS - 1 - i] = one;
    }
}

/* Mod N and jump number the servers by their names too; weights differ so that places would show.
 */
static void test_the_order_of_the_file_is_nothing(void **unused)
{
    const char *names[CLIENTS];
    for (enum hf_hash hash = 0; hash < HF_HASH_COUNT; hash++) {
        open_with(hash);
        for (unsigned i = 0; i < SERVERS; i++)
            f.pool->servers[i].weight = 1 + i % 3;
        hf_fixture_rebuild(&f);
        for (unsigned client = 0; client < CLIENTS; client++)
            names[client] = come(client);
        reverse_the_file();
        hf_fixture_rebuild(&f);
        for (unsigned client = 0; client < CLIENTS; client++)
            assert_ptr_equal(come(client), names[client]);
        hf_fixture_close(&f);
    }
}

/* app9 comes before app10: the last of them leaves, and only its own clients move. */
static void test_jump_counts_as_people_do(void **unused)
{
    const char *names[CLIENTS];
    open_with(HF_HASH_JUMP);
    for (unsigned client = 0; client < CLIENTS; client++)
        names[client] = come(client);
    f.pool->servers[SERVERS - 1].weight = 0;
    hf_fixture_rebuild(&f);
    for (unsigned client = 0; client < CLIENTS; client++) {
        const char *now = come(client);
        assert_true(now == names[client] || strcmp(names[client], "app11") == 0);
    }
    hf_fixture_close(&f);
}

/* The server of one failed request's stand-in is where the client moves when its own is down. */
static void test_a_failure_goes_where_a_death_would(void **unused)
{
    for (enum hf_hash hash = 0; hash < HF_HASH_COUNT; hash++) {
        open_with(hash);
        for (unsigned client = 0; client < CLIENTS; client++) {
            come(client);
            uint16_t tried[2] = {(uint16_t)f.choice.server};
            int next = hf_affinity_next(&f.worker, f.pool, &f.choice, tried, 1, f.request.now_ms);
            assert_int_not_equal(next, tried[0]);
            tried[1] = (uint16_t)next;
            int third = hf_affinity_next(&f.worker, f.pool, &f.choice, tried, 2, f.request.now_ms);
            assert_true(third >= 0 && third != tried[0] && third != tried[1]);
            hf_fixture_server(&f, tried[0])->health = HF_HEALTH_DOWN;
            come(client);
            assert_int_equal(f.choice.verdict, HF_AFFINITY_DOWN);
            assert_int_equal(f.choice.server, next);
            hf_fixture_server(&f, tried[0])->health = HF_HEALTH_UP;
        }
        hf_fixture_close(&f);
    }
}

/* Twelve servers with ten requests each: 1.25 * 121 / 12 is 13 rounded up. */
static void test_the_bound_holds_for_choice_and_fall_back(void **unused)
{
    for (enum hf_hash hash = 0; hash < HF_HASH_COUNT; hash++) {
        open_with(hash);
        by_header->bounded_percent = 125;
        for (unsigned i = 0; i < SERVERS; i++)
            hf_fixture_server(&f, i)->active = 10;
        come(1);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_HASHED);
        int own = f.choice.server;
        hf_fixture_server(&f, (unsigned)own)->active = 13;
        come(1);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_BOUNDED);
        int second = f.choice.server;
        assert_int_not_equal(second, own);
        hf_fixture_server(&f, (unsigned)own)->active = 10;
        hf_fixture_server(&f, (unsigned)second)->active = 40;
        come(1);
        uint16_t tried = (uint16_t)own;
        assert_int_equal(f.choice.server, own);
        int next = hf_affinity_next(&f.worker, f.pool, &f.choice, &tried, 1, f.request.now_ms);
        assert_true(next >= 0 && next != own && next != second);
        hf_fixture_close(&f);
    }
}

/* So it does for a balancer, whose bound is the pool's own. */
static void test_the_bound_of_a_balancer(void **unused)
{
    hf_fixture_open(&f, SERVERS);
    f.pool->balance = HF_BALANCE_MAGLEV;
    f.pool->bounded_percent = 125;
    hf_fixture_start(&f);
    hf_fixture_identify(&f, "");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_NONE);
    int own = f.choice.server;
    for (unsigned i = 0; i < SERVERS; i++)
        hf_fixture_server(&f, i)->active = (int)i == own ? 13 : 10;
    hf_fixture_identify(&f, "");
    assert_int_not_equal(f.choice.server, own);
    for (unsigned i = 0; i < SERVERS; i++)
        hf_fixture_server(&f, i)->active = i < 6 ? 10 : 40;
    for (unsigned i = 0; i < 100; i++) {
        uint16_t tried = 0;
        int next = hf_affinity_next(&f.worker, f.pool, &f.choice, &tried, 1, f.request.now_ms);
        assert_in_range(next, 1, 5);
    }
    hf_fixture_close(&f);
}

/* A strategy cannot tell old clients from new: a draining server keeps those of its keys. */
static void test_states_of_the_named_server(void **unused)
{
    for (enum hf_hash hash = 0; hash < HF_HASH_COUNT; hash++) {
        open_with(hash);
        const char *own = come(5);
        struct hf_server *server = hf_fixture_server(&f, (unsigned)f.choice.server);
        server->admin = HF_ADMIN_DRAIN;
        assert_ptr_equal(come(5), own);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_HASHED);
        server->admin = HF_ADMIN_MAINTENANCE;
        const char *other = come(5);
        assert_ptr_not_equal(other, own);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_MAINTENANCE);
        assert_false(f.choice.lost);
        server->admin = HF_ADMIN_READY;
        assert_ptr_equal(come(5), own);
        assert_int_equal(f.worker.verdicts[HF_AFFINITY_HASHED], 3);
        assert_int_equal(f.worker.verdicts[HF_AFFINITY_MAINTENANCE], 1);
        hf_fixture_close(&f);
    }
}

/* cookie, header, query, path_param: each decides only where those before it found nothing. */
static void test_strategies_stand_in_order(void **unused)
{
    char token[HF_TOKEN_TEXT_SIZE + 1], lines[HF_FIXTURE_COOKIE_MAX];
    hf_fixture_open(&f, SERVERS);
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    hf_fixture_add(&f, HF_AFFINITY_HEADER, "K");
    hf_fixture_add(&f, HF_AFFINITY_QUERY, "k");
    hf_fixture_add(&f, HF_AFFINITY_PATH_PARAM, "k");
    hf_fixture_start(&f);
    hf_fixture_ask(&f, "/a;k=1?k=2", "K: 3\r\n");
    assert_int_equal(f.choice.strategy, 1);
    hf_fixture_ask(&f, "/a;k=1?k=2", "K: 3\r\nK: 3\r\n");
    assert_int_equal(f.choice.strategy, 2);
    hf_fixture_ask(&f, "/a;k=1?j=2", "");
    assert_int_equal(f.choice.strategy, 3);
    hf_fixture_ask(&f, "/a", "");
    assert_int_equal(f.choice.strategy, -1);
    /* A pin that no key of the URL would give. */
    hf_fixture_ask(&f, "/a;k=1?k=2", "");
    unsigned pinned = (unsigned)(f.choice.server + 1) % SERVERS;
    assert_true(hf_fixture_pin(&f, pinned));
    hf_fixture_token(&f, token);
    snprintf(lines, sizeof(lines), "Cookie: HOLDFAST=%s\r\nK: 3\r\n", token);
    for (unsigned i = 0; i < 20; i++) {
        char target[32];
        snprintf(target, sizeof(target), "/a;k=%u?k=%u", i, i);
        hf_fixture_ask(&f, target, lines);
        assert_int_equal(f.choice.strategy, 0);
        assert_int_equal(f.choice.server, pinned);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    }
    hf_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_order_of_the_file_is_nothing),
        cmocka_unit_test(test_jump_counts_as_people_do),
        cmocka_unit_test(test_a_failure_goes_where_a_death_would),
        cmocka_unit_test(test_the_bound_holds_for_choice_and_fall_back),
        cmocka_unit_test(test_the_bound_of_a_balancer),
        cmocka_unit_test(test_states_of_the_named_server),
        cmocka_unit_test(test_strategies_stand_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
