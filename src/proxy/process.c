#include "proxy/process.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/telling.h"
#include "proxy/worker.h"
#include "upstream/health.h"
#include "upstream/limit.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    PROCESS_MAGIC = 0x50524f43,
    DESCRIPTORS_RESERVED = 256, /* listeners, checks, admin, log, idle server connections */
};

struct hf_process {
    uint32_t magic;
    struct hf_loop *control; /* borrowed */
    hf_process_ended_fn ended;
    void *user;
    struct hf_health_checker *checker; /* owned */
    struct hf_telling *telling;        /* owned */
    unsigned worker_count, workers_running;
    struct hf_worker *workers[HF_WORKERS_MAX]; /* owned */
    atomic_uint asking;                        /* questions on their way to the control thread */
    atomic_uint clients;                       /* open client connections of all workers */
    atomic_uint clients_max;                   /* limits.connections, as far as descriptors allow */
    struct {
        pthread_mutex_t lock;
        struct hf_config *config; /* counted: in force */
    } current;
};

__attribute__((format(printf, 2, 3))) static int fail(struct hf_process_error *error,
                                                      const char *format, ...)
{
    int cause = errno;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    return -cause;
}

/* --- shared with the workers --- */

void hf_process_client_began(struct hf_process *process)
{
    atomic_fetch_add_explicit(&process->clients, 1, memory_order_relaxed);
}

void hf_process_client_ended(struct hf_process *process)
{
    atomic_fetch_sub_explicit(&process->clients, 1, memory_order_relaxed);
}

bool hf_process_has_room(struct hf_process *process)
{
    return atomic_load_explicit(&process->clients, memory_order_relaxed) <
           atomic_load_explicit(&process->clients_max, memory_order_relaxed);
}

struct hf_config *hf_process_config(struct hf_process *process)
{
    pthread_mutex_lock(&process->current.lock);
    struct hf_config *config = hf_config_ref(process->current.config);
    pthread_mutex_unlock(&process->current.lock);
    return config;
}

static void put_in_force(struct hf_process *process, struct hf_config *config)
{
    struct hf_config *new_config = hf_config_ref(config);
    pthread_mutex_lock(&process->current.lock);
    struct hf_config *old = process->current.config;
    process->current.config = new_config;
    pthread_mutex_unlock(&process->current.lock);
    if (old)
        hf_config_unref(&old);
}

struct ended_message {
    struct hf_process *process;
    struct hf_worker *worker;
};

static void worker_ended(void *argument)
{
    struct ended_message *message = argument;
    struct hf_process *process = message->process;
    pthread_join(message->worker->thread, NULL);
    free(message);
    REQUIRE(process->workers_running > 0);
    if (--process->workers_running > 0)
        return;
    hf_health_checker_free(&process->checker);
    hf_telling_free(&process->telling);
    process->ended(process->user);
}

void hf_process_worker_ended(struct hf_process *process, struct hf_worker *worker)
{
    struct ended_message *message = malloc(sizeof(*message));
    REQUIRE(message != NULL);
    *message = (struct ended_message){.process = process, .worker = worker};
    REQUIRE(hf_loop_post(process->control, worker_ended, message) == 0);
}

struct question {
    struct hf_process *process;
    struct hf_address agent;
    unsigned cause;
    size_t size;
    char id[];
};

static void ask_agent(void *argument)
{
    struct question *question = argument;
    struct hf_process *process = question->process;
    atomic_fetch_sub_explicit(&process->asking, 1, memory_order_relaxed);
    hf_telling_ask(process->telling, &question->agent, hf_slice(question->id, question->size),
                   question->cause);
    free(question);
}

bool hf_process_ask_agent(struct hf_process *process, const struct hf_address *agent,
                          struct hf_slice id, unsigned cause)
{
    /* relaxed: a bound, that racing workers may miss by as many as they are */
    if (atomic_load_explicit(&process->asking, memory_order_relaxed) >= HF_PROCESS_ASKING_MAX)
        return false;
    struct question *question = malloc(sizeof(*question) + id.size);
    if (question == NULL)
        return false;
    *question = (struct question){process, *agent, cause, id.size};
    memcpy(question->id, id.bytes, id.size);
    atomic_fetch_add_explicit(&process->asking, 1, memory_order_relaxed);
    if (hf_loop_post(process->control, ask_agent, question) == 0)
        return true;
    atomic_fetch_sub_explicit(&process->asking, 1, memory_order_relaxed);
    free(question);
    return false;
}

/* --- limits and health --- */

/* A client connection may need two descriptors. */
static void set_connection_limit(struct hf_process *process, const struct hf_config *config)
{
    struct rlimit limit;
    unsigned clients_max = config->limits.connections;
    rlim_t needed = (rlim_t)2 * clients_max + DESCRIPTORS_RESERVED;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        if (limit.rlim_cur < needed && limit.rlim_cur < limit.rlim_max) {
            limit.rlim_cur = needed < limit.rlim_max ? needed : limit.rlim_max;
            (void)setrlimit(RLIMIT_NOFILE, &limit);
            (void)getrlimit(RLIMIT_NOFILE, &limit);
        }
        if (limit.rlim_cur < needed) {
            rlim_t reserved = limit.rlim_cur > 2 * DESCRIPTORS_RESERVED ? DESCRIPTORS_RESERVED
                                                                        : limit.rlim_cur / 2;
            clients_max = (unsigned)((limit.rlim_cur - reserved) / 2);
            hf_warning(
                "limits.connections is %u, which may need %llu descriptors, but this process "
                "may open %llu: accepting %u connections; raise the limit (LimitNOFILE= or "
                "ulimit -n) or lower limits.connections",
                config->limits.connections, (unsigned long long)needed,
                (unsigned long long)limit.rlim_cur, clients_max);
        }
    }
    atomic_store_explicit(&process->clients_max, clients_max, memory_order_relaxed);
}

static void health_changed(struct hf_server *server, enum hf_health from, enum hf_health to,
                           const char *reason, void *user)
{
    struct hf_process *process = user;
    if (process->telling != NULL)
        hf_telling_look(process->telling);
    if (to == HF_HEALTH_DOWN)
        hf_warning("%s/%s is down: %s; its sessions move to other servers", server->pool,
                   server->name, reason);
    else if (from == HF_HEALTH_DOWN)
        hf_info("%s/%s is up again", server->pool, server->name);
    else
        hf_info("%s/%s is up", server->pool, server->name);
}

/* --- updates --- */

static const struct hf_address *known_listener(const struct hf_config *old,
                                               const struct hf_address *bind)
{
    for (unsigned i = 0; old && i < old->listener_count; i++)
        if (hf_address_equal(&old->listeners[i].bind, bind))
            return &old->listeners[i].bind;
    return NULL;
}

static void discard_updates(struct hf_worker_update **updates, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (!updates[i])
            continue;
        for (unsigned j = 0; j < HF_LISTENERS_MAX; j++)
            if (updates[i]->fds[j] >= 0)
                close(updates[i]->fds[j]);
        hf_config_unref(&updates[i]->config);
        free(updates[i]);
        updates[i] = NULL;
    }
}

static struct hf_worker_update *update_new(struct hf_worker *worker, struct hf_config *config)
{
    struct hf_worker_update *update = malloc(sizeof(*update));
    if (!update)
        return NULL;
    update->worker = worker;
    update->config = hf_config_ref(config);
    for (unsigned j = 0; j < HF_LISTENERS_MAX; j++)
        update->fds[j] = -1;
    return update;
}

/* Sockets for the listeners that `config` adds. 0 or negative errno with a message. */
static int listen_for(struct hf_worker_update *update, const struct hf_config *old,
                      struct hf_process_error *error)
{
    const struct hf_config *config = update->config;
    for (unsigned j = 0; j < config->listener_count; j++) {
        const struct hf_listener_config *listener = &config->listeners[j];
        bool local = listener->bind.any.sa_family == AF_UNIX;
        if (known_listener(old, &listener->bind) || (local && update->worker->index > 0))
            continue;
        int fd = hf_listen(&listener->bind);
        if (fd < 0) {
            char text[HF_ADDRESS_TEXT_MAX];
            hf_address_format(&listener->bind, text);
            errno = -fd;
            return fail(error, "%s:%u: listener '%s' cannot listen on %s: %s%s", config->file,
                        listener->line, listener->name, text, strerror(-fd),
                        hf_listen_advice(&listener->bind, fd));
        }
        update->fds[j] = fd;
    }
    return 0;
}

/* All sockets first, then all messages: a configuration is in force everywhere or nowhere. */
static int send_updates(struct hf_process *process, struct hf_config *config,
                        const struct hf_config *old, struct hf_process_error *error)
{
    struct hf_worker_update *updates[HF_WORKERS_MAX] = {0};
    int result = 0;
    for (unsigned i = 0; i < process->worker_count && result == 0; i++) {
        updates[i] = update_new(process->workers[i], config);
        errno = ENOMEM;
        result = updates[i] ? listen_for(updates[i], old, error) : fail(error, "out of memory");
    }
    for (unsigned i = 0; i < process->worker_count && result == 0; i++) {
        result = hf_worker_post_update(updates[i]);
        if (result == 0)
            updates[i] = NULL;
    }
    discard_updates(updates, process->worker_count);
    return result;
}

int hf_process_reload(struct hf_process *process, struct hf_config *config,
                      struct hf_process_error *error)
{
    REQUIRE(HF_MAGIC_OK(process, PROCESS_MAGIC));
    const struct hf_config *old = process->current.config; /* only this thread replaces it */
    if (config->workers != process->worker_count)
        hf_warning("%s: workers stays %u until a restart", config->file, process->worker_count);
    if (!hf_address_equal(&config->admin_bind, &old->admin_bind))
        hf_warning("%s: admin.bind stays what it is until a restart", config->file);
    if (config->limits.connections > old->limits.connections)
        hf_warning("%s: limits.connections beyond %u takes effect at a restart", config->file,
                   old->limits.connections);
    int result = send_updates(process, config, old, error);
    if (result < 0)
        return result;
    put_in_force(process, config);
    hf_limit_apply(config);
    set_connection_limit(process, config);
    result = hf_health_checker_apply(process->checker, config);
    if (result < 0)
        hf_error("health checks keep the old configuration: %s", strerror(-result));
    result = hf_telling_apply(process->telling, config);
    if (result < 0)
        hf_error("agents are told by the old configuration: %s", strerror(-result));
    return 0;
}

/* --- life --- */

static int make_workers(struct hf_process *process, struct hf_config *config,
                        struct hf_process_error *error)
{
    for (unsigned i = 0; i < config->workers; i++) {
        int result = hf_worker_new(process, i, config, &process->workers[i]);
        if (result < 0) {
            errno = -result;
            return fail(error, "worker %u cannot be made: %s", i, strerror(-result));
        }
        process->worker_count++;
    }
    return send_updates(process, config, NULL, error);
}

static int start_checks(struct hf_process *process, struct hf_config *config,
                        struct hf_process_error *error)
{
    int result =
        hf_health_checker_new(process->control, health_changed, process, &process->checker);
    if (result == 0)
        result = hf_health_checker_apply(process->checker, config);
    if (result == 0)
        result = hf_telling_new(process->control, &process->telling);
    if (result == 0)
        result = hf_telling_apply(process->telling, config);
    if (result == 0)
        return 0;
    errno = -result;
    return fail(error, "health checks cannot start: %s", strerror(-result));
}

static int start_workers(struct hf_process *process, struct hf_process_error *error)
{
    for (unsigned i = 0; i < process->worker_count; i++) {
        int result = hf_worker_start(process->workers[i]);
        if (result < 0) {
            errno = -result;
            return fail(error, "a thread cannot be started: %s", strerror(-result));
        }
        process->workers_running++;
    }
    return 0;
}

/* The servers that the process begins with are no newcomers among others: none starts slowly. */
static void start_together(const struct hf_config *config)
{
    hf_limit_apply(config);
    for (unsigned p = 0; p < config->pool_count; p++) {
        for (unsigned i = 0; i < config->pools[p].server_count; i++)
            atomic_store_explicit(&config->pools[p].servers[i].server->up_since_ms, 0,
                                  memory_order_relaxed);
    }
}

int hf_process_start(struct hf_loop *control, struct hf_config *config, hf_process_ended_fn ended,
                     void *user, struct hf_process **ret_process, struct hf_process_error *error)
{
    struct hf_process *process = calloc(1, sizeof(*process));
    if (!process) {
        errno = ENOMEM;
        return fail(error, "out of memory");
    }
    process->magic = PROCESS_MAGIC;
    process->control = control;
    process->ended = ended;
    process->user = user;
    pthread_mutex_init(&process->current.lock, NULL);
    put_in_force(process, config);
    start_together(config);
    set_connection_limit(process, config);
    int result = make_workers(process, config, error);
    if (result == 0)
        result = start_checks(process, config, error);
    if (result == 0)
        result = start_workers(process, error);
    if (result < 0) {
        /* With a thread running already there is no way back but the process's exit. */
        if (process->workers_running == 0 && !process->checker)
            hf_process_free(&process);
        return result;
    }
    *ret_process = process;
    return 0;
}

void hf_process_drain(struct hf_process *process, uint64_t deadline_ms)
{
    REQUIRE(HF_MAGIC_OK(process, PROCESS_MAGIC));
    for (unsigned i = 0; i < process->worker_count; i++)
        if (hf_worker_post_drain(process->workers[i], deadline_ms) < 0)
            hf_loop_stop(process->workers[i]->loop);
}

void hf_process_free(struct hf_process **process)
{
    struct hf_process *one = *process;
    REQUIRE(HF_MAGIC_OK(one, PROCESS_MAGIC) && one->workers_running == 0);
    *process = NULL;
    for (unsigned i = 0; i < one->worker_count; i++)
        hf_worker_free(&one->workers[i]);
    REQUIRE(one->checker == NULL && one->telling == NULL);
    hf_config_unref(&one->current.config);
    pthread_mutex_destroy(&one->current.lock);
    one->magic = 0;
    free(one);
}
