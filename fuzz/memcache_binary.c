#include "memcache.h"

/* Input: a byte that chooses the pieces, then what a client of the binary protocol sends behind its
 * first byte, which every request has in common. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *packets = fuzz_copy(data, size);
    packets[0] = (char)0x80;
    fuzz_memcache_run((const uint8_t *)packets, size, data[0]);
    free(packets);
    return 0;
}
