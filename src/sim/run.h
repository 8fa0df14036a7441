/* One pool under one population, from the first tick to the last: what its parts share. turns.c is
 * what users do, record.c what happens to servers and what is counted, run.c the order of it all.
 * Threads: one a run. Layer: sim. */
#pragma once
#include "sim/calendar.h"
#include "sim/sampler.h"
#include "sim/sim.h"
#include "sim/visitor.h"

struct hf_flight {    /* a request that a server works on */
    uint32_t next;    /* hf_calendar's, or of the unused ones */
    uint32_t took_ms; /* when it is answered */
    uint16_t member;
};

struct hf_run {
    const struct hf_scenario *scenario;
    struct hf_sim_result *result;
    struct hf_population population;
    struct hf_fleet fleet;
    struct hf_visitor visitor;
    struct hf_calendar users, flights; /* by tick: who sends a request, which one is answered */
    struct hf_flight *flying;          /* owned; [flight_room] */
    uint32_t flight_room, flight_free; /* free: chain of unused ones */
    struct hf_sampler session, think, answer, away;
    struct hf_rng rng;
    uint32_t tick_ms;
    uint32_t now_ms;
    unsigned next_event, sample_count;
    uint64_t moved; /* since the start, each session once an event */
};

/* Fills *ret_result, whose pool and nat are set; result->error says what went wrong. */
void hf_run_pool(const struct hf_scenario *scenario, struct hf_sim_result *result);

static inline uint32_t hf_run_tick(const struct hf_run *run, uint64_t at_ms)
{
    uint64_t tick = at_ms / run->tick_ms;
    return tick < UINT32_MAX ? (uint32_t)tick : UINT32_MAX;
}

/* All users' first requests into the calendar, spread over the time of arrival. */
void hf_turns_arrive(struct hf_run *run);
/* Answers that fall due, then users whose turn it is. Without memory it sets result->error. */
void hf_turns_take(struct hf_run *run, uint32_t tick);

/* What the scenario has happen up to now: everything of one time is one row. */
void hf_record_events(struct hf_run *run);
/* The load now, as one more sample. */
void hf_record_sample(struct hf_run *run);
/* After the last tick. */
void hf_record_sums(struct hf_run *run);
