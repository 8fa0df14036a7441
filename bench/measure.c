#include "measure.h"

#include "wire.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { SAMPLES_MAX = 16 * 1024 * 1024, OPTIONS_MAX = 16 };

void bench_samples_init(struct bench_samples *samples)
{
    samples->ns = malloc(SAMPLES_MAX * sizeof(*samples->ns));
    if (samples->ns == NULL)
        bench_die("memory");
}

void bench_samples_add(struct bench_samples *samples, uint64_t ns)
{
    if (samples->count < SAMPLES_MAX)
        samples->ns[samples->count++] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

void bench_samples_sort(struct bench_samples *samples)
{
    qsort(samples->ns, samples->count, sizeof(*samples->ns), compare);
}

double bench_samples_quantile_us(const struct bench_samples *samples, double quantile)
{
    if (samples->count == 0)
        return 0;
    uint32_t index = (uint32_t)(quantile * (samples->count - 1));
    return (double)samples->ns[index] / BENCH_NS_PER_US;
}

uint64_t bench_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dULL;
}

_Noreturn void bench_usage(const char *usage)
{
    fputs(usage, stderr);
    exit(2);
}

static void take(const struct bench_option *option, const char *value)
{
    if (option->number != NULL)
        *option->number = bench_number(option->name, value, option->low, option->high) *
                          (option->unit > 0 ? option->unit : 1);
    else if (option->text != NULL)
        *option->text = value;
    else if (option->flag != NULL)
        *option->flag = true;
    else
        bench_watch_add(option->watch, (pid_t)bench_number(option->name, value, 1, INT32_MAX));
}

void bench_options(int argc, char **argv, const struct bench_option *table, const char *usage)
{
    struct option names[OPTIONS_MAX + 1] = {0};
    int found, row;
    optind = 0; /* glibc: another command line than before */
    for (unsigned i = 0; table[i].name != NULL && i < OPTIONS_MAX; i++) {
        names[i].name = table[i].name;
        names[i].has_arg = table[i].flag != NULL ? no_argument : required_argument;
    }
    while ((found = getopt_long(argc, argv, "", names, &row)) != -1) {
        if (found != 0)
            bench_usage(usage);
        take(&table[row], optarg);
    }
}
