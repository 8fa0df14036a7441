/* hash mod N over a parameter of the path, and which value of it counts. */
#include "affinity/key_fixture.h"
#include "affinity/path_param/path_param.h"

enum { SERVERS = 5 };

static struct hf_fixture f;

static int setup(void **unused)
{
    hf_fixture_open(&f, SERVERS);
    hf_fixture_add(&f, HF_AFFINITY_PATH_PARAM, "sid");
    hf_fixture_start(&f);
    return 0;
}

static int teardown(void **unused)
{
    hf_fixture_close(&f);
    return 0;
}

static void test_the_value_names_the_server(void **unused)
{
    static const struct {
        const char *target, *value;
    } rows[] = {
        {"/;sid=abc", "abc"},
        {"/shop/cart;sid=abc?x=1", "abc"},
        {"/a;x=1;sid=abc;y=2/b", "abc"},
        {"/a;sid=first/b;sid=second", "first"},
        {"/a;sid=%41.route", "%41.route"}, /* not decoded */
        {"/a;;sid=a=b", "a=b"},
        {"/a;sid;sid=late", "late"},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        hf_key_fixture_check(&f, hf_path_param_key, rows[i].target, rows[i].value);
}

static void test_what_counts_as_none(void **unused)
{
    static const char *const targets[] = {
        "/",      "/;",       "/;sid",     "/;sid=",    "/;sid=/;sid=a", "/;SID=a",   "/;xsid=a",
        "/sid=a", "/;sidx=a", "/?a;sid=a", "/%3Bsid=a", "/;%73id=a",     "/;x=sid=a", "/;si",
    };
    for (unsigned i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
        hf_key_fixture_check_none(&f, targets[i], i % SERVERS);
}

static void test_the_end_of_the_target(void **unused)
{
    hf_key_fixture_check_end(hf_path_param_key, "/a;sid=12345", sizeof("/a;sid=") - 1);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_value_names_the_server),
        TEST(test_what_counts_as_none),
        TEST(test_the_end_of_the_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
