#include "fabric/teller.h"
#include "base/assert.h"
#include "base/rng.h"
#include "fabric/fabric.h"
#include "fabric/hello.h"
#include "net/conn.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { TELLER_MAGIC = 0x54454c4c, ANSWER_FRAME_MAX = 64, READ_MAX = 256 };

enum step {
    APART,      /* no connection; the timer, if set, makes one */
    CONNECTING, /* the timer ends it, as in the next two */
    GREETING,   /* the agent's HELLO is to come */
    SAYING,     /* its TOLD is to come */
    SAID,       /* the timer says it again */
};

struct ask { /* sent, or to be sent when there is a connection */
    struct hf_list node;
    uint64_t number, begun_ms;
    uint8_t tag;
    uint16_t size;
    char id[];
};

struct words { /* owned bytes */
    bool drains;
    size_t size;
    unsigned char *dead;
};

struct hf_teller {
    uint32_t magic;
    enum step step;
    bool open; /* the connection's memory is in use */
    bool freed;
    bool rests; /* until the next try */
    bool waits;
    struct hf_conn conn;
    struct hf_timer timer;
    struct hf_loop *loop;           /* borrowed */
    struct hf_buffer_pool *buffers; /* borrowed */
    struct hf_address address;
    struct hf_teller_host host;
    struct hf_rng rng;
    unsigned retry_ms;
    uint64_t number;     /* of what is said or asked last */
    uint64_t said;       /* of what is said, if its TOLD is to come */
    struct hf_list asks; /* oldest first */
    unsigned ask_count;
    struct words words, told;
    uint8_t key[HF_HELLO_KEY_SIZE];
};

static void set_timer(struct hf_teller *teller, uint64_t delay_ms)
{
    hf_timer_set(hf_loop_timers(teller->loop), &teller->timer,
                 hf_loop_now_ms(teller->loop) + delay_ms);
}

static bool silent(const struct words *words)
{
    return !words->drains && words->size == 0;
}

static bool same(const struct words *words, const struct hf_teller_words *others)
{
    return words->drains == others->drains && words->size == others->size &&
           (words->size == 0 || memcmp(words->dead, others->dead, words->size) == 0);
}

static struct hf_teller_words show(const struct words *words)
{
    return (struct hf_teller_words){words->drains, words->size, words->dead};
}

static int copy(struct words *to, const struct hf_teller_words *from)
{
    unsigned char *dead = malloc(from->size + 1);
    if (dead == NULL)
        return -ENOMEM;
    if (from->size > 0)
        memcpy(dead, from->dead, from->size);
    free(to->dead);
    *to = (struct words){from->drains, from->size, dead};
    return 0;
}

static void answer(struct hf_teller *teller, struct ask *ask, uint8_t knowledge)
{
    uint8_t tag = ask->tag;
    hf_list_remove(&ask->node);
    teller->ask_count--;
    free(ask);
    teller->host.known(teller->host.user, tag, knowledge);
}

static struct ask *oldest(const struct hf_teller *teller)
{
    return hf_list_empty(&teller->asks) ? NULL
                                        : hf_container_of(teller->asks.next, struct ask, node);
}

static void part(struct hf_teller *teller)
{
    hf_timer_cancel(hf_loop_timers(teller->loop), &teller->timer);
    teller->step = APART;
    teller->rests = false;
    if (teller->open)
        hf_conn_close(&teller->conn);
}

/* An agent that heard nothing for a while forgets what it was told: to tell it that there is
 * nothing to tell is not worth another try. */
static void failed_as(struct hf_teller *teller, const char *why, bool refused)
{
    struct hf_teller_words none = {0};
    struct ask *ask;
    part(teller);
    while ((ask = oldest(teller)) != NULL)
        answer(teller, ask, HF_FABRIC_KNOWS_NOTHING);
    teller->waits = !silent(&teller->words);
    if (!teller->waits) {
        (void)copy(&teller->told, &none);
        return;
    }
    unsigned wait_ms = teller->retry_ms / 2 + hf_rng_below(&teller->rng, teller->retry_ms / 2 + 1);
    teller->retry_ms = 2 * teller->retry_ms < HF_TELLER_RETRY_MS_MAX ? 2 * teller->retry_ms
                                                                     : HF_TELLER_RETRY_MS_MAX;
    set_timer(teller, wait_ms);
    teller->rests = true;
    teller->host.failed(teller->host.user, why, refused);
}

static void failed(struct hf_teller *teller, const char *why)
{
    failed_as(teller, why, false);
}

static void failed_by(struct hf_teller *teller, int error)
{
    failed(teller, error == 0 ? "it closed the connection" : strerror(-error));
}

static bool send_message(struct hf_teller *teller, const struct hf_wire_message *message)
{
    struct hf_buffer *out = hf_conn_output(&teller->conn);
    size_t size =
        out != NULL ? hf_wire_encode(message, out->bytes + out->end, hf_buffer_room(out)) : 0;
    if (size == 0) {
        failed_by(teller, -ENOBUFS);
        return false;
    }
    out->end += (uint32_t)size;
    int result = hf_conn_flush(&teller->conn, false);
    if (result == 0 || result == -EAGAIN)
        return true;
    failed_by(teller, result);
    return false;
}

static void say(struct hf_teller *teller)
{
    struct hf_wire_message tell = {.type = HF_WIRE_TELL, .number = ++teller->number};
    teller->said = tell.number;
    tell.flags = teller->words.drains ? HF_WIRE_TELL_DRAINS : 0;
    tell.bytes = hf_slice((const char *)teller->words.dead, teller->words.size);
    if (!send_message(teller, &tell))
        return;
    teller->step = SAYING;
    set_timer(teller, HF_TELLER_PATIENCE_MS);
}

static bool send_ask(struct hf_teller *teller, struct ask *ask)
{
    struct hf_wire_message m = {.type = HF_WIRE_ASK, .number = ++teller->number};
    ask->number = m.number;
    m.id = hf_slice(ask->id, ask->size);
    return send_message(teller, &m);
}

/* On a new connection. */
static void say_all(struct hf_teller *teller)
{
    say(teller);
    for (struct hf_list *node = teller->asks.next; node != &teller->asks; node = node->next)
        if (teller->step == APART || !send_ask(teller, hf_container_of(node, struct ask, node)))
            return; /* and they are answered */
}

static void take_known(struct hf_teller *teller, const struct hf_wire_message *known)
{
    struct ask *ask = oldest(teller);
    if (ask != NULL && ask->number == known->number)
        answer(teller, ask, known->status);
}

static void take_hello(struct hf_teller *teller, const struct hf_wire_message *hello)
{
    struct hf_wire_message own = {
        .type = HF_WIRE_TELLER, .protocol_min = HF_WIRE_PROTOCOL, .protocol_max = HF_WIRE_PROTOCOL};
    if (hf_hello_prove(teller->key, &own, hello, own.nonce) < 0)
        failed_by(teller, -ENOMEM);
    else if (send_message(teller, &own))
        say_all(teller);
}

static void take_told(struct hf_teller *teller)
{
    struct hf_teller_words words = show(&teller->words), before = show(&teller->told);
    bool news = teller->waits;
    teller->waits = false;
    teller->retry_ms = HF_TELLER_RETRY_MS;
    teller->step = SAID;
    set_timer(teller, silent(&teller->words) ? HF_TELLER_LINGER_MS : HF_TELLER_REPEAT_MS);
    if (!news)
        return;
    teller->host.told(teller->host.user, &words, &before);
    (void)copy(&teller->told, &words); /* without memory the next change is told as a larger one */
}

/* False: the connection is over. */
static bool take(struct hf_teller *teller, const struct hf_wire_message *message)
{
    if (message->type == HF_WIRE_HELLO && teller->step == GREETING) {
        take_hello(teller, message);
    } else if (message->type == HF_WIRE_TOLD && teller->step == SAYING) {
        if (message->number == teller->said)
            take_told(teller);
    } else if (message->type == HF_WIRE_KNOWN && teller->step >= SAYING) {
        take_known(teller, message);
    } else if (message->type == HF_WIRE_BYE && message->status < HF_HELLO_VERDICTS) {
        failed_as(teller, hf_hello_reason((enum hf_hello_verdict)message->status),
                  message->status == HF_HELLO_PROOF);
    } else {
        failed(teller, "it does not speak the peer protocol");
    }
    return teller->step != APART;
}

static void receive(struct hf_teller *teller)
{
    struct hf_wire_message message;
    size_t used;
    for (;;) {
        enum hf_wire_verdict verdict =
            hf_wire_decode(hf_conn_input(&teller->conn), ANSWER_FRAME_MAX, &message, &used);
        if (verdict == HF_WIRE_DONE) {
            hf_conn_consume(&teller->conn, used); /* these messages borrow nothing */
            if (!take(teller, &message))
                return;
            continue;
        }
        if (verdict != HF_WIRE_NEED_MORE) {
            failed(teller, "it does not speak the peer protocol");
            return;
        }
        ssize_t got = hf_conn_receive(&teller->conn, READ_MAX);
        if (got == -EAGAIN)
            return;
        if (got <= 0) {
            failed_by(teller, (int)got);
            return;
        }
    }
}

static struct hf_teller *of_event(struct hf_event *event)
{
    struct hf_conn *conn = hf_container_of(event, struct hf_conn, event);
    return hf_container_of(conn, struct hf_teller, conn);
}

static void ready(struct hf_event *event, unsigned bits)
{
    struct hf_teller *teller = of_event(event);
    hf_conn_note_ready(&teller->conn, bits);
    if (teller->step == CONNECTING) {
        int result = hf_conn_connect_result(&teller->conn);
        if (result == -EINPROGRESS)
            return;
        if (result < 0) {
            failed_by(teller, result);
            return;
        }
        teller->step = GREETING;
    }
    if (hf_conn_has_output(&teller->conn))
        (void)hf_conn_flush(&teller->conn, false); /* an error shows below */
    receive(teller);
}

static void wipe(struct hf_teller *teller)
{
    struct hf_list *node;
    while ((node = hf_list_pop_front(&teller->asks)) != NULL)
        free(hf_container_of(node, struct ask, node));
    free(teller->words.dead);
    free(teller->told.dead);
    explicit_bzero(teller->key, sizeof(teller->key));
    teller->magic = 0;
    free(teller);
}

static void closed(struct hf_event *event)
{
    struct hf_teller *teller = of_event(event);
    teller->open = false;
    if (teller->freed)
        wipe(teller);
}

static void connect_to(struct hf_teller *teller)
{
    teller->rests = false;
    if (teller->open) { /* the one before goes at the end of the turn */
        set_timer(teller, 1);
        return;
    }
    int fd = hf_connect_start(&teller->address);
    int result =
        fd < 0 ? fd : hf_conn_open(&teller->conn, teller->loop, teller->buffers, fd, ready, closed);
    if (result < 0) {
        if (fd >= 0)
            close(fd);
        failed_by(teller, result);
        return;
    }
    teller->open = true;
    teller->step = CONNECTING;
    set_timer(teller, HF_TELLER_PATIENCE_MS);
}

static void expired(struct hf_timer *timer)
{
    struct hf_teller *teller = hf_container_of(timer, struct hf_teller, timer);
    const struct ask *ask = oldest(teller);
    bool late =
        ask != NULL && hf_loop_now_ms(teller->loop) - ask->begun_ms >= HF_TELLER_PATIENCE_MS;
    if (teller->step == APART)
        connect_to(teller);
    else if (teller->step == SAID && ask == NULL && silent(&teller->words))
        part(teller);
    else if (teller->step == SAID && !late)
        say(teller);
    else
        failed_by(teller, -ETIMEDOUT);
}

int hf_teller_new(struct hf_loop *loop, struct hf_buffer_pool *buffers,
                  const struct hf_address *address, const uint8_t *key,
                  const struct hf_teller_host *host, struct hf_teller **ret_teller)
{
    REQUIRE(loop != NULL && buffers != NULL && host->told != NULL && host->failed != NULL &&
            host->known != NULL);
    struct hf_teller *teller = calloc(1, sizeof(*teller));
    if (teller == NULL)
        return -ENOMEM;
    teller->magic = TELLER_MAGIC;
    teller->loop = loop;
    teller->buffers = buffers;
    teller->address = *address;
    teller->host = *host;
    teller->retry_ms = HF_TELLER_RETRY_MS;
    teller->timer.expired = expired;
    hf_list_init(&teller->asks);
    hf_rng_seed_random(&teller->rng);
    if (key != NULL)
        memcpy(teller->key, key, sizeof(teller->key));
    *ret_teller = teller;
    return 0;
}

int hf_teller_say(struct hf_teller *teller, const struct hf_teller_words *words)
{
    REQUIRE(HF_MAGIC_OK(teller, TELLER_MAGIC) && words->size <= HF_TELLER_NAMES_MAX);
    if (same(&teller->words, words))
        return 0;
    if (copy(&teller->words, words) < 0)
        return -ENOMEM;
    teller->waits = true;
    if (teller->step == SAYING || teller->step == SAID)
        say(teller);
    else if (teller->step == APART && silent(&teller->words))
        failed_by(teller, 0); /* nobody is connected who could be told */
    else if (teller->step == APART)
        set_timer(teller, 0);
    return 0;
}

void hf_teller_ask(struct hf_teller *teller, struct hf_slice id, uint8_t tag)
{
    REQUIRE(HF_MAGIC_OK(teller, TELLER_MAGIC) && id.size > 0 && id.size <= HF_WIRE_ID_MAX);
    struct ask *ask = teller->ask_count < HF_TELLER_ASKS_MAX && !teller->rests
                          ? malloc(sizeof(*ask) + id.size)
                          : NULL;
    if (ask == NULL) {
        teller->host.known(teller->host.user, tag, HF_FABRIC_KNOWS_NOTHING);
        return;
    }
    *ask = (struct ask){
        .tag = tag, .size = (uint16_t)id.size, .begun_ms = hf_loop_now_ms(teller->loop)};
    memcpy(ask->id, id.bytes, id.size);
    hf_list_push_back(&teller->asks, &ask->node);
    teller->ask_count++;
    if (teller->step == APART)
        set_timer(teller, 0);
    else if (teller->step >= SAYING && send_ask(teller, ask) && teller->step == SAID)
        set_timer(teller, HF_TELLER_PATIENCE_MS);
}

bool hf_teller_waits(const struct hf_teller *teller)
{
    return teller->waits;
}

void hf_teller_free(struct hf_teller **teller)
{
    struct hf_teller *gone = *teller;
    *teller = NULL;
    if (gone == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(gone, TELLER_MAGIC));
    part(gone);
    gone->freed = true;
    if (!gone->open)
        wipe(gone);
}
