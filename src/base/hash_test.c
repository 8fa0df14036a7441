#include "base/hash.h"
#include "base/test.h"

/* The vectors of the paper's reference implementation: key 00..0f, input 00, 00 01, ... */
static void siphash_answers_the_reference_vectors(void **state)
{
    static const struct {
        size_t size;
        uint64_t hash;
    } vectors[] = {
        {0, 0x726fdb47dd0e0e31u}, {1, 0x74f839c593dc67fdu},  {2, 0x0d6c8009d9a94f5au},
        {3, 0x85676696d7fb7e2du}, {4, 0xcf2794e0277187b7u},  {5, 0x18765564cd99a68du},
        {6, 0xcbc9466e58fee3ceu}, {7, 0xab0200f58b01d137u},  {8, 0x93f5f5799a932462u},
        {9, 0x9e0082df0ba9e4b0u}, {15, 0xa129ca6149be45e5u},
    };
    uint8_t key[16];
    char input[16];
    for (int i = 0; i < 16; i++) {
        key[i] = (uint8_t)i;
        input[i] = (char)i;
    }
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
        assert_true(hf_hash_keyed(hf_slice(input, vectors[i].size), key) == vectors[i].hash);
}

static void hash64_is_the_published_xxh3(void **state)
{
    assert_true(hf_hash64(hf_slice(NULL, 0), 0) == 0x2d06800538d394c2u);
    assert_true(hf_hash64(HF_SLICE("a"), 0) == 0xe6c632b61e964e1fu);
    assert_true(hf_hash64(HF_SLICE("abc"), 0) == 0x78af5f94892f3950u);
    assert_true(hf_hash64(HF_SLICE("abc"), 1) != hf_hash64(HF_SLICE("abc"), 0));
}

/* Half of the output's bits change, on average, when one of the input's does. */
static void mix_spreads_every_bit_of_both_values(void **state)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        unsigned changed_a = 0;
        unsigned changed_b = 0;
        for (uint64_t i = 0; i < 256; i++) {
            uint64_t flip = (uint64_t)1 << bit;
            uint64_t mixed = hf_hash_mix(i, 3 * i);
            changed_a += (unsigned)__builtin_popcountll(mixed ^ hf_hash_mix(i ^ flip, 3 * i));
            changed_b += (unsigned)__builtin_popcountll(mixed ^ hf_hash_mix(i, 3 * i ^ flip));
        }
        assert_in_range(changed_a, 256 * 28, 256 * 36);
        assert_in_range(changed_b, 256 * 28, 256 * 36);
    }
    assert_true(hf_hash_mix(1, 2) != hf_hash_mix(2, 1));
}

static void mix_stays_what_it_was(void **state)
{
    /* placement on the wire depends on it: a change would move every session */
    assert_true(hf_hash_mix(0, 0) == 0x6393d51c06c618dcu);
    assert_true(hf_hash_mix(1, 2) == 0x25abcb5c468f3099u);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(siphash_answers_the_reference_vectors),
        cmocka_unit_test(hash64_is_the_published_xxh3),
        cmocka_unit_test(mix_spreads_every_bit_of_both_values),
        cmocka_unit_test(mix_stays_what_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
