/* EVAL, EVALSHA and SCRIPT: the scripts that are known, carried out as the operations they are. */
#include "agent/redis/resp_client.h"

enum { BODY = 1, KEYS_COUNT = 2, FIRST_KEY = 3 };

static uint32_t key_count(const struct hf_resp_client *client)
{
    return client->run.script_keys;
}

static struct hf_slice key_at(const struct hf_resp_client *client, uint32_t index)
{
    return hf_resp_client_argument(client, FIRST_KEY + index);
}

/* ARGV, counted from 0. */
static struct hf_slice argument_at(const struct hf_resp_client *client, uint32_t index)
{
    return hf_resp_client_argument(client, FIRST_KEY + key_count(client) + index);
}

/* ---- remembering ---- */

static struct hf_resp_known *find_known(struct hf_resp_client *client, struct hf_slice hash)
{
    struct hf_resp_shared *shared = hf_resp_client_shared(client);
    for (uint32_t i = 0; i < HF_RESP_FRONT_SCRIPTS_MAX; i++) {
        struct hf_resp_known *known = &shared->known[i];
        if (known->script != HF_RESP_SCRIPT_NONE &&
            hf_slice_equal_nocase(hash, hf_slice(known->hash, sizeof(known->hash))))
            return known;
    }
    return NULL;
}

static enum hf_resp_script script_by_hash(struct hf_resp_client *client, struct hf_slice hash)
{
    enum hf_resp_script script = hf_resp_script_by_hash(hash);
    if (script != HF_RESP_SCRIPT_NONE)
        return script;
    const struct hf_resp_known *known = find_known(client, hash);
    return known != NULL ? (enum hf_resp_script)known->script : HF_RESP_SCRIPT_NONE;
}

/* What the body does, and its hash, which is known from now on. */
static enum hf_resp_script learn(struct hf_resp_client *client, struct hf_slice body,
                                 char hash[static HF_RESP_SCRIPT_HASH_SIZE])
{
    struct hf_resp_shared *shared = hf_resp_client_shared(client);
    enum hf_resp_script script = hf_resp_script_recognise(body);
    if (script == HF_RESP_SCRIPT_NONE)
        return script;
    hf_resp_script_hash(body, hash);
    if (script_by_hash(client, hf_slice(hash, HF_RESP_SCRIPT_HASH_SIZE)) != HF_RESP_SCRIPT_NONE)
        return script;
    struct hf_resp_known *known = &shared->known[shared->known_next];
    shared->known_next = (shared->known_next + 1) % HF_RESP_FRONT_SCRIPTS_MAX;
    memcpy(known->hash, hash, HF_RESP_SCRIPT_HASH_SIZE);
    known->script = (uint8_t)script;
    return script;
}

/* ---- the expiry that an argument gives ---- */

/* As the command of that id would read it. */
static enum hf_resp_error take_expiry(struct hf_resp_client *client, enum hf_resp_command_id id,
                                      const struct hf_slice words[static 2],
                                      struct hf_operation *operation)
{
    struct hf_resp_request request; /* 16 KiB, of which four slices are looked at */
    struct hf_resp_expire_options options;
    request.count = words[1].size > 0 ? 4 : 3;
    request.arguments[0] = hf_resp_command_row(id)->name;
    request.arguments[1] = client->call.key;
    request.arguments[2] = words[0];
    request.arguments[3] = words[1];
    enum hf_resp_error error = hf_resp_options_expire(&request, id, &options, &client->wrong);
    if (error == HF_RESP_ERROR_NONE)
        hf_resp_run_expire(client, &options, operation);
    return error;
}

/* ---- the scripts ---- */

static enum hf_front_step submit(struct hf_resp_client *client, hf_resp_answer_fn answer)
{
    client->run.answer = answer;
    client->run.phase++;
    return hf_resp_run_submit(client);
}

static enum hf_front_step compare_delete(struct hf_resp_client *client)
{
    struct hf_operation *operation = hf_resp_run_call(client, key_at(client, 0));
    operation->kind = HF_OPERATION_DELETE;
    operation->when = HF_OPERATION_IF_EQUAL;
    operation->match = argument_at(client, 0);
    return submit(client, hf_resp_answer_done);
}

static enum hf_front_step compare_expire_then(struct hf_resp_client *client,
                                              enum hf_resp_command_id id, hf_resp_answer_fn answer)
{
    struct hf_operation *operation = hf_resp_run_call(client, key_at(client, 0));
    const struct hf_slice words[2] = {argument_at(client, 1), {0}};
    enum hf_resp_error error = take_expiry(client, id, words, operation);
    if (error != HF_RESP_ERROR_NONE)
        return hf_resp_client_refuse(client, error);
    operation->when = HF_OPERATION_IF_EQUAL;
    operation->match = argument_at(client, 0);
    return submit(client, answer);
}

static enum hf_front_step compare_expire(struct hf_resp_client *client)
{
    return compare_expire_then(client, HF_RESP_COMMAND_EXPIRE, hf_resp_answer_done);
}

static enum hf_front_step compare_pexpire(struct hf_resp_client *client)
{
    return compare_expire_then(client, HF_RESP_COMMAND_PEXPIRE, hf_resp_answer_done);
}

static enum hf_front_step compare_pexpire_or_set(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    if (run->phase == 0)
        return compare_expire_then(client, HF_RESP_COMMAND_PEXPIRE, hf_resp_run_note);
    if (run->status != HF_OPERATION_MISSING) {
        struct hf_operation_result result =
            hf_operation_failed((enum hf_operation_status)run->status);
        hf_resp_answer_done(client, &result);
        return HF_FRONT_DONE;
    }
    struct hf_operation *operation = hf_resp_run_call(client, key_at(client, 0));
    const struct hf_slice words[2] = {argument_at(client, 1), {0}};
    enum hf_resp_error error = take_expiry(client, HF_RESP_COMMAND_PEXPIRE, words, operation);
    if (error != HF_RESP_ERROR_NONE)
        return hf_resp_client_refuse(client, error);
    operation->kind = HF_OPERATION_SET;
    operation->when = HF_OPERATION_IF_NEW;
    operation->value = argument_at(client, 0);
    return submit(client, hf_resp_answer_setnx);
}

/* Redisson's loops: the same for each key; 1 if one of them was changed. */
static enum hf_front_step expire_each(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    bool at = run->script == HF_RESP_SCRIPT_PEXPIREAT_EACH ||
              run->script == HF_RESP_SCRIPT_PEXPIREAT_EACH_IF;
    bool has_condition = run->script == HF_RESP_SCRIPT_PEXPIRE_EACH_IF ||
                         run->script == HF_RESP_SCRIPT_PEXPIREAT_EACH_IF;
    while (!run->answered && run->index < key_count(client)) {
        struct hf_operation *operation = hf_resp_run_call(client, key_at(client, run->index++));
        enum hf_resp_error error = HF_RESP_ERROR_NONE;
        if (run->script == HF_RESP_SCRIPT_PERSIST_EACH) {
            hf_resp_prepare_persist(client, operation);
        } else {
            const struct hf_slice words[2] = {
                argument_at(client, 0), has_condition ? argument_at(client, 1) : hf_slice(NULL, 0)};
            error = take_expiry(client, at ? HF_RESP_COMMAND_PEXPIREAT : HF_RESP_COMMAND_PEXPIRE,
                                words, operation);
        }
        if (error != HF_RESP_ERROR_NONE)
            return hf_resp_client_refuse(client, error);
        run->answer = hf_resp_answer_count;
        if (hf_resp_run_submit(client) == HF_FRONT_WAIT)
            return HF_FRONT_WAIT;
    }
    if (!run->answered)
        hf_resp_client_integer(client, run->total > 0);
    return HF_FRONT_DONE;
}

/* ASP.NET's: three fields, then an expiry. */
static enum hf_front_step hset_expire(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    bool expires = !hf_slice_equal(argument_at(client, 2), HF_SLICE("-1"));
    struct hf_operation *operation = hf_resp_run_call(client, key_at(client, 0));
    if (run->phase == 0) {
        const struct hf_slice fields[] = {HF_SLICE("absexp"), argument_at(client, 0),
                                          HF_SLICE("sldexp"), argument_at(client, 1),
                                          HF_SLICE("data"),   argument_at(client, 3)};
        operation->fields = hf_resp_run_fields(client, sizeof(fields) / sizeof(fields[0]));
        memcpy(client->fields, fields, sizeof(fields));
        operation->kind = HF_OPERATION_HASH_SET;
        operation->field_count = sizeof(fields) / sizeof(fields[0]);
        return submit(client, hf_resp_run_note);
    }
    if (run->status != HF_OPERATION_OK && run->status != HF_OPERATION_DROPPED) {
        hf_resp_client_failure(client, (enum hf_operation_status)run->status);
        return HF_FRONT_DONE;
    }
    if (run->phase == 2 || !expires || run->status == HF_OPERATION_DROPPED) {
        hf_resp_client_integer(client, 1);
        return HF_FRONT_DONE;
    }
    const struct hf_slice words[2] = {argument_at(client, 2), {0}};
    enum hf_resp_error error = take_expiry(client, HF_RESP_COMMAND_EXPIRE, words, operation);
    if (error != HF_RESP_ERROR_NONE)
        return hf_resp_client_refuse(client, error);
    return submit(client, hf_resp_run_note);
}

static const hf_resp_go_fn scripts[HF_RESP_SCRIPTS] = {
    [HF_RESP_SCRIPT_COMPARE_DELETE] = compare_delete,
    [HF_RESP_SCRIPT_COMPARE_PEXPIRE] = compare_pexpire,
    [HF_RESP_SCRIPT_COMPARE_EXPIRE] = compare_expire,
    [HF_RESP_SCRIPT_COMPARE_PEXPIRE_OR_SET] = compare_pexpire_or_set,
    [HF_RESP_SCRIPT_PEXPIRE_EACH] = expire_each,
    [HF_RESP_SCRIPT_PEXPIRE_EACH_IF] = expire_each,
    [HF_RESP_SCRIPT_PEXPIREAT_EACH] = expire_each,
    [HF_RESP_SCRIPT_PEXPIREAT_EACH_IF] = expire_each,
    [HF_RESP_SCRIPT_PERSIST_EACH] = expire_each,
    [HF_RESP_SCRIPT_HSET_EXPIRE] = hset_expire,
};

/* ---- the commands ---- */

/* Which script it is, and whether it got what it needs. */
static enum hf_resp_error find_script(struct hf_resp_client *client)
{
    const struct hf_resp_request *request = hf_resp_client_request(client);
    struct hf_resp_call call = {client->run.command, HF_RESP_SUBCOMMAND_NONE};
    struct hf_resp_keys keys;
    char hash[HF_RESP_SCRIPT_HASH_SIZE];
    bool by_hash = client->run.command->id == HF_RESP_COMMAND_EVALSHA;
    enum hf_resp_error error = hf_resp_command_keys(&call, request, &keys);
    if (error != HF_RESP_ERROR_NONE)
        return error;
    enum hf_resp_script script = by_hash ? script_by_hash(client, request->arguments[BODY])
                                         : learn(client, request->arguments[BODY], hash);
    if (script == HF_RESP_SCRIPT_NONE)
        return by_hash ? HF_RESP_ERROR_NO_SCRIPT : HF_RESP_ERROR_STRANGE_SCRIPT;
    if (!hf_resp_script_fits(script, keys.count, request->count - FIRST_KEY - keys.count))
        return HF_RESP_ERROR_STRANGE_SCRIPT;
    client->run.script = (uint8_t)script;
    client->run.script_keys = keys.count;
    return HF_RESP_ERROR_NONE;
}

enum hf_front_step hf_resp_go_eval(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    if (run->script == HF_RESP_SCRIPT_NONE) {
        enum hf_resp_error error = find_script(client);
        if (error != HF_RESP_ERROR_NONE)
            return hf_resp_client_refuse(client, error);
    }
    enum hf_front_step step = HF_FRONT_DONE;
    while (step == HF_FRONT_DONE && !run->answered)
        step = scripts[run->script](client);
    return step;
}

static enum hf_front_step script_flush(struct hf_resp_client *client)
{
    const struct hf_resp_request *request = hf_resp_client_request(client);
    struct hf_resp_shared *shared = hf_resp_client_shared(client);
    bool known_option =
        request->count == 3 && (hf_slice_equal_nocase(request->arguments[2], HF_SLICE("async")) ||
                                hf_slice_equal_nocase(request->arguments[2], HF_SLICE("sync")));
    if (request->count > 2 && !known_option)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_SCRIPT_FLUSH);
    memset(shared->known, 0, sizeof(shared->known));
    hf_resp_client_ok(client);
    return HF_FRONT_DONE;
}

static enum hf_front_step script_exists(struct hf_resp_client *client)
{
    uint32_t count = hf_resp_client_request(client)->count;
    hf_resp_client_array(client, count - 2);
    for (uint32_t i = 2; i < count; i++)
        hf_resp_client_integer(client, script_by_hash(client, hf_resp_client_argument(client, i)) !=
                                           HF_RESP_SCRIPT_NONE);
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_script(struct hf_resp_client *client)
{
    char hash[HF_RESP_SCRIPT_HASH_SIZE];
    if (client->run.subcommand == HF_RESP_SCRIPT_EXISTS)
        return script_exists(client);
    if (client->run.subcommand == HF_RESP_SCRIPT_FLUSH)
        return script_flush(client);
    if (learn(client, hf_resp_client_argument(client, 2), hash) == HF_RESP_SCRIPT_NONE)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_STRANGE_SCRIPT);
    hf_resp_client_bulk(client, hf_slice(hash, sizeof(hash)));
    return HF_FRONT_DONE;
}
