#include "cmd/table.h"
#include "base/assert.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int hf_table_init(struct hf_table *table, const char *headings)
{
    *table = (struct hf_table){0};
    while (*headings) {
        REQUIRE(table->columns < HF_TABLE_COLUMNS_MAX);
        size_t size = strcspn(headings, " ");
        bool right = headings[0] == '>';
        table->right[table->columns] = right;
        if (hf_table_add(table, "%.*s", (int)size - right, headings + right) != 0)
            return -ENOMEM;
        table->columns++;
        headings += size;
        headings += strspn(headings, " ");
    }
    REQUIRE(table->columns > 0);
    return 0;
}

void hf_table_fini(struct hf_table *table)
{
    free(table->cells);
    *table = (struct hf_table){0};
}

int hf_table_add(struct hf_table *table, const char *format, ...)
{
    if (table->count == table->room) {
        size_t room = table->room ? 2 * table->room : 64;
        void *cells = realloc(table->cells, room * sizeof(table->cells[0]));
        if (!cells)
            return -ENOMEM;
        table->cells = cells;
        table->room = room;
    }
    va_list values;
    va_start(values, format);
    vsnprintf(table->cells[table->count++], HF_TABLE_CELL_MAX, format, values);
    va_end(values);
    return 0;
}

void hf_table_print(const struct hf_table *table, FILE *out)
{
    int widths[HF_TABLE_COLUMNS_MAX] = {0};
    REQUIRE(table->columns > 0 && table->count % table->columns == 0);
    for (size_t i = 0; i < table->count; i++) {
        int size = (int)strlen(table->cells[i]);
        if (size > widths[i % table->columns])
            widths[i % table->columns] = size;
    }
    for (size_t i = 0; i < table->count; i++) {
        unsigned column = (unsigned)(i % table->columns);
        bool last = column + 1 == table->columns;
        int width = table->right[column] ? widths[column] : last ? 0 : -widths[column];
        fprintf(out, "%*s%s", width, table->cells[i], last ? "\n" : "  ");
    }
}
