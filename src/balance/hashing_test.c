/* mod N and rendezvous: shares, and who moves when servers come and go. */
#include "balance/table.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

enum { CLIENTS = 100000, SERVERS_MAX = 12 };

static struct hf_rng rng;
static struct hf_candidate candidates[SERVERS_MAX];

static int setup(void **unused)
{
    hf_rng_seed(&rng, 1998);
    for (unsigned i = 0; i < SERVERS_MAX; i++)
        candidates[i] = (struct hf_candidate){.id = hf_rng_u64(&rng), .weight = 1, .usable = true};
    return 0;
}

/* Binomial: five standard deviations. */
static void assert_share(unsigned seen, unsigned draws, double share)
{
    double deviation = sqrt(draws * share * (1 - share));
    assert_true(fabs(seen - draws * share) <= 5 * deviation + 1e-9);
}

static void test_mod_is_the_textbook_form(void **unused)
{
    static const struct {
        uint32_t weights[7];
        unsigned count;
        const char *places;
    } rows[] = {
        {{1, 1, 1, 1, 1, 1, 1}, 7, "0123456"}, {{3, 0, 2}, 3, "00022"}, {{2, 2}, 2, "0011"}};
    for (unsigned row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        struct hf_balance_member members[7];
        struct hf_balance_table *table = NULL;
        for (unsigned i = 0; i < rows[row].count; i++)
            members[i] = (struct hf_balance_member){.id = i, .weight = rows[row].weights[i]};
        assert_int_equal(hf_balance_table_new(HF_HASH_MOD, members, rows[row].count, &table), 0);
        size_t places = strlen(rows[row].places);
        for (uint64_t hash = 0; hash < 1000; hash++)
            assert_int_equal(hf_balance_named(table, hash), rows[row].places[hash % places] - '0');
        assert_int_equal(hf_balance_named(table, UINT64_MAX),
                         rows[row].places[UINT64_MAX % places] - '0');
        hf_balance_table_free(&table);
    }
}

static void test_rendezvous_by_weight(void **unused)
{
    const uint32_t weights[] = {1, 2, 4, 1, 8, 0, 16};
    unsigned seen[7] = {0};
    for (unsigned i = 0; i < 7; i++)
        candidates[i].weight = weights[i];
    candidates[6].usable = false;
    for (int i = 0; i < CLIENTS; i++)
        seen[hf_balance_rendezvous(candidates, 7, hf_rng_u64(&rng))]++;
    for (unsigned i = 0; i < 7; i++)
        assert_share(seen[i], CLIENTS, i == 6 ? 0 : weights[i] / 16.0);
}

static void test_rendezvous_depends_on_identity_alone(void **unused)
{
    struct hf_candidate turned[SERVERS_MAX];
    for (unsigned i = 0; i < SERVERS_MAX; i++)
        candidates[i].weight = 1 + hf_rng_below(&rng, 9);
    for (unsigned i = 0; i < SERVERS_MAX; i++) {
        turned[i] = candidates[(i + 5) % SERVERS_MAX];
        turned[i].weight *= 7;
        turned[i].load = i;
    }
    for (int i = 0; i < 10000; i++) {
        uint64_t client = hf_rng_u64(&rng);
        int a = hf_balance_rendezvous(candidates, SERVERS_MAX, client);
        int b = hf_balance_rendezvous(turned, SERVERS_MAX, client);
        assert_true(candidates[a].id == turned[b].id);
    }
}

/* A new server takes its share from all alike, and nobody else moves; one that leaves, vice versa.
 */
static void check_rendezvous_disruption(unsigned count, double share)
{
    unsigned moved = 0;
    for (int i = 0; i < CLIENTS; i++) {
        uint64_t client = hf_rng_u64(&rng);
        int before = hf_balance_rendezvous(candidates, count - 1, client);
        int after = hf_balance_rendezvous(candidates, count, client);
        assert_true(after == before || after == (int)count - 1);
        moved += after != before;
    }
    assert_share(moved, CLIENTS, share);
}

static void test_rendezvous_disruption(void **unused)
{
    check_rendezvous_disruption(10, 0.1);
    for (unsigned i = 0; i < 5; i++)
        candidates[i].weight = i + 1;
    check_rendezvous_disruption(5, 5.0 / 15);
}

static void test_rendezvous_none_usable(void **unused)
{
    candidates[0].usable = false;
    candidates[1].weight = 0;
    assert_int_equal(hf_balance_rendezvous(candidates, 2, 1), -1);
    assert_int_equal(hf_balance_rendezvous(candidates, 0, 1), -1);
    for (uint64_t client = 0; client < 100; client++)
        assert_int_equal(hf_balance_rendezvous(candidates, 3, client), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_mod_is_the_textbook_form, setup),
        cmocka_unit_test_setup(test_rendezvous_by_weight, setup),
        cmocka_unit_test_setup(test_rendezvous_depends_on_identity_alone, setup),
        cmocka_unit_test_setup(test_rendezvous_disruption, setup),
        cmocka_unit_test_setup(test_rendezvous_none_usable, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
