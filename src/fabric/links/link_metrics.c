#include "fabric/links/link.h"

static const struct hf_metric metrics[] = {
#define HF_LINK_COUNT(id, name, labels, type, help) {name, labels, help, type},
#include "fabric/links/link_counts.def"
#undef HF_LINK_COUNT
};
_Static_assert(sizeof(metrics) / sizeof(metrics[0]) == HF_LINK_COUNTS, "one row each");

static void collect(struct hf_metrics_collector *collector, struct hf_metrics_writer *writer)
{
    struct hf_links *links = hf_container_of(collector, struct hf_links, collector);
    const char *name = "holdfast_peer_handshake_seconds";
    hf_metrics_head(writer, name, "From an open connection between agents to a link.", "histogram");
    hf_metrics_histogram(writer, name, "", &links->handshake);
}

void hf_link_metrics_register(struct hf_links *links)
{
    links->source.metrics = metrics;
    links->source.count = HF_LINK_COUNTS;
    links->source.values = links->counts;
    hf_metrics_register(&links->source);
    links->collector.collect = collect;
    hf_metrics_register_collector(&links->collector);
}

void hf_link_metrics_unregister(struct hf_links *links)
{
    hf_metrics_unregister_collector(&links->collector);
    hf_metrics_unregister(&links->source);
}
