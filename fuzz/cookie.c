#include "proto/cookie.h"
#include "fuzz.h"

/* Input: a name, ":", the value of a Cookie field. What is cut out is gone, and nothing else is. */

static unsigned count_in(struct hf_slice value, struct hf_slice name)
{
    struct hf_head head = {.base = value.bytes, .field_count = 1};
    struct hf_cookie_found found;
    head.fields[0] = (struct hf_field){.id = HF_FIELD_COOKIE, .value_size = (uint16_t)value.size};
    hf_cookie_find(&head, name, &found);
    REQUIRE(found.count == 0 || (found.value.bytes >= value.bytes &&
                                 found.value.bytes + found.value.size <= value.bytes + value.size));
    REQUIRE(found.count > 0 || found.value.size == 0);
    return found.count;
}

/* Whether `part` is left over when bytes are taken out of `whole`. */
static bool is_subsequence(struct hf_slice part, struct hf_slice whole)
{
    size_t at = 0;
    for (size_t i = 0; i < whole.size && at < part.size; i++)
        at += part.bytes[at] == whole.bytes[i];
    return at == part.size;
}

static void check(struct hf_slice name, struct hf_slice value)
{
    char *once = malloc(value.size + 1), *twice = malloc(value.size + 1);
    REQUIRE(once != NULL && twice != NULL);
    struct hf_slice left = hf_slice(once, hf_cookie_remove(value, name, once));
    REQUIRE(left.size <= value.size && is_subsequence(left, value));
    REQUIRE(count_in(left, name) == 0);
    if (count_in(value, name) == 0)
        REQUIRE(hf_slice_equal(left, value));
    REQUIRE(hf_slice_equal(hf_slice(twice, hf_cookie_remove(left, name, twice)), left));
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *colon = size > 0 ? memchr(data, ':', size) : NULL;
    if (colon == NULL || colon == data || size > UINT16_MAX)
        return 0;
    size_t name_size = (size_t)(colon - data);
    for (size_t i = 0; i < name_size; i++) /* names are tokens: configuration checks that */
        if (memchr("=; \t", data[i], 4) != NULL)
            return 0;
    char *name = fuzz_copy(data, name_size);
    char *value = fuzz_copy(colon + 1, size - name_size - 1);
    check(hf_slice(name, name_size), hf_slice(value, size - name_size - 1));
    free(name);
    free(value);
    return 0;
}
