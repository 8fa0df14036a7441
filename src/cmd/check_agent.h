/* What an agent's file sets up and promises, printed for `holdfast check`.
 * Threads: the main one. Layer: cmd. */
#pragma once

struct hf_agent_config;
void hf_check_print_agent(const struct hf_agent_config *config);
