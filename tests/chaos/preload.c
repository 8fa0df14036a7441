/* What a fault campaign does to one process, loaded into it by LD_PRELOAD: moves its wall clock,
 * and has its allocations fail. The test says how much in the file HF_CHAOS_FILE, which is mapped;
 * before it says so nothing is changed. Threads: any. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_US = 1000 };

/* This function of ours stands in for the library's of that name. */
#define STANDS_IN(ours) __attribute__((alias(#ours)))

struct orders {                 /* the file; the test's side is preload.py */
    _Atomic int64_t clock_s;    /* added to the wall clock */
    _Atomic uint64_t one_in;    /* so many allocations fail once; 0 = never */
    _Atomic uint64_t failed;    /* how many did */
    _Atomic uint64_t allocated; /* how many were asked for while some failed */
};

static struct orders idle;
static struct orders *orders = &idle;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);

__attribute__((constructor)) static void map_orders(void)
{
    const char *path = getenv("HF_CHAOS_FILE");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        abort();
    void *mapped = mmap(NULL, sizeof(*orders), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        abort();
    close(file);
    orders = mapped;
}

/* Which ones is the machine's chance: threads and turns differ from run to run. relaxed: counts. */
static int fails(void)
{
    uint64_t one_in = atomic_load_explicit(&orders->one_in, memory_order_relaxed);
    if (one_in == 0)
        return 0;
    uint64_t number = atomic_fetch_add_explicit(&orders->allocated, 1, memory_order_relaxed);
    uint64_t mixed = (number + 1) * UINT64_C(0x9E3779B97F4A7C15);
    if ((mixed >> 32) % one_in != 0)
        return 0;
    atomic_fetch_add_explicit(&orders->failed, 1, memory_order_relaxed);
    errno = ENOMEM;
    return 1;
}

static void *take(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

static void *take_zeroed(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

static void *take_again(void *memory, size_t size)
{
    return fails() ? NULL : __libc_realloc(memory, size);
}

/* How the store takes its memory. */
static int open_pages(void *memory, size_t size, int protection)
{
    if ((protection & PROT_WRITE) && fails())
        return -1;
    return (int)syscall(SYS_mprotect, memory, size, protection);
}

static int tell_time(clockid_t id, struct timespec *ret_time)
{
    int result = (int)syscall(SYS_clock_gettime, id, ret_time);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        ret_time->tv_sec += atomic_load_explicit(&orders->clock_s, memory_order_relaxed);
    return result;
}

static int tell_day(struct timeval *restrict ret_time, void *restrict zone)
{
    struct timespec now;
    (void)zone;
    int result = tell_time(CLOCK_REALTIME, &now);
    *ret_time = (struct timeval){.tv_sec = now.tv_sec, .tv_usec = now.tv_nsec / NS_PER_US};
    return result;
}

static time_t tell_seconds(time_t *ret_time)
{
    struct timespec now;
    tell_time(CLOCK_REALTIME, &now);
    if (ret_time)
        *ret_time = now.tv_sec;
    return now.tv_sec;
}

STANDS_IN(take) void *malloc(size_t size);
STANDS_IN(take_zeroed) void *calloc(size_t count, size_t size);
STANDS_IN(take_again) void *realloc(void *memory, size_t size);
STANDS_IN(open_pages) int mprotect(void *memory, size_t size, int protection);
STANDS_IN(tell_time) int clock_gettime(clockid_t id, struct timespec *ret_time);
STANDS_IN(tell_day) int gettimeofday(struct timeval *restrict ret_time, void *restrict zone);
STANDS_IN(tell_seconds) time_t time(time_t *ret_time);
