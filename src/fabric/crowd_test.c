#include "base/assert.h"
#include "base/test.h"
#include "fabric/fabric.h"
#include "fabric/wire.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A crowd of fabrics with many sessions, one of which ends: how much work that is for the others,
 * and how soon every session is read and has its copies again. HF_CROWD_NODES and
 * HF_CROWD_SESSIONS (of each node) make it as large, HF_CROWD_LINK (bytes in a millisecond) the
 * wires as slow as you like. */

enum {
    PULL_SIZE = 2 * HF_WIRE_FRAME_MAX,
    SUBMITTED = 10, /* operations started by a node in a millisecond */
    LOAD_MS_MAX = 60 * 1000,
    RESTORE_MS = 5000,
    VISITS_MAX = 8000, /* records a tick may look at */
    ID_MAX = 16,
    IMAGE_MAX = 1000,
    SAMPLE = 10,       /* one of so many is read while all are copied */
    WAIT_MS_MAX = 150, /* of such a read */
};

struct stored {
    struct hf_fabric_record record;
    struct stored *next; /* of its chain, or unused */
    uint64_t hash;
    uint32_t place;
    uint32_t session; /* in its id */
    bool used;
    char value;
    char id[ID_MAX];
};

struct node {
    struct hf_fabric *fabric;
    unsigned number;
    bool waking[HF_RANK_NODES_MAX];
    int64_t credit[HF_RANK_NODES_MAX];        /* bytes that may travel to a peer now */
    struct stored *stored, *unused, **chains; /* owned */
    size_t room, visits;
};

struct asked {
    struct hf_fabric_op op;
    char id[ID_MAX];
    uint64_t since_ms;
    bool done;
};

static struct crowd {
    unsigned nodes, sessions;
    unsigned image_size, link_speed; /* bytes; bytes in a millisecond, each way of each pair */
    uint64_t now_ms;
    struct hf_rank rank;
    char names[HF_RANK_NODES_MAX][8];
    struct node all[HF_RANK_NODES_MAX];
    struct asked *asked; /* owned: one for each session */
    size_t done, not_ok, waited_ms_max;
    size_t visits_max, visits;
    uint64_t tick_ns_max, tick_ns, ticks;
    uint8_t *copies; /* owned: of each session */
} crowd;

static struct stored *stored_of(const struct hf_fabric_record *record)
{
    return hf_container_of((struct hf_fabric_record *)(uintptr_t)record, struct stored, record);
}

static struct hf_fabric_record *find(void *user, struct hf_slice id, uint64_t hash)
{
    struct node *node = user;
    struct stored *one = node->chains[hash % node->room];
    for (; one != NULL; one = one->next)
        if (one->hash == hash && hf_slice_equal(hf_slice(one->id, strlen(one->id)), id))
            return &one->record;
    return NULL;
}

static struct hf_fabric_record *create(void *user, struct hf_slice id, uint64_t hash)
{
    struct node *node = user;
    struct stored *one = node->unused;
    if (one == NULL)
        return NULL;
    node->unused = one->next;
    one->record = (struct hf_fabric_record){0};
    one->used = true;
    one->hash = hash;
    one->value = 0;
    REQUIRE(id.size < ID_MAX);
    memcpy(one->id, id.bytes, id.size);
    one->id[id.size] = '\0';
    one->session = (uint32_t)strtoul(one->id + 1, NULL, 10);
    one->next = node->chains[hash % node->room];
    node->chains[hash % node->room] = one;
    return &one->record;
}

static void drop(void *user, struct hf_fabric_record *record)
{
    struct node *node = user;
    struct stored *one = stored_of(record), **at = &node->chains[one->hash % node->room];
    while (*at != one)
        at = &(*at)->next;
    *at = one->next;
    one->used = false;
    one->next = node->unused;
    node->unused = one;
}

static void clear(void *user, struct hf_fabric_record *record)
{
    stored_of(record)->value = 0;
}

static struct hf_slice id_of(void *user, const struct hf_fabric_record *record)
{
    return hf_slice(stored_of(record)->id, strlen(stored_of(record)->id));
}

static struct hf_fabric_record *next(void *user, uint64_t *cursor)
{
    struct node *node = user;
    node->visits++;
    while (*cursor < node->room) {
        struct stored *one = &node->stored[(*cursor)++];
        if (one->used)
            return &one->record;
    }
    *cursor = 0;
    return NULL;
}

static struct hf_slice image(void *user, const struct hf_fabric_record *record)
{
    static char bytes[IMAGE_MAX];
    bytes[0] = stored_of(record)->value;
    return hf_slice(bytes, crowd.image_size);
}

static bool load(void *user, struct hf_fabric_record *record, struct hf_slice bytes)
{
    if (bytes.size != crowd.image_size)
        return false;
    stored_of(record)->value = bytes.bytes[0];
    return true;
}

static void execute(void *user, struct hf_fabric_record *record, struct hf_fabric_op *op,
                    struct hf_fabric_outcome *outcome)
{
    struct stored *one = stored_of(record);
    if (op->request.bytes[0] == 'W') {
        one->value = 'v';
        outcome->change = HF_FABRIC_VALUE;
    } else if (one->value == 0) {
        outcome->change = HF_FABRIC_EMPTY;
    }
    outcome->reply = hf_slice(&one->value, 1);
}

static void complete(void *user, struct hf_fabric_op *op)
{
    struct asked *asked = hf_container_of(op, struct asked, op);
    size_t waited_ms = crowd.now_ms - asked->since_ms;
    asked->done = true;
    crowd.done++;
    crowd.not_ok += op->status != HF_FABRIC_OK;
    crowd.waited_ms_max = waited_ms > crowd.waited_ms_max ? waited_ms : crowd.waited_ms_max;
}

static void wake(void *user, unsigned peer)
{
    ((struct node *)user)->waking[peer] = true;
}

static void start(unsigned number)
{
    struct node *node = &crowd.all[number];
    const struct hf_fabric_settings settings = {.self = number,
                                                .backups = 1,
                                                .incarnation = number + 1,
                                                .activities_max = 100000,
                                                .queue_size_max = 16 << 20,
                                                .image_size_max = IMAGE_MAX};
    const struct hf_fabric_host host = {.user = node, .complete = complete, .wake = wake};
    const struct hf_fabric_store store = {.user = node,
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
    node->number = number;
    node->room = (size_t)crowd.sessions * 4 + 1000;
    node->stored = calloc(node->room, sizeof(*node->stored));
    node->chains = calloc(node->room, sizeof(struct stored *));
    assert_true(node->stored != NULL && node->chains != NULL);
    for (size_t i = node->room; i > 0; i--) {
        node->stored[i - 1].next = node->unused;
        node->unused = &node->stored[i - 1];
    }
    assert_int_equal(
        hf_fabric_new(&settings, &crowd.rank, &store, &host, crowd.now_ms, &node->fabric), 0);
}

/* What waits for a peer arrives there at once, as far as the wire takes it. */
static void deliver(struct node *from, struct node *to)
{
    static char bytes[PULL_SIZE];
    int64_t *credit = &from->credit[to->number];
    size_t size = 1, used;
    while (*credit > 0 && size > 0) {
        size = hf_fabric_pull(from->fabric, to->number, bytes, sizeof(bytes));
        *credit -= (int64_t)size;
        if (to->fabric == NULL || size == 0)
            continue;
        assert_true(hf_fabric_receive(to->fabric, from->number, hf_slice(bytes, size), crowd.now_ms,
                                      &used));
        assert_int_equal(used, size);
    }
    if (size == 0)
        from->waking[to->number] = false;
}

/* A wire that had nothing to do saves up nothing. */
static void let_travel(struct node *from, unsigned to)
{
    int64_t speed = crowd.link_speed, credit = from->credit[to] + speed;
    from->credit[to] = credit < speed ? credit : speed;
}

static void network(void)
{
    for (unsigned from = 0; from < crowd.nodes; from++)
        for (unsigned to = 0; to < crowd.nodes; to++) {
            let_travel(&crowd.all[from], to);
            if (crowd.all[from].fabric != NULL && crowd.all[from].waking[to])
                deliver(&crowd.all[from], &crowd.all[to]);
        }
}

/* Of this thread alone, whatever else the machine does. */
static uint64_t cpu_ns(void)
{
    struct timespec used;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used), 0);
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

static void tick(struct node *node)
{
    size_t before = node->visits;
    uint64_t begin_ns = cpu_ns();
    hf_fabric_tick(node->fabric, crowd.now_ms);
    uint64_t took_ns = cpu_ns() - begin_ns;
    size_t visits = node->visits - before;
    crowd.visits += visits;
    crowd.visits_max = visits > crowd.visits_max ? visits : crowd.visits_max;
    crowd.tick_ns_max = took_ns > crowd.tick_ns_max ? took_ns : crowd.tick_ns_max;
    crowd.tick_ns += took_ns;
    crowd.ticks++;
}

static void step(void)
{
    crowd.now_ms++;
    for (unsigned i = 0; i < crowd.nodes; i++)
        if (crowd.all[i].fabric != NULL && (crowd.now_ms + i) % HF_FABRIC_TICK_MS == 0)
            tick(&crowd.all[i]);
    network();
}

static bool settled(void)
{
    for (unsigned i = 0; i < crowd.nodes; i++)
        if (crowd.all[i].fabric != NULL &&
            !(hf_fabric_ready(crowd.all[i].fabric) && hf_fabric_complete(crowd.all[i].fabric)))
            return false;
    return true;
}

static void ask(struct node *node, size_t session, const char *request, unsigned flags)
{
    struct asked *asked = &crowd.asked[session];
    asked->op = (struct hf_fabric_op){.flags = (uint8_t)flags};
    asked->op.id = hf_slice(asked->id, (size_t)snprintf(asked->id, ID_MAX, "s%zu", session));
    asked->op.request = hf_slice_text(request);
    asked->done = false;
    asked->since_ms = crowd.now_ms;
    hf_fabric_submit(node->fabric, &asked->op, crowd.now_ms);
}

/* The sessions of one node after those of another. */
static void write_all(void)
{
    size_t wanted = (size_t)crowd.nodes * crowd.sessions;
    uint64_t end_ms = crowd.now_ms + LOAD_MS_MAX;
    crowd.done = 0;
    for (size_t written = 0; crowd.done < wanted; step()) {
        assert_true(crowd.now_ms < end_ms);
        for (unsigned i = 0; i < SUBMITTED && written < crowd.sessions; i++, written++)
            for (unsigned number = 0; number < crowd.nodes; number++)
                ask(&crowd.all[number], (size_t)number * crowd.sessions + written, "W",
                    HF_FABRIC_ACQUIRES | HF_FABRIC_CREATES);
    }
}

static size_t sessions_with_copies(unsigned wanted)
{
    size_t count = (size_t)crowd.nodes * crowd.sessions, fine = 0;
    memset(crowd.copies, 0, count);
    for (unsigned i = 0; i < crowd.nodes; i++)
        for (size_t at = 0; crowd.all[i].fabric != NULL && at < crowd.all[i].room; at++) {
            const struct stored *one = &crowd.all[i].stored[at];
            if (one->used && one->value != 0 && one->session < count)
                crowd.copies[one->session]++;
        }
    for (size_t i = 0; i < count; i++)
        fine += crowd.copies[i] >= wanted;
    return fine;
}

static void begin(const char *what, unsigned normally, unsigned *ret_setting)
{
    const char *text = getenv(what);
    *ret_setting = text != NULL ? (unsigned)strtoul(text, NULL, 10) : normally;
}

static void set_up_crowd(void)
{
    struct hf_slice names[HF_RANK_NODES_MAX];
    begin("HF_CROWD_NODES", crowd.nodes, &crowd.nodes);
    begin("HF_CROWD_SESSIONS", crowd.sessions, &crowd.sessions);
    begin("HF_CROWD_LINK", crowd.link_speed, &crowd.link_speed);
    assert_true(crowd.nodes >= 3 && crowd.nodes <= HF_RANK_NODES_MAX);
    crowd.now_ms = 1000;
    for (unsigned i = 0; i < crowd.nodes; i++)
        names[i] = hf_slice(crowd.names[i],
                            (size_t)snprintf(crowd.names[i], sizeof(crowd.names[i]), "n%03u", i));
    assert_int_equal(hf_rank_init(&crowd.rank, names, crowd.nodes), 0);
    crowd.asked = calloc((size_t)crowd.nodes * crowd.sessions, sizeof(*crowd.asked));
    crowd.copies = calloc((size_t)crowd.nodes * crowd.sessions, 1);
    assert_true(crowd.asked != NULL && crowd.copies != NULL);
    for (unsigned i = 0; i < crowd.nodes; i++)
        start(i);
    for (unsigned a = 0; a < crowd.nodes; a++)
        for (unsigned b = 0; b < crowd.nodes; b++)
            if (a != b)
                hf_fabric_link_up(crowd.all[a].fabric, b, crowd.now_ms);
}

static void end_node(unsigned number)
{
    struct node *node = &crowd.all[number];
    hf_fabric_free(&node->fabric);
    free(node->stored);
    free(node->chains);
}

static void until_settled(void)
{
    uint64_t end_ms = crowd.now_ms + LOAD_MS_MAX;
    while (!settled() && crowd.now_ms < end_ms)
        step();
    assert_true(settled());
}

static void forget_work(void)
{
    crowd.visits = crowd.visits_max = 0;
    crowd.tick_ns = crowd.tick_ns_max = crowd.ticks = 0;
    crowd.done = crowd.not_ok = crowd.waited_ms_max = 0;
}

static void tell(const char *what, uint64_t since_ms, uint64_t since_ns)
{
    print_message("%s: %llu ms, %.1f s to compute; ticks %.3f ms in the mean, %.2f at most; "
                  "%zu records looked at, at most %zu in a tick\n",
                  what, (unsigned long long)(crowd.now_ms - since_ms),
                  (double)(cpu_ns() - since_ns) / 1e9,
                  (double)crowd.tick_ns / (double)crowd.ticks / 1e6,
                  (double)crowd.tick_ns_max / 1e6, crowd.visits, crowd.visits_max);
}

/* Each session of the lost node is read once, at one of the others; within a second or so. */
static void read_lost(void)
{
    uint64_t end_ms = crowd.now_ms + RESTORE_MS;
    unsigned at_once = SUBMITTED + crowd.sessions / 1000;
    for (size_t i = 0; crowd.done < crowd.sessions && crowd.now_ms < end_ms; step())
        for (unsigned n = 0; n < at_once && i < crowd.sessions; n++, i++)
            ask(&crowd.all[1 + i % (crowd.nodes - 1)], i, "R",
                HF_FABRIC_ACQUIRES | HF_FABRIC_READS);
    assert_int_equal(crowd.done, crowd.sessions);
    assert_int_equal(crowd.not_ok, 0);
    print_message("%u sessions of the lost node read, within %zu ms each\n", crowd.sessions,
                  crowd.waited_ms_max);
}

/* One session in a millisecond while the wires are full of copies: nobody waits behind those. */
static void read_some(void)
{
    size_t asked = 0;
    for (size_t i = 0; i < crowd.sessions; i += SAMPLE, asked++, step())
        ask(&crowd.all[1 + asked % (crowd.nodes - 1)], i, "R",
            HF_FABRIC_ACQUIRES | HF_FABRIC_READS);
    for (unsigned i = 0; i < RESTORE_MS && crowd.done < asked; i++)
        step();
    print_message("%zu sessions of the lost node read, within %zu ms each\n", asked,
                  crowd.waited_ms_max);
    assert_int_equal(crowd.done, asked);
    assert_int_equal(crowd.not_ok, 0);
    assert_true(crowd.waited_ms_max <= WAIT_MS_MAX);
}

/* Behind all that an end asks for nobody looks at its records but to sweep them, in a second once.
 */
static void rests(void)
{
    size_t records = 3 * (size_t)crowd.sessions; /* a node's: its own, its copies, and some more */
    for (unsigned i = 0; i < 2 * RESTORE_MS; i++)
        step();
    forget_work();
    for (unsigned i = 0; i < 1000; i++)
        step();
    print_message("behind that: %zu records looked at in a second\n", crowd.visits);
    assert_true(crowd.visits <= 2 * records * crowd.nodes);
}

static void end_one(void (*read)(void))
{
    uint64_t since_ns = cpu_ns(), since_ms;
    size_t count = (size_t)crowd.nodes * crowd.sessions;
    until_settled();
    write_all();
    for (unsigned i = 0; i < RESTORE_MS; i++)
        step();
    assert_int_equal(sessions_with_copies(2), count);
    tell("written", 1000, since_ns);

    forget_work();
    since_ms = crowd.now_ms;
    since_ns = cpu_ns();
    end_node(0);
    for (unsigned i = 1; i < crowd.nodes; i++)
        hf_fabric_link_down(crowd.all[i].fabric, 0, true, crowd.now_ms);
    read();
    while (sessions_with_copies(2) < count && crowd.now_ms - since_ms < RESTORE_MS)
        for (unsigned i = 0; i < 100; i++)
            step();
    tell("copies restored", since_ms, since_ns);
    assert_int_equal(sessions_with_copies(2), count);
    until_settled();
    tell("all compared", since_ms, since_ns);
    assert_true(crowd.visits_max <= VISITS_MAX);
}

static void tear_down_crowd(void)
{
    for (unsigned i = 1; i < crowd.nodes; i++)
        end_node(i);
    free(crowd.asked);
    free(crowd.copies);
}

static void one_of_a_crowd_ends(void **state)
{
    crowd = (struct crowd){.nodes = 12, .sessions = 1200, .image_size = 1, .link_speed = 1 << 30};
    set_up_crowd();
    end_one(read_lost);
    rests();
    tear_down_crowd();
}

/* What two are to copy is more than their wires take at once. */
static void one_of_three_with_very_many_sessions_ends(void **state)
{
    crowd =
        (struct crowd){.nodes = 3, .sessions = 30000, .image_size = 400, .link_speed = 8 * 1024};
    set_up_crowd();
    end_one(read_some);
    tear_down_crowd();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_of_a_crowd_ends),
        cmocka_unit_test(one_of_three_with_very_many_sessions_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
