/* Jump consistent hash (Lamping, Veach, "A fast, minimal memory, consistent hash algorithm", 2014):
 * the key jumps from bucket to bucket, each jump as long as its chance to stay is even; the last
 * one inside the range is its bucket. One more bucket at the end takes its share and moves nobody
 * else. */
#include "balance/table_internal.h"

#include "base/assert.h"

static uint32_t bucket_of(uint64_t hash, uint32_t buckets)
{
    REQUIRE(buckets > 0);
    int64_t bucket = -1, next = 0;
    while (next < (int64_t)buckets) {
        bucket = next;
        hash = hash * 2862933555777941757ull + 1; /* the generator of the paper */
        next = (int64_t)((double)(bucket + 1) * (0x1p31 / (double)((hash >> 33) + 1)));
    }
    return (uint32_t)bucket;
}

unsigned hf_jump_named(const struct hf_balance_table *table, uint64_t hash)
{
    return hf_mod_holder(table, bucket_of(hash, table->places));
}
