/* A record that two nodes pull to and fro is pinned where it is for a while. */
#include "fabric/internal.h"

bool hf_brake_pinned(const struct hf_fabric *f, uint64_t hash)
{
    const struct hf_brake *brake = &f->brakes[hash % HF_FABRIC_BRAKES];
    return brake->hash == hash && brake->pinned_until_ms > f->now_ms;
}

/* Another record in the same place forgets the one before; then the brake comes later. */
void hf_brake_moved(struct hf_fabric *f, uint64_t hash)
{
    struct hf_brake *brake = &f->brakes[hash % HF_FABRIC_BRAKES];
    f->counts.moves++;
    if (brake->hash != hash || f->now_ms - brake->window_ms > HF_FABRIC_BRAKE_WINDOW_MS) {
        *brake = (struct hf_brake){.hash = hash, .window_ms = f->now_ms, .moves = 1};
        return;
    }
    if (++brake->moves > HF_FABRIC_BRAKE_MOVES)
        brake->pinned_until_ms = f->now_ms + HF_FABRIC_BRAKE_PIN_MS;
}
