#include "base/log.h"
#include "base/assert.h"
#include "base/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    RINGS_MAX = 128,       /* threads that ever log; a thread beyond writes directly */
    WAKE_SIZE = 64 * 1024, /* bytes in a ring after which the writer is woken at once */
    POLL_MS = 20,          /* else it looks that often */
    RECORD_HEAD = 4,       /* size (3 bytes, little end first) and stream (1 byte) */
};

struct ring { /* one thread writes, the log's thread reads; never freed before hf_log_fini */
    _Atomic uint64_t written; /* bytes ever put in; release: what lies before it is complete */
    _Atomic uint64_t read;    /* bytes ever taken out; release: that space is free */
    _Atomic uint64_t dropped; /* lines */
    char bytes[HF_LOG_RING_SIZE];
};

static struct {
    _Atomic(struct ring *) rings[RINGS_MAX]; /* filled from 0 on */
    atomic_uint ring_count;
    atomic_uint generation; /* odd while running: tells a thread whether its ring is of this run */
    atomic_int level;
    atomic_int access_fd; /* -1 = off */
    atomic_bool ending;
    int wake_fd;
    pthread_t writer;
    pthread_mutex_t write_lock; /* access_fd may be replaced only while nothing is written */
    _Atomic uint64_t dropped;   /* of rings that are gone */
} log_state = {
    .level = HF_LOG_INFO, .access_fd = -1, .wake_fd = -1, .write_lock = PTHREAD_MUTEX_INITIALIZER};

static _Thread_local struct ring *own_ring;
static _Thread_local unsigned own_generation;

static int stream_fd(enum hf_log_stream stream)
{
    return stream == HF_LOG_ACCESS ? atomic_load(&log_state.access_fd) : STDERR_FILENO;
}

/* The log's thread may block on a pipe that nobody reads: that is what it is for. */
static void write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t written = write(fd, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        bytes += written;
        size -= (size_t)written;
    }
}

/* --- rings --- */

static void ring_copy_in(struct ring *ring, uint64_t at, const char *bytes, size_t size)
{
    size_t offset = at % HF_LOG_RING_SIZE;
    size_t first = HF_LOG_RING_SIZE - offset < size ? HF_LOG_RING_SIZE - offset : size;
    memcpy(ring->bytes + offset, bytes, first);
    memcpy(ring->bytes, bytes + first, size - first);
}

static void ring_copy_out(const struct ring *ring, uint64_t at, char *bytes, size_t size)
{
    size_t offset = at % HF_LOG_RING_SIZE;
    size_t first = HF_LOG_RING_SIZE - offset < size ? HF_LOG_RING_SIZE - offset : size;
    memcpy(bytes, ring->bytes + offset, first);
    memcpy(bytes + first, ring->bytes, size - first);
}

static void ring_put(struct ring *ring, enum hf_log_stream stream, struct hf_slice line)
{
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_relaxed);
    uint64_t taken = atomic_load_explicit(&ring->read, memory_order_acquire);
    size_t needed = RECORD_HEAD + line.size;
    if (HF_LOG_RING_SIZE - (written - taken) < needed) {
        atomic_fetch_add_explicit(&ring->dropped, 1, memory_order_relaxed);
        return;
    }
    char head[RECORD_HEAD] = {(char)(line.size & 0xff), (char)(line.size >> 8 & 0xff),
                              (char)(line.size >> 16), (char)stream};
    ring_copy_in(ring, written, head, RECORD_HEAD);
    ring_copy_in(ring, written + RECORD_HEAD, line.bytes, line.size);
    atomic_store_explicit(&ring->written, written + needed, memory_order_release);
    bool crossed = written - taken < WAKE_SIZE && written + needed - taken >= WAKE_SIZE;
    if (crossed || stream == HF_LOG_DIAGNOSTIC)
        (void)!write(log_state.wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

struct batch { /* lines on their way to a stream, so that a write carries many */
    size_t size;
    char bytes[64 * 1024];
};

static void batch_flush(struct batch *batch, enum hf_log_stream stream)
{
    int fd = stream_fd(stream);
    if (batch->size > 0 && fd >= 0)
        write_all(fd, batch->bytes, batch->size);
    batch->size = 0;
}

static void ring_drain(struct ring *ring, struct batch batches[HF_LOG_STREAMS])
{
    uint64_t taken = atomic_load_explicit(&ring->read, memory_order_relaxed);
    uint64_t written = atomic_load_explicit(&ring->written, memory_order_acquire);
    while (taken < written) {
        unsigned char head[RECORD_HEAD];
        ring_copy_out(ring, taken, (char *)head, RECORD_HEAD);
        size_t size = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
        enum hf_log_stream stream = (enum hf_log_stream)head[3];
        REQUIRE(size <= HF_LOG_LINE_MAX && stream < HF_LOG_STREAMS);
        struct batch *batch = &batches[stream];
        if (batch->size + size + 1 > sizeof(batch->bytes))
            batch_flush(batch, stream);
        ring_copy_out(ring, taken + RECORD_HEAD, batch->bytes + batch->size, size);
        batch->size += size;
        batch->bytes[batch->size++] = '\n';
        taken += RECORD_HEAD + size;
        atomic_store_explicit(&ring->read, taken, memory_order_release);
    }
}

static void drain_all(void)
{
    static struct batch batches[HF_LOG_STREAMS]; /* the log's thread's alone, then fini's */
    pthread_mutex_lock(&log_state.write_lock);
    unsigned count = atomic_load(&log_state.ring_count);
    for (unsigned i = 0; i < count && i < RINGS_MAX; i++) {
        struct ring *ring = atomic_load(&log_state.rings[i]);
        if (ring)
            ring_drain(ring, batches);
    }
    for (int stream = 0; stream < HF_LOG_STREAMS; stream++)
        batch_flush(&batches[stream], (enum hf_log_stream)stream);
    pthread_mutex_unlock(&log_state.write_lock);
}

static void wait_for_lines(void)
{
    struct pollfd wake = {.fd = log_state.wake_fd, .events = POLLIN};
    uint64_t count;
    if (poll(&wake, 1, POLL_MS) > 0)
        (void)!read(log_state.wake_fd, &count, sizeof(count));
}

static void *writer_main(void *unused)
{
    (void)unused;
    pthread_setname_np(pthread_self(), "log");
    while (!atomic_load(&log_state.ending)) {
        wait_for_lines();
        drain_all();
    }
    return NULL;
}

void hf_log_thread_init(void)
{
    unsigned generation = atomic_load(&log_state.generation);
    if (generation % 2 == 0 || own_generation == generation)
        return;
    own_ring = NULL;
    own_generation = generation;
    unsigned index = atomic_fetch_add(&log_state.ring_count, 1);
    if (index >= RINGS_MAX)
        return;
    own_ring = calloc(1, sizeof(*own_ring));
    atomic_store(&log_state.rings[index], own_ring);
}

/* --- lines --- */

bool hf_log_enabled(enum hf_log_level level)
{
    return (int)level <= atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

void hf_log_line(enum hf_log_stream stream, struct hf_slice line)
{
    REQUIRE(stream < HF_LOG_STREAMS);
    if (line.size > HF_LOG_LINE_MAX)
        line.size = HF_LOG_LINE_MAX;
    hf_log_thread_init();
    bool running = atomic_load(&log_state.generation) % 2 == 1;
    if (running && own_ring) {
        ring_put(own_ring, stream, line);
        return;
    }
    int fd = stream_fd(stream);
    if (fd < 0)
        return;
    pthread_mutex_lock(&log_state.write_lock);
    write_all(fd, line.bytes, line.size);
    write_all(fd, "\n", 1);
    pthread_mutex_unlock(&log_state.write_lock);
}

void hf_log(enum hf_log_level level, const char *format, ...)
{
    static const char *const words[] = {"error", "warning", "info", "debug"};
    char line[HF_LOG_LINE_MAX];
    REQUIRE(level <= HF_LOG_DEBUG);
    if (!hf_log_enabled(level))
        return;
    uint64_t now_ms = hf_clock_wall_ms();
    time_t seconds = (time_t)(now_ms / HF_MS_PER_S);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t size = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &tm);
    size +=
        (size_t)snprintf(line + size, sizeof(line) - size,
                         ".%03uZ %s holdfast: ", (unsigned)(now_ms % HF_MS_PER_S), words[level]);
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line + size, sizeof(line) - size, format, arguments);
    va_end(arguments);
    REQUIRE(more >= 0);
    size = size + (size_t)more < sizeof(line) ? size + (size_t)more : sizeof(line) - 1;
    hf_log_line(HF_LOG_DIAGNOSTIC, hf_slice(line, size));
}

uint64_t hf_log_dropped(void)
{
    uint64_t total = atomic_load(&log_state.dropped);
    unsigned count = atomic_load(&log_state.ring_count);
    for (unsigned i = 0; i < count && i < RINGS_MAX; i++) {
        struct ring *ring = atomic_load(&log_state.rings[i]);
        total += ring ? atomic_load_explicit(&ring->dropped, memory_order_relaxed) : 0;
    }
    return total;
}

/* --- life --- */

static int open_access(const char *path)
{
    if (!path)
        return -1;
    if (strcmp(path, "-") == 0)
        return STDOUT_FILENO;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    return fd >= 0 ? fd : -errno - 1; /* -1 means off */
}

int hf_log_reconfigure(enum hf_log_level level, const char *access_path)
{
    int fd = open_access(access_path);
    if (fd < -1)
        return fd + 1;
    atomic_store(&log_state.level, (int)level);
    pthread_mutex_lock(&log_state.write_lock);
    int old = atomic_exchange(&log_state.access_fd, fd);
    pthread_mutex_unlock(&log_state.write_lock);
    if (old > STDERR_FILENO)
        close(old);
    return 0;
}

int hf_log_init(enum hf_log_level level, const char *access_path)
{
    REQUIRE(atomic_load(&log_state.generation) % 2 == 0);
    int result = hf_log_reconfigure(level, access_path);
    if (result < 0)
        return result;
    log_state.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (log_state.wake_fd < 0)
        return -errno;
    atomic_store(&log_state.ending, false);
    result = -pthread_create(&log_state.writer, NULL, writer_main, NULL);
    if (result < 0) {
        close(log_state.wake_fd);
        return result;
    }
    atomic_fetch_add(&log_state.generation, 1);
    return 0;
}

void hf_log_fini(void)
{
    if (atomic_load(&log_state.generation) % 2 == 0)
        return;
    atomic_store(&log_state.ending, true);
    (void)!write(log_state.wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    pthread_join(log_state.writer, NULL);
    drain_all();
    atomic_fetch_add(&log_state.generation, 1);
    atomic_store(&log_state.dropped, hf_log_dropped());
    unsigned count = atomic_exchange(&log_state.ring_count, 0);
    for (unsigned i = 0; i < count && i < RINGS_MAX; i++)
        free(atomic_exchange(&log_state.rings[i], NULL));
    close(log_state.wake_fd);
    log_state.wake_fd = -1;
    (void)hf_log_reconfigure((enum hf_log_level)atomic_load(&log_state.level), NULL);
}
