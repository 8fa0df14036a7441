#include "sim/sim.h"

#include "base/assert.h"
#include "base/clock.h"
#include "sim/run.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* A pool's runs share its servers, so they go one after the other; runs of different pools may go
 * beside each other. A leaf lock: nothing else is locked while it is held. */
struct work {
    const struct hf_scenario *scenario;
    struct hf_sim_report *report;
    pthread_mutex_t lock;
    struct {
        unsigned done[HF_POOLS_MAX]; /* runs begun, by pool */
        bool busy[HF_POOLS_MAX];
    } locked;
};

/* The pool that is behind most, or -1: whoever runs the others will go on with them. */
static int take_pool(struct work *work, unsigned *ret_run)
{
    int found = -1;
    pthread_mutex_lock(&work->lock);
    for (unsigned i = 0; i < work->scenario->config->pool_count; i++) {
        unsigned done = work->locked.done[i];
        if (work->locked.busy[i] || done == work->scenario->users.nat_count)
            continue;
        if (found < 0 || done < work->locked.done[found])
            found = (int)i;
    }
    if (found >= 0) {
        *ret_run = work->locked.done[found]++;
        work->locked.busy[found] = true;
    }
    pthread_mutex_unlock(&work->lock);
    return found;
}

static void give_pool(struct work *work, int pool)
{
    pthread_mutex_lock(&work->lock);
    work->locked.busy[pool] = false;
    pthread_mutex_unlock(&work->lock);
}

static void *run_pools(void *user)
{
    struct work *work = user;
    unsigned nats = work->scenario->users.nat_count, run = 0;
    int pool;
    while ((pool = take_pool(work, &run)) >= 0) {
        hf_run_pool(work->scenario, &work->report->results[(unsigned)pool * nats + run]);
        give_pool(work, pool);
    }
    return NULL;
}

static int run_threads(struct work *work, unsigned threads)
{
    pthread_t others[HF_SIM_THREADS_MAX];
    unsigned started = 0;
    int rc = 0;
    while (rc == 0 && started + 1 < threads) {
        rc = -pthread_create(&others[started], NULL, run_pools, work);
        started += rc == 0;
    }
    if (rc == 0)
        run_pools(work);
    for (unsigned i = 0; i < started; i++)
        pthread_join(others[i], NULL);
    return rc;
}

static int first_error(const struct hf_sim_report *report)
{
    for (unsigned i = 0; i < report->count; i++) {
        if (report->results[i].error != 0)
            return report->results[i].error;
    }
    return 0;
}

static struct hf_sim_result *results_new(const struct hf_scenario *scenario, unsigned *ret_count)
{
    unsigned nats = scenario->users.nat_count, pools = scenario->config->pool_count;
    struct hf_sim_result *results = calloc((size_t)nats * pools, sizeof(*results));
    for (unsigned i = 0; results != NULL && i < nats * pools; i++) {
        results[i].pool = &scenario->config->pools[i / nats];
        results[i].nat = scenario->users.nats[i % nats];
    }
    *ret_count = results ? nats * pools : 0;
    return results;
}

static uint64_t ms_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000 + (uint64_t)time->tv_usec / 1000;
}

int hf_sim_run(const struct hf_scenario *scenario, unsigned threads,
               struct hf_sim_report *ret_report)
{
    REQUIRE(threads >= 1 && threads <= HF_SIM_THREADS_MAX && scenario->config->pool_count > 0);
    struct hf_sim_report report = {.scenario = scenario};
    struct work work = {.scenario = scenario, .report = &report, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct rusage usage;
    uint64_t began_ms = hf_clock_monotonic_ms();
    report.results = results_new(scenario, &report.count);
    if (report.results == NULL)
        return -ENOMEM;
    int rc = run_threads(&work, threads);
    if (rc == 0)
        rc = first_error(&report);
    if (rc != 0) {
        hf_sim_report_fini(&report);
        return rc;
    }
    report.wall_ms = hf_clock_monotonic_ms() - began_ms;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        report.rss_peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
        report.cpu_ms = ms_of(&usage.ru_utime) + ms_of(&usage.ru_stime);
    }
    *ret_report = report;
    return 0;
}

void hf_sim_report_fini(struct hf_sim_report *report)
{
    for (unsigned i = 0; i < report->count; i++) {
        free(report->results[i].events);
        free(report->results[i].loads);
    }
    free(report->results);
    *report = (struct hf_sim_report){0};
}

void hf_sim_nat_text(const struct hf_scenario_nat *nat, char out[HF_SIM_NAT_TEXT_MAX])
{
    if (nat->share_percent == 0)
        snprintf(out, HF_SIM_NAT_TEXT_MAX, "no sharing");
    else
        snprintf(out, HF_SIM_NAT_TEXT_MAX, "%u%% behind %u", nat->share_percent, nat->addresses);
}
