/* INFO: what clients look at before they trust a server, and what people look at. */
#include "agent/redis/resp_client.h"
#include "base/assert.h"
#include <unistd.h>

enum { INFO_SIZE_MAX = 4096, MS_IN_S = 1000 };

typedef void (*section_fn)(struct hf_writer *writer, const struct hf_resp_client *client);

static void text_row(struct hf_writer *writer, const char *name, const char *value)
{
    hf_writer_text(writer, name);
    hf_writer_byte(writer, ':');
    hf_writer_text(writer, value);
    hf_writer_text(writer, "\r\n");
}

static void number_row(struct hf_writer *writer, const char *name, uint64_t number)
{
    hf_writer_text(writer, name);
    hf_writer_byte(writer, ':');
    hf_writer_u64(writer, number);
    hf_writer_text(writer, "\r\n");
}

static void server(struct hf_writer *writer, const struct hf_resp_client *client)
{
    const struct hf_front_counts *counts = hf_connection_counts(client->connection);
    uint64_t now_ms = hf_sessions_now_ms(hf_resp_client_sessions(client));
    text_row(writer, "redis_version", HF_RESP_FRONT_VERSION);
    text_row(writer, "redis_mode", "standalone");
    text_row(writer, "holdfast_version", HF_VERSION);
    number_row(writer, "process_id", (uint64_t)getpid());
    number_row(writer, "tcp_port", counts->port);
    number_row(writer, "uptime_in_seconds", (now_ms - counts->started_ms) / MS_IN_S);
}

static void clients(struct hf_writer *writer, const struct hf_resp_client *client)
{
    const struct hf_front_counts *counts = hf_connection_counts(client->connection);
    number_row(writer, "connected_clients", counts->open);
    number_row(writer, "maxclients", counts->connections_max);
}

static void memory(struct hf_writer *writer, const struct hf_resp_client *client)
{
    const struct hf_sessions *sessions = hf_resp_client_sessions(client);
    struct hf_store_stats stats;
    hf_sessions_stats(sessions, &stats);
    number_row(writer, "used_memory", stats.bytes_used);
    number_row(writer, "used_memory_dataset", stats.bytes_logical);
    number_row(writer, "maxmemory", hf_sessions_memory_max(sessions));
    bool evicts = hf_sessions_when_full(sessions) == HF_STORE_EVICT;
    text_row(writer, "maxmemory_policy", evicts ? "allkeys-lru" : "noeviction");
}

static void persistence(struct hf_writer *writer, const struct hf_resp_client *client)
{
    number_row(writer, "loading", 0);
}

static void statistics(struct hf_writer *writer, const struct hf_resp_client *client)
{
    const struct hf_front_counts *counts = hf_connection_counts(client->connection);
    const struct hf_sessions *sessions = hf_resp_client_sessions(client);
    const struct hf_sessions_counts *operations = hf_sessions_counts(sessions);
    struct hf_store_stats stats;
    hf_sessions_stats(sessions, &stats);
    number_row(writer, "total_connections_received", counts->opened);
    number_row(writer, "total_commands_processed", counts->requests);
    number_row(writer, "total_net_input_bytes", counts->bytes_in);
    number_row(writer, "total_net_output_bytes", counts->bytes_out);
    number_row(writer, "rejected_connections", counts->refused);
    number_row(writer, "expired_keys", stats.expired);
    number_row(writer, "evicted_keys", stats.evicted);
    number_row(writer, "keyspace_hits", operations->hits);
    number_row(writer, "keyspace_misses", operations->misses);
}

static void replication(struct hf_writer *writer, const struct hf_resp_client *client)
{
    text_row(writer, "role", "master");
    number_row(writer, "connected_slaves", 0);
}

/* How many of the keys expire is not counted; nobody was found who needs it. */
static void keyspace(struct hf_writer *writer, const struct hf_resp_client *client)
{
    uint64_t keys = hf_sessions_key_count(hf_resp_client_sessions(client));
    if (keys == 0)
        return;
    hf_writer_text(writer, "db0:keys=");
    hf_writer_u64(writer, keys);
    hf_writer_text(writer, ",expires=0,avg_ttl=0\r\n");
}

static const struct {
    const char *title;
    section_fn write;
} sections[] = {
    {"Server", server},           {"Clients", clients},  {"Memory", memory},
    {"Persistence", persistence}, {"Stats", statistics}, {"Replication", replication},
    {"Keyspace", keyspace},
};

static bool wanted(const struct hf_resp_request *request, const char *title)
{
    static const char *const all[] = {"all", "default", "everything"};
    for (uint32_t i = 1; i < request->count; i++) {
        if (hf_slice_equal_nocase(request->arguments[i], hf_slice_text(title)))
            return true;
        for (size_t j = 0; j < sizeof(all) / sizeof(all[0]); j++)
            if (hf_slice_equal_nocase(request->arguments[i], hf_slice_text(all[j])))
                return true;
    }
    return request->count == 1;
}

enum hf_front_step hf_resp_go_info(struct hf_resp_client *client)
{
    char text[INFO_SIZE_MAX];
    struct hf_writer writer = hf_writer(text, sizeof(text));
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        if (!wanted(hf_resp_client_request(client), sections[i].title))
            continue;
        hf_writer_text(&writer, writer.size > 0 ? "\r\n# " : "# ");
        hf_writer_text(&writer, sections[i].title);
        hf_writer_text(&writer, "\r\n");
        sections[i].write(&writer, client);
    }
    REQUIRE(hf_writer_fits(&writer));
    struct hf_resp_out out = hf_resp_client_out(client, writer.size + HF_RESP_CLIENT_HEAD_ROOM);
    hf_resp_write_verbatim(&out, hf_slice(text, writer.size));
    hf_resp_client_wrote(client, &out);
    return HF_FRONT_DONE;
}
