#include "remote/pipe.h"
#include "base/assert.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SLOTS_MIN = 64,
};

void hf_pipe_note_trouble(struct hf_pipe *pipe, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pipe->trouble, sizeof(pipe->trouble), format, arguments);
    va_end(arguments);
    for (char *byte = pipe->trouble; *byte != '\0'; byte++)
        if ((unsigned char)*byte < ' ' || *byte == 0x7f)
            *byte = '?'; /* it may quote the store */
}

static uint64_t now_ms(const struct hf_pipe *pipe)
{
    return hf_loop_now_ms(pipe->loop);
}

/* ---- slots ---- */

struct hf_pipe_slot *hf_pipe_slot_at(const struct hf_pipe *pipe, uint32_t index)
{
    return &pipe->slots[(pipe->first + index) & (pipe->slot_room - 1)];
}

static bool grow_slots(struct hf_pipe *pipe)
{
    uint32_t room = pipe->slot_room > 0 ? 2 * pipe->slot_room : SLOTS_MIN;
    struct hf_pipe_slot *slots = calloc(room, sizeof(*slots));
    if (slots == NULL)
        return false;
    for (uint32_t i = 0; i < pipe->count; i++)
        slots[i] = *hf_pipe_slot_at(pipe, i);
    free(pipe->slots);
    pipe->slots = slots;
    pipe->slot_room = room;
    pipe->first = 0;
    return true;
}

static struct hf_pipe_slot *push_slot(struct hf_pipe *pipe)
{
    if (pipe->count == HF_REMOTE_QUEUE_MAX || (pipe->count == pipe->slot_room && !grow_slots(pipe)))
        return NULL;
    struct hf_pipe_slot *slot = hf_pipe_slot_at(pipe, pipe->count++);
    *slot = (struct hf_pipe_slot){.deadline_ms = now_ms(pipe) + HF_REMOTE_DEADLINE_MS};
    return slot;
}

void hf_pipe_answer(struct hf_pipe *pipe, struct hf_remote_call *call,
                    struct hf_remote_result *result)
{
    pipe->counts.results[result->status]++;
    call->complete(call, result);
}

static void answer_status(struct hf_pipe *pipe, struct hf_remote_call *call,
                          enum hf_remote_status status)
{
    struct hf_remote_result result = {.status = (uint8_t)status, .ttl_ms = HF_REMOTE_NEVER};
    hf_pipe_answer(pipe, call, &result);
}

/* Nobody waits any more for what was asked until now; its answers may still come. */
static void orphan_all(struct hf_pipe *pipe, enum hf_remote_status status)
{
    uint32_t count = pipe->count; /* what a callback submits is not meant */
    for (uint32_t i = pipe->orphans; i < count && i < pipe->count; i++) {
        struct hf_remote_call *call = hf_pipe_slot_at(pipe, i)->call;
        hf_pipe_slot_at(pipe, i)->call = NULL;
        if (call != NULL)
            answer_status(pipe, call, status);
    }
    pipe->orphans = count < pipe->count ? count : pipe->count;
}

/* Of a connection that is no more: none of its answers will come. */
void hf_pipe_drop(struct hf_pipe *pipe, enum hf_remote_status status)
{
    struct hf_pipe_slot *slots = pipe->slots;
    uint32_t room = pipe->slot_room, first = pipe->first, count = pipe->count;
    pipe->slots = NULL;
    pipe->slot_room = pipe->first = pipe->count = pipe->orphans = 0;
    pipe->probing = false;
    hf_pipe_consume(&pipe->out, hf_bytes_size(&pipe->out));
    for (uint32_t i = 0; i < count; i++) {
        struct hf_remote_call *call = slots[(first + i) & (room - 1)].call;
        if (call != NULL)
            answer_status(pipe, call, status);
    }
    free(slots);
}

/* ---- the breaker ---- */

void hf_pipe_tell(struct hf_pipe *pipe, enum hf_remote_change change)
{
    if (pipe->settings.changed != NULL)
        pipe->settings.changed(pipe->settings.owner, change);
}

/* Opens it, or opens it again. What was under way is answered: of a connection that is no more, and
 * that sent nothing, as not done. */
void hf_pipe_open(struct hf_pipe *pipe, bool connected)
{
    bool news = pipe->breaker == HF_BREAKER_CLOSED;
    pipe->breaker = HF_BREAKER_OPEN; /* first: what callbacks submit goes nowhere */
    pipe->open_until_ms = now_ms(pipe) + HF_REMOTE_OPEN_MS;
    pipe->failures = 0;
    if (connected)
        orphan_all(pipe, HF_REMOTE_FAILED);
    else
        hf_pipe_drop(pipe, HF_REMOTE_DOWN);
    if (!news)
        return;
    pipe->counts.opened++;
    hf_pipe_tell(pipe, HF_REMOTE_OPENED);
}

void hf_pipe_close(struct hf_pipe *pipe)
{
    pipe->failures = 0;
    if (pipe->breaker == HF_BREAKER_CLOSED)
        return;
    pipe->breaker = HF_BREAKER_CLOSED;
    hf_pipe_tell(pipe, HF_REMOTE_CLOSED);
}

/* ---- time ---- */

static void expire_slots(struct hf_pipe *pipe)
{
    while (pipe->orphans < pipe->count) {
        struct hf_pipe_slot *slot = hf_pipe_slot_at(pipe, pipe->orphans);
        struct hf_remote_call *call = slot->call;
        if (slot->deadline_ms > now_ms(pipe))
            return;
        pipe->orphans++;
        slot->call = NULL;
        if (call == NULL)
            continue;
        hf_pipe_note_trouble(pipe, "the store gives no answer within %d ms", HF_REMOTE_DEADLINE_MS);
        pipe->failures++;
        answer_status(pipe, call, HF_REMOTE_FAILED);
    }
}

static void probe(struct hf_pipe *pipe)
{
    if (pipe->probing || pipe->count == HF_REMOTE_QUEUE_MAX)
        return;
    struct hf_writer writer = hf_writer(NULL, 0);
    unsigned replies = pipe->codec->probe(&writer);
    struct hf_pipe_slot *slot =
        hf_bytes_reserve(NULL, &pipe->out, writer.size) ? push_slot(pipe) : NULL;
    if (slot == NULL)
        return;
    writer = hf_writer(pipe->out.bytes + pipe->out.end, writer.size);
    pipe->codec->probe(&writer);
    pipe->out.end += writer.size;
    slot->kind = HF_REMOTE_KINDS;
    slot->replies = (uint8_t)replies;
    pipe->probing = true;
    hf_pipe_send_later(pipe);
}

static void half_open(struct hf_pipe *pipe)
{
    pipe->breaker = HF_BREAKER_HALF_OPEN;
    if (pipe->phase == HF_PIPE_APART)
        hf_pipe_connect(pipe);
    else if (pipe->phase == HF_PIPE_READY)
        probe(pipe);
}

static void tick(struct hf_timer *timer)
{
    struct hf_pipe *pipe = hf_container_of(timer, struct hf_pipe, tick);
    uint64_t now = now_ms(pipe);
    REQUIRE(HF_MAGIC_OK(pipe, HF_PIPE_MAGIC));
    hf_timer_set(hf_loop_timers(pipe->loop), &pipe->tick, now + HF_PIPE_TICK_MS);
    if (pipe->phase == HF_PIPE_APART && pipe->breaker == HF_BREAKER_CLOSED)
        hf_pipe_connect(pipe);
    bool beginning = pipe->phase == HF_PIPE_CONNECTING || pipe->phase == HF_PIPE_GREETING;
    if (beginning && now >= pipe->phase_until_ms) {
        char text[HF_ADDRESS_TEXT_MAX];
        hf_address_format(&pipe->address, text);
        hf_pipe_note_trouble(pipe, "no connection to %s within %d ms", text, HF_REMOTE_DEADLINE_MS);
        hf_pipe_not_connected(pipe);
    }
    if (pipe->phase == HF_PIPE_READY)
        expire_slots(pipe);
    if (pipe->breaker == HF_BREAKER_CLOSED && pipe->failures >= HF_REMOTE_FAILURES_MAX)
        hf_pipe_open(pipe, true);
    if (pipe->phase == HF_PIPE_READY && pipe->count > 0 &&
        now - pipe->heard_ms >= HF_REMOTE_SILENT_MS &&
        now >=
            hf_pipe_slot_at(pipe, 0)->deadline_ms + HF_REMOTE_SILENT_MS - HF_REMOTE_DEADLINE_MS) {
        hf_pipe_note_trouble(pipe, "the store was silent for %d ms", HF_REMOTE_SILENT_MS);
        hf_pipe_lost(pipe);
    }
    if (pipe->breaker == HF_BREAKER_OPEN && now >= pipe->open_until_ms)
        half_open(pipe);
}

/* ---- requests ---- */

void hf_pipe_submit(struct hf_pipe *pipe, struct hf_remote_call *call,
                    const struct hf_remote_request *request)
{
    REQUIRE(HF_MAGIC_OK(pipe, HF_PIPE_MAGIC) && request->kind != HF_REMOTE_KINDS);
    if (request->kind < HF_REMOTE_KINDS)
        pipe->counts.requests[request->kind]++;
    struct hf_writer writer = hf_writer(NULL, 0);
    unsigned replies = pipe->codec->encode(request, &writer);
    bool fits = writer.size <= HF_REMOTE_UNSENT_MAX &&
                hf_bytes_size(&pipe->out) <= HF_REMOTE_UNSENT_MAX - writer.size;
    bool goes = pipe->breaker == HF_BREAKER_CLOSED && fits && replies > 0 &&
                hf_bytes_reserve(NULL, &pipe->out, writer.size);
    struct hf_pipe_slot *slot = goes ? push_slot(pipe) : NULL;
    if (slot == NULL) {
        answer_status(pipe, call, HF_REMOTE_DOWN);
        return;
    }
    writer = hf_writer(pipe->out.bytes + pipe->out.end, writer.size);
    pipe->codec->encode(request, &writer);
    REQUIRE(hf_writer_fits(&writer));
    pipe->out.end += writer.size;
    slot->call = call;
    slot->kind = request->kind;
    slot->hash = request->hash;
    slot->persists = request->ttl_ms == HF_REMOTE_NEVER;
    slot->replies = (uint8_t)replies;
    slot->error = HF_REMOTE_OK;
    if (pipe->phase == HF_PIPE_READY)
        hf_pipe_send_later(pipe);
}

/* ---- life ---- */

static bool copy_secrets(struct hf_pipe *pipe)
{
    struct hf_slice user = pipe->settings.user, password = pipe->settings.password;
    struct hf_slice master = pipe->settings.master;
    size_t size = user.size + password.size + master.size;
    pipe->secrets = malloc(size + 1);
    if (pipe->secrets == NULL)
        return false;
    struct hf_writer writer = hf_writer(pipe->secrets, size);
    hf_writer_slice(&writer, user);
    hf_writer_slice(&writer, password);
    hf_writer_slice(&writer, master);
    pipe->settings.master = hf_slice(pipe->secrets + user.size + password.size, master.size);
    pipe->settings.user = hf_slice(pipe->secrets, user.size);
    pipe->settings.password = hf_slice(pipe->secrets + user.size, password.size);
    return true;
}

int hf_pipe_init(struct hf_pipe *pipe, struct hf_loop *loop, const struct hf_pipe_codec *codec,
                 const struct hf_remote_settings *settings)
{
    REQUIRE(settings->address_count > 0 && settings->address_count <= HF_STORE_URL_HOSTS_MAX);
    *pipe = (struct hf_pipe){.magic = HF_PIPE_MAGIC,
                             .codec = codec,
                             .store_codec = codec,
                             .loop = loop,
                             .settings = *settings,
                             .address = settings->addresses[0],
                             .tick = {.expired = tick},
                             .trouble = "the store has not answered yet"};
    if (!copy_secrets(pipe))
        return -ENOMEM;
    memcpy(pipe->addresses, settings->addresses,
           settings->address_count * sizeof(struct hf_address));
    pipe->settings.addresses = pipe->addresses;
    hf_timer_set(hf_loop_timers(loop), &pipe->tick, now_ms(pipe)); /* connects */
    return 0;
}

void hf_pipe_fini(struct hf_pipe *pipe)
{
    REQUIRE(HF_MAGIC_OK(pipe, HF_PIPE_MAGIC));
    size_t secret = pipe->settings.user.size + pipe->settings.password.size;
    hf_timer_cancel(hf_loop_timers(pipe->loop), &pipe->tick);
    hf_pipe_give_up(pipe);
    hf_bytes_clear(NULL, &pipe->in);
    hf_bytes_clear(NULL, &pipe->out);
    hf_bytes_clear(NULL, &pipe->hello);
    free(pipe->slots);
    explicit_bzero(pipe->secrets, secret);
    free(pipe->secrets);
    pipe->magic = 0;
}
