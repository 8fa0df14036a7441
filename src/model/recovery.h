/* How long a failure kept clients from a server that has, or takes, their session. In three parts:
 *
 *   detection: from the last good sign of the server to the judgement that it is unusable. The last
 *     good sign is the end of its last good check; of an ejection the first of the failures that
 *     led to it. The failure came somewhere in between, so this is the most it can have taken.
 *   propagation: from the judgement to the first request of one of its sessions that was sent to
 *     another server because of it. It holds the time in which nobody asked.
 *   look-up: from that request sent to the head of the answer: what the new server needed, with
 *     fetching the session.
 *
 * What an operator does is no failure and not measured. The last recoveries are kept for people.
 * Threads: any; the list has a mutex, which no request takes but the first that moves. Layer:
 * model. */
#pragma once
#include "model/server.h"

/* A good check ended. */
void hf_recovery_note_good(struct hf_server *server, uint64_t now_ms);
/* The server is judged unusable from now on, since_ms <= now_ms was its last good sign. One that
 * is unusable already has failed before: nothing changes. Before its state changes. */
void hf_recovery_judged(struct hf_server *server, uint64_t since_ms, uint64_t now_ms);
/* The same by active checks: since the last good one, or since its health was last changed. */
void hf_recovery_judged_by_checks(struct hf_server *server, uint64_t now_ms);
/* True for the first who asks after a judgement: its session is the first to move. */
bool hf_recovery_take(struct hf_server *server, uint64_t *ret_judged_ms,
                      uint64_t *ret_detection_ms);

struct hf_recovery {
    char pool[HF_NAME_MAX], server[HF_NAME_MAX]; /* that failed */
    char successor[HF_NAME_MAX];                 /* that answered first */
    uint64_t at_ms;                              /* monotonic: when it answered */
    uint64_t detection_ms, propagation_ms, lookup_us;
    const char *session; /* what became of the first session, as in the access log; static */
};

enum { HF_RECOVERIES_KEPT = 16 };
/* Keeps a copy; the oldest goes. */
void hf_recovery_keep(const struct hf_recovery *recovery);
/* The last ones, newest first; answers how many. */
unsigned hf_recovery_list(struct hf_recovery ret_list[HF_RECOVERIES_KEPT]);
