#include "memcache.h"

/* Input: a byte that chooses the pieces, then what a client of the text and meta protocols sends.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 1 && data[1] != 0x80)
        fuzz_memcache_run(data + 1, size - 1, data[0]);
    return 0;
}
