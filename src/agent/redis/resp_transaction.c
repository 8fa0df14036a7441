/* MULTI, EXEC, DISCARD, WATCH, UNWATCH. Requests are queued as they came; EXEC runs one after the
 * other. While a session is elsewhere, requests of others may come between two of them: WATCH
 * tells.
 */
#include "agent/redis/resp_client.h"
#include "base/assert.h"
#include <stdlib.h>

enum { WATCHES_MIN = 4 };

/* ---- the queue ---- */

static bool enqueue(struct hf_resp_transaction *transaction, struct hf_slice source)
{
    size_t have = hf_bytes_size(&transaction->queue), most = HF_RESP_FRONT_TRANSACTION_SIZE_MAX;
    if (source.size > most - have || transaction->count == HF_RESP_FRONT_TRANSACTION_COUNT_MAX)
        return false;
    return hf_bytes_append(NULL, &transaction->queue, source);
}

void hf_resp_transaction_queue(struct hf_resp_client *client)
{
    struct hf_resp_transaction *transaction = &client->transaction;
    if (!enqueue(transaction, client->run.source)) {
        transaction->failed = true;
        hf_resp_client_error(client, HF_RESP_ERROR_OUT_OF_MEMORY);
        return;
    }
    transaction->count++;
    hf_resp_client_simple(client, HF_SLICE("QUEUED"));
}

bool hf_resp_transaction_next(struct hf_resp_client *client, struct hf_slice *ret_source)
{
    struct hf_resp_transaction *transaction = &client->transaction;
    if (hf_bytes_size(&transaction->queue) == 0) {
        hf_resp_transaction_reset(client);
        return false;
    }
    *ret_source = hf_bytes_slice(&transaction->queue);
    return true;
}

/* ---- watches ---- */

static void forget_watches(struct hf_resp_transaction *transaction)
{
    for (uint32_t i = 0; i < transaction->watch_count; i++)
        free(transaction->watches[i].key);
    free(transaction->watches);
    transaction->watches = NULL;
    transaction->watch_count = transaction->watch_room = 0;
}

void hf_resp_transaction_reset(struct hf_resp_client *client)
{
    forget_watches(&client->transaction);
    hf_bytes_clear(NULL, &client->transaction.queue);
    client->transaction = (struct hf_resp_transaction){0};
}

static bool watches_reserve(struct hf_resp_transaction *transaction)
{
    if (transaction->watch_count < transaction->watch_room)
        return true;
    uint32_t room = transaction->watch_room > 0 ? transaction->watch_room * 2 : WATCHES_MIN;
    if (room > HF_RESP_FRONT_WATCHES_MAX)
        return false;
    struct hf_resp_watch *watches =
        (struct hf_resp_watch *)realloc(transaction->watches, room * sizeof(*watches));
    if (watches == NULL)
        return false;
    transaction->watches = watches;
    transaction->watch_room = room;
    return true;
}

static bool add_watch(struct hf_resp_transaction *transaction, struct hf_slice key, uint64_t cas)
{
    if (!watches_reserve(transaction))
        return false;
    char *copy = (char *)malloc(key.size + 1);
    if (copy == NULL)
        return false;
    memcpy(copy, key.bytes, key.size);
    transaction->watches[transaction->watch_count++] =
        (struct hf_resp_watch){.key = copy, .key_size = key.size, .cas = cas};
    return true;
}

/* Asks what the key is now; run.status and run.cas tell. */
static enum hf_front_step look(struct hf_resp_client *client, struct hf_slice key)
{
    struct hf_operation *operation = hf_resp_run_call(client, key);
    operation->flags |= HF_OPERATION_STARTS | HF_OPERATION_NO_VALUE;
    client->run.answer = hf_resp_run_note;
    client->run.phase = 1;
    return hf_resp_run_submit(client);
}

/* Whether the last look told anything; else the failure is answered. */
static bool looked(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    run->phase = 0;
    if (run->status == HF_OPERATION_OK)
        return true;
    run->cas = 0;
    if (run->status == HF_OPERATION_MISSING)
        return true;
    hf_resp_client_failure(client, (enum hf_operation_status)run->status);
    return false;
}

enum hf_front_step hf_resp_go_watch(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    if (client->transaction.open)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_WATCH_IN_MULTI);
    uint32_t count = hf_resp_client_request(client)->count - 1;
    while (run->index < count) {
        struct hf_slice key = hf_resp_client_argument(client, run->index + 1);
        if (run->phase == 0 && look(client, key) == HF_FRONT_WAIT)
            return HF_FRONT_WAIT;
        if (!looked(client))
            return HF_FRONT_DONE;
        if (!add_watch(&client->transaction, key, run->cas))
            return hf_resp_client_refuse(client, HF_RESP_ERROR_OUT_OF_MEMORY);
        run->index++;
    }
    hf_resp_client_ok(client);
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_unwatch(struct hf_resp_client *client)
{
    forget_watches(&client->transaction);
    hf_resp_client_ok(client);
    return HF_FRONT_DONE;
}

/* ---- the transaction ---- */

enum hf_front_step hf_resp_go_multi(struct hf_resp_client *client)
{
    if (client->transaction.open)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_NESTED_MULTI);
    client->transaction.open = true;
    hf_resp_client_ok(client);
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_discard(struct hf_resp_client *client)
{
    if (!client->transaction.open)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_DISCARD_WITHOUT_MULTI);
    hf_resp_transaction_reset(client);
    hf_resp_client_ok(client);
    return HF_FRONT_DONE;
}

/* Whether every watched key is what it was. DONE without an answer: yes. */
static enum hf_front_step compare_watches(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    while (run->index < client->transaction.watch_count) {
        const struct hf_resp_watch *watch = &client->transaction.watches[run->index];
        if (run->phase == 0 && look(client, hf_slice(watch->key, watch->key_size)) == HF_FRONT_WAIT)
            return HF_FRONT_WAIT;
        if (!looked(client))
            return HF_FRONT_DONE;
        if (run->cas != watch->cas) {
            struct hf_resp_out out = hf_resp_client_out(client, HF_RESP_CLIENT_HEAD_ROOM);
            hf_resp_write_null_array(&out);
            hf_resp_client_wrote(client, &out);
            return HF_FRONT_DONE;
        }
        run->index++;
    }
    return HF_FRONT_DONE;
}

enum hf_front_step hf_resp_go_exec(struct hf_resp_client *client)
{
    struct hf_resp_transaction *transaction = &client->transaction;
    if (!transaction->open)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_EXEC_WITHOUT_MULTI);
    if (transaction->failed)
        hf_resp_client_error(client, HF_RESP_ERROR_EXEC_ABORT);
    else if (compare_watches(client) == HF_FRONT_WAIT)
        return HF_FRONT_WAIT;
    if (client->run.answered) {
        hf_resp_transaction_reset(client);
        return HF_FRONT_DONE;
    }
    forget_watches(transaction);
    transaction->open = false;
    transaction->running = true;
    hf_resp_client_array(client, transaction->count);
    return HF_FRONT_DONE;
}
