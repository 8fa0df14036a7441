/* Lines of columns for people: each as wide as its widest cell. Threads: one. Layer: cmd. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

enum { HF_TABLE_COLUMNS_MAX = 16, HF_TABLE_CELL_MAX = 160 };

struct hf_table {
    unsigned columns;
    bool right[HF_TABLE_COLUMNS_MAX]; /* numbers stand to the right */
    char (*cells)[HF_TABLE_CELL_MAX]; /* owned; row by row */
    size_t count, room;
};

/* headings: "POOL SERVER >ACTIVE", one word a column; '>' = to the right. 0 or -ENOMEM. */
int hf_table_init(struct hf_table *table, const char *headings);
void hf_table_fini(struct hf_table *table);
/* The next cell, from left to right and row by row; cut at HF_TABLE_CELL_MAX. 0 or -ENOMEM. */
int hf_table_add(struct hf_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Whole rows; no blanks at the end of a line. */
void hf_table_print(const struct hf_table *table, FILE *out);
