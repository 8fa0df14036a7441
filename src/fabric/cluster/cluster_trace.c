#include "fabric/cluster/cluster.h"
#include "fabric/wire.h"
#include <stdio.h>

/* What a failing seed looks like from inside: HF_CLUSTER_TRACE=s3 prints whatever is said and done
 * about that session, and about who lives. */

static bool of_interest(const struct hf_cluster *cluster, struct hf_slice id)
{
    struct hf_slice wanted = hf_slice(cluster->options.trace, strlen(cluster->options.trace));
    return id.size == 0 || wanted.size == 0 || hf_slice_equal(id, wanted);
}

static void print_message(const struct hf_cluster *cluster, unsigned from, unsigned to,
                          const struct hf_wire_message *m)
{
    static const char *const kinds[HF_WIRE_KINDS] = {"image",   "change", "deleted", "gone",
                                                     "release", "note",   "handoff"};
    bool quiet =
        m->type == HF_WIRE_ACK || m->type == HF_WIRE_CHUNK ||
        (m->type == HF_WIRE_HEARTBEAT && m->flags != 0 && cluster->options.trace[0] == 's');
    if (quiet || !of_interest(cluster, m->id))
        return;
    printf("%6llu  %u > %u %s %.*s", (unsigned long long)cluster->now_ms, from, to,
           hf_wire_name(m->type), (int)m->id.size, m->id.bytes);
    if (m->type == HF_WIRE_REPLICATE)
        printf(" %s base %x.%u", kinds[m->kind], m->base.epoch, m->base.sequence);
    printf(" %c %x.%u/%x of %u number %llu flags %x status %u view %llx left %llu size %zu\n",
           "-OBPT"[m->state], m -> version.epoch, m->version.sequence, m->version.birth, m->node,
           (unsigned long long)m->number, m->flags, m->status, (unsigned long long)m->view % 4096,
           (unsigned long long)m->remaining_ms, m->bytes.size);
}

void hf_cluster_trace_bytes(const struct hf_cluster *cluster, unsigned from, unsigned to,
                            struct hf_slice bytes)
{
    struct hf_wire_message m;
    size_t used = 0;
    if (cluster->options.trace == NULL)
        return;
    while (hf_wire_decode(bytes, HF_WIRE_FRAME_MAX, &m, &used) == HF_WIRE_DONE) {
        print_message(cluster, from, to, &m);
        bytes = hf_slice(bytes.bytes + used, bytes.size - used);
    }
}

void hf_cluster_trace(const struct hf_cluster *cluster, struct hf_slice id, const char *what,
                      unsigned first, unsigned second)
{
    if (cluster->options.trace != NULL && of_interest(cluster, id))
        printf("%6llu  %s %u %u\n", (unsigned long long)cluster->now_ms, what, first, second);
}
