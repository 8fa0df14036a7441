/* Active checks (TCP connect, HTTP GET) of every server of a snapshot, spread over the interval
 * with jitter. Writes server->health after `rise` or `fall` results in a row. Never blocks, never
 * touches a request. Threads: the control loop's. Layer: upstream. */
#pragma once
#include "model/config.h"
#include "net/loop.h"

struct hf_health_checker;
/* A change of health; from is what it was. reason: "connection refused", "timeout after 500 ms",
 * "status 500, expected 200-399"... borrowed for the call. */
typedef void (*hf_health_changed_fn)(struct hf_server *server, enum hf_health from,
                                     enum hf_health to, const char *reason, void *user);
/* 0 or negative errno. */
int hf_health_checker_new(struct hf_loop *loop, hf_health_changed_fn changed, void *user,
                          struct hf_health_checker **ret_checker);
/* Goes on with a new snapshot (referenced): servers that stay keep their state and their rhythm. */
int hf_health_checker_apply(struct hf_health_checker *checker, struct hf_config *config);
/* Ends all checks; freed at the end of the turn. */
void hf_health_checker_free(struct hf_health_checker **checker);
