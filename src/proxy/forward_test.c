/* What goes on to a server and to a client, field by field. */
#include "base/buffer.h"
#include "base/test.h"
#include "proxy/forward.h"
#include <stdio.h>
#include <stdlib.h>

struct fixture {
    struct hf_exchange x;
    struct hf_worker worker;
    struct hf_snapshot snapshot;
    struct hf_config *config;
    struct hf_pool pool;
    struct hf_pool_server servers[2];
    struct hf_address peer;
    struct hf_buffer scratch;
    struct hf_outgoing outgoing;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->config = hf_config_new();
    assert_non_null(f->config);
    assert_int_equal(hf_loop_new(&f->worker.loop), 0);
    f->worker.magic = HF_WORKER_MAGIC;
    f->snapshot.config = f->config;
    f->pool.servers = f->servers;
    f->pool.server_count = 2;
    f->pool.affinity_count = 1;
    f->pool.affinities[0].kind = HF_AFFINITY_COOKIE_INSERT;
    f->pool.affinities[0].cookie = strdup("HOLDFAST");
    f->pool.affinities[0].attributes.name = f->pool.own_cookie = HF_SLICE("HOLDFAST");
    memcpy(f->servers[0].address_text, "127.0.0.1:3001", 15);
    assert_int_equal(hf_address_parse(HF_SLICE("192.0.2.7:1234"), &f->peer), 0);
    f->x = (struct hf_exchange){.magic = HF_EXCHANGE_MAGIC,
                                .worker = &f->worker,
                                .snapshot = &f->snapshot,
                                .pool = &f->pool,
                                .target = &f->servers[0],
                                .peer = &f->peer,
                                .peer_ip = HF_SLICE("192.0.2.7")};
    f->x.choice.owner = -1;
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    hf_config_unref(&f->config);
    hf_loop_free(&f->worker.loop);
    free(f->pool.affinities[0].cookie);
    free(f);
    return 0;
}

static const struct hf_http1_limits limits = {.head_size_max = 32 * 1024, .fields_max = 128};

static void request(struct fixture *f, const char *text)
{
    struct hf_http1_parser parser = {0};
    assert_int_equal(hf_http1_parse_request(&parser, &f->x.request, text, strlen(text), &limits),
                     HF_CODEC_DONE);
    hf_forward_believe(&f->x);
    f->scratch.start = f->scratch.end = 0;
    assert_true(hf_forward_request(&f->x, &f->scratch, &f->outgoing));
}

static void response(struct fixture *f, const char *text, const char *set_cookie)
{
    struct hf_http1_parser parser = {0};
    assert_int_equal(hf_http1_parse_response(&parser, &f->x.response, text, strlen(text),
                                             HF_METHOD_GET, &limits),
                     HF_CODEC_DONE);
    f->scratch.start = f->scratch.end = 0;
    assert_true(hf_forward_response(&f->x, hf_slice_text(set_cookie), &f->scratch, &f->outgoing));
}

/* The value of an added field, or NULL. */
static const char *added(struct fixture *f, const char *name)
{
    static char value[4096];
    for (unsigned i = 0; i < f->outgoing.added_count; i++) {
        if (!hf_slice_equal_nocase(f->outgoing.added[i].name, hf_slice_text(name)))
            continue;
        struct hf_slice found = f->outgoing.added[i].value;
        assert_true(found.size < sizeof(value));
        memcpy(value, found.bytes, found.size);
        value[found.size] = '\0';
        return value;
    }
    return NULL;
}

static bool skips(struct fixture *f, enum hf_field_id id)
{
    return f->outgoing.skip >> id & 1;
}

static void own_cookie_is_cut_out(void **state)
{
    struct fixture *f = *state;
    request(f, "GET / HTTP/1.1\r\nHost: a\r\nCookie: x=1; HOLDFAST=abc; y=2\r\n\r\n");
    assert_true(skips(f, HF_FIELD_COOKIE));
    assert_string_equal(added(f, "Cookie"), "x=1; y=2");
}

static void only_our_cookie_leaves_no_field(void **state)
{
    struct fixture *f = *state;
    request(f, "GET / HTTP/1.1\r\nHost: a\r\nCookie: HOLDFAST=abc\r\n\r\n");
    assert_true(skips(f, HF_FIELD_COOKIE));
    assert_null(added(f, "Cookie"));
}

static void foreign_cookies_go_on_untouched(void **state)
{
    struct fixture *f = *state;
    request(f, "GET / HTTP/1.1\r\nHost: a\r\nCookie: x=1;y=\"2\"\r\n\r\n");
    assert_false(skips(f, HF_FIELD_COOKIE));
    assert_null(added(f, "Cookie"));
}

static void cookie_fields_are_joined(void **state)
{
    struct fixture *f = *state;
    request(
        f, "GET / HTTP/1.1\r\nHost: a\r\nCookie: x=1\r\nCookie: HOLDFAST=q\r\nCookie: y=2\r\n\r\n");
    assert_string_equal(added(f, "Cookie"), "x=1; y=2");
}

static void strangers_are_not_believed(void **state)
{
    struct fixture *f = *state;
    request(f, "GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=1\r\n"
               "X-Forwarded-Proto: https\r\n\r\n");
    assert_true(skips(f, HF_FIELD_FORWARDED) && skips(f, HF_FIELD_X_FORWARDED_FOR) &&
                skips(f, HF_FIELD_X_FORWARDED_PROTO) && skips(f, HF_FIELD_X_REAL_IP));
    assert_string_equal(added(f, "X-Forwarded-For"), "192.0.2.7");
    assert_string_equal(added(f, "X-Forwarded-Proto"), "http");
    assert_string_equal(added(f, "X-Forwarded-Host"), "shop");
    assert_false(f->x.secure);
}

static void trust(struct fixture *f, const char *network)
{
    assert_int_equal(
        hf_network_parse(hf_slice_text(network), &f->config->trusted[f->config->trusted_count++]),
        0);
}

static void trusted_proxies_are_believed_up_to_the_first_stranger(void **state)
{
    struct fixture *f = *state;
    trust(f, "192.0.2.0/24");
    request(f,
            "GET / HTTP/1.1\r\nHost: shop\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9, 192.0.2.3\r\n"
            "X-Forwarded-Proto: https\r\n\r\n");
    assert_string_equal(added(f, "X-Forwarded-For"), "6.6.6.6, 203.0.113.9, 192.0.2.3, 192.0.2.7");
    assert_null(added(f, "X-Forwarded-Proto"));
    assert_true(hf_slice_equal(f->x.client_ip, HF_SLICE("203.0.113.9")));
    assert_true(f->x.secure);
}

static void host_is_the_authority(void **state)
{
    struct fixture *f = *state;
    request(f, "GET http://Real.example/p HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_true(skips(f, HF_FIELD_HOST));
    assert_string_equal(added(f, "Host"), "Real.example");
    request(f, "GET / HTTP/1.0\r\n\r\n");
    assert_string_equal(added(f, "Host"), "127.0.0.1:3001");
}

static void losses_are_told(void **state)
{
    struct fixture *f = *state;
    f->x.choice.lost = true;
    f->x.choice.verdict = HF_AFFINITY_GONE;
    request(f, "GET / HTTP/1.1\r\nHost: a\r\nHoldfast-Session: fake\r\n\r\n");
    assert_true(skips(f, HF_FIELD_HOLDFAST_SESSION));
    assert_string_equal(added(f, "Holdfast-Session"), "lost; cause=gone");
    f->x.choice.lost = false;
    f->x.choice.owner = 1;
    request(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(added(f, "Holdfast-Session"), "stand-in; cause=failure");
    f->x.choice.owner = 0;
    request(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_null(added(f, "Holdfast-Session"));

    struct hf_pool_agents agents = {.rank.count = 1};
    f->pool.agents = &agents;
    f->x.choice.owner = -1;
    f->x.choice.lost = true;
    f->servers[0].agent.size = 1;
    request(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(added(f, "Holdfast-Session"), "moved; cause=gone");
    f->x.choice.verdict = HF_AFFINITY_MAINTENANCE;
    request(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(added(f, "Holdfast-Session"), "moved; cause=maintenance");
    f->servers[0].agent.size = 0;
    request(f, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_string_equal(added(f, "Holdfast-Session"), "lost; cause=maintenance");
}

static void a_pin_makes_the_answer_private(void **state)
{
    static const struct {
        const char *before, *after;
    } rows[] = {
        {"", "private"},
        {"Cache-Control: public, max-age=60\r\n", "private, max-age=60"},
        {"Cache-Control: no-store\r\n", "private, no-store"},
        {"Cache-Control: PUBLIC\r\nCache-Control: s-maxage=9, must-revalidate\r\n",
         "private, must-revalidate"},
        {"Cache-Control: private=\"x\", immutable\r\n", "private, immutable"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n",
                 rows[i].before);
        response(f, text, "HOLDFAST=t");
        assert_string_equal(added(f, "Cache-Control"), rows[i].after);
        assert_string_equal(added(f, "Set-Cookie"), "HOLDFAST=t");
    }
}

static void without_a_pin_caching_is_the_applications(void **state)
{
    struct fixture *f = *state;
    response(f, "HTTP/1.1 200 OK\r\nCache-Control: public\r\nContent-Length: 0\r\n\r\n", "");
    assert_false(skips(f, HF_FIELD_CACHE_CONTROL));
    assert_null(added(f, "Cache-Control"));
    assert_non_null(added(f, "Date"));
}

static void unknown_length_becomes_chunks(void **state)
{
    struct fixture *f = *state;
    response(f, "HTTP/1.0 200 OK\r\nDate: x\r\n\r\n", "");
    assert_int_equal(f->outgoing.body, HF_BODY_CHUNKED);
    assert_null(added(f, "Date"));
}

/* The pool's second strategy is a prefixed cookie SID, and app1 answers. */
static void prefix_sid(struct fixture *f)
{
    f->pool.affinity_count = 2;
    f->pool.affinities[1].kind = HF_AFFINITY_COOKIE_PREFIX;
    f->pool.affinities[1].attributes.name = f->pool.prefix_cookie = HF_SLICE("SID");
    if (f->servers[0].server == NULL)
        f->servers[0].server = hf_server_acquire("shop", "app1", 1);
    assert_non_null(f->servers[0].server);
}

static void prefixes_are_cut_out(void **state)
{
    static const char *const rows[][2] = {
        {"SID=app1~abc", "SID=abc"},
        {"a=1;SID=gone~a~b ; HOLDFAST=t; b=\"2\"", "a=1;SID=a~b ; b=\"2\""},
        {"SID=app1~x; sid=app1~y; SID=app2~z", "SID=x; sid=app1~y; SID=z"},
        {"HOLDFAST=t; SID=plain", "SID=plain"},
    };
    struct fixture *f = *state;
    prefix_sid(f);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nCookie: %s\r\n\r\n", rows[i][0]);
        request(f, text);
        assert_true(skips(f, HF_FIELD_COOKIE));
        assert_string_equal(added(f, "Cookie"), rows[i][1]);
    }
    request(f, "GET / HTTP/1.1\r\nHost: a\r\nCookie: SID=plain; x=app1~y\r\n\r\n");
    assert_false(skips(f, HF_FIELD_COOKIE));
    hf_server_unref(&f->servers[0].server);
}

/* The Set-Cookie fields that the client gets, one a line: those that stay, then those added. */
static const char *set_cookies(struct fixture *f)
{
    static char text[2048];
    text[0] = '\0';
    const struct hf_head *head = &f->x.response;
    for (unsigned i = 0; i < head->field_count; i++) {
        struct hf_slice value = hf_field_value(head, &head->fields[i]);
        if (head->fields[i].id == HF_FIELD_SET_COOKIE && !head->fields[i].drop)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s\n", (int)value.size,
                     value.bytes);
    }
    for (unsigned i = 0; i < f->outgoing.added_count; i++) {
        struct hf_slice value = f->outgoing.added[i].value;
        if (hf_slice_equal(f->outgoing.added[i].name, HF_SLICE("Set-Cookie")))
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s\n", (int)value.size,
                     value.bytes);
    }
    return text;
}

static void the_applications_cookie_gets_the_servers_name(void **state)
{
    static const struct {
        const char *fields, *expected;
        bool prefixed;
    } rows[] = {
        {"Set-Cookie: SID=abc; Path=/a;HttpOnly ;  X=y\r\n",
         "SID=app1~abc; Path=/a;HttpOnly ;  X=y\n", true},
        {"Set-Cookie: SID=\"a b\"; Max-Age=0\r\n", "SID=\"app1~a b\"; Max-Age=0\n", true},
        {"Set-Cookie: x=1\r\nset-cookie: SID=a~b\r\nSet-Cookie: SID=c; Path=/c\r\n",
         "x=1\nSID=app1~a~b\nSID=app1~c; Path=/c\n", true},
        {"Set-Cookie: SID=; Max-Age=0\r\n", "SID=; Max-Age=0\n", false},
        {"Set-Cookie: sid=abc\r\nSet-Cookie: SIDX=a\r\n", "sid=abc\nSIDX=a\n", false},
        {"", "", false},
    };
    struct fixture *f = *state;
    prefix_sid(f);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n",
                 rows[i].fields);
        response(f, text, "");
        assert_string_equal(set_cookies(f), rows[i].expected);
        assert_int_equal(f->x.prefixed, rows[i].prefixed);
        assert_null(added(f, "Cache-Control")); /* the application set it: caching is its word */
    }
    hf_server_unref(&f->servers[0].server);
}

static void more_cookies_of_one_name_than_there_is_room_for(void **state)
{
    struct fixture *f = *state;
    struct hf_http1_parser parser = {0};
    prefix_sid(f);
    for (unsigned count = 0; count <= HF_PREFIXED_COOKIES_MAX + 1; count++) {
        char text[1024] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n"
                          "Connection: upgrade\r\n";
        for (unsigned i = 0; i <= count; i++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s",
                     i < count ? "Set-Cookie: SID=a\r\n" : "\r\n");
        parser = (struct hf_http1_parser){0};
        assert_int_equal(hf_http1_parse_response(&parser, &f->x.response, text, strlen(text),
                                                 HF_METHOD_GET, &limits),
                         HF_CODEC_DONE);
        f->scratch.start = f->scratch.end = 0;
        assert_int_equal(
            hf_forward_response(&f->x, HF_SLICE("HOLDFAST=t"), &f->scratch, &f->outgoing),
            count <= HF_PREFIXED_COOKIES_MAX);
    }
    hf_server_unref(&f->servers[0].server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(own_cookie_is_cut_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_our_cookie_leaves_no_field, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_cookies_go_on_untouched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cookie_fields_are_joined, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strangers_are_not_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trusted_proxies_are_believed_up_to_the_first_stranger,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(host_is_the_authority, set_up, tear_down),
        cmocka_unit_test_setup_teardown(losses_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_pin_makes_the_answer_private, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_pin_caching_is_the_applications, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(unknown_length_becomes_chunks, set_up, tear_down),
        cmocka_unit_test_setup_teardown(prefixes_are_cut_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_applications_cookie_gets_the_servers_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(more_cookies_of_one_name_than_there_is_room_for, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
