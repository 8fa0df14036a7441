/* RENAME and RENAMENX, also from one session to another: the value is copied under the new name,
 * then the old one is deleted, unless somebody wrote to it meanwhile; then it is begun again. So at
 * no moment is there neither. */
#include "agent/redis/resp_client.h"

enum { DUMPING, DUMPED, RESTORED, DELETED };

static bool only_new(const struct hf_resp_client *client)
{
    return client->run.command->id == HF_RESP_COMMAND_RENAMENX;
}

static void keep_blob(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    hf_resp_run_note(client, result);
    client->run.stage.bytes.end = 0;
    if (result->status == HF_OPERATION_OK)
        hf_resp_stage_append(&client->run.stage, result->value);
}

static enum hf_front_step submit(struct hf_resp_client *client, hf_resp_answer_fn answer,
                                 uint8_t next_phase)
{
    client->run.answer = answer;
    client->run.phase = next_phase;
    return hf_resp_run_submit(client);
}

static enum hf_front_step dump(struct hf_resp_client *client)
{
    struct hf_operation *operation = hf_resp_run_call(client, hf_resp_client_argument(client, 1));
    operation->kind = HF_OPERATION_DUMP;
    return submit(client, keep_blob, DUMPED);
}

static enum hf_front_step restore(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    struct hf_slice new_name = hf_resp_client_argument(client, 2);
    if (run->status == HF_OPERATION_MISSING || run->status == HF_OPERATION_DROPPED)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_NO_SUCH_KEY);
    if (run->status != HF_OPERATION_OK) {
        hf_resp_client_failure(client, (enum hf_operation_status)run->status);
        return HF_FRONT_DONE;
    }
    if (run->stage.failed)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_OUT_OF_MEMORY);
    run->total = (int64_t)run->cas;
    struct hf_operation *operation = hf_resp_run_call(client, new_name);
    operation->kind = HF_OPERATION_RESTORE;
    operation->value = hf_bytes_slice(&run->stage.bytes);
    /* in a second try what stands there is of the first */
    operation->when =
        only_new(client) && run->index == 0 ? HF_OPERATION_IF_NEW : HF_OPERATION_ALWAYS;
    return submit(client, hf_resp_run_note, RESTORED);
}

static enum hf_front_step forget(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    if (run->status == HF_OPERATION_EXISTS) {
        hf_resp_client_integer(client, 0);
        return HF_FRONT_DONE;
    }
    if (run->status == HF_OPERATION_MISSING)
        return hf_resp_client_refuse(client, HF_RESP_ERROR_NO_SUCH_KEY);
    if (run->status != HF_OPERATION_OK && run->status != HF_OPERATION_DROPPED) {
        hf_resp_client_failure(client, (enum hf_operation_status)run->status);
        return HF_FRONT_DONE;
    }
    struct hf_operation *operation = hf_resp_run_call(client, hf_resp_client_argument(client, 1));
    operation->kind = HF_OPERATION_DELETE;
    operation->when = HF_OPERATION_IF_CAS;
    operation->cas = (uint64_t)run->total;
    return submit(client, hf_resp_run_note, DELETED);
}

static enum hf_front_step finish(struct hf_resp_client *client)
{
    struct hf_resp_run *run = &client->run;
    if (run->status == HF_OPERATION_MISMATCH) {
        run->phase = DUMPING;
        if (++run->index < HF_RESP_FRONT_RENAMES_MAX)
            return HF_FRONT_DONE;
        return hf_resp_client_refuse(client, HF_RESP_ERROR_TRY_AGAIN);
    }
    bool done = run->status == HF_OPERATION_OK || run->status == HF_OPERATION_MISSING ||
                run->status == HF_OPERATION_DROPPED;
    if (!done)
        hf_resp_client_failure(client, (enum hf_operation_status)run->status);
    else if (only_new(client))
        hf_resp_client_integer(client, 1);
    else
        hf_resp_client_ok(client);
    return HF_FRONT_DONE;
}

/* The same name twice: nothing happens to it, if it is there. */
static void answer_same(struct hf_resp_client *client, const struct hf_operation_result *result)
{
    if (result->status == HF_OPERATION_MISSING)
        hf_resp_client_error(client, HF_RESP_ERROR_NO_SUCH_KEY);
    else if (result->status != HF_OPERATION_OK)
        hf_resp_client_failure(client, (enum hf_operation_status)result->status);
    else if (only_new(client))
        hf_resp_client_integer(client, 0);
    else
        hf_resp_client_ok(client);
}

static enum hf_front_step look(struct hf_resp_client *client)
{
    hf_resp_prepare_look(client, hf_resp_run_call(client, hf_resp_client_argument(client, 1)));
    return submit(client, answer_same, DUMPING);
}

enum hf_front_step hf_resp_go_rename(struct hf_resp_client *client)
{
    static const hf_resp_go_fn phases[] = {
        [DUMPING] = dump, [DUMPED] = restore, [RESTORED] = forget, [DELETED] = finish};
    bool same =
        hf_slice_equal(hf_resp_client_argument(client, 1), hf_resp_client_argument(client, 2));
    enum hf_front_step step = HF_FRONT_DONE;
    while (step == HF_FRONT_DONE && !client->run.answered)
        step = same ? look(client) : phases[client->run.phase](client);
    return step;
}
