/* What proxies say: that this node is to be drained, and which servers they saw dead. Each says all
 * it has to say in every TELL, and again every few seconds; what it said last stands as long as it
 * goes on. Of a death no more is believed than that it is time to look. */
#include "base/assert.h"
#include "base/log.h"
#include "fabric/links/link.h"
#include <errno.h>

enum { TELL_FRAME_MAX = 16 * 1024 }; /* the names of all nodes fit */

static void set_drains(struct hf_link *link, bool drains)
{
    struct hf_links *links = link->links;
    if (link->says.drains == drains)
        return;
    link->says.drains = drains;
    links->drainer_count += drains ? 1 : (unsigned)-1;
    if (!drains)
        links->drains_until_ms = 0; /* said by this one, or it says so again when it is back */
    hf_link_count(links, drains ? HF_LINK_COUNT_TOLD_DRAIN : HF_LINK_COUNT_TOLD_READY);
}

bool hf_links_drains(const struct hf_links *links)
{
    return links->drainer_count > 0 || hf_loop_now_ms(links->loop) < links->drains_until_ms;
}

static void wait_for_word(struct hf_link *link)
{
    struct hf_loop *loop = link->links->loop;
    hf_timer_set(hf_loop_timers(loop), &link->deadline, hf_loop_now_ms(loop) + HF_LINKS_TELLER_MS);
}

void hf_link_tells(struct hf_link *link, const struct hf_wire_message *teller)
{
    struct hf_links *links = link->links;
    struct hf_wire_message ours = hf_link_hello(link);
    bool fits =
        teller->protocol_min <= ours.protocol_max && teller->protocol_max >= ours.protocol_min;
    if (!fits || !hf_hello_proved(links->key, teller, &ours, teller->nonce)) {
        hf_link_refuse_aloud(link, fits ? HF_HELLO_PROOF : HF_HELLO_PROTOCOL);
        return;
    }
    if (links->teller_count >= HF_LINKS_TELLERS_MAX) {
        hf_link_refuse(link, HF_LINK_PROXIES, false);
        return;
    }
    if (!hf_list_empty(&link->fresh)) {
        hf_list_remove(&link->fresh);
        links->fresh_count--;
    }
    link->state = HF_LINK_TELLS;
    links->teller_count++;
    hf_link_count(links, HF_LINK_COUNT_TELLERS);
    wait_for_word(link);
}

/* A proxy that starts anew says the same again soon: what it said stands until then. */
void hf_link_fell_silent(struct hf_link *link)
{
    struct hf_links *links = link->links;
    REQUIRE(links->teller_count > 0);
    links->teller_count--;
    hf_count_add(&links->counts[HF_LINK_COUNT_TELLERS], (uint64_t)-1);
    if (!link->says.drains)
        return;
    links->drainer_count--;
    links->drains_until_ms = hf_loop_now_ms(links->loop) + HF_LINKS_TELLER_MS;
}

/* The next name of a list: its size in a byte, then its bytes. False at the end, and when it is
 * malformed, which *ret_bad tells. */
static bool next_name(struct hf_slice *bytes, struct hf_slice *ret_name, bool *ret_bad)
{
    if (bytes->size == 0)
        return false;
    size_t size = (unsigned char)bytes->bytes[0];
    *ret_bad = size == 0 || size >= bytes->size;
    if (*ret_bad)
        return false;
    *ret_name = hf_slice(bytes->bytes + 1, size);
    *bytes = hf_slice(bytes->bytes + 1 + size, bytes->size - 1 - size);
    return true;
}

static void look_at_new(struct hf_link *link, const uint64_t dead[HF_RANK_NODES_MAX / 64])
{
    struct hf_links *links = link->links;
    for (unsigned i = 0; i < links->settings.rank->count; i++) {
        uint64_t bit = 1ull << i % 64;
        bool known = link->says.dead[i / 64] & bit;
        if (!(dead[i / 64] & bit) || known || i == links->settings.self)
            continue;
        hf_link_count(links, HF_LINK_COUNT_TOLD_DEAD);
        hf_link_look(&links->peers[i]);
    }
}

static bool take_tell(struct hf_link *link, const struct hf_wire_message *tell)
{
    struct hf_links *links = link->links;
    struct hf_wire_message told = {.type = HF_WIRE_TOLD, .number = tell->number};
    uint64_t dead[HF_RANK_NODES_MAX / 64] = {0};
    struct hf_slice bytes = tell->bytes, name;
    bool bad = false;
    while (next_name(&bytes, &name, &bad)) {
        int number = hf_rank_number(links->settings.rank, name);
        if (number >= 0)
            dead[number / 64] |= 1ull << number % 64;
        else
            hf_link_count(links, HF_LINK_COUNT_TOLD_UNKNOWN);
    }
    if (bad)
        return false;
    set_drains(link, tell->flags & HF_WIRE_TELL_DRAINS);
    look_at_new(link, dead);
    memcpy(link->says.dead, dead, sizeof(dead));
    hf_link_say(link, &told);
    return true;
}

static void answer(struct hf_link *link, const struct hf_wire_message *ask)
{
    const struct hf_links *links = link->links;
    struct hf_wire_message known = {.type = HF_WIRE_KNOWN, .number = ask->number};
    if (links->host.know != NULL)
        known.status = links->host.know(links->host.user, ask->id, hf_loop_now_ms(links->loop));
    hf_link_say(link, &known);
}

/* False: a proxy says no such thing. */
static bool take(struct hf_link *link, const struct hf_wire_message *message)
{
    if (message->type == HF_WIRE_ASK && message->id.size > 0) {
        hf_link_count(link->links, HF_LINK_COUNT_ASKED);
        answer(link, message);
        return true;
    }
    return message->type == HF_WIRE_TELL && take_tell(link, message);
}

static bool take_words(struct hf_link *link)
{
    struct hf_wire_message message;
    size_t used;
    enum hf_wire_verdict verdict;
    while ((verdict = hf_wire_decode(hf_conn_input(&link->conn), TELL_FRAME_MAX, &message,
                                     &used)) == HF_WIRE_DONE) {
        if (!take(link, &message))
            return false;
        hf_conn_consume(&link->conn, used);
        wait_for_word(link);
    }
    return verdict == HF_WIRE_NEED_MORE;
}

void hf_link_hear(struct hf_link *link)
{
    for (;;) {
        if (!take_words(link)) {
            hf_link_refuse(link, HF_LINK_GARBAGE, false);
            return;
        }
        ssize_t got = hf_conn_receive(&link->conn, HF_BUFFER_SIZE);
        if (got == -EAGAIN)
            break;
        if (got <= 0) {
            hf_link_dropped(link, false);
            return;
        }
    }
    if (hf_conn_has_output(&link->conn))
        hf_conn_flush(&link->conn, false);
}
