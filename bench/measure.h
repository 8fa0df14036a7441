/* What the programs that put a load on something share: how long each answer took, a row of random
 * numbers that is the same in every run, and options. Threads: one. Layer: bench. */
#pragma once
#include "watch.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench_samples { /* zeroed, then init */
    uint32_t *ns;      /* owned */
    uint32_t count;
};

/* Room for as many as a run may have; dies without memory. */
void bench_samples_init(struct bench_samples *samples);
/* One answer's time; beyond 2^32 ns it counts as that, beyond the room it is left out. */
void bench_samples_add(struct bench_samples *samples, uint64_t ns);
/* Once all are there, before a quantile is asked for. */
void bench_samples_sort(struct bench_samples *samples);
/* The smallest sample that `quantile` of all are not above, in us; 0 if there is none. */
double bench_samples_quantile_us(const struct bench_samples *samples, double quantile);

#define BENCH_RANDOM_SEED 0x9e3779b97f4a7c15ULL
/* xorshift64* (Vigna 2016). *state is not 0. */
uint64_t bench_random(uint64_t *state);

struct bench_option { /* --name, and into which one of these its value goes */
    const char *name; /* NULL: the end of the table */
    uint64_t *number; /* value * unit, of a value from low to high; unit 0 = 1 */
    uint64_t low, high, unit;
    const char **text;         /* borrowed from argv */
    bool *flag;                /* no value: true */
    struct bench_watch *watch; /* a process, as often as you like */
};

/* Reads all options of the command line, argv[0] left out; what is none of the table ends in
 * bench_usage. Once for each command line, when there are several. */
void bench_options(int argc, char **argv, const struct bench_option *table, const char *usage);
/* Writes the text to stderr and exits with 2. */
_Noreturn void bench_usage(const char *usage);
