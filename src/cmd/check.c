/* Says where a configuration is wrong and what to write, or what it promises. */
#include "cmd/check_agent.h"
#include "cmd/cmd.h"
#include "config/agent.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

static const char usage[] =
    "usage: holdfast check -c FILE\n\n"
    "Reads FILE as 'holdfast proxy' would and changes nothing. Prints FILE:LINE: what is wrong, "
    "and\n"
    "what to write, and exits 1; or prints what the file sets up and the worst-case recovery time\n"
    "that it promises, and exits 0. A file with an 'agent:' mapping is checked as an agent's.\n";

/* Whether a scalar is a key of the top mapping and says `agent`; others only move the state. */
struct top_keys {
    unsigned depth; /* of open mappings and sequences */
    bool is_value;  /* the next node at depth 1 is a value */
    bool found;
};

static void see_event(struct top_keys *keys, const yaml_event_t *event)
{
    if (event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT) {
        keys->depth--;
        return;
    }
    bool opens =
        event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT;
    bool node = opens || event->type == YAML_SCALAR_EVENT || event->type == YAML_ALIAS_EVENT;
    if (keys->depth == 1 && node) {
        if (!keys->is_value && event->type == YAML_SCALAR_EVENT)
            keys->found |= strcmp((const char *)event->data.scalar.value, "agent") == 0;
        keys->is_value = !keys->is_value;
    }
    if (opens)
        keys->depth++;
}

/* A file that cannot be read or parsed is none: the proxy's check says what is wrong with it. */
static bool is_agent_file(const char *path)
{
    FILE *file = fopen(path, "re");
    yaml_parser_t parser;
    if (!file || !yaml_parser_initialize(&parser)) {
        if (file)
            fclose(file);
        return false;
    }
    yaml_parser_set_input_file(&parser, file);
    struct top_keys keys = {0};
    yaml_event_type_t type = YAML_NO_EVENT;
    while (!keys.found && type != YAML_DOCUMENT_END_EVENT && type != YAML_STREAM_END_EVENT) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event))
            break;
        type = event.type;
        see_event(&keys, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    fclose(file);
    return keys.found;
}

static int fail(const char *file, const struct hf_config_report *report, int error)
{
    if (report->count == 0)
        fprintf(stderr, "%s: %s\n", file, strerror(-error));
    return HF_EXIT_FAILED;
}

static void print_bound(uint32_t percent)
{
    if (percent > 0)
        printf(", at most %u.%02u of the fair share", percent / 100, percent % 100);
}

static void print_affinity(const struct hf_affinity *affinity)
{
    switch (affinity->kind) {
    case HF_AFFINITY_COOKIE_INSERT:
        printf("cookie %s (sealed)", affinity->cookie);
        break;
    case HF_AFFINITY_COOKIE_PREFIX:
        printf("cookie %s (prefixed)", affinity->cookie);
        break;
    case HF_AFFINITY_ROUTE:
        printf("route behind '%c' in %s", affinity->separator, affinity->cookie);
        break;
    case HF_AFFINITY_HASH_COOKIE:
        printf("hash of cookie %s", affinity->cookie);
        break;
    case HF_AFFINITY_SOURCE_IP:
        printf("hash of the client's address (/%u, /%u)", affinity->ipv4_prefix,
               affinity->ipv6_prefix);
        break;
    case HF_AFFINITY_HEADER:
        printf("hash of field %s", affinity->name);
        break;
    case HF_AFFINITY_QUERY:
        printf("hash of ?%s=", affinity->name);
        break;
    case HF_AFFINITY_PATH_PARAM:
        printf("hash of ;%s=", affinity->name);
        break;
    case HF_AFFINITY_SOURCE_IP_TABLE:
        printf("table of clients' addresses (/%u, /%u; ", affinity->ipv4_prefix,
               affinity->ipv6_prefix);
        break;
    case HF_AFFINITY_HEADER_TABLE:
        printf("table of field %s (", affinity->name);
        break;
    case HF_AFFINITY_QUERY_TABLE:
        printf("table of ?%s= (", affinity->name);
        break;
    case HF_AFFINITY_PATH_PARAM_TABLE:
        printf("table of ;%s= (", affinity->name);
        break;
    case HF_AFFINITY_LEARN:
        printf("%s %s learned from answers (", affinity->learn_header ? "header" : "cookie",
               affinity->cookie);
        break;
    }
    if (hf_affinity_has_table(affinity))
        printf("%llu entries)", (unsigned long long)affinity->table_size);
    if (!hf_affinity_is_hash(affinity))
        return;
    if (affinity->hash != HF_HASH_MOD)
        printf(" by %s", hf_balance_hash_word(affinity->hash));
    print_bound(affinity->bounded_percent);
}

static void print_pool(const struct hf_pool *pool)
{
    printf("  pool %s: %u server%s, %s", pool->name, pool->server_count,
           pool->server_count == 1 ? "" : "s", hf_balance_word(pool->balance));
    print_bound(pool->bounded_percent);
    fputs(", affinity: ", stdout);
    if (pool->affinity_count == 0)
        fputs("none", stdout);
    for (unsigned i = 0; i < pool->affinity_count; i++) {
        if (i > 0)
            fputs(", then ", stdout);
        print_affinity(&pool->affinities[i]);
    }
    putchar('\n');
    for (unsigned i = 0; i < pool->server_count; i++) {
        const struct hf_pool_server *server = &pool->servers[i];
        printf("    %s %s weight %u%s\n", server->server->name, server->address_text,
               server->weight, server->backup ? " backup" : "");
    }
}

static int print_summary(const struct hf_config *config)
{
    char text[HF_ADDRESS_TEXT_MAX];
    printf("%s: good: %u listener%s, %u route%s, %u pool%s, %u worker%s\n", config->file,
           config->listener_count, config->listener_count == 1 ? "" : "s", config->route_count,
           config->route_count == 1 ? "" : "s", config->pool_count,
           config->pool_count == 1 ? "" : "s", config->workers, config->workers == 1 ? "" : "s");
    for (unsigned i = 0; i < config->listener_count; i++) {
        hf_address_format(&config->listeners[i].bind, text);
        printf("  listener %s: %s\n", config->listeners[i].name, text);
    }
    if (config->admin_bind.size > 0) {
        hf_address_format(&config->admin_bind, text);
        printf("  admin: %s%s\n", text, config->admin_token ? " (token)" : "");
    }
    for (unsigned i = 0; i < config->pool_count; i++)
        print_pool(&config->pools[i]);
    char *recovery = hf_config_recovery_text(config);
    if (!recovery)
        return HF_EXIT_FAILED;
    size_t size = strlen(recovery);
    printf("\n%s%s", recovery, size > 0 && recovery[size - 1] == '\n' ? "" : "\n");
    free(recovery);
    return HF_EXIT_DONE;
}

static int check_agent(const char *file)
{
    struct hf_config_report report = {0};
    struct hf_agent_config *config = NULL;
    int code = HF_EXIT_DONE;
    int result = hf_config_load_agent(file, &config, &report);
    hf_cmd_print_report(file, &report);
    if (result != 0)
        code = fail(file, &report, result);
    else
        hf_check_print_agent(config);
    hf_agent_config_free(&config);
    hf_config_report_fini(&report);
    return code;
}

static int check_proxy(const char *file)
{
    struct hf_config_report report = {0};
    struct hf_config *config = NULL;
    int result = hf_config_load(file, false, &config, &report);
    hf_cmd_print_report(file, &report);
    int code = result == 0 ? print_summary(config) : fail(file, &report, result);
    if (config)
        hf_config_unref(&config);
    hf_config_report_fini(&report);
    return code;
}

int hf_cmd_check(int argc, char **argv)
{
    const char *file;
    int exit_code = hf_cmd_file_option(argc, argv, usage, &file);
    if (exit_code >= 0)
        return exit_code;
    return is_agent_file(file) ? check_agent(file) : check_proxy(file);
}
