#include "agent/replicated.h"
#include "base/assert.h"
#include "base/slab.h"
#include "fabric/records.h"
#include <errno.h>
#include <stdlib.h>

enum { REPLICATED_MAGIC = 0x52455031 };

/* An operation under way. What it borrows of its call is copied when the call is abandoned. */
struct pending {
    struct hf_fabric_op op;
    struct hf_sessions_call *call; /* NULL: abandoned; it may still happen */
    struct hf_list node;           /* to be asked again */
    uint64_t end_ms, again_ms;
    bool executed;                     /* here: `result` is what came of it */
    struct hf_operation_result result; /* its slices are the store's, until `kept` has them */
    struct hf_bytes kept;              /* the result encoded, at kept_ms */
    uint64_t kept_ms;
    struct hf_bytes request; /* the operation encoded */
    uint16_t id_size;
    char id[HF_STORE_ID_MAX];
};

struct hf_replicated {
    uint32_t magic;
    struct hf_replicated_settings settings; /* what it points at is borrowed */
    struct hf_records *records;             /* owned, as all below */
    struct hf_fabric *fabric;
    struct hf_slab slab; /* of struct pending */
    struct hf_bytes scratch;
    struct hf_slice *fields; /* [HF_OPERATION_FIELDS_MAX]: of the operation being decoded */
    struct hf_bytes reply;
    struct hf_list again;
    struct hf_replicated_counts counts;
    const struct hf_replicated_hooks *hooks; /* borrowed; NULL: none */
    uint64_t now_ms;
};

/* ---- encoding ---- */

/* False: out of memory. */
static bool encode_result(const struct hf_operation_result *result, uint64_t now_ms,
                          struct hf_bytes *bytes)
{
    struct hf_writer writer = hf_writer(bytes->bytes, bytes->room);
    hf_operation_encode_result(result, now_ms, &writer);
    if (!hf_writer_fits(&writer)) {
        if (hf_bytes_renew(bytes, writer.size) == NULL)
            return false;
        writer = hf_writer(bytes->bytes, bytes->room);
        hf_operation_encode_result(result, now_ms, &writer);
    }
    bytes->end = writer.size;
    return true;
}

/* A life that ended on the way ends by its time, one ms after it began. Given as one of the past it
 * would be a delete: with a tombstone that keeps what is written next from being kept. */
static const struct hf_operation *operation_of(struct pending *pending, uint64_t now_ms)
{
    struct hf_operation *operation = &pending->call->operation;
    bool was_due =
        hf_deadline_due(operation->deadline_ms, pending->end_ms - HF_REPLICATED_PATIENCE_MS);
    if (!was_due && hf_deadline_due(operation->deadline_ms, now_ms))
        operation->deadline_ms = now_ms + 1;
    return operation;
}

static bool encode_operation(struct pending *pending, uint64_t now_ms)
{
    const struct hf_operation *operation = operation_of(pending, now_ms);
    struct hf_writer writer = hf_writer(NULL, 0);
    hf_operation_encode(operation, now_ms, &writer);
    if (hf_bytes_renew(&pending->request, writer.size) == NULL)
        return false;
    writer = hf_writer(pending->request.bytes, pending->request.room);
    hf_operation_encode(operation, now_ms, &writer);
    pending->request.end = writer.size;
    return true;
}

/* ---- executing: for the records ---- */

static void run(struct hf_replicated *replicated, const struct hf_operation *operation,
                const struct hf_store_write *write, struct hf_operation_result *result,
                struct hf_records_done *done)
{
    const struct hf_replicated_hooks *hooks = replicated->hooks;
    enum hf_operation_status status =
        hooks != NULL ? hooks->admit(hooks->user, operation) : HF_OPERATION_OK;
    done->key = operation->key;
    if (status != HF_OPERATION_OK) {
        *result = hf_operation_failed(status);
        return;
    }
    /* The fabric leaves a tombstone wherever a record goes by a delete; the store's own ends the
     * session with all its keys, which is for those whose ids are never used again. */
    bool strict = operation->flags & HF_OPERATION_STRICT;
    struct hf_operation_context context = {.store = replicated->settings.store,
                                           .scratch = &replicated->scratch,
                                           .write = *write,
                                           .tomb_ms = strict ? HF_FABRIC_TOMB_MS : 0};
    hf_operation_execute(&context, operation, result, &done->change);
}

static void tell_change(struct hf_replicated *replicated, struct hf_fabric_op *op,
                        const struct hf_operation *operation, const struct hf_records_done *done)
{
    const struct hf_replicated_hooks *hooks = replicated->hooks;
    if (hooks != NULL)
        hooks->changed(hooks->user, op, operation, &done->change);
}

/* From bytes: another node's operation, or one whose call was abandoned. */
static void run_encoded(struct hf_replicated *replicated, struct hf_fabric_op *op,
                        const struct hf_store_write *write, struct hf_operation_result *result,
                        struct hf_records_done *done)
{
    const struct hf_operation_room room = {replicated->fields, HF_OPERATION_FIELDS_MAX};
    struct hf_operation operation;
    if (!hf_operation_decode(op->request, write->now_ms, &room, &operation) ||
        !hf_slice_equal(operation.key.id, op->id)) {
        replicated->counts.malformed++;
        *result = hf_operation_failed(HF_OPERATION_UNSURE);
        return;
    }
    operation.key.id_hash = hf_store_hash(replicated->settings.hash_key, operation.key.id);
    run(replicated, &operation, write, result, done);
    if (op->user == NULL && encode_result(result, write->now_ms, &replicated->reply))
        done->reply = hf_bytes_slice(&replicated->reply);
    tell_change(replicated, op, &operation, done);
}

static void execute(void *user, struct hf_fabric_op *op, const struct hf_store_write *write,
                    struct hf_records_done *done)
{
    struct hf_replicated *replicated = user;
    struct pending *pending = op->user;
    struct hf_operation_result result;
    if (pending == NULL || pending->call == NULL) {
        run_encoded(replicated, op, write, &result, done);
        return;
    }
    const struct hf_operation *operation = operation_of(pending, write->now_ms);
    pending->executed = true;
    run(replicated, operation, write, &pending->result, done);
    tell_change(replicated, op, operation, done);
}

static void owned(void *user, struct hf_slice id, uint64_t id_hash)
{
    struct hf_replicated *replicated = user;
    if (replicated->hooks != NULL)
        replicated->hooks->owned(replicated->hooks->user, id, id_hash);
}

/* ---- the fabric's host ---- */

static void wake(void *user, unsigned peer)
{
    struct hf_replicated *replicated = user;
    if (replicated->settings.wake != NULL)
        replicated->settings.wake(replicated->settings.user, peer);
}

/* Without memory nothing is sent, which the owner takes for malformed: not done. */
static struct hf_slice encode(void *user, struct hf_fabric_op *op)
{
    struct hf_replicated *replicated = user;
    struct pending *pending = op->user;
    if (pending->call == NULL || !encode_operation(pending, replicated->now_ms))
        return hf_slice(NULL, 0);
    return hf_bytes_slice(&pending->request);
}

static void keep(void *user, struct hf_fabric_op *op)
{
    struct hf_replicated *replicated = user;
    struct pending *pending = op->user;
    bool borrows = pending->result.value.size > 0 || pending->result.fields.store != NULL;
    if (pending->call == NULL || !pending->executed || !borrows)
        return;
    pending->kept_ms = replicated->now_ms;
    if (!encode_result(&pending->result, pending->kept_ms, &pending->kept))
        pending->result = hf_operation_failed(HF_OPERATION_UNSURE);
}

static void release(struct hf_replicated *replicated, struct pending *pending)
{
    hf_bytes_clear(NULL, &pending->kept);
    hf_bytes_clear(NULL, &pending->request);
    hf_list_remove(&pending->node);
    hf_slab_release(&replicated->slab, &pending);
    replicated->counts.under_way--;
}

static void decode_result(struct hf_replicated *replicated, struct hf_slice bytes, uint64_t at_ms,
                          struct hf_operation_result *result)
{
    if (hf_operation_decode_result(bytes, at_ms, result))
        return;
    replicated->counts.malformed++;
    *result = hf_operation_failed(HF_OPERATION_UNSURE);
}

static void find_result(struct hf_replicated *replicated, struct pending *pending,
                        struct hf_operation_result *result)
{
    static const uint8_t statuses[HF_FABRIC_STATUSES] = {
        [HF_FABRIC_OK] = HF_OPERATION_OK,         [HF_FABRIC_DEGRADED] = HF_OPERATION_OK,
        [HF_FABRIC_MISS] = HF_OPERATION_MISSING,  [HF_FABRIC_DROPPED] = HF_OPERATION_DROPPED,
        [HF_FABRIC_UNSURE] = HF_OPERATION_UNSURE, [HF_FABRIC_FULL] = HF_OPERATION_FULL,
        [HF_FABRIC_RETRY] = HF_OPERATION_UNSURE,  [HF_FABRIC_UNDER_WAY] = HF_OPERATION_UNSURE,
        [HF_FABRIC_LATE] = HF_OPERATION_UNSURE,
    };
    const struct hf_fabric_op *op = &pending->op;
    enum hf_operation_status status = (enum hf_operation_status)statuses[op->status];
    if (status != HF_OPERATION_OK)
        *result = hf_operation_failed(status);
    else if (op->remote)
        decode_result(replicated, op->reply, replicated->now_ms, result);
    else if (hf_bytes_size(&pending->kept) > 0)
        decode_result(replicated, hf_bytes_slice(&pending->kept), pending->kept_ms, result);
    else
        *result = pending->result;
}

/* A read may be asked again; whether a write happened may not be known. */
static bool asks_again(const struct hf_replicated *replicated, const struct pending *pending)
{
    bool unsure = pending->op.status == HF_FABRIC_UNSURE || pending->op.status == HF_FABRIC_RETRY;
    return unsure && pending->op.flags & HF_FABRIC_READS && pending->call != NULL &&
           replicated->now_ms < pending->end_ms;
}

static void conclude(struct hf_replicated *replicated, struct pending *pending)
{
    if (pending->call != NULL) {
        struct hf_operation_result result;
        find_result(replicated, pending, &result);
        hf_sessions_complete(pending->call, &result);
    }
    release(replicated, pending);
}

static bool hold(void *user, struct hf_fabric_op *op)
{
    struct hf_replicated *replicated = user;
    return replicated->hooks != NULL && replicated->hooks->hold(replicated->hooks->user, op);
}

static void complete(void *user, struct hf_fabric_op *op)
{
    struct hf_replicated *replicated = user;
    struct pending *pending = op->user;
    if (replicated->fabric != NULL && asks_again(replicated, pending)) {
        pending->again_ms = replicated->now_ms + HF_REPLICATED_AGAIN_MS;
        hf_list_push_back(&replicated->again, &pending->node);
        return;
    }
    if (op->held == NULL || !hold(replicated, op))
        conclude(replicated, pending);
    else if (hf_bytes_size(&pending->kept) == 0) /* else what it borrowed may be gone by now */
        keep(replicated, op);
}

/* ---- the backend ---- */

/* Where ids are used again, what makes a session makes it over a tombstone too, unless it belongs
 * to a request that had read the session before. Beside the session itself only a lock does (SET
 * NX): a late note about a session that is over is dropped. */
static bool passes_tomb(const struct hf_operation *operation)
{
    if (operation->flags & (HF_OPERATION_STRICT | HF_OPERATION_ADOPTS | HF_OPERATION_LATE))
        return false;
    return !operation->key.satellite || operation->when == HF_OPERATION_IF_NEW;
}

static uint8_t flags_of(const struct hf_operation *operation)
{
    unsigned flags = 0;
    if (operation->flags & HF_OPERATION_STARTS)
        flags |= HF_FABRIC_ACQUIRES;
    bool adopts = operation->flags & HF_OPERATION_ADOPTS;
    if (!hf_operation_writes(operation) && !adopts)
        flags |= HF_FABRIC_READS;
    if (hf_operation_creates(operation) || adopts)
        flags |= HF_FABRIC_CREATES;
    if (passes_tomb(operation))
        flags |= HF_FABRIC_OVER_TOMB;
    return (uint8_t)flags;
}

static void start(struct hf_replicated *replicated, struct pending *pending)
{
    const struct hf_sessions_call *call = pending->call;
    pending->executed = false;
    pending->kept.end = 0;
    pending->op = (struct hf_fabric_op){
        .id = call->operation.key.id, .user = pending, .flags = flags_of(&call->operation)};
    hf_fabric_submit(replicated->fabric, &pending->op, replicated->now_ms);
}

/* A read of what is owned here, with nothing under way about it: the common case. */
static bool read_at_once(struct hf_replicated *replicated, struct hf_sessions_call *call)
{
    const struct hf_store_key *key = &call->operation.key;
    struct hf_operation_context context = {.store = replicated->settings.store,
                                           .scratch = &replicated->scratch,
                                           .write = {.now_ms = replicated->now_ms}};
    struct hf_fabric_record record;
    struct hf_operation_result result;
    struct hf_store_change change;
    if (hf_operation_writes(&call->operation) || call->operation.flags & HF_OPERATION_ADOPTS ||
        !hf_records_look(replicated->records, key->id, key->id_hash, replicated->now_ms, &record) ||
        !hf_fabric_readable(replicated->fabric, &record, key->id, hf_rank_hash(key->id),
                            replicated->now_ms))
        return false;
    hf_operation_execute(&context, &call->operation, &result, &change);
    hf_sessions_complete(call, &result);
    return true;
}

static void submit(void *user, struct hf_sessions_call *call)
{
    struct hf_replicated *replicated = user;
    REQUIRE(HF_MAGIC_OK(replicated, REPLICATED_MAGIC));
    hf_replicated_set_time(replicated, hf_sessions_now_ms(call->sessions));
    if (read_at_once(replicated, call))
        return;
    struct pending *pending = hf_slab_acquire(&replicated->slab);
    if (pending == NULL) {
        struct hf_operation_result full = hf_operation_failed(HF_OPERATION_FULL);
        hf_sessions_complete(call, &full);
        return;
    }
    replicated->counts.under_way++;
    pending->call = call;
    pending->end_ms = replicated->now_ms + HF_REPLICATED_PATIENCE_MS;
    pending->kept = pending->request = (struct hf_bytes){0};
    hf_list_init(&pending->node);
    call->pending = pending;
    start(replicated, pending);
}

/* What is to be asked again has not happened; the rest goes on with bytes of its own. */
static void abandon(void *user, struct hf_sessions_call *call)
{
    struct hf_replicated *replicated = user;
    struct pending *pending = call->pending;
    bool idle = !hf_list_empty(&pending->node);
    if (!idle && !pending->executed && pending->op.request.size == 0 &&
        encode_operation(pending, replicated->now_ms))
        pending->op.request = hf_bytes_slice(&pending->request);
    pending->id_size = (uint16_t)pending->op.id.size;
    memcpy(pending->id, pending->op.id.bytes, pending->id_size);
    pending->op.id = hf_slice(pending->id, pending->id_size);
    pending->call = NULL;
    if (idle)
        release(replicated, pending);
}

struct hf_sessions_backend hf_replicated_backend(struct hf_replicated *replicated)
{
    return (struct hf_sessions_backend){
        .name = "replicated", .user = replicated, .submit = submit, .abandon = abandon};
}

/* ---- time ---- */

static void ask_again(struct hf_replicated *replicated)
{
    struct hf_list *node;
    while ((node = replicated->again.next) != &replicated->again) {
        struct pending *pending = hf_container_of(node, struct pending, node);
        if (pending->again_ms > replicated->now_ms)
            break;
        hf_list_remove(node);
        replicated->counts.repeated++;
        start(replicated, pending);
    }
}

void hf_replicated_set_time(struct hf_replicated *replicated, uint64_t now_ms)
{
    replicated->now_ms = now_ms > replicated->now_ms ? now_ms : replicated->now_ms;
}

void hf_replicated_tick(struct hf_replicated *replicated, uint64_t now_ms)
{
    REQUIRE(HF_MAGIC_OK(replicated, REPLICATED_MAGIC));
    hf_replicated_set_time(replicated, now_ms);
    hf_fabric_tick(replicated->fabric, now_ms);
    ask_again(replicated);
}

struct hf_fabric *hf_replicated_fabric(struct hf_replicated *replicated)
{
    return replicated->fabric;
}

struct hf_replicated_counts hf_replicated_counts(const struct hf_replicated *replicated)
{
    struct hf_replicated_counts counts = replicated->counts;
    counts.refused = hf_records_refused(replicated->records);
    return counts;
}

void hf_replicated_set_hooks(struct hf_replicated *replicated,
                             const struct hf_replicated_hooks *hooks)
{
    replicated->hooks = hooks;
}

void hf_replicated_resume(struct hf_replicated *replicated, struct hf_fabric_op *op)
{
    if (op->user == NULL)
        hf_fabric_resume(replicated->fabric, op, replicated->now_ms);
    else
        conclude(replicated, op->user);
}

bool hf_replicated_serves(const struct hf_replicated *replicated, struct hf_slice id,
                          uint64_t id_hash, uint64_t now_ms)
{
    struct hf_fabric_record record;
    return hf_records_peek(replicated->records, id, id_hash, now_ms, &record) &&
           hf_fabric_serves(replicated->fabric, &record, hf_rank_hash(id), 0);
}

/* ---- life ---- */

static int make(struct hf_replicated *replicated, uint64_t now_ms)
{
    const struct hf_replicated_settings *settings = &replicated->settings;
    struct hf_records_settings records = {.store = settings->store,
                                          .self = settings->fabric.self,
                                          .execute = execute,
                                          .owned = owned,
                                          .user = replicated};
    memcpy(records.hash_key, settings->hash_key, sizeof(records.hash_key));
    replicated->fields = malloc(HF_OPERATION_FIELDS_MAX * sizeof(*replicated->fields));
    int result = replicated->fields != NULL ? 0 : -ENOMEM;
    if (result == 0)
        result = hf_records_new(&records, &replicated->records);
    if (result < 0)
        return result;
    struct hf_fabric_store store = hf_records_store(replicated->records);
    struct hf_fabric_host host = {.user = replicated,
                                  .complete = complete,
                                  .wake = wake,
                                  .encode = encode,
                                  .keep = keep,
                                  .hold = hold};
    return hf_fabric_new(&settings->fabric, settings->rank, &store, &host, now_ms,
                         &replicated->fabric);
}

int hf_replicated_new(const struct hf_replicated_settings *settings, uint64_t now_ms,
                      struct hf_replicated **ret_replicated)
{
    struct hf_replicated *replicated = calloc(1, sizeof(*replicated));
    if (replicated == NULL)
        return -ENOMEM;
    replicated->magic = REPLICATED_MAGIC;
    replicated->settings = *settings;
    replicated->now_ms = now_ms;
    hf_list_init(&replicated->again);
    hf_slab_init(&replicated->slab, "replicated operations", sizeof(struct pending),
                 settings->calls_max);
    int result = make(replicated, now_ms);
    if (result < 0)
        hf_replicated_free(&replicated);
    else
        *ret_replicated = replicated;
    return result;
}

void hf_replicated_free(struct hf_replicated **replicated)
{
    struct hf_replicated *gone = *replicated;
    struct hf_list *node;
    *replicated = NULL;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, REPLICATED_MAGIC));
    struct hf_fabric *fabric = gone->fabric;
    gone->fabric = NULL; /* nothing is asked again */
    hf_fabric_free(&fabric);
    while ((node = hf_list_pop_front(&gone->again)) != NULL)
        complete(gone, &hf_container_of(node, struct pending, node)->op);
    hf_records_free(&gone->records);
    hf_slab_fini(&gone->slab);
    hf_bytes_clear(NULL, &gone->scratch);
    hf_bytes_clear(NULL, &gone->reply);
    free(gone->fields);
    gone->magic = 0;
    free(gone);
}
