#include "cmd/nearest.h"
#include "base/assert.h"
#include <string.h>

static size_t minimum(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* One row of the matrix at a time; both words are within HF_NEAREST_WORD_MAX. */
static size_t distance(const char *a, size_t a_size, const char *b, size_t b_size)
{
    size_t row[HF_NEAREST_WORD_MAX + 1];
    for (size_t i = 0; i <= b_size; i++)
        row[i] = i;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = minimum(replaced, minimum(row[j - 1], row[j]) + 1);
        }
    }
    return row[b_size];
}

const char *hf_nearest(const char *word, const char *const *names, size_t count)
{
    REQUIRE(word != NULL && (names != NULL || count == 0));
    size_t size = strlen(word);
    if (size == 0 || size > HF_NEAREST_WORD_MAX)
        return NULL;
    size_t best = minimum(size < 4 ? 1 : (size + 2) / 3, 4) + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t name_size = strlen(names[i]);
        if (name_size > HF_NEAREST_WORD_MAX)
            continue;
        size_t edits = distance(word, size, names[i], name_size);
        if (edits < best) {
            best = edits;
            nearest = names[i];
        }
    }
    return nearest;
}
