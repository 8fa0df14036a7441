/* The figures of all tables as metrics, a label a table. Threads: any. Layer: table. */
#pragma once

/* Registers the exporter, once a process. */
void hf_table_metrics_start(void);
