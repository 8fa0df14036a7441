/* A table and its file: over restarts, damage, and disks that refuse. */
#include "base/hash.h"
#include "base/rng.h"
#include "table/file.h"
#include "table/fixture.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void entries_survive_the_process(void **state)
{
    char path[512];
    struct stat file;
    struct hf_table *table = hf_fixture_acquire();
    hf_fixture_fill(table, 0, CLIENTS);
    uint64_t hash = hf_fixture_hash_of(table, 1);
    hf_fixture_end(&table);
    hf_fixture_find_file(".pins", path);
    assert_int_equal(stat(path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600); /* the secret is in it */
    table = hf_fixture_acquire();
    assert_true(hf_fixture_hash_of(table, 1) == hash);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS + 100), CLIENTS); /* loaded or not yet */
    hf_fixture_wait_loaded(table);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS + 100), CLIENTS);
    assert_int_equal(hf_fixture_stats(table).entries, CLIENTS);
    assert_int_equal(hf_fixture_stats(table).load_errors, 0);
    assert_int_equal(atomic_load(&bad_notices), 0);
    hf_fixture_end(&table);
}

/* What has not been loaded yet is looked up on disk: here nothing can be loaded, since another
 * process still has the file. New clients are pinned meanwhile, and neither is lost. */
static void a_miss_while_loading_looks_into_the_file(void **state)
{
    char path[512];
    struct hf_table *table = hf_fixture_acquire();
    hf_fixture_fill(table, 0, CLIENTS / 2);
    hf_fixture_end(&table);
    hf_fixture_find_file(".pins", path);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    table = hf_fixture_acquire();
    assert_int_equal(hf_fixture_count_found(table, CLIENTS / 2), CLIENTS / 2);
    hf_fixture_fill(table, CLIENTS / 2, CLIENTS);
    assert_true(hf_fixture_stats(table).loading);
    assert_int_equal(hf_fixture_stats(table).loaded, 0);
    close(fd);
    hf_fixture_wait_loaded(table);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS), CLIENTS);
    hf_fixture_end(&table);
    table = hf_fixture_acquire();
    hf_fixture_wait_loaded(table);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS), CLIENTS);
    hf_fixture_end(&table);
}

/* Bytes anywhere behind the head: each costs eight clients at most, and nobody gets another's
 * server. */
static void damage_costs_what_it_hit(void **state)
{
    char path[512];
    struct stat file;
    struct hf_rng rng;
    hf_rng_seed(&rng, 1);
    for (unsigned round = 0; round < 20; round++) {
        struct hf_table *table = hf_fixture_acquire();
        hf_fixture_wait_loaded(table);
        unsigned before = hf_fixture_count_found(table, CLIENTS);
        hf_fixture_fill(table, 0, CLIENTS);
        hf_fixture_end(&table);
        hf_fixture_find_file(".pins", path);
        int fd = open(path, O_RDWR);
        assert_int_equal(fstat(fd, &file), 0);
        for (unsigned i = 0; i < 10; i++) {
            off_t at = 4096 + (off_t)hf_rng_below(&rng, (uint32_t)file.st_size - 4096);
            char byte = 0;
            assert_int_equal(pread(fd, &byte, 1, at), 1);
            byte = (char)(byte ^ (1 << hf_rng_below(&rng, 8)));
            assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        }
        close(fd);
        assert_true(round == 0 || before >= CLIENTS - 80);
    }
    assert_true(hf_fixture_was_told("damaged or missing"));
    assert_true(hf_fixture_was_told(path));
}

static void a_cut_file_keeps_what_it_has(void **state)
{
    char path[512];
    struct hf_table *table = hf_fixture_acquire();
    hf_fixture_fill(table, 0, CLIENTS);
    hf_fixture_end(&table);
    hf_fixture_find_file(".pins", path);
    assert_int_equal(truncate(path, 4096 + 168 * 200 + 77), 0);
    table = hf_fixture_acquire();
    hf_fixture_wait_loaded(table);
    unsigned found = hf_fixture_count_found(table, CLIENTS);
    assert_in_range(found, 200 * 4, 200 * 8);
    assert_true(hf_fixture_stats(table).load_errors > 0);
    hf_fixture_fill(table, 0, CLIENTS);
    hf_fixture_end(&table);
    table = hf_fixture_acquire();
    hf_fixture_wait_loaded(table);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS), CLIENTS);
    hf_fixture_end(&table);
}

static void a_damaged_head_starts_empty_and_says_so(void **state)
{
    char path[512], aside[512];
    struct hf_table *table = hf_fixture_acquire();
    hf_fixture_fill(table, 0, CLIENTS);
    hf_fixture_end(&table);
    hf_fixture_find_file(".pins", path);
    int fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "?", 1, 9), 1);
    close(fd);
    table = hf_fixture_acquire();
    assert_int_equal(hf_fixture_count_found(table, CLIENTS), 0);
    assert_true(hf_fixture_was_told("starts empty"));
    assert_true(hf_fixture_was_told(path));
    hf_fixture_find_file(".corrupt", aside);
    assert_int_equal(strncmp(aside, path, strlen(path)), 0);
    hf_fixture_fill(table, 0, 10);
    hf_fixture_end(&table);
    table = hf_fixture_acquire();
    hf_fixture_wait_loaded(table);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS), 10);
    hf_fixture_end(&table);
}

static void a_folder_that_cannot_be_written_costs_persistence_alone(void **state)
{
    struct hf_table_options options = {
        .name = "x", .directory = "/nowhere/at/all", .size = 10, .notice = hf_fixture_notice};
    struct hf_table *table = NULL;
    assert_int_equal(hf_table_acquire(&options, &table), 0);
    assert_true(hf_fixture_was_told("/nowhere/at/all"));
    assert_true(hf_fixture_was_told("memory alone"));
    hf_fixture_fill(table, 0, 10);
    assert_int_equal(hf_fixture_count_found(table, 10), 10);
    assert_false(hf_fixture_stats(table).persistent);
    hf_fixture_end(&table);
}

/* The head of a sound file of the next version: nobody guesses what it means. */
static void another_version_starts_empty_and_is_kept(void **state)
{
    enum { VERSION_AT = 8, CHECKSUM_AT = 40 };
    char path[512], aside[512], head[CHECKSUM_AT];
    struct hf_table *table = hf_fixture_acquire();
    hf_fixture_fill(table, 0, 10);
    hf_fixture_end(&table);
    hf_fixture_find_file(".pins", path);
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
    assert_int_equal(head[VERSION_AT], 1);
    uint64_t checksum = hf_hash64(hf_slice(head, sizeof(head)), 1), found;
    assert_int_equal(pread(fd, &found, sizeof(found), CHECKSUM_AT), sizeof(found));
    assert_true(found == checksum);
    head[VERSION_AT] = 2;
    checksum = hf_hash64(hf_slice(head, sizeof(head)), 2);
    assert_int_equal(pwrite(fd, head, sizeof(head), 0), sizeof(head));
    assert_int_equal(pwrite(fd, &checksum, sizeof(checksum), CHECKSUM_AT), sizeof(checksum));
    close(fd);
    table = hf_fixture_acquire();
    assert_int_equal(hf_fixture_count_found(table, 10), 0);
    assert_true(hf_fixture_was_told("no table of this version"));
    hf_fixture_find_file(".corrupt", aside);
    assert_string_not_equal(aside, "");
    hf_fixture_end(&table);
}

/* Text, zeros, nothing at all: each is moved aside, and what was moved before is written over. */
static void what_is_no_table_starts_empty(void **state)
{
    static const char zeros[8192];
    const struct hf_slice contents[] = {HF_SLICE("not a table\n"), hf_slice(zeros, sizeof(zeros)),
                                        hf_slice("", 0)};
    for (unsigned i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        char path[512];
        struct hf_table *table = hf_fixture_acquire();
        hf_fixture_fill(table, 0, 10);
        hf_fixture_end(&table);
        hf_fixture_find_file(".pins", path);
        int fd = open(path, O_WRONLY | O_TRUNC);
        assert_int_equal(write(fd, contents[i].bytes, contents[i].size), contents[i].size);
        close(fd);
        table = hf_fixture_acquire();
        assert_int_equal(hf_fixture_count_found(table, 10), 0);
        assert_int_equal(atomic_load(&bad_notices), i + 1);
        assert_true(hf_fixture_stats(table).persistent);
        hf_fixture_end(&table);
    }
}

static void a_file_that_cannot_be_opened_costs_persistence_alone(void **state)
{
    char path[512];
    struct hf_table *table = hf_fixture_acquire();
    hf_fixture_end(&table);
    hf_fixture_find_file(".pins", path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0); /* so does one that belongs to somebody else */
    table = hf_fixture_acquire();
    hf_fixture_fill(table, 0, 10);
    assert_int_equal(hf_fixture_count_found(table, 10), 10);
    assert_false(hf_fixture_stats(table).persistent);
    assert_true(hf_fixture_was_told("memory alone"));
    hf_fixture_end(&table);
    assert_int_equal(rmdir(path), 0);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void wait_errors(struct hf_table *table)
{
    uint64_t until_ms = hf_clock_monotonic_ms() + DEADLINE_MS;
    while (hf_fixture_stats(table).write_errors == 0 && hf_clock_monotonic_ms() < until_ms)
        usleep(1000); /* rule zero: polls */
    assert_true(hf_fixture_stats(table).write_errors > 0);
}

/* Until a round that began after now has written all there was. */
static void wait_written(struct hf_table *table)
{
    uint64_t from_ms = hf_clock_monotonic_ms(), now_ms = from_ms;
    while (hf_fixture_stats(table).lag_ms >= now_ms - from_ms && now_ms < from_ms + DEADLINE_MS) {
        usleep(1000); /* rule zero: polls */
        now_ms = hf_clock_monotonic_ms();
    }
    assert_true(now_ms < from_ms + DEADLINE_MS);
    assert_int_equal(hf_fixture_stats(table).unwritten, 0);
}

/* Every client is served while nothing can be written, and nobody is lost once it can be again. */
static void a_full_disk_is_told_and_made_up_for(void **state)
{
    struct hf_table *table = hf_fixture_acquire();
    signal(SIGXFSZ, SIG_IGN);
    limit_files(4096);
    hf_fixture_fill(table, 0, CLIENTS);
    wait_errors(table);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS), CLIENTS);
    assert_true(hf_fixture_was_told("cannot be written"));
    limit_files(RLIM_INFINITY);
    wait_written(table);
    assert_int_equal(atomic_load(&bad_notices), 1);
    hf_fixture_end(&table);
    assert_true(hf_fixture_was_told("can be written again"));
    table = hf_fixture_acquire();
    hf_fixture_wait_loaded(table);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS), CLIENTS);
    hf_fixture_end(&table);
}

/* A table of another size is on disk as it was until it is there as it will be. */
static void another_size_on_a_full_disk_keeps_the_old_file(void **state)
{
    char path[512];
    struct stat before, after;
    struct hf_table *table = hf_fixture_acquire(), *same;
    hf_fixture_fill(table, 0, CLIENTS);
    wait_written(table);
    hf_fixture_find_file(".pins", path);
    assert_int_equal(stat(path, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    limit_files(4096);
    same = hf_fixture_acquire_sized(20 * CLIENTS);
    hf_fixture_wait_size(table, 20 * CLIENTS);
    hf_fixture_end(&same);
    hf_table_release(&table);
    assert_true(hf_table_wait_ended(DEADLINE_MS));
    limit_files(RLIM_INFINITY);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_true(hf_fixture_was_told("memory alone"));
    table = hf_fixture_acquire_sized(20 * CLIENTS);
    hf_fixture_wait_loaded(table);
    assert_int_equal(hf_fixture_count_found(table, CLIENTS), CLIENTS);
    hf_fixture_end(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLE_TEST(entries_survive_the_process),
        TABLE_TEST(a_miss_while_loading_looks_into_the_file),
        TABLE_TEST(damage_costs_what_it_hit),
        TABLE_TEST(a_cut_file_keeps_what_it_has),
        TABLE_TEST(a_damaged_head_starts_empty_and_says_so),
        TABLE_TEST(another_version_starts_empty_and_is_kept),
        TABLE_TEST(what_is_no_table_starts_empty),
        TABLE_TEST(a_folder_that_cannot_be_written_costs_persistence_alone),
        TABLE_TEST(a_file_that_cannot_be_opened_costs_persistence_alone),
        TABLE_TEST(a_full_disk_is_told_and_made_up_for),
        TABLE_TEST(another_size_on_a_full_disk_keeps_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
