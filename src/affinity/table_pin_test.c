/* `source_ip: table`: one entry a network, made once, moved by judgement alone. */
#include "affinity/fixture.h"
#include "affinity/table_pin.h"
#include "base/test.h"
#include "table/table.h"
#include <pthread.h>

enum { SERVERS = 4, DEADLINE_MS = 10 * 1000, THREADS = 4, CLIENTS = 2000 };

static struct hf_fixture f;

static struct hf_affinity *add_table(void)
{
    struct hf_affinity *affinity = hf_fixture_add(&f, HF_AFFINITY_SOURCE_IP_TABLE, "");
    affinity->expire_s = 100;
    affinity->table_size = 10 * 1000;
    return affinity;
}

static int setup(void **state)
{
    hf_fixture_open(&f, SERVERS);
    return 0;
}

static int teardown(void **state)
{
    hf_fixture_close(&f);
    return hf_table_wait_ended(DEADLINE_MS) ? 0 : -1;
}

static void come(const char *address)
{
    assert_int_equal(hf_address_parse(hf_slice_text(address), &f.client), 0);
    hf_fixture_identify(&f, "");
}

static void a_client_keeps_the_server_it_was_given(void **state)
{
    unsigned seen[SERVERS] = {0};
    int first[100];
    add_table();
    hf_fixture_start(&f);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 100; i++) {
            char address[32];
            snprintf(address, sizeof(address), "198.51.100.%u:99", i);
            come(address);
            if (round == 0) {
                first[i] = f.choice.server;
                seen[first[i]]++;
                assert_int_equal(f.choice.verdict, HF_AFFINITY_UNLISTED);
                assert_int_equal(f.choice.claimed, 1);
            } else {
                assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
                assert_int_equal(f.choice.server, first[i]);
                assert_int_equal(f.choice.claimed, 0);
            }
            assert_false(hf_fixture_pin(&f, (unsigned)f.choice.server));
        }
    }
    for (unsigned i = 0; i < SERVERS; i++)
        assert_int_equal(seen[i], 25); /* by the balancer, not by a hash */
}

static void a_network_is_one_client(void **state)
{
    struct hf_affinity *affinity = add_table();
    affinity->ipv4_prefix = 24;
    affinity->ipv6_prefix = 48;
    hf_fixture_start(&f);
    come("198.51.100.1:99");
    int server = f.choice.server;
    come("198.51.100.200:99");
    assert_int_equal(f.choice.server, server);
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    come("[::ffff:198.51.100.7]:99");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    come("198.51.101.1:99");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_UNLISTED);
    come("[2001:db8:1:2::3]:99");
    come("[2001:db8:1:ffff::9]:99");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
}

/* All requests lead to the pool: its clients are known by their address alone. */
static void route_everything(void)
{
    f.config->routes = calloc(1, sizeof(*f.config->routes));
    assert_non_null(f.config->routes);
    f.config->routes->path = strdup("/");
    f.config->routes->pool = f.pool;
    f.config->route_count = 1;
}

static void an_announced_client_is_taken_for_no_other(void **state)
{
    struct hf_address announced;
    add_table();
    route_everything();
    hf_fixture_start(&f);
    assert_non_null(f.worker.announced.table);
    assert_int_equal(hf_address_parse(HF_SLICE("198.51.100.1:99"), &announced), 0);
    hf_affinity_announce(&f.worker, &announced);
    come("198.51.100.2:99"); /* a request that waited meanwhile */
    int other = f.choice.server;
    uint64_t other_id = f.choice.client_id;
    come("198.51.100.1:99");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_UNLISTED);
    assert_int_not_equal(f.choice.server, other);
    assert_int_not_equal(f.choice.client_id, other_id);
    assert_int_equal(f.choice.client_id, f.worker.announced.hash);
    hf_affinity_announce(&f.worker, &f.client);
    come("198.51.100.2:98");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    assert_int_equal(f.choice.server, other);
    assert_int_equal(f.choice.client_id, other_id);
}

static void nobody_is_announced_where_the_peer_may_not_be_the_client(void **state)
{
    add_table();
    route_everything();
    f.config->trusted_count = 1;
    hf_fixture_start(&f);
    assert_null(f.worker.announced.table);
    hf_affinity_announce(&f.worker, &f.client);
    come("198.51.100.2:99");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_UNLISTED);
}

/* A field or parameter without a hash: the value is given a server, and keeps it. */
static void a_key_of_the_request_keeps_its_server(void **state)
{
    static const struct {
        enum hf_affinity_kind kind;
        const char *target, *lines; /* one key, and another */
        const char *other_target, *other_lines;
    } rows[] = {
        {HF_AFFINITY_HEADER_TABLE, "/", "X-Key: a\r\n", "/", "x-key: b\r\n"},
        {HF_AFFINITY_QUERY_TABLE, "/?X-Key=a", "", "/?y=1&X-Key=b", ""},
        {HF_AFFINITY_PATH_PARAM_TABLE, "/c;X-Key=a?d", "", "/;X-Key=b", ""},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (i > 0)
            hf_fixture_open(&f, SERVERS);
        struct hf_affinity *affinity = hf_fixture_add(&f, rows[i].kind, "X-Key");
        affinity->expire_s = 100;
        affinity->table_size = 1000;
        hf_fixture_start(&f);
        hf_fixture_ask(&f, "/", "");
        assert_int_equal(f.choice.verdict, HF_AFFINITY_NONE);
        assert_int_equal(f.choice.claimed, 0);
        hf_fixture_ask(&f, rows[i].target, rows[i].lines);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_UNLISTED);
        assert_int_equal(f.choice.claimed, 1);
        int first = f.choice.server;
        hf_fixture_ask(&f, rows[i].other_target, rows[i].other_lines);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_UNLISTED);
        assert_int_not_equal(f.choice.server, first); /* the next by the balancer */
        hf_fixture_ask(&f, rows[i].target, rows[i].lines);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
        assert_int_equal(f.choice.server, first);
        if (i + 1 < sizeof(rows) / sizeof(rows[0]))
            hf_fixture_close(&f);
    }
}

static void the_first_answer_settles_a_new_client(void **state)
{
    add_table();
    hf_fixture_start(&f);
    come("192.0.2.9:1");
    unsigned other = ((unsigned)f.choice.server + 1) % SERVERS;
    hf_fixture_pin(&f, other); /* the one that was chosen refused the connection */
    assert_false(f.moved);
    come("192.0.2.9:1");
    assert_int_equal(f.choice.server, other);
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    /* From now on a stand-in moves nobody. */
    hf_fixture_pin(&f, (other + 1) % SERVERS);
    assert_false(f.moved);
    come("192.0.2.9:1");
    assert_int_equal(f.choice.server, other);
}

static void only_a_judgement_moves_a_client(void **state)
{
    static const enum hf_affinity_verdict causes[] = {HF_AFFINITY_DOWN, HF_AFFINITY_MAINTENANCE};
    add_table();
    hf_fixture_start(&f);
    for (unsigned i = 0; i < 2; i++) {
        come("192.0.2.9:1");
        unsigned owner = (unsigned)f.choice.server;
        hf_fixture_pin(&f, owner);
        if (i == 0)
            hf_fixture_server(&f, owner)->health = HF_HEALTH_DOWN;
        else
            hf_fixture_server(&f, owner)->admin = HF_ADMIN_MAINTENANCE;
        come("192.0.2.9:1");
        assert_int_equal(f.choice.verdict, causes[i]);
        assert_true(f.choice.lost);
        unsigned refuge = (unsigned)f.choice.server;
        assert_int_not_equal(refuge, owner);
        hf_fixture_pin(&f, refuge);
        assert_true(f.moved);
        come("192.0.2.9:1");
        assert_int_equal(f.choice.server, refuge);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    }
}

/* The one that makes the entry and those that follow, when the chosen server refuses them all. */
static void first_requests_meet_on_one_stand_in(void **state)
{
    int first = -1;
    add_table();
    hf_fixture_start(&f);
    for (unsigned i = 0; i < 10; i++) {
        come("192.0.2.9:1");
        uint16_t tried = (uint16_t)f.choice.server;
        int next = hf_affinity_next(&f.worker, f.pool, &f.choice, &tried, 1, f.request.now_ms);
        first = i == 0 ? next : first;
        assert_int_equal(next, first);
    }
}

/* A draining server keeps its clients. */
static void a_drain_moves_nobody(void **state)
{
    add_table();
    hf_fixture_start(&f);
    come("192.0.2.9:1");
    unsigned owner = (unsigned)f.choice.server;
    hf_fixture_server(&f, owner)->admin = HF_ADMIN_DRAIN;
    come("192.0.2.9:1");
    assert_int_equal(f.choice.server, owner);
}

static void behind_a_cookie_the_table_gives_its_first_server(void **state)
{
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    add_table();
    hf_fixture_start(&f);
    come("192.0.2.9:1");
    int server = f.choice.server;
    assert_true(hf_fixture_pin(&f, (unsigned)server));
    come("192.0.2.9:1"); /* without the cookie, at the same time */
    assert_int_equal(f.choice.server, server);
    assert_true(hf_fixture_pin(&f, (unsigned)server));
    assert_false(f.moved);
    struct hf_token token;
    assert_int_equal(hf_fixture_opened(&f, &token), HF_TOKEN_VALID);
    assert_true(token.server_id == f.pool->servers[server].server->id);
}

/* Else the cookie would pin to the stand-in whom the table calls another's. */
static void a_stand_in_writes_no_cookie(void **state)
{
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    add_table();
    hf_fixture_start(&f);
    come("192.0.2.9:1");
    unsigned owner = (unsigned)f.choice.server, other = (owner + 1) % SERVERS;
    assert_true(hf_fixture_pin(&f, owner));
    come("192.0.2.9:1");
    assert_false(hf_fixture_pin(&f, other)); /* the owner failed this one request */
    hf_fixture_server(&f, owner)->health = HF_HEALTH_DOWN;
    come("192.0.2.9:1");
    assert_true(hf_fixture_pin(&f, (unsigned)f.choice.server));
    assert_true(f.moved);
}

static void under_temporary_the_entry_stays(void **state)
{
    add_table();
    f.pool->failback = HF_FAILBACK_TEMPORARY;
    hf_fixture_start(&f);
    come("192.0.2.9:1");
    unsigned owner = (unsigned)f.choice.server;
    hf_fixture_pin(&f, owner);
    hf_fixture_server(&f, owner)->health = HF_HEALTH_DOWN;
    come("192.0.2.9:1");
    int stand_in = f.choice.server;
    assert_int_not_equal(stand_in, owner);
    hf_fixture_pin(&f, (unsigned)stand_in);
    assert_false(f.moved);
    come("192.0.2.9:1");
    assert_int_equal(f.choice.server, stand_in);
    hf_fixture_server(&f, owner)->health = HF_HEALTH_UP;
    come("192.0.2.9:1");
    assert_int_equal(f.choice.server, owner);
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
}

static void in_front_of_a_hash_it_keeps_what_the_hash_gave(void **state)
{
    add_table();
    hf_fixture_add(&f, HF_AFFINITY_SOURCE_IP, "");
    hf_fixture_start(&f);
    come("192.0.2.9:1");
    int server = f.choice.server;
    assert_int_equal(f.choice.verdict, HF_AFFINITY_HASHED);
    assert_int_equal(f.choice.claimed, 1);
    hf_fixture_pin(&f, (unsigned)server);
    come("192.0.2.9:1");
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    assert_int_equal(f.choice.server, server);
}

/* --- single flight: workers of one process, each with its own balancer --- */

static int chosen[THREADS][CLIENTS];

static void *first_requests(void *argument)
{
    unsigned me = (unsigned)(uintptr_t)argument;
    struct hf_affinity_worker worker;
    struct hf_affinity_choice choice;
    struct hf_address client = f.client;
    struct hf_affinity_request request = f.request;
    REQUIRE(hf_affinity_worker_init(&worker, f.config) == 0);
    request.client = &client;
    for (unsigned i = 0; i < CLIENTS; i++) {
        client.v4.sin_addr.s_addr = htonl(0x0a000000u + i);
        hf_affinity_identify(&worker, f.pool, &request, &choice);
        chosen[me][i] = choice.server;
    }
    hf_affinity_worker_fini(&worker);
    return NULL;
}

static void first_requests_at_once_get_one_server(void **state)
{
    pthread_t threads[THREADS];
    add_table();
    f.pool->balance = HF_BALANCE_RANDOM;
    hf_fixture_start(&f);
    come("10.0.0.1:1");
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, first_requests, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < CLIENTS; i++) {
        for (unsigned t = 1; t < THREADS; t++)
            assert_int_equal(chosen[t][i], chosen[0][i]);
    }
}

#define PIN_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PIN_TEST(a_client_keeps_the_server_it_was_given),
        PIN_TEST(a_network_is_one_client),
        PIN_TEST(an_announced_client_is_taken_for_no_other),
        PIN_TEST(nobody_is_announced_where_the_peer_may_not_be_the_client),
        PIN_TEST(a_key_of_the_request_keeps_its_server),
        PIN_TEST(the_first_answer_settles_a_new_client),
        PIN_TEST(first_requests_meet_on_one_stand_in),
        PIN_TEST(only_a_judgement_moves_a_client),
        PIN_TEST(a_drain_moves_nobody),
        PIN_TEST(behind_a_cookie_the_table_gives_its_first_server),
        PIN_TEST(a_stand_in_writes_no_cookie),
        PIN_TEST(under_temporary_the_entry_stays),
        PIN_TEST(in_front_of_a_hash_it_keeps_what_the_hash_gave),
        PIN_TEST(first_requests_at_once_get_one_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
