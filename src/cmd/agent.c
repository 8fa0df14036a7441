/* `holdfast agent`: puts the parts together and answers signals. */
#include "agent/agent.h"
#include "agent/memcache.h"
#include "agent/peering.h"
#include "agent/resp_front.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/service.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* What applications may speak. */
static const struct hf_agent_fronts fronts = {.redis = &hf_resp_front,
                                              .memcached = &hf_memcache_front};

struct program {
    const char *file;
    struct hf_loop *loop; /* owned, as all below */
    struct hf_event signals;
    struct hf_agent_config *first;  /* whose patterns are in force */
    struct hf_agent_config *config; /* in force; may be the first */
    struct hf_agent_config *fleet;  /* whose peers it has, if it got them by a reload */
    struct hf_agent *agent;
    struct hf_admin *admin; /* NULL without admin.bind */
    bool stopping;
    struct {
        pthread_mutex_t lock;      /* admin threads take references */
        struct hf_config *process; /* counted */
    } current;
};

static const char usage[] =
    "usage: holdfast agent -c FILE\n\n"
    "Keeps the sessions of the application beside it, which takes it for its Redis or\n"
    "memcached, by the configuration in FILE.\n"
    "SIGHUP reads FILE again; a FILE with mistakes changes nothing.\n"
    "SIGTERM accepts no more, ends when what was asked is answered and the sessions are handed\n"
    "over to the peers; a second one ends at once.\n";

/* NULL after a message. */
static struct hf_agent_config *load(const char *file)
{
    struct hf_config_report report = {0};
    struct hf_agent_config *config = NULL;
    int result = hf_config_load_agent(file, &config, &report);
    hf_cmd_print_report(file, &report);
    hf_config_report_fini(&report);
    return result == 0 ? config : NULL;
}

/* ---- what admin threads ask ---- */

static struct hf_config *current_config(void *user)
{
    struct program *program = user;
    pthread_mutex_lock(&program->current.lock);
    struct hf_config *config = hf_config_ref(program->current.process);
    pthread_mutex_unlock(&program->current.lock);
    return config;
}

static void put_in_force(struct program *program, struct hf_agent_config *config)
{
    pthread_mutex_lock(&program->current.lock);
    struct hf_config *old = program->current.process;
    program->current.process = hf_config_ref(config->process);
    pthread_mutex_unlock(&program->current.lock);
    hf_config_unref(&old);
}

static const struct { /* by enum hf_agent_front */
    const char *name;
    unsigned open;
} front_rows[HF_AGENT_FRONT_COUNT] = {
    [HF_AGENT_REDIS] = {"redis", HF_AGENT_redis_open},
    [HF_AGENT_MEMCACHED] = {"memcached", HF_AGENT_memcached_open},
};

static json_t *count(const struct program *program, unsigned index)
{
    uint64_t value = hf_counters_value(hf_agent_counters(program->agent), index);
    return json_integer((json_int_t)value);
}

static json_t *listeners_document(const struct program *program)
{
    json_t *listeners = json_array();
    for (unsigned i = 0; i < HF_AGENT_FRONT_COUNT; i++) {
        const struct hf_address *address = hf_agent_address(program->agent, (enum hf_agent_front)i);
        char bind[HF_ADDRESS_TEXT_MAX];
        if (address == NULL)
            continue;
        hf_address_format(address, bind);
        json_array_append_new(listeners,
                              json_pack("{s:s, s:s, s:o}", "front", front_rows[i].name, "bind",
                                        bind, "connections", count(program, front_rows[i].open)));
    }
    return listeners;
}

/* NULL: there is none. */
static json_t *store_document(const struct program *program)
{
    const struct hf_external_counters *counters = hf_agent_external_counters(program->agent);
    enum hf_agent_mode mode = hf_agent_mode(program->agent);
    if (counters == NULL || mode == HF_AGENT_LOCAL || mode == HF_AGENT_REPLICATED)
        return NULL;
    bool up = hf_external_counters_value(counters, HF_EXTERNAL_COUNT_UP) != 0;
    uint64_t dirty = hf_external_counters_value(counters, HF_EXTERNAL_COUNT_DIRTY);
    return json_pack("{s:s, s:b, s:I}", "url", hf_agent_external_url(program->agent), "up", up,
                     "dirty", (json_int_t)dirty);
}

/* The other agents. What they are called does not change before a restart. */
static json_t *peers_document(const struct program *program)
{
    const struct hf_peering *peering = hf_agent_peering(program->agent);
    const struct hf_agent_replication *replication = hf_peering_configuration(peering);
    json_t *peers = json_array();
    for (unsigned i = 0; i < replication->peer_count; i++) {
        char address[HF_ADDRESS_TEXT_MAX];
        if (i == replication->self)
            continue;
        hf_address_format(&replication->peers[i].address, address);
        json_array_append_new(peers, json_pack("{s:s, s:s, s:b}", "name",
                                               replication->peers[i].name, "address", address,
                                               "linked", hf_peering_linked(peering, i)));
    }
    return peers;
}

static json_t *replication_document(const struct program *program)
{
    const struct hf_peering *peering = hf_agent_peering(program->agent);
    if (peering == NULL)
        return json_null();
    const struct hf_agent_replication *replication = hf_peering_configuration(peering);
    return json_pack("{s:s, s:b, s:b, s:b, s:i, s:o}", "self",
                     replication->peers[replication->self].name, "ready", hf_peering_ready(peering),
                     "complete", hf_peering_complete(peering), "drains", hf_peering_drains(peering),
                     "backups", (int)replication->backups, "peers", peers_document(program));
}

static json_t *status_document(void *user, const struct hf_admin_times *times)
{
    struct program *program = user;
    struct hf_config *config = current_config(program);
    json_t *document = json_pack(
        "{s:s, s:s, s:f, s:I, s:s?, s:s, s:o, s:o, s:{s:o, s:o, s:o}, s:o, s:{s:o, s:o, s:o}, "
        "s:o, s:o, s:o, s:o*}",
        "version", HF_VERSION, "node", config->node, "uptime_s",
        (double)(times->now_ms - times->started_ms) / 1000.0, "generation",
        (json_int_t)config->generation, "config", config->file, "mode",
        hf_agent_mode_word(hf_agent_mode(program->agent)), "listeners", listeners_document(program),
        "replication", replication_document(program), "sessions", "owner",
        count(program, HF_AGENT_SESSIONS_OWNED), "backup", count(program, HF_AGENT_SESSIONS_BACKUP),
        "tombstone", count(program, HF_AGENT_SESSIONS_TOMB), "keys", count(program, HF_AGENT_KEYS),
        "memory", "logical", count(program, HF_AGENT_BYTES_LOGICAL), "used",
        count(program, HF_AGENT_BYTES_USED), "limit", count(program, HF_AGENT_BYTES_LIMIT),
        "expired", count(program, HF_AGENT_EXPIRED), "evicted", count(program, HF_AGENT_EVICTED),
        "refused", count(program, HF_AGENT_REFUSED), "store", store_document(program));
    hf_config_unref(&config);
    return document;
}

/* ---- signals ---- */

static void reload(struct program *program)
{
    struct hf_agent_config *config = load(program->file);
    struct hf_agent_error error;
    if (config == NULL) {
        hf_error("%s has mistakes: the configuration in force stays", program->file);
        return;
    }
    config->process->generation = program->config->process->generation + 1;
    if (hf_agent_reload(program->agent, config, &error) < 0) {
        hf_error("not reloaded: %s; the configuration in force stays", error.text);
        hf_agent_config_free(&config);
        return;
    }
    put_in_force(program, config);
    (void)hf_log_reconfigure((enum hf_log_level)config->process->log_level, NULL);
    hf_info("reloaded %s (generation %llu)", program->file,
            (unsigned long long)config->process->generation);
    if (hf_agent_fleet(program->agent) == config)
        program->fleet = config; /* stays */
    if (program->config != program->first && program->config != program->fleet)
        hf_agent_config_free(&program->config);
    program->config = config;
}

static void ended(void *user)
{
    struct program *program = user;
    hf_event_close(program->loop, &program->signals);
    hf_loop_stop(program->loop);
}

static void stop(struct program *program, const char *signal_name)
{
    hf_info("%s: %s", signal_name,
            program->stopping ? "ending now" : "no new connections; ending when requests have");
    program->stopping = true;
    hf_agent_stop(program->agent, ended, program);
}

static void signal_ready(struct hf_event *event, unsigned ready)
{
    struct program *program = hf_container_of(event, struct program, signals);
    int number;
    while ((number = hf_service_next_signal(event)) != 0) {
        if (number == SIGHUP)
            reload(program);
        else
            stop(program, hf_service_signal_name(number));
    }
}

/* ---- life ---- */

static void announce(const struct program *program)
{
    for (unsigned i = 0; i < HF_AGENT_FRONT_COUNT; i++) {
        const struct hf_address *address = hf_agent_address(program->agent, (enum hf_agent_front)i);
        char text[HF_ADDRESS_TEXT_MAX];
        if (address == NULL)
            continue;
        hf_address_format(address, text);
        hf_info("listening on %s (%s)", text, front_rows[i].name);
    }
}

static int serve(struct program *program)
{
    struct hf_agent_error error;
    int result = hf_agent_new(program->loop, program->config, &fronts, &program->agent, &error);
    if (result < 0) {
        fprintf(stderr, "%s\n", error.text);
        return HF_EXIT_FAILED;
    }
    struct hf_admin_hooks hooks = {
        .config = current_config, .status = status_document, .user = program};
    bool started =
        hf_service_start_admin(program->file, program->config->process, &hooks, &program->admin);
    if (started) {
        announce(program);
        hf_loop_run(program->loop);
    }
    if (program->admin)
        hf_admin_stop(&program->admin);
    if (!started) { /* what was opened is closed in a turn of the loop */
        hf_agent_stop(program->agent, ended, program);
        hf_agent_stop(program->agent, ended, program);
        hf_loop_run(program->loop);
    }
    hf_agent_free(&program->agent);
    return started ? HF_EXIT_DONE : HF_EXIT_FAILED;
}

static int run(const char *file)
{
    struct program program = {.file = file};
    program.first = program.config = load(file);
    if (program.config == NULL)
        return HF_EXIT_FAILED;
    pthread_mutex_init(&program.current.lock, NULL);
    program.current.process = hf_config_ref(program.config->process);
    int result = hf_loop_new(&program.loop);
    if (result == 0)
        result = hf_service_watch_signals(program.loop, &program.signals, signal_ready);
    if (result == 0)
        result = hf_log_init((enum hf_log_level)program.config->process->log_level, NULL);
    int exit_code = HF_EXIT_FAILED;
    if (result < 0)
        fprintf(stderr, "holdfast: cannot start: %s\n", strerror(-result));
    else
        exit_code = serve(&program);
    hf_log_fini();
    hf_loop_free(&program.loop);
    hf_config_unref(&program.current.process);
    if (program.config != program.first && program.config != program.fleet)
        hf_agent_config_free(&program.config);
    hf_agent_config_free(&program.fleet);
    hf_agent_config_free(&program.first);
    return exit_code;
}

int hf_cmd_agent(int argc, char **argv)
{
    const char *file;
    int exit_code = hf_cmd_file_option(argc, argv, usage, &file);
    return exit_code < 0 ? run(file) : exit_code;
}
