/* The name somebody probably meant. Pure. Threads: any. Layer: cmd. */
#pragma once
#include <stddef.h>

enum { HF_NEAREST_WORD_MAX = 160 }; /* longer words have no neighbours */

/* The name with the smallest edit distance (Levenshtein) to the word, the first of equals; NULL
 * when none is within a third of the word's length (at least 1 edit, at most 4). Borrowed. */
const char *hf_nearest(const char *word, const char *const *names, size_t count);
