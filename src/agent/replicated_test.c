/* The backend on real stores and fabrics: three nodes in one thread, whose bytes the test carries
 * from one to the other, by a clock of its own. */
#include "agent/locks.h"
#include "agent/replicated.h"
#include "agent/testing.h"

#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NODES = 3,
    CALLS_MAX = 64,
    BUFFER = 1 << 17,
    TEXT_MAX = 64,
    LEASE_MS = 9000,
    TURNS = 200, /* of 10 ms, at most, until an answer is there */
    PATIENCE_TURNS = HF_REPLICATED_PATIENCE_MS / HF_FABRIC_TICK_MS + TURNS,
};

struct node {
    struct hf_store *store;
    struct hf_sessions *sessions;
    struct hf_replicated *replicated;
};

struct asked { /* a call and what came of it; slices are copied */
    struct hf_sessions_call call;
    char key[TEXT_MAX];
    unsigned completions;
    struct hf_operation_result result;
    char value[TEXT_MAX];
    const char *where; /* the result's value, where it was */
    char fields[4][TEXT_MAX];
    unsigned field_count;
};

static struct node nodes[NODES];
static struct hf_rank rank;
static struct hf_pattern_table *patterns;
static uint64_t now_ms;
static bool cut[NODES][NODES]; /* no bytes from the first to the second */
static bool consistent;        /* what the next node is */
static char bytes[BUFFER];

/* ---- the cluster ---- */

static void set_time(void)
{
    for (unsigned i = 0; i < NODES; i++) {
        if (nodes[i].replicated == NULL)
            continue;
        hf_replicated_set_time(nodes[i].replicated, now_ms);
        hf_sessions_set_time(nodes[i].sessions, now_ms, HF_TESTING_WALL_MS);
    }
}

static bool carry(unsigned from, unsigned to)
{
    if (nodes[from].replicated == NULL || nodes[to].replicated == NULL || cut[from][to])
        return false;
    struct hf_fabric *sender = hf_replicated_fabric(nodes[from].replicated);
    size_t used, size = hf_fabric_pull(sender, to, bytes, sizeof(bytes));
    if (size == 0)
        return false;
    assert_true(hf_fabric_receive(hf_replicated_fabric(nodes[to].replicated), from,
                                  hf_slice(bytes, size), now_ms, &used));
    assert_int_equal(used, size);
    return true;
}

/* Until nobody has anything to say. */
static void carry_all(void)
{
    bool more = true;
    set_time();
    while (more) {
        more = false;
        for (unsigned from = 0; from < NODES; from++)
            for (unsigned to = 0; to < NODES; to++)
                more |= from != to && carry(from, to);
    }
}

static void turn(void)
{
    now_ms += HF_FABRIC_TICK_MS;
    set_time();
    for (unsigned i = 0; i < NODES; i++)
        if (nodes[i].replicated != NULL)
            hf_replicated_tick(nodes[i].replicated, now_ms);
    carry_all();
}

static void link_nodes(unsigned a, unsigned b)
{
    hf_fabric_link_up(hf_replicated_fabric(nodes[a].replicated), b, now_ms);
    hf_fabric_link_up(hf_replicated_fabric(nodes[b].replicated), a, now_ms);
}

static void start_node(unsigned number, unsigned calls_max)
{
    struct node *node = &nodes[number];
    const struct hf_store_options options = {.memory = HF_TESTING_MEMORY,
                                             .grace_ms = HF_FABRIC_GRACE_MS,
                                             .hash_key = "agent-testing-k",
                                             .now_ms = now_ms};
    assert_int_equal(hf_store_new(&options, &node->store), 0);
    const struct hf_replicated_settings settings = {.store = node->store,
                                                    .hash_key = hf_testing_hash_key,
                                                    .rank = &rank,
                                                    .fabric = {.self = number,
                                                               .backups = 1,
                                                               .consistent = consistent,
                                                               .incarnation = number + 1,
                                                               .epoch_floor = 1,
                                                               .activities_max = 1000,
                                                               .queue_size_max = 4 << 20,
                                                               .image_size_max = 8 << 20},
                                                    .calls_max = calls_max};
    assert_int_equal(hf_replicated_new(&settings, now_ms, &node->replicated), 0);
    struct hf_sessions_backend backend = hf_replicated_backend(node->replicated);
    const struct hf_sessions_settings sessions = {.store = node->store,
                                                  .patterns = patterns,
                                                  .hash_key = hf_testing_hash_key,
                                                  .backend = &backend,
                                                  .memory = HF_TESTING_MEMORY,
                                                  .lock_lease_ms = LEASE_MS};
    assert_int_equal(hf_sessions_new(&sessions, &node->sessions), 0);
}

static void stop_node(unsigned number)
{
    struct node *node = &nodes[number];
    hf_replicated_free(&node->replicated);
    hf_sessions_free(&node->sessions);
    hf_store_free(&node->store);
}

static bool all_ready(void)
{
    for (unsigned i = 0; i < NODES; i++)
        if (!hf_fabric_ready(hf_replicated_fabric(nodes[i].replicated)))
            return false;
    return true;
}

static int set_up(void **state)
{
    static const struct hf_slice names[NODES] = {{"a", 1}, {"b", 1}, {"c", 1}};
    const struct hf_pattern strict[] = {
        {HF_SLICE("once:{id}"), false, HF_PATTERN_TOMB_STRICT},
        {HF_SLICE("once:{id}_LOCK"), true, HF_PATTERN_TOMB_STRICT},
    };
    unsigned bad;
    memset(cut, 0, sizeof(cut));
    now_ms = HF_TESTING_NOW_MS;
    assert_int_equal(hf_rank_init(&rank, names, NODES), 0);
    assert_int_equal(hf_pattern_table_new(strict, 2, &patterns, &bad), 0);
    for (unsigned i = 0; i < NODES; i++)
        start_node(i, CALLS_MAX);
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned j = 0; j < i; j++)
            link_nodes(i, j);
    for (unsigned i = 0; i < TURNS && !all_ready(); i++)
        turn();
    assert_true(all_ready());
    return 0;
}

static int tear_down(void **state)
{
    for (unsigned i = 0; i < NODES; i++) {
        if (nodes[i].replicated != NULL) {
            assert_int_equal(hf_replicated_counts(nodes[i].replicated).malformed, 0);
            stop_node(i);
        }
    }
    hf_pattern_table_free(&patterns);
    return 0;
}

/* ---- asking ---- */

static struct hf_locks *locks; /* of the connection that asks; NULL: it keeps none */

static void completed(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct asked *asked = call->user;
    struct hf_operation_cursor cursor = {0};
    struct hf_operation_field field;
    asked->completions++;
    asked->result = *result;
    if (locks != NULL)
        hf_locks_note(locks, call, result);
    asked->where = result->value.bytes;
    assert_true(result->value.size < sizeof(asked->value));
    if (result->value.size > 0)
        memcpy(asked->value, result->value.bytes, result->value.size);
    while (hf_operation_next_field(result, &cursor, &field)) {
        assert_true(asked->field_count < 4);
        snprintf(asked->fields[asked->field_count++], TEXT_MAX, "%.*s=%.*s", (int)field.name.size,
                 field.name.bytes, (int)field.value.size, field.present ? field.value.bytes : "-");
    }
}

static struct hf_reads *reads; /* of the connection that asks; NULL: of none */

static void start(struct asked *asked, unsigned node, const char *key,
                  const struct hf_operation *operation)
{
    memset(asked, 0, sizeof(*asked));
    snprintf(asked->key, sizeof(asked->key), "%s", key);
    asked->call = (struct hf_sessions_call){.key = hf_slice_text(asked->key),
                                            .operation = *operation,
                                            .complete = completed,
                                            .user = asked,
                                            .reads = reads,
                                            .locks = locks != NULL};
    hf_sessions_submit(nodes[node].sessions, &asked->call);
}

static void await(struct asked *asked, unsigned turns)
{
    for (unsigned i = 0; i < turns && asked->completions == 0; i++)
        turn();
    assert_int_equal(asked->completions, 1);
}

/* Waits for the answer; the status. */
static unsigned ask(struct asked *asked, unsigned node, const char *key,
                    const struct hf_operation *operation)
{
    start(asked, node, key, operation);
    carry_all();
    await(asked, TURNS);
    return asked->result.status;
}

static struct hf_operation setting(const char *value)
{
    return (struct hf_operation){
        .kind = HF_OPERATION_SET, .value = hf_slice_text(value), .deadline_ms = now_ms + 60000};
}

static const struct hf_operation getting = {.kind = HF_OPERATION_GET, .flags = HF_OPERATION_STARTS};
static const struct hf_operation looking = {.kind = HF_OPERATION_GET};
static const struct hf_operation deleting = {.kind = HF_OPERATION_DELETE};

static void set(unsigned node, const char *key, const char *value)
{
    struct asked asked;
    struct hf_operation operation = setting(value);
    assert_int_equal(ask(&asked, node, key, &operation), HF_OPERATION_OK);
}

static void get_is(unsigned node, const char *key, const char *value)
{
    struct asked asked;
    assert_int_equal(ask(&asked, node, key, &getting),
                     value ? HF_OPERATION_OK : HF_OPERATION_MISSING);
    assert_string_equal(asked.value, value ? value : "");
}

static uint64_t relayed(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < NODES; i++)
        if (nodes[i].replicated != NULL)
            sum += hf_fabric_counts(hf_replicated_fabric(nodes[i].replicated))->relayed;
    return sum;
}

static struct hf_slice in_store(unsigned node, const char *id)
{
    const struct hf_store_key key = {
        .id = hf_slice_text(id), .id_hash = hf_store_hash(hf_testing_hash_key, hf_slice_text(id))};
    struct hf_store_value value;
    assert_int_equal(hf_store_get(nodes[node].store, &key, now_ms, &value), HF_STORE_OK);
    return value.bytes;
}

/* ---- tests ---- */

static void what_is_owned_here_is_read_where_it_stands(void **state)
{
    struct asked asked;
    set(0, "s1", "value");
    get_is(0, "s1", "value");
    start(&asked, 0, "s1", &getting);
    assert_int_equal(asked.completions, 1); /* before anything was carried */
    assert_ptr_equal(asked.where, in_store(0, "s1").bytes);
    assert_int_equal(hf_replicated_counts(nodes[0].replicated).under_way, 0);
}

static void a_session_moves_to_who_starts_with_it(void **state)
{
    struct asked asked;
    for (unsigned i = 0; i < 30; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        set(i % NODES, id, "value");
        get_is((i + 1) % NODES, id, "value");
        start(&asked, (i + 1) % NODES, id, &getting);
        assert_int_equal(asked.completions, 1); /* it lives here now */
    }
    get_is(0, "none", NULL);
}

static void what_ends_a_request_goes_to_the_owner(void **state)
{
    struct asked asked;
    const struct hf_operation expire = {.kind = HF_OPERATION_EXPIRE,
                                        .deadline_ms = now_ms + 500000};
    set(0, "s1", "value");
    get_is(0, "s1", "value");
    uint64_t before = relayed();
    assert_int_equal(ask(&asked, 1, "s1", &expire), HF_OPERATION_OK);
    assert_int_equal(ask(&asked, 2, "s1", &looking), HF_OPERATION_OK);
    assert_string_equal(asked.value, "value");
    assert_true(asked.result.deadline_ms > now_ms + 400000);
    assert_int_equal(relayed(), before + 2);
    start(&asked, 0, "s1", &getting);
    assert_int_equal(asked.completions, 1); /* it did not move */
}

static void fields_come_from_elsewhere(void **state)
{
    const struct hf_slice pairs[] = {HF_SLICE("name"), HF_SLICE("Ada"), HF_SLICE("n"),
                                     HF_SLICE("7")};
    const struct hf_slice names[] = {HF_SLICE("n"), HF_SLICE("none")};
    const struct hf_operation set_fields = {
        .kind = HF_OPERATION_HASH_SET, .fields = pairs, .field_count = 4};
    const struct hf_operation get_fields = {
        .kind = HF_OPERATION_HASH_GET, .fields = names, .field_count = 2};
    const struct hf_operation add = {.kind = HF_OPERATION_HASH_ADD,
                                     .fields = names,
                                     .field_count = 1,
                                     .sum = HF_STORE_SIGNED,
                                     .amount = 5};
    struct asked asked;
    assert_int_equal(ask(&asked, 0, "h1", &set_fields), HF_OPERATION_OK);
    assert_int_equal(asked.result.number, 2);
    get_is(0, "h2", NULL);
    for (unsigned node = 0; node < NODES; node++) { /* one of them reads where it stands */
        assert_int_equal(ask(&asked, node, "h1", &get_fields), HF_OPERATION_OK);
        assert_int_equal(asked.field_count, 2);
        assert_string_equal(asked.fields[0], "n=7");
        assert_string_equal(asked.fields[1], "none=");
    }
    assert_int_equal(ask(&asked, 2, "h1", &add), HF_OPERATION_OK);
    assert_int_equal(asked.result.number, 12);
}

static void cut_off(unsigned node)
{
    for (unsigned i = 0; i < NODES; i++)
        cut[node][i] = cut[i][node] = true;
}

static void join_again(unsigned node)
{
    for (unsigned i = 0; i < NODES; i++)
        cut[node][i] = cut[i][node] = false;
}

/* What a client was to be told of a value must not be what the store holds when its copy came. */
static void an_answer_that_waits_is_kept(void **state)
{
    struct asked first, read, old, second;
    struct hf_operation one = setting("one"), two = setting("two"), three = setting("three");
    two.flags |= HF_OPERATION_OLD_VALUE;
    set(0, "s1", "none");
    get_is(0, "s1", "none");
    cut_off(0);
    start(&first, 0, "s1", &one);
    start(&read, 0, "s1", &getting);
    start(&old, 0, "s1", &two);
    start(&second, 0, "s1", &three);
    assert_int_equal(first.completions + read.completions + old.completions + second.completions,
                     0);
    join_again(0);
    carry_all();
    assert_int_equal(first.result.status, HF_OPERATION_OK);
    assert_int_equal(read.completions, 1);
    assert_string_equal(read.value, "one");
    assert_string_equal(old.value, "one");
    assert_int_equal(second.completions, 1);
    get_is(1, "s1", "three");
}

/* Whoever leaves takes all he lent with him. */
static void abandon(struct asked *asked)
{
    hf_sessions_abandon(&asked->call);
    memset(asked, 0xa5, sizeof(*asked));
}

static void a_call_may_go_away_at_any_time(void **state)
{
    struct asked asked;
    struct hf_operation operation = setting("new");
    set(0, "s1", "old");
    get_is(0, "s1", "old");

    cut_off(0);
    start(&asked, 0, "s1", &operation); /* executed, waits for its copy */
    abandon(&asked);
    join_again(0);
    turn();
    get_is(0, "s1", "new");

    char value[] = "newer"; /* lent, too */
    operation.value = hf_slice_text(value);
    cut_off(1);
    start(&asked, 1, "s1", &operation); /* asked of another node, or about to be */
    abandon(&asked);
    memset(value, 'x', sizeof(value));
    join_again(1);
    for (unsigned i = 0; i < 10; i++)
        turn();
    get_is(2, "s1", "newer");

    cut_off(1);
    start(&asked, 1, "s1", &getting);
    for (unsigned i = 0; i < 40; i++) /* past the patience of the fabric: to be asked again */
        turn();
    abandon(&asked);
    join_again(1);
    for (unsigned i = 0; i < TURNS; i++)
        turn();
    get_is(1, "s1", "newer");
    for (unsigned i = 0; i < NODES; i++)
        assert_int_equal(hf_replicated_counts(nodes[i].replicated).under_way, 0);
}

static void a_read_is_asked_again_until_somebody_knows(void **state)
{
    struct asked asked;
    for (unsigned i = 0; i < 8; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        set(0, id, "value");
        get_is(0, id, "value");
    }
    cut_off(0); /* silent: dead after its lease */
    for (unsigned i = 0; i < 8; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        assert_int_equal(ask(&asked, 1 + i % 2, id, &getting), HF_OPERATION_OK);
        assert_string_equal(asked.value, "value");
    }
    assert_true(hf_replicated_counts(nodes[1].replicated).repeated +
                    hf_replicated_counts(nodes[2].replicated).repeated >
                0);
}

/* The smaller part of a consistent cluster knows nothing for sure. */
static void a_read_nobody_can_answer_ends_with_an_error(void **state)
{
    struct asked asked;
    consistent = true;
    stop_node(2);
    start_node(2, CALLS_MAX);
    consistent = false;
    uint64_t begin_ms = now_ms;
    start(&asked, 2, "s1", &getting);
    await(&asked, PATIENCE_TURNS);
    assert_int_equal(asked.result.status, HF_OPERATION_UNSURE);
    assert_true(now_ms - begin_ms >= HF_REPLICATED_PATIENCE_MS);
    assert_true(hf_replicated_counts(nodes[2].replicated).repeated > 1);
}

static void a_deleted_session_is_a_miss_everywhere(void **state)
{
    struct asked asked;
    struct hf_operation late = setting("late");
    set(0, "once:1", "value");
    set(0, "2", "value");
    assert_int_equal(ask(&asked, 1, "once:1", &deleting), HF_OPERATION_OK);
    assert_int_equal(ask(&asked, 1, "2", &deleting), HF_OPERATION_OK);
    for (unsigned node = 0; node < NODES; node++) {
        get_is(node, "once:1", NULL);
        get_is(node, "2", NULL);
        assert_int_equal(ask(&asked, node, "once:1", &late), HF_OPERATION_DROPPED);
        get_is(node, "once:1", NULL);
    }
    set(2, "2", "again");
    get_is(0, "2", "again");
}

/* Ids are used again here, and yet a request that had read the session does not bring it back. */
static void a_request_that_began_before_the_logout_brings_nothing_back(void **state)
{
    struct asked asked;
    struct hf_reads slow = {0}, fresh = {0};
    struct hf_operation late = setting("late"), anew = setting("anew");
    set(0, "2", "value");
    for (unsigned node = 0; node < NODES; node++) {
        reads = &slow;
        get_is(node, "2", "value");
        reads = NULL;
        assert_int_equal(ask(&asked, 1, "2", &deleting), HF_OPERATION_OK);
        reads = &slow;
        assert_int_equal(ask(&asked, node, "2", &late), HF_OPERATION_DROPPED);
        reads = &fresh; /* its own requests see the miss */
        get_is(node, "2", NULL);
        assert_int_equal(ask(&asked, node, "2", &anew), HF_OPERATION_OK);
        get_is(node, "2", "anew");
        assert_int_equal(ask(&asked, node, "2", &deleting), HF_OPERATION_OK);
        assert_int_equal(ask(&asked, node, "2", &anew), HF_OPERATION_OK); /* it ended it itself */
        reads = NULL;
        set(node, "2", "value");
    }
    reads = &slow; /* its request is over with its write: the next one may be another's */
    get_is(0, "2", "value");
    assert_int_equal(ask(&asked, 0, "2", &late), HF_OPERATION_OK);
    reads = NULL;
    assert_int_equal(ask(&asked, 1, "2", &deleting), HF_OPERATION_OK);
    reads = &slow;
    assert_int_equal(ask(&asked, 0, "2", &anew), HF_OPERATION_OK);
    get_is(0, "2", "anew");
    now_ms += HF_READS_MS;
    for (unsigned i = 0; i < TURNS; i++)
        turn();
    reads = NULL;
    set(0, "2", "value");
    assert_int_equal(ask(&asked, 1, "2", &deleting), HF_OPERATION_OK);
    reads = &slow;
    late = setting("late");
    assert_int_equal(ask(&asked, 0, "2", &late), HF_OPERATION_OK); /* no request lasts so long */
    reads = NULL;
}

/* A lock must not make a session that is over anew, for the late write behind it. */
static void a_lock_does_not_pass_a_strict_tombstone(void **state)
{
    struct asked asked;
    struct hf_operation lock = setting("token"), late = setting("late");
    lock.when = HF_OPERATION_IF_NEW;
    set(0, "once:1", "value");
    assert_int_equal(ask(&asked, 1, "once:1", &deleting), HF_OPERATION_OK);
    for (unsigned node = 0; node < NODES; node++) {
        assert_int_equal(ask(&asked, node, "once:1_LOCK", &lock), HF_OPERATION_DROPPED);
        assert_int_equal(ask(&asked, node, "once:1", &lock), HF_OPERATION_DROPPED);
        assert_int_equal(ask(&asked, node, "once:1", &late), HF_OPERATION_DROPPED);
        get_is(node, "once:1", NULL);
    }
}

static void a_lock_outlives_no_session_and_no_session_a_lock(void **state)
{
    struct asked asked;
    struct hf_operation lock = setting("token"), note = setting("late");
    lock.when = HF_OPERATION_IF_NEW;
    set(0, "PHPREDIS_SESSION:1", "value");
    assert_int_equal(ask(&asked, 1, "PHPREDIS_SESSION:1_LOCK", &lock), HF_OPERATION_OK);
    assert_int_equal(ask(&asked, 2, "PHPREDIS_SESSION:1_LOCK", &lock), HF_OPERATION_EXISTS);
    assert_int_equal(ask(&asked, 2, "PHPREDIS_SESSION:1_LOCK", &deleting), HF_OPERATION_OK);
    get_is(0, "PHPREDIS_SESSION:1", "value");
    assert_int_equal(ask(&asked, 2, "PHPREDIS_SESSION:1", &deleting), HF_OPERATION_OK);
    /* over the tombstone goes a lock, not a note about a session that is over */
    assert_int_equal(ask(&asked, 0, "PHPREDIS_SESSION:1_LOCK", &note), HF_OPERATION_DROPPED);
    assert_int_equal(ask(&asked, 0, "PHPREDIS_SESSION:1_LOCK", &lock), HF_OPERATION_OK);
    get_is(1, "PHPREDIS_SESSION:1", NULL);
    set(1, "PHPREDIS_SESSION:1", "again");
    get_is(2, "PHPREDIS_SESSION:1", "again");
}

/* A connection to node 0 takes a lock that has no expiry of its own. */
static void take_lock(struct hf_locks *of, struct hf_timer_wheel *timers, const char *key)
{
    struct asked asked;
    struct hf_operation lock = setting("token");
    lock.when = HF_OPERATION_IF_NEW;
    lock.deadline_ms = HF_DEADLINE_NEVER;
    hf_timer_wheel_init(timers, now_ms);
    hf_locks_init(of, nodes[0].sessions, timers, 1);
    locks = of;
    assert_int_equal(ask(&asked, 0, key, &lock), HF_OPERATION_OK);
    locks = NULL;
    assert_int_equal(of->count, 1);
}

static unsigned lock_at(unsigned node, const char *key)
{
    struct asked asked;
    struct hf_operation lock = setting("other");
    lock.when = HF_OPERATION_IF_NEW;
    return ask(&asked, node, key, &lock);
}

static void pass(struct hf_timer_wheel *timers, unsigned for_ms)
{
    for (uint64_t end_ms = now_ms + for_ms; now_ms < end_ms;) {
        turn();
        hf_timer_wheel_advance(timers, now_ms);
    }
}

static void a_lock_lasts_as_long_as_its_connection(void **state)
{
    struct hf_timer_wheel timers;
    struct hf_locks of;
    take_lock(&of, &timers, "PHPREDIS_SESSION:1_LOCK");
    set(1, "PHPREDIS_SESSION:1", "value");
    for (unsigned i = 0; i < NODES; i++) { /* the session moves, the lock with it */
        get_is(i, "PHPREDIS_SESSION:1", "value");
        pass(&timers, LEASE_MS);
        set(1, "PHPREDIS_SESSION:1", "value");
        assert_int_equal(lock_at(i, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_EXISTS);
    }
    get_is(2, "PHPREDIS_SESSION:1", "value");
    hf_locks_release(&of);
    carry_all();
    assert_int_equal(lock_at(1, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_OK);
    assert_int_equal(timers.armed_count, 0);
}

static void a_lock_ends_with_the_agent_that_took_it(void **state)
{
    struct hf_timer_wheel timers;
    struct hf_locks of;
    take_lock(&of, &timers, "PHPREDIS_SESSION:1_LOCK");
    get_is(1, "PHPREDIS_SESSION:1", NULL); /* the record lives elsewhere than its lock's holder */
    pass(&timers, LEASE_MS);
    assert_int_equal(lock_at(2, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_EXISTS);
    hf_timer_cancel(&timers, &of.timer);
    stop_node(0);
    for (unsigned i = 1; i < NODES; i++)
        hf_fabric_link_down(hf_replicated_fabric(nodes[i].replicated), 0, true, now_ms);
    assert_int_equal(lock_at(2, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_EXISTS);
    pass(&timers, LEASE_MS);
    assert_int_equal(lock_at(2, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_OK);
    while (!hf_list_empty(&of.list)) { /* the process that held them is gone */
        struct hf_lock *lock = (void *)hf_list_pop_front(&of.list);
        free(lock);
    }
}

/* Another one took it meanwhile: the first has lost it, and does not keep it from ending. */
static void a_lock_that_another_holds_is_not_renewed(void **state)
{
    struct asked asked;
    struct hf_timer_wheel timers;
    struct hf_locks of;
    take_lock(&of, &timers, "PHPREDIS_SESSION:1_LOCK");
    assert_int_equal(ask(&asked, 1, "PHPREDIS_SESSION:1_LOCK", &deleting), HF_OPERATION_OK);
    assert_int_equal(lock_at(1, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_OK);
    pass(&timers, LEASE_MS);
    assert_int_equal(of.count, 0);
    hf_locks_release(&of);
    carry_all();
    assert_int_equal(lock_at(2, "PHPREDIS_SESSION:1_LOCK"), HF_OPERATION_EXISTS);
}

static void one_key_of_several_is_deleted_alone(void **state)
{
    struct asked asked;
    set(0, "PHPREDIS_SESSION:1", "value");
    set(0, "sess_1", "other"); /* the same id */
    assert_int_equal(ask(&asked, 1, "sess_1", &deleting), HF_OPERATION_OK);
    get_is(2, "sess_1", NULL);
    get_is(2, "PHPREDIS_SESSION:1", "value");
}

/* The store drops a copy to have room. */
static void evict(unsigned node, const char *id)
{
    struct hf_slice text = hf_slice_text(id);
    uint64_t id_hash = hf_store_hash(hf_testing_hash_key, text);
    const struct hf_store_role none = {.state = HF_RECORD_NONE};
    struct hf_store_record found;
    assert_true(hf_store_find(nodes[node].store, text, id_hash, now_ms, &found));
    enum hf_record_state state = found.state;
    struct hf_version version = found.version;
    assert_int_equal(hf_store_assign(nodes[node].store, text, id_hash, &none, now_ms), HF_STORE_OK);
    hf_fabric_dropped(hf_replicated_fabric(nodes[node].replicated), text, state, version, false);
}

static uint64_t queries(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < NODES; i++)
        sum += hf_fabric_counts(hf_replicated_fabric(nodes[i].replicated))->queries;
    return sum;
}

/* Its home is node 0, and its bucket the one given; -1: any. */
static int find_id(char id[TEXT_MAX], int bucket, unsigned from)
{
    for (unsigned i = from;; i++) {
        snprintf(id, TEXT_MAX, "s%u", i);
        uint64_t hash = hf_rank_hash(hf_slice_text(id));
        struct hf_rank_walk walk;
        hf_rank_walk_init(&walk, &rank, hash);
        int its = (int)hf_digest_bucket(hash);
        if (hf_rank_walk_next(&walk) == 0 && (bucket < 0 || its == bucket))
            return its;
    }
}

/* A home that lost a copy asks everybody about whatever it does not know of that bucket; no longer
 * than until everybody has told it anew what there is. */
static void an_evicted_copy_is_asked_for_until_all_have_told(void **state)
{
    char id[TEXT_MAX], other[TEXT_MAX];
    int bucket = find_id(id, -1, 0);
    find_id(other, bucket, 100000);
    set(1, id, "value");
    get_is(1, id, "value");
    get_is(2, other, NULL);
    uint64_t before = queries();
    evict(0, id);
    get_is(2, other, NULL);
    assert_int_equal(queries(), before + 1);
    for (uint64_t end_ms = now_ms + 15000; now_ms < end_ms;)
        turn();
    get_is(2, other, NULL);
    assert_int_equal(queries(), before + 1);
    get_is(2, id, "value");
    assert_int_equal(queries(), before + 1);
    evict(2, id); /* its owner's own: a copy is left, and asked for */
    get_is(2, id, "value");
    evict(2, id);
    get_is(0, id, "value");
}

static void more_than_may_be_under_way_are_refused(void **state)
{
    struct asked asked[CALLS_MAX + 1];
    cut_off(0);
    for (unsigned i = 0; i <= CALLS_MAX; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        start(&asked[i], 0, id, &getting);
    }
    /* those whose home this node is were answered at once */
    unsigned refused = 0, under_way = 0;
    for (unsigned i = 0; i <= CALLS_MAX; i++) {
        refused += asked[i].completions == 1 && asked[i].result.status == HF_OPERATION_FULL;
        under_way += asked[i].completions == 0;
    }
    assert_int_equal(under_way, hf_replicated_counts(nodes[0].replicated).under_way);
    assert_true(under_way <= CALLS_MAX && (refused > 0) == (under_way == CALLS_MAX));
    join_again(0);
    for (unsigned i = 0; i <= CALLS_MAX; i++)
        if (asked[i].completions == 0)
            await(&asked[i], TURNS);
}

/* Also what is long, and would be waited for longer. */
static void long_writes_under_way_at_the_end_are_answered(void **state)
{
    enum { SIZE = 1 << 20 };
    struct asked asked;
    char *large = malloc(SIZE);
    assert_non_null(large);
    memset(large, 'x', SIZE);
    struct hf_operation operation = setting("");
    operation.value = hf_slice(large, SIZE);
    cut_off(0);
    unsigned waiting = 0;
    for (unsigned i = 0; i < 8 && waiting == 0; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        start(&asked, 0, id, &operation);
        waiting = asked.completions == 0;
    }
    assert_int_equal(waiting, 1);
    hf_replicated_free(&nodes[0].replicated);
    assert_int_equal(asked.completions, 1);
    stop_node(0);
    free(large);
}

static void what_is_under_way_at_the_end_is_answered(void **state)
{
    struct asked asked;
    cut_off(0);
    struct hf_operation operation = setting("value");
    unsigned waiting = 0;
    for (unsigned i = 0; i < 8 && waiting == 0; i++) {
        char id[TEXT_MAX];
        snprintf(id, sizeof(id), "s%u", i);
        start(&asked, 0, id, &operation);
        waiting = asked.completions == 0;
    }
    assert_int_equal(waiting, 1);
    hf_replicated_free(&nodes[0].replicated);
    assert_int_equal(asked.completions, 1);
    assert_true(asked.result.status == HF_OPERATION_UNSURE ||
                asked.result.status == HF_OPERATION_OK);
    stop_node(0);
}

int main(void)
{
#define CLUSTER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        CLUSTER_TEST(what_is_owned_here_is_read_where_it_stands),
        CLUSTER_TEST(a_session_moves_to_who_starts_with_it),
        CLUSTER_TEST(what_ends_a_request_goes_to_the_owner),
        CLUSTER_TEST(fields_come_from_elsewhere),
        CLUSTER_TEST(an_answer_that_waits_is_kept),
        CLUSTER_TEST(a_call_may_go_away_at_any_time),
        CLUSTER_TEST(a_read_is_asked_again_until_somebody_knows),
        CLUSTER_TEST(a_read_nobody_can_answer_ends_with_an_error),
        CLUSTER_TEST(a_deleted_session_is_a_miss_everywhere),
        CLUSTER_TEST(a_request_that_began_before_the_logout_brings_nothing_back),
        CLUSTER_TEST(a_lock_does_not_pass_a_strict_tombstone),
        CLUSTER_TEST(a_lock_outlives_no_session_and_no_session_a_lock),
        CLUSTER_TEST(a_lock_lasts_as_long_as_its_connection),
        CLUSTER_TEST(a_lock_ends_with_the_agent_that_took_it),
        CLUSTER_TEST(a_lock_that_another_holds_is_not_renewed),
        CLUSTER_TEST(one_key_of_several_is_deleted_alone),
        CLUSTER_TEST(an_evicted_copy_is_asked_for_until_all_have_told),
        CLUSTER_TEST(more_than_may_be_under_way_are_refused),
        CLUSTER_TEST(long_writes_under_way_at_the_end_are_answered),
        CLUSTER_TEST(what_is_under_way_at_the_end_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
