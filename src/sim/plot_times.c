#include "sim/plot.h"

#include "base/assert.h"
#include "config/schema.h"
#include <math.h>

enum {
    LEFT = 70,
    CHART = 180, /* high */
    AXIS = 34,
    GAP = 12,
    LEGEND_LINE = 18,
    LEGEND_COLUMN = 390,
    EVENT_LINES = 4, /* of texts of events, one under the other */
};

struct point {
    double x, y;
};

struct chart {
    const char *title, *explanation;
    struct point (*point)(const struct hf_sim_result *result, unsigned sample);
};

struct frame { /* a chart's place on the sheet */
    double top, x_max, y_max;
};

static double at_x(const struct frame *frame, double x)
{
    return LEFT + x / frame->x_max * (HF_PLOT_WIDTH - LEFT - HF_PLOT_RIGHT);
}

static double at_y(const struct frame *frame, double y)
{
    return frame->top + CHART - y / frame->y_max * CHART;
}

static const double headroom = 0.1; /* above the highest line, for the names of events */

/* A round part of an hour, a minute... */
static double time_step(double max_ms)
{
    static const double steps_s[] = {1,   2,    5,    10,   15,   30,    60,    120,   300,
                                     600, 1200, 1800, 3600, 7200, 14400, 43200, 86400, 172800};
    unsigned last = sizeof(steps_s) / sizeof(steps_s[0]) - 1, i = 0;
    while (i < last && max_ms / (steps_s[i] * 1000) > HF_PLOT_TICKS_MAX)
        i++;
    return max_ms / (steps_s[i] * 1000) > 1 ? steps_s[i] * 1000 : hf_plot_step(max_ms);
}

static void draw_x_axis(const struct hf_plot_sheet *sheet, const struct frame *frame)
{
    double step = time_step(frame->x_max);
    for (double x = 0; x <= frame->x_max * 1.0001; x += step) {
        char text[HF_TYPE_TEXT_MAX];
        hf_type_format_time((uint64_t)x, text);
        hf_plot_text(sheet, at_x(frame, x), at_y(frame, 0) + 16,
                     "text-anchor=\"middle\" class=\"d\"", text);
    }
}

static void draw_y_axis(const struct hf_plot_sheet *sheet, const struct frame *frame)
{
    double step = hf_plot_step(frame->y_max);
    for (double y = 0; y <= frame->y_max * 1.0001; y += step) {
        char text[HF_TYPE_TEXT_MAX];
        double from[2] = {LEFT, at_y(frame, y)}, to[2] = {HF_PLOT_WIDTH - HF_PLOT_RIGHT, from[1]};
        snprintf(text, sizeof(text), "%g", y);
        hf_plot_line(sheet, from, to, "g");
        hf_plot_text(sheet, LEFT - 8, from[1] + 4, "text-anchor=\"end\" class=\"d\"", text);
    }
}

static void draw_events(const struct hf_plot_sheet *sheet, const struct hf_sim_result *result,
                        const struct frame *frame)
{
    for (unsigned i = 1; i < result->event_count; i++) {
        double x = at_x(frame, result->events[i].at_ms);
        double from[2] = {x, at_y(frame, 0)}, to[2] = {x, frame->top};
        char text[64];
        snprintf(text, sizeof(text), "%.40s", result->events[i].text);
        hf_plot_line(sheet, from, to, "a");
        hf_plot_text(sheet, x + 4, frame->top + 10 + 12 * ((i - 1) % EVENT_LINES), "class=\"d\"",
                     text);
    }
}

static void draw_series(const struct hf_plot_sheet *sheet, const struct hf_sim_result *result,
                        const struct chart *chart, const struct frame *frame, unsigned colour)
{
    fprintf(sheet->out, "<polyline class=\"c%u\" points=\"", colour);
    for (unsigned i = 0; i < HF_SIM_SAMPLES; i++) {
        struct point point = chart->point(result, i);
        fprintf(sheet->out, "%s%.1f,%.1f", i > 0 ? " " : "", at_x(frame, point.x),
                at_y(frame, point.y));
    }
    fprintf(sheet->out, "\"/>\n");
}

/* Few sessions are spread unevenly by chance: nothing to see before a tenth of the peak is there.
 */
static struct point point_of_max(const struct hf_sim_result *result, unsigned index)
{
    const struct hf_sim_sample *sample = &result->samples[index];
    bool many = sample->sessions >= result->peak / 10 && sample->sessions > 0;
    return (struct point){sample->at_ms, many ? (double)sample->load_max : 1};
}

static struct point point_of_lost(const struct hf_sim_result *result, unsigned index)
{
    const struct hf_sim_sample *sample = &result->samples[index];
    double all = result->peak > 0 ? result->peak : 1;
    return (struct point){sample->at_ms, 100 * (double)sample->lost / all};
}

static const struct chart charts[] = {
    {"The fullest server over time",
     "sessions / fair share by weight, of servers that take clients", point_of_max},
    {"Sessions lost since the start", "in % of the sessions at the fullest moment", point_of_lost},
};

static double highest(const struct hf_sim_report *report, const struct chart *chart)
{
    double max = 0;
    for (unsigned s = 0; s < report->count; s++) {
        for (unsigned i = 0; i < HF_SIM_SAMPLES; i++) {
            struct point point = chart->point(&report->results[s], i);
            max = point.y > max ? point.y : max;
        }
    }
    return max > 0 ? max * (1 + headroom) : 1;
}

static void draw_chart(struct hf_plot_sheet *sheet, const struct hf_sim_report *report,
                       const struct chart *chart)
{
    double max = highest(report, chart), step = hf_plot_step(max);
    hf_plot_heading(sheet, chart->title, chart->explanation);
    struct frame frame = {.top = sheet->y,
                          .x_max = (double)report->scenario->duration_ms,
                          .y_max = ceil(max / step - 1e-9) * step};
    draw_y_axis(sheet, &frame);
    draw_x_axis(sheet, &frame);
    draw_events(sheet, &report->results[0], &frame);
    for (unsigned s = 0; s < report->count; s++)
        draw_series(sheet, &report->results[s], chart, &frame, s);
    sheet->y += CHART + AXIS + GAP;
}

static void draw_legend(struct hf_plot_sheet *sheet, const struct hf_sim_report *report)
{
    unsigned columns = (HF_PLOT_WIDTH - LEFT) / LEGEND_COLUMN;
    for (unsigned i = 0; i < report->count; i++) {
        char label[HF_PLOT_LABEL_MAX];
        double x = LEFT + LEGEND_COLUMN * (int)(i % columns);
        double y = sheet->y + LEGEND_LINE * (int)(i / columns);
        double from[2] = {x, y - 4}, to[2] = {x + 26, y - 4};
        char class[8];
        snprintf(class, sizeof(class), "c%u", i % HF_PLOT_COLOURS);
        hf_plot_label(report, i, label);
        hf_plot_line(sheet, from, to, class);
        hf_plot_text(sheet, x + 34, y, "text-anchor=\"start\"", label);
    }
    sheet->y += LEGEND_LINE * (double)((report->count + columns - 1) / columns);
}

void hf_plot_times(struct hf_plot_sheet *sheet, const struct hf_sim_report *report)
{
    REQUIRE(report->count <= HF_PLOT_LINES_MAX);
    for (unsigned i = 0; i < sizeof(charts) / sizeof(charts[0]); i++)
        draw_chart(sheet, report, &charts[i]);
    draw_legend(sheet, report);
}
