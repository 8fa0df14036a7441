/* One request about one key, and what came of it. */
#include "agent/external/outbox_internal.h"
#include "base/assert.h"
#include "base/clock.h"
#include <stdlib.h>

/* ---- not now ---- */

/* Copies have it; what the store has is not known. */
static void put_off(struct hf_outbox_key *key, uint64_t delay_ms)
{
    struct hf_outbox *outbox = key->outbox;
    outbox->counts.kept += !hf_list_empty(&key->tickets);
    key->whole = true;
    hf_outbox_key_owe(key);
    hf_outbox_key_wait(key, hf_outbox_now_ms(outbox) + delay_ms);
    hf_outbox_let_go(key, key->version);
}

/* ---- asking ---- */

static void begin(struct hf_outbox_key *key, enum hf_outbox_step step)
{
    key->step = (uint8_t)step;
    key->sent = key->version;
    hf_list_remove(&key->node);
    key->outbox->window += key->late && !key->windowed;
    key->windowed |= key->late;
    key->late = false;
}

static void send_delete(struct hf_outbox_key *key)
{
    const struct hf_remote_request request = {
        .kind = HF_REMOTE_DELETE, .key = hf_slice(key->text, key->size), .ttl_ms = HF_REMOTE_NEVER};
    begin(key, HF_OUTBOX_SENDING);
    hf_remote_submit(key->outbox->settings.remote, &key->remote, &request);
}

static void send_hash(struct hf_outbox_key *key, const struct hf_store_value *value,
                      struct hf_remote_request *request)
{
    const struct hf_outbox *outbox = key->outbox;
    struct hf_slice *slices = calloc((size_t)value->field_count * 2 + 1, sizeof(*slices));
    struct hf_store_cursor cursor = {0};
    struct hf_store_field field;
    if (slices == NULL) {
        struct hf_remote_result result = {.status = HF_REMOTE_DOWN};
        hf_outbox_done(&key->remote, &result);
        return;
    }
    while (request->field_count < 2 * value->field_count &&
           hf_store_hash_next(outbox->settings.store, &key->key, hf_outbox_now_ms(outbox), &cursor,
                              &field)) {
        slices[request->field_count++] = field.name;
        slices[request->field_count++] = field.value;
    }
    request->hash = true;
    request->fields = slices;
    hf_remote_submit(outbox->settings.remote, &key->remote, request);
    free(slices);
}

static void send_value(struct hf_outbox_key *key, const struct hf_store_value *value)
{
    struct hf_remote_request request = {.kind = key->whole ? HF_REMOTE_PUT : HF_REMOTE_EXPIRE,
                                        .key = hf_slice(key->text, key->size),
                                        .ttl_ms = HF_REMOTE_NEVER,
                                        .client_flags = value->flags};
    if (value->deadline_ms != HF_DEADLINE_NEVER)
        request.ttl_ms = value->deadline_ms - hf_outbox_now_ms(key->outbox);
    key->deadline_ms = value->deadline_ms;
    begin(key, HF_OUTBOX_SENDING);
    key->whole = false;
    if (request.kind == HF_REMOTE_PUT && value->kind == HF_STORE_HASH) {
        send_hash(key, value, &request);
        return;
    }
    if (request.kind == HF_REMOTE_PUT)
        request.value = value->bytes;
    hf_remote_submit(key->outbox->settings.remote, &key->remote, &request);
}

/* Whether somebody made the key anew since it was deleted here. */
static void check(struct hf_outbox_key *key)
{
    struct hf_outbox *outbox = key->outbox;
    uint64_t now_ms = hf_outbox_now_ms(outbox);
    begin(key, HF_OUTBOX_CHECKING);
    key->check.sessions = outbox->settings.sessions;
    key->check.nested = true;
    key->check.backend = &outbox->inner;
    key->check.operation = (struct hf_operation){
        .kind = HF_OPERATION_GET, .flags = HF_OPERATION_NO_VALUE, .key = key->key};
    hf_sessions_set_time(outbox->settings.sessions, now_ms, hf_loop_wall_ms(outbox->settings.loop));
    outbox->inner.submit(outbox->inner.user, &key->check);
}

/* This turn has just begun: else, stopped in the middle of it, the process may own nothing any
 * more. */
static bool is_punctual(const struct hf_outbox *outbox)
{
    return hf_clock_monotonic_ms() <= hf_outbox_now_ms(outbox) + HF_OUTBOX_LATE_MS;
}

static void send_owned(struct hf_outbox_key *key)
{
    struct hf_outbox *outbox = key->outbox;
    const struct hf_outbox_settings *settings = &outbox->settings;
    uint64_t now_ms = hf_outbox_now_ms(outbox);
    struct hf_store_value value;
    enum hf_store_status status = hf_store_get(settings->store, &key->key, now_ms, &value);
    if (status == HF_STORE_OK && settings->writing == HF_OUTBOX_DELETES)
        hf_outbox_key_forget(key);
    else if (status == HF_STORE_OK &&
             hf_replicated_serves(settings->replicated, key->key.id, key->key.id_hash, now_ms))
        send_value(key, &value);
    else if (status == HF_STORE_OK) /* until the lease is renewed, or it owns nothing */
        hf_outbox_key_wait(key, now_ms + HF_OUTBOX_FLUSH_MS);
    else if (status == HF_STORE_MISSING && hf_deadline_due(key->deadline_ms, now_ms))
        send_delete(key); /* the store may have been told a later time */
    else {
        outbox->counts.lost += status == HF_STORE_MISSING && key->owed;
        hf_outbox_key_forget(key);
    }
}

void hf_outbox_send(struct hf_outbox_key *key)
{
    struct hf_outbox *outbox = key->outbox;
    if (hf_remote_is_away(outbox->settings.remote, hf_slice(key->text, key->size)))
        put_off(key, 0);
    else if (!is_punctual(outbox))
        hf_outbox_key_wait(key, hf_outbox_now_ms(outbox));
    else if (key->gone && key->doubtful)
        check(key);
    else if (key->gone)
        send_delete(key);
    else
        send_owned(key);
}

/* ---- answers ---- */

static void go_on(struct hf_outbox_key *key)
{
    struct hf_outbox *outbox = key->outbox;
    if (hf_list_empty(&key->node))
        hf_list_push_back(&outbox->ready, &key->node);
}

static void stored(struct hf_outbox_key *key)
{
    struct hf_outbox *outbox = key->outbox;
    outbox->counts.written += key->owed;
    hf_outbox_let_go(key, key->sent);
    if (key->version == key->sent)
        hf_outbox_key_clean(key);
    else
        go_on(key);
}

static void windowed(struct hf_outbox_key *key)
{
    struct hf_outbox *outbox = key->outbox;
    outbox->window -= key->windowed;
    key->windowed = false;
}

void hf_outbox_done(struct hf_remote_call *call, struct hf_remote_result *result)
{
    struct hf_outbox_key *key = hf_container_of(call, struct hf_outbox_key, remote);
    struct hf_outbox *outbox = key->outbox;
    key->step = HF_OUTBOX_WAITING;
    windowed(key);
    switch ((enum hf_remote_status)result->status) {
    case HF_REMOTE_OK:
        stored(key);
        break;
    case HF_REMOTE_MISSING: /* of an expiry: the value too, then */
    case HF_REMOTE_UNMET:
    case HF_REMOTE_WRONG_TYPE:
        key->whole = true;
        go_on(key);
        break;
    case HF_REMOTE_MOVED:
        put_off(key, HF_OUTBOX_FLUSH_MS);
        break;
    case HF_REMOTE_REFUSED:
    case HF_REMOTE_FAILED:
    case HF_REMOTE_DOWN:
    case HF_REMOTE_STATUS_COUNT:
        put_off(key, HF_EXTERNAL_RETRY_MS);
        break;
    }
    hf_outbox_flush(outbox);
}

void hf_outbox_checked(struct hf_sessions_call *call, const struct hf_operation_result *result)
{
    struct hf_outbox_key *key = hf_container_of(call, struct hf_outbox_key, check);
    key->step = HF_OUTBOX_WAITING;
    windowed(key);
    if (key->version != key->sent) {
        go_on(key);
    } else if (result->status == HF_OPERATION_MISSING) {
        key->late = true;
        send_delete(key);
    } else if (result->status == HF_OPERATION_OK) {
        key->gone = false;
        hf_outbox_key_forget(key);
    } else {
        put_off(key, HF_EXTERNAL_RETRY_MS);
    }
}
