/* The living numbers of every server in the current snapshot, for /metrics.
 * Threads: called by the exporter. Layer: admin. */
#pragma once
#include "model/config.h"

/* Writes HF_SERVER_COUNTERS and the gauges, each row labelled with pool and server. */
void hf_admin_write_servers(struct hf_metrics_writer *writer, const struct hf_config *config,
                            uint64_t now_ms);
