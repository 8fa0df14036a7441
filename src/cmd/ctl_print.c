/* The API's documents as tables. A key that an older or newer proxy lacks shows as "-" or 0. */
#include "cmd/cmd.h"
#include "cmd/ctl.h"
#include "cmd/table.h"
#include <stdio.h>

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void format_duration(char *out, size_t size, double seconds)
{
    static const struct {
        const char *unit;
        double size;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (seconds < units[i].size)
            continue;
        snprintf(out, size, "%.0f %s", (double)(long)(seconds / units[i].size), units[i].unit);
        return;
    }
    snprintf(out, size, "%.0f s", (double)(long)seconds);
}

static json_int_t sum_of(const json_t *object)
{
    json_int_t sum = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) sum += json_integer_value(value);
    return sum;
}

static int finish(struct hf_table *table, int result)
{
    if (result == 0)
        hf_table_print(table, stdout);
    else
        fputs("holdfast ctl: out of memory\n", stderr);
    hf_table_fini(table);
    return result == 0 ? HF_EXIT_DONE : HF_EXIT_FAILED;
}

int hf_ctl_print_status(const json_t *status)
{
    static const char *const states[] = {"ready", "drain", "maintenance", "down", "ejected"};
    char up[32];
    struct hf_table table;
    format_duration(up, sizeof(up), json_number_value(json_object_get(status, "uptime_s")));
    printf("holdfast %s on %s, up %s, configuration %lld (%s)\n\n", text_of(status, "version"),
           text_of(status, "node"), up, (long long)number_of(status, "generation"),
           text_of(status, "config"));
    int result = hf_table_init(&table, "POOL BALANCE >SERVERS >READY >DRAIN >MAINTENANCE >DOWN "
                                       ">EJECTED >ACTIVE");
    size_t index;
    json_t *pool;
    json_array_foreach(json_object_get(status, "pools"), index, pool)
    {
        result |= hf_table_add(&table, "%s", text_of(pool, "name"));
        result |= hf_table_add(&table, "%s", text_of(pool, "balance"));
        result |= hf_table_add(&table, "%lld", (long long)number_of(pool, "servers"));
        for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
            result |= hf_table_add(
                &table, "%lld", (long long)number_of(json_object_get(pool, "states"), states[i]));
        result |= hf_table_add(&table, "%lld", (long long)number_of(pool, "active"));
    }
    return finish(&table, result);
}

int hf_ctl_print_servers(const json_t *servers)
{
    struct hf_table table;
    int result = hf_table_init(&table, "SERVER ADDRESS >WEIGHT STATE SINCE HEALTH BREAKER "
                                       ">ACTIVE >PENDING >CONNECTIONS >REQUESTS >FAILURES >PINNED");
    size_t index;
    json_t *server;
    json_array_foreach(json_object_get(servers, "servers"), index, server)
    {
        char since[32];
        format_duration(since, sizeof(since),
                        json_number_value(json_object_get(server, "since_s")));
        result |= hf_table_add(&table, "%s/%s", text_of(server, "pool"), text_of(server, "name"));
        result |= hf_table_add(&table, "%s", text_of(server, "address"));
        result |= hf_table_add(&table, "%lld", (long long)number_of(server, "weight"));
        result |= hf_table_add(&table, "%s", text_of(server, "state"));
        result |= hf_table_add(&table, "%s", since);
        result |= hf_table_add(&table, "%s", text_of(server, "health"));
        result |= hf_table_add(&table, "%s", text_of(server, "breaker"));
        result |= hf_table_add(&table, "%lld", (long long)number_of(server, "active"));
        result |= hf_table_add(&table, "%lld", (long long)number_of(server, "pending"));
        result |= hf_table_add(&table, "%lld", (long long)number_of(server, "connections"));
        result |= hf_table_add(&table, "%lld", (long long)number_of(server, "requests"));
        result |=
            hf_table_add(&table, "%lld", (long long)sum_of(json_object_get(server, "failures")));
        result |= hf_table_add(&table, "%lld", (long long)number_of(server, "pins"));
    }
    return finish(&table, result);
}

int hf_ctl_print_server(const json_t *server)
{
    printf("%s/%s: %s, %lld active\n", text_of(server, "pool"), text_of(server, "name"),
           text_of(server, "state"), (long long)number_of(server, "active"));
    return HF_EXIT_DONE;
}
