/* Lines from several threads reach the file whole and in order; a full ring drops and counts. */
#include "base/log.h"
#include "base/test.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 3, LINES = 2000 };

static char path[] = "/tmp/holdfast-log-test-XXXXXX";

static void *write_lines(void *argument)
{
    unsigned thread = *(unsigned *)argument;
    for (unsigned i = 0; i < LINES; i++) {
        char line[64];
        int size = snprintf(line, sizeof(line), "thread %u line %u", thread, i);
        hf_log_line(HF_LOG_ACCESS, hf_slice(line, (size_t)size));
    }
    return NULL;
}

static void lines_are_whole_and_in_order(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    unsigned numbers[THREADS], next[THREADS] = {0};
    assert_int_equal(hf_log_init(HF_LOG_INFO, path), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    hf_log_fini();
    assert_int_equal(hf_log_dropped(), 0);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    unsigned thread, line;
    while (fscanf(file, "thread %u line %u\n", &thread, &line) == 2) {
        assert_true(thread < THREADS);
        assert_int_equal(line, next[thread]++);
    }
    assert_true(feof(file));
    fclose(file);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(next[i], LINES);
}

/* The reader of the pipe does not read: the log's thread blocks, this one must not. */
static void a_blocked_output_blocks_nobody(void **state)
{
    (void)state;
    char fifo[] = "/tmp/holdfast-log-fifo-XXXXXX";
    int fd = mkstemp(fifo);
    assert_true(fd >= 0);
    close(fd);
    unlink(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    FILE *reader = fopen(fifo, "r+");
    assert_non_null(reader);
    uint64_t before = hf_log_dropped();
    assert_int_equal(hf_log_init(HF_LOG_INFO, fifo), 0);
    static char line[1000];
    memset(line, 'x', sizeof(line));
    for (unsigned i = 0; i < 2 * HF_LOG_RING_SIZE / sizeof(line); i++)
        hf_log_line(HF_LOG_ACCESS, hf_slice(line, sizeof(line)));
    assert_true(hf_log_dropped() > before);
    size_t lines = 2 * HF_LOG_RING_SIZE / sizeof(line) - (hf_log_dropped() - before);
    static char sink[4 * HF_LOG_RING_SIZE];
    pthread_t closer;
    assert_int_equal(
        pthread_create(&closer, NULL, (void *(*)(void *))(void (*)(void))hf_log_fini, NULL), 0);
    assert_int_equal(fread(sink, sizeof(line) + 1, lines, reader), lines);
    pthread_join(closer, NULL);
    fclose(reader);
    unlink(fifo);
}

static void levels_are_kept_and_reopening_works(void **state)
{
    (void)state;
    assert_int_equal(hf_log_init(HF_LOG_WARNING, path), 0);
    assert_false(hf_log_enabled(HF_LOG_INFO));
    assert_true(hf_log_enabled(HF_LOG_WARNING));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(hf_log_reconfigure(HF_LOG_DEBUG, path), 0);
    assert_true(hf_log_enabled(HF_LOG_DEBUG));
    assert_int_equal(access(path, F_OK), 0);
    assert_true(hf_log_reconfigure(HF_LOG_INFO, "/nowhere/at/all") < 0);
    assert_true(hf_log_enabled(HF_LOG_DEBUG));
    hf_log_fini();
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_whole_and_in_order),
        cmocka_unit_test(a_blocked_output_blocks_nobody),
        cmocka_unit_test(levels_are_kept_and_reopening_works),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
