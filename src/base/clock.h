/* Time. The only place that asks the system, so that a simulator can be the clock.
 * Threads: any. Layer: base. */
#pragma once
#include <stdint.h>

enum { HF_MS_PER_S = 1000 };

uint64_t hf_clock_monotonic_ns(void);
uint64_t hf_clock_monotonic_ms(void);
/* Seconds and milliseconds since 1970 UTC; can jump, so only for what leaves the process. */
uint64_t hf_clock_wall_s(void);
uint64_t hf_clock_wall_ms(void);

/* A simulator's or a test's clock for this process; NULL gives the system's back. `now` answers
 * monotonic ns, `wall` ms since 1970. */
struct hf_clock_source {
    uint64_t (*monotonic_ns)(void *user);
    uint64_t (*wall_ms)(void *user);
    void *user;
};
void hf_clock_override(const struct hf_clock_source *source);

enum { HF_HTTP_DATE_SIZE = 29 };
/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 5.6.7), no NUL. */
void hf_clock_http_date(uint64_t wall_s, char out[HF_HTTP_DATE_SIZE]);
