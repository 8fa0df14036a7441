#include "store/edit.h"

struct assignment {
    const struct hf_store_role *role;
};

static enum hf_store_status edit_assign(struct hf_edit *edit, void *args)
{
    const struct hf_store_role *role = ((const struct assignment *)args)->role;
    bool keeps = role->state == HF_RECORD_OWNER || role->state == HF_RECORD_BACKUP;
    if (role->state == HF_RECORD_BACKUP && edit->count == 0)
        return HF_STORE_MISSING;
    if (!keeps)
        hf_edit_clear(edit, role->state == HF_RECORD_TOMB);
    edit->state = role->state;
    edit->version = role->version;
    edit->owner = role->owner;
    edit->deadline_ms =
        keeps && edit->count > 0 ? HF_DEADLINE_NEVER : hf_deadline_clamp(role->deadline_ms);
    edit->dirty = true;
    return HF_STORE_OK;
}

enum hf_store_status hf_store_assign(struct hf_store *store, struct hf_slice id, uint64_t id_hash,
                                     const struct hf_store_role *role, uint64_t now_ms)
{
    struct hf_store_key key = {.id = id, .id_hash = id_hash};
    struct assignment assignment = {role};
    return hf_edit_run_record(store, &key, now_ms, edit_assign, &assignment);
}
