#include "cmd/table.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *printed(const struct hf_table *table)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    hf_table_print(table, out);
    fclose(out);
    return text;
}

static void test_columns_are_as_wide_as_needed(void **state)
{
    struct hf_table table;
    assert_int_equal(hf_table_init(&table, "POOL >ACTIVE STATE"), 0);
    assert_int_equal(hf_table_add(&table, "%s", "shop"), 0);
    assert_int_equal(hf_table_add(&table, "%d", 12345678), 0);
    assert_int_equal(hf_table_add(&table, "ready"), 0);
    assert_int_equal(hf_table_add(&table, "a-long-pool"), 0);
    assert_int_equal(hf_table_add(&table, "%d", 7), 0);
    assert_int_equal(hf_table_add(&table, "down"), 0);
    char *text = printed(&table);
    assert_string_equal(text, "POOL           ACTIVE  STATE\n"
                              "shop         12345678  ready\n"
                              "a-long-pool         7  down\n");
    free(text);
    hf_table_fini(&table);
}

static void test_long_cells_are_cut_and_many_fit(void **state)
{
    struct hf_table table;
    char cell[2 * HF_TABLE_CELL_MAX];
    memset(cell, 'x', sizeof(cell));
    cell[sizeof(cell) - 1] = '\0';
    assert_int_equal(hf_table_init(&table, "ONE"), 0);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(hf_table_add(&table, "%s", cell), 0);
    char *text = printed(&table);
    assert_int_equal(strlen(text), strlen("ONE\n") + 1000 * HF_TABLE_CELL_MAX);
    free(text);
    hf_table_fini(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_as_wide_as_needed),
        cmocka_unit_test(test_long_cells_are_cut_and_many_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
