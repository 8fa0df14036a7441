/* Reads the CPU that other processes consumed.
 * Threads: one. Layer: bench. */
#pragma once
#include <stdint.h>
#include <sys/types.h>

enum { BENCH_WATCHED_MAX = 16 };

struct bench_watch { /* zeroed = watches nothing */
    clockid_t clocks[BENCH_WATCHED_MAX];
    unsigned count;
};

/* Adds a process; dies when there is none or too many. */
void bench_watch_add(struct bench_watch *watch, pid_t pid);
/* User and system time of all threads, dead ones included, of all processes watched; ns. It is the
 * kernel's own account (the one behind utime + stime), read to the ns instead of the tick. */
uint64_t bench_watch_cpu_ns(const struct bench_watch *watch);
/* Time that all cores together were not idle since boot; ns, in steps of a tick. 0 if unknown. */
uint64_t bench_machine_busy_ns(void);
