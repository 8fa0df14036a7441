/* Large arrays that are read here and there: zeroed, on huge pages where the system gives them, so
 * that a look costs one miss instead of two. Threads: any. Layer: sim. */
#pragma once
#include <stddef.h>

/* NULL without memory. size > 0. */
void *hf_pages_new(size_t size);
void hf_pages_free(void *pages, size_t size); /* the same size; NULL is fine */
