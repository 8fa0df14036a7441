/* The subcommands of the binary; main.c's table names them.
 * Every function takes its own words (argv[0] is "holdfast NAME") and answers an exit code.
 * Threads: the main one. Layer: cmd, the top; nothing includes it but the subcommands. */
#pragma once

enum { HF_EXIT_DONE = 0, HF_EXIT_FAILED = 1, HF_EXIT_USAGE = 2 };

/* Takes "-c FILE" and "--help". -1: go on with *ret_file; else the exit code, and the usage text
 * was printed. */
int hf_cmd_file_option(int argc, char **argv, const char *usage, const char **ret_file);
struct hf_config_report;
/* "FILE:LINE: what, and what to write" on stderr, a line for each mistake of the file, and with
 * "warning: " in it for what is not used. */
void hf_cmd_print_report(const char *file, const struct hf_config_report *report);

int hf_cmd_check(int argc, char **argv);
int hf_cmd_ctl(int argc, char **argv);
int hf_cmd_keygen(int argc, char **argv);
int hf_cmd_proxy(int argc, char **argv);
int hf_cmd_shop(int argc, char **argv);
int hf_cmd_version(int argc, char **argv);
int hf_cmd_agent(int argc, char **argv);
int hf_cmd_simulate(int argc, char **argv);
