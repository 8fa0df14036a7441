#include "config/schema.h"

#include <errno.h>
#include <stdio.h>

struct unit {
    const char *word;
    uint64_t factor;
};

/* Largest first: formatting takes the first that divides. */
static const struct unit times[] = {
    {"d", 86400 * 1000}, {"h", 3600 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};
static const struct unit sizes[] = {
    {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1000 * 1000 * 1000},
    {"MB", 1000000},  {"kB", 1000},     {"B", 1},         {NULL, 0},
};

static int parse(const char *text, const struct unit *units, uint64_t *ret_value)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t value = 0;
    if (!hf_slice_to_u64(hf_slice(text, digits), &value))
        return -EINVAL;
    const char *word = text + digits + strspn(text + digits, " ");
    if (*word == '\0' && value == 0) {
        *ret_value = 0;
        return 0;
    }
    for (; units->word != NULL; units++) {
        if (strcmp(units->word, word) == 0)
            return __builtin_mul_overflow(value, units->factor, ret_value) ? -EINVAL : 0;
    }
    return -EINVAL;
}

static void format(uint64_t value, const struct unit *units, char *out)
{
    while (units->factor > 1 && (value == 0 || value % units->factor != 0))
        units++;
    snprintf(out, HF_TYPE_TEXT_MAX, "%llu%s", (unsigned long long)(value / units->factor),
             value == 0 ? "" : units->word);
}

int hf_type_parse_time(const char *text, uint64_t *ret_ms)
{
    return parse(text, times, ret_ms);
}

int hf_type_parse_size(const char *text, uint64_t *ret_bytes)
{
    return parse(text, sizes, ret_bytes);
}

int hf_type_parse_boolean(const char *text, bool *ret_value)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(text, words[i]) == 0) {
            *ret_value = i % 2 == 1;
            return 0;
        }
    }
    return -EINVAL;
}

void hf_type_format_time(uint64_t ms, char out[HF_TYPE_TEXT_MAX])
{
    format(ms, times, out);
}

void hf_type_format_size(uint64_t bytes, char out[HF_TYPE_TEXT_MAX])
{
    format(bytes, sizes, out);
}
