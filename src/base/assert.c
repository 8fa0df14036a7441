#include "base/assert.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#if defined(HF_TEST_BUILD)
enum { CHECK_ABORTS = 1 };
#else
enum { CHECK_ABORTS = 0 };
#endif

enum { SITE_SLOTS = 64, DIGITS_MAX = 12 };

static struct iovec text_part(const char *text)
{
    return (struct iovec){.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
}

/* printf is not async-signal-safe, and a failed REQUIRE may be inside malloc. */
static const char *line_text(int line, char out[DIGITS_MAX])
{
    char *at = out + DIGITS_MAX - 1;
    *at = '\0';
    unsigned rest = line < 0 ? 0 : (unsigned)line;
    do {
        *--at = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    return at;
}

_Noreturn void hf_assert_failed(const char *file, int line, const char *function,
                                const char *condition)
{
    char digits[DIGITS_MAX];
    struct iovec parts[] = {
        text_part("holdfast: bug: "),
        text_part(file),
        text_part(":"),
        text_part(line_text(line, digits)),
        text_part(" "),
        text_part(function),
        text_part(": failed: "),
        text_part(condition),
        text_part("\n"),
    };
    ssize_t written = writev(STDERR_FILENO, parts, sizeof(parts) / sizeof(parts[0]));
    (void)written; /* nothing is left to be done about it */
    abort();
}

/* Two sites may share a slot; then one of them is silent for a second longer, which is harmless. */
static bool site_may_log(const char *file, int line)
{
    static _Atomic uint64_t next_ms[SITE_SLOTS];
    uint64_t now_ms = hf_clock_monotonic_ms();
    size_t slot = hf_hash_mix((uintptr_t)file, (uint64_t)line) % SITE_SLOTS;
    /* relaxed: the value guards nothing but itself */
    uint64_t next = atomic_load_explicit(&next_ms[slot], memory_order_relaxed);
    if (now_ms < next)
        return false;
    return atomic_compare_exchange_strong_explicit(&next_ms[slot], &next, now_ms + HF_MS_PER_S,
                                                   memory_order_relaxed, memory_order_relaxed);
}

bool hf_check_failed(const char *file, int line, const char *function, const char *condition)
{
    if (CHECK_ABORTS)
        hf_assert_failed(file, line, function, condition);
    if (site_may_log(file, line))
        hf_error("bug: %s:%d %s: failed: %s", file, line, function, condition);
    return false;
}
