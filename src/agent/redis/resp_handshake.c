/* What is about the connection: who it is, which protocol it speaks, what it is called. */
#include "agent/redis/resp_client.h"
#include "proto/number.h"
#include <stdlib.h>

enum hf_front_step hf_resp_go_ping(struct hf_resp_client *client)
{
    uint32_t count = hf_resp_client_request(client)->count;
    if (count > 2)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_WRONG_ARITY);
    if (count == 2)
        hf_resp_client_bulk(client, hf_resp_client_argument(client, 1));
    else
        hf_resp_client_simple(client, HF_SLICE("PONG"));
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_echo(struct hf_resp_client *client)
{
    hf_resp_client_bulk(client, hf_resp_client_argument(client, 1));
    return HF_FRONT_DONE;
}

/* Where no password is set, Redis takes any for the user "default". */
static enum hf_connection_auth authenticate(struct hf_resp_client *client, struct hf_slice user,
                                            struct hf_slice password)
{
    if (hf_connection_has_password(client->connection))
        return hf_connection_authenticate(client->connection, user, password);
    return hf_slice_equal(user, HF_SLICE("default")) ? HF_CONNECTION_AUTH_OK
                                                     : HF_CONNECTION_AUTH_WRONG;
}

static enum hf_front_step refuse_password(struct hf_resp_client *client,
                                          enum hf_connection_auth verdict)
{
    hf_resp_client_refuse(client, HF_RESP_ERROR_WRONG_PASS);
    return verdict == HF_CONNECTION_AUTH_CLOSE ? HF_FRONT_CLOSE : HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_auth(struct hf_resp_client *client)
{
    const struct hf_resp_request *request = hf_resp_client_request(client);
    bool named = request->count == 3;
    if (request->count > 3)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_SYNTAX);
    if (!named && !hf_connection_has_password(client->connection))
        return hf_resp_client_refuse(client, HF_RESP_ERROR_AUTH_WITHOUT_PASSWORD);
    enum hf_connection_auth verdict =
        authenticate(client, named ? request->arguments[1] : HF_SLICE("default"),
                     request->arguments[request->count - 1]);
    if (verdict != HF_CONNECTION_AUTH_OK)
        return refuse_password(client, verdict);
    hf_resp_client_ok(client);
    return HF_FRONT_DONE;
}

/* ---- names ---- */

/* NULL or empty: none. False: the name is not one. */
static bool set_name(struct hf_resp_client *client, struct hf_slice name)
{
    if (name.size > HF_RESP_FRONT_NAME_SIZE_MAX)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if (name.bytes[i] < '!' || name.bytes[i] > '~')
            return false;
    free(client->name);
    client->name = name.size > 0 ? strndup(name.bytes, name.size) : NULL;
    return true;
}

static enum hf_front_step client_setname(struct hf_resp_client *client)
{
    if (!set_name(client, hf_resp_client_argument(client, 2)))
        return hf_resp_client_refuse(client, HF_RESP_ERROR_BAD_CLIENT_NAME);
    hf_resp_client_ok(client);
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_client(struct hf_resp_client *client)
{
    switch (client->run.subcommand) {
    case HF_RESP_CLIENT_SETNAME:
        return client_setname(client);
    case HF_RESP_CLIENT_GETNAME:
        if (client->name != NULL)
            hf_resp_client_bulk(client, hf_slice_text(client->name));
        else
            hf_resp_client_null(client);
        break;
    case HF_RESP_CLIENT_ID:
        hf_resp_client_integer(client, (int64_t)hf_connection_id(client->connection));
        break;
    default: /* SETINFO: nobody asks for it */
        hf_resp_client_ok(client);
        break;
    }
    return HF_FRONT_DONE;
}

/* ---- HELLO ---- */

static void answer_pair(struct hf_resp_client *client, const char *name, const char *value)
{
    hf_resp_client_bulk(client, hf_slice_text(name));
    hf_resp_client_bulk(client, hf_slice_text(value));
}

static void answer_hello(struct hf_resp_client *client)
{
    enum { PAIRS = 7 };
    hf_resp_client_map(client, PAIRS);
    answer_pair(client, "server", "redis");
    answer_pair(client, "version", HF_RESP_FRONT_VERSION);
    hf_resp_client_bulk(client, HF_SLICE("proto"));
    hf_resp_client_integer(client, client->resp3 ? 3 : 2);
    hf_resp_client_bulk(client, HF_SLICE("id"));
    hf_resp_client_integer(client, (int64_t)hf_connection_id(client->connection));
    answer_pair(client, "mode", "standalone");
    answer_pair(client, "role", "master");
    hf_resp_client_bulk(client, HF_SLICE("modules"));
    hf_resp_client_array(client, 0);
}

enum hf_front_step hf_resp_go_hello(struct hf_resp_client *client)
{
    struct hf_resp_hello_options options;
    enum hf_resp_error error =
        hf_resp_options_hello(hf_resp_client_request(client), &options, &client->wrong);
    if (error != HF_RESP_ERROR_NONE)
        return hf_resp_client_refuse(client, error);
    if (options.has_auth) {
        enum hf_connection_auth verdict = authenticate(client, options.user, options.password);
        if (verdict != HF_CONNECTION_AUTH_OK)
            return refuse_password(client, verdict);
    }
    if (!hf_connection_authenticated(client->connection))
        return hf_resp_client_refuse(client, HF_RESP_ERROR_NO_AUTH_HELLO);
    if (options.has_name && !set_name(client, options.name))
        return hf_resp_client_refuse(client, HF_RESP_ERROR_BAD_CLIENT_NAME);
    if (options.version != 0)
        client->resp3 = options.version == 3;
    answer_hello(client);
    return HF_FRONT_DONE;
}

/* ---- the rest ---- */

/* All databases are the same one: applications only ever use one, and name keys apart. */
enum hf_front_step hf_resp_go_select(struct hf_resp_client *client)
{
    int64_t number;
    if (!hf_number_parse_i64(hf_resp_client_argument(client, 1), &number))
        return hf_resp_client_refuse(client, HF_RESP_ERROR_NOT_INTEGER);
    if (number < 0 || number >= HF_RESP_FRONT_DATABASES)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_DB_INDEX);
    hf_resp_client_ok(client);
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_quit(struct hf_resp_client *client)
{
    hf_resp_client_ok(client);
    return HF_FRONT_CLOSE;
}

enum hf_front_step hf_resp_go_reset(struct hf_resp_client *client)
{
    hf_resp_transaction_reset(client);
    free(client->name);
    client->name = NULL;
    client->resp3 = false;
    hf_connection_deauthenticate(client->connection);
    hf_resp_client_simple(client, HF_SLICE("RESET"));
    return HF_FRONT_DONE;
}
