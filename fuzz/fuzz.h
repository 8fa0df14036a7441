/* What the fuzz targets share: input that ends where its allocation does, and the ways a head can
 * arrive. A broken promise is an abort (REQUIRE), which libFuzzer reports with its input. */
#pragma once
#include "base/assert.h"
#include "base/rng.h"
#include "proto/http1.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An allocation of exactly that size, so that the sanitizer sees each byte read too far. */
static inline char *fuzz_copy(const void *bytes, size_t size)
{
    char *copy = malloc(size > 0 ? size : 1);
    REQUIRE(copy != NULL);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

static inline bool fuzz_span_inside(const struct hf_head *head, struct hf_span span)
{
    return span.offset <= head->size && span.size <= head->size - span.offset;
}

/* Everything a finished head points at lies within it, and values are trimmed. */
static inline void fuzz_check_bounds(const struct hf_head *head)
{
    REQUIRE(fuzz_span_inside(head, head->method_text) && fuzz_span_inside(head, head->path));
    REQUIRE(fuzz_span_inside(head, head->authority) && fuzz_span_inside(head, head->reason_phrase));
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct hf_field *field = &head->fields[i];
        REQUIRE(fuzz_span_inside(head, (struct hf_span){field->name, field->name_size}));
        REQUIRE(fuzz_span_inside(head, (struct hf_span){field->value, field->value_size}));
        REQUIRE(field->id == (uint8_t)hf_field_identify(hf_field_name(head, field)));
        struct hf_slice value = hf_field_value(head, field);
        REQUIRE(hf_slice_equal(value, hf_slice_trim(value)) && field->name_size > 0);
        REQUIRE(memchr(value.bytes, '\r', value.size) == NULL);
        REQUIRE(memchr(value.bytes, '\n', value.size) == NULL);
        REQUIRE(memchr(value.bytes, '\0', value.size) == NULL);
    }
}

static inline void fuzz_check_same_head(const struct hf_head *a, const struct hf_head *b)
{
    size_t from = offsetof(struct hf_head, size), until = offsetof(struct hf_head, fields);
    REQUIRE(memcmp((const char *)a + from, (const char *)b + from, until - from) == 0);
    for (unsigned i = 0; i < a->field_count; i++) {
        const struct hf_field *x = &a->fields[i], *y = &b->fields[i];
        REQUIRE(x->name == y->name && x->name_size == y->name_size && x->value == y->value);
        REQUIRE(x->value_size == y->value_size && x->id == y->id && x->drop == y->drop);
    }
}
