/* The sealed cookie: what is believed, when it is sealed again, who moves and who does not. */
#include "affinity/cookie_insert/cookie_insert.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"

enum { SERVERS = 5, NOW_S = 1000000, LIFETIME_S = 43200, IDLE_S = 1800 };

static struct hf_fixture f;
static struct hf_affinity *insert;

static int setup(void **unused)
{
    hf_fixture_open(&f, SERVERS);
    insert = hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    insert->lifetime_s = LIFETIME_S;
    insert->idle_s = IDLE_S;
    hf_fixture_start(&f);
    return 0;
}

static int teardown(void **unused)
{
    hf_fixture_close(&f);
    return 0;
}

static struct hf_token token_of(unsigned server)
{
    return (struct hf_token){.server_id = hf_fixture_server(&f, server)->id,
                             .client_id = 0x1234567890abcdef,
                             .issued_s = NOW_S - 100,
                             .seen_s = NOW_S - 50,
                             .epoch = 3};
}

/* A client comes back with this token. */
static void come_with(const struct hf_token *token)
{
    char text[HF_TOKEN_TEXT_SIZE + 1];
    hf_fixture_seal(&f, token, text);
    hf_fixture_return(&f, text);
}

static void come_to(unsigned server)
{
    struct hf_token token = token_of(server);
    come_with(&token);
}

static void assert_new_client(enum hf_affinity_verdict verdict)
{
    assert_int_equal(f.choice.verdict, verdict);
    assert_int_equal(f.choice.owner, -1);
    assert_int_equal(f.choice.strategy, -1);
    assert_in_range(f.choice.server, 0, SERVERS - 1);
    assert_false(f.choice.pin_valid || f.choice.lost || f.choice.refresh);
    assert_true(hf_fixture_pin(&f, (unsigned)f.choice.server));
    assert_false(f.moved);
    struct hf_token token;
    assert_int_equal(hf_fixture_opened(&f, &token), HF_TOKEN_VALID);
    assert_true(token.server_id == hf_fixture_server(&f, (unsigned)f.choice.server)->id);
    assert_true(token.client_id == f.choice.client_id);
    assert_true(token.client_id != 0x1234567890abcdef);
    assert_int_equal(token.issued_s, f.request.wall_s);
    assert_int_equal(token.seen_s, f.request.wall_s);
    assert_int_equal(token.epoch, 0);
}

static void assert_owner(unsigned owner, enum hf_affinity_verdict verdict)
{
    assert_int_equal(f.choice.verdict, verdict);
    assert_int_equal(f.choice.owner, owner);
    assert_int_equal(f.choice.server, owner);
    assert_int_equal(f.choice.strategy, 0);
    assert_true(f.choice.pin_valid);
    assert_false(f.choice.lost);
    assert_true(f.choice.client_id == 0x1234567890abcdef);
    assert_int_equal(f.choice.epoch, 3);
}

static void test_new_client_is_pinned_and_returns(void **unused)
{
    hf_fixture_return(&f, "");
    assert_new_client(HF_AFFINITY_NONE);
    char text[HF_TOKEN_TEXT_SIZE + 1];
    hf_fixture_token(&f, text);
    int server = f.choice.server;
    uint64_t client_id = f.choice.client_id;
    for (unsigned i = 0; i < 2 * SERVERS; i++) {
        hf_fixture_return(&f, text);
        assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
        assert_int_equal(f.choice.server, server);
        assert_true(f.choice.client_id == client_id);
        assert_false(hf_fixture_pin(&f, (unsigned)server));
    }
    assert_int_equal(f.worker.verdicts[HF_AFFINITY_NONE], 1);
    assert_int_equal(f.worker.verdicts[HF_AFFINITY_PINNED], 2 * SERVERS);
}

static void test_new_client_is_pinned_where_it_was_answered(void **unused)
{
    hf_fixture_return(&f, "");
    unsigned served = (unsigned)(f.choice.server + 2) % SERVERS;
    assert_true(hf_fixture_pin(&f, served));
    assert_false(f.moved);
    struct hf_token token;
    assert_int_equal(hf_fixture_opened(&f, &token), HF_TOKEN_VALID);
    assert_true(token.server_id == hf_fixture_server(&f, served)->id);
}

static void test_what_is_no_token(void **unused)
{
    char text[HF_TOKEN_TEXT_SIZE + 2];
    struct hf_token token = token_of(1);
    hf_fixture_return(&f, "x");
    assert_new_client(HF_AFFINITY_MALFORMED);
    hf_fixture_identify(&f, "Cookie: HOLDFAST=\r\n");
    assert_new_client(HF_AFFINITY_MALFORMED);
    hf_fixture_seal(&f, &token, text);
    text[HF_TOKEN_TEXT_SIZE - 1] = '\0';
    hf_fixture_return(&f, text);
    assert_new_client(HF_AFFINITY_MALFORMED);
    hf_fixture_seal(&f, &token, text);
    memcpy(text + HF_TOKEN_TEXT_SIZE, "A", 2);
    hf_fixture_return(&f, text);
    assert_new_client(HF_AFFINITY_MALFORMED);
    hf_fixture_seal(&f, &token, text);
    text[40] = '.';
    hf_fixture_return(&f, text);
    assert_new_client(HF_AFFINITY_MALFORMED);
    assert_int_equal(f.worker.verdicts[HF_AFFINITY_MALFORMED], 5);
}

static void test_forged(void **unused)
{
    struct hf_token token = token_of(1);
    char text[HF_TOKEN_TEXT_SIZE + 1];
    unsigned forged = 0;
    for (unsigned i = 0; i < HF_TOKEN_TEXT_SIZE; i++) {
        hf_fixture_seal(&f, &token, text);
        text[i] = text[i] == 'A' ? 'B' : 'A';
        hf_fixture_return(&f, text);
        assert_int_equal(f.choice.owner, -1);
        assert_false(f.choice.pin_valid);
        forged += f.choice.verdict == HF_AFFINITY_FORGED;
        /* The first letters are version and key id. */
        assert_true(f.choice.verdict == HF_AFFINITY_FORGED || i < 3);
    }
    assert_true(forged >= HF_TOKEN_TEXT_SIZE - 3);
    assert_int_equal(f.worker.verdicts[HF_AFFINITY_FORGED], forged);
}

static void test_token_of_another_pool(void **unused)
{
    struct hf_token token = token_of(1);
    char text[HF_TOKEN_TEXT_SIZE + 1];
    hf_token_seal(f.worker.sealer, HF_SLICE("api HOLDFAST"), &token, text);
    text[HF_TOKEN_TEXT_SIZE] = '\0';
    hf_fixture_return(&f, text);
    assert_new_client(HF_AFFINITY_FORGED);
}

static void seal_with(const struct hf_token_key *key, char text[HF_TOKEN_TEXT_SIZE + 1])
{
    struct hf_token_sealer *sealer = NULL;
    struct hf_token token = token_of(1);
    assert_int_equal(hf_token_sealer_new(key, 1, &sealer), 0);
    hf_token_seal(sealer, insert->scope, &token, text);
    text[HF_TOKEN_TEXT_SIZE] = '\0';
    hf_token_sealer_free(&sealer);
}

static void test_unknown_key(void **unused)
{
    char text[HF_TOKEN_TEXT_SIZE + 1];
    seal_with(&(struct hf_token_key){.id = 99, .bytes = {1}}, text);
    hf_fixture_return(&f, text);
    assert_new_client(HF_AFFINITY_UNKNOWN_KEY);
    seal_with(&(struct hf_token_key){.id = 7, .bytes = {1}}, text);
    hf_fixture_return(&f, text);
    assert_new_client(HF_AFFINITY_FORGED);
}

static void test_duplicates_are_all_ignored(void **unused)
{
    struct hf_token token = token_of(1);
    char text[HF_TOKEN_TEXT_SIZE + 1], lines[HF_FIXTURE_COOKIE_MAX];
    hf_fixture_seal(&f, &token, text);
    snprintf(lines, sizeof(lines), "Cookie: HOLDFAST=%s; HOLDFAST=%s\r\n", text, text);
    hf_fixture_identify(&f, lines);
    assert_new_client(HF_AFFINITY_DUPLICATE);
    snprintf(lines, sizeof(lines), "Cookie: HOLDFAST=%s\r\nCookie: HOLDFAST=x\r\n", text);
    hf_fixture_identify(&f, lines);
    assert_new_client(HF_AFFINITY_DUPLICATE);
    /* Names differ by case: this is one. */
    snprintf(lines, sizeof(lines), "Cookie: HOLDFAST=%s; Holdfast=x\r\n", text);
    hf_fixture_identify(&f, lines);
    assert_owner(1, HF_AFFINITY_PINNED);
}

static void test_lifetimes(void **unused)
{
    static const struct {
        uint64_t issued_s, seen_s;
        enum hf_affinity_verdict verdict;
    } rows[] = {
        {NOW_S - LIFETIME_S, NOW_S, HF_AFFINITY_PINNED},
        {NOW_S - LIFETIME_S - 1, NOW_S, HF_AFFINITY_EXPIRED_LIFETIME},
        {NOW_S - 5000, NOW_S - IDLE_S, HF_AFFINITY_REFRESHED},
        {NOW_S - 5000, NOW_S - IDLE_S - 1, HF_AFFINITY_EXPIRED_IDLE},
        {NOW_S + HF_CLOCK_SKEW_S, NOW_S + HF_CLOCK_SKEW_S, HF_AFFINITY_PINNED},
        {NOW_S + HF_CLOCK_SKEW_S + 1, NOW_S, HF_AFFINITY_FUTURE},
        {NOW_S, NOW_S + HF_CLOCK_SKEW_S + 1, HF_AFFINITY_FUTURE},
        {UINT64_MAX, UINT64_MAX, HF_AFFINITY_FUTURE},
        {0, NOW_S, HF_AFFINITY_EXPIRED_LIFETIME},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_token token = token_of(2);
        token.issued_s = rows[i].issued_s;
        token.seen_s = rows[i].seen_s;
        come_with(&token);
        if (rows[i].verdict == HF_AFFINITY_PINNED || rows[i].verdict == HF_AFFINITY_REFRESHED)
            assert_owner(2, rows[i].verdict);
        else
            assert_new_client(rows[i].verdict);
    }
    /* Without limits nothing is too old. */
    insert->lifetime_s = insert->idle_s = 0;
    struct hf_token token = token_of(2);
    token.issued_s = token.seen_s = 0;
    come_with(&token);
    assert_owner(2, HF_AFFINITY_REFRESHED);
}

static void assert_sealed_again(const struct hf_token *before)
{
    struct hf_token token;
    assert_true(f.choice.refresh);
    assert_true(hf_fixture_pin(&f, 2));
    assert_false(f.moved);
    assert_int_equal(hf_fixture_opened(&f, &token), HF_TOKEN_VALID);
    assert_true(token.server_id == before->server_id && token.client_id == before->client_id);
    assert_int_equal(token.issued_s, before->issued_s);
    assert_int_equal(token.seen_s, NOW_S);
    assert_int_equal(token.epoch, before->epoch);
}

static void check_refresh_after(uint64_t after_s)
{
    struct hf_token token = token_of(2);
    token.issued_s = NOW_S - 10000;
    token.seen_s = NOW_S - after_s;
    come_with(&token);
    assert_owner(2, HF_AFFINITY_PINNED);
    assert_false(hf_fixture_pin(&f, 2));
    token.seen_s--;
    come_with(&token);
    assert_owner(2, HF_AFFINITY_REFRESHED);
    assert_sealed_again(&token);
}

static void test_refresh(void **unused)
{
    check_refresh_after(IDLE_S / 4);
    insert->idle_s = 0;
    check_refresh_after(HF_COOKIE_INSERT_REFRESH_S);
}

static void test_old_key_is_sealed_anew(void **unused)
{
    char text[HF_TOKEN_TEXT_SIZE + 1];
    seal_with(&f.config->cookie_keys[1], text);
    hf_fixture_return(&f, text);
    assert_owner(1, HF_AFFINITY_REFRESHED);
    assert_true(hf_fixture_pin(&f, 1));
    struct hf_token token;
    assert_int_equal(hf_fixture_opened(&f, &token), HF_TOKEN_VALID); /* by the first key */
    assert_int_equal(token.issued_s, NOW_S - 100);
}

static void test_drain_and_unknown_serve_their_sessions(void **unused)
{
    hf_fixture_server(&f, 1)->admin = HF_ADMIN_DRAIN;
    hf_fixture_server(&f, 2)->health = HF_HEALTH_UNKNOWN;
    f.pool->servers[3].weight = 0;
    f.pool->servers[4].backup = true;
    for (unsigned i = 1; i < SERVERS; i++) {
        come_to(i);
        assert_owner(i, HF_AFFINITY_PINNED);
        assert_false(hf_fixture_pin(&f, i));
    }
}

/* The client of server 1 has lost it, for this reason: where it goes, and with which pin. */
static void assert_lost(int owner, enum hf_affinity_verdict verdict)
{
    assert_int_equal(f.choice.verdict, verdict);
    assert_int_equal(f.choice.owner, owner);
    assert_int_equal(f.choice.strategy, 0);
    assert_true(f.choice.lost && f.choice.pin_valid);
    assert_in_range(f.choice.server, 0, SERVERS - 1);
    assert_int_not_equal(f.choice.server, 1);
    unsigned server = (unsigned)f.choice.server;
    come_to(1);
    assert_int_equal(f.choice.server, server); /* all requests of a client meet there */
    assert_true(hf_fixture_pin(&f, server));
    assert_true(f.moved);
    struct hf_token token;
    assert_int_equal(hf_fixture_opened(&f, &token), HF_TOKEN_VALID);
    assert_true(token.server_id == hf_fixture_server(&f, server)->id);
    assert_true(token.client_id == 0x1234567890abcdef);
    assert_int_equal(token.issued_s, NOW_S - 100);
    assert_int_equal(token.seen_s, NOW_S);
    assert_int_equal(token.epoch, 4);
    char text[HF_TOKEN_TEXT_SIZE + 1];
    hf_fixture_token(&f, text);
    hf_fixture_return(&f, text);
    assert_int_equal(f.choice.verdict, HF_AFFINITY_PINNED);
    assert_int_equal(f.choice.server, server);
}

static void test_lost_by_a_judgement(void **unused)
{
    struct hf_server *server = hf_fixture_server(&f, 1);
    server->health = HF_HEALTH_DOWN;
    come_to(1);
    assert_lost(1, HF_AFFINITY_DOWN);
    server->health = HF_HEALTH_UP;
    server->admin = HF_ADMIN_MAINTENANCE;
    come_to(1);
    assert_lost(1, HF_AFFINITY_MAINTENANCE);
    server->admin = HF_ADMIN_READY;
    server->ejected_until_ms = f.request.now_ms + 1;
    come_to(1);
    assert_lost(1, HF_AFFINITY_DOWN);
    server->ejected_until_ms = f.request.now_ms;
    come_to(1);
    assert_owner(1, HF_AFFINITY_PINNED);
}

static void test_lost_by_configuration(void **unused)
{
    struct hf_token token = token_of(1);
    char text[HF_TOKEN_TEXT_SIZE + 1];
    token.server_id = hf_server_id(HF_SLICE("shop"), HF_SLICE("removed"));
    hf_fixture_seal(&f, &token, text);
    hf_fixture_return(&f, text);
    assert_int_equal(f.choice.owner, -1);
    assert_int_equal(f.choice.verdict, HF_AFFINITY_GONE);
    assert_true(f.choice.lost);
    assert_true(hf_fixture_pin(&f, (unsigned)f.choice.server));
    assert_true(f.moved);
    assert_int_equal(hf_fixture_opened(&f, &token), HF_TOKEN_VALID);
    assert_int_equal(token.epoch, 4);
}

static void test_lost_and_nobody_left(void **unused)
{
    for (unsigned i = 0; i < SERVERS; i++)
        hf_fixture_server(&f, i)->health = HF_HEALTH_DOWN;
    come_to(1);
    assert_true(f.choice.lost);
    assert_int_equal(f.choice.owner, 1);
    assert_int_equal(f.choice.server, -1);
    hf_fixture_return(&f, "");
    assert_int_equal(f.choice.server, -1);
    assert_false(f.choice.lost);
}

/* Another ejected server is no better than the owner, who has the session. */
static void test_ejected_owner_when_nobody_is_better(void **unused)
{
    for (unsigned i = 0; i < SERVERS; i++)
        hf_fixture_server(&f, i)->health = HF_HEALTH_DOWN;
    for (unsigned i = 1; i < 3; i++) {
        hf_fixture_server(&f, i)->health = HF_HEALTH_UP;
        hf_fixture_server(&f, i)->ejected_until_ms = f.request.now_ms + 1000;
    }
    come_to(1);
    assert_owner(1, HF_AFFINITY_PINNED);
    come_to(2);
    assert_owner(2, HF_AFFINITY_PINNED);
    come_to(0);
    assert_true(f.choice.lost);
    assert_in_range(f.choice.server, 1, 2);
}

static void test_one_failure_moves_nobody(void **unused)
{
    come_to(1);
    assert_owner(1, HF_AFFINITY_PINNED);
    const uint16_t tried[] = {1};
    int next = hf_affinity_next(&f.worker, f.pool, &f.choice, tried, 1, f.request.now_ms);
    assert_in_range(next, 0, SERVERS - 1);
    assert_int_not_equal(next, 1);
    assert_false(hf_fixture_pin(&f, (unsigned)next));
    assert_false(f.moved);
    /* Not even when the pin was due to be sealed again. */
    struct hf_token token = token_of(1);
    token.seen_s = NOW_S - IDLE_S;
    come_with(&token);
    assert_owner(1, HF_AFFINITY_REFRESHED);
    assert_false(hf_fixture_pin(&f, (unsigned)next));
    /* But when the owner was judged meanwhile, the client moves. */
    hf_fixture_server(&f, 1)->ejected_until_ms = f.request.now_ms + 10000;
    assert_true(hf_fixture_pin(&f, (unsigned)next));
    assert_true(f.moved);
    assert_int_equal(hf_fixture_opened(&f, &token), HF_TOKEN_VALID);
    assert_int_equal(token.epoch, 4);
}

static bool pinned_secure(bool secure_request)
{
    f.request.secure = secure_request;
    hf_fixture_return(&f, "");
    assert_true(hf_fixture_pin(&f, 0));
    return strstr(f.set_cookie, "; Secure") != NULL;
}

static void test_secure(void **unused)
{
    insert->secure = HF_SECURE_AUTO;
    assert_true(pinned_secure(true));
    assert_false(pinned_secure(false));
    insert->attributes.same_site = HF_SAME_SITE_NONE;
    assert_true(pinned_secure(false));
    insert->attributes.same_site = HF_SAME_SITE_LAX;
    insert->attributes.name = HF_SLICE("__Host-H");
    assert_true(pinned_secure(false));
    insert->attributes.name = HF_SLICE("H");
    insert->attributes.partitioned = true;
    assert_true(pinned_secure(false));
    insert->attributes.partitioned = false;
    insert->secure = HF_SECURE_NEVER;
    assert_false(pinned_secure(true));
    insert->secure = HF_SECURE_ALWAYS;
    assert_true(pinned_secure(false));
}

static void test_set_cookie_text(void **unused)
{
    f.request.secure = false;
    hf_fixture_return(&f, "");
    assert_true(hf_fixture_pin(&f, 0));
    assert_memory_equal(f.set_cookie, "HOLDFAST=", 9);
    assert_null(strchr(f.set_cookie, '\r'));
    assert_non_null(strstr(f.set_cookie, "; Path=/"));
    assert_non_null(strstr(f.set_cookie, "; HttpOnly"));
    assert_non_null(strstr(f.set_cookie, "; SameSite=Lax"));
    assert_null(strstr(f.set_cookie, "Domain"));
    char small[32];
    bool moved = true;
    assert_int_equal(
        hf_affinity_pin(&f.worker, f.pool, &f.request, &f.choice, 0, small, sizeof(small), &moved),
        0);
    assert_false(moved);
}

#define INSERT_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INSERT_TEST(test_new_client_is_pinned_and_returns),
        INSERT_TEST(test_new_client_is_pinned_where_it_was_answered),
        INSERT_TEST(test_what_is_no_token),
        INSERT_TEST(test_forged),
        INSERT_TEST(test_token_of_another_pool),
        INSERT_TEST(test_unknown_key),
        INSERT_TEST(test_duplicates_are_all_ignored),
        INSERT_TEST(test_lifetimes),
        INSERT_TEST(test_refresh),
        INSERT_TEST(test_old_key_is_sealed_anew),
        INSERT_TEST(test_drain_and_unknown_serve_their_sessions),
        INSERT_TEST(test_lost_by_a_judgement),
        INSERT_TEST(test_lost_by_configuration),
        INSERT_TEST(test_lost_and_nobody_left),
        INSERT_TEST(test_ejected_owner_when_nobody_is_better),
        INSERT_TEST(test_one_failure_moves_nobody),
        INSERT_TEST(test_secure),
        INSERT_TEST(test_set_cookie_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
