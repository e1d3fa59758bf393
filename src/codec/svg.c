/* codec/svg.c: a line chart as one SVG document.
 *
 *     | title                                      |
 *     | y label                                    |     A tick is 1, 2 or 5 times a power of ten (logarithmic: a power
 *     | 3 |----------------------------- legend |  |     of ten, with 2 and 5 where there are few). Lines of more points
 *     | 2 |-----------------------------        |  |     than pixels keep the least and greatest of each pixel.
 *     | 1 |_____________________________________|  |
 *     |      0        10        20     x label     |
 *
 * Colours: Okabe and Ito 2008, told apart by every kind of colour vision. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "codec/json.h"
#include "whist/codec.h"

enum { WIDTH = 760, HEIGHT = 460, LEFT = 76, RIGHT = 20, TOP = 52, BOTTOM = 58, MAX_TICKS = 32, COLOURS = 8 };

typedef struct axis {
    double low, high; /* of the data, as drawn: logarithms where log */
    bool log;
    double from, to;       /* pixels */
    double tick[MAX_TICKS]; /* values as drawn */
    size_t n_ticks;
    int digits; /* behind the point */
} axis;

static double place(const axis *a, double value)
{
    return a->from + (value - a->low) / (a->high - a->low) * (a->to - a->from);
}

/* NaN where the value is not to be drawn. */
static double drawn(const axis *a, double value)
{
    if (!isfinite(value) || (a->log && value <= 0)) return NAN;
    return a->log ? log10(value) : value;
}

/* ---- Ticks --------------------------------------------------------------------------------------------- */

static void linear_ticks(axis *a, int wanted)
{
    double span = a->high - a->low, step = pow(10, floor(log10(span / wanted)));
    double parts = span / wanted / step;
    step *= parts <= 1 ? 1 : parts <= 2 ? 2 : parts <= 5 ? 5 : 10;
    a->digits = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    a->low = floor(a->low / step + 1e-9) * step;
    a->high = ceil(a->high / step - 1e-9) * step;
    size_t n = (size_t)llround((a->high - a->low) / step) + 1;
    for (size_t i = 0; i < n && a->n_ticks < MAX_TICKS; i++) a->tick[a->n_ticks++] = a->low + (double)i * step;
}

static void log_ticks(axis *a)
{
    static const double parts[] = {1, 2, 5};
    double decades = a->high - a->low;
    int first = (int)floor(a->low), last = (int)ceil(a->high), by = decades > 12 ? (int)ceil(decades / 12) : 1;
    size_t n_parts = decades <= 3 ? 3 : 1;
    for (int k = first; k <= last; k += by)
        for (size_t p = 0; p < n_parts && a->n_ticks < MAX_TICKS; p++) {
            double at = k + log10(parts[p]);
            if (at >= a->low - 1e-9 && at <= a->high + 1e-9) a->tick[a->n_ticks++] = at;
        }
}

static void make_ticks(axis *a, int wanted)
{
    if (a->log) {
        double pad = fmax((a->high - a->low) * 0.03, 0.02);
        a->low -= pad;
        a->high += pad;
        log_ticks(a);
        return;
    }
    if (a->high - a->low <= fmax(fabs(a->low), fabs(a->high)) * 1e-12) { /* a constant */
        double room = a->low == 0 ? 1 : fabs(a->low) * 0.1;
        a->low -= room;
        a->high += room;
    }
    linear_ticks(a, wanted);
}

static void tick_text(char out[40], const axis *a, double tick)
{
    if (!a->log) {
        if (fabs(tick) >= 1e6 || (tick != 0 && a->digits > 6))
            snprintf(out, 40, "%.3g", tick);
        else
            snprintf(out, 40, "%.*f", a->digits, fabs(tick) < 1e-300 ? 0.0 : tick);
        return;
    }
    double value = pow(10, tick);
    snprintf(out, 40, value >= 1e-3 && value < 1e6 ? "%.6g" : "%.0e", value);
}

/* ---- Text ------------------------------------------------------------------------------------------------ */

static whist_status add_escaped(wh_buf *out, const char *text)
{
    whist_bytes bytes = {(const uint8_t *)text, strlen(text)};
    if (!wh_is_utf8(bytes)) WH_FAIL(WHIST_E_FORMAT, "a text of the chart is not UTF-8");
    for (; *text; text++) {
        const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;" : NULL;
        if ((uint8_t)*text < 0x20) entity = " ";
        WH_TRY(entity ? wh_buf_add(out, entity, strlen(entity)) : wh_buf_add(out, text, 1));
    }
    return WHIST_OK;
}

static whist_status add_text(wh_buf *out, const char *attributes, const char *text)
{
    if (!text || !*text) return WHIST_OK;
    WH_TRY(wh_buf_text(out, "<text %s>", attributes));
    WH_TRY(add_escaped(out, text));
    return wh_buf_text(out, "</text>\n");
}

/* ---- The frame ------------------------------------------------------------------------------------------- */

static whist_status add_head(wh_buf *out)
{
    return wh_buf_text(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
        "font-family=\"system-ui, sans-serif\" font-size=\"13\">\n"
        "<style>.bg{fill:#fff}.ink{fill:#222}.soft{fill:#555}.grid{stroke:#e3e3e3}.axis{stroke:#888}.key{fill:#fff;"
        "fill-opacity:.85}@media(prefers-color-scheme:dark){.bg{fill:#16181c}.ink{fill:#eee}.soft{fill:#aaa}.grid{stroke:"
        "#333}.axis{stroke:#777}.key{fill:#16181c}}</style>\n<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
}

static whist_status add_axes(wh_buf *out, const axis *x, const axis *y)
{
    char text[40];
    for (size_t i = 0; i < y->n_ticks; i++) {
        double at = place(y, y->tick[i]);
        tick_text(text, y, y->tick[i]);
        WH_TRY(wh_buf_text(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", LEFT, at, WIDTH - RIGHT));
        WH_TRY(wh_buf_text(out, "<text class=\"soft\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n", LEFT - 8,
                           at + 4.5, text));
    }
    for (size_t i = 0; i < x->n_ticks; i++) {
        double at = place(x, x->tick[i]);
        tick_text(text, x, x->tick[i]);
        WH_TRY(wh_buf_text(out, "<path class=\"axis\" d=\"M%.1f %dv5\"/>\n", at, HEIGHT - BOTTOM));
        WH_TRY(wh_buf_text(out, "<text class=\"soft\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", at,
                           HEIGHT - BOTTOM + 20, text));
    }
    return wh_buf_text(out, "<path class=\"axis\" fill=\"none\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, HEIGHT - BOTTOM,
                       WIDTH - RIGHT);
}

static whist_status add_labels(wh_buf *out, const whist_plot *plot)
{
    char attributes[128];
    snprintf(attributes, sizeof attributes, "class=\"ink\" x=\"%d\" y=\"26\" font-size=\"16\" font-weight=\"600\"", LEFT);
    WH_TRY(add_text(out, attributes, plot->title));
    snprintf(attributes, sizeof attributes, "class=\"soft\" x=\"%d\" y=\"%d\" text-anchor=\"middle\"",
             (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16);
    WH_TRY(add_text(out, attributes, plot->x_label));
    int middle = (TOP + HEIGHT - BOTTOM) / 2;
    snprintf(attributes, sizeof attributes,
             "class=\"soft\" x=\"20\" y=\"%d\" text-anchor=\"middle\" transform=\"rotate(-90 20 %d)\"", middle, middle);
    return add_text(out, attributes, plot->y_label);
}

/* ---- Lines ------------------------------------------------------------------------------------------------- */

static const char *const colours[COLOURS] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                             "#e69f00", "#56b4e9", "#b0a200", "#999999"};

/* Points of one pixel column: the first, the extremes and the last say all that can be seen. */
typedef struct column {
    long at;
    size_t n;
    double x, first, low, high, last;
} column;

static whist_status end_column(wh_buf *out, const column *c, bool *pen)
{
    if (!c->n) return WHIST_OK;
    WH_TRY(wh_buf_text(out, "%c%.1f %.1f", *pen ? 'L' : 'M', c->x, c->first));
    *pen = true;
    if (c->n > 2) WH_TRY(wh_buf_text(out, "V%.1fV%.1f", c->low, c->high));
    return c->n > 1 ? wh_buf_text(out, "V%.1f", c->last) : WHIST_OK;
}

static whist_status add_line(wh_buf *out, const whist_plot_line *line, const axis *x, const axis *y, size_t colour)
{
    column c = {0};
    bool pen = false;
    WH_TRY(wh_buf_text(out, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" stroke-linejoin=\"round\" d=\"",
                       colours[colour % COLOURS]));
    for (size_t i = 0; i < line->n; i++) {
        double px = place(x, drawn(x, line->x[i])), py = place(y, drawn(y, line->y[i]));
        if (isnan(px) || isnan(py)) {
            WH_TRY(end_column(out, &c, &pen));
            c.n = 0;
            pen = false;
            continue;
        }
        if (c.n && lround(px) == c.at) {
            c.low = fmin(c.low, py), c.high = fmax(c.high, py), c.last = py, c.n++;
            continue;
        }
        WH_TRY(end_column(out, &c, &pen));
        c = (column){lround(px), 1, px, py, py, py, py};
    }
    WH_TRY(end_column(out, &c, &pen));
    return wh_buf_text(out, "\"/>\n");
}

static size_t letters(const char *text)
{
    size_t n = 0;
    for (; text && *text; text++) n += ((uint8_t)*text & 0xC0) != 0x80;
    return n;
}

static whist_status add_legend(wh_buf *out, const whist_plot *plot)
{
    size_t widest = 0, rows = 0;
    for (size_t i = 0; i < plot->n_lines; i++) {
        size_t n = letters(plot->lines[i].name);
        widest = n > widest ? n : widest;
        rows += n > 0;
    }
    if (rows == 0) return WHIST_OK;
    int width = 44 + (int)(widest > 40 ? 40 : widest) * 7, left = WIDTH - RIGHT - width - 6, y = TOP + 6;
    WH_TRY(wh_buf_text(out, "<rect class=\"key\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"4\"/>\n", left, y,
                       width, (int)rows * 20 + 8));
    for (size_t i = 0; i < plot->n_lines; i++) {
        char attributes[64];
        if (!letters(plot->lines[i].name)) continue;
        y += 20;
        WH_TRY(wh_buf_text(out, "<path stroke=\"%s\" stroke-width=\"3\" d=\"M%d %dh20\"/>\n", colours[i % COLOURS],
                           left + 8, y - 5));
        snprintf(attributes, sizeof attributes, "class=\"ink\" x=\"%d\" y=\"%d\"", left + 36, y);
        WH_TRY(add_text(out, attributes, plot->lines[i].name));
    }
    return WHIST_OK;
}

/* ---- All of it ---------------------------------------------------------------------------------------------- */

static bool find_range(const whist_plot *plot, axis *x, axis *y)
{
    x->low = y->low = INFINITY;
    x->high = y->high = -INFINITY;
    for (size_t l = 0; l < plot->n_lines; l++)
        for (size_t i = 0; i < plot->lines[l].n; i++) {
            double px = drawn(x, plot->lines[l].x[i]), py = drawn(y, plot->lines[l].y[i]);
            if (isnan(px) || isnan(py)) continue;
            x->low = fmin(x->low, px), x->high = fmax(x->high, px);
            y->low = fmin(y->low, py), y->high = fmax(y->high, py);
        }
    return x->low <= x->high;
}

static whist_status draw(wh_buf *out, const whist_plot *plot)
{
    axis x = {.log = plot->log_x, .from = LEFT, .to = WIDTH - RIGHT};
    axis y = {.log = plot->log_y, .from = HEIGHT - BOTTOM, .to = TOP};
    if (!find_range(plot, &x, &y)) WH_FAIL(WHIST_E_ARG, "a chart without a single point that can be drawn");
    make_ticks(&x, 8);
    make_ticks(&y, 6);
    WH_TRY(add_head(out));
    WH_TRY(add_axes(out, &x, &y));
    WH_TRY(add_labels(out, plot));
    for (size_t l = 0; l < plot->n_lines; l++) WH_TRY(add_line(out, &plot->lines[l], &x, &y, l));
    WH_TRY(add_legend(out, plot));
    return wh_buf_text(out, "</svg>\n");
}

whist_status whist_plot_svg(char **out, const whist_plot *plot)
{
    WH_ENSURE(out && plot && (plot->lines || !plot->n_lines), WHIST_E_ARG);
    WH_AUTO(wh_buf) svg = WH_BUF_EMPTY;
    WH_TRY(draw(&svg, plot));
    return wh_strdup(out, wh_buf_str(&svg));
}

void whist_plot_free(char *svg)
{
    wh_free(svg);
}
