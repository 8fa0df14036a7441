/* Logging that never blocks a loop: a line goes into the calling thread's ring, one writer thread
 * empties the rings. A full ring drops the line and counts it (holdfast_log_dropped_total).
 * Never: called by pure code (proto, balance, table). Threads: any. Layer: base. */
#pragma once
#include "base/slice.h"

enum hf_log_level { HF_LOG_ERROR, HF_LOG_WARNING, HF_LOG_INFO, HF_LOG_DEBUG };
enum { HF_LOG_LINE_MAX = 4096, HF_LOG_RING_SIZE = 256 * 1024 };

enum hf_log_stream { HF_LOG_DIAGNOSTIC, HF_LOG_ACCESS, HF_LOG_STREAMS };

/* Starts the writer thread. Diagnostics go to stderr. access_path: NULL = off, "-" = stdout.
 * 0 or negative errno (of opening the path; -EBUSY: the writer before is still stuck). Before init
 * and after fini lines are written directly. */
int hf_log_init(enum hf_log_level level, const char *access_path);
/* Changes level and access file while running; also how SIGHUP reopens a rotated file. Never waits
 * for the writer. 0, or negative errno and nothing changed. */
int hf_log_reconfigure(enum hf_log_level level, const char *access_path);
/* Writes out what the rings hold, stops the thread; gives up after 2 s when nobody reads the
 * output. Lines that other threads write meanwhile may be lost. */
void hf_log_fini(void);
/* Gives the calling thread its ring (256 KiB) now rather than at its first line. At most 128
 * threads have one at a time; a ring is left at the end of its thread. */
void hf_log_thread_init(void);

/* "2026-11-24T04:00:00.123Z warning holdfast: text"; control bytes become '?'. */
void hf_log(enum hf_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool hf_log_enabled(enum hf_log_level level);
/* One line without its newline; longer than HF_LOG_LINE_MAX is cut. */
void hf_log_line(enum hf_log_stream stream, struct hf_slice line);
/* Lines lost to full rings since the process began. Any thread. */
uint64_t hf_log_dropped(void);

#define hf_error(...) hf_log(HF_LOG_ERROR, __VA_ARGS__)
#define hf_warning(...) hf_log(HF_LOG_WARNING, __VA_ARGS__)
#define hf_info(...) hf_log(HF_LOG_INFO, __VA_ARGS__)
#define hf_debug(...) (hf_log_enabled(HF_LOG_DEBUG) ? hf_log(HF_LOG_DEBUG, __VA_ARGS__) : (void)0)
