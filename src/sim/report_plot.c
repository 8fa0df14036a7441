/* The report as a sheet of charts, one under the other. */
#include "sim/report.h"

#include "base/assert.h"
#include "sim/plot.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { MARGIN = 16, HEADING = 40 };

/* Colours told apart by people who see few: after Okabe, Ito, "Color universal design", 2008; the
 * dark ones are lighter. The sheet brings its own background, so it can be read on any page. */
static const char style[] =
    "<style>\n"
    ".b{fill:#ffffff} text{fill:#1f2328} .d{fill:#59636e;font-size:11px} .h{font-weight:bold}\n"
    ".g{stroke:#e0e4e8} .a{stroke:#818b98;stroke-dasharray:3 3}\n"
    "path,polyline,.l{fill:none;stroke-width:1.6}\n"
    ".c0{stroke:#0072b2} .c1{stroke:#d55e00} .c2{stroke:#008a63} .c3{stroke:#b5528a}\n"
    ".c4{stroke:#a87a00} .c5{stroke:#2b9bd8} .c6{stroke:#333333} .c7{stroke:#8a8a8a}\n"
    ".f0{fill:#0072b2} .f1{fill:#d55e00} .f2{fill:#008a63} .f3{fill:#b5528a}\n"
    ".f4{fill:#a87a00} .f5{fill:#2b9bd8} .f6{fill:#333333} .f7{fill:#8a8a8a}\n"
    "@media (prefers-color-scheme: dark){\n"
    ".b{fill:#0d1117} text{fill:#e6edf3} .d{fill:#9198a1} .g{stroke:#2a313c} .a{stroke:#768390}\n"
    ".c0{stroke:#58b2f0} .c1{stroke:#ff8a3d} .c2{stroke:#2fd1a0} .c3{stroke:#e79cc4}\n"
    ".c4{stroke:#f0c040} .c5{stroke:#9bd8ff} .c6{stroke:#f0f0f0} .c7{stroke:#a0a0a0}\n"
    ".f0{fill:#58b2f0} .f1{fill:#ff8a3d} .f2{fill:#2fd1a0} .f3{fill:#e79cc4}\n"
    ".f4{fill:#f0c040} .f5{fill:#9bd8ff} .f6{fill:#f0f0f0} .f7{fill:#a0a0a0}\n"
    "}\n</style>\n";

double hf_plot_step(double max)
{
    double power = pow(10, floor(log10(max / HF_PLOT_TICKS_MAX)));
    static const double steps[] = {1, 2, 5, 10};
    for (unsigned i = 0; i < 4; i++) {
        if (max / (steps[i] * power) <= HF_PLOT_TICKS_MAX + 1e-9)
            return steps[i] * power;
    }
    return 10 * power;
}

void hf_plot_text(const struct hf_plot_sheet *sheet, double x, double y, const char *attributes,
                  const char *text)
{
    fprintf(sheet->out, "<text x=\"%.1f\" y=\"%.1f\" %s>%s</text>\n", x, y, attributes, text);
}

void hf_plot_line(const struct hf_plot_sheet *sheet, const double from[2], const double to[2],
                  const char *class)
{
    fprintf(sheet->out, "<line class=\"l %s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
            class, from[0], from[1], to[0], to[1]);
}

void hf_plot_heading(struct hf_plot_sheet *sheet, const char *title, const char *explanation)
{
    hf_plot_text(sheet, MARGIN, sheet->y + 14, "class=\"h\"", title);
    hf_plot_text(sheet, MARGIN, sheet->y + 30, "class=\"d\"", explanation);
    sheet->y += HEADING;
}

void hf_plot_label(const struct hf_sim_report *report, unsigned result, char out[HF_PLOT_LABEL_MAX])
{
    const struct hf_sim_result *one = &report->results[result];
    char nat[HF_SIM_NAT_TEXT_MAX];
    hf_sim_nat_text(&one->nat, nat);
    bool several = report->scenario->users.nat_count > 1;
    snprintf(out, HF_PLOT_LABEL_MAX, "%.24s%s%s", one->pool->name, several ? ", " : "",
             several ? nat : "");
}

static void draw(struct hf_plot_sheet *sheet, const struct hf_sim_report *report)
{
    bool events = report->results[0].event_count > 1;
    hf_plot_loads(sheet, report);
    if (!events)
        return;
    hf_plot_moves(sheet, report);
    if (report->count <= HF_PLOT_LINES_MAX)
        hf_plot_times(sheet, report);
}

int hf_sim_report_plot(const struct hf_sim_report *report, FILE *out)
{
    REQUIRE(report->count > 0);
    char *body = NULL;
    size_t size = 0;
    struct hf_plot_sheet sheet = {open_memstream(&body, &size), MARGIN};
    if (sheet.out == NULL)
        return -ENOMEM;
    draw(&sheet, report);
    if (fclose(sheet.out) != 0) {
        free(body);
        return -ENOMEM;
    }
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
            "viewBox=\"0 0 %d %.0f\" font-family=\"sans-serif\" font-size=\"12\">\n"
            "<title>holdfast simulate: %u users, seed %llu</title>\n%s"
            "<rect class=\"b\" width=\"100%%\" height=\"100%%\"/>\n%s</svg>\n",
            HF_PLOT_WIDTH, sheet.y, HF_PLOT_WIDTH, sheet.y, report->scenario->users.count,
            (unsigned long long)report->scenario->seed, style, body);
    free(body);
    return fflush(out) != 0 || ferror(out) ? -EIO : 0;
}
