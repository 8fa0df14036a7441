/* Statistics, for the tools and clients that ask: names of memcached's, of which those are told
 * that mean something here. */
#include "agent/memcache/memcache_internal.h"
#include "base/assert.h"
#include <unistd.h>

struct sources {
    bool has_password;
    const struct hf_front_counts *front;
    const struct hf_sessions *sessions;
    const struct hf_sessions_counts *counts;
    struct hf_store_stats store;
};

enum { STAT_ROWS_MAX = 40, STAT_ROW_MAX = 128 }; /* rows of a group, and bytes of one */

struct rows {
    struct hf_writer *writer;
    const struct hf_memcache_request *request;
    unsigned count;
};

static void text_row(struct rows *rows, const char *name, struct hf_slice value)
{
    REQUIRE(++rows->count <= STAT_ROWS_MAX);
    hf_memcache_write_stat(rows->writer, rows->request, hf_slice_text(name), value);
}

static void row(struct rows *rows, const char *name, uint64_t number)
{
    char digits[HF_WRITER_DIGITS_MAX];
    struct hf_writer value = hf_writer(digits, sizeof(digits));
    hf_writer_u64(&value, number);
    text_row(rows, name, hf_slice(digits, value.size));
}

static void write_general(struct rows *rows, const struct sources *from)
{
    const uint64_t *operations = from->counts->operations;
    uint64_t now_ms = hf_sessions_now_ms(from->sessions);
    const struct {
        const char *name;
        uint64_t number;
    } table[] = {
        {"uptime", (now_ms - from->front->started_ms) / 1000},
        {"time", hf_sessions_wall_ms(from->sessions) / 1000},
        {"pointer_size", 8 * sizeof(void *)},
        {"max_connections", from->front->connections_max},
        {"curr_connections", from->front->open},
        {"total_connections", from->front->opened},
        {"rejected_connections", from->front->refused},
        {"cmd_get", from->counts->hits + from->counts->misses},
        {"cmd_set", operations[HF_OPERATION_SET] + operations[HF_OPERATION_EXTEND]},
        {"cmd_flush", 0},
        {"cmd_touch", operations[HF_OPERATION_EXPIRE]},
        {"get_hits", from->counts->hits},
        {"get_misses", from->counts->misses},
        {"cas_badval", from->counts->statuses[HF_OPERATION_MISMATCH]},
        {"store_too_large", from->counts->statuses[HF_OPERATION_TOO_LARGE]},
        {"store_no_memory", from->counts->statuses[HF_OPERATION_FULL]},
        {"auth_errors", from->front->auth_failures},
        {"bytes_read", from->front->bytes_in},
        {"bytes_written", from->front->bytes_out},
        {"limit_maxbytes", hf_sessions_memory_max(from->sessions)},
        {"accepting_conns", 1},
        {"threads", 1},
        {"bytes", from->store.bytes_logical},
        {"curr_items", hf_sessions_key_count(from->sessions)},
        {"total_items", operations[HF_OPERATION_SET]},
        {"evictions", from->store.evicted},
        {"reclaimed", from->store.expired},
    };
    row(rows, "pid", (uint64_t)getpid());
    text_row(rows, "version", HF_SLICE(HF_MEMCACHE_VERSION_TEXT));
    text_row(rows, "holdfast_version", HF_SLICE(HF_VERSION));
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        row(rows, table[i].name, table[i].number);
}

/* One class holds them all; a store without keys has none, as in memcached. What connect-memcached
 * calls its length is this. */
static void write_items(struct rows *rows, const struct sources *from)
{
    uint64_t count = hf_sessions_key_count(from->sessions);
    if (count == 0)
        return;
    row(rows, "items:1:number", count);
    row(rows, "items:1:age", 0);
    row(rows, "items:1:mem_requested", from->store.bytes_logical);
    row(rows, "items:1:evicted", from->store.evicted);
    row(rows, "items:1:evicted_nonzero", from->store.evicted);
    row(rows, "items:1:evicted_time", 0);
    row(rows, "items:1:outofmemory", from->store.refused);
    row(rows, "items:1:reclaimed", from->store.expired);
}

static void write_settings(struct rows *rows, const struct sources *from)
{
    bool evicts = hf_sessions_when_full(from->sessions) == HF_STORE_EVICT;
    row(rows, "maxbytes", hf_sessions_memory_max(from->sessions));
    row(rows, "maxconns", from->front->connections_max);
    row(rows, "tcpport", from->front->port);
    row(rows, "udpport", 0);
    text_row(rows, "evictions", evicts ? HF_SLICE("on") : HF_SLICE("off"));
    row(rows, "num_threads", 1);
    text_row(rows, "cas_enabled", HF_SLICE("yes"));
    text_row(rows, "binding_protocol", HF_SLICE("auto-negotiate"));
    text_row(rows, "auth_enabled_sasl", HF_SLICE("no"));
    text_row(rows, "auth_enabled_ascii", from->has_password ? HF_SLICE("yes") : HF_SLICE("no"));
    row(rows, "item_size_max", hf_sessions_value_max(from->sessions));
}

static void write_slabs(struct rows *rows, const struct sources *from)
{
    row(rows, "active_slabs", 0);
    row(rows, "total_malloced", from->store.bytes_used);
}

static void write_sizes(struct rows *rows, const struct sources *from)
{
    text_row(rows, "sizes_status", HF_SLICE("disabled"));
}

static const struct group {
    struct hf_slice name;
    void (*write)(struct rows *rows, const struct sources *from);
} groups[] = {
    {{"", 0}, write_general},    {{"items", 5}, write_items}, {{"settings", 8}, write_settings},
    {{"slabs", 5}, write_slabs}, {{"sizes", 5}, write_sizes},
};

static const struct group *find_group(struct hf_slice name)
{
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        if (hf_slice_equal(groups[i].name, name))
            return &groups[i];
    return NULL;
}

/* What memcached says to "stats reset" (and we count on), and to a group that it does not have. */
static void write_other(struct hf_writer *writer, const struct hf_memcache_request *request)
{
    static const struct hf_memcache_result done, missing = {.status = HF_MEMCACHE_MISSING};
    bool reset = hf_slice_equal(request->key, HF_SLICE("reset"));
    if (request->dialect == HF_MEMCACHE_BINARY)
        hf_memcache_write_result(writer, request, reset ? &done : &missing);
    else
        hf_writer_text(writer, reset ? "RESET\r\n" : "ERROR\r\n");
}

void hf_memcache_stats_write(struct hf_connection *connection,
                             const struct hf_memcache_request *request)
{
    struct hf_writer writer;
    const struct group *group = find_group(request->key);
    struct rows rows = {.writer = &writer, .request = request};
    struct sources from = {
        .has_password = hf_connection_has_password(connection),
        .front = hf_connection_counts(connection),
        .sessions = hf_connection_sessions(connection),
        .counts = hf_sessions_counts(hf_connection_sessions(connection)),
    };
    hf_sessions_stats(from.sessions, &from.store);
    writer = hf_connection_writer(connection, STAT_ROWS_MAX * STAT_ROW_MAX);
    if (group == NULL) {
        write_other(&writer, request);
    } else {
        group->write(&rows, &from);
        hf_memcache_write_end(&writer, request);
    }
    hf_connection_wrote(connection, &writer);
}
