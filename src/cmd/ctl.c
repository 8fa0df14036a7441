/* Sees and changes a running proxy through its admin API. */
#include "cmd/ctl.h"
#include "base/assert.h"
#include "cmd/cmd.h"
#include "config/report.h"
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: holdfast ctl [--json] [--admin URL | -c FILE] [--token-file FILE] COMMAND\n\n"
    "  status                     version, uptime, configuration, and each pool's servers by "
    "state\n"
    "  servers                    every server: state, requests, failures, pinned clients\n"
    "  drain POOL/SERVER          sessions stay, new clients go elsewhere\n"
    "  maintenance POOL/SERVER    nobody goes there\n"
    "  ready POOL/SERVER          back to normal\n\n"
    "The proxy's admin API is at http://127.0.0.1:9900, or at URL (http://HOST:PORT or unix:PATH), "
    "or\n"
    "where the configuration in FILE says. The token comes from --token-file, from that "
    "configuration,\n"
    "or from HOLDFAST_TOKEN. Exit code: 0 done, 1 refused or no answer, 2 not understood.\n";

enum { PATH_MAX_BYTES = 400, SERVERS_SEEN_MAX = 4096 };

struct ctl_command {
    const char *name;
    bool takes_server;
    int (*run)(const struct hf_ctl *ctl, const struct ctl_command *command, const char *server);
};

static int fail(const char *error)
{
    fprintf(stderr, "holdfast ctl: %s\n", error);
    return HF_EXIT_FAILED;
}

/* Asks and parses; a good answer has `key`. Told on stderr and NULL when it did not work. */
static json_t *ask(const struct hf_ctl *ctl, const char *path, const char *body, const char *key,
                   long *ret_status)
{
    struct hf_ctl_answer answer;
    char error[HF_CTL_ERROR_MAX];
    if (hf_ctl_ask(&ctl->target, path, body, &answer, error) != 0) {
        fail(error);
        return NULL;
    }
    *ret_status = answer.status;
    json_t *document = json_loads(answer.body.bytes ? answer.body.bytes : "", 0, NULL);
    hf_ctl_answer_fini(&answer);
    bool known = json_object_get(document, *ret_status == 200 ? key : "error") != NULL;
    if (!known) {
        json_decref(document);
        fail("the answer is not this API's; is the address that of a proxy's admin: bind?");
        return NULL;
    }
    return document;
}

static int print_error(const json_t *document)
{
    const char *error = json_string_value(json_object_get(document, "error"));
    return fail(error ? error : "the proxy refused, and did not say why; see its log");
}

static int print(const struct hf_ctl *ctl, const json_t *document, int (*table)(const json_t *))
{
    if (!ctl->json)
        return table(document);
    int result = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    putchar('\n');
    return result == 0 ? HF_EXIT_DONE : fail("cannot write to standard output");
}

static int show(const struct hf_ctl *ctl, const char *path, const char *key,
                int (*table)(const json_t *))
{
    long status;
    json_t *document = ask(ctl, path, NULL, key, &status);
    if (!document)
        return HF_EXIT_FAILED;
    int code = status == 200 ? print(ctl, document, table) : print_error(document);
    json_decref(document);
    return code;
}

static int run_status(const struct hf_ctl *ctl, const struct ctl_command *command,
                      const char *server)
{
    return show(ctl, "/v1/status", "pools", hf_ctl_print_status);
}

static int run_servers(const struct hf_ctl *ctl, const struct ctl_command *command,
                       const char *server)
{
    return show(ctl, "/v1/servers", "servers", hf_ctl_print_servers);
}

/* "/v1/servers/POOL/NAME/state", percent-encoded (RFC 3986 2.3) but for the one slash. */
static int state_path(char out[PATH_MAX_BYTES], const char *server)
{
    size_t used = (size_t)snprintf(out, PATH_MAX_BYTES, "/v1/servers/");
    for (; *server && used + 16 < PATH_MAX_BYTES; server++) {
        unsigned char byte = (unsigned char)*server;
        bool plain = isalnum(byte) || strchr("-._~/", byte);
        used += (size_t)snprintf(out + used, PATH_MAX_BYTES - used, plain ? "%c" : "%%%02X", byte);
    }
    snprintf(out + used, PATH_MAX_BYTES - used, "/state");
    return *server ? -ENAMETOOLONG : 0;
}

/* Says which server was probably meant, out of those that the proxy has. */
static int suggest(const struct hf_ctl *ctl, const char *server)
{
    long status;
    json_t *document = ask(ctl, "/v1/servers", NULL, "servers", &status);
    json_t *list = json_object_get(document, "servers");
    size_t count = json_array_size(list), used = 0;
    char **names = calloc(count + 1, sizeof(*names));
    for (size_t i = 0; names && i < count && i < SERVERS_SEEN_MAX; i++) {
        json_t *one = json_array_get(list, i);
        const char *pool = json_string_value(json_object_get(one, "pool"));
        const char *name = json_string_value(json_object_get(one, "name"));
        if (pool && name && asprintf(&names[used], "%s/%s", pool, name) >= 0)
            used++;
    }
    const char *nearest =
        names ? hf_report_nearest(server, (const char *const *)names, used, sizeof(names[0]))
              : NULL;
    fprintf(stderr, "holdfast ctl: there is no server '%s'%s%s%s\n", server,
            nearest ? ": did you mean '" : "; 'holdfast ctl servers' lists them",
            nearest ? nearest : "", nearest ? "'?" : "");
    for (size_t i = 0; i < used; i++)
        free(names[i]);
    free(names);
    json_decref(document);
    return HF_EXIT_FAILED;
}

static int run_change(const struct hf_ctl *ctl, const struct ctl_command *command,
                      const char *server)
{
    char path[PATH_MAX_BYTES], body[64];
    const char *slash = strchr(server, '/');
    if (!slash || slash == server || !slash[1] || strchr(slash + 1, '/')) {
        fprintf(stderr, "holdfast ctl: '%s' is not a server; write POOL/SERVER, as in shop/app1\n",
                server);
        return HF_EXIT_USAGE;
    }
    if (state_path(path, server) != 0)
        return fail("the name is too long; 'holdfast ctl servers' lists those there are");
    snprintf(body, sizeof(body), "{\"state\":\"%s\"}", command->name);
    long status;
    json_t *document = ask(ctl, path, body, "admin", &status);
    if (!document)
        return HF_EXIT_FAILED;
    int code = status == 200   ? print(ctl, document, hf_ctl_print_server)
               : status == 404 ? suggest(ctl, server)
                               : print_error(document);
    json_decref(document);
    return code;
}

static int run_not_yet(const struct hf_ctl *ctl, const struct ctl_command *command,
                       const char *server)
{
    fprintf(stderr, "holdfast ctl: not supported yet: %s\n", command->name);
    return HF_EXIT_USAGE;
}

static const struct ctl_command commands[] = {
    {"status", false, run_status},     {"servers", false, run_servers},
    {"drain", true, run_change},       {"ready", true, run_change},
    {"maintenance", true, run_change}, {"explain", false, run_not_yet},
    {"preview", false, run_not_yet},   {"migrate", false, run_not_yet},
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

/* NULL after telling what is wrong. */
static const struct ctl_command *find_command(const char *word)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(word, commands[i].name) == 0)
            return &commands[i];
    const char *nearest =
        hf_report_nearest(word, &commands[0].name, COMMAND_COUNT, sizeof(commands[0]));
    fprintf(stderr, "holdfast ctl: unknown command '%s'%s%s%s\n", word,
            nearest ? ": did you mean '" : "; 'holdfast ctl --help' lists them",
            nearest ? nearest : "", nearest ? "'?" : "");
    return NULL;
}

static int run_words(struct hf_ctl *ctl, const struct hf_ctl_source *source, int count,
                     char **words)
{
    const struct ctl_command *command = count > 0 ? find_command(words[0]) : NULL;
    if (count > 0 && !command)
        return HF_EXIT_USAGE;
    if (command && command->run == run_not_yet)
        return run_not_yet(ctl, command, NULL);
    if (!command || count != 1 + (int)command->takes_server) {
        fputs(usage, stderr);
        return HF_EXIT_USAGE;
    }
    struct hf_ctl_place place;
    int code = hf_ctl_locate(source, &place, &ctl->target);
    if (code == 0)
        code = command->run(ctl, command, command->takes_server ? words[1] : NULL);
    hf_ctl_place_fini(&place);
    return code;
}

int hf_cmd_ctl(int argc, char **argv)
{
    enum { TOKEN_FILE = 256, DEADLINE };
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"admin", required_argument, NULL, 'a'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"token-file", required_argument, NULL, TOKEN_FILE},
                                            {"deadline", required_argument, NULL, DEADLINE},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct hf_ctl ctl = {0};
    struct hf_ctl_source source = {0};
    int option;
    while ((option = getopt_long(argc, argv, "ja:c:h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return HF_EXIT_DONE;
        } else if (option == DEADLINE) {
            fputs("holdfast ctl: not supported yet: --deadline; a drain lasts until 'ready'\n",
                  stderr);
            return HF_EXIT_USAGE;
        } else if (option == '?') {
            fputs("'holdfast ctl --help' lists the options\n", stderr);
            return HF_EXIT_USAGE;
        }
        ctl.json |= option == 'j';
        source.admin = option == 'a' ? optarg : source.admin;
        source.config = option == 'c' ? optarg : source.config;
        source.token_file = option == TOKEN_FILE ? optarg : source.token_file;
    }
    return run_words(&ctl, &source, argc - optind, argv + optind);
}
