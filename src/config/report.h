/* The mistakes found in one run, and the help in finding the word that was meant.
 * Threads: one a report. Layer: config. */
#pragma once
#include "config/config.h"
#include <stdarg.h>

enum { HF_REPORT_TEXT_MAX = 600 };

/* Adds "what is wrong: what to write instead"; beyond HF_CONFIG_ERRORS_MAX it is only counted. */
void hf_report_add(struct hf_config_report *report, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void hf_report_add_list(struct hf_config_report *report, unsigned line, const char *format,
                        va_list arguments) __attribute__((format(printf, 3, 0)));
/* The same of what does not keep the file from being used. */
void hf_report_warn(struct hf_config_report *report, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* In the order of the file; messages of one line stay in the order they were found. */
void hf_report_sort(struct hf_config_report *report);

enum { HF_NEAREST_SIZE_MAX = 40 /* longer words are not compared */ };
/* The nearest of count words `stride` bytes apart, by edit distance with transpositions (Damerau
 * 1964, in the restricted form), or the first that starts with it, or NULL when none is near enough
 * to have been meant. A NULL word is passed over. */
const char *hf_report_nearest(const char *word, const char *const *words, size_t count,
                              size_t stride);
