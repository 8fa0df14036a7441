#include "base/clock.h"
#include "base/assert.h"
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

enum { NS_PER_MS = 1000000 };

static const struct hf_clock_source *_Atomic override_source;

static const struct hf_clock_source *overriding(void)
{
    /* acquire: sees the source's fields as they were when it was installed */
    return atomic_load_explicit(&override_source, memory_order_acquire);
}

static struct timespec system_time(clockid_t id)
{
    struct timespec now;
    REQUIRE(clock_gettime(id, &now) == 0);
    return now;
}

uint64_t hf_clock_monotonic_ns(void)
{
    const struct hf_clock_source *source = overriding();
    if (source != NULL)
        return source->monotonic_ns(source->user);
    struct timespec now = system_time(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * HF_MS_PER_S * NS_PER_MS + (uint64_t)now.tv_nsec;
}

uint64_t hf_clock_monotonic_ms(void)
{
    return hf_clock_monotonic_ns() / NS_PER_MS;
}

uint64_t hf_clock_wall_ms(void)
{
    const struct hf_clock_source *source = overriding();
    if (source != NULL)
        return source->wall_ms(source->user);
    struct timespec now = system_time(CLOCK_REALTIME);
    return (uint64_t)now.tv_sec * HF_MS_PER_S + (uint64_t)now.tv_nsec / NS_PER_MS;
}

uint64_t hf_clock_wall_s(void)
{
    return hf_clock_wall_ms() / HF_MS_PER_S;
}

void hf_clock_override(const struct hf_clock_source *source)
{
    REQUIRE(source == NULL || (source->monotonic_ns != NULL && source->wall_ms != NULL));
    /* release: pairs with the acquire in overriding() */
    atomic_store_explicit(&override_source, source, memory_order_release);
}

static void put_digits(char *out, int width, int value)
{
    for (int i = width - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* strftime would use the locale's names of days and months. */
void hf_clock_http_date(uint64_t wall_s, char out[HF_HTTP_DATE_SIZE])
{
    static const char template[] = "Ddd, 00 Mmm 0000 00:00:00 GMT";
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    _Static_assert(sizeof(template) - 1 == HF_HTTP_DATE_SIZE, "IMF-fixdate has a fixed size");
    time_t seconds = (time_t)wall_s;
    struct tm parts;
    REQUIRE(out != NULL);
    REQUIRE(gmtime_r(&seconds, &parts) != NULL);
    memcpy(out, template, HF_HTTP_DATE_SIZE);
    memcpy(out, days + 3 * parts.tm_wday, 3);
    put_digits(out + 5, 2, parts.tm_mday);
    memcpy(out + 8, months + 3 * parts.tm_mon, 3);
    put_digits(out + 12, 4, parts.tm_year + 1900);
    put_digits(out + 17, 2, parts.tm_hour);
    put_digits(out + 20, 2, parts.tm_min);
    put_digits(out + 23, 2, parts.tm_sec);
}
