/* Connections that do not become a link: counted by reason, and told once with what to do. */
#include "base/assert.h"
#include "base/log.h"
#include "fabric/links/link.h"
#include <stdio.h>

enum { LOG_AGAIN_MS = 60 * 1000, WHO_MAX = HF_ADDRESS_TEXT_MAX + 80 };

static const struct refusal {
    enum hf_link_count count;
    const char *what, *advice; /* NULL: nothing for people to do */
    bool slowly;               /* trying again soon will not help */
} refusals[HF_LINK_REFUSALS] = {
    [HF_HELLO_PROTOCOL] = {HF_LINK_COUNT_REFUSED_PROTOCOL, NULL,
                           "run releases on all nodes that have a protocol version in common",
                           true},
    [HF_HELLO_LIST] = {HF_LINK_COUNT_REFUSED_LIST, NULL,
                       "write the same names under `peers` on every node", true},
    [HF_HELLO_NODE] = {HF_LINK_COUNT_REFUSED_NODE, NULL,
                       "let `node` be its own name there, and its address under `peers` its own",
                       true},
    [HF_HELLO_PROOF] = {HF_LINK_COUNT_REFUSED_PROOF, NULL,
                        "give every node the same `peer_key_file`", true},
    [HF_HELLO_NAMESAKE] = {HF_LINK_COUNT_REFUSED_NAMESAKE, NULL,
                           "let one process alone run as each name under `peers`; one that was "
                           "just restarted is linked within a second",
                           true},
    [HF_LINK_GARBAGE] = {HF_LINK_COUNT_REFUSED_GARBAGE, "it does not speak the peer protocol",
                         "let nothing but the other nodes reach the `peer` address", true},
    [HF_LINK_SLOW] = {HF_LINK_COUNT_REFUSED_SLOW, "it did not prove itself in time",
                      "see whether something else listens there, or that node is overloaded",
                      false},
    [HF_LINK_CROWDED] = {HF_LINK_COUNT_REFUSED_CROWDED, "too many connections await their proof",
                         "let nothing but the other nodes reach the `peer` address", false},
    [HF_LINK_PROXIES] = {HF_LINK_COUNT_REFUSED_CROWDED, "too many proxies tell this node",
                         "let no more than 32 have this agent in their files", false},
    [HF_LINK_DUPLICATE] = {HF_LINK_COUNT_REFUSED_DUPLICATE, NULL, NULL, false},
};

static bool said_lately(struct hf_link *link, enum hf_link_refusal refusal)
{
    struct hf_links *links = link->links;
    if (link->peer >= 0) {
        uint32_t *logged = &links->peers[link->peer].logged, bit = 1u << refusal;
        bool before = *logged & bit;
        *logged |= bit;
        return before;
    }
    uint64_t now_ms = hf_loop_now_ms(links->loop), last_ms = links->logged_ms[refusal];
    if (last_ms != 0 && now_ms - last_ms < LOG_AGAIN_MS)
        return true;
    links->logged_ms[refusal] = now_ms;
    return false;
}

static void format_who(const struct hf_link *link, char out[WHO_MAX])
{
    char address[HF_ADDRESS_TEXT_MAX];
    hf_address_format(&link->remote, address);
    if (link->peer < 0) {
        snprintf(out, WHO_MAX, "the connection from %s", address);
        return;
    }
    struct hf_slice name = link->links->settings.rank->names[link->peer];
    snprintf(out, WHO_MAX, "peer %.*s (%s)", (int)(name.size < 64 ? name.size : 64), name.bytes,
             address);
}

void hf_link_refuse(struct hf_link *link, enum hf_link_refusal refusal, bool said)
{
    REQUIRE(refusal > 0 && refusal < HF_LINK_REFUSALS);
    const struct refusal *row = &refusals[refusal];
    hf_link_count(link->links, row->count);
    if (row->advice != NULL && !said_lately(link, refusal)) {
        char who[WHO_MAX];
        const char *what =
            row->what != NULL ? row->what : hf_hello_reason((enum hf_hello_verdict)refusal);
        format_who(link, who);
        hf_warning("%s %s: %s; %s", who, said ? "refuses a link to this node" : "gets no link",
                   what, row->advice);
    }
    hf_link_dropped(link, row->slowly);
}
