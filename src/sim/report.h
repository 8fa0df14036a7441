/* A finished simulation as a document. Threads: any. Layer: sim. */
#pragma once
#include "sim/sim.h"
#include <stdio.h>

/* JSON for programs: everything of the report; what differs from run to run stands in "cost"
 * objects alone. malloc'd; NULL without memory. */
char *hf_sim_report_json(const struct hf_sim_report *report);
/* The report as one SVG picture: load of each server, and with events the sessions moved by each;
 * for few pools also the fullest server and the sessions lost over time. Needs nothing to be shown.
 * 0 or negative errno. */
int hf_sim_report_plot(const struct hf_sim_report *report, FILE *out);
