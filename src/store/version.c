#include "store/version.h"

struct rank {       /* compared member by member */
    uint64_t birth; /* of a tombstone: its epoch, so that it stands above all born until then */
    uint64_t tomb;
    uint64_t epoch, sequence;
};

static struct rank rank_of(enum hf_record_state state, struct hf_version version)
{
    if (state == HF_RECORD_NONE)
        return (struct rank){0};
    bool tomb = state == HF_RECORD_TOMB;
    /* One above NONE, whatever the version. */
    uint64_t birth = (uint64_t)(tomb ? version.epoch : version.birth) + 1;
    return (struct rank){birth, tomb, version.epoch, version.sequence};
}

static int order(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int hf_version_compare(enum hf_record_state a_state, struct hf_version a,
                       enum hf_record_state b_state, struct hf_version b)
{
    struct rank x = rank_of(a_state, a), y = rank_of(b_state, b);
    int by_birth = order(x.birth, y.birth);
    if (by_birth != 0)
        return by_birth;
    if (x.tomb != y.tomb)
        return order(x.tomb, y.tomb);
    int by_epoch = order(x.epoch, y.epoch);
    return by_epoch != 0 ? by_epoch : order(x.sequence, y.sequence);
}

uint64_t hf_digest_of(uint64_t id_hash, bool tomb, struct hf_version version)
{
    uint64_t count = (uint64_t)version.epoch << 32 | version.sequence;
    uint64_t birth = (uint64_t)version.birth << 1 | tomb;
    return hf_hash_mix(hf_hash_mix(id_hash, count), birth);
}
