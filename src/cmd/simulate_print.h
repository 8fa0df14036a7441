/* A finished simulation as text for people. Threads: one. Layer: cmd. */
#pragma once
#include "sim/sim.h"

/* To stdout. 0 or -ENOMEM. */
int hf_simulate_print(const char *file, const struct hf_sim_report *report);
