#include "config/report.h"

#include "base/assert.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cut at HF_REPORT_TEXT_MAX; NULL without memory. */
__attribute__((format(printf, 1, 0))) static char *format_text(const char *format,
                                                               va_list arguments)
{
    char text[HF_REPORT_TEXT_MAX];
    vsnprintf(text, sizeof(text), format, arguments);
    return strdup(text);
}

void hf_report_add_list(struct hf_config_report *report, unsigned line, const char *format,
                        va_list arguments)
{
    REQUIRE(report->count <= HF_CONFIG_ERRORS_MAX);
    if (report->count == HF_CONFIG_ERRORS_MAX) {
        report->more++;
        return;
    }
    char *text = format_text(format, arguments);
    if (text == NULL) {
        report->more++;
        return;
    }
    report->messages[report->count++] = (struct hf_config_message){.line = line, .text = text};
}

void hf_report_add(struct hf_config_report *report, unsigned line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    hf_report_add_list(report, line, format, arguments);
    va_end(arguments);
}

void hf_report_warn(struct hf_config_report *report, unsigned line, const char *format, ...)
{
    REQUIRE(report->warning_count < HF_CONFIG_WARNINGS_MAX);
    va_list arguments;
    va_start(arguments, format);
    char *text = format_text(format, arguments);
    va_end(arguments);
    if (text != NULL)
        report->warnings[report->warning_count++] =
            (struct hf_config_message){.line = line, .text = text};
}

void hf_report_sort(struct hf_config_report *report)
{
    for (unsigned i = 1; i < report->count; i++) {
        struct hf_config_message message = report->messages[i];
        unsigned at = i;
        for (; at > 0 && report->messages[at - 1].line > message.line; at--)
            report->messages[at] = report->messages[at - 1];
        report->messages[at] = message;
    }
}

void hf_config_report_fini(struct hf_config_report *report)
{
    REQUIRE(report->count <= HF_CONFIG_ERRORS_MAX);
    for (unsigned i = 0; i < report->count; i++)
        free(report->messages[i].text);
    for (unsigned i = 0; i < report->warning_count; i++)
        free(report->warnings[i].text);
    *report = (struct hf_config_report){0};
}

static unsigned smaller(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Three rows of the matrix are enough: a transposition looks two back. */
static unsigned edit_distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    unsigned rows[3][HF_NEAREST_SIZE_MAX + 1];
    for (unsigned j = 0; j <= b_size; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= a_size; i++) {
        unsigned *now = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b_size; j++) {
            now[j] = smaller(smaller(last[j], now[j - 1]) + 1,
                             last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = smaller(now[j], before[j - 2] + 1);
        }
    }
    return rows[a_size % 3][b_size];
}

/* "warn" for "warning": what edit distance does not call near. */
static const char *longer_form(const char *word, size_t size, const char *const *words,
                               size_t count, size_t stride)
{
    for (size_t i = 0; size >= 3 && i < count; i++) {
        const char *candidate = *(const char *const *)((const char *)words + i * stride);
        if (candidate != NULL && strncmp(word, candidate, size) == 0)
            return candidate;
    }
    return NULL;
}

const char *hf_report_nearest(const char *word, const char *const *words, size_t count,
                              size_t stride)
{
    REQUIRE(stride >= sizeof(*words));
    size_t size = strlen(word);
    if (size == 0 || size > HF_NEAREST_SIZE_MAX)
        return NULL;
    const char *nearest = NULL;
    unsigned least = size < 4 ? 2 : (unsigned)(size / 3 + 2); /* one beyond what is near */
    for (size_t i = 0; i < count; i++) {
        const char *candidate = *(const char *const *)((const char *)words + i * stride);
        size_t candidate_size = candidate ? strlen(candidate) : 0;
        if (candidate_size == 0 || candidate_size > HF_NEAREST_SIZE_MAX)
            continue;
        unsigned distance = edit_distance(word, size, candidate, candidate_size);
        if (distance < least && distance < candidate_size) {
            least = distance;
            nearest = candidate;
        }
    }
    return nearest ? nearest : longer_form(word, size, words, count, stride);
}
