/* Finds the subcommand and hands over. */
#include "cmd/cmd.h"
#include "config/report.h"
#include <getopt.h>
#include <stdio.h>
#include <string.h>

struct hf_command {
    const char *name;
    char *title; /* what getopt calls the program in its messages */
    int (*run)(int argc, char **argv);
    const char *help;
};

#define COMMAND(name, help)                                                                        \
    {                                                                                              \
#name, "holdfast " #name, hf_cmd_##name, help                                              \
    }
static const struct hf_command commands[] = {
    COMMAND(agent, "keep the sessions of the application beside it"),
    COMMAND(check, "say what is wrong in a configuration, or what it promises"),
    COMMAND(ctl, "see and change a running proxy: status, servers, drain, ready, maintenance"),
    COMMAND(keygen, "make a key file for cookie_keys"),
    COMMAND(proxy, "run the load balancer"),
    COMMAND(shop, "run the demo application, a small stateful shop"),
    COMMAND(simulate, "say how a pool spreads users, and whom each event moves, at scale"),
    COMMAND(version, "print the version and what it was built with"),
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void print_help(FILE *out)
{
    fputs("Holdfast keeps a user's session where it belongs.\n\n"
          "usage: holdfast COMMAND [ARGUMENTS]\n\n",
          out);
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
    fputs("\n'holdfast COMMAND --help' says more about one.\n", out);
}

static int refuse(const char *word)
{
    const char *nearest =
        hf_report_nearest(word, &commands[0].name, COMMAND_COUNT, sizeof(commands[0]));
    fprintf(stderr, "holdfast: unknown command '%s'", word);
    if (nearest)
        fprintf(stderr, ": did you mean '%s'?\n", nearest);
    else
        fputs("; 'holdfast --help' lists the commands\n", stderr);
    return HF_EXIT_USAGE;
}

static int run(const char *word, int argc, char **argv)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(word, commands[i].name) != 0)
            continue;
        argv[0] = commands[i].title;
        optind = 1;
        return commands[i].run(argc, argv);
    }
    return refuse(word);
}

static int help(int argc, char **argv)
{
    if (argc < 3) {
        print_help(stdout);
        return HF_EXIT_DONE;
    }
    char *words[] = {argv[2], "--help", NULL};
    return run(argv[2], 2, words);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return HF_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return help(argc, argv);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        word = "version";
    return run(word, argc - 1, argv + 1);
}
