/* One row a mistake: what stands in the file, and exactly what is told, line by line. */
#include "config/config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Line 1 and 2 of most rows: a file that is right without more. */
#define WEB "listeners: [{name: web, bind: \"127.0.0.1:8080\"}]\n"
#define SHOP "pools: [{name: shop, servers: [{name: app1, address: \"127.0.0.1:3001\"}]}]\n"
#define GOOD WEB SHOP
/* A pool whose other keys follow from line 4 on, indented by two. */
#define POOL WEB "pools:\n- name: shop\n"
#define SERVERS "  servers: [{name: app1, address: \"127.0.0.1:3001\"}]\n"
#define AGENTS "  servers: [{name: app1, address: \"127.0.0.1:3001\", agent: \"127.0.0.1:7401\"}]\n"
#define INSERT WEB "pools:\n- name: shop\n" SERVERS "  affinity:\n"

struct row {
    const char *text;
    const char *told; /* "LINE: MESSAGE\n"... */
};

static const struct row rows[] = {
#include "config/mistakes_test.def"
};

static void tell(char *out, size_t size, const struct hf_config_report *report)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < report->count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%u: %s\n", report->messages[i].line,
                                 report->messages[i].text);
}

static void each_mistake_is_told_with_its_line_and_a_way_out(void **state)
{
    (void)state;
    unsigned wrong = 0;
    assert_int_equal(setenv("HF_TEST_HOST", "127.0.0.1", 1), 0);
    assert_int_equal(setenv("HF_TEST_LINES", "a\nb", 1), 0);
    assert_int_equal(unsetenv("HF_TEST_UNSET"), 0);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct hf_config_report report;
        struct hf_config *config = NULL;
        char told[16 * 1024];
        int rc = hf_config_load_text(hf_slice_text(rows[i].text), "/nowhere/holdfast.yaml", false,
                                     &config, &report);
        tell(told, sizeof(told), &report);
        hf_config_report_fini(&report);
        if (rc == -EINVAL && config == NULL && strcmp(told, rows[i].told) == 0)
            continue;
        wrong++;
        print_error("--- row %u\n%s--- told (%d)\n%s--- wanted\n%s", i, rows[i].text, rc, told,
                    rows[i].told);
        hf_config_unref(&config);
    }
    assert_int_equal(wrong, 0);
}

static void append(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

static void the_mistakes_told_have_a_limit(void **state)
{
    (void)state;
    static char text[64 * 1024] = GOOD;
    for (unsigned i = 0; i < HF_CONFIG_ERRORS_MAX + 7; i++)
        append(text, sizeof(text), "unknown%03u: 1\n", i);
    struct hf_config_report report;
    struct hf_config *config = NULL;
    assert_int_equal(hf_config_load_text(hf_slice_text(text), "x", false, &config, &report),
                     -EINVAL);
    assert_int_equal(report.count, HF_CONFIG_ERRORS_MAX);
    assert_int_equal(report.more, 7);
    assert_int_equal(report.messages[0].line, 3);
    assert_int_equal(report.messages[49].line, 52);
    hf_config_report_fini(&report);
    assert_int_equal(report.count, 0);
}

static const char *first_mistake(struct hf_slice text, unsigned *ret_line)
{
    static char first[600];
    struct hf_config_report report;
    struct hf_config *config = NULL;
    int rc = hf_config_load_text(text, "x", false, &config, &report);
    assert_int_equal(rc, -EINVAL);
    assert_null(config);
    snprintf(first, sizeof(first), "%s", report.messages[0].text);
    *ret_line = report.messages[0].line;
    hf_config_report_fini(&report);
    return first;
}

static void bytes_that_are_no_text_are_told_with_their_line(void **state)
{
    (void)state;
    unsigned line = 0;
    static const char latin1[] = GOOD "# caf\xe9\nnode: a\n";
    assert_non_null(strstr(first_mistake(HF_SLICE(latin1), &line), "save the file as UTF-8"));
    assert_int_equal(line, 3);
    static const char nul[] = GOOD "node: a\0b\n";
    assert_non_null(strstr(first_mistake(HF_SLICE(nul), &line), "save the file as UTF-8"));
    assert_int_equal(line, 3);
}

static void depth_size_and_count_have_limits(void **state)
{
    (void)state;
    unsigned line = 0;
    char deep[200] = GOOD "node: ";
    for (unsigned i = 0; i < HF_NAME_MAX; i++)
        append(deep, sizeof(deep), "[");
    assert_string_equal(first_mistake(hf_slice_text(deep), &line),
                        "nested deeper than 12 levels: nothing in a configuration is");
    assert_int_equal(line, 3);

    static char many[600 * 1024];
    size_t used = (size_t)snprintf(many, sizeof(many), "%strusted_proxies: [", GOOD);
    for (unsigned i = 0; i < 250 * 1000; i++) {
        many[used++] = '1';
        many[used++] = ',';
    }
    many[used++] = ']';
    assert_string_equal(first_mistake(hf_slice(many, used), &line),
                        "more than 200000 values: split the file");

    static char lengthy[20 * 1024];
    used = (size_t)snprintf(lengthy, sizeof(lengthy), "%snode: ", GOOD);
    memset(lengthy + used, 'a', 17 * 1024);
    assert_string_equal(first_mistake(hf_slice(lengthy, used + 17 * 1024), &line),
                        "the value is longer than 16384 bytes: shorten it");
    assert_int_equal(line, 3);

    static char documents[200];
    for (unsigned i = 0; i < 9; i++)
        append(documents, sizeof(documents), "---\nnode: a%u\n", i);
    assert_string_equal(first_mistake(hf_slice_text(documents), &line),
                        "more than 8 documents: split the file at '---'");
    assert_int_equal(line, 18);
}

static void a_list_has_no_more_entries_than_the_model_holds(void **state)
{
    (void)state;
    unsigned line = 0;
    static char text[64 * 1024] = GOOD "trusted_proxies: [";
    for (unsigned i = 0; i <= HF_TRUSTED_MAX; i++)
        append(text, sizeof(text), "10.0.0.%u, ", i % 256);
    append(text, sizeof(text), "]\n");
    assert_string_equal(first_mistake(hf_slice_text(text), &line),
                        "'trusted_proxies' has 257 entries: at most 256 are possible");
    assert_int_equal(line, 3);
}

static void all_pools_together_have_a_limit_of_servers(void **state)
{
    (void)state;
    unsigned line = 0;
    static char text[1024 * 1024] = WEB "routes: [{pool: p0}]\npools:\n";
    size_t used = strlen(text);
    for (unsigned p = 0; p < 5; p++) {
        used += (size_t)snprintf(text + used, sizeof(text) - used, "- name: p%u\n  servers:\n", p);
        for (unsigned s = 0; s < 1000; s++)
            used += (size_t)snprintf(text + used, sizeof(text) - used,
                                     "  - {name: s%u, address: \"127.0.0.1:%u\"}\n", s, 1000 + s);
    }
    assert_string_equal(first_mistake(hf_slice_text(text), &line),
                        "5000 servers in all pools: at most 4096 are possible");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_mistake_is_told_with_its_line_and_a_way_out),
        cmocka_unit_test(the_mistakes_told_have_a_limit),
        cmocka_unit_test(bytes_that_are_no_text_are_told_with_their_line),
        cmocka_unit_test(depth_size_and_count_have_limits),
        cmocka_unit_test(a_list_has_no_more_entries_than_the_model_holds),
        cmocka_unit_test(all_pools_together_have_a_limit_of_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
