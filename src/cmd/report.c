/* The mistakes of a file, as every subcommand that reads one tells them. */
#include "cmd/cmd.h"
#include "config/config.h"
#include <stdio.h>

void hf_cmd_print_report(const char *file, const struct hf_config_report *report)
{
    for (unsigned i = 0; i < report->count; i++) {
        const struct hf_config_message *message = &report->messages[i];
        if (message->line > 0)
            fprintf(stderr, "%s:%u: %s\n", file, message->line, message->text);
        else
            fprintf(stderr, "%s: %s\n", file, message->text);
    }
    if (report->more > 0)
        fprintf(stderr, "%s: and %u more\n", file, report->more);
}
