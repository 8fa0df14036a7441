/* Where a session goes when its server cannot have the request, in a pool whose servers have
 * session agents: to the servers in the order in which the agents themselves rank the session
 * (balance/rank.h). The first of them that are alive hold its copies, so the request finds it at
 * hand; on any other the agent fetches it.
 *
 * The rank is taken of the id in the application's cookie (`session` of the pool), which is looked
 * for only when a server failed. Where it is not known, the client's own number ranks as ever: all
 * its requests meet on one server, whose agent fetches the session. A pool without agents pays one
 * comparison. Agents are called as their servers.
 * Threads: the worker's. Layer: affinity. */
#pragma once
#include "affinity/affinity.h"

/* The id of the session that the request belongs to. False: it is not known, or the pool has no
 * agents. The head must be there. */
bool hf_successor_session(const struct hf_pool *pool, const struct hf_affinity_request *request,
                          struct hf_session_id *ret_id);
/* Finds the session that the request belongs to, into choice->session_hash, unless it is there or
 * the pool has no agents. Before hf_affinity_next when an attempt failed; the head must be there.
 */
void hf_successor_note(const struct hf_pool *pool, const struct hf_affinity_request *request,
                       struct hf_affinity_choice *choice);
/* The first of the session's rank that takes clients, has not failed (tried[0..tried_count)) and is
 * no backup server; -1: there is none, or the session is not known. */
int hf_successor_next(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                      const uint16_t *tried, unsigned tried_count, uint64_t now_ms);
/* Replaces choice->server by the successor of a lost owner, if there is one. */
void hf_successor_choose(const struct hf_pool *pool, const struct hf_affinity_request *request,
                         struct hf_affinity_choice *choice);
/* Whether the client's session can be had on pool->servers[served] though choice->owner is another:
 * both have agents, whose promise that is. Of an owner that is no longer configured its agent is
 * taken for granted. Nobody is asked here: see hf_successor_replaced, and proxy/telling.h. */
bool hf_successor_follows(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                          int served);
/* Whether the answer gives the client another session than the one that the request brought: the
 * application did not find that one, or gave it another id, as at a login. False where the id is
 * not known, or nothing is set, or the cookie is ended. */
bool hf_successor_replaced(const struct hf_pool *pool, const struct hf_affinity_choice *choice,
                           const struct hf_head *response);
