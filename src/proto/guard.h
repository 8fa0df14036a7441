/* Input that ends where the address space does: a parser that reads one byte too far dies here.
 * For unit tests. Threads: one. Layer: proto. */
#pragma once
#include "base/slice.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { HF_GUARD_SIZE = 64 * 1024 }; /* a multiple of the page size, as is the fence */

struct hf_guard {
    char *area; /* owned: HF_GUARD_SIZE writable bytes, then as many that may not be touched */
};

static inline struct hf_guard hf_guard_init(void)
{
    char *area =
        mmap(NULL, 2 * HF_GUARD_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || mprotect(area + HF_GUARD_SIZE, HF_GUARD_SIZE, PROT_NONE) != 0)
        abort();
    return (struct hf_guard){area};
}

static inline void hf_guard_fini(struct hf_guard *guard)
{
    munmap(guard->area, 2 * HF_GUARD_SIZE);
    guard->area = NULL;
}

/* A copy of the bytes whose end is the end of the area; valid until the next copy. */
static inline char *hf_guard_copy(struct hf_guard *guard, struct hf_slice bytes)
{
    if (bytes.size > HF_GUARD_SIZE)
        abort();
    char *copy = guard->area + HF_GUARD_SIZE - bytes.size;
    if (bytes.size > 0)
        memcpy(copy, bytes.bytes, bytes.size);
    return copy;
}
