#include "agent/external/external_fabric.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/slab.h"
#include "store/blob.h"
#include <errno.h>
#include <stdlib.h>

enum { EXTERNAL_FABRIC_MAGIC = 0x45584641 };

enum step {
    PEEKING,  /* whether the fabric has the key, before it is made */
    RUNNING,  /* the operation itself */
    LOADING,  /* what the store has */
    ADOPTING, /* brings it in */
    PROBING,  /* the store is away: whether the key was deleted */
};

struct call {
    struct hf_list node;            /* of the fabric's */
    struct hf_sessions_call *asked; /* NULL: abandoned */
    struct hf_sessions_call inner;  /* to the fabric */
    struct hf_remote_call load;
    struct hf_external_fabric *fabric;
    uint8_t step;
    uint8_t tries;
    bool hash;   /* what a load asks for */
    bool turned; /* the other kind was asked for already */
    bool looked; /* what is not there is nowhere: done whatever comes of it */
    char *blob;  /* owned: what is being adopted */
};

struct hf_external_fabric {
    uint32_t magic;
    struct hf_external_fabric_settings settings;
    struct hf_sessions_backend backend, inner;
    struct hf_remote *remote; /* owned, as all below */
    struct hf_outbox *outbox;
    struct hf_store *room; /* of one key: what is adopted takes its form in it */
    struct hf_slab slab;   /* of struct call */
    struct hf_list calls;
};

/* ---- the end of a call ---- */

static void release(struct call *call)
{
    struct hf_external_fabric *fabric = call->fabric;
    hf_list_remove(&call->node);
    free(call->blob);
    hf_slab_release(&fabric->slab, &call);
}

static void finish(struct call *call, const struct hf_operation_result *result)
{
    struct hf_sessions_call *asked = call->asked;
    hf_list_remove(&call->node);
    if (asked != NULL)
        hf_sessions_complete(asked, result);
    release(call);
}

static void finish_status(struct call *call, enum hf_operation_status status)
{
    struct hf_operation_result result = hf_operation_failed(status);
    hf_outbox_counts(call->fabric->outbox)->unsure += status == HF_OPERATION_UNSURE;
    finish(call, &result);
}

/* ---- what operations need ---- */

/* It may make the key, and looks at what is there. */
static bool looks_first(const struct hf_operation *operation)
{
    bool whole = operation->kind == HF_OPERATION_SET || operation->kind == HF_OPERATION_RESTORE;
    return whole ? !hf_operation_overwrites(operation) : hf_operation_creates(operation);
}

/* While the store is away. */
static bool may_begin(const struct hf_operation *operation)
{
    return operation->kind == HF_OPERATION_SET && operation->when == HF_OPERATION_IF_NEW &&
           !(operation->flags & HF_OPERATION_OLD_VALUE);
}

static bool asks_for_hash(const struct hf_operation *operation)
{
    return operation->kind == HF_OPERATION_HASH_GET || operation->kind == HF_OPERATION_HASH_ALL ||
           operation->kind == HF_OPERATION_HASH_SET ||
           operation->kind == HF_OPERATION_HASH_DELETE || operation->kind == HF_OPERATION_HASH_ADD;
}

/* ---- to the fabric ---- */

static void submit_inner(struct call *call, enum step step, const struct hf_operation *operation)
{
    struct hf_external_fabric *fabric = call->fabric;
    call->step = (uint8_t)step;
    call->inner.operation = *operation;
    call->inner.pending = NULL;
    fabric->inner.submit(fabric->inner.user, &call->inner);
}

static void ask_fabric(struct call *call, enum step step)
{
    const struct hf_operation *operation = &call->asked->operation;
    struct hf_operation look = {.kind = HF_OPERATION_GET,
                                .flags = HF_OPERATION_NO_VALUE |
                                         (operation->flags & HF_OPERATION_STARTS),
                                .key = operation->key};
    if (step == PROBING)
        look.flags |= HF_OPERATION_ADOPTS;
    submit_inner(call, step, step == RUNNING ? operation : &look);
}

/* Known to be nowhere. */
static void absent(struct call *call)
{
    call->looked = true;
    if (looks_first(&call->asked->operation))
        ask_fabric(call, RUNNING);
    else
        finish_status(call, HF_OPERATION_MISSING);
}

/* ---- to the store ---- */

static struct hf_slice text_of(const struct call *call)
{
    return call->asked->key;
}

static void load(struct call *call)
{
    struct hf_external_fabric *fabric = call->fabric;
    const struct hf_remote_request request = {
        .kind = HF_REMOTE_LOAD, .hash = call->hash, .key = text_of(call)};
    call->step = LOADING;
    hf_remote_submit(fabric->remote, &call->load, &request);
}

static void missed(struct call *call)
{
    if (call->tries++ >= HF_EXTERNAL_FABRIC_TRIES_MAX) {
        finish_status(call, HF_OPERATION_UNSURE);
        return;
    }
    call->hash = asks_for_hash(&call->asked->operation);
    call->turned = false;
    if (hf_remote_is_away(call->fabric->remote, text_of(call)))
        ask_fabric(call, PROBING);
    else
        load(call);
}

/* ---- what the store has, as the fabric takes it ---- */

static enum hf_store_status put_hash(struct hf_store *room, const struct hf_store_key *key,
                                     struct hf_remote_result *result,
                                     const struct hf_store_write *write)
{
    struct hf_store_change change;
    struct hf_store_hash_set set = {0};
    if (result->field_count > HF_STORE_HASH_FIELDS_MAX)
        return HF_STORE_TOO_MANY;
    struct hf_store_field *fields = calloc(result->field_count + 1, sizeof(*fields));
    if (fields == NULL)
        return HF_STORE_FULL;
    while (
        set.field_count < result->field_count &&
        hf_remote_next_field(result, &fields[set.field_count].name, &fields[set.field_count].value))
        set.field_count++;
    set.fields = fields;
    enum hf_store_status status = hf_store_hash_set(room, key, &set, write, &change);
    free(fields);
    return status;
}

static enum hf_store_status put(struct hf_store *room, const struct hf_store_key *key,
                                struct hf_remote_result *result, uint64_t now_ms)
{
    const struct hf_store_write write = {.now_ms = now_ms, .fresh = {1, 0, 1}, .reuse_tomb = true};
    struct hf_store_change change;
    uint64_t deadline_ms = result->ttl_ms == HF_REMOTE_NEVER
                               ? HF_DEADLINE_NEVER
                               : hf_deadline_after(now_ms, result->ttl_ms);
    if (!result->hash) {
        const struct hf_store_set set = {
            .value = result->value, .flags = result->client_flags, .deadline_ms = deadline_ms};
        return hf_store_set(room, key, &set, &write, &change);
    }
    enum hf_store_status status = put_hash(room, key, result, &write);
    if (status == HF_STORE_OK && deadline_ms != HF_DEADLINE_NEVER)
        status = hf_store_expire(room, key, deadline_ms, &write, &change);
    return status;
}

/* The key as a blob of its own, in call->blob. */
static enum hf_store_status encode(struct call *call, struct hf_remote_result *result,
                                   size_t *ret_size)
{
    struct hf_store *room = call->fabric->room;
    const struct hf_store_key *key = &call->asked->operation.key;
    uint64_t now_ms = hf_sessions_now_ms(call->asked->sessions);
    struct hf_blob_out out = {0};
    enum hf_store_status status = put(room, key, result, now_ms);
    if (status == HF_STORE_OK)
        status = hf_blob_encode(room, key, HF_BLOB_KEY, now_ms, &out);
    if (status == HF_STORE_TOO_LARGE && out.size > 0) {
        free(call->blob);
        call->blob = malloc(out.size);
        out.bytes = call->blob;
        out.room = call->blob != NULL ? out.size : 0;
        status = out.bytes != NULL ? hf_blob_encode(room, key, HF_BLOB_KEY, now_ms, &out)
                                   : HF_STORE_FULL;
    }
    hf_store_clear(room);
    *ret_size = out.size;
    return status;
}

static void adopt(struct call *call, struct hf_remote_result *result)
{
    const struct hf_operation *operation = &call->asked->operation;
    size_t size;
    enum hf_store_status status = encode(call, result, &size);
    if (status != HF_STORE_OK) {
        bool large = status == HF_STORE_TOO_LARGE || status == HF_STORE_TOO_MANY;
        finish_status(call, large ? HF_OPERATION_TOO_LARGE : HF_OPERATION_FULL);
        return;
    }
    const struct hf_operation adoption = {
        .kind = HF_OPERATION_RESTORE,
        .when = HF_OPERATION_IF_NEW,
        .flags = (uint16_t)(HF_OPERATION_ADOPTS |
                            (operation->flags & (HF_OPERATION_STRICT | HF_OPERATION_STARTS))),
        .key = operation->key,
        .value = hf_slice(call->blob, size)};
    submit_inner(call, ADOPTING, &adoption);
}

static void loaded(struct hf_remote_call *remote_call, struct hf_remote_result *result)
{
    struct call *call = hf_container_of(remote_call, struct call, load);
    if (call->asked == NULL) { /* nothing was begun */
        release(call);
        return;
    }
    const struct hf_outbox_settings *settings = &call->fabric->settings.outbox;
    hf_sessions_set_time(call->asked->sessions, hf_loop_now_ms(settings->loop),
                         hf_loop_wall_ms(settings->loop));
    switch ((enum hf_remote_status)result->status) {
    case HF_REMOTE_OK:
        adopt(call, result);
        return;
    case HF_REMOTE_MISSING:
        absent(call);
        return;
    case HF_REMOTE_WRONG_TYPE:
        if (call->turned) {
            finish_status(call, HF_OPERATION_WRONG_TYPE);
            return;
        }
        call->turned = true;
        call->hash = !call->hash;
        load(call);
        return;
    case HF_REMOTE_MOVED:
        if (call->tries++ < HF_EXTERNAL_FABRIC_TRIES_MAX) {
            load(call);
            return;
        }
        break;
    case HF_REMOTE_UNMET:
    case HF_REMOTE_REFUSED:
    case HF_REMOTE_FAILED:
    case HF_REMOTE_DOWN:
    case HF_REMOTE_STATUS_COUNT:
        break;
    }
    ask_fabric(call, PROBING);
}

/* ---- what the fabric says ---- */

static void ran(struct call *call, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_MISSING && !call->looked)
        missed(call);
    else
        finish(call, result);
}

static void peeked(struct call *call, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_OK)
        ask_fabric(call, RUNNING);
    else if (result->status == HF_OPERATION_MISSING)
        missed(call);
    else
        finish(call, result);
}

static void adopted(struct call *call, const struct hf_operation_result *result)
{
    free(call->blob);
    call->blob = NULL;
    if (result->status == HF_OPERATION_OK || result->status == HF_OPERATION_EXISTS)
        ask_fabric(call, RUNNING);
    else if (result->status == HF_OPERATION_DROPPED) {
        hf_outbox_delete(call->fabric->outbox, &call->asked->operation.key);
        absent(call);
    } else
        finish_status(call, (enum hf_operation_status)result->status);
}

static void probed(struct call *call, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_DROPPED)
        absent(call);
    else if (result->status == HF_OPERATION_OK)
        ask_fabric(call, RUNNING);
    else if (result->status == HF_OPERATION_MISSING && may_begin(&call->asked->operation))
        absent(call);
    else
        finish_status(call, HF_OPERATION_UNSURE);
}

static void answered(struct hf_sessions_call *inner, const struct hf_operation_result *result)
{
    struct call *call = hf_container_of(inner, struct call, inner);
    switch ((enum step)call->step) {
    case PEEKING:
        peeked(call, result);
        return;
    case RUNNING:
        ran(call, result);
        return;
    case ADOPTING:
        adopted(call, result);
        return;
    case PROBING:
        probed(call, result);
        return;
    case LOADING:
        break;
    }
    REQUIRE(!"a step that asks the fabric");
}

/* ---- the backend ---- */

static void submit(void *user, struct hf_sessions_call *asked)
{
    struct hf_external_fabric *fabric = user;
    struct call *call = hf_slab_acquire(&fabric->slab);
    if (call == NULL) {
        struct hf_operation_result result = hf_operation_failed(HF_OPERATION_FULL);
        hf_sessions_complete(asked, &result);
        return;
    }
    *call = (struct call){.asked = asked,
                          .inner = {.key = asked->key,
                                    .complete = answered,
                                    .sessions = asked->sessions,
                                    .backend = &fabric->inner,
                                    .nested = true},
                          .load = {.complete = loaded},
                          .fabric = fabric};
    hf_list_init(&call->node);
    hf_list_push_back(&fabric->calls, &call->node);
    asked->pending = call;
    ask_fabric(call, looks_first(&asked->operation) ? PEEKING : RUNNING);
}

static void abandon(void *user, struct hf_sessions_call *asked)
{
    struct hf_external_fabric *fabric = user;
    struct call *call = asked->pending;
    call->asked = NULL;
    if (call->step == LOADING)
        return; /* freed when the store has answered */
    fabric->inner.abandon(fabric->inner.user, &call->inner);
    release(call);
}

/* ---- life ---- */

static void store_changed(void *owner, enum hf_remote_change change)
{
    struct hf_external_fabric *fabric = owner;
    hf_outbox_store_changed(fabric->outbox, change);
}

static int make(struct hf_external_fabric *fabric)
{
    const struct hf_external_fabric_settings *settings = &fabric->settings;
    struct hf_store_options room = {.memory = HF_EXTERNAL_FABRIC_ROOM,
                                    .now_ms = hf_loop_now_ms(settings->outbox.loop)};
    struct hf_remote_settings remote = settings->remote;
    struct hf_outbox_settings outbox = settings->outbox;
    remote.changed = store_changed;
    remote.owner = fabric;
    memcpy(room.hash_key, outbox.hash_key, sizeof(room.hash_key));
    int result = hf_store_new(&room, &fabric->room);
    if (result == 0)
        result = hf_remote_new(outbox.loop, &remote, &fabric->remote);
    outbox.remote = fabric->remote;
    return result == 0 ? hf_outbox_new(&outbox, &fabric->outbox) : result;
}

int hf_external_fabric_new(const struct hf_external_fabric_settings *settings,
                           struct hf_external_fabric **ret_fabric)
{
    struct hf_external_fabric *fabric = calloc(1, sizeof(*fabric));
    if (fabric == NULL)
        return -ENOMEM;
    fabric->magic = EXTERNAL_FABRIC_MAGIC;
    fabric->settings = *settings;
    fabric->backend = (struct hf_sessions_backend){
        .name = "external", .user = fabric, .submit = submit, .abandon = abandon};
    fabric->inner = hf_replicated_backend(settings->outbox.replicated);
    hf_list_init(&fabric->calls);
    hf_slab_init(&fabric->slab, "external operations", sizeof(struct call),
                 HF_EXTERNAL_FABRIC_CALLS_MAX);
    int result = make(fabric);
    if (result < 0)
        hf_external_fabric_free(&fabric);
    else
        *ret_fabric = fabric;
    return result;
}

void hf_external_fabric_free(struct hf_external_fabric **fabric)
{
    struct hf_external_fabric *gone = *fabric;
    *fabric = NULL;
    if (gone == NULL)
        return;
    const struct hf_operation_result unsure = hf_operation_failed(HF_OPERATION_UNSURE);
    REQUIRE(HF_MAGIC_OK(gone, EXTERNAL_FABRIC_MAGIC));
    hf_remote_free(&gone->remote);
    hf_outbox_free(&gone->outbox); /* answers what it holds */
    while (!hf_list_empty(&gone->calls)) {
        struct call *call = hf_container_of(gone->calls.next, struct call, node);
        if (call->inner.pending != NULL)
            gone->inner.abandon(gone->inner.user, &call->inner);
        finish(call, &unsure);
    }
    hf_slab_fini(&gone->slab);
    hf_store_free(&gone->room);
    gone->magic = 0;
    free(gone);
}

const struct hf_sessions_backend *
hf_external_fabric_backend(const struct hf_external_fabric *fabric)
{
    return &fabric->backend;
}

bool hf_external_fabric_is_idle(const struct hf_external_fabric *fabric)
{
    return hf_list_empty(&fabric->calls);
}

struct hf_outbox *hf_external_fabric_outbox(const struct hf_external_fabric *fabric)
{
    return fabric->outbox;
}

struct hf_remote *hf_external_fabric_remote(const struct hf_external_fabric *fabric)
{
    return fabric->remote;
}
