/* What the subcommands that stay up share: their signals and their admin server.
 * Threads: the main one. Layer: cmd. */
#pragma once
#include "admin/admin.h"
#include "net/loop.h"

/* SIGHUP, SIGTERM and SIGINT come to `ready` of the event from here on, and SIGPIPE to nobody: they
 * are blocked in every thread started later. 0 or negative errno. */
int hf_service_watch_signals(struct hf_loop *loop, struct hf_event *event, hf_ready_fn ready);
/* The next signal that waits, or 0, also when the event was closed meanwhile. */
int hf_service_next_signal(const struct hf_event *event);
/* "SIGTERM" or "SIGINT". */
const char *hf_service_signal_name(int signal_number);
/* Starts what config->admin_bind asks for, *ret_admin stays NULL when it asks for nothing. False
 * after a message that names the file. */
bool hf_service_start_admin(const char *file, const struct hf_config *config,
                            const struct hf_admin_hooks *hooks, struct hf_admin **ret_admin);
