/* Fabrics over links over sockets: two in one process, and one in a process that is killed. */
#include "base/clock.h"
#include "base/test.h"
#include "fabric/fabric.h"
#include "fabric/links_node.h"
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NODES = 2, DEADLINE_MS = 10000, VALUE_MAX = 300 * 1000, STORED_MAX = 16, ROUNDS = 10 };

struct stored {
    struct hf_fabric_record record;
    char id[8];
    size_t id_size, size;
    char *value;
};

struct member {
    struct hf_links *links;
    struct hf_fabric *fabric;
    struct hf_timer tick;
    unsigned number;
    uint64_t gone_ns; /* when the other one was last told to be gone */
    struct hf_fabric_op op;
    bool done;
    char reply[16];
    struct stored stored[STORED_MAX];
};

static struct hf_loop *loop;
static struct hf_rank rank;
static struct hf_address addresses[NODES];
static struct member members[NODES];
static struct hf_timer give_up;
static bool late;
static bool (*awaited)(void);
static char big[VALUE_MAX + 1];

static struct stored *stored_of(const struct hf_fabric_record *record)
{
    return (struct stored *)((char *)record - offsetof(struct stored, record));
}

static struct hf_fabric_record *find(void *user, struct hf_slice id, uint64_t hash)
{
    struct member *member = user;
    for (unsigned i = 0; i < STORED_MAX; i++) {
        struct stored *stored = &member->stored[i];
        if (stored->id_size > 0 && hf_slice_equal(hf_slice(stored->id, stored->id_size), id))
            return &stored->record;
    }
    return NULL;
}

static struct hf_fabric_record *create(void *user, struct hf_slice id, uint64_t hash)
{
    struct member *member = user;
    struct stored *stored = member->stored;
    while (stored->id_size > 0)
        stored++;
    assert_true(stored < member->stored + STORED_MAX && id.size <= sizeof(stored->id));
    memcpy(stored->id, id.bytes, id.size);
    stored->id_size = id.size;
    return &stored->record;
}

static void clear(void *user, struct hf_fabric_record *record)
{
    struct stored *stored = stored_of(record);
    free(stored->value);
    stored->value = NULL;
    stored->size = 0;
}

static void drop(void *user, struct hf_fabric_record *record)
{
    clear(user, record);
    memset(stored_of(record), 0, sizeof(struct stored));
}

static struct hf_slice id_of(void *user, const struct hf_fabric_record *record)
{
    return hf_slice(stored_of(record)->id, stored_of(record)->id_size);
}

static struct hf_fabric_record *next(void *user, uint64_t *cursor)
{
    struct member *member = user;
    while (*cursor < STORED_MAX) {
        struct stored *stored = &member->stored[(*cursor)++];
        if (stored->id_size > 0)
            return &stored->record;
    }
    *cursor = 0;
    return NULL;
}

static struct hf_slice image(void *user, const struct hf_fabric_record *record)
{
    return hf_slice(stored_of(record)->value, stored_of(record)->size);
}

static bool load(void *user, struct hf_fabric_record *record, struct hf_slice bytes)
{
    struct stored *stored = stored_of(record);
    clear(user, record);
    stored->value = malloc(bytes.size + 1);
    assert_non_null(stored->value);
    memcpy(stored->value, bytes.bytes, bytes.size);
    stored->size = bytes.size;
    return true;
}

/* "W..." writes what follows; all else reads. The answer is the size of the value. */
static void execute(void *user, struct hf_fabric_record *record, struct hf_fabric_op *op,
                    struct hf_fabric_outcome *outcome)
{
    struct member *member = user;
    if (op->request.bytes[0] == 'W') {
        load(user, record, hf_slice(op->request.bytes + 1, op->request.size - 1));
        outcome->change = HF_FABRIC_VALUE;
    } else if (stored_of(record)->size == 0) {
        outcome->change = HF_FABRIC_EMPTY;
    }
    snprintf(member->reply, sizeof(member->reply), "%zu", stored_of(record)->size);
    outcome->reply = hf_slice(member->reply, strlen(member->reply));
}

/* Many writes under way at once: each that ends begins anew until enough were begun. */
enum { PIPELINED = 64, WRITES = 2000, WRITE_SIZE = 1024 };
static struct pipeline {
    struct hf_fabric_op ops[PIPELINED];
    unsigned begun, done, fine, wanted;
    bool ended[PIPELINED];
} pipeline;

static bool of_the_pipeline(const struct hf_fabric_op *op)
{
    return op >= pipeline.ops && op < pipeline.ops + PIPELINED;
}

static void complete(void *user, struct hf_fabric_op *op)
{
    struct member *member = user;
    if (of_the_pipeline(op)) {
        pipeline.done++;
        pipeline.fine += op->status == HF_FABRIC_OK || op->status == HF_FABRIC_DEGRADED;
        pipeline.ended[op - pipeline.ops] = true;
        return;
    }
    if (op->remote && op->reply.size < sizeof(member->reply))
        memcpy(member->reply, op->reply.bytes, op->reply.size);
    member->done = true;
}

static void wake(void *user, unsigned peer)
{
    struct member *member = user;
    if (member->links != NULL)
        hf_links_wake(member->links, peer);
}

static void tick(struct hf_timer *timer)
{
    struct member *member = hf_container_of(timer, struct member, tick);
    uint64_t now_ms = hf_loop_now_ms(loop);
    hf_fabric_tick(member->fabric, now_ms);
    hf_timer_set(hf_loop_timers(loop), timer, now_ms + HF_FABRIC_TICK_MS);
}

static struct hf_links_host through;

static void note_down(void *user, unsigned peer, bool gone, uint64_t now_ms)
{
    for (unsigned i = 0; i < NODES; i++)
        if (gone && members[i].fabric == user)
            members[i].gone_ns = hf_clock_monotonic_ns();
    through.down(user, peer, gone, now_ms);
}

static void start(unsigned number)
{
    static uint64_t drawn;
    struct member *member = &members[number];
    uint64_t incarnation = ++drawn * 1000 + (uint64_t)getpid() % 1000;
    const struct hf_fabric_settings settings = {.self = number,
                                                .backups = 1,
                                                .incarnation = incarnation,
                                                .epoch_floor = (uint32_t)drawn,
                                                .activities_max = 1000,
                                                .queue_size_max = 4 << 20,
                                                .image_size_max = 1 << 20};
    const struct hf_fabric_store store = {.user = member,
                                          .find = find,
                                          .create = create,
                                          .remove = drop,
                                          .clear = clear,
                                          .id = id_of,
                                          .next = next,
                                          .image = image,
                                          .load = load,
                                          .change = load,
                                          .execute = execute};
    const struct hf_fabric_host host = {.user = member, .complete = complete, .wake = wake};
    const struct hf_links_settings links = {.rank = &rank,
                                            .addresses = addresses,
                                            .bind = &addresses[number],
                                            .self = number,
                                            .incarnation = incarnation};
    memset(member, 0, sizeof(*member));
    member->number = number;
    member->tick.expired = tick;
    assert_int_equal(
        hf_fabric_new(&settings, &rank, &store, &host, hf_loop_now_ms(loop), &member->fabric), 0);
    through = hf_links_host_of(member->fabric);
    struct hf_links_host noting = through;
    noting.down = note_down;
    assert_int_equal(hf_links_new(&links, loop, &noting, &member->links), 0);
    assert_int_equal(hf_links_open(member->links), 0);
    tick(&member->tick);
}

static void gave_up(struct hf_timer *timer)
{
    late = true;
    hf_loop_stop(loop);
}

static void turn_end(void *argument)
{
    for (unsigned i = 0; i < NODES; i++)
        if (members[i].links != NULL)
            hf_links_flush(members[i].links);
    if (awaited != NULL && awaited())
        hf_loop_stop(loop);
}

static void until(bool (*done)(void))
{
    late = false;
    hf_timer_set(hf_loop_timers(loop), &give_up, hf_loop_now_ms(loop) + DEADLINE_MS);
    awaited = done;
    hf_loop_run(loop);
    hf_timer_cancel(hf_loop_timers(loop), &give_up);
    assert_false(late);
}

static void new_loop(void)
{
    assert_int_equal(hf_loop_new(&loop), 0);
    hf_loop_set_turn_end(loop, turn_end, NULL);
}

static int set_up(void **state)
{
    static const struct hf_slice names[NODES] = {{"a", 1}, {"b", 1}};
    memset(members, 0, sizeof(members));
    give_up = (struct hf_timer){.expired = gave_up};
    for (unsigned i = 0; i < NODES; i++)
        hf_links_node_draw_address(&addresses[i]);
    assert_int_equal(hf_rank_init(&rank, names, NODES), 0);
    new_loop();
    return 0;
}

static int tear_down(void **state)
{
    for (unsigned i = 0; i < NODES; i++)
        if (members[i].links != NULL)
            hf_links_close(members[i].links);
    hf_loop_free(&loop);
    for (unsigned i = 0; i < NODES; i++) {
        hf_links_free(&members[i].links);
        hf_fabric_free(&members[i].fabric);
        for (unsigned j = 0; j < STORED_MAX; j++)
            free(members[i].stored[j].value);
    }
    return 0;
}

static bool all_ready(void)
{
    for (unsigned i = 0; i < NODES; i++)
        if (members[i].fabric != NULL && !hf_fabric_ready(members[i].fabric))
            return false;
    for (unsigned i = 0; i < NODES; i++)
        if (members[i].links != NULL && !hf_links_up(members[i].links, 1 - i))
            return false;
    return true;
}

static bool op_is_done(void)
{
    return members[0].done || members[1].done;
}

static enum hf_fabric_status ask(unsigned number, const char *id, struct hf_slice request)
{
    struct member *member = &members[number];
    bool writes = request.bytes[0] == 'W';
    members[0].done = members[1].done = false;
    memset(member->reply, 0, sizeof(member->reply));
    member->op = (struct hf_fabric_op){.id = hf_slice_text(id), .request = request};
    member->op.flags = HF_FABRIC_ACQUIRES | (writes ? HF_FABRIC_CREATES : HF_FABRIC_READS);
    hf_fabric_submit(member->fabric, &member->op, hf_loop_now_ms(loop));
    until(op_is_done);
    return member->op.status;
}

/* On a busy machine 250 ms may be too few for a peer's word; then the answer says so, and the
 * client asks again. */
static void ask_until_ok(unsigned number, const char *id, struct hf_slice request)
{
    uint64_t patience_ms = hf_clock_monotonic_ms() + DEADLINE_MS;
    enum hf_fabric_status status = ask(number, id, request);
    while (status == HF_FABRIC_DEGRADED || status == HF_FABRIC_UNSURE) {
        assert_true(hf_clock_monotonic_ms() < patience_ms);
        status = ask(number, id, request);
    }
    assert_int_equal(status, HF_FABRIC_OK);
}

static void what_one_node_writes_the_other_reads(void **state)
{
    static const char *const ids[] = {"s1", "s2", "s3", "s4"};
    start(0);
    start(1);
    until(all_ready);
    for (unsigned i = 0; i < 4; i++) {
        ask_until_ok(i % 2, ids[i], HF_SLICE("Wcart"));
        ask_until_ok(1 - i % 2, ids[i], HF_SLICE("R"));
        assert_string_equal(members[1 - i % 2].reply, "4");
    }
    assert_int_equal(ask(0, "none", HF_SLICE("R")), HF_FABRIC_MISS);
}

static void a_long_session_travels_in_pieces(void **state)
{
    start(0);
    start(1);
    until(all_ready);
    memset(big, 'x', sizeof(big));
    big[0] = 'W';
    ask_until_ok(0, "long", hf_slice(big, sizeof(big)));
    ask_until_ok(1, "long", HF_SLICE("R"));
    assert_string_equal(members[1].reply, "300000");
}

static bool pipeline_is_done(void)
{
    static const char ids[] = "p0p1p2p3p4p5p6p7";
    for (unsigned i = 0; i < PIPELINED; i++) {
        struct hf_fabric_op *op = &pipeline.ops[i];
        if (!pipeline.ended[i] || pipeline.begun == pipeline.wanted)
            continue;
        pipeline.ended[i] = false;
        pipeline.begun++;
        *op = (struct hf_fabric_op){.id = hf_slice(ids + 2 * (i % 8), 2)};
        op->request = hf_slice(big, 1 + WRITE_SIZE);
        op->flags = HF_FABRIC_ACQUIRES | HF_FABRIC_CREATES;
        hf_fabric_submit(members[0].fabric, op, hf_loop_now_ms(loop));
    }
    return pipeline.done == pipeline.wanted;
}

/* HF_LINKS_WRITES makes it a measure of both nodes and their link, all in one thread. */
static void many_writes_are_under_way_at_once(void **state)
{
    const char *wanted = getenv("HF_LINKS_WRITES");
    start(0);
    start(1);
    until(all_ready);
    big[0] = 'W';
    memset(&pipeline, 0, sizeof(pipeline));
    memset(pipeline.ended, true, sizeof(pipeline.ended));
    pipeline.wanted = wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : WRITES;
    uint64_t begin_ns = hf_clock_monotonic_ns();
    until(pipeline_is_done);
    double seconds = (double)(hf_clock_monotonic_ns() - begin_ns) / 1e9;
    print_message("%u writes of %u bytes with a copy: %.0f a second, %.1f MB/s\n", pipeline.done,
                  WRITE_SIZE, pipeline.done / seconds, pipeline.done / seconds * WRITE_SIZE / 1e6);
    assert_int_equal(pipeline.fine, pipeline.wanted);
}

/* Node 1 in a process of its own: it makes a session its own, says so, and lives until killed. */
static void live_as_one(int said)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    new_loop();
    start(1);
    until(all_ready);
    ask_until_ok(1, "s1", HF_SLICE("Wcart"));
    if (write(said, "y", 1) != 1)
        _exit(1);
    awaited = NULL;
    hf_loop_run(loop);
    _exit(1);
}

static int said_fd;

static bool one_said_so(void)
{
    struct pollfd look = {.fd = said_fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

static uint64_t settled_ms;

static bool link_is_settled(void)
{
    return hf_clock_monotonic_ms() >= settled_ms;
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void kill_and_ask(pid_t child, double *ret_gone_ms, double *ret_answer_ms)
{
    members[0].gone_ns = 0;
    uint64_t killed_ns = hf_clock_monotonic_ns();
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(ask(0, "s1", HF_SLICE("R")), HF_FABRIC_OK);
    *ret_answer_ms = (double)(hf_clock_monotonic_ns() - killed_ns) / 1e6;
    assert_string_equal(members[0].reply, "4");
    assert_true(members[0].gone_ns >= killed_ns);
    *ret_gone_ms = (double)(members[0].gone_ns - killed_ns) / 1e6;
    waitpid(child, NULL, 0);
}

static void a_killed_owner_is_followed_within_milliseconds(void **state)
{
    double gone_ms[ROUNDS], answer_ms[ROUNDS];
    for (unsigned i = 0; i < ROUNDS; i++) {
        int said[2];
        char answer = 0;
        assert_int_equal(pipe(said), 0);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            live_as_one(said[1]);
        said_fd = said[0];
        start(0);
        until(one_said_so);
        assert_int_equal(read(said[0], &answer, 1), 1);
        assert_int_equal(answer, 'y');
        settled_ms = hf_clock_monotonic_ms() + HF_LINKS_STABLE_MS;
        until(link_is_settled);
        kill_and_ask(child, &gone_ms[i], &answer_ms[i]);
        close(said[0]);
        close(said[1]);
        tear_down(state);
        set_up(state);
    }
    qsort(gone_ms, ROUNDS, sizeof(double), compare);
    qsort(answer_ms, ROUNDS, sizeof(double), compare);
    print_message(
        "SIGKILL to gone: %.2f ms in the median, %.2f at most; to the answer: %.2f, %.2f\n",
        gone_ms[ROUNDS / 2], gone_ms[ROUNDS - 1], answer_ms[ROUNDS / 2], answer_ms[ROUNDS - 1]);
    assert_true(gone_ms[ROUNDS / 2] < HF_FABRIC_LEASE_MS / 10);
}

int main(void)
{
#define FABRIC_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        FABRIC_TEST(what_one_node_writes_the_other_reads),
        FABRIC_TEST(a_long_session_travels_in_pieces),
        FABRIC_TEST(many_writes_are_under_way_at_once),
        FABRIC_TEST(a_killed_owner_is_followed_within_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
