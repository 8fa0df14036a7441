#include "store/deadline.h"

uint64_t hf_deadline_after(uint64_t now_ms, uint64_t ttl_ms)
{
    if (now_ms >= HF_DEADLINE_MAX || ttl_ms > HF_DEADLINE_MAX - now_ms)
        return HF_DEADLINE_MAX;
    return now_ms + ttl_ms;
}

uint64_t hf_deadline_from_wall(uint64_t wall_ms, uint64_t now_wall_ms, uint64_t now_ms)
{
    return hf_deadline_after(now_ms, wall_ms > now_wall_ms ? wall_ms - now_wall_ms : 0);
}

uint64_t hf_deadline_to_wall(uint64_t deadline_ms, uint64_t now_wall_ms, uint64_t now_ms)
{
    if (deadline_ms == HF_DEADLINE_NEVER)
        return HF_DEADLINE_NEVER;
    if (deadline_ms >= now_ms) {
        uint64_t wall_ms = now_wall_ms + (deadline_ms - now_ms);
        return wall_ms < now_wall_ms || wall_ms > INT64_MAX ? INT64_MAX : wall_ms;
    }
    uint64_t ago_ms = now_ms - deadline_ms;
    return ago_ms < now_wall_ms ? now_wall_ms - ago_ms : 0;
}

bool hf_deadline_moved(uint64_t now_ms, uint64_t told_ms, uint64_t deadline_ms)
{
    if (told_ms == deadline_ms)
        return false;
    if (told_ms == HF_DEADLINE_NEVER || deadline_ms == HF_DEADLINE_NEVER)
        return true;
    uint64_t left = deadline_ms > now_ms ? deadline_ms - now_ms : 0;
    uint64_t slack = left / 100 * HF_DEADLINE_SLACK_PERCENT;
    if (slack < HF_DEADLINE_SLACK_MS)
        slack = HF_DEADLINE_SLACK_MS;
    if (slack > HF_DEADLINE_SLACK_MS_MAX)
        slack = HF_DEADLINE_SLACK_MS_MAX;
    uint64_t moved = told_ms > deadline_ms ? told_ms - deadline_ms : deadline_ms - told_ms;
    return moved > slack;
}
