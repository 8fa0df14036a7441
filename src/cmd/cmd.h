/* The subcommands of the binary: one table names them, one function each runs them.
 * Every function takes its own words (argv[0] is "holdfast NAME") and answers an exit code.
 * Threads: the main one. Layer: cmd, the top; nothing includes it but the subcommands. */
#pragma once

enum { HF_EXIT_DONE = 0, HF_EXIT_FAILED = 1, HF_EXIT_USAGE = 2 };

/* A row = name, function hf_cmd_NAME, help in a line; in the order of `holdfast --help`. */
#define HF_COMMANDS(ROW)                                                                           \
    ROW(check, "say what is wrong in a configuration, or what it promises")                        \
    ROW(ctl, "see and change a running proxy: status, servers, drain, ready, maintenance")         \
    ROW(keygen, "make a key file for cookie_keys")                                                 \
    ROW(shop, "run the demo application, a small stateful shop")                                   \
    ROW(version, "print the version and what it was built with")                                   \
    ROW(agent, "(not supported yet) keep the sessions of the server beside it")                    \
    ROW(simulate, "(not supported yet) run placement and failover at scale, from a seed")

#define HF_COMMAND_PROTOTYPE(name, help) int hf_cmd_##name(int argc, char **argv);
HF_COMMANDS(HF_COMMAND_PROTOTYPE)
#undef HF_COMMAND_PROTOTYPE
