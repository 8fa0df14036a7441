/* A proxy's side against real links: what is said, who listens, and what comes of it. */
#include "fabric/fabric.h"
#include "fabric/links_node.h"
#include "fabric/teller.h"
#include <stdio.h>
#include <unistd.h>

enum { PROXIES = HF_LINKS_TELLERS_MAX + 1 };

static struct hf_links_node *const nodes = hf_links_nodes.nodes;
static struct hf_buffer_pool buffers;
static const unsigned char second[] = "\4app2"; /* as a list of names; its NUL is not told */
static const struct hf_teller_words nothing, drains = {.drains = true},
                                             second_is_dead = {.size = 5, .dead = second};

static struct proxy {
    struct hf_teller *teller;
    unsigned told, failed;
    bool refused;
    char why[80];
    bool drained, was_drained;
    size_t dead;
    unsigned known;
    uint8_t tag, knowledge;
} proxies[PROXIES];

static void told(void *user, const struct hf_teller_words *words,
                 const struct hf_teller_words *before)
{
    struct proxy *proxy = user;
    proxy->told++;
    proxy->drained = words->drains;
    proxy->was_drained = before->drains;
    proxy->dead = words->size;
}

static void failed(void *user, const char *why, bool refused)
{
    struct proxy *proxy = user;
    proxy->failed++;
    proxy->refused = refused;
    snprintf(proxy->why, sizeof(proxy->why), "%s", why);
}

static void known(void *user, uint8_t tag, uint8_t knowledge)
{
    struct proxy *proxy = user;
    proxy->known++;
    proxy->tag = tag;
    proxy->knowledge = knowledge;
}

static void start_proxy(unsigned number, const uint8_t *key)
{
    struct proxy *proxy = &proxies[number];
    const struct hf_teller_host host = {proxy, told, failed, known};
    assert_int_equal(hf_teller_new(hf_links_nodes.loop, &buffers, &hf_links_nodes.addresses[0], key,
                                   &host, &proxy->teller),
                     0);
}

static void start_pair(void)
{
    hf_links_node_start(0);
    start_proxy(0, hf_links_node_settings(0).key);
}

static int set_up(void **state)
{
    memset(proxies, 0, sizeof(proxies));
    hf_buffer_pool_init(&buffers, 4 * PROXIES, 2);
    return hf_links_node_set_up(state);
}

static int tear_down(void **state)
{
    for (unsigned i = 0; i < PROXIES; i++)
        hf_teller_free(&proxies[i].teller);
    int result = hf_links_node_tear_down(state);
    hf_buffer_pool_fini(&buffers);
    return result;
}

static void say(const struct hf_teller_words *words)
{
    assert_int_equal(hf_teller_say(proxies[0].teller, words), 0);
}

static bool drained(void)
{
    return hf_links_drains(nodes[0].links);
}

static bool drained_and_told(void)
{
    return drained() && !hf_teller_waits(proxies[0].teller);
}

static bool nobody_tells(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_TELLERS) == 0 &&
           !hf_teller_waits(proxies[0].teller);
}

static void a_drain_is_told_and_taken_back(void **state)
{
    start_pair();
    say(&nothing); /* is nothing to connect for */
    assert_false(hf_teller_waits(proxies[0].teller));
    say(&drains);
    assert_true(hf_teller_waits(proxies[0].teller));
    hf_links_node_until(drained_and_told);
    assert_true(proxies[0].told == 1 && proxies[0].drained && !proxies[0].was_drained);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_TOLD_DRAIN), 1);
    say(&drains); /* known */
    assert_false(hf_teller_waits(proxies[0].teller));
    say(&nothing);
    hf_links_node_until(nobody_tells);
    assert_false(drained());
    assert_true(proxies[0].told == 2 && !proxies[0].drained && proxies[0].was_drained);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_TOLD_READY), 1);
    assert_int_equal(proxies[0].failed, 0);
}

static bool failed_once(void)
{
    return proxies[0].failed > 0;
}

static void who_comes_later_is_told(void **state)
{
    start_proxy(0, hf_links_node_settings(0).key);
    say(&drains);
    hf_links_node_until(failed_once); /* nobody listens yet */
    assert_false(proxies[0].refused);
    hf_links_node_start(0);
    hf_links_node_until(drained_and_told);
    hf_links_node_stop(0);
    hf_links_node_start(0); /* as another process that was told nothing */
    assert_false(drained());
    hf_links_node_until(drained);
    assert_int_equal(proxies[0].told, 1); /* it is no news */
}

static void another_key_is_not_listened_to(void **state)
{
    static const uint8_t other[HF_HELLO_KEY_SIZE] = {9};
    hf_links_node_start(0);
    start_proxy(0, other);
    say(&drains);
    hf_links_node_until(failed_once);
    assert_string_equal(proxies[0].why, hf_hello_reason(HF_HELLO_PROOF));
    assert_true(proxies[0].refused);
    assert_true(hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_PROOF) > 0);
    assert_false(drained());
    hf_teller_free(&proxies[0].teller);
    start_proxy(0, NULL); /* none is another one */
    proxies[0].failed = 0;
    say(&drains);
    hf_links_node_until(failed_once);
    assert_false(drained());
}

static bool nobody_is_connected(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_TELLERS) == 0;
}

static void what_a_proxy_said_outlives_it_for_a_while(void **state)
{
    start_pair();
    say(&drains);
    hf_links_node_until(drained_and_told);
    hf_teller_free(&proxies[0].teller);
    hf_links_node_until(nobody_is_connected);
    assert_true(drained());
    assert_true(nodes[0].links->drains_until_ms <=
                hf_loop_now_ms(hf_links_nodes.loop) + HF_LINKS_TELLER_MS);
    nodes[0].links->drains_until_ms = hf_loop_now_ms(hf_links_nodes.loop); /* it passes */
    assert_false(drained());
}

static bool looked(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_LOOKED_RUNS) +
               hf_links_node_counted(0, HF_LINK_COUNT_LOOKED_ENDED) +
               hf_links_node_counted(0, HF_LINK_COUNT_LOOKED_SILENT) >
           0;
}

static bool linked(void)
{
    return hf_links_up(nodes[0].links, 1);
}

/* It dialled before that one listened. */
static void expect_no_more_downs(unsigned downs)
{
    assert_true(linked());
    assert_int_equal(nodes[0].downs[1], downs);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_OPENED), 1);
}

static void a_death_that_is_none_changes_nothing(void **state)
{
    hf_links_node_start(1);
    start_pair();
    hf_links_node_until(linked);
    unsigned downs = nodes[0].downs[1];
    say(&second_is_dead);
    hf_links_node_until(looked);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_LOOKED_RUNS), 1);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_TOLD_DEAD), 1);
    for (unsigned i = 0; i < 20; i++) { /* a proxy that cannot make up its mind */
        say(i % 2 == 0 ? &nothing : &second_is_dead);
        hf_links_node_for(5);
    }
    expect_no_more_downs(downs);
    assert_true(hf_links_node_counted(0, HF_LINK_COUNT_LOOKED_RUNS) < 10); /* not at every word */
}

static void be_linked_to_a_played_peer(int *ret_listening, int *ret_fd)
{
    *ret_listening = hf_links_node_listen(1);
    start_pair();
    *ret_fd = hf_links_node_accept(*ret_listening);
    assert_true(hf_links_node_shake(*ret_fd, 1, 4));
    hf_links_node_until(linked);
}

static bool lost(void)
{
    return nodes[0].gones[1] > 0;
}

/* Its connection says nothing of it, as when a reset got lost. */
static void an_end_without_a_word_is_seen_at_once(void **state)
{
    int listening, fd;
    be_linked_to_a_played_peer(&listening, &fd);
    close(listening);
    say(&second_is_dead);
    hf_links_node_until(lost);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_LOOKED_ENDED), 1);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_SILENT), 0); /* nor was it waited for */
    assert_false(linked());
    assert_int_equal(nodes[0].gones[1], 1);
    close(fd);
}

/* A process that is stopped: its kernel connects, and it may serve when it wakes. */
static void a_silent_peer_is_not_taken_for_ended(void **state)
{
    int listening, fd;
    be_linked_to_a_played_peer(&listening, &fd);
    say(&second_is_dead);
    hf_links_node_until(looked);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_LOOKED_SILENT), 1);
    assert_int_equal(nodes[0].gones[1], 0);
    assert_true(linked());
    close(fd);
    close(listening);
}

static bool asked_once(void)
{
    return proxies[0].known > 0;
}

static uint8_t know(void *user, struct hf_slice id, uint64_t now_ms)
{
    return hf_slice_equal(id, HF_SLICE("one")) ? HF_FABRIC_KNOWS_OLD : HF_FABRIC_KNOWS_NEW;
}

static bool all_are_known(void)
{
    return proxies[0].known == HF_TELLER_ASKS_MAX + 1;
}

static void a_question_is_answered(void **state)
{
    start_pair();
    nodes[0].links->host.know = know;
    hf_teller_ask(proxies[0].teller, HF_SLICE("one"), 2); /* with nothing to say */
    hf_links_node_until(asked_once);
    assert_true(proxies[0].tag == 2 && proxies[0].knowledge == HF_FABRIC_KNOWS_OLD);
    proxies[0].known = 0;
    for (unsigned i = 0; i < HF_TELLER_ASKS_MAX; i++)
        hf_teller_ask(proxies[0].teller, HF_SLICE("other"), 1);
    assert_int_equal(proxies[0].known, 0);
    hf_teller_ask(proxies[0].teller, HF_SLICE("other"), 3); /* one too many */
    assert_true(proxies[0].known == 1 && proxies[0].tag == 3);
    assert_int_equal(proxies[0].knowledge, HF_FABRIC_KNOWS_NOTHING);
    hf_links_node_until(all_are_known);
    assert_true(proxies[0].tag == 1 && proxies[0].knowledge == HF_FABRIC_KNOWS_NEW);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_ASKED), 1 + HF_TELLER_ASKS_MAX);
    hf_links_node_until(nobody_is_connected);
    assert_int_equal(proxies[0].failed, 0);
}

static void a_question_to_nobody_is_answered_too(void **state)
{
    start_proxy(0, NULL);
    hf_teller_ask(proxies[0].teller, HF_SLICE("one"), 0);
    hf_links_node_until(asked_once);
    assert_int_equal(proxies[0].knowledge, HF_FABRIC_KNOWS_NOTHING);
    assert_int_equal(proxies[0].failed, 0); /* nothing is to be told */
    say(&drains);
    hf_links_node_until(failed_once);
    hf_teller_ask(proxies[0].teller, HF_SLICE("one"), 0); /* between two tries */
    assert_int_equal(proxies[0].known, 2);
}

static bool unknown_counted(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_TOLD_UNKNOWN) > 0;
}

static void names_that_nobody_has_are_counted(void **state)
{
    static const unsigned char names[] = "\4app9\4app1"; /* the last is the listener itself */
    const struct hf_teller_words words = {.size = 10, .dead = names};
    start_pair();
    say(&words);
    hf_links_node_until(unknown_counted);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_TOLD_UNKNOWN), 1);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_TOLD_DEAD), 0);
}

static bool garbage_counted(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_GARBAGE) > 0;
}

static int introduce(void)
{
    struct hf_wire_message hello, own = {.type = HF_WIRE_TELLER,
                                         .protocol_min = HF_WIRE_PROTOCOL,
                                         .protocol_max = HF_WIRE_PROTOCOL};
    int fd = hf_links_node_connect(0);
    assert_int_equal(hf_links_node_read(fd, &hello), HF_WIRE_HELLO);
    assert_int_equal(hf_hello_prove(hf_links_node_settings(0).key, &own, &hello, own.nonce), 0);
    hf_links_node_write(fd, &own);
    return fd;
}

static void malformed_words_end_the_connection(void **state)
{
    static const char *const lists[] = {"\4app", "\0app2", "\200"};
    static const size_t sizes[] = {4, 5, 1};
    hf_links_node_start(0);
    for (unsigned i = 0; i < 3; i++) {
        struct hf_wire_message m, tell = {.type = HF_WIRE_TELL, .flags = HF_WIRE_TELL_DRAINS};
        int fd = introduce();
        tell.bytes = hf_slice(lists[i], sizes[i]);
        hf_links_node_write(fd, &tell);
        assert_int_equal(hf_links_node_read(fd, &m), 0);
        close(fd);
        hf_links_node_until(garbage_counted);
        assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_GARBAGE), i + 1);
        assert_false(drained()); /* not even half of it was taken */
    }
    int fd = introduce(); /* what only peers say */
    struct hf_wire_message m, beat = {.type = HF_WIRE_HEARTBEAT};
    hf_links_node_write(fd, &beat);
    assert_int_equal(hf_links_node_read(fd, &m), 0);
    close(fd);
}

/* What was recorded of another connection is worth nothing. */
static void a_proof_of_another_connection_is_refused(void **state)
{
    struct hf_wire_message hello, other, answer,
        own = {.type = HF_WIRE_TELLER,
               .protocol_min = HF_WIRE_PROTOCOL,
               .protocol_max = HF_WIRE_PROTOCOL};
    hf_links_node_start(0);
    int first = hf_links_node_connect(0), later = hf_links_node_connect(0);
    assert_int_equal(hf_links_node_read(first, &hello), HF_WIRE_HELLO);
    assert_int_equal(hf_links_node_read(later, &other), HF_WIRE_HELLO);
    assert_int_equal(hf_hello_prove(hf_links_node_settings(0).key, &own, &hello, own.nonce), 0);
    hf_links_node_write(later, &own);
    assert_int_equal(hf_links_node_read(later, &answer), HF_WIRE_BYE);
    assert_int_equal(answer.status, HF_HELLO_PROOF);
    close(first);
    close(later);
}

static bool one_is_refused(void)
{
    unsigned told_count = 0, failed_count = 0;
    for (unsigned i = 0; i < PROXIES; i++) {
        told_count += proxies[i].told;
        failed_count += proxies[i].failed > 0;
    }
    return told_count == HF_LINKS_TELLERS_MAX && failed_count == 1;
}

static void more_proxies_than_there_may_be_are_refused(void **state)
{
    hf_links_node_start(0);
    for (unsigned i = 0; i < PROXIES; i++) {
        start_proxy(i, hf_links_node_settings(0).key);
        assert_int_equal(hf_teller_say(proxies[i].teller, &drains), 0);
    }
    hf_links_node_until(one_is_refused);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_TELLERS), HF_LINKS_TELLERS_MAX);
    assert_true(hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_CROWDED) > 0);
}

int main(void)
{
#define TELLER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        TELLER_TEST(a_drain_is_told_and_taken_back),
        TELLER_TEST(who_comes_later_is_told),
        TELLER_TEST(another_key_is_not_listened_to),
        TELLER_TEST(what_a_proxy_said_outlives_it_for_a_while),
        TELLER_TEST(a_death_that_is_none_changes_nothing),
        TELLER_TEST(an_end_without_a_word_is_seen_at_once),
        TELLER_TEST(a_silent_peer_is_not_taken_for_ended),
        TELLER_TEST(a_question_is_answered),
        TELLER_TEST(a_question_to_nobody_is_answered_too),
        TELLER_TEST(names_that_nobody_has_are_counted),
        TELLER_TEST(malformed_words_end_the_connection),
        TELLER_TEST(a_proof_of_another_connection_is_refused),
        TELLER_TEST(more_proxies_than_there_may_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
