#include "sim/plot.h"

#include "config/schema.h"
#include <math.h>

enum {
    LEFT = 240, /* labels end here */
    VALUE = 60, /* room for what stands behind a bar */
    ROW = 18,
    GAP = 12,
    AXIS = 34,
};

struct scale {
    double max, step;
};

static double at(const struct scale *scale, double value)
{
    return LEFT + value / scale->max * (HF_PLOT_WIDTH - HF_PLOT_RIGHT - VALUE - LEFT);
}

static struct scale scale_to(double max)
{
    struct scale scale = {.step = hf_plot_step(max)};
    scale.max = ceil(max / scale.step - 1e-9) * scale.step;
    return scale;
}

/* Grid lines behind rows of that height, and their values under them. */
static void draw_grid(const struct hf_plot_sheet *sheet, const struct scale *scale, double height,
                      const char *unit)
{
    for (double value = 0; value <= scale->max * 1.0001; value += scale->step) {
        char text[HF_PLOT_LABEL_MAX];
        double from[2] = {at(scale, value), sheet->y}, to[2] = {from[0], sheet->y + height};
        snprintf(text, sizeof(text), "%g%s", value, unit);
        hf_plot_line(sheet, from, to, "g");
        hf_plot_text(sheet, from[0], to[1] + 15, "text-anchor=\"middle\" class=\"d\"", text);
    }
}

static void draw_label(const struct hf_plot_sheet *sheet, const struct hf_sim_report *report,
                       unsigned result)
{
    char label[HF_PLOT_LABEL_MAX];
    hf_plot_label(report, result, label);
    hf_plot_text(sheet, LEFT - 10, sheet->y + ROW - 5, "text-anchor=\"end\"", label);
}

static unsigned colour_of(const struct hf_sim_report *report, unsigned result)
{
    return result % report->scenario->users.nat_count % HF_PLOT_COLOURS;
}

static void draw_servers(const struct hf_plot_sheet *sheet, const struct scale *scale,
                         const struct hf_sim_result *result, unsigned colour)
{
    fprintf(sheet->out, "<path class=\"c%u\" d=\"", colour);
    for (unsigned i = 0; i < result->load_count; i++)
        fprintf(sheet->out, "M%.1f %.0fv%d", at(scale, (double)result->loads[i]), sheet->y + 4,
                ROW - 8);
    fprintf(sheet->out, "\"/>\n");
}

void hf_plot_loads(struct hf_plot_sheet *sheet, const struct hf_sim_report *report)
{
    double max = 1;
    for (unsigned i = 0; i < report->count; i++)
        max = (double)report->results[i].peak_max > max ? (double)report->results[i].peak_max : max;
    struct scale scale = scale_to(max);
    hf_plot_heading(sheet, "Sessions of each server at the fullest moment before the first event",
                    "one stroke a server; 1 = its fair share by weight; the number is the fullest "
                    "server");
    draw_grid(sheet, &scale, report->count * ROW, "");
    double from[2] = {at(&scale, 1), sheet->y}, to[2] = {from[0], sheet->y + report->count * ROW};
    hf_plot_line(sheet, from, to, "a");
    for (unsigned i = 0; i < report->count; i++) {
        const struct hf_sim_result *result = &report->results[i];
        char text[HF_PLOT_LABEL_MAX];
        draw_label(sheet, report, i);
        draw_servers(sheet, &scale, result, colour_of(report, i));
        snprintf(text, sizeof(text), "%.2f", (double)result->peak_max);
        hf_plot_text(sheet, at(&scale, (double)result->peak_max) + 6, sheet->y + ROW - 5,
                     "text-anchor=\"start\"", text);
        sheet->y += ROW;
    }
    sheet->y += AXIS + GAP;
}

static double moved_percent(const struct hf_sim_event *event)
{
    return event->returned > 0 ? 100.0 * event->moved / event->returned : 0;
}

static void draw_event(struct hf_plot_sheet *sheet, const struct hf_sim_report *report,
                       unsigned event, const struct scale *scale)
{
    const struct hf_sim_event *first = &report->results[0].events[event];
    char title[HF_SIM_EVENT_TEXT_MAX + HF_TYPE_TEXT_MAX + 2], when[HF_TYPE_TEXT_MAX];
    hf_type_format_time(first->at_ms, when);
    snprintf(title, sizeof(title), "%s: %s", when, first->text);
    hf_plot_text(sheet, LEFT, sheet->y + ROW - 5, "class=\"h\"", title);
    sheet->y += ROW;
    for (unsigned i = 0; i < report->count; i++) {
        const struct hf_sim_event *row = &report->results[i].events[event];
        double percent = moved_percent(row);
        char text[HF_PLOT_LABEL_MAX];
        draw_label(sheet, report, i);
        fprintf(sheet->out,
                "<rect class=\"f%u\" x=\"%d\" y=\"%.0f\" width=\"%.1f\" height=\"%d\"/>\n",
                colour_of(report, i), LEFT, sheet->y + 4, at(scale, percent) - LEFT, ROW - 8);
        snprintf(text, sizeof(text), percent < 10 ? "%.2f%%" : "%.1f%%", percent);
        hf_plot_text(sheet, at(scale, percent) + 6, sheet->y + ROW - 5, "text-anchor=\"start\"",
                     text);
        sheet->y += ROW;
    }
    sheet->y += GAP;
}

void hf_plot_moves(struct hf_plot_sheet *sheet, const struct hf_sim_report *report)
{
    unsigned events = report->results[0].event_count;
    double max = 1;
    for (unsigned i = 0; i < report->count; i++) {
        for (unsigned e = 1; e < events; e++) {
            double percent = moved_percent(&report->results[i].events[e]);
            max = percent > max ? percent : max;
        }
    }
    struct scale scale = scale_to(max);
    hf_plot_heading(sheet, "Sessions moved by each event",
                    "of those that sent a request until the next event: the part that another "
                    "server answered");
    draw_grid(sheet, &scale, (events - 1) * (ROW + report->count * ROW + GAP), "%");
    for (unsigned e = 1; e < events; e++)
        draw_event(sheet, report, e, &scale);
    sheet->y += AXIS;
}
