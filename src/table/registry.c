#include "table/table.h"

#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"
#include "table/keeper.h"
#include "table/table_metrics.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NS_PER_S = 1000 * 1000 * 1000 };

/* Every living table, those that end included. `changed` is told when one has ended, and when
 * keepers shall look at once. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct hf_table *first;
    unsigned ending; /* out of the list, not freed yet */
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* A name as part of a file's name: readable, and told apart by a hash. */
static void make_path(struct hf_table *table, const char *directory)
{
    char plain[64];
    size_t size = 0;
    for (const char *c = table->name; *c != '\0' && size + 1 < sizeof(plain); c++) {
        bool good = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '-' || *c == '_';
        plain[size++] = good ? *c : '-';
    }
    plain[size] = '\0';
    int length = snprintf(table->path, sizeof(table->path), "%s/table-%s-%08x.pins", directory,
                          plain, (unsigned)hf_hash64(hf_slice_text(table->name), 0));
    if (length < 0 || (size_t)length + sizeof(".corrupt") > sizeof(table->path))
        table->path[0] = '\0';
}

static void table_free(struct hf_table *table)
{
    while (table->keeper.retired != NULL) {
        struct hf_table_retired *gone = table->keeper.retired;
        table->keeper.retired = gone->next;
        hf_space_fini(gone->space);
        free(gone->space);
        free(gone);
    }
    struct hf_space *space = atomic_load_explicit(&table->current, memory_order_relaxed);
    if (space != NULL)
        hf_space_fini(space);
    free(space);
    hf_table_file_close(&table->probe);
    hf_dictionary_fini(&table->dictionary);
    table->magic = 0;
    free(table);
}

static int table_new(const struct hf_table_options *options, struct hf_table **ret_table)
{
    struct hf_table *table = aligned_alloc(_Alignof(struct hf_table), sizeof(*table));
    struct hf_space *space = calloc(1, sizeof(*space));
    if (table == NULL || space == NULL) {
        free(table);
        free(space);
        return -ENOMEM;
    }
    memset(table, 0, sizeof(*table));
    table->magic = HF_TABLE_MAGIC;
    table->probe.fd = table->keeper.file.fd = table->keeper.replaced.fd = -1;
    table->notice = options->notice;
    table->origin_ms = hf_clock_monotonic_ms();
    atomic_init(&table->wanted_size, options->size);
    atomic_init(&table->flushed_at_ms, table->origin_ms);
    memcpy(table->name, options->name, strlen(options->name) + 1);
    hf_random_bytes(table->secret, sizeof(table->secret));
    atomic_init(&table->current, space);
    int result = hf_dictionary_init(&table->dictionary);
    if (result == 0)
        result = hf_space_init(space, options->size);
    if (result < 0) {
        table_free(table);
        return result;
    }
    if (options->directory != NULL)
        make_path(table, options->directory);
    if (table->path[0] != '\0')
        hf_keeper_prepare(table);
    *ret_table = table;
    return 0;
}

/* Under the lock. */
static void unlink_table(struct hf_table *table)
{
    struct hf_table **at = &registry.first;
    while (*at != table)
        at = &(*at)->registry.next;
    *at = table->registry.next;
}

static void wait_tick(void)
{
    uint64_t until_ns = hf_clock_monotonic_ns() + HF_KEEPER_TICK_MS * 1000ull * 1000;
    struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                             .tv_nsec = (long)(until_ns % NS_PER_S)};
    pthread_cond_clockwait(&registry.changed, &registry.lock, CLOCK_MONOTONIC, &until);
}

/* Ends once nobody has held the table for a whole round, which wrote what was left. */
static void *keep(void *argument)
{
    struct hf_table *table = argument;
    bool ends = false;
    hf_keeper_populate(table);
    pthread_mutex_lock(&registry.lock);
    table->registry.present = true;
    pthread_cond_broadcast(&registry.changed);
    while (!ends || table->registry.references > 0) {
        if (table->registry.references > 0)
            wait_tick();
        ends = table->registry.references == 0;
        pthread_mutex_unlock(&registry.lock);
        hf_keeper_tick(table);
        pthread_mutex_lock(&registry.lock);
    }
    unlink_table(table);
    registry.ending++;
    pthread_mutex_unlock(&registry.lock);
    hf_keeper_finish(table);
    table_free(table);
    pthread_mutex_lock(&registry.lock);
    registry.ending--;
    pthread_cond_broadcast(&registry.changed);
    pthread_mutex_unlock(&registry.lock);
    return NULL;
}

static int start_keeper(struct hf_table *table)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    int result = -pthread_create(&thread, &attributes, keep, table);
    pthread_attr_destroy(&attributes);
    return result;
}

/* Under the lock. */
static int acquire_locked(const struct hf_table_options *options, struct hf_table **ret_table)
{
    struct hf_table *table = registry.first;
    while (table != NULL && strcmp(table->name, options->name) != 0)
        table = table->registry.next;
    if (table != NULL) {
        table->registry.references++;
        atomic_store_explicit(&table->wanted_size, options->size, memory_order_relaxed);
        *ret_table = table;
        return 0;
    }
    int result = table_new(options, &table);
    if (result < 0)
        return result;
    table->registry.references = 1;
    result = start_keeper(table);
    if (result < 0) {
        hf_table_file_close(&table->keeper.file);
        table_free(table);
        return result;
    }
    table->registry.next = registry.first;
    registry.first = table;
    *ret_table = table;
    return 0;
}

/* A worker that met a page which is not there yet would wait until the kernel has cleared it. Under
 * the lock. */
static void wait_present(const struct hf_table *table)
{
    uint64_t until_ms = hf_clock_monotonic_ms() + HF_KEEPER_PRESENT_MS;
    while (!table->registry.present && hf_clock_monotonic_ms() < until_ms)
        wait_tick();
}

int hf_table_acquire(const struct hf_table_options *options, struct hf_table **ret_table)
{
    REQUIRE(options->size > 0 && strlen(options->name) < HF_TABLE_NAME_MAX);
    hf_table_metrics_start();
    pthread_mutex_lock(&registry.lock);
    int result = acquire_locked(options, ret_table);
    if (result == 0)
        wait_present(*ret_table);
    pthread_mutex_unlock(&registry.lock);
    return result;
}

void hf_table_release(struct hf_table **table)
{
    struct hf_table *one = *table;
    *table = NULL;
    if (one == NULL)
        return;
    REQUIRE(HF_MAGIC_OK(one, HF_TABLE_MAGIC));
    pthread_mutex_lock(&registry.lock);
    REQUIRE(one->registry.references > 0);
    if (--one->registry.references == 0)
        pthread_cond_broadcast(&registry.changed);
    pthread_mutex_unlock(&registry.lock);
}

/* Under the lock. */
static bool some_end(void)
{
    bool some = registry.ending > 0;
    for (struct hf_table *table = registry.first; table != NULL; table = table->registry.next)
        some = some || table->registry.references == 0;
    return some;
}

bool hf_table_wait_ended(uint64_t deadline_ms)
{
    uint64_t until_ms = hf_clock_monotonic_ms() + deadline_ms;
    pthread_mutex_lock(&registry.lock);
    while (some_end() && hf_clock_monotonic_ms() < until_ms)
        wait_tick();
    bool ended = !some_end();
    pthread_mutex_unlock(&registry.lock);
    return ended;
}

void hf_table_each(void (*visit)(struct hf_table *table, void *user), void *user)
{
    pthread_mutex_lock(&registry.lock);
    for (struct hf_table *table = registry.first; table != NULL; table = table->registry.next)
        visit(table, user);
    pthread_mutex_unlock(&registry.lock);
}
