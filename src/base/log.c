#include "base/log.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/metrics.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
    RINGS_MAX = 128,       /* threads that log at the same time; lines of more are dropped */
    WAKE_SIZE = 64 * 1024, /* bytes in a ring after which the writer is woken at once */
    POLL_MS = 20,          /* else it looks that often */
    RECORD_HEAD = 4,       /* size (3 bytes, little end first) and stream (1 byte) */
    FINI_MS_MAX = 2000,    /* how long fini waits for a writer that is stuck in a full pipe */
};

/* One thread writes, the log's thread reads. Never freed: a ring outlives its thread until it was
 * drained, and then serves another thread. */
struct ring {
    atomic_bool owned;        /* acquire to take, release to leave: hands `written` over */
    _Atomic uint64_t written; /* bytes ever put in; release: what lies before it is complete */
    _Atomic uint64_t dropped; /* lines */
    _Alignas(64) _Atomic uint64_t read; /* bytes ever taken out; release: that space is free */
    char bytes[HF_LOG_RING_SIZE];
};

static struct {
    _Atomic(struct ring *) rings[RINGS_MAX]; /* filled from 0 on; release: the ring is zeroed */
    _Atomic uint64_t dropped;                /* lines of threads without a ring */
    atomic_bool running;
    atomic_bool ending;
    atomic_bool access_on;
    atomic_int level;
    int access_fd; /* one number from the first opening on; dup3 replaces what is behind it */
    int wake_fd;   /* kept once opened: a late thread may still write to it */
    int ended_fd;  /* the writer's last word */
    bool stuck;    /* a writer was left behind in a full pipe */
    pthread_t writer;
    pthread_mutex_t lock; /* one reconfiguration, or one line written directly, at a time */
    pthread_once_t once;
    pthread_key_t thread_end;
} log_state = {.level = HF_LOG_INFO,
               .access_fd = -1,
               .wake_fd = -1,
               .ended_fd = -1,
               .lock = PTHREAD_MUTEX_INITIALIZER,
               .once = PTHREAD_ONCE_INIT};

static _Thread_local struct ring *own_ring;

static int stream_fd(enum hf_log_stream stream)
{
    return stream == HF_LOG_ACCESS ? log_state.access_fd : STDERR_FILENO;
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

static void wake_writer(void)
{
    uint64_t one = 1;
    ssize_t written = write(log_state.wake_fd, &one, sizeof(one));
    (void)written; /* it fails when the counter is full: then the writer is awake */
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
        wake_writer();
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
    for (unsigned i = 0; i < RINGS_MAX; i++) {
        struct ring *ring = atomic_load_explicit(&log_state.rings[i], memory_order_acquire);
        if (ring == NULL)
            break;
        ring_drain(ring, batches);
    }
    for (int stream = 0; stream < HF_LOG_STREAMS; stream++)
        batch_flush(&batches[stream], (enum hf_log_stream)stream);
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
    uint64_t one = 1;
    (void)!write(log_state.ended_fd, &one, sizeof(one)); /* join_writer waits for it */
    return NULL;
}

static void leave_ring(void *ring)
{
    atomic_store_explicit(&((struct ring *)ring)->owned, false, memory_order_release);
}

static void create_key(void)
{
    REQUIRE(pthread_key_create(&log_state.thread_end, leave_ring) == 0);
}

/* The ring at an index, made if that place is empty; NULL without memory. */
static struct ring *ring_at(unsigned index)
{
    struct ring *ring = atomic_load_explicit(&log_state.rings[index], memory_order_acquire);
    if (ring != NULL)
        return ring;
    struct ring *fresh = aligned_alloc(_Alignof(struct ring), sizeof(*fresh));
    if (fresh == NULL)
        return NULL;
    memset(fresh, 0, offsetof(struct ring, bytes)); /* its pages stay untouched until used */
    if (atomic_compare_exchange_strong(&log_state.rings[index], &ring, fresh))
        return fresh;
    free(fresh); /* another thread was faster: `ring` is its */
    return ring;
}

void hf_log_thread_init(void)
{
    if (own_ring != NULL)
        return;
    REQUIRE(pthread_once(&log_state.once, create_key) == 0);
    for (unsigned i = 0; i < RINGS_MAX; i++) {
        struct ring *ring = ring_at(i);
        if (ring == NULL)
            return;
        if (atomic_exchange_explicit(&ring->owned, true, memory_order_acquire))
            continue;
        if (pthread_setspecific(log_state.thread_end, ring) != 0) {
            leave_ring(ring);
            return;
        }
        own_ring = ring;
        return;
    }
}

/* --- lines --- */

bool hf_log_enabled(enum hf_log_level level)
{
    return (int)level <= atomic_load_explicit(&log_state.level, memory_order_relaxed);
}

/* Only while no writer runs: at start-up and after the end. */
static void write_directly(enum hf_log_stream stream, struct hf_slice line)
{
    pthread_mutex_lock(&log_state.lock);
    write_all(stream_fd(stream), line.bytes, line.size);
    write_all(stream_fd(stream), "\n", 1);
    pthread_mutex_unlock(&log_state.lock);
}

void hf_log_line(enum hf_log_stream stream, struct hf_slice line)
{
    REQUIRE(stream < HF_LOG_STREAMS);
    if (stream == HF_LOG_ACCESS &&
        !atomic_load_explicit(&log_state.access_on, memory_order_relaxed))
        return;
    if (line.size > HF_LOG_LINE_MAX)
        line.size = HF_LOG_LINE_MAX;
    /* acquire: a thread that sees it running sees wake_fd */
    if (!atomic_load_explicit(&log_state.running, memory_order_acquire)) {
        write_directly(stream, line);
        return;
    }
    hf_log_thread_init();
    if (own_ring != NULL)
        ring_put(own_ring, stream, line);
    else
        atomic_fetch_add_explicit(&log_state.dropped, 1, memory_order_relaxed);
}

/* A text may quote what a client sent; it must not forge a line or drive a terminal. */
static void hide_control_bytes(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)bytes[i] < ' ' || bytes[i] == 0x7f)
            bytes[i] = '?';
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
    hide_control_bytes(line, size);
    hf_log_line(HF_LOG_DIAGNOSTIC, hf_slice(line, size));
}

uint64_t hf_log_dropped(void)
{
    uint64_t total = atomic_load_explicit(&log_state.dropped, memory_order_relaxed);
    for (unsigned i = 0; i < RINGS_MAX; i++) {
        struct ring *ring = atomic_load_explicit(&log_state.rings[i], memory_order_acquire);
        if (ring == NULL)
            break;
        total += atomic_load_explicit(&ring->dropped, memory_order_relaxed);
    }
    return total;
}

/* --- life --- */

static void collect_dropped(struct hf_metrics_collector *self, struct hf_metrics_writer *writer)
{
    static const char name[] = "holdfast_log_dropped_total";
    hf_metrics_head(writer, name, "Log lines lost because a thread's ring was full.", "counter");
    hf_metrics_row(writer, name, "", (double)hf_log_dropped());
}

static struct hf_metrics_collector dropped_collector = {.collect = collect_dropped};

/* A descriptor of its own in every case, so that it can be closed. Or negative errno. */
static int open_access(const char *path)
{
    int fd;
    if (path == NULL)
        fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    else if (strcmp(path, "-") == 0)
        fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    else
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    return fd >= 0 ? fd : -errno;
}

/* The writer may be in the middle of a write, even stuck in it: dup3 replaces the file without
 * waiting for that, and the number stays valid all along. */
static void replace_access_fd(int fd)
{
    if (log_state.access_fd < 0) {
        log_state.access_fd = fd;
        return;
    }
    REQUIRE(dup3(fd, log_state.access_fd, O_CLOEXEC) >= 0);
    close(fd);
}

int hf_log_reconfigure(enum hf_log_level level, const char *access_path)
{
    REQUIRE(level <= HF_LOG_DEBUG);
    int fd = open_access(access_path);
    if (fd < 0)
        return fd;
    pthread_mutex_lock(&log_state.lock);
    replace_access_fd(fd);
    atomic_store_explicit(&log_state.level, (int)level, memory_order_relaxed);
    atomic_store(&log_state.access_on, access_path != NULL);
    pthread_mutex_unlock(&log_state.lock);
    return 0;
}

/* Signals are for the other threads; SIGPIPE stays blocked, so that a closed pipe is an error. */
static int start_writer(void)
{
    sigset_t all, before;
    sigfillset(&all);
    REQUIRE(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    int error = pthread_create(&log_state.writer, NULL, writer_main, NULL);
    REQUIRE(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return -error;
}

static bool open_events(void)
{
    if (log_state.wake_fd < 0)
        log_state.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (log_state.wake_fd >= 0)
        log_state.ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return log_state.ended_fd >= 0;
}

static void close_ended(void)
{
    close(log_state.ended_fd);
    log_state.ended_fd = -1;
}

int hf_log_init(enum hf_log_level level, const char *access_path)
{
    REQUIRE(!atomic_load(&log_state.running));
    if (log_state.stuck)
        return -EBUSY;
    int result = hf_log_reconfigure(level, access_path);
    if (result < 0)
        return result;
    atomic_store(&log_state.ending, false);
    if (!open_events())
        return -errno;
    result = start_writer();
    if (result < 0) {
        close_ended();
        return result;
    }
    hf_metrics_register_collector(&dropped_collector);
    atomic_store_explicit(&log_state.running, true, memory_order_release);
    return 0;
}

/* The process must be able to end though nobody reads its output. */
static bool join_writer(void)
{
    struct pollfd ended = {.fd = log_state.ended_fd, .events = POLLIN};
    int ready;
    do
        ready = poll(&ended, 1, FINI_MS_MAX);
    while (ready < 0 && errno == EINTR);
    return ready > 0 && pthread_join(log_state.writer, NULL) == 0;
}

void hf_log_fini(void)
{
    if (!atomic_load(&log_state.running))
        return;
    hf_metrics_unregister_collector(&dropped_collector);
    atomic_store(&log_state.ending, true);
    wake_writer();
    log_state.stuck = !join_writer();
    atomic_store(&log_state.running, false);
    if (log_state.stuck)
        return;
    close_ended();
    drain_all();
    int error = hf_log_reconfigure((enum hf_log_level)atomic_load(&log_state.level), NULL);
    (void)error; /* then the old file stays open, and access lines go on to it */
}
