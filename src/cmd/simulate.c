/* Runs a scenario of users, servers and events through the product's own choosing of servers. */
#include "cmd/cmd.h"
#include "cmd/simulate_print.h"
#include "sim/report.h"
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: holdfast simulate -c FILE [--json] [--plot FILE.svg] [--seed N] [--users N]\n"
    "                         [--threads N]\n\n"
    "Runs the scenario of FILE through the product's own choosing of servers, in virtual time: no\n"
    "socket is opened. Says how evenly each pool spreads the load, and how many sessions each "
    "event\n"
    "moves and loses. The same FILE and seed give the same figures. --plot draws them as a "
    "picture;\n"
    "--seed and --users take the place of the scenario's; --threads limits how many pools run at\n"
    "once (default: one a core). Scenarios to begin with are in examples/simulate.\n";

enum { OPTION_JSON = 256, OPTION_PLOT, OPTION_SEED, OPTION_USERS, OPTION_THREADS };

struct wish {
    const char *file, *plot;
    bool json, help, wrong;
    bool has_seed;
    uint64_t seed, users, threads; /* 0 = not given */
};

static void take_number(struct wish *wish, const char *name, uint64_t low, uint64_t high,
                        uint64_t *ret_value)
{
    uint64_t value = 0;
    if (hf_slice_to_u64(hf_slice_text(optarg), &value) && value >= low && value <= high) {
        *ret_value = value;
        return;
    }
    fprintf(stderr, "holdfast simulate: --%s is '%.60s': write a whole number, %llu to %llu\n",
            name, optarg, (unsigned long long)low, (unsigned long long)high);
    wish->wrong = true;
}

static void take_option(struct wish *wish, int option)
{
    switch (option) {
    case 'c':
        wish->file = optarg;
        return;
    case 'h':
        wish->help = true;
        return;
    case OPTION_JSON:
        wish->json = true;
        return;
    case OPTION_PLOT:
        wish->plot = optarg;
        return;
    case OPTION_SEED:
        wish->has_seed = true;
        take_number(wish, "seed", 0, UINT32_MAX, &wish->seed);
        return;
    case OPTION_USERS:
        take_number(wish, "users", 1, HF_SCENARIO_USERS_MAX, &wish->users);
        return;
    case OPTION_THREADS:
        take_number(wish, "threads", 1, HF_SIM_THREADS_MAX, &wish->threads);
        return;
    default:
        fputs(usage, stderr);
        wish->wrong = true;
    }
}

static struct wish read_words(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"json", no_argument, NULL, OPTION_JSON},
                                            {"plot", required_argument, NULL, OPTION_PLOT},
                                            {"seed", required_argument, NULL, OPTION_SEED},
                                            {"users", required_argument, NULL, OPTION_USERS},
                                            {"threads", required_argument, NULL, OPTION_THREADS},
                                            {0}};
    struct wish wish = {0};
    int option;
    while (!wish.wrong && (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1)
        take_option(&wish, option);
    if (!wish.wrong && !wish.help && (wish.file == NULL || optind < argc)) {
        fputs(usage, stderr);
        wish.wrong = true;
    }
    return wish;
}

static unsigned thread_count(const struct wish *wish, const struct hf_scenario *scenario)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    unsigned cores = sched_getaffinity(0, sizeof(set), &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
    unsigned threads = wish->threads > 0 ? (unsigned)wish->threads : cores;
    unsigned pools = scenario->config->pool_count;
    threads = threads < pools ? threads : pools;
    return threads < 1 ? 1 : threads < HF_SIM_THREADS_MAX ? threads : HF_SIM_THREADS_MAX;
}

static int write_plot(const char *path, const struct hf_sim_report *report)
{
    FILE *out = fopen(path, "we");
    int rc = out ? hf_sim_report_plot(report, out) : -errno;
    if (out != NULL && fclose(out) != 0 && rc == 0)
        rc = -errno;
    if (rc != 0)
        fprintf(stderr, "holdfast simulate: %s: %s\n", path, strerror(-rc));
    return rc;
}

static int print(const struct wish *wish, const struct hf_sim_report *report)
{
    int rc = 0;
    if (wish->json) {
        char *text = hf_sim_report_json(report);
        rc = text ? 0 : -ENOMEM;
        if (text != NULL)
            puts(text);
        free(text);
    } else {
        rc = hf_simulate_print(wish->file, report);
    }
    if (rc == 0 && (fflush(stdout) != 0 || ferror(stdout)))
        rc = -EIO;
    if (rc != 0)
        fprintf(stderr, "holdfast simulate: %s\n", strerror(-rc));
    return rc;
}

static int simulate(const struct wish *wish, struct hf_scenario *scenario)
{
    struct hf_sim_report report;
    if (wish->has_seed)
        scenario->seed = wish->seed;
    if (wish->users > 0)
        scenario->users.count = (uint32_t)wish->users;
    int rc = hf_sim_run(scenario, thread_count(wish, scenario), &report);
    if (rc != 0) {
        fprintf(stderr, "holdfast simulate: %s\n", strerror(-rc));
        return HF_EXIT_FAILED;
    }
    rc = wish->plot ? write_plot(wish->plot, &report) : 0;
    if (rc == 0)
        rc = print(wish, &report);
    hf_sim_report_fini(&report);
    return rc == 0 ? HF_EXIT_DONE : HF_EXIT_FAILED;
}

int hf_cmd_simulate(int argc, char **argv)
{
    struct wish wish = read_words(argc, argv);
    if (wish.help)
        fputs(usage, stdout);
    if (wish.help || wish.wrong)
        return wish.wrong ? HF_EXIT_USAGE : HF_EXIT_DONE;
    struct hf_config_report report = {0};
    struct hf_scenario *scenario = calloc(1, sizeof(*scenario));
    if (scenario == NULL) {
        fprintf(stderr, "holdfast simulate: %s\n", strerror(ENOMEM));
        return HF_EXIT_FAILED;
    }
    int code = HF_EXIT_FAILED;
    if (hf_scenario_load(wish.file, scenario, &report) == 0)
        code = simulate(&wish, scenario);
    else
        hf_cmd_print_report(wish.file, &report);
    hf_scenario_fini(scenario);
    free(scenario);
    hf_config_report_fini(&report);
    return code;
}
