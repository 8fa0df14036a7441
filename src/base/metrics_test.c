/* What the exporter makes of rows, sources and collectors. */
#include "base/metrics.h"
#include "base/test.h"
#include <stdlib.h>
#include <string.h>

static const struct hf_metric rows[] = {
    {"test_a_total", "kind=\"x\"", "Help of a.", HF_METRIC_COUNTER},
    {"test_a_total", "kind=\"y\"", "Not shown.", HF_METRIC_COUNTER},
    {"test_b", "", "Help of b.", HF_METRIC_GAUGE},
};
static const struct hf_metric others[] = {
    {"test_a_total", "kind=\"z\"", "Not shown either.", HF_METRIC_COUNTER},
};
enum { ROWS = 3 };

static unsigned occurrences(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

static void sums_over_sources_and_remembers_the_gone(void **state)
{
    (void)state;
    _Atomic uint64_t first[ROWS] = {0}, second[ROWS] = {0};
    struct hf_metrics_source a = {.metrics = rows, .count = ROWS, .values = first};
    struct hf_metrics_source b = {.metrics = rows, .count = ROWS, .values = second};
    hf_metrics_register(&a);
    hf_metrics_register(&b);
    hf_count(&first[0]);
    hf_count_add(&second[0], 4);
    assert_int_equal(hf_metrics_value(rows, 0), 5);
    hf_metrics_unregister(&b);
    assert_int_equal(hf_metrics_value(rows, 0), 5);
    hf_count(&first[0]);
    assert_int_equal(hf_metrics_value(rows, 0), 6);
    hf_metrics_unregister(&a);
    assert_int_equal(hf_metrics_value(rows, 0), 6);
}

static void a_name_has_one_head(void **state)
{
    (void)state;
    _Atomic uint64_t values[ROWS] = {0}, other[1] = {0};
    struct hf_metrics_source a = {.metrics = rows, .count = ROWS, .values = values};
    struct hf_metrics_source b = {.metrics = others, .count = 1, .values = other};
    hf_metrics_register(&a);
    hf_metrics_register(&b);
    hf_count_add(&values[2], (uint64_t)-3); /* a gauge may fall below what one thread put in */
    size_t size = 0;
    char *text = hf_metrics_text(&size);
    assert_non_null(text);
    assert_int_equal(size, strlen(text));
    assert_int_equal(occurrences(text, "# TYPE test_a_total counter\n"), 1);
    assert_int_equal(occurrences(text, "# HELP test_a_total Help of a.\n"), 1);
    assert_int_equal(occurrences(text, "test_a_total{kind=\"z\"} 0\n"), 1);
    assert_non_null(strstr(text, "\ntest_b -3\n"));
    free(text);
    hf_metrics_unregister(&a);
    hf_metrics_unregister(&b);
}

static void collect(struct hf_metrics_collector *self, struct hf_metrics_writer *writer)
{
    (void)self;
    static struct hf_histogram histogram;
    hf_histogram_record(&histogram, 300); /* microseconds */
    hf_histogram_record(&histogram, 200 * 1000 * 1000);
    hf_metrics_head(writer, "test_seconds", "Help.", "histogram");
    hf_metrics_histogram(writer, "test_seconds", "pool=\"p\"", &histogram);
}

static void collectors_write_histograms_in_seconds(void **state)
{
    (void)state;
    struct hf_metrics_collector collector = {.collect = collect};
    hf_metrics_register_collector(&collector);
    size_t size = 0;
    char *text = hf_metrics_text(&size);
    hf_metrics_unregister_collector(&collector);
    assert_non_null(text);
    assert_non_null(strstr(text, "test_seconds_bucket{pool=\"p\",le=\"0.0001\"} 0\n"));
    assert_non_null(strstr(text, "test_seconds_bucket{pool=\"p\",le=\"0.0005\"} 1\n"));
    assert_non_null(strstr(text, "test_seconds_bucket{pool=\"p\",le=\"+Inf\"} 2\n"));
    assert_non_null(strstr(text, "test_seconds_count{pool=\"p\"} 2\n"));
    free(text);
}

static void label_values_are_escaped_and_cut(void **state)
{
    (void)state;
    char out[32], small[8];
    hf_metrics_label(out, sizeof(out), "k", "a\"b\\c\nd");
    assert_string_equal(out, "k=\"a\\\"b\\\\c\\nd\"");
    size_t size = hf_metrics_label(small, sizeof(small), "k", "0123456789");
    assert_int_equal(size, strlen(small));
    assert_true(size < sizeof(small));
    assert_int_equal(small[size - 1], '"');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_over_sources_and_remembers_the_gone),
        cmocka_unit_test(a_name_has_one_head),
        cmocka_unit_test(collectors_write_histograms_in_seconds),
        cmocka_unit_test(label_values_are_escaped_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
