/* An agent among three, with its store, whose two peers are the input: proved links over which
 * anything may come, in any order, beside clients of its own and the time. Whatever they say, each
 * operation of a client is answered once, what they break is told, and the store stays whole.
 *
 * Input: which node it is, then steps of a few bytes each. So that more than nonsense is tried,
 * numbers, views, versions and contents may be those of what the agent said last. */
#include "agent/replicated.h"
#include "fabric/wire.h"
#include "fuzz.h"
#include "store/shard.h"

enum {
    NODES = 3,
    IDS = 4,
    CALLS_MAX = 32,
    FRAME_ROOM = 1 << 17,
    STEPS_MAX = 400,
    MEMORY = 8 << 20,
    SAID_BYTES_MAX = 1024,
    NOW_MS = 1000000,
};

enum step { STEP_LINK, STEP_CUT, STEP_TIME, STEP_ASK, STEP_RAW, STEP_BEAT, STEP_SAY, STEPS };

struct input {
    const uint8_t *at, *end;
};

struct said { /* by the agent, the last of its type */
    struct hf_wire_message message;
    char bytes[SAID_BYTES_MAX];
};

struct asked {
    struct hf_sessions_call call;
    unsigned answers;
};

static const uint8_t hash_key[16] = "agent-testing-k";
static const struct hf_slice ids[IDS] = {{"a", 1}, {"b", 1}, {"c", 1}, {"d", 1}};
static const struct hf_slice keys[IDS] = {
    {"PHPREDIS_SESSION:a", 18}, {"PHPREDIS_SESSION:a_LOCK", 23}, {"sess:b", 6}, {"c", 1}};
static struct hf_rank rank;
static struct hf_pattern_table *patterns;
static struct hf_store *store;
static struct hf_sessions *sessions;
static struct hf_replicated *replicated;
static struct asked calls[CALLS_MAX];
static unsigned call_count, self;
static uint64_t now_ms, lanes[NODES];
static bool linked[NODES];
static struct said said[HF_WIRE_TYPES_MAX];
static char frames[FRAME_ROOM];

static uint8_t next_byte(struct input *input)
{
    return input->at < input->end ? *input->at++ : 0;
}

static struct hf_slice next_bytes(struct input *input)
{
    size_t size = next_byte(input), left = (size_t)(input->end - input->at);
    size = size < left ? size : left;
    const char *start = (const char *)input->at;
    input->at += size;
    return hf_slice(start, size);
}

static void set_time(void)
{
    hf_replicated_set_time(replicated, now_ms);
    hf_sessions_set_time(sessions, now_ms, now_ms + UINT64_C(1700000000000));
}

/* ---- what the agent says ---- */

static void remember(const struct hf_wire_message *message)
{
    struct said *place = &said[message->type];
    place->message = *message;
    size_t size = message->bytes.size < SAID_BYTES_MAX ? message->bytes.size : 0;
    if (size > 0)
        memcpy(place->bytes, message->bytes.bytes, size);
    place->message.bytes = hf_slice(place->bytes, size);
    place->message.id = hf_slice(NULL, 0);
}

static void listen_to(unsigned peer)
{
    struct hf_wire_message message;
    size_t size, used;
    while ((size = hf_fabric_pull(hf_replicated_fabric(replicated), peer, frames, sizeof(frames))) >
           0) {
        for (size_t at = 0; at < size; at += used) {
            REQUIRE(hf_wire_decode(hf_slice(frames + at, size - at), HF_WIRE_FRAME_MAX, &message,
                                   &used) == HF_WIRE_DONE);
            remember(&message);
        }
    }
}

static void settle(void)
{
    for (unsigned i = 0; i < NODES; i++)
        if (i != self && linked[i])
            listen_to(i);
}

/* ---- what is said to it ---- */

static void link_ends(unsigned peer, bool gone)
{
    hf_fabric_link_down(hf_replicated_fabric(replicated), peer, gone, now_ms);
    linked[peer] = false;
}

static void deliver(unsigned peer, struct hf_slice bytes)
{
    struct hf_fabric *fabric = hf_replicated_fabric(replicated);
    size_t used = 0;
    if (!linked[peer])
        return;
    char *copy = fuzz_copy(bytes.bytes, bytes.size);
    uint64_t errors = hf_fabric_counts(fabric)->protocol_errors;
    bool fine = hf_fabric_receive(fabric, peer, hf_slice(copy, bytes.size), now_ms, &used);
    REQUIRE(used <= bytes.size);
    REQUIRE(hf_fabric_counts(fabric)->protocol_errors == errors + !fine);
    free(copy);
    if (!fine)
        link_ends(peer, false);
}

static void say(unsigned peer, const struct hf_wire_message *message)
{
    static char frame[FRAME_ROOM];
    size_t size = hf_wire_encode(message, frame, sizeof(frame));
    REQUIRE(size > 0);
    deliver(peer, hf_slice(frame, size));
}

/* A peer that lives and counts the agent, by the clock of both. */
static void beat(unsigned peer, uint8_t how)
{
    const struct hf_wire_message *theirs = &said[HF_WIRE_HEARTBEAT].message;
    struct hf_wire_message message = {.type = HF_WIRE_HEARTBEAT,
                                      .sent_ms = now_ms,
                                      .echo_ms = theirs->sent_ms,
                                      .status = (uint8_t)(1 + how % 3),
                                      .flags = how & 4 ? 0 : 1,
                                      .weight = how >> 6,
                                      .view = theirs->view,
                                      .incarnation = peer + 1 + (how >> 5 & 1)};
    say(peer, &message);
}

static struct hf_version version_from(struct input *input, struct hf_version near)
{
    uint8_t how = next_byte(input);
    struct hf_version version = near;
    if (how & 1)
        version.epoch += (uint32_t)(how >> 4) << (how & 8);
    if (how & 2)
        version.sequence += how >> 4;
    if (how & 4)
        version.birth = how & 8 ? version.epoch : how >> 4;
    return version;
}

/* A message with the fields of one that the agent sent, or with others. */
static void say_anything(unsigned peer, struct input *input)
{
    static const uint64_t remaining[] = {0, 1, 1000, 100000, UINT64_MAX, UINT64_MAX / 2};
    static const uint16_t numbers[] = {0, 1, 2, 3, 127, 128, 0xffff, 2};
    uint8_t type = next_byte(input) % HF_WIRE_TYPES_MAX, like = next_byte(input);
    uint8_t how = next_byte(input), which = next_byte(input);
    const struct hf_wire_message *near = &said[like % HF_WIRE_TYPES_MAX].message;
    if (hf_wire_name(type) == NULL)
        return;
    struct hf_wire_message message = *near;
    message.type = (enum hf_wire_type)type;
    message.id = ids[which % IDS];
    message.node = numbers[which >> 2 & 7];
    message.state = (uint8_t)(how % (HF_RECORD_TOMB + 1));
    message.kind = (uint8_t)((how >> 3) % HF_WIRE_KINDS);
    message.status = how & HF_WIRE_STATUS_MAX;
    message.flags = next_byte(input) & HF_WIRE_FLAGS_MAX;
    message.remaining_ms = remaining[(which >> 5) % 6];
    message.asked_ms = how % 3 == 0 ? near->asked_ms : now_ms; /* long ago, or just now */
    message.version = version_from(input, near->version);
    message.base = version_from(input, near->version);
    if (how & 0x40)
        message.bytes = next_bytes(input);
    if (how & 0x80)
        message.number = next_byte(input);
    if (type == HF_WIRE_REPLICATE && linked[peer])
        message.number = ++lanes[peer];
    say(peer, &message);
}

/* ---- clients ---- */

static void completed(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct asked *asked = call->user;
    REQUIRE(asked->answers++ == 0 && result->status < HF_OPERATION_STATUS_COUNT);
}

static void ask(struct input *input)
{
    static const uint8_t kinds[] = {HF_OPERATION_GET,    HF_OPERATION_SET,      HF_OPERATION_DELETE,
                                    HF_OPERATION_EXPIRE, HF_OPERATION_HASH_SET, HF_OPERATION_ADD,
                                    HF_OPERATION_DUMP,   HF_OPERATION_GET};
    static const struct hf_slice pair[] = {{"f", 1}, {"v", 1}};
    uint8_t what = next_byte(input), how = next_byte(input);
    if (call_count == CALLS_MAX)
        return;
    struct asked *asked = &calls[call_count++];
    *asked = (struct asked){
        .call = {.key = keys[what >> 3 & 3], .complete = completed, .user = asked},
    };
    struct hf_operation *operation = &asked->call.operation;
    operation->kind = kinds[what & 7];
    operation->value = HF_SLICE("value");
    operation->deadline_ms = now_ms + (uint64_t)(how >> 4) * 1000;
    operation->fields = pair;
    operation->field_count = operation->kind == HF_OPERATION_HASH_SET ? 2 : 0;
    operation->flags = how & 1 ? HF_OPERATION_STARTS : 0;
    if (operation->kind == HF_OPERATION_SET && how & 2)
        operation->when = HF_OPERATION_IF_NEW;
    if (operation->kind == HF_OPERATION_ADD)
        operation->flags |= HF_OPERATION_CREATE;
    hf_sessions_submit(sessions, &asked->call);
}

/* ---- the whole ---- */

static void pass_time(uint8_t amount)
{
    unsigned ticks = amount & 0x80 ? amount & 0x7f : 1;
    uint64_t step_ms = amount & 0x80 ? HF_FABRIC_TICK_MS : (uint64_t)amount * 37;
    for (unsigned i = 0; i < ticks; i++) {
        now_ms += step_ms;
        set_time();
        hf_replicated_tick(replicated, now_ms);
        settle();
    }
}

static void step(struct input *input)
{
    struct hf_fabric *fabric = hf_replicated_fabric(replicated);
    uint8_t first = next_byte(input);
    unsigned peer = (self + 1 + (first >> 7)) % NODES;
    switch ((enum step)((first & 0x7f) % STEPS)) {
    case STEP_LINK:
        hf_fabric_link_up(fabric, peer, now_ms);
        linked[peer] = true;
        lanes[peer] = 0;
        return;
    case STEP_CUT:
        link_ends(peer, next_byte(input) & 1);
        return;
    case STEP_TIME:
        pass_time(next_byte(input));
        return;
    case STEP_ASK:
        ask(input);
        return;
    case STEP_RAW:
        deliver(peer, next_bytes(input));
        return;
    case STEP_BEAT:
        beat(peer, next_byte(input));
        return;
    case STEP_SAY:
        say_anything(peer, input);
        return;
    case STEPS:
        break;
    }
}

static void start(uint8_t how)
{
    const struct hf_store_options options = {.memory = MEMORY,
                                             .grace_ms = HF_FABRIC_GRACE_MS,
                                             .hash_key = "agent-testing-k",
                                             .now_ms = NOW_MS};
    const struct hf_replicated_settings settings = {.store = store,
                                                    .hash_key = hash_key,
                                                    .rank = &rank,
                                                    .fabric = {.self = self,
                                                               .backups = 1 + (how >> 2 & 1),
                                                               .acknowledge_memory = how >> 3 & 1,
                                                               .consistent = how >> 4 & 1,
                                                               .incarnation = self + 1,
                                                               .epoch_floor = 1,
                                                               .activities_max = 16,
                                                               .queue_size_max = 1 << 20,
                                                               .image_size_max = 1 << 20},
                                                    .calls_max = CALLS_MAX};
    struct hf_replicated_settings made = settings;
    REQUIRE(hf_store_new(&options, &store) == 0);
    made.store = store;
    REQUIRE(hf_replicated_new(&made, now_ms, &replicated) == 0);
    struct hf_sessions_backend backend = hf_replicated_backend(replicated);
    const struct hf_sessions_settings sessions_settings = {.store = store,
                                                           .patterns = patterns,
                                                           .hash_key = hash_key,
                                                           .backend = &backend,
                                                           .memory = MEMORY,
                                                           .tomb_ms = HF_FABRIC_TOMB_MS,
                                                           .epoch_floor = 1};
    REQUIRE(hf_sessions_new(&sessions_settings, &sessions) == 0);
    set_time();
}

static void finish(void)
{
    hf_replicated_free(&replicated);
    for (unsigned i = 0; i < call_count; i++)
        REQUIRE(calls[i].answers == 1);
    hf_shard_check(store);
    hf_sessions_free(&sessions);
    hf_store_free(&store);
}

static void prepare(void)
{
    static const struct hf_slice names[NODES] = {{"a", 1}, {"b", 1}, {"c", 1}};
    unsigned bad;
    if (patterns != NULL)
        return;
    REQUIRE(hf_rank_init(&rank, names, NODES) == 0);
    REQUIRE(hf_pattern_table_new(NULL, 0, &patterns, &bad) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, data + size};
    prepare();
    uint8_t how = next_byte(&input);
    self = how % NODES;
    now_ms = NOW_MS;
    call_count = 0;
    memset(linked, 0, sizeof(linked));
    memset(lanes, 0, sizeof(lanes));
    memset(said, 0, sizeof(said));
    start(how);
    for (unsigned i = 0; i < STEPS_MAX && input.at < input.end; i++) {
        step(&input);
        settle();
    }
    finish();
    return 0;
}
