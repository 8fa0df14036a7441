/* Records that ended on time or because nothing was in them, for as long as a copy may still lie
 * where none is to be: of a stand-in, or of an owner long ago. Such a copy has not been told, and
 * must not bring the record back; nor must a pointer to it be taken for news. A place for each
 * hash, the latest end in it: what is not remembered any more costs no promise but this one. */
#include "fabric/internal.h"

static struct hf_ended *place(struct hf_fabric *f, uint64_t hash)
{
    return &f->ended[hash % HF_FABRIC_ENDED];
}

void hf_ended_note(struct hf_fabric *f, uint64_t hash, struct hf_version version)
{
    *place(f, hash) = (struct hf_ended){hash, f->now_ms + HF_FABRIC_ENDED_MS, version};
}

void hf_ended_forget(struct hf_fabric *f, uint64_t hash)
{
    if (place(f, hash)->hash == hash)
        *place(f, hash) = (struct hf_ended){0};
}

bool hf_ended_covers(struct hf_fabric *f, uint64_t hash, const struct hf_wire_message *m)
{
    const struct hf_ended *one = place(f, hash);
    bool copy = m->state == HF_RECORD_BACKUP || m->state == HF_RECORD_POINTER;
    return copy && one->hash == hash && one->until_ms > f->now_ms &&
           hf_version_compare(HF_RECORD_BACKUP, m->version, HF_RECORD_BACKUP, one->version) <= 0;
}
