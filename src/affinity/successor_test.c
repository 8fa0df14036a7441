/* A session whose server is away goes where its copies are: against the order that the rank itself
 * gives, over many sessions and over every state that a candidate can be in. */
#include "affinity/candidates.h"
#include "affinity/successor.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "affinity/fixture.h"

enum { SERVERS = 6, OWNER = 2, SESSIONS = 200, LINES_MAX = 512 };

static struct hf_fixture f;
static char token[HF_TOKEN_TEXT_SIZE + 1];

/* Agents beside all servers but those of `without`, a bit each. */
static void open_pool(enum hf_session_format format, unsigned without)
{
    hf_fixture_open(&f, SERVERS);
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_INSERT, "HOLDFAST");
    f.pool->session.name = strdup("SID");
    f.pool->session.format = format;
    assert_non_null(f.pool->session.name);
    for (unsigned i = 0; i < SERVERS; i++) {
        hf_fixture_server(&f, i)->health = HF_HEALTH_UP;
        hf_fixture_server(&f, i)->admin = HF_ADMIN_READY;
        if ((without >> i & 1) == 0)
            assert_int_equal(
                hf_address_parse(HF_SLICE("127.0.0.1:7401"), &f.pool->servers[i].agent), 0);
    }
    hf_fixture_start(&f);
    struct hf_token pin = {.server_id = hf_fixture_server(&f, OWNER)->id,
                           .client_id = 0x1234567890abcdef,
                           .issued_s = f.request.wall_s,
                           .seen_s = f.request.wall_s};
    hf_fixture_seal(&f, &pin, token);
}

static void set_down(unsigned server)
{
    hf_fixture_server(&f, server)->health = HF_HEALTH_DOWN;
}

/* A request of the client pinned to OWNER, with this cookie of the application. */
static void visit(const char *cookie)
{
    char lines[LINES_MAX];
    snprintf(lines, sizeof(lines), "Cookie: HOLDFAST=%s; %s\r\n", token, cookie);
    hf_fixture_identify(&f, lines);
}

static void visit_session(unsigned number)
{
    char cookie[LINES_MAX / 4];
    snprintf(cookie, sizeof(cookie), "SID=session%u", number);
    visit(cookie);
}

/* The servers in the order of that session, by names alone. */
static void order_of(const char *id, unsigned ret_order[SERVERS])
{
    struct hf_slice names[SERVERS];
    struct hf_rank rank;
    uint8_t numbers[SERVERS];
    for (unsigned i = 0; i < SERVERS; i++)
        names[i] = hf_slice_text(hf_fixture_server(&f, i)->name);
    assert_int_equal(hf_rank_init(&rank, names, SERVERS), 0);
    assert_int_equal(hf_rank_first(&rank, hf_rank_hash(hf_slice_text(id)), numbers, SERVERS),
                     SERVERS);
    for (unsigned i = 0; i < SERVERS; i++) {
        for (unsigned j = 0; j < SERVERS; j++)
            ret_order[i] = hf_slice_equal(rank.names[numbers[i]], names[j]) ? j : ret_order[i];
    }
}

static void order_of_session(unsigned number, unsigned ret_order[SERVERS])
{
    char id[32];
    snprintf(id, sizeof(id), "session%u", number);
    order_of(id, ret_order);
}

static int first_but(const unsigned order[SERVERS], unsigned left_out)
{
    for (unsigned i = 0; i < SERVERS; i++) {
        if ((left_out >> order[i] & 1) == 0)
            return (int)order[i];
    }
    return -1;
}

static void a_lost_session_goes_to_the_first_of_its_rank(void **state)
{
    (void)state;
    open_pool(HF_SESSION_PLAIN, 0);
    set_down(OWNER);
    hf_fixture_server(&f, 0)->admin = HF_ADMIN_DRAIN;
    f.pool->servers[1].backup = true;
    f.pool->servers[4].weight = 0;
    const unsigned left_out = 1u << OWNER | 1u << 0 | 1u << 1 | 1u << 4;
    unsigned met[SERVERS] = {0};
    for (unsigned i = 0; i < SESSIONS; i++) {
        unsigned order[SERVERS] = {0};
        order_of_session(i, order);
        visit_session(i);
        assert_true(f.choice.lost && f.choice.owner == OWNER);
        assert_int_equal(f.choice.server, first_but(order, left_out));
        assert_true(hf_successor_follows(f.pool, &f.choice, f.choice.server));
        met[f.choice.server]++;
    }
    assert_true(met[3] > SESSIONS / 4 && met[5] > SESSIONS / 4); /* the two left share them */
    hf_fixture_close(&f);
}

/* Refused connections, before anything is judged. */
static void attempts_go_down_the_rank(void **state)
{
    (void)state;
    open_pool(HF_SESSION_PLAIN, 1u << 0);
    for (unsigned i = 0; i < SESSIONS; i++) {
        unsigned order[SERVERS] = {0};
        uint16_t tried[SERVERS];
        order_of_session(i, order);
        visit_session(i);
        assert_int_equal(f.choice.server, OWNER);
        assert_int_equal(f.choice.session_hash, 0); /* not looked for while all is well */
        hf_successor_note(f.pool, &f.request, &f.choice);
        unsigned left_out = 1u << 0; /* without an agent */
        unsigned count = 0;
        for (int next = OWNER; count < SERVERS - 2;) {
            tried[count++] = (uint16_t)next;
            left_out |= 1u << next;
            next = hf_affinity_next(&f.worker, f.pool, &f.choice, tried, count, 1000);
            assert_int_equal(next, first_but(order, left_out));
        }
        for (unsigned j = 1; j < SERVERS; j++)
            tried[j - 1] = (uint16_t)j;
        assert_int_equal(hf_affinity_next(&f.worker, f.pool, &f.choice, tried, SERVERS - 1, 1000),
                         0); /* the last resort */
        assert_false(hf_successor_follows(f.pool, &f.choice, 0));
    }
    hf_fixture_close(&f);
}

static void a_new_id_moves_nobody(void **state)
{
    (void)state;
    open_pool(HF_SESSION_PLAIN, 0);
    for (unsigned i = 0; i < SESSIONS; i++) {
        visit_session(i);
        assert_int_equal(f.choice.server, OWNER);
        assert_false(hf_fixture_pin(&f, OWNER));
    }
    hf_fixture_close(&f);
}

/* Where the client goes by its own number. */
static int by_client(void)
{
    return hf_candidates_rendezvous(f.pool, f.choice.client_id, NULL, 0, f.request.now_ms);
}

static void an_unknown_session_goes_by_the_client(void **state)
{
    (void)state;
    static const char *const unknown[] = {"a=b", "SID=", "SID=unsigned", "SID=s:x.", "sid=s:x.y"};
    open_pool(HF_SESSION_EXPRESS, 0);
    set_down(OWNER);
    for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
        visit(unknown[i]);
        assert_true(f.choice.lost);
        assert_int_equal(f.choice.session_hash, 0);
        assert_int_equal(f.choice.server, by_client());
        assert_true(hf_successor_follows(f.pool, &f.choice, f.choice.server));
    }
    hf_fixture_close(&f);
}

static void formats_lead_to_the_id_of_the_store(void **state)
{
    (void)state;
    static const struct {
        enum hf_session_format format;
        const char *cookie, *id;
    } rows[] = {
        {HF_SESSION_EXPRESS, "SID=s%3Aabc.c2ln", "abc"},
        {HF_SESSION_RACK, "SID=abc",
         "2::ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {HF_SESSION_BASE64, "SID=aWQuYXBwMQ==", "id"},
        {HF_SESSION_ROUTE_SUFFIX, "SID=abc.app2", "abc"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        unsigned order[SERVERS] = {0};
        open_pool(rows[i].format, 0);
        set_down(OWNER);
        order_of(rows[i].id, order);
        visit(rows[i].cookie);
        assert_int_equal(f.choice.session_hash, hf_rank_hash(hf_slice_text(rows[i].id)));
        assert_int_equal(f.choice.server, first_but(order, 1u << OWNER));
        hf_fixture_close(&f);
    }
}

static void a_prefix_of_ours_is_not_part_of_the_id(void **state)
{
    (void)state;
    open_pool(HF_SESSION_PLAIN, 0);
    hf_fixture_add(&f, HF_AFFINITY_COOKIE_PREFIX, "SID");
    hf_fixture_rebuild(&f);
    set_down(OWNER);
    for (unsigned i = 0; i < SESSIONS; i++) {
        unsigned order[SERVERS] = {0};
        char cookie[LINES_MAX / 4];
        snprintf(cookie, sizeof(cookie), "SID=app2~session%u", i);
        order_of_session(i, order);
        visit(cookie);
        assert_int_equal(f.choice.server, first_but(order, 1u << OWNER));
        snprintf(cookie, sizeof(cookie), "Cookie: SID=app2~session%u\r\n", i);
        hf_fixture_identify(&f, cookie); /* the name alone, no token */
        assert_true(f.choice.lost && f.choice.named);
        assert_int_equal(f.choice.server, first_but(order, 1u << OWNER));
    }
    hf_fixture_close(&f);
}

static void a_session_follows_from_agent_to_agent_only(void **state)
{
    (void)state;
    open_pool(HF_SESSION_PLAIN, 1u << OWNER | 1u << 4);
    struct hf_affinity_choice choice = {.owner = OWNER};
    assert_false(hf_successor_follows(f.pool, &choice, 1)); /* its copies are nowhere */
    choice.owner = 1;
    assert_true(hf_successor_follows(f.pool, &choice, 3));
    assert_false(hf_successor_follows(f.pool, &choice, 4));
    assert_false(hf_successor_follows(f.pool, &choice, -1));
    choice.owner = -1; /* no longer configured */
    assert_true(hf_successor_follows(f.pool, &choice, 3));
    hf_fixture_close(&f);

    open_pool(HF_SESSION_PLAIN, (1u << SERVERS) - 1);
    assert_null(f.pool->agents);
    set_down(OWNER);
    visit_session(1);
    assert_int_equal(f.choice.session_hash, 0);
    assert_int_equal(f.choice.server, by_client());
    assert_false(hf_successor_follows(f.pool, &f.choice, f.choice.server));
    hf_fixture_close(&f);
}

static bool replaced_by(const char *lines)
{
    static const struct hf_http1_limits limits = {.head_size_max = LINES_MAX, .fields_max = 8};
    struct hf_http1_parser parser = {0};
    struct hf_head response;
    char text[LINES_MAX];
    int size = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s\r\n", lines);
    assert_int_equal(
        hf_http1_parse_response(&parser, &response, text, (size_t)size, HF_METHOD_GET, &limits),
        HF_CODEC_DONE);
    return hf_successor_replaced(f.pool, &f.choice, &response);
}

static void an_answer_with_another_id_replaces_the_session(void **state)
{
    (void)state;
    static const char *const kept[] = {
        "",
        "Set-Cookie: SID=s%3Aabc.other\r\n", /* signed again */
        "Set-Cookie: SID=s:abc.sig; Path=/\r\n",
        "Set-Cookie: SIDE=s:new.sig\r\n",
        "Set-Cookie: SID=; Max-Age=0\r\n",
        "Set-Cookie: SID=unsigned\r\n",
        "Set-Cookie: SID=s:new.sig\r\nSet-Cookie: SID=s:abc.sig\r\n", /* the last counts */
    };
    open_pool(HF_SESSION_EXPRESS, 0);
    set_down(OWNER);
    visit("SID=s:abc.sig");
    for (unsigned i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        assert_false(replaced_by(kept[i]));
    assert_true(replaced_by("Set-Cookie: SID=s%3Anew.sig; Path=/; HttpOnly\r\n"));
    visit("a=b");
    assert_false(replaced_by("Set-Cookie: SID=s:new.sig\r\n")); /* it brought none */
    hf_fixture_close(&f);
}

static void the_largest_rank_is_made_and_one_more_is_refused(void **state)
{
    (void)state;
    for (unsigned count = HF_RANK_NODES_MAX; count <= HF_RANK_NODES_MAX + 1; count++) {
        hf_fixture_open(&f, count);
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(
                hf_address_parse(HF_SLICE("127.0.0.1:7401"), &f.pool->servers[i].agent), 0);
        assert_int_equal(hf_pool_index(f.pool), count <= HF_RANK_NODES_MAX ? 0 : -EINVAL);
        hf_config_unref(&f.config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_session_goes_to_the_first_of_its_rank),
        cmocka_unit_test(attempts_go_down_the_rank),
        cmocka_unit_test(a_new_id_moves_nobody),
        cmocka_unit_test(an_unknown_session_goes_by_the_client),
        cmocka_unit_test(formats_lead_to_the_id_of_the_store),
        cmocka_unit_test(a_prefix_of_ours_is_not_part_of_the_id),
        cmocka_unit_test(a_session_follows_from_agent_to_agent_only),
        cmocka_unit_test(an_answer_with_another_id_replaces_the_session),
        cmocka_unit_test(the_largest_rank_is_made_and_one_more_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
