/* The running proxy: its workers, its health checks, the configuration in force, reload and drain.
 * Never serves a request itself.
 * Threads: the control thread, but for the functions marked otherwise. Layer: proxy. */
#pragma once
#include "model/config.h"
#include "net/loop.h"

struct hf_process;
struct hf_worker;

enum {
    HF_DRAIN_MS = 30 * 1000,     /* exchanges and tunnels get that long to end at SIGTERM */
    HF_PROCESS_ASKING_MAX = 256, /* questions to agents that wait for the control thread */
};

struct hf_process_error { /* what failed, and what to do */
    char text[512];
};

/* All workers ended after a drain; called on the control thread. */
typedef void (*hf_process_ended_fn)(void *user);

/* Listens, starts health checks and workers. 0, or negative errno with a message in *error.
 * `control` is borrowed and must run soon. */
int hf_process_start(struct hf_loop *control, struct hf_config *config, hf_process_ended_fn ended,
                     void *user, struct hf_process **ret_process, struct hf_process_error *error);
/* Puts another configuration in force without touching a connection: new requests go by it, those
 * under way end by the old one. All or nothing: 0, or negative errno with a message, and the old
 * one stays. */
int hf_process_reload(struct hf_process *process, struct hf_config *config,
                      struct hf_process_error *error);
/* Stops accepting and ends when all exchanges have, at the latest after deadline_ms. Calling it
 * again with 0 cuts what is left. */
void hf_process_drain(struct hf_process *process, uint64_t deadline_ms);
/* After `ended`. */
void hf_process_free(struct hf_process **process);

/* Any thread: the configuration in force, referenced for the caller. */
struct hf_config *hf_process_config(struct hf_process *process);

/* Worker threads. */
void hf_process_client_began(struct hf_process *process);
void hf_process_client_ended(struct hf_process *process);
bool hf_process_has_room(struct hf_process *process);
/* Lets the control thread ask (hf_telling_ask). False: too many are being asked, or no memory; it
 * is not asked. Allocates, as few requests do: those that move a session. */
bool hf_process_ask_agent(struct hf_process *process, const struct hf_address *agent,
                          struct hf_slice id, unsigned cause);
void hf_process_worker_ended(struct hf_process *process, struct hf_worker *worker);
