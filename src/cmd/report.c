/* The file of a subcommand: how it is named, and how its mistakes are told. */
#include "cmd/cmd.h"
#include "config/config.h"
#include <getopt.h>
#include <stdio.h>

int hf_cmd_file_option(int argc, char **argv, const char *usage, const char **ret_file)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *file = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option != 'c') {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? HF_EXIT_DONE : HF_EXIT_USAGE;
        }
        file = optarg;
    }
    if (file == NULL || optind < argc) {
        fputs(usage, stderr);
        return HF_EXIT_USAGE;
    }
    *ret_file = file;
    return -1;
}

static void print_message(const char *file, const char *kind,
                          const struct hf_config_message *message)
{
    if (message->line > 0)
        fprintf(stderr, "%s:%u: %s%s\n", file, message->line, kind, message->text);
    else
        fprintf(stderr, "%s: %s%s\n", file, kind, message->text);
}

void hf_cmd_print_report(const char *file, const struct hf_config_report *report)
{
    for (unsigned i = 0; i < report->warning_count; i++)
        print_message(file, "warning: ", &report->warnings[i]);
    for (unsigned i = 0; i < report->count; i++)
        print_message(file, "", &report->messages[i]);
    if (report->more > 0)
        fprintf(stderr, "%s: and %u more\n", file, report->more);
}
