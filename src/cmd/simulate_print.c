#include "cmd/simulate_print.h"

#include "cmd/table.h"
#include "config/schema.h"
#include <stdlib.h>

enum { NUMBER_MAX = 32 };

struct number {
    char text[NUMBER_MAX];
};

/* 10,000,000 */
static struct number grouped(uint64_t value)
{
    struct number number;
    char digits[NUMBER_MAX];
    size_t size = (size_t)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    size_t used = 0;
    for (size_t i = 0; i < size && used + 2 < NUMBER_MAX; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            number.text[used++] = ',';
        number.text[used++] = digits[i];
    }
    number.text[used] = '\0';
    return number;
}

static int add_load(struct hf_table *table, const struct hf_sim_result *result)
{
    char nat[HF_SIM_NAT_TEXT_MAX];
    hf_sim_nat_text(&result->nat, nat);
    int rc = hf_table_add(table, "%s", result->pool->name);
    rc |= hf_table_add(table, "%s", hf_balance_word(result->pool->balance));
    rc |= hf_table_add(table, "%s", nat);
    rc |= hf_table_add(table, "%u", result->server_count);
    rc |= hf_table_add(table, "%s", grouped(result->peak).text);
    rc |= hf_table_add(table, "%.3f", (double)result->peak_max);
    rc |= hf_table_add(table, "%.3f", (double)result->peak_min);
    rc |= hf_table_add(table, "%.3f", (double)result->worst_max);
    rc |= hf_table_add(table, "%s", grouped(result->requests).text);
    rc |= hf_table_add(table, "%.3f", (double)result->requests_max);
    rc |= hf_table_add(table, "%.1f", (double)result->table_bytes / 1000);
    return rc;
}

static int print_load(const struct hf_sim_report *report)
{
    struct hf_table table;
    int rc = hf_table_init(&table, "POOL BALANCE ADDRESSES >SERVERS >SESSIONS >MAX/MEAN >MIN/MEAN "
                                   ">WORST >REQUESTS >REQ-MAX/MEAN >TABLE-KB");
    for (unsigned i = 0; i < report->count; i++)
        rc |= add_load(&table, &report->results[i]);
    if (rc == 0) {
        puts("Load: sessions of a server / its fair share by weight, at the fullest moment before "
             "the first\nevent, and the worst at any time; requests / fair share over all");
        hf_table_print(&table, stdout);
    }
    hf_table_fini(&table);
    return rc;
}

static int add_event(struct hf_table *table, const struct hf_sim_result *result,
                     const struct hf_sim_event *event)
{
    char nat[HF_SIM_NAT_TEXT_MAX], at[HF_TYPE_TEXT_MAX];
    double asked = event->returned > 0 ? event->returned : 1;
    hf_sim_nat_text(&result->nat, nat);
    hf_type_format_time(event->at_ms, at);
    int rc = hf_table_add(table, "%s", result->pool->name);
    rc |= hf_table_add(table, "%s", nat);
    rc |= hf_table_add(table, "%s", at);
    rc |= hf_table_add(table, "%.60s", event->text);
    rc |= hf_table_add(table, "%s", grouped(event->sessions).text);
    rc |= hf_table_add(table, "%s", grouped(event->returned).text);
    rc |= hf_table_add(table, "%s", grouped(event->moved).text);
    rc |= hf_table_add(table, "%.2f%%", 100 * event->moved / asked);
    rc |= hf_table_add(table, "%s", grouped(event->lost).text);
    rc |= hf_table_add(table, "%s", grouped(event->needless).text);
    rc |= hf_table_add(table, "%s", grouped(event->stood_in).text);
    rc |= hf_table_add(table, "%s", grouped(event->refused).text);
    return rc;
}

static int print_events(const struct hf_sim_report *report)
{
    struct hf_table table;
    int rc = hf_table_init(&table, "POOL ADDRESSES AT EVENT >SESSIONS >RETURNED >MOVED >SHARE "
                                   ">LOST >NEEDLESS >STOOD-IN >REFUSED");
    for (unsigned i = 0; i < report->count; i++) {
        for (unsigned e = 0; e < report->results[i].event_count; e++)
            rc |= add_event(&table, &report->results[i], &report->results[i].events[e]);
    }
    if (rc == 0) {
        puts("\nEvents: of the sessions at that time, how many came back until the next event, and "
             "were answered\nby another server; sessions lost, and those of servers that were in "
             "service (needless)");
        hf_table_print(&table, stdout);
    }
    hf_table_fini(&table);
    return rc;
}

static void print_cost(const struct hf_sim_report *report)
{
    uint64_t sealed = 0, checked = 0, user_bytes = 0;
    for (unsigned i = 0; i < report->count; i++) {
        const struct hf_sim_result *result = &report->results[i];
        sealed += result->sealed;
        checked += result->checked;
        user_bytes = result->user_bytes > user_bytes ? result->user_bytes : user_bytes;
    }
    if (sealed > 0)
        printf("\n%s tokens were written; %s of them (of 1 in %d users) went through the real "
               "cipher and back,\nthe others are kept as what they say.\n",
               grouped(sealed).text, grouped(checked).text, HF_SIM_CHECKED_EVERY);
    printf(
        "\n%.1f s on the wall, %.1f s of processor; %s MiB at most, %s MiB of it a pool's users\n",
        (double)report->wall_ms / 1000, (double)report->cpu_ms / 1000,
        grouped(report->rss_peak_bytes >> 20).text, grouped(user_bytes >> 20).text);
}

/* Without events there is something to tell only when something went wrong. */
static bool anything_happened(const struct hf_sim_report *report)
{
    for (unsigned i = 0; i < report->count; i++) {
        const struct hf_sim_result *result = &report->results[i];
        if (result->event_count > 1 || result->lost > 0 || result->refused > 0)
            return true;
    }
    return false;
}

int hf_simulate_print(const char *file, const struct hf_sim_report *report)
{
    const struct hf_scenario *scenario = report->scenario;
    char duration[HF_TYPE_TEXT_MAX];
    hf_type_format_time(scenario->duration_ms, duration);
    printf("%s: %s users, %s, seed %llu\n\n", file, grouped(scenario->users.count).text, duration,
           (unsigned long long)scenario->seed);
    int rc = print_load(report);
    if (rc == 0 && anything_happened(report))
        rc = print_events(report);
    else if (rc == 0)
        puts("\nNo event, no session lost, no request refused.");
    if (rc == 0)
        print_cost(report);
    return rc;
}
