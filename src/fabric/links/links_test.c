#include "base/clock.h"
#include "fabric/links_node.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static struct hf_links_node *const nodes = hf_links_nodes.nodes;

static bool pair_is_up(void)
{
    return hf_links_up(nodes[0].links, 1) && hf_links_up(nodes[1].links, 0);
}

static bool pair_talks(void)
{
    return pair_is_up() && nodes[0].expected[1] > 1 && nodes[1].expected[0] > 1;
}

static bool one_link_is_left(void)
{
    return pair_talks() && nodes[0].links->slab.live_count == 1 &&
           nodes[1].links->slab.live_count == 1;
}

static bool zero_links_one(void)
{
    return hf_links_up(nodes[0].links, 1);
}

static bool zero_lost_one(void)
{
    return nodes[0].downs[1] > 0 && !hf_links_up(nodes[0].links, 1);
}

static bool zero_saw_one_gone(void)
{
    return nodes[0].gones[1] > 0;
}

/* Both dial at once; the accepted and the dialled connection are proved side by side. */
static void of_two_dials_one_link_survives(void **state)
{
    enum { ROUNDS = 30 };
    for (unsigned i = 0; i < ROUNDS; i++) {
        hf_links_node_start(i % 2);
        hf_links_node_start(1 - i % 2);
        hf_links_node_until(one_link_is_left);
        assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_UP), 1);
        assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_REPLACED), 0);
        hf_links_node_stop(0);
        hf_links_node_stop(1);
    }
    assert_int_equal(nodes[0].ups[1], ROUNDS);
    assert_int_equal(nodes[1].ups[0], ROUNDS);
}

static bool all_are_linked(void)
{
    for (unsigned i = 0; i < HF_LINKS_NODE_COUNT; i++)
        if (hf_links_node_counted(i, HF_LINK_COUNT_UP) != HF_LINKS_NODE_COUNT - 1)
            return false;
    return true;
}

static void five_nodes_are_a_mesh(void **state)
{
    for (unsigned i = 0; i < HF_LINKS_NODE_COUNT; i++)
        hf_links_node_start(i);
    hf_links_node_until(all_are_linked);
    char *text = hf_metrics_text(&(size_t){0});
    assert_non_null(strstr(text, "holdfast_peer_links 20\n"));
    assert_non_null(strstr(text, "holdfast_peer_handshake_seconds_count 4\n"));
    free(text);
}

static bool both_refused(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_PROOF) > 0 &&
           hf_links_node_counted(1, HF_LINK_COUNT_REFUSED_PROOF) > 0;
}

static void judge_refused_pair(void)
{
    assert_int_equal(nodes[0].ups[1] + nodes[1].ups[0], 0);
    assert_int_equal(nodes[0].gones[1], 1); /* before the other one began to listen */
    assert_int_equal(nodes[1].gones[0], 0);
}

static void another_key_gets_no_link(void **state)
{
    static const uint8_t other_key[HF_HELLO_KEY_SIZE] = {1, 2, 3, 4, 5, 6, 7, 9};
    struct hf_links_settings settings = hf_links_node_settings(1);
    settings.key = other_key;
    hf_links_node_start(0);
    hf_links_node_start_with(1, &settings);
    hf_links_node_until(both_refused);
    judge_refused_pair();
}

static void no_key_is_another_key(void **state)
{
    struct hf_links_settings settings = hf_links_node_settings(1);
    settings.key = NULL;
    hf_links_node_start(0);
    hf_links_node_start_with(1, &settings);
    hf_links_node_until(both_refused);
    judge_refused_pair();
}

static bool lists_differ(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_LIST) > 0 &&
           hf_links_node_counted(1, HF_LINK_COUNT_REFUSED_LIST) > 0;
}

static void another_list_gets_no_link(void **state)
{
    struct hf_rank other = hf_links_nodes.rank;
    struct hf_links_settings settings = hf_links_node_settings(1);
    other.list++;
    settings.rank = &other;
    hf_links_node_start(0);
    hf_links_node_start_with(1, &settings);
    hf_links_node_until(lists_differ);
    judge_refused_pair();
    hf_links_node_stop(1);
}

static bool zero_refused_a_number(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_NODE) > 0;
}

/* Node 2 listens where node 1 is expected. */
static void another_node_at_the_address_gets_no_link(void **state)
{
    struct hf_links_settings settings = hf_links_node_settings(2);
    settings.bind = &hf_links_nodes.addresses[1];
    hf_links_node_start_with(2, &settings);
    hf_links_node_start(0);
    hf_links_node_until(zero_refused_a_number);
    assert_int_equal(nodes[0].ups[1], 0);
}

static void wait_for_the_end(int fd)
{
    struct hf_wire_message m;
    unsigned type = hf_links_node_read(fd, &m);
    while (type != 0)
        type = hf_links_node_read(fd, &m);
    close(fd);
}

static void garbage_closes_the_connection(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } garbage[] = {
        {"GET / HTTP/1.1\r\n\r\n", 18},
        {"\0\0\0\x40\x01", 5},     /* a frame longer than any HELLO */
        {"\0\0\0\x01\x04", 5},     /* HEARTBEAT before HELLO, and too short */
        {"\0\0\0\x02\x03\x00", 6}, /* BYE that says it was accepted */
        {"\0\0\0\x02\x03\x1f", 6}, /* BYE with a reason that does not exist */
        {"\0\0\0\x00", 4},
        {"\0\0\0\x01\x3f", 5},
    };
    enum { COUNT = sizeof(garbage) / sizeof(garbage[0]) };
    hf_links_node_start(0);
    for (unsigned i = 0; i < COUNT; i++) {
        int fd = hf_links_node_connect(0);
        assert_int_equal(write(fd, garbage[i].bytes, garbage[i].size), garbage[i].size);
        wait_for_the_end(fd);
    }
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_GARBAGE), COUNT);
    assert_int_equal(nodes[0].links->fresh_count, 0);
    assert_int_equal(nodes[0].links->buffers.lent_count, 0);
}

static void another_protocol_is_told_so(void **state)
{
    struct hf_wire_message hello = hf_links_node_hello(1, 5), answer;
    hf_links_node_start(0);
    int fd = hf_links_node_connect(0);
    hello.protocol_min = hello.protocol_max = HF_WIRE_PROTOCOL + 1;
    hf_links_node_write(fd, &hello);
    assert_int_equal(hf_links_node_read(fd, &answer), HF_WIRE_HELLO);
    assert_int_equal(hf_links_node_read(fd, &answer), HF_WIRE_BYE);
    assert_int_equal(answer.status, HF_HELLO_PROTOCOL);
    wait_for_the_end(fd);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_PROTOCOL), 1);
}

static void who_says_nothing_is_given_up(void **state)
{
    struct hf_wire_message hello = hf_links_node_hello(1, 5);
    uint64_t begun_ms = hf_clock_monotonic_ms();
    hf_links_node_start(0);
    int silent = hf_links_node_connect(0), slow = hf_links_node_connect(0);
    hf_links_node_write(slow, &hello); /* and never a proof */
    wait_for_the_end(silent);
    wait_for_the_end(slow);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_SLOW), 2);
    assert_true(hf_clock_monotonic_ms() - begun_ms >= HF_LINKS_HANDSHAKE_MS);
    assert_int_equal(nodes[0].ups[1], 0);
}

static bool crowd_is_cut(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_CROWDED) > 0;
}

static void a_crowd_of_strangers_keeps_no_peer_out(void **state)
{
    enum { CROWD = HF_LINKS_UNPROVED_MAX + HF_LINKS_NODE_COUNT + 1 };
    int strangers[CROWD];
    hf_links_node_start(0);
    for (unsigned i = 0; i < CROWD; i++)
        strangers[i] = hf_links_node_connect(0);
    hf_links_node_until(crowd_is_cut);
    assert_int_equal(nodes[0].links->fresh_count, CROWD - 1);
    int fd = hf_links_node_connect(0);
    assert_true(hf_links_node_shake(fd, 1, 5));
    assert_true(hf_links_up(nodes[0].links, 1));
    close(fd);
    wait_for_the_end(strangers[0]); /* the oldest gave way */
    for (unsigned i = 1; i < CROWD; i++)
        close(strangers[i]);
}

static unsigned gones_before;

static bool zero_saw_one_end(void)
{
    return nodes[0].gones[1] > gones_before;
}

static void an_ended_process_is_known_to_be_gone(void **state)
{
    hf_links_node_start(0);
    hf_links_node_start(1);
    hf_links_node_until(pair_talks);
    hf_links_node_for(HF_LINKS_STABLE_MS + 20);
    gones_before = nodes[0].gones[1];
    uint64_t begun_ms = hf_clock_monotonic_ms();
    hf_links_node_stop(1);
    hf_links_node_until(zero_saw_one_end);
    assert_true(hf_clock_monotonic_ms() - begun_ms < HF_LINKS_NODE_BEAT_MS);
    unsigned downs = nodes[0].downs[1];
    hf_links_node_for(50); /* of more dials; it is told once */
    assert_int_equal(nodes[0].gones[1], gones_before + 1);
    assert_int_equal(nodes[0].downs[1], downs);
}

/* Node 0 has a link with node 1, incarnation 4, whose end is played here. */
static int play_one(int *ret_listening)
{
    *ret_listening = hf_links_node_listen(1);
    hf_links_node_start(0);
    int fd = hf_links_node_accept(*ret_listening);
    assert_true(hf_links_node_shake(fd, 1, 4));
    hf_links_node_until(zero_links_one);
    return fd;
}

static bool five_is_up(void)
{
    return nodes[0].ups[1] == 2;
}

static bool is_down_again(void)
{
    return !hf_links_up(nodes[0].links, 1);
}

/* Two processes with one name: the first stays, and both are told. */
static void a_namesake_gets_no_link_while_the_first_is_heard(void **state)
{
    struct hf_wire_message message;
    int listening, first = play_one(&listening);
    int second = hf_links_node_connect(0);
    message = hf_links_node_hello(1, 5);
    hf_links_node_write(second, &message);
    assert_int_equal(hf_links_node_read(second, &message), HF_WIRE_HELLO);
    assert_int_equal(hf_links_node_read(second, &message), HF_WIRE_BYE);
    assert_int_equal(message.status, HF_HELLO_NAMESAKE);
    wait_for_the_end(second);
    assert_true(hf_links_up(nodes[0].links, 1));
    assert_int_equal(nodes[0].downs[1], 0);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_NAMESAKE), 1);
    close(first);
    close(listening);
}

/* The peer's process is another one; nothing was refused in between. */
static void another_incarnation_means_the_first_is_gone(void **state)
{
    int listening, first = play_one(&listening);
    assert_int_equal(nodes[0].downs[1], 0);
    hf_links_node_until(is_down_again); /* it is silent, as if its machine had lost its power */
    assert_int_equal(nodes[0].gones[1], 0);
    int second = hf_links_node_connect(0);
    assert_true(hf_links_node_shake(second, 1, 5));
    hf_links_node_until(five_is_up);
    assert_int_equal(nodes[0].downs[1], 2); /* that it is gone is told after that it is silent */
    assert_int_equal(nodes[0].gones[1], 1);
    wait_for_the_end(first);
    close(second);
    close(listening);
}

/* A reset by a process that still listens: dialled again at once, and nobody is gone. */
static void a_reset_link_is_dialled_again_at_once(void **state)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    int listening, fd = play_one(&listening);
    for (unsigned i = 0; i < (HF_LINKS_STABLE_MS + 50) / 50; i++) {
        struct hf_wire_message beat = {.type = HF_WIRE_CHUNK, .number = i};
        hf_links_node_write(fd, &beat);
        hf_links_node_for(50);
    }
    uint64_t begun_ms = hf_clock_monotonic_ms();
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(fd);
    fd = hf_links_node_accept(listening);
    assert_true(hf_clock_monotonic_ms() - begun_ms < HF_LINKS_NODE_BEAT_MS);
    assert_true(hf_links_node_shake(fd, 1, 4));
    hf_links_node_until(zero_links_one);
    assert_int_equal(nodes[0].downs[1], 1);
    assert_int_equal(nodes[0].gones[1], 0);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_RESET), 1);
    close(fd);
    close(listening);
}

static void a_silent_link_is_given_up_and_dialled_again(void **state)
{
    int listening = hf_links_node_listen(1);
    hf_links_node_start(0);
    int silent = hf_links_node_accept(listening);
    uint64_t begun_ms = hf_clock_monotonic_ms(); /* it cannot be heard before */
    assert_true(hf_links_node_shake(silent, 1, 4));
    hf_links_node_until(zero_links_one);
    hf_links_node_until(zero_lost_one);
    assert_true(hf_clock_monotonic_ms() - begun_ms >= HF_LINKS_SILENT_MS);
    assert_int_equal(nodes[0].gones[1], 0);
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_SILENT), 1);
    int fd = hf_links_node_accept(listening);
    assert_true(hf_links_node_shake(fd, 1, 4));
    close(silent);
    close(fd);
    close(listening);
}

/* The other side lost the link and dials; this one thinks it has one. */
static void a_link_heard_lately_stays_an_older_one_gives_way(void **state)
{
    int listening, first = play_one(&listening);
    int second = hf_links_node_connect(0);
    assert_false(hf_links_node_shake(second, 1, 4));
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_REFUSED_DUPLICATE), 1);
    close(second);
    hf_links_node_for(HF_LINKS_ALIVE_MS + 20);
    second = hf_links_node_connect(0);
    assert_true(hf_links_node_shake(second, 1, 4));
    wait_for_the_end(first);
    assert_int_equal(nodes[0].ups[1], 2);
    assert_int_equal(nodes[0].downs[1], 0); /* `up` says it */
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_REPLACED), 1);
    close(second);
    close(listening);
}

static bool zero_broke(void)
{
    return hf_links_node_counted(0, HF_LINK_COUNT_BROKE) > 0;
}

static void a_broken_protocol_ends_the_link_and_is_tried_slowly(void **state)
{
    hf_links_node_start(0);
    hf_links_node_start(1);
    hf_links_node_until(pair_talks);
    nodes[0].refuses = true;
    hf_links_node_until(zero_broke);
    assert_false(hf_links_up(nodes[0].links, 1));
    assert_int_equal(nodes[0].links->peers[1].retry_ms, HF_LINKS_RETRY_MS_MAX);
}

static bool all_arrived(void)
{
    return nodes[0].waiting[1] == 0 && nodes[1].waiting[0] == 0 &&
           nodes[0].expected[1] == nodes[1].sent[0] && nodes[1].expected[0] == nodes[0].sent[1];
}

static void frames_of_all_sizes_pass_both_ways_whole(void **state)
{
    static const size_t sizes[] = {HF_LINKS_NODE_FRAME_MIN, 100, 4096, 30000,
                                   HF_LINKS_NODE_FRAME_MIN + HF_WIRE_CHUNK_SIZE};
    hf_links_node_start(0);
    hf_links_node_start(1);
    hf_links_node_until(pair_talks);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t frames = 20000000 / sizes[i] < 100000 ? 20000000 / sizes[i] : 100000;
        hf_links_node_until(all_arrived);
        nodes[0].frame_size = nodes[1].frame_size = sizes[i];
        hf_links_node_send(0, 1, frames);
        hf_links_node_send(1, 0, frames);
        hf_links_node_until(all_arrived);
    }
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_FRAMES_IN),
                     hf_links_node_counted(1, HF_LINK_COUNT_FRAMES_OUT));
    assert_int_equal(hf_links_node_counted(1, HF_LINK_COUNT_BYTES_IN),
                     hf_links_node_counted(0, HF_LINK_COUNT_BYTES_OUT));
    assert_int_equal(hf_links_node_counted(0, HF_LINK_COUNT_OPENED), 1);
}

/* What a peer does not read waits with the host, where it is bounded. */
static void a_peer_that_does_not_read_is_not_pulled_for(void **state)
{
    enum { FRAME = 10000, FRAMES = 4000, KERNEL_MAX = 16 * 1024 * 1024 };
    struct hf_wire_message m, beat = {.type = HF_WIRE_CHUNK};
    int listening = hf_links_node_listen(1);
    nodes[0].frame_size = FRAME;
    nodes[0].quiet = true;
    hf_links_node_start(0);
    int fd = hf_links_node_accept(listening);
    assert_true(hf_links_node_shake(fd, 1, 4));
    hf_links_node_until(zero_links_one);
    hf_links_node_send(0, 1, FRAMES);
    hf_links_node_for(100);
    uint64_t pulled = nodes[0].sent[1];
    assert_true(pulled < FRAMES && pulled * FRAME < KERNEL_MAX);
    hf_links_node_for(100);
    assert_int_equal(nodes[0].sent[1], pulled);
    for (uint64_t i = 0; i < FRAMES; i++) {
        assert_int_equal(hf_links_node_read(fd, &m), HF_WIRE_CHUNK);
        assert_int_equal(m.number, i);
        if (i % 500 == 0) {
            hf_links_node_write(fd, &beat);
            beat.number++;
        }
    }
    assert_int_equal(nodes[0].downs[1], 0);
    close(fd);
    close(listening);
}

static void what_cannot_be_is_an_error(void **state)
{
    const struct hf_links_host host = {.user = &nodes[0]};
    struct hf_links_settings settings = hf_links_node_settings(0);
    struct hf_address addresses[HF_LINKS_NODE_COUNT];
    struct hf_links *links = NULL;
    memcpy(addresses, hf_links_nodes.addresses, sizeof(addresses));
    assert_int_equal(hf_address_parse(HF_SLICE("192.0.2.1:7401"), &addresses[3]), 0);
    settings.addresses = addresses;
    settings.key = NULL;
    assert_int_equal(hf_links_new(&settings, hf_links_nodes.loop, &host, &links), -EPERM);
    settings = hf_links_node_settings(0);
    settings.self = HF_LINKS_NODE_COUNT;
    assert_int_equal(hf_links_new(&settings, hf_links_nodes.loop, &host, &links), -EINVAL);
    settings = hf_links_node_settings(0);
    settings.incarnation = 0;
    assert_int_equal(hf_links_new(&settings, hf_links_nodes.loop, &host, &links), -EINVAL);
    int listening = hf_links_node_listen(0);
    settings = hf_links_node_settings(0);
    assert_int_equal(hf_links_new(&settings, hf_links_nodes.loop, &host, &links), 0);
    assert_int_equal(hf_links_open(links), -EADDRINUSE);
    hf_links_free(&links);
    assert_null(links);
    close(listening);
}

static void who_starts_alone_learns_that_nobody_runs(void **state)
{
    hf_links_node_start(0);
    hf_links_node_until(zero_saw_one_gone);
    for (unsigned i = 1; i < HF_LINKS_NODE_COUNT; i++)
        assert_int_equal(nodes[0].gones[i], 1);
    hf_links_node_for(100);
    assert_int_equal(nodes[0].downs[1], 1);
    assert_true(hf_links_node_counted(0, HF_LINK_COUNT_DIALS) > HF_LINKS_NODE_COUNT);
}

int main(void)
{
#define LINKS_TEST(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, hf_links_node_set_up, hf_links_node_tear_down)
    static const struct CMUnitTest tests[] = {
        LINKS_TEST(of_two_dials_one_link_survives),
        LINKS_TEST(five_nodes_are_a_mesh),
        LINKS_TEST(another_key_gets_no_link),
        LINKS_TEST(no_key_is_another_key),
        LINKS_TEST(another_list_gets_no_link),
        LINKS_TEST(another_node_at_the_address_gets_no_link),
        LINKS_TEST(garbage_closes_the_connection),
        LINKS_TEST(another_protocol_is_told_so),
        LINKS_TEST(who_says_nothing_is_given_up),
        LINKS_TEST(a_crowd_of_strangers_keeps_no_peer_out),
        LINKS_TEST(an_ended_process_is_known_to_be_gone),
        LINKS_TEST(a_namesake_gets_no_link_while_the_first_is_heard),
        LINKS_TEST(another_incarnation_means_the_first_is_gone),
        LINKS_TEST(a_reset_link_is_dialled_again_at_once),
        LINKS_TEST(a_silent_link_is_given_up_and_dialled_again),
        LINKS_TEST(a_link_heard_lately_stays_an_older_one_gives_way),
        LINKS_TEST(a_broken_protocol_ends_the_link_and_is_tried_slowly),
        LINKS_TEST(frames_of_all_sizes_pass_both_ways_whole),
        LINKS_TEST(a_peer_that_does_not_read_is_not_pulled_for),
        LINKS_TEST(what_cannot_be_is_an_error),
        LINKS_TEST(who_starts_alone_learns_that_nobody_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
