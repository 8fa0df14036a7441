/* What is about all sessions, or none: SCAN, KEYS, DBSIZE, FLUSHDB, TIME, CONFIG, COMMAND. None of
 * them makes a session move. */
#include "agent/redis/resp_client.h"
#include "base/assert.h"

enum { US_IN_MS = 1000, MS_IN_S = 1000 };

/* Keys that are listed, as bulk strings in the run's stage. */
struct listing {
    struct hf_resp_client *client;
    struct hf_slice pattern, type;
    bool has_pattern, has_type;
    uint32_t count;
};

static void list_key(void *user, struct hf_slice key, enum hf_store_kind kind)
{
    struct listing *listing = (struct listing *)user;
    struct hf_slice type = kind == HF_STORE_HASH ? HF_SLICE("hash") : HF_SLICE("string");
    if (listing->has_type && !hf_slice_equal_nocase(listing->type, type))
        return;
    if (listing->has_pattern && !hf_resp_glob_match(listing->pattern, key))
        return;
    hf_resp_stage_bulk(&listing->client->run.stage, key);
    listing->count++;
}

static void answer_listing(const struct listing *listing, const uint64_t *cursor)
{
    struct hf_resp_client *client = listing->client;
    if (client->run.stage.failed) {
        hf_resp_client_error(client, HF_RESP_ERROR_OUT_OF_MEMORY);
        return;
    }
    if (cursor != NULL) {
        char digits[HF_WRITER_DIGITS_MAX];
        struct hf_writer writer = hf_writer(digits, sizeof(digits));
        hf_writer_u64(&writer, *cursor);
        hf_resp_client_array(client, 2);
        hf_resp_client_bulk(client, hf_slice(digits, writer.size));
    }
    hf_resp_client_array(client, listing->count);
    hf_resp_client_staged(client, &client->run.stage);
}

enum hf_front_step hf_resp_go_scan(struct hf_resp_client *client)
{
    struct hf_resp_scan_options options;
    enum hf_resp_error error = hf_resp_options_scan(hf_resp_client_request(client), &options);
    if (error != HF_RESP_ERROR_NONE)
        return hf_resp_client_refuse(client, error);
    struct listing listing = {.client = client,
                              .pattern = options.match,
                              .type = options.type,
                              .has_pattern = options.has_match,
                              .has_type = options.has_type};
    struct hf_sessions_scan scan = {.visit = list_key, .user = &listing};
    scan.count = options.count < HF_RESP_FRONT_SCAN_COUNT_MAX ? (unsigned)options.count
                                                              : HF_RESP_FRONT_SCAN_COUNT_MAX;
    hf_sessions_scan(hf_resp_client_sessions(client), &options.cursor, &scan);
    answer_listing(&listing, &options.cursor);
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_keys(struct hf_resp_client *client)
{
    struct hf_sessions *sessions = hf_resp_client_sessions(client);
    struct listing listing = {
        .client = client, .pattern = hf_resp_client_argument(client, 1), .has_pattern = true};
    struct hf_sessions_scan scan = {
        .visit = list_key, .user = &listing, .count = HF_RESP_FRONT_SCAN_COUNT_MAX};
    uint64_t cursor = 0;
    if (hf_sessions_key_count(sessions) > HF_RESP_FRONT_KEYS_MAX) {
        hf_resp_client_error(client, HF_RESP_ERROR_DENIED);
        return HF_FRONT_DONE;
    }
    do
        hf_sessions_scan(sessions, &cursor, &scan);
    while (cursor != 0 && !client->run.stage.failed);
    answer_listing(&listing, NULL);
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_dbsize(struct hf_resp_client *client)
{
    hf_resp_client_integer(client, (int64_t)hf_sessions_key_count(hf_resp_client_sessions(client)));
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_flush(struct hf_resp_client *client)
{
    const struct hf_resp_request *request = hf_resp_client_request(client);
    bool known_option =
        request->count == 2 && (hf_slice_equal_nocase(request->arguments[1], HF_SLICE("async")) ||
                                hf_slice_equal_nocase(request->arguments[1], HF_SLICE("sync")));
    if (request->count > 1 && !known_option)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_SYNTAX);
    enum hf_operation_status status = hf_sessions_flush(hf_resp_client_sessions(client));
    if (status == HF_OPERATION_OK)
        hf_resp_client_ok(client);
    else
        hf_resp_client_failure(client, status);
    return HF_FRONT_DONE;
}

static void answer_number(struct hf_resp_client *client, uint64_t number)
{
    char digits[HF_WRITER_DIGITS_MAX];
    struct hf_writer writer = hf_writer(digits, sizeof(digits));
    hf_writer_u64(&writer, number);
    hf_resp_client_bulk(client, hf_slice(digits, writer.size));
}

enum hf_front_step hf_resp_go_time(struct hf_resp_client *client)
{
    uint64_t wall_ms = hf_sessions_wall_ms(hf_resp_client_sessions(client));
    hf_resp_client_array(client, 2);
    answer_number(client, wall_ms / MS_IN_S);
    answer_number(client, wall_ms % MS_IN_S * US_IN_MS);
    return HF_FRONT_DONE;
}

/* Nothing of ours has a name that Redis knows; an empty map is what clients take for that. */
enum hf_front_step hf_resp_go_config(struct hf_resp_client *client)
{
    hf_resp_client_map(client, 0);
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_command(struct hf_resp_client *client)
{
    if (client->run.subcommand == HF_RESP_COMMAND_COUNT)
        hf_resp_client_integer(client, HF_RESP_COMMANDS - 1);
    else if (client->run.subcommand == HF_RESP_SUBCOMMAND_NONE)
        hf_resp_client_array(client, 0);
    else
        hf_resp_client_map(client, 0);
    return HF_FRONT_DONE;
}
