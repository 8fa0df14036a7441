#include "store/pattern.h"
#include "fuzz.h"
#include <errno.h>

/* Input: patterns, a line each, then a key. A table is made of patterns that are right, or says
 * which one is wrong; the parts of a match are the key; and no pattern that fits is a better one.
 */

enum { OWN_MAX = 8 };

struct input {
    unsigned count;
    struct hf_pattern patterns[OWN_MAX];
    struct hf_slice key;
};

static struct input split(struct hf_slice text)
{
    struct input input = {0};
    const char *line_end;
    while (input.count < OWN_MAX && text.size > 0 &&
           (line_end = memchr(text.bytes, '\n', text.size)) != NULL) {
        size_t size = (size_t)(line_end - text.bytes);
        input.patterns[input.count++].text = hf_slice(text.bytes, size);
        text = hf_slice(line_end + 1, text.size - size - 1);
    }
    input.key = text;
    return input;
}

static bool fits(struct hf_slice pattern, struct hf_slice key, size_t *ret_prefix)
{
    const char *at = memmem(pattern.bytes, pattern.size, "{id}", 4);
    *ret_prefix = (size_t)(at - pattern.bytes);
    size_t suffix = pattern.size - *ret_prefix - 4;
    return key.size > pattern.size - 4 && memcmp(key.bytes, pattern.bytes, *ret_prefix) == 0 &&
           memcmp(key.bytes + key.size - suffix, at + 4, suffix) == 0;
}

static void check_match(const struct hf_pattern_table *table, const struct input *input)
{
    struct hf_pattern_match match;
    hf_pattern_match(table, input->key, &match);
    REQUIRE(match.prefix.size + match.id.size + match.suffix.size == input->key.size);
    REQUIRE(input->key.size == 0 || match.prefix.bytes == input->key.bytes);
    REQUIRE(match.id.bytes == match.prefix.bytes + match.prefix.size);
    REQUIRE(match.suffix.bytes == match.id.bytes + match.id.size);
    REQUIRE(!match.matched || match.id.size > 0);
    size_t literal = match.prefix.size + match.suffix.size;
    REQUIRE(match.matched == (literal > 0));
    for (unsigned i = 0; i < input->count; i++) {
        size_t prefix, size = input->patterns[i].text.size - 4;
        if (fits(input->patterns[i].text, input->key, &prefix))
            REQUIRE(size < literal || (size == literal && prefix <= match.prefix.size));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = fuzz_copy(data, size);
    struct input input = split(hf_slice(bytes, size));
    struct hf_pattern_table *table = NULL;
    unsigned bad = OWN_MAX;
    int error = hf_pattern_table_new(input.patterns, input.count, &table, &bad);
    REQUIRE(error == 0 || error == -EINVAL || error == -EEXIST);
    if (error == 0)
        check_match(table, &input);
    else
        REQUIRE(bad < input.count &&
                (hf_pattern_check(input.patterns[bad].text) != NULL) == (error == -EINVAL));
    hf_pattern_table_free(&table);
    free(bytes);
    return 0;
}
