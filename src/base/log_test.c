/* Lines from several threads reach the file whole and in order; a full ring drops and counts. */
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/test.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static void *end_log(void *argument)
{
    hf_log_fini();
    return NULL;
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
    assert_int_equal(pthread_create(&closer, NULL, end_log, NULL), 0);
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

static size_t stderr_text(char *out, size_t size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t got = fread(out, 1, size - 1, file);
    out[got] = '\0';
    fclose(file);
    return got;
}

static int redirect_stderr(void)
{
    int saved = dup(STDERR_FILENO);
    int fd = open(path, O_WRONLY | O_TRUNC | O_APPEND);
    assert_true(saved >= 0 && fd >= 0);
    fflush(stderr);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
    return saved;
}

static uint64_t fixed_ns(void *user)
{
    return 1;
}

static uint64_t fixed_wall_ms(void *user)
{
    return 1795492800123u;
}

static void *complain(void *argument)
{
    hf_warning("from a thread\nwith \x1b[31m");
    return NULL;
}

static void diagnostics_have_time_level_and_no_control_bytes(void **state)
{
    static const struct hf_clock_source fixed = {fixed_ns, fixed_wall_ms, NULL};
    char text[8192];
    pthread_t thread;
    int saved = redirect_stderr();
    hf_clock_override(&fixed);
    hf_error("before %s", "init"); /* directly */
    assert_int_equal(hf_log_init(HF_LOG_INFO, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, complain, NULL), 0);
    pthread_join(thread, NULL); /* its ring is drained after its end */
    hf_debug("not shown");
    hf_log_line(HF_LOG_ACCESS, HF_SLICE("the access log is off"));
    hf_log_fini();
    hf_info("after fini");
    hf_clock_override(NULL);
    dup2(saved, STDERR_FILENO);
    close(saved);
    stderr_text(text, sizeof(text));
    assert_string_equal(text,
                        "2026-11-24T04:00:00.123Z error holdfast: before init\n"
                        "2026-11-24T04:00:00.123Z warning holdfast: from a thread?with ?[31m\n"
                        "2026-11-24T04:00:00.123Z info holdfast: after fini\n");
}

static void a_line_too_long_is_cut(void **state)
{
    static char longer[2 * HF_LOG_LINE_MAX], text[4 * HF_LOG_LINE_MAX];
    memset(longer, 'y', sizeof(longer) - 1);
    int saved = redirect_stderr();
    hf_log_line(HF_LOG_DIAGNOSTIC, hf_slice(longer, sizeof(longer) - 1));
    hf_error("%s", longer);
    dup2(saved, STDERR_FILENO);
    close(saved);
    size_t size = stderr_text(text, sizeof(text));
    assert_int_equal(strcspn(text, "\n"), HF_LOG_LINE_MAX);
    assert_true(size > HF_LOG_LINE_MAX + 1000 && size <= 2 * (HF_LOG_LINE_MAX + 1));
    assert_int_equal(text[size - 1], '\n');
}

static void *one_line(void *argument)
{
    hf_log_line(HF_LOG_ACCESS, HF_SLICE("one"));
    return NULL;
}

/* More threads than there are rings, one after the other: each finds the ring of one that ended. */
static void rings_of_ended_threads_serve_again(void **state)
{
    enum { MANY = 300 };
    uint64_t before = hf_log_dropped();
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(hf_log_init(HF_LOG_INFO, path), 0);
    for (int i = 0; i < MANY; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, one_line, NULL), 0);
        pthread_join(thread, NULL);
    }
    hf_log_fini();
    assert_int_equal(hf_log_dropped(), before);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, MANY * 4);
}

/* A stuck writer must not hold up a reload. */
static void a_blocked_output_can_be_replaced(void **state)
{
    char fifo[] = "/tmp/holdfast-log-fifo-XXXXXX";
    static char line[1000];
    int fd = mkstemp(fifo);
    assert_true(fd >= 0);
    close(fd);
    unlink(fifo);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    int reader = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true(reader >= 0);
    assert_int_equal(hf_log_init(HF_LOG_INFO, fifo), 0);
    uint64_t before = hf_log_dropped();
    memset(line, 'x', sizeof(line));
    while (hf_log_dropped() == before)
        hf_log_line(HF_LOG_ACCESS, hf_slice(line, sizeof(line)));
    assert_int_equal(hf_log_reconfigure(HF_LOG_INFO, path), 0);
    /* the write under way goes on when the pipe is read */
    pthread_t closer;
    assert_int_equal(pthread_create(&closer, NULL, end_log, NULL), 0);
    static char sink[65536];
    while (pthread_tryjoin_np(closer, NULL) != 0) {
        struct pollfd wait = {.fd = reader, .events = POLLIN};
        if (poll(&wait, 1, 10) > 0)
            assert_true(read(reader, sink, sizeof(sink)) > 0);
    }
    close(reader);
    unlink(fifo);
    assert_int_equal(hf_log_init(HF_LOG_INFO, NULL), 0); /* it was not left behind */
    hf_log_fini();
}

static void what_is_dropped_is_exported(void **state)
{
    assert_int_equal(hf_log_init(HF_LOG_INFO, NULL), 0);
    size_t size;
    char *text = hf_metrics_text(&size);
    assert_non_null(text);
    assert_non_null(strstr(text, "\nholdfast_log_dropped_total "));
    free(text);
    hf_log_fini();
    assert_int_equal(hf_log_init(HF_LOG_INFO, "/nowhere/at/all"), -ENOENT);
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
        cmocka_unit_test(diagnostics_have_time_level_and_no_control_bytes),
        cmocka_unit_test(a_line_too_long_is_cut),
        cmocka_unit_test(rings_of_ended_threads_serve_again),
        cmocka_unit_test(a_blocked_output_can_be_replaced),
        cmocka_unit_test(what_is_dropped_is_exported),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
