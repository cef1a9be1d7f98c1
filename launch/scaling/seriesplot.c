/* seriesplot.c -- a series as a picture: measured with their spread, predicted, ideal; one panel for each kind (seriesout.h) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/markup.h"
#include "launch/scaling/seriesout.h"

enum { WIDE = 800, HIGH = 370 /* a panel */, LEFT = 66, RIGHT = 196, TOP = 62, BOTTOM = 52, LINES = 24, NAMED = 11 /* in the legend */, COLOURS = 8 };

static const char *const COLOUR[COLOURS] = { "#0b6e99", "#c8443a", "#2e8b57", "#7d5ba6", "#b9770e", "#5a6570", "#c2549d", "#7a8b1f" };

/* Points that differ in ranks alone are a line. */
typedef struct { int tp, zero, micro_batch, threads; } Line;

typedef struct {
    FILE   *f;
    const Series *s;
    int     kind;
    const Point *one;                  /* the reference */
    double  top;                       /* of the panel, in pixels */
    double  x0, x1, y0, y1;            /* the axes' ends: log2 of x; y, or log2 of it */
    Line    line[LINES];
    int     lines;
} Panel;

static bool counts(const Panel *g, const Point *p) { return p->kind == g->kind && p->state == POINT_DONE; }

static double across(const Panel *g, const Point *p)
{
    return log2(p->ranks * (series_varies(g->s, offsetof(Point, threads)) ? p->threads : 1));
}

/* What is drawn: efficiency, or the speed-up, of so many seconds a step. */
static double up(const Panel *g, const Point *p, double step)
{
    const Point *one = g->one;
    const double each = point_samples(one) / (one->ranks * one->threads), rate = p->steps.global_batch / step;
    return g->kind == SCALING_WEAK ? rate / (each * p->ranks * p->threads) : log2(rate / each / one->threads);
}

static double px(const Panel *g, double x) { return LEFT + (x - g->x0) / (g->x1 - g->x0) * (WIDE - LEFT - RIGHT); }
static double py(const Panel *g, double y) { return g->top + TOP + (g->y1 - y) / (g->y1 - g->y0) * (HIGH - TOP - BOTTOM); }

static int line_of(Panel *g, const Point *p)
{
    const Line l = { p->tp, p->zero, p->micro_batch, p->threads };
    int i = 0;
    while (i < g->lines && memcmp(&g->line[i], &l, sizeof l))
        i++;
    if (i == g->lines && i < LINES)
        g->line[g->lines++] = l;
    return i;                                               /* LINES: one too many, which is not drawn */
}

/* So that the marks of several lines at the same number of ranks can be told apart. */
static double aside(const Panel *g, int line) { return fmin(7, 60.0 / g->lines) * (line - (g->lines - 1) / 2.0); }

static void scale_axes(Panel *g)
{
    double low = g->kind == SCALING_WEAK ? 0 : 1e9, high = g->kind == SCALING_WEAK ? 1.1 : -1e9;
    g->x0 = 1e9;
    g->x1 = -1e9;
    for (int i = g->s->first; i < g->s->n; i++) {
        const Point *p = &g->s->p[i];
        double least, most;
        if (!counts(g, p))
            continue;
        line_of(g, p);
        steps_spread(&p->steps, TIME_STEP, &least, &most);
        g->x0 = fmin(g->x0, across(g, p));
        g->x1 = fmax(g->x1, across(g, p));
        low = fmin(low, up(g, p, most));
        high = fmax(high, up(g, p, least));
        if (p->rates[0]) {
            low = fmin(low, up(g, p, p->want.step));
            high = fmax(high, up(g, p, p->want.step));
        }
        if (g->kind == SCALING_STRONG)
            high = fmax(high, log2((double)p->ranks * p->threads / g->one->threads));
    }
    g->x0 -= 0.25;
    g->x1 += 0.25;
    g->y0 = g->kind == SCALING_WEAK ? 0 : floor(low - 0.05);
    g->y1 = g->kind == SCALING_WEAK ? ceil(10 * high) / 10 : high + 0.2;
}

static void text(const Panel *g, double x, double y, const char *how, const char *what)
{
    fprintf(g->f, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, how);
    markup_text(g->f, what);
    fprintf(g->f, "</text>\n");
}

static void draw_frame(const Panel *g)
{
    char words[160];
    const bool weak = g->kind == SCALING_WEAK;
    const double bottom = g->top + HIGH - BOTTOM;
    text(g, LEFT, g->top + 24, "class=\"t\"", weak ? "Weak scaling: efficiency" : "Strong scaling: speed-up");
    snprintf(words, sizeof words, "%s; %d samples a %s", g->one->steps.machine, g->s->c->train.global_batch, weak ? "replica and step" : "step");
    text(g, LEFT, g->top + 43, "class=\"s\"", words);
    for (double y = g->y0; y <= g->y1 + 1e-9; y += weak ? 0.2 : 1) {
        fprintf(g->f, "<path class=\"g\" d=\"M%d %.1fH%d\"/>\n", LEFT, py(g, y), WIDE - RIGHT);
        snprintf(words, sizeof words, weak ? "%.1f" : "%g", weak ? y : exp2(y));
        text(g, LEFT - 8, py(g, y) + 4, "text-anchor=\"end\"", words);
    }
    for (int i = g->s->first; i < g->s->n; i++) {
        const Point *p = &g->s->p[i];
        bool first = counts(g, p);
        for (int k = g->s->first; k < i && first; k++)
            first = !counts(g, &g->s->p[k]) || across(g, &g->s->p[k]) != across(g, p);
        if (!first)
            continue;
        snprintf(words, sizeof words, "%.0f", exp2(across(g, p)));
        fprintf(g->f, "<path class=\"a\" d=\"M%.1f %.1fv5\"/>\n", px(g, across(g, p)), bottom);
        text(g, px(g, across(g, p)), bottom + 19, "text-anchor=\"middle\"", words);
    }
    fprintf(g->f, "<path class=\"a\" d=\"M%d %.1fV%.1fH%d\"/>\n", LEFT, g->top + TOP, bottom, WIDE - RIGHT);
    text(g, (LEFT + WIDE - RIGHT) / 2.0, bottom + 38, "text-anchor=\"middle\"", series_varies(g->s, offsetof(Point, threads)) ? "ranks x threads" : "ranks");
}

static void draw_ideal(const Panel *g)
{
    const bool weak = g->kind == SCALING_WEAK;
    /* One rank of the reference's threads has speed-up 1; where threads vary, x counts those. */
    const double shift = series_varies(g->s, offsetof(Point, threads)) ? log2(g->one->threads) : 0;
    const double from = weak ? g->x0 : fmax(g->x0, g->y0 + shift), to = weak ? g->x1 : fmin(g->x1, g->y1 + shift);
    fprintf(g->f, "<path class=\"i\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", px(g, from), py(g, weak ? 1 : from - shift), px(g, to), py(g, weak ? 1 : to - shift));
}

/* Predicted: dashed; then measured with their spread, hollow where cores are shared. */
static void draw_line(Panel *g, int line, bool predicted)
{
    const char *colour = COLOUR[line % COLOURS];
    char move = 'M';
    fprintf(g->f, "<path class=\"%s\" stroke=\"%s\" d=\"", predicted ? "p" : "m", colour);
    for (int i = g->s->first; i < g->s->n; i++) {
        const Point *p = &g->s->p[i];
        if (!counts(g, p) || line_of(g, p) != line || (predicted && !p->rates[0]))
            continue;
        fprintf(g->f, "%c%.1f %.1f", move, px(g, across(g, p)) + aside(g, line), py(g, up(g, p, predicted ? p->want.step : steps_median(&p->steps, TIME_STEP))));
        move = 'L';
    }
    fprintf(g->f, "%s\"/>\n", move == 'M' ? "M0 0" : "");
    for (int i = g->s->first; i < g->s->n; i++) {
        const Point *p = &g->s->p[i];
        double least, most;
        if (!counts(g, p) || line_of(g, p) != line || (predicted && !p->rates[0]))
            continue;
        const double x = px(g, across(g, p)) + aside(g, line);
        steps_spread(&p->steps, TIME_STEP, &least, &most);
        if (predicted) {
            fprintf(g->f, "<path class=\"x\" stroke=\"%s\" d=\"M%.1f %.1fl8 8m0 -8l-8 8\"/>\n", colour, x - 4, py(g, up(g, p, p->want.step)) - 4);
            continue;
        }
        fprintf(g->f, "<path class=\"b\" stroke=\"%s\" d=\"M%.1f %.1fV%.1fm-4 0h8M%.1f %.1fh8\"/>\n", colour, x, py(g, up(g, p, least)),
                py(g, up(g, p, most)), x - 4, py(g, up(g, p, least)));
        fprintf(g->f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" stroke=\"%s\" fill=\"%s\"><title>%.2f samples/s</title></circle>\n", x,
                py(g, up(g, p, steps_median(&p->steps, TIME_STEP))), colour, p->steps.shared > 1 ? "white" : colour, point_samples(p));
    }
}

/* What tells a line from the others: "tp 2, ZeRO 1". */
static void line_words(const Panel *g, const Line *l, char *out, size_t cap)
{
    const struct { const char *name; size_t at; int x; } part[] = {
        { "tp", offsetof(Point, tp), l->tp }, { "ZeRO", offsetof(Point, zero), l->zero }, { "mb", offsetof(Point, micro_batch), l->micro_batch },
        { "th", offsetof(Point, threads), l->threads } };
    int at = 0;
    out[0] = 0;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (series_varies(g->s, part[i].at))
            at += snprintf(out + at, cap - (size_t)at, "%s%s %d", at ? ", " : "", part[i].name, part[i].x);
    if (!at)
        snprintf(out, cap, "measured");
}

static void draw_legend(const Panel *g)
{
    const double x = WIDE - RIGHT + 18;
    double y = g->top + TOP + 8;
    const Line *l = g->line;
    for (int i = 0; i < g->lines && i < NAMED; i++, y += 19) {
        char words[120];
        line_words(g, &l[i], words, sizeof words);
        if (i == NAMED - 1 && g->lines > NAMED) {
            snprintf(words, sizeof words, "and %d more", g->lines - i);
            text(g, x + 32, y + 4, "", words);
            continue;
        }
        fprintf(g->f, "<path class=\"m\" stroke=\"%s\" d=\"M%.1f %.1fh22\"/><circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" stroke=\"%s\" fill=\"%s\"/>\n",
                COLOUR[i % COLOURS], x, y, x + 11, y, COLOUR[i % COLOURS], COLOUR[i % COLOURS]);
        text(g, x + 32, y + 4, strlen(words) > 18 ? "class=\"n\"" : "", words);
    }
    y += 10;
    fprintf(g->f, "<path class=\"p\" stroke=\"#444\" d=\"M%.1f %.1fh22\"/><path class=\"x\" stroke=\"#444\" d=\"M%.1f %.1fl8 8m0 -8l-8 8\"/>\n", x, y, x + 7, y - 4);
    text(g, x + 32, y + 4, "", "predicted");
    fprintf(g->f, "<path class=\"i\" d=\"M%.1f %.1fh22\"/>\n", x, y + 19);
    text(g, x + 32, y + 23, "", "ideal");
    fprintf(g->f, "<path class=\"b\" stroke=\"#444\" d=\"M%.1f %.1fv14m-4 0h8m-8 -14h8\"/>\n", x + 11, y + 31);
    text(g, x + 32, y + 42, "", "least to most");
    fprintf(g->f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\" stroke=\"#444\" fill=\"white\"/>\n", x + 11, y + 57);
    text(g, x + 32, y + 61, "", "cores are shared");
}

static void panel(FILE *f, const Series *s, int kind, double top)
{
    Panel g = { .f = f, .s = s, .kind = kind, .one = series_reference(s, kind), .top = top };
    scale_axes(&g);
    draw_frame(&g);
    draw_ideal(&g);
    for (int k = 0; k < 2 * g.lines; k++)
        draw_line(&g, k % g.lines, k < g.lines);
    draw_legend(&g);
}

bool series_svg(const Series *s, Err *e)
{
    char path[PATH_ROOM], *svg = NULL;
    size_t n = 0;
    int panels = 0;
    FILE *f = open_memstream(&svg, &n);
    CHECK(f, "no memory for a picture");
    for (int kind = 0; kind < SERIES_KINDS; kind++)
        panels += series_reference(s, kind) != NULL;
    const int high = HIGH * (int)max64(1, panels);
    fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", WIDE, high, WIDE, high);
    fprintf(f, "<style>text{font:13px Helvetica,Arial,sans-serif;fill:#333}.t{font-size:17px;font-weight:bold;fill:#111}.s{fill:#666}.n{font-size:11px}"
               "path{fill:none;stroke-width:1.6}.g{stroke:#e6e6e6;stroke-width:1}.a{stroke:#555;stroke-width:1}.i{stroke:#999;stroke-width:1.4}"
               ".p{stroke-dasharray:5 4;opacity:.75}.x{stroke-width:1.8}.b{stroke-width:1.3}circle{stroke-width:1.8}</style>\n");
    fprintf(f, "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n");
    for (int kind = 0, k = 0; kind < SERIES_KINDS; kind++)
        if (series_reference(s, kind))
            panel(f, s, kind, HIGH * k++);
    fprintf(f, "</svg>\n");
    fclose(f);
    const bool ok = path_set(path, e, "%s/scaling.svg", s->dir) && file_replace(path, svg, n, e);
    free(svg);
    return ok;
}
