#include "fabric/links_node.h"
#include "base/clock.h"
#include <errno.h>
#include <poll.h>
#include <unistd.h>

struct hf_links_nodes hf_links_nodes;
static const char *const names[HF_LINKS_NODE_COUNT] = {"app1", "app2", "app3", "app4", "app5"};
static const uint8_t shared_key[HF_HELLO_KEY_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};
static hf_links_node_done_fn awaited;
static char input[HF_WIRE_FRAME_MAX];

static void up(void *user, unsigned peer, uint64_t now_ms)
{
    struct hf_links_node *node = user;
    node->ups[peer]++;
    node->expected[peer] = node->sent[peer] = 0;
}

static void down(void *user, unsigned peer, bool gone, uint64_t now_ms)
{
    struct hf_links_node *node = user;
    node->downs[peer]++;
    node->gones[peer] += gone;
}

static bool receive(void *user, unsigned peer, struct hf_slice bytes, uint64_t now_ms,
                    size_t *ret_used)
{
    struct hf_links_node *node = user;
    struct hf_wire_message m;
    size_t used = 0;
    *ret_used = 0;
    while (hf_wire_decode(hf_slice(bytes.bytes + *ret_used, bytes.size - *ret_used),
                          HF_WIRE_FRAME_MAX, &m, &used) == HF_WIRE_DONE) {
        assert_int_equal(m.type, HF_WIRE_CHUNK);
        assert_int_equal(m.number, node->expected[peer]);
        for (size_t i = 0; i < m.bytes.size; i += 997)
            assert_int_equal((uint8_t)m.bytes.bytes[i], (uint8_t)(m.number + i));
        node->expected[peer]++;
        *ret_used += used;
    }
    return !node->refuses;
}

static size_t pull(void *user, unsigned peer, char *out, size_t size)
{
    struct hf_links_node *node = user;
    static char content[HF_WIRE_CHUNK_SIZE];
    size_t taken = 0, content_size = node->frame_size - HF_LINKS_NODE_FRAME_MIN;
    while (node->waiting[peer] > 0 && size - taken >= node->frame_size) {
        struct hf_wire_message m = {.type = HF_WIRE_CHUNK, .number = node->sent[peer]++};
        for (size_t i = 0; i < content_size; i += 997)
            content[i] = (char)(m.number + i);
        m.bytes = hf_slice(content, content_size);
        taken += hf_wire_encode(&m, out + taken, size - taken);
        node->waiting[peer]--;
    }
    return taken;
}

void hf_links_node_send(unsigned from, unsigned to, uint64_t frames)
{
    struct hf_links_node *node = &hf_links_nodes.nodes[from];
    node->waiting[to] += frames;
    hf_links_wake(node->links, to);
}

static void beat(struct hf_timer *timer)
{
    for (unsigned i = 0; i < HF_LINKS_NODE_COUNT; i++) {
        const struct hf_links_node *node = &hf_links_nodes.nodes[i];
        for (unsigned peer = 0; peer < HF_LINKS_NODE_COUNT; peer++)
            if (node->links != NULL && !node->quiet && hf_links_up(node->links, peer))
                hf_links_node_send(i, peer, 1);
    }
    hf_timer_set(hf_loop_timers(hf_links_nodes.loop), timer,
                 hf_loop_now_ms(hf_links_nodes.loop) + HF_LINKS_NODE_BEAT_MS);
}

static void gave_up(struct hf_timer *timer)
{
    hf_links_nodes.late = true;
    hf_loop_stop(hf_links_nodes.loop);
}

static void turn_end(void *argument)
{
    for (unsigned i = 0; i < HF_LINKS_NODE_COUNT; i++)
        if (hf_links_nodes.nodes[i].links != NULL)
            hf_links_flush(hf_links_nodes.nodes[i].links);
    if (awaited != NULL && awaited())
        hf_loop_stop(hf_links_nodes.loop);
}

void hf_links_node_draw_address(struct hf_address *address)
{
    assert_int_equal(hf_address_parse(HF_SLICE("127.0.0.1:0"), address), 0);
    int fd = hf_listen(address);
    assert_true(fd >= 0);
    assert_int_equal(getsockname(fd, &address->any, &address->size), 0);
    close(fd);
}

int hf_links_node_set_up(void **state)
{
    struct hf_slice list[HF_LINKS_NODE_COUNT];
    hf_links_nodes = (struct hf_links_nodes){.beat.expired = beat, .give_up.expired = gave_up};
    for (unsigned i = 0; i < HF_LINKS_NODE_COUNT; i++) {
        list[i] = hf_slice(names[i], 4);
        hf_links_node_draw_address(&hf_links_nodes.addresses[i]);
        hf_links_nodes.nodes[i].frame_size = HF_LINKS_NODE_FRAME_MIN;
    }
    assert_int_equal(hf_rank_init(&hf_links_nodes.rank, list, HF_LINKS_NODE_COUNT), 0);
    assert_int_equal(hf_loop_new(&hf_links_nodes.loop), 0);
    hf_loop_set_turn_end(hf_links_nodes.loop, turn_end, NULL);
    beat(&hf_links_nodes.beat);
    return 0;
}

int hf_links_node_tear_down(void **state)
{
    for (unsigned i = 0; i < HF_LINKS_NODE_COUNT; i++)
        if (hf_links_nodes.nodes[i].links != NULL)
            hf_links_close(hf_links_nodes.nodes[i].links);
    hf_loop_free(&hf_links_nodes.loop);
    for (unsigned i = 0; i < HF_LINKS_NODE_COUNT; i++)
        hf_links_free(&hf_links_nodes.nodes[i].links);
    return 0;
}

struct hf_links_settings hf_links_node_settings(unsigned number)
{
    static uint64_t incarnation;
    return (struct hf_links_settings){
        .rank = &hf_links_nodes.rank,
        .addresses = hf_links_nodes.addresses,
        .bind = &hf_links_nodes.addresses[number],
        .self = number,
        .incarnation = ++incarnation,
        .key = shared_key,
    };
}

void hf_links_node_start_with(unsigned number, const struct hf_links_settings *settings)
{
    struct hf_links_node *node = &hf_links_nodes.nodes[number];
    const struct hf_links_host host = {node, up, down, receive, pull, NULL};
    assert_null(node->links);
    assert_int_equal(hf_links_new(settings, hf_links_nodes.loop, &host, &node->links), 0);
    assert_int_equal(hf_links_open(node->links), 0);
}

void hf_links_node_start(unsigned number)
{
    const struct hf_links_settings settings = hf_links_node_settings(number);
    hf_links_node_start_with(number, &settings);
}

static bool next_turn(void)
{
    return true;
}

void hf_links_node_stop(unsigned number)
{
    struct hf_links *links = hf_links_nodes.nodes[number].links;
    hf_links_close(links);
    hf_links_nodes.nodes[number].links = NULL;
    hf_links_node_until(next_turn);
    hf_links_free(&links);
}

void hf_links_node_until(hf_links_node_done_fn done)
{
    struct hf_loop *loop = hf_links_nodes.loop;
    hf_links_nodes.late = false;
    hf_timer_set(hf_loop_timers(loop), &hf_links_nodes.give_up,
                 hf_loop_now_ms(loop) + HF_LINKS_NODE_DEADLINE_MS);
    awaited = done;
    hf_loop_run(loop);
    awaited = NULL;
    hf_timer_cancel(hf_loop_timers(loop), &hf_links_nodes.give_up);
    assert_false(hf_links_nodes.late);
}

static uint64_t until_ms;

static bool time_is_over(void)
{
    return hf_clock_monotonic_ms() >= until_ms;
}

void hf_links_node_for(unsigned duration_ms)
{
    until_ms = hf_clock_monotonic_ms() + duration_ms;
    hf_links_node_until(time_is_over);
}

uint64_t hf_links_node_counted(unsigned number, enum hf_link_count row)
{
    return hf_links_nodes.nodes[number].links->counts[row];
}

int hf_links_node_connect(unsigned to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct hf_address *address = &hf_links_nodes.addresses[to];
    assert_int_equal(connect(fd, &address->any, address->size), 0);
    return fd;
}

int hf_links_node_listen(unsigned number)
{
    int fd = hf_listen_alone(&hf_links_nodes.addresses[number]);
    assert_true(fd >= 0);
    return fd;
}

static int watched_fd;

static bool readable(void)
{
    struct pollfd look = {.fd = watched_fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

int hf_links_node_accept(int listening)
{
    watched_fd = listening;
    hf_links_node_until(readable);
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static bool read_exactly(int fd, char *out, size_t size)
{
    size_t got = 0;
    while (got < size) {
        watched_fd = fd;
        hf_links_node_until(readable);
        ssize_t piece = read(fd, out + got, size - got);
        if (piece <= 0)
            return false;
        got += (size_t)piece;
    }
    return true;
}

unsigned hf_links_node_read(int fd, struct hf_wire_message *ret_message)
{
    size_t used = 0;
    if (!read_exactly(fd, input, 4))
        return 0;
    size_t size =
        (size_t)(uint8_t)input[1] << 16 | (size_t)(uint8_t)input[2] << 8 | (uint8_t)input[3];
    assert_true(size <= HF_WIRE_FRAME_MAX - 4);
    assert_true(read_exactly(fd, input + 4, size));
    assert_int_equal(
        hf_wire_decode(hf_slice(input, size + 4), HF_WIRE_FRAME_MAX, ret_message, &used),
        HF_WIRE_DONE);
    return ret_message->type;
}

void hf_links_node_write(int fd, const struct hf_wire_message *message)
{
    char bytes[256];
    size_t size = hf_wire_encode(message, bytes, sizeof(bytes));
    assert_true(size > 0);
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

struct hf_wire_message hf_links_node_hello(unsigned number, uint64_t incarnation)
{
    return (struct hf_wire_message){
        .type = HF_WIRE_HELLO,
        .protocol_min = HF_WIRE_PROTOCOL,
        .protocol_max = HF_WIRE_PROTOCOL,
        .list = hf_links_nodes.rank.list,
        .node = (uint16_t)number,
        .incarnation = incarnation,
        .nonce = {7, 7, 7},
    };
}

bool hf_links_node_shake(int fd, unsigned number, uint64_t incarnation)
{
    struct hf_wire_message mine = hf_links_node_hello(number, incarnation), theirs, answer;
    struct hf_wire_message proof = {.type = HF_WIRE_PROOF};
    hf_links_node_write(fd, &mine);
    assert_int_equal(hf_links_node_read(fd, &theirs), HF_WIRE_HELLO);
    assert_int_equal(hf_hello_prove(shared_key, &mine, &theirs, proof.nonce), 0);
    hf_links_node_write(fd, &proof);
    if (hf_links_node_read(fd, &answer) != HF_WIRE_PROOF)
        return false;
    return hf_hello_proved(shared_key, &theirs, &mine, answer.nonce);
}
