/* `holdfast proxy`: puts the parts together and answers signals. */
#include "base/assert.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/service.h"
#include "config/config.h"
#include "proxy/process.h"
#include "table/table.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TABLES_END_MS = 20 * 1000 /* for what is still to be written */ };

struct program {
    const char *file;
    struct hf_loop *loop; /* owned: the control thread's */
    struct hf_event signals;
    struct hf_process *process; /* owned */
    struct hf_admin *admin;     /* owned; NULL without admin.bind */
    bool draining;
};

static const char usage[] =
    "usage: holdfast proxy -c FILE\n\n"
    "Runs the load balancer by the configuration in FILE.\n"
    "SIGHUP reads FILE again, and reopens the access log; a FILE with mistakes changes "
    "nothing.\n"
    "SIGTERM stops accepting and ends when requests under way have; a second one ends at "
    "once.\n";

/* NULL after a message. */
static struct hf_config *load(const char *file)
{
    struct hf_config_report report = {0};
    struct hf_config *config = NULL;
    int result = hf_config_load(file, true, &config, &report);
    hf_cmd_print_report(file, &report);
    hf_config_report_fini(&report);
    return result == 0 ? config : NULL;
}

static void reload(struct program *program)
{
    struct hf_config *config = load(program->file);
    struct hf_process_error error;
    if (!config) {
        hf_error("%s has mistakes: the configuration in force stays", program->file);
        return;
    }
    struct hf_config *old = hf_process_config(program->process);
    config->generation = old->generation + 1;
    hf_config_unref(&old);
    int result = hf_process_reload(program->process, config, &error);
    if (result < 0) {
        hf_error("not reloaded: %s; the configuration in force stays", error.text);
    } else {
        result = hf_log_reconfigure((enum hf_log_level)config->log_level, config->access_path);
        if (result < 0)
            hf_error("the access log %s cannot be opened: %s; lines go where they went",
                     config->access_path, strerror(-result));
        hf_info("reloaded %s (generation %llu)", program->file,
                (unsigned long long)config->generation);
    }
    hf_config_unref(&config);
}

static void drain(struct program *program, const char *signal_name)
{
    hf_info("%s: %s", signal_name,
            program->draining ? "ending now" : "no new connections; ending when requests have");
    hf_process_drain(program->process, program->draining ? 0 : HF_DRAIN_MS);
    program->draining = true;
}

static void signal_ready(struct hf_event *event, unsigned ready)
{
    struct program *program = hf_container_of(event, struct program, signals);
    int number;
    while ((number = hf_service_next_signal(event)) != 0) {
        if (number == SIGHUP)
            reload(program);
        else
            drain(program, hf_service_signal_name(number));
    }
}

static void all_ended(void *user)
{
    struct program *program = user;
    hf_event_close(program->loop, &program->signals);
    hf_loop_stop(program->loop);
}

static struct hf_config *current_config(void *user)
{
    struct program *program = user;
    return hf_process_config(program->process);
}

static void server_changed(struct hf_server *server, void *user)
{
    (void)user;
    hf_info("%s/%s is set to %s", server->pool, server->name,
            hf_admin_state_word((enum hf_admin_state)atomic_load(&server->admin)));
}

static void announce(const struct hf_config *config)
{
    for (unsigned i = 0; i < config->listener_count; i++) {
        char text[HF_ADDRESS_TEXT_MAX];
        hf_address_format(&config->listeners[i].bind, text);
        hf_info("listening on %s (%s), %u worker%s", text, config->listeners[i].name,
                config->workers, config->workers == 1 ? "" : "s");
    }
}

static int serve(struct program *program, struct hf_config *config)
{
    struct hf_process_error error;
    int result =
        hf_process_start(program->loop, config, all_ended, program, &program->process, &error);
    if (result < 0) {
        fprintf(stderr, "holdfast: %s\n", error.text);
        return HF_EXIT_FAILED;
    }
    struct hf_admin_hooks hooks = {
        .config = current_config, .server_changed = server_changed, .user = program};
    bool started = hf_service_start_admin(program->file, config, &hooks, &program->admin);
    if (started)
        announce(config);
    else
        hf_process_drain(program->process, 0);
    hf_loop_run(program->loop);
    if (program->admin)
        hf_admin_stop(&program->admin);
    hf_process_free(&program->process);
    if (!hf_table_wait_ended(TABLES_END_MS))
        hf_warning("a table of clients could not be written completely");
    return started ? HF_EXIT_DONE : HF_EXIT_FAILED;
}

static int run(const char *file)
{
    struct program program = {.file = file};
    struct hf_config *config = load(file);
    if (!config)
        return HF_EXIT_FAILED;
    config->generation = 1;
    int result = hf_loop_new(&program.loop);
    if (result == 0)
        result = hf_service_watch_signals(program.loop, &program.signals, signal_ready);
    if (result == 0)
        result = hf_log_init((enum hf_log_level)config->log_level, config->access_path);
    int exit_code = HF_EXIT_FAILED;
    if (result < 0)
        fprintf(stderr, "holdfast: cannot start: %s\n", strerror(-result));
    else
        exit_code = serve(&program, config);
    hf_config_unref(&config);
    hf_log_fini();
    hf_loop_free(&program.loop);
    return exit_code;
}

int hf_cmd_proxy(int argc, char **argv)
{
    const char *file;
    int exit_code = hf_cmd_file_option(argc, argv, usage, &file);
    return exit_code < 0 ? run(file) : exit_code;
}
