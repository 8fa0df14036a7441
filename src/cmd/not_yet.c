/* Names that the product will answer to; today they say that they cannot. */
#include "cmd/cmd.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int not_yet(int argc, char **argv, const char *instead)
{
    bool asked = argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    fprintf(asked ? stdout : stderr, "%s: not supported yet: %s\n", argv[0], instead);
    return asked ? HF_EXIT_DONE : HF_EXIT_USAGE;
}

int hf_cmd_agent(int argc, char **argv)
{
    return not_yet(argc, argv,
                   "sessions live in the application alone until the agent is built; "
                   "'holdfast check -c FILE' validates an agent's file");
}
