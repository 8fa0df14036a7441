/* Assertions that stay on in release builds.
 * Never: used for input of a peer or an operating error; those have reasons and negative errno.
 * Threads: any. Layer: base. */
#pragma once
#include <stdbool.h>

/* Writes file, line, function and the failed condition to stderr (async-signal-safe) and aborts. */
_Noreturn void hf_assert_failed(const char *file, int line, const char *function,
                                const char *condition);
/* Reports a failed CHECK: aborts where HF_TEST_BUILD is defined, else logs once a site a second.
 * Always returns false. */
bool hf_check_failed(const char *file, int line, const char *function, const char *condition);

/* Our bug, and going on would corrupt more than one connection: abort with a dump. */
#define REQUIRE(condition)                                                                         \
    ((condition) ? (void)0 : hf_assert_failed(__FILE__, __LINE__, __func__, #condition))

/* Our bug, but it can be contained: `if (!CHECK(x)) { close this connection }`. */
#define CHECK(condition)                                                                           \
    (__builtin_expect(!!(condition), 1) ||                                                         \
     hf_check_failed(__FILE__, __LINE__, __func__, #condition))

/* Walks whole structures; only in test and simulator builds. */
#if defined(HF_TEST_BUILD)
#define SLOW_CHECK(condition) REQUIRE(condition)
#else
#define SLOW_CHECK(condition) ((void)0)
#endif

/* A long-lived object starts with `uint32_t magic`; each value is unique in the tree (a tidy test).
 */
#define HF_MAGIC_OK(object, value) ((object) != NULL && (object)->magic == (value))
