#include "fuzz.h"
#include "proto/cookie.h"

/* Input: a name, ":", the value of a Set-Cookie field. What a prefix is put into comes back as it
 * was, whatever stands around it, and nothing but prefixes is ever taken out. */

static const char prefix[] = "app1~";
enum { PREFIX_SIZE = sizeof(prefix) - 1 };

static size_t pair_size(struct hf_slice field)
{
    const char *end = field.size > 0 ? memchr(field.bytes, ';', field.size) : NULL;
    return end != NULL ? (size_t)(end - field.bytes) : field.size;
}

/* What the client sends back of the field: the pair alone. */
static void check_return(struct hf_slice field, struct hf_slice name)
{
    size_t at = hf_cookie_set_prefix_at(field, name), size = pair_size(field);
    REQUIRE(at < size || at == 0);
    if (at == 0)
        return;
    char *pair = malloc(size + PREFIX_SIZE);
    REQUIRE(pair != NULL);
    memcpy(pair, field.bytes, at);
    memcpy(pair + at, prefix, PREFIX_SIZE);
    memcpy(pair + at + PREFIX_SIZE, field.bytes + at, size - at);
    struct hf_slice value, label, rest;
    struct hf_head head = {.base = pair, .field_count = 1};
    head.fields[0] =
        (struct hf_field){.id = HF_FIELD_COOKIE, .value_size = (uint16_t)(size + PREFIX_SIZE)};
    struct hf_cookie_cursor cursor = {0};
    REQUIRE(hf_cookie_next(&head, name, &cursor, &value));
    REQUIRE(hf_cookie_prefix(value, '~', &label, &rest));
    REQUIRE(hf_slice_equal(label, HF_SLICE("app1")));
    REQUIRE(!hf_cookie_next(&head, name, &cursor, &value));
    size_t left = hf_cookie_cut_prefix(pair, size + PREFIX_SIZE, name, '~');
    REQUIRE(hf_slice_equal(hf_slice(pair, left), hf_slice(field.bytes, size)));
    free(pair);
}

/* The same bytes as a Cookie field of a client that sends what it likes. */
static void check_cut(struct hf_slice field, struct hf_slice name)
{
    char *cut = fuzz_copy((const uint8_t *)field.bytes, field.size);
    struct hf_head head = {.base = field.bytes, .field_count = 1};
    head.fields[0] = (struct hf_field){.id = HF_FIELD_COOKIE, .value_size = (uint16_t)field.size};
    struct hf_cookie_cursor cursor = {0};
    struct hf_slice value, label, rest;
    size_t taken = 0;
    while (hf_cookie_next(&head, name, &cursor, &value)) {
        REQUIRE(value.bytes >= field.bytes);
        REQUIRE(value.bytes + value.size <= field.bytes + field.size);
        taken += hf_cookie_prefix(value, '~', &label, &rest) ? label.size + 1 : 0;
    }
    size_t size = hf_cookie_cut_prefix(cut, field.size, name, '~');
    REQUIRE(size == field.size - taken);
    REQUIRE(taken > 0 || size == 0 || memcmp(cut, field.bytes, size) == 0);
    free(cut);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *colon = size > 0 ? memchr(data, ':', size) : NULL;
    if (colon == NULL || colon == data || size > UINT16_MAX - PREFIX_SIZE)
        return 0;
    size_t name_size = (size_t)(colon - data);
    for (size_t i = 0; i < name_size; i++) /* names are tokens: configuration checks that */
        if (memchr("=; \t", data[i], 4) != NULL)
            return 0;
    char *name = fuzz_copy(data, name_size);
    char *field = fuzz_copy(colon + 1, size - name_size - 1);
    check_return(hf_slice(field, size - name_size - 1), hf_slice(name, name_size));
    check_cut(hf_slice(field, size - name_size - 1), hf_slice(name, name_size));
    free(name);
    free(field);
    return 0;
}
