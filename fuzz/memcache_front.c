/* A client of the memcached front end, with a real store behind. Whatever it sends, in one piece
 * and done at once, or in pieces and with calls that wait, gives the same calls and the same
 * answers, and ends the connection at the same place. Input: a byte that chooses the pieces, then
 * what the client sends. */
#include "agent/memcache/memcache_fake.h"
#include "fuzz.h"

static void run_whole(struct hf_connection *connection, const uint8_t *bytes, size_t size)
{
    hf_memcache_fake_open(connection);
    hf_memcache_fake_feed(connection, hf_slice((const char *)bytes, size));
}

static void run_pieces(struct hf_connection *connection, const uint8_t *bytes, size_t size,
                       uint8_t seed)
{
    struct hf_rng rng;
    size_t at = 0;
    hf_rng_seed(&rng, seed);
    hf_memcache_fake_open(connection);
    connection->waits = true;
    while (at < size && !connection->closed) {
        size_t piece = 1 + hf_rng_below(&rng, seed % 2 == 0 ? 3 : 64);
        piece = piece < size - at ? piece : size - at;
        hf_memcache_fake_feed(connection, hf_slice((const char *)bytes + at, piece));
        at += piece;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hf_connection whole, pieces;
    if (size < 2 || size > 32 * 1024)
        return 0;
    run_whole(&whole, data + 1, size - 1);
    run_pieces(&pieces, data + 1, size - 1, data[0]);
    REQUIRE(whole.closed == pieces.closed && whole.drop == pieces.drop);
    REQUIRE(whole.calls == pieces.calls);
    REQUIRE(whole.out_size == pieces.out_size);
    REQUIRE(memcmp(whole.out, pieces.out, whole.out_size) == 0);
    hf_memcache_fake_close(&whole);
    hf_memcache_fake_close(&pieces);
    return 0;
}
