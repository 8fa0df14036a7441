/* Parts of the picture that report_plot.c puts together. Each writes at sheet->y and moves it on.
 * Every text comes from names and numbers of the configuration, whose letters need no escaping in
 * XML. Colours are classes of the sheet's style, which knows a light and a dark background.
 * Threads: any, one at a time a sheet. Layer: sim. */
#pragma once
#include "sim/sim.h"
#include <stdio.h>

enum {
    HF_PLOT_WIDTH = 860,
    HF_PLOT_RIGHT = 20,    /* margin */
    HF_PLOT_COLOURS = 8,   /* classes c0 (strokes) and f0 (fills) and so on */
    HF_PLOT_TICKS_MAX = 6, /* on an axis */
    HF_PLOT_LINES_MAX = 8, /* series of a chart of lines: more cannot be told apart */
    HF_PLOT_LABEL_MAX = 128,
};

struct hf_plot_sheet {
    FILE *out; /* borrowed */
    double y;  /* below what is drawn so far */
};

/* 1, 2 or 5 times a power of ten, so that there are at most HF_PLOT_TICKS_MAX up to max > 0. */
double hf_plot_step(double max);
/* attributes: of the element, as text. */
void hf_plot_text(const struct hf_plot_sheet *sheet, double x, double y, const char *attributes,
                  const char *text);
void hf_plot_line(const struct hf_plot_sheet *sheet, const double from[2], const double to[2],
                  const char *class);
/* A heading, and a line of explanation under it. */
void hf_plot_heading(struct hf_plot_sheet *sheet, const char *title, const char *explanation);
/* "maglev", or "maglev, 33% behind 50" where addresses are shared in several ways. */
void hf_plot_label(const struct hf_sim_report *report, unsigned result,
                   char out[HF_PLOT_LABEL_MAX]);

/* A row for each result: a stroke for each server at its load. */
void hf_plot_loads(struct hf_plot_sheet *sheet, const struct hf_sim_report *report);
/* For each event a row for each result: the share of sessions that moved. */
void hf_plot_moves(struct hf_plot_sheet *sheet, const struct hf_sim_report *report);
/* Two charts of lines over time with their legend: highest load, sessions lost. At most
 * HF_PLOT_LINES_MAX results. */
void hf_plot_times(struct hf_plot_sheet *sheet, const struct hf_sim_report *report);
