#include "sim/run.h"

#include "base/assert.h"
#include <errno.h>
#include <stdlib.h>

enum { FLIGHTS_FIRST = 4096 };

/* Later than now, so that a tick never feeds itself. */
static void schedule(struct hf_run *run, uint32_t user, uint64_t at_ms)
{
    uint32_t tick = hf_run_tick(run, at_ms), now = hf_run_tick(run, run->now_ms);
    hf_calendar_add(&run->users, tick > now ? tick : now + 1, user,
                    &run->population.users[user].next);
}

/* --- requests that servers work on: what least_connections and p2c look at --- */

static int more_flights(struct hf_run *run)
{
    uint32_t room = run->flight_room > 0 ? run->flight_room * 2 : FLIGHTS_FIRST;
    struct hf_flight *flying = reallocarray(run->flying, room, sizeof(*flying));
    if (flying == NULL)
        return -ENOMEM;
    run->flying = flying;
    for (uint32_t i = run->flight_room; i < room; i++)
        flying[i].next = i + 1 < room ? i + 1 : HF_CALENDAR_NONE;
    run->flight_free = run->flight_room;
    run->flight_room = room;
    return 0;
}

static void take_off(struct hf_run *run, unsigned member)
{
    if (run->flight_free == HF_CALENDAR_NONE && more_flights(run) != 0) {
        run->result->error = -ENOMEM;
        return;
    }
    uint32_t took_ms = hf_sampler_draw(&run->answer, &run->rng);
    uint32_t now = hf_run_tick(run, run->now_ms);
    uint32_t lands = hf_run_tick(run, (uint64_t)run->now_ms + took_ms);
    uint32_t number = run->flight_free;
    struct hf_flight *flight = &run->flying[number];
    run->flight_free = flight->next;
    flight->member = (uint16_t)member;
    flight->took_ms = took_ms;
    atomic_fetch_add_explicit(&run->fleet.members[member].server->active, 1, memory_order_relaxed);
    hf_calendar_add(&run->flights, lands > now ? lands : now + 1, number, &flight->next);
}

static void land_all(struct hf_run *run, uint32_t tick)
{
    uint64_t now_us = hf_fleet_monotonic_ms(run->now_ms) * 1000;
    bool noted = hf_balance_needs_cost(run->result->pool->balance);
    uint32_t number = hf_calendar_take(&run->flights, tick);
    while (number != HF_CALENDAR_NONE) {
        struct hf_flight *flight = &run->flying[number];
        struct hf_server *server = run->fleet.members[flight->member].server;
        uint32_t next = flight->next;
        atomic_fetch_sub_explicit(&server->active, 1, memory_order_relaxed);
        if (noted)
            hf_server_note_latency(server, (uint64_t)flight->took_ms * 1000, now_us);
        flight->next = run->flight_free;
        run->flight_free = number;
        number = next;
    }
}

/* --- sessions --- */

static struct hf_sim_event *event_row(struct hf_run *run)
{
    return &run->result->events[run->result->event_count - 1];
}

static bool has_memory(const struct hf_run *run, const struct hf_user *user)
{
    return user->home != HF_USER_NOWHERE && run->fleet.members[user->home].life == user->life;
}

static void leave_home(struct hf_run *run, struct hf_user *user)
{
    if (has_memory(run, user)) {
        REQUIRE(run->fleet.members[user->home].sessions > 0);
        run->fleet.members[user->home].sessions--;
    }
    user->home = HF_USER_NOWHERE;
}

static void come_home(struct hf_run *run, struct hf_user *user, unsigned member)
{
    user->home = (uint16_t)member;
    user->life = run->fleet.members[member].life;
    run->fleet.members[member].sessions++;
}

/* The session is where the request was answered, or begins there, or is lost to it. */
static void account(struct hf_run *run, struct hf_user *user, unsigned member)
{
    struct hf_sim_event *row = event_row(run);
    if (user->home == HF_USER_NOWHERE) {
        run->result->sessions++;
        come_home(run, user, member);
        return;
    }
    bool alive = has_memory(run, user);
    if (user->home != member &&
        (user->marks & (HF_USER_WITNESS | HF_USER_MOVED)) == HF_USER_WITNESS) {
        user->marks |= HF_USER_MOVED;
        row->moved++;
        run->moved++;
    }
    if (user->home == member && alive)
        return;
    const struct hf_fleet_member *old = &run->fleet.members[user->home];
    bool serves = old->present && hf_server_serves(old->server, hf_fleet_monotonic_ms(run->now_ms));
    row->lost++;
    row->needless += alive && serves;
    leave_home(run, user);
    come_home(run, user, member);
}

/* The first request after an event: did the user have a session when it happened? */
static void notice_event(struct hf_run *run, struct hf_user *user)
{
    uint8_t now = (uint8_t)(run->result->event_count - 1);
    if (user->event == now)
        return;
    user->event = now;
    user->marks &= (uint8_t) ~(HF_USER_MOVED | HF_USER_WITNESS);
    if (user->home == HF_USER_NOWHERE || run->fleet.members[user->home].life_before != user->life)
        return;
    user->marks |= HF_USER_WITNESS;
    event_row(run)->returned++;
}

static void begin_session(struct hf_run *run, struct hf_user *user)
{
    uint64_t end_ms = (uint64_t)run->now_ms + hf_sampler_draw(&run->session, &run->rng);
    user->session_end_ms = end_ms < UINT32_MAX ? (uint32_t)end_ms : UINT32_MAX;
    user->marks &= (uint8_t) ~(HF_USER_MOVED | HF_USER_WITNESS);
    if (run->result->event_count > 1)
        return;
    user->marks |= HF_USER_WITNESS; /* what happens without any event is the start's */
    event_row(run)->sessions++;
    event_row(run)->returned++;
}

static void end_session(struct hf_run *run, uint32_t number)
{
    struct hf_user *user = &run->population.users[number];
    leave_home(run, user);
    user->session_end_ms = 0;
    if (run->scenario->users.away.mean_ms > 0)
        schedule(run, number, (uint64_t)run->now_ms + hf_sampler_draw(&run->away, &run->rng));
}

static void request(struct hf_run *run, uint32_t number)
{
    struct hf_user *user = &run->population.users[number];
    struct hf_sim_event *row = event_row(run);
    notice_event(run, user);
    struct hf_visit visit = hf_visitor_request(&run->visitor, number, run->now_ms);
    run->result->requests++;
    if (visit.end != HF_VISIT_ANSWERED) {
        row->refused++;
        return;
    }
    row->stood_in += visit.stood_in;
    run->fleet.members[visit.member].requests++;
    account(run, user, visit.member);
    take_off(run, visit.member);
}

/* A user's turn: a request, or the end of its session. */
static void turn(struct hf_run *run, uint32_t number)
{
    struct hf_user *user = &run->population.users[number];
    if (user->session_end_ms == 0) {
        begin_session(run, user);
    } else if (run->now_ms >= user->session_end_ms) {
        end_session(run, number);
        return;
    }
    request(run, number);
    uint64_t next_ms = (uint64_t)run->now_ms + hf_sampler_draw(&run->think, &run->rng);
    schedule(run, number, next_ms < user->session_end_ms ? next_ms : user->session_end_ms);
}

void hf_turns_take(struct hf_run *run, uint32_t tick)
{
    land_all(run, tick);
    uint32_t number = hf_calendar_take(&run->users, tick);
    while (number != HF_CALENDAR_NONE) {
        uint32_t next = run->population.users[number].next;
        if (next != HF_CALENDAR_NONE)
            __builtin_prefetch(&run->population.users[next], 1);
        turn(run, number);
        number = next;
    }
}

/* Each in a slot of its own, in the order of the users, so that the first requests walk through
 * memory; whatever else tells users apart is hashed from their number. */
void hf_turns_arrive(struct hf_run *run)
{
    double slot_ms = (double)run->scenario->users.arrive_ms / run->population.count;
    for (uint32_t i = 0; i < run->population.count; i++) {
        double at_ms = (i + hf_sampler_unit(&run->rng)) * slot_ms;
        hf_calendar_add(&run->users, hf_run_tick(run, (uint64_t)at_ms), i,
                        &run->population.users[i].next);
    }
}
