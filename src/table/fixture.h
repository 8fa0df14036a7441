/* Tables in a folder of their own, for the tests of this folder: clients with servers that follow
 * from their numbers. Only included by tests. Threads: the test's. Layer: table. */
#pragma once
#include "base/clock.h"
#include "base/test.h"
#include "table/table.h"
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXPIRE_S = 1800, CLIENTS = 3000, DEADLINE_MS = 20 * 1000 };

static char folder[64], told[8192];
static atomic_uint bad_notices;
static pthread_mutex_t told_lock = PTHREAD_MUTEX_INITIALIZER;

static inline void hf_fixture_notice(bool bad, const char *text)
{
    pthread_mutex_lock(&told_lock);
    size_t size = strlen(told);
    snprintf(told + size, sizeof(told) - size, "%s\n", text);
    pthread_mutex_unlock(&told_lock);
    if (bad)
        atomic_fetch_add(&bad_notices, 1);
}

static inline bool hf_fixture_was_told(const char *text)
{
    pthread_mutex_lock(&told_lock);
    bool found = strstr(told, text) != NULL;
    pthread_mutex_unlock(&told_lock);
    return found;
}

static inline int hf_fixture_setup(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/holdfast-table-XXXXXX");
    told[0] = '\0';
    atomic_store(&bad_notices, 0);
    return mkdtemp(folder) != NULL ? 0 : -1;
}

/* The name of the one file of the folder that ends so; "" when there is none. */
static inline void hf_fixture_find_file(const char *end, char path[512])
{
    DIR *directory = opendir(folder);
    struct dirent *one;
    path[0] = '\0';
    while ((one = readdir(directory)) != NULL) {
        size_t size = strlen(one->d_name), tail = strlen(end);
        if (size >= tail && strcmp(one->d_name + size - tail, end) == 0)
            snprintf(path, 512, "%s/%s", folder, one->d_name);
    }
    closedir(directory);
}

static inline int hf_fixture_teardown(void **state)
{
    char path[512];
    for (hf_fixture_find_file("s", path); path[0] != '\0'; hf_fixture_find_file("s", path))
        unlink(path);
    for (hf_fixture_find_file(".corrupt", path); path[0] != '\0';
         hf_fixture_find_file(".corrupt", path))
        unlink(path);
    return rmdir(folder);
}

static inline struct hf_table *hf_fixture_acquire_sized(uint64_t size)
{
    struct hf_table_options options = {
        .name = "shop learn SID", .directory = folder, .size = size, .notice = hf_fixture_notice};
    struct hf_table *table = NULL;
    assert_int_equal(hf_table_acquire(&options, &table), 0);
    return table;
}

static inline struct hf_table *hf_fixture_acquire(void)
{
    return hf_fixture_acquire_sized(CLIENTS);
}

static inline void hf_fixture_end(struct hf_table **table)
{
    hf_table_release(table);
    assert_null(*table);
    assert_true(hf_table_wait_ended(DEADLINE_MS));
}

static inline struct hf_table_stats hf_fixture_stats(struct hf_table *table)
{
    struct hf_table_stats now;
    hf_table_stats(table, &now);
    return now;
}

static inline void hf_fixture_wait_loaded(struct hf_table *table)
{
    uint64_t until_ms = hf_clock_monotonic_ms() + DEADLINE_MS;
    while (hf_fixture_stats(table).loading && hf_clock_monotonic_ms() < until_ms)
        usleep(1000); /* rule zero: polls; there is nothing to be told by */
    assert_false(hf_fixture_stats(table).loading);
}

static inline uint64_t hf_fixture_hash_of(const struct hf_table *table, unsigned client)
{
    char key[32];
    int size = snprintf(key, sizeof(key), "client-%u", client);
    return hf_table_hash(table, hf_slice(key, (size_t)size));
}

static inline uint64_t hf_fixture_server_of(unsigned client)
{
    return 0x1111111111111111u * (client % 9 + 1);
}

static inline void hf_fixture_fill(struct hf_table *table, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++)
        assert_true(hf_table_claim(table, hf_fixture_hash_of(table, i), hf_fixture_server_of(i),
                                   EXPIRE_S, hf_clock_monotonic_ms()) == hf_fixture_server_of(i));
}

/* How many are found; nobody at a server of another. */
static inline unsigned hf_fixture_count_found(struct hf_table *table, unsigned to)
{
    unsigned found = 0;
    for (unsigned i = 0; i < to; i++) {
        uint64_t server =
            hf_table_find(table, hf_fixture_hash_of(table, i), EXPIRE_S, hf_clock_monotonic_ms());
        assert_true(server == 0 || server == hf_fixture_server_of(i));
        found += server != 0;
    }
    return found;
}

static inline void hf_fixture_wait_size(struct hf_table *table, uint64_t size)
{
    uint64_t until_ms = hf_clock_monotonic_ms() + DEADLINE_MS;
    while (hf_fixture_stats(table).size != size && hf_clock_monotonic_ms() < until_ms)
        usleep(1000); /* rule zero: polls */
    assert_int_equal(hf_fixture_stats(table).size, size);
}

#define TABLE_TEST(test)                                                                           \
    cmocka_unit_test_setup_teardown(test, hf_fixture_setup, hf_fixture_teardown)
