#include "sim/pages.h"

#include "base/assert.h"
#include <sys/mman.h>

void *hf_pages_new(size_t size)
{
    REQUIRE(size > 0);
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    /* Advice: a system without huge pages says no, and nothing is lost but speed. */
    (void)madvise(pages, size, MADV_HUGEPAGE);
    return pages;
}

void hf_pages_free(void *pages, size_t size)
{
    if (pages != NULL)
        REQUIRE(munmap(pages, size) == 0);
}
