#include "agent/external/external_internal.h"
#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>

/* ---- calls ---- */

static struct hf_external_call *first_call(const struct hf_external_key *key)
{
    return hf_list_empty(&key->calls)
               ? NULL
               : hf_container_of(key->calls.next, struct hf_external_call, node);
}

static void free_call(struct hf_external_call *call)
{
    hf_list_remove(&call->node);
    free(call->owned);
    free(call->answer);
    free(call);
}

/* The first call of the key is over. */
static void complete(struct hf_external_key *key, const struct hf_operation_result *result)
{
    struct hf_external_call *call = first_call(key);
    struct hf_sessions_call *asked = call->call;
    key->token = 0;
    hf_list_remove(&call->node);
    if (asked != NULL) {
        uint64_t now_ms = hf_external_now_ms(key->external);
        hf_sessions_set_time(asked->sessions, now_ms,
                             hf_loop_wall_ms(key->external->settings.loop));
        hf_sessions_complete(asked, result);
    }
    free_call(call);
}

static void complete_status(struct hf_external_key *key, enum hf_operation_status status)
{
    struct hf_operation_result result = hf_operation_failed(status);
    key->external->counts.unsure += status == HF_OPERATION_UNSURE;
    complete(key, &result);
}

/* With the result that was kept while its write was under way. */
static void complete_kept(struct hf_external_key *key)
{
    const struct hf_external_call *call = first_call(key);
    struct hf_operation_result result;
    bool right = hf_operation_decode_result(hf_slice(call->answer, call->answer_size),
                                            call->answer_ms, &result);
    REQUIRE(right);
    complete(key, &result);
}

static bool keep_result(struct hf_external_call *call, const struct hf_operation_result *result,
                        uint64_t now_ms)
{
    struct hf_writer writer = hf_writer(NULL, 0);
    hf_operation_encode_result(result, now_ms, &writer);
    call->answer = malloc(writer.size);
    if (call->answer == NULL)
        return false;
    call->answer_size = writer.size;
    call->answer_ms = now_ms;
    writer = hf_writer(call->answer, writer.size);
    hf_operation_encode_result(result, now_ms, &writer);
    return true;
}

/* ---- what is known ---- */

bool hf_external_asks(const struct hf_external_key *key)
{
    return !hf_remote_is_away(key->external->remote, hf_slice(key->text, key->size)) &&
           hf_external_now_ms(key->external) >= key->retry_ms;
}

/* Without an answer of the store: a copy, or that it was deleted here. */
static bool is_held(const struct hf_external_key *key)
{
    const struct hf_external *external = key->external;
    struct hf_store_value value;
    struct hf_store_record record;
    if (hf_external_copy_get(key, &value) || (key->dirty && key->gone))
        return true;
    return !key->key.satellite &&
           hf_store_find(external->settings.store, key->key.id, key->key.id_hash,
                         hf_external_now_ms(external), &record) &&
           record.state == HF_RECORD_TOMB;
}

/* New sessions and locks are made while the store is away: an id that this agent does not know is
 * taken for a new one. */
static bool may_begin(const struct hf_operation *operation)
{
    return hf_operation_overwrites(operation) ||
           (operation->kind == HF_OPERATION_SET && operation->when == HF_OPERATION_IF_NEW &&
            !(operation->flags & HF_OPERATION_OLD_VALUE));
}

/* ---- writing ---- */

static bool is_dirty_full(const struct hf_external_key *key)
{
    return !key->dirty && key->external->counts.dirty >= HF_EXTERNAL_DIRTY_MAX;
}

static void execute_now(struct hf_external_key *key, struct hf_external_call *call,
                        struct hf_operation_result *ret_result)
{
    struct hf_external *external = key->external;
    struct hf_operation_context context = {
        .store = external->settings.store,
        .scratch = &external->scratch,
        .write = {.now_ms = hf_external_now_ms(external), .fresh = {1, 0, 1}},
        .tomb_ms = key->strict ? external->settings.tomb_ms : 0,
    };
    struct hf_store_change change;
    hf_operation_execute(&context, &call->operation, ret_result, &change);
}

/* The result goes out at once, and the key to the store later. */
static void answer_first(struct hf_external_key *key, const struct hf_operation_result *result,
                         bool compare, uint64_t before)
{
    key->external->counts.kept += compare;
    hf_external_key_mark(key, compare, before);
    complete(key, result);
}

static void execute(struct hf_external_key *key, struct hf_external_call *call)
{
    struct hf_external *external = key->external;
    bool writes = hf_operation_writes(&call->operation);
    bool away = !hf_external_asks(key) || call->known == HF_EXTERNAL_STALE;
    bool later = writes && (away || (external->settings.behind && !is_dirty_full(key)));
    struct hf_operation_result result;
    struct hf_external_siblings siblings = {.count = 0};
    if (writes && away && is_dirty_full(key)) {
        external->counts.refused++;
        complete_status(key, HF_OPERATION_FULL);
        return;
    }
    bool ends = key->strict && call->operation.kind == HF_OPERATION_DELETE && !key->key.satellite;
    if (ends)
        hf_external_note_siblings(key, &siblings);
    call->before = writes ? hf_external_copy_digest(key) : 0;
    execute_now(key, call, &result);
    external->counts.copies += !writes && call->known == HF_EXTERNAL_STALE;
    if (!writes || result.status != HF_OPERATION_OK) {
        complete(key, &result);
        return;
    }
    if (later || !keep_result(call, &result, hf_external_now_ms(external)))
        answer_first(key, &result, away, call->before);
    else
        hf_external_write(key, call);
    if (ends)
        hf_external_delete_siblings(key, &siblings);
}

static void written(struct hf_external_key *key, const struct hf_remote_result *result)
{
    struct hf_external_call *call = first_call(key);
    switch ((enum hf_remote_status)result->status) {
    case HF_REMOTE_OK:
        complete_kept(key);
        return;
    case HF_REMOTE_MISSING:
    case HF_REMOTE_UNMET:
    case HF_REMOTE_WRONG_TYPE: /* another has changed it since it was loaded: again from there */
        free(call->answer);
        call->answer = NULL;
        call->known = HF_EXTERNAL_UNASKED;
        if (++call->tries >= HF_EXTERNAL_TRIES_MAX)
            complete_status(key, HF_OPERATION_UNSURE);
        return;
    case HF_REMOTE_MOVED:
        if (++call->tries < HF_EXTERNAL_TRIES_MAX) {
            hf_external_write(key, call);
            return;
        }
        break;
    case HF_REMOTE_REFUSED:
    case HF_REMOTE_FAILED:
    case HF_REMOTE_DOWN:
    case HF_REMOTE_STATUS_COUNT:
        break;
    }
    key->external->counts.kept++;
    key->external->outage = true;
    hf_external_key_mark(key, true, call->before);
    if (result->status != HF_REMOTE_DOWN)
        key->tried = hf_external_copy_digest(key);
    key->retry_ms = hf_external_now_ms(key->external) + HF_EXTERNAL_RETRY_MS;
    complete_kept(key);
}

/* ---- loading ---- */

static void load(struct hf_external_key *key)
{
    const struct hf_remote_request request = {
        .kind = HF_REMOTE_LOAD, .hash = key->hash, .key = hf_slice(key->text, key->size)};
    key->step = HF_EXTERNAL_LOADING;
    hf_remote_submit(key->external->remote, &key->remote, &request);
}

static void begin_load(struct hf_external_key *key, const struct hf_external_call *call)
{
    struct hf_store_value value;
    enum hf_operation_kind kind = (enum hf_operation_kind)call->operation.kind;
    bool fields = kind == HF_OPERATION_HASH_GET || kind == HF_OPERATION_HASH_ALL ||
                  kind == HF_OPERATION_HASH_SET || kind == HF_OPERATION_HASH_DELETE ||
                  kind == HF_OPERATION_HASH_ADD;
    key->hash = hf_external_copy_get(key, &value) ? value.kind == HF_STORE_HASH : fields;
    key->turned = false;
    load(key);
}

static void loaded(struct hf_external_key *key, struct hf_remote_result *result)
{
    struct hf_external_call *call = first_call(key);
    enum hf_operation_status status;
    switch ((enum hf_remote_status)result->status) {
    case HF_REMOTE_OK:
    case HF_REMOTE_MISSING:
        key->token = result->token;
        status = hf_external_copy_put(key, result);
        call->known = HF_EXTERNAL_FRESH;
        if (status != HF_OPERATION_OK)
            complete_status(key, status);
        return;
    case HF_REMOTE_WRONG_TYPE:
        if (!key->turned) {
            key->turned = true;
            key->hash = !key->hash;
            load(key);
        } else {
            complete_status(key, HF_OPERATION_WRONG_TYPE);
        }
        return;
    case HF_REMOTE_MOVED:
        if (++call->tries < HF_EXTERNAL_TRIES_MAX) {
            load(key);
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
    call->known = HF_EXTERNAL_STALE;
}

/* No answer, no copy: waits a little, if the store is not known to be away. True: it is over. */
static bool is_hopeless(struct hf_external_key *key, struct hf_external_call *call)
{
    bool again = hf_external_asks(key) && ++call->tries < HF_EXTERNAL_TRIES_MAX &&
                 hf_external_now_ms(key->external) < call->until_ms;
    call->known = HF_EXTERNAL_UNASKED;
    return !again;
}

/* ---- a key's calls, one after the other ---- */

static bool has_copy(const struct hf_external_key *key)
{
    struct hf_store_value value;
    return hf_external_copy_get(key, &value);
}

/* False: nothing more can be done now. */
static bool go_on(struct hf_external_key *key)
{
    struct hf_external_call *call = first_call(key);
    bool asks = hf_external_asks(key);
    if (key->step != HF_EXTERNAL_IDLE)
        return false;
    if (key->dirty && key->compare && asks) {
        hf_external_reconcile(key);
        return true;
    }
    if (call == NULL)
        return false;
    if (call->call == NULL && !hf_operation_writes(&call->operation)) {
        free_call(call);
        return true;
    }
    bool must_know = !hf_operation_overwrites(&call->operation) && !key->dirty;
    if (must_know && call->known == HF_EXTERNAL_UNASKED) {
        if (asks && key->external->walking && !call->compared && has_copy(key)) {
            call->compared = true;
            hf_external_key_restore(key);
        } else if (asks)
            begin_load(key, call);
        else
            call->known = HF_EXTERNAL_STALE;
        return true;
    }
    bool guesses = must_know && call->known == HF_EXTERNAL_STALE && !is_held(key) &&
                   !may_begin(&call->operation);
    if (!guesses)
        execute(key, call);
    else if (is_hopeless(key, call))
        complete_status(key, HF_OPERATION_UNSURE);
    return true;
}

void hf_external_advance(struct hf_external_key *key)
{
    if (key->advancing)
        return;
    key->advancing = true;
    while (go_on(key))
        ;
    key->advancing = false;
    hf_external_key_settle(key);
}

void hf_external_done(struct hf_external_key *key, struct hf_remote_result *result)
{
    enum hf_external_step step = (enum hf_external_step)key->step;
    bool advancing = key->advancing;
    key->step = HF_EXTERNAL_IDLE;
    key->advancing = true; /* what is completed may submit again */
    if (step == HF_EXTERNAL_LOADING)
        loaded(key, result);
    else if (step == HF_EXTERNAL_WRITING)
        written(key, result);
    else if (step == HF_EXTERNAL_COMPARING)
        hf_external_compared(key, result);
    else
        hf_external_caught(key, result);
    key->advancing = advancing;
    struct hf_external *external = key->external;
    hf_external_advance(key);
    if (step == HF_EXTERNAL_COMPARING || step == HF_EXTERNAL_CATCHING)
        hf_external_flush(external);
}

/* ---- the backend ---- */

static void submit(void *user, struct hf_sessions_call *asked)
{
    struct hf_external *external = user;
    bool strict = asked->operation.flags & HF_OPERATION_STRICT;
    struct hf_external_call *call = calloc(1, sizeof(*call));
    struct hf_external_key *key =
        call ? hf_external_key_get(external, asked->key, &asked->operation.key, strict) : NULL;
    external->sessions = asked->sessions;
    if (key == NULL) {
        struct hf_operation_result result = hf_operation_failed(HF_OPERATION_FULL);
        free(call);
        hf_sessions_complete(asked, &result);
        return;
    }
    call->call = asked;
    call->operation = asked->operation;
    call->operation.key = key->key;
    call->until_ms = hf_external_now_ms(external) + HF_EXTERNAL_PATIENCE_MS;
    asked->pending = call;
    hf_list_push_back(&key->calls, &call->node);
    hf_external_advance(key);
}

/* Whoever asked is gone, and with it what the operation borrows: a write still happens. */
static void abandon(void *user, struct hf_sessions_call *asked)
{
    struct hf_external *external = user;
    struct hf_external_call *call = asked->pending;
    uint64_t now_ms = hf_external_now_ms(external);
    struct hf_store_key key = call->operation.key;
    call->call = NULL;
    if (call->answer != NULL || !hf_operation_writes(&call->operation))
        return;
    struct hf_writer writer = hf_writer(NULL, 0);
    hf_operation_encode(&call->operation, now_ms, &writer);
    size_t fields = call->operation.field_count * sizeof(struct hf_slice);
    call->owned = malloc(fields + writer.size);
    bool right = call->owned != NULL;
    if (right) {
        struct hf_operation_room room = {(void *)call->owned, call->operation.field_count};
        char *bytes = call->owned + fields;
        writer = hf_writer(bytes, writer.size);
        hf_operation_encode(&call->operation, now_ms, &writer);
        right = hf_operation_decode(hf_slice(bytes, writer.size), now_ms, &room, &call->operation);
    }
    call->operation.key = key;
    if (!right) /* without memory it does not happen */
        call->operation = (struct hf_operation){.kind = HF_OPERATION_GET, .key = key};
}

const struct hf_sessions_backend *hf_external_backend(const struct hf_external *external)
{
    return &external->backend;
}

/* ---- life ---- */

static void flush_expired(struct hf_timer *timer)
{
    struct hf_external *external = hf_container_of(timer, struct hf_external, flush);
    hf_timer_set(hf_loop_timers(external->settings.loop), &external->flush,
                 hf_external_now_ms(external) + HF_EXTERNAL_BEHIND_MS);
    hf_external_flush(external);
}

int hf_external_new(const struct hf_external_settings *settings, struct hf_external **ret_external)
{
    struct hf_external *external = calloc(1, sizeof(*external));
    if (external == NULL)
        return -ENOMEM;
    external->magic = HF_EXTERNAL_MAGIC;
    external->settings = *settings;
    external->backend = (struct hf_sessions_backend){
        .name = "external", .user = external, .submit = submit, .abandon = abandon};
    external->flush.expired = flush_expired;
    hf_list_init(&external->dirty);
    external->buckets = calloc(HF_EXTERNAL_BUCKETS, sizeof(struct hf_external_key *));
    struct hf_remote_settings remote = settings->remote;
    remote.changed = hf_external_changed;
    remote.owner = external;
    int result = external->buckets == NULL
                     ? -ENOMEM
                     : hf_remote_new(settings->loop, &remote, &external->remote);
    if (result < 0) {
        hf_external_free(&external);
        return result;
    }
    (void)hf_external_set_memory(external, settings->memory);
    hf_timer_set(hf_loop_timers(settings->loop), &external->flush,
                 hf_external_now_ms(external) + HF_EXTERNAL_BEHIND_MS);
    *ret_external = external;
    return 0;
}

static void free_key(struct hf_external_key *key)
{
    key->advancing = true;
    while (first_call(key) != NULL)
        complete_status(key, HF_OPERATION_UNSURE);
    free(key);
}

void hf_external_free(struct hf_external **external)
{
    struct hf_external *gone = *external;
    *external = NULL;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, HF_EXTERNAL_MAGIC));
    hf_timer_cancel(hf_loop_timers(gone->settings.loop), &gone->flush);
    hf_remote_free(&gone->remote);
    for (unsigned i = 0; gone->buckets != NULL && i < HF_EXTERNAL_BUCKETS; i++)
        for (struct hf_external_key *key; (key = gone->buckets[i]) != NULL;) {
            gone->buckets[i] = key->next;
            free_key(key);
        }
    free(gone->buckets);
    hf_bytes_clear(NULL, &gone->scratch);
    gone->magic = 0;
    free(gone);
}

void hf_external_bring(struct hf_external *external, struct hf_sessions *sessions)
{
    external->sessions = sessions;
    external->walking = external->outage = true;
    external->walk = 0;
    hf_external_limit(external);
}

int hf_external_set_memory(struct hf_external *external, size_t memory)
{
    external->settings.memory = memory;
    return hf_external_limit(external);
}

bool hf_external_is_clean(const struct hf_external *external)
{
    return external->counts.dirty == 0;
}

const struct hf_external_counts *hf_external_counts(const struct hf_external *external)
{
    return &external->counts;
}

struct hf_remote *hf_external_remote(const struct hf_external *external)
{
    return external->remote;
}
