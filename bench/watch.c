#include "watch.h"

#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

void bench_watch_add(struct bench_watch *watch, pid_t pid)
{
    errno = watch->count == BENCH_WATCHED_MAX
                ? E2BIG
                : clock_getcpuclockid(pid, &watch->clocks[watch->count]);
    if (errno != 0) {
        bench_die("process to watch");
    }
    watch->count++;
}

uint64_t bench_watch_cpu_ns(const struct bench_watch *watch)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < watch->count; i++) {
        struct timespec used;
        if (clock_gettime(watch->clocks[i], &used) != 0) {
            bench_die("a watched process is gone");
        }
        sum += (uint64_t)used.tv_sec * BENCH_NS_PER_S + (uint64_t)used.tv_nsec;
    }
    return sum;
}

uint64_t bench_machine_busy_ns(void)
{
    enum { USER, NICE, SYSTEM, IDLE, IO_WAIT, IRQ, SOFT_IRQ, STEAL, FIELDS };
    unsigned long long ticks[FIELDS];
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) {
        return 0;
    }
    int got = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[USER],
                     &ticks[NICE], &ticks[SYSTEM], &ticks[IDLE], &ticks[IO_WAIT], &ticks[IRQ],
                     &ticks[SOFT_IRQ], &ticks[STEAL]);
    fclose(file);
    if (got != FIELDS) {
        return 0;
    }
    unsigned long long busy =
        ticks[USER] + ticks[NICE] + ticks[SYSTEM] + ticks[IRQ] + ticks[SOFT_IRQ] + ticks[STEAL];
    return busy * (uint64_t)(BENCH_NS_PER_S / sysconf(_SC_CLK_TCK));
}
