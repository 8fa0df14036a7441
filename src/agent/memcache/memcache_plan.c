#include "agent/memcache/memcache_internal.h"
#include "base/assert.h"

/* What a request is as an operation, before its flags and numbers are looked at. */
struct plan {
    uint8_t kind, when;
    uint8_t variant; /* EXTEND: which end; ADD: which sum */
    uint16_t flags;
    bool compares; /* a CAS number is a condition; elsewhere it means nothing */
    bool known;
};

#define PLAN(kind_, when_, variant_, flags_, compares_)                                            \
    {                                                                                              \
        .kind = HF_OPERATION_##kind_, .when = HF_OPERATION_##when_, .variant = (variant_),         \
        .flags = (flags_), .compares = (compares_), .known = true                                  \
    }

// clang-format off
static const struct plan plans[] = {
    [HF_MEMCACHE_GET]       = PLAN(GET, ALWAYS, 0, HF_OPERATION_STARTS, false),
    [HF_MEMCACHE_SET]       = PLAN(SET, ALWAYS, 0, 0, true),
    [HF_MEMCACHE_ADD]       = PLAN(SET, IF_NEW, 0, HF_OPERATION_STARTS, false),
    [HF_MEMCACHE_REPLACE]   = PLAN(SET, IF_EXISTS, 0, 0, true),
    [HF_MEMCACHE_APPEND]    = PLAN(EXTEND, ALWAYS, HF_STORE_APPEND, 0, true),
    [HF_MEMCACHE_PREPEND]   = PLAN(EXTEND, ALWAYS, HF_STORE_PREPEND, 0, true),
    [HF_MEMCACHE_TOUCH]     = PLAN(EXPIRE, ALWAYS, 0, 0, false),
    [HF_MEMCACHE_DELETE]    = PLAN(DELETE, ALWAYS, 0, 0, true),
    [HF_MEMCACHE_INCREMENT] = PLAN(ADD, ALWAYS, HF_STORE_INCREASE, 0, true),
    [HF_MEMCACHE_DECREMENT] = PLAN(ADD, ALWAYS, HF_STORE_DECREASE, 0, true),
    [HF_MEMCACHE_DEBUG]     = PLAN(GET, ALWAYS, 0, HF_OPERATION_NO_VALUE, false),
    [HF_MEMCACHE_QUIT]      = {.known = false},
};
// clang-format on

bool hf_memcache_plan_has(uint8_t operation)
{
    return plans[operation].known;
}

/* An expiry as memcached means it, as a deadline. */
static uint64_t deadline_of(const struct hf_sessions *sessions, int64_t exptime)
{
    uint64_t now_ms = hf_sessions_now_ms(sessions);
    int64_t wall_s = (int64_t)(hf_sessions_wall_ms(sessions) / 1000);
    int64_t left_s = hf_memcache_seconds_left(exptime, wall_s);
    if (left_s == HF_MEMCACHE_FOREVER)
        return HF_DEADLINE_NEVER;
    uint64_t left_ms =
        left_s < (int64_t)(HF_DEADLINE_MAX / 1000) ? (uint64_t)left_s * 1000 : HF_DEADLINE_MAX;
    return hf_deadline_after(now_ms, left_ms);
}

/* A get is one look, or one that touches, or one that leaves the value's bytes where they are. */
static void refine_get(struct hf_operation *operation, const struct hf_memcache_request *request)
{
    if (request->touch && request->operation == HF_MEMCACHE_GET) {
        operation->kind = HF_OPERATION_EXPIRE;
        operation->flags |= HF_OPERATION_OLD_VALUE;
    }
    if (!request->wants_value)
        operation->flags |= HF_OPERATION_NO_VALUE;
}

/* md with x keeps the item and empties it; with I it is to be made anew, and no session ends. */
static void refine_delete(struct hf_operation *operation, const struct hf_memcache_request *request)
{
    if (request->keeps_item) {
        operation->kind = HF_OPERATION_SET;
        operation->flags |= HF_OPERATION_KEEP_DEADLINE;
        if (operation->when == HF_OPERATION_ALWAYS)
            operation->when = HF_OPERATION_IF_EXISTS;
    } else if (request->invalidates) {
        operation->kind = HF_OPERATION_EXPIRE;
        operation->deadline_ms = 0;
    }
}

static void refine_set(struct hf_operation *operation, const struct hf_memcache_request *request,
                       uint64_t now_ms)
{
    bool placeholder = request->operation == HF_MEMCACHE_ADD && request->value.size == 0 &&
                       operation->deadline_ms == HF_DEADLINE_NEVER;
    operation->value = request->value;
    operation->client_flags = request->flags;
    if (placeholder)
        operation->deadline_ms = hf_deadline_after(now_ms, HF_MEMCACHE_PLACEHOLDER_MS);
}

static void refine(struct hf_operation *operation, const struct hf_memcache_request *request,
                   uint64_t now_ms)
{
    switch (request->operation) {
    case HF_MEMCACHE_GET:
    case HF_MEMCACHE_DEBUG:
        refine_get(operation, request);
        break;
    case HF_MEMCACHE_DELETE:
        refine_delete(operation, request);
        break;
    case HF_MEMCACHE_TOUCH: /* the answer of the binary protocol holds the value's flags */
        if (request->dialect == HF_MEMCACHE_BINARY)
            operation->flags |= HF_OPERATION_OLD_VALUE | HF_OPERATION_NO_VALUE;
        break;
    case HF_MEMCACHE_INCREMENT:
    case HF_MEMCACHE_DECREMENT:
        operation->amount = request->delta;
        if (request->touch)
            operation->flags |= HF_OPERATION_TOUCH;
        break;
    default:
        refine_set(operation, request, now_ms);
        break;
    }
}

/* The key was missing, and the request says what to make then. */
static void refine_creation(struct hf_operation *operation,
                            const struct hf_memcache_request *request)
{
    operation->flags &= (uint16_t) ~(HF_OPERATION_OLD_VALUE | HF_OPERATION_NO_VALUE);
    if (request->operation == HF_MEMCACHE_GET) {
        operation->kind = HF_OPERATION_SET;
        operation->when = HF_OPERATION_IF_NEW;
        return;
    }
    operation->flags |= HF_OPERATION_CREATE;
    operation->initial = request->initial;
}

/* In the binary protocol any storage with a CAS number is a compare-and-set. */
static bool compares(const struct plan *plan, const struct hf_memcache_request *request)
{
    bool binary_add =
        request->dialect == HF_MEMCACHE_BINARY && request->operation == HF_MEMCACHE_ADD;
    return request->has_cas && (plan->compares || binary_add);
}

void hf_memcache_plan_fill(struct hf_memcache_client *client, const struct hf_sessions *sessions)
{
    const struct hf_memcache_request *request = &client->request;
    const struct plan *plan = &plans[request->operation];
    bool creation = client->stage == HF_MEMCACHE_STAGE_CREATE;
    int64_t exptime = creation ? request->create_exptime : request->exptime;
    struct hf_operation *operation = &client->call.operation;
    REQUIRE(plan->known);
    client->call.key = client->key;
    *operation = (struct hf_operation){
        .kind = plan->kind,
        .when = compares(plan, request) ? HF_OPERATION_IF_CAS : plan->when,
        .flags = plan->flags,
        .cas = request->cas,
        .end = plan->variant,
        .sum = plan->variant,
        .deadline_ms = deadline_of(sessions, exptime),
    };
    refine(operation, request, hf_sessions_now_ms(sessions));
    if (creation)
        refine_creation(operation, request);
}

bool hf_memcache_plan_refused(struct hf_memcache_client *client)
{
    const struct hf_memcache_request *request = &client->request;
    if (request->reason != HF_MEMCACHE_TOO_LARGE || request->refused != HF_MEMCACHE_SET)
        return false;
    client->call.key = request->key;
    client->call.operation =
        (struct hf_operation){.kind = HF_OPERATION_EXPIRE, .when = HF_OPERATION_ALWAYS};
    return true;
}
