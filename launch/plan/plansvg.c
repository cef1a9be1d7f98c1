/* plansvg.c -- efficiency over numbers of nodes, and on top of it what is lost, by cause: plan.svg (plannodes.h) */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/base/files.h"
#include "launch/markup.h"
#include "launch/plan/plannodes.h"

enum { WIDE = 960, HIGH = 500, LEFT = 70, RIGHT = 650, TOP = 80, BOTTOM = 430 };

static const char *const COLOUR[LOSSES] = { "#d55e00", "#e69f00", "#f0e442", "#0072b2", "#009e73", "#cc79a7" };
static const char EFFICIENCY[] = "#d6e4f0";

typedef struct { FILE *f; double floor; const Point *p, *first; int n; } Chart;

static void text(FILE *f, double x, double y, int size, const char *anchor, const char *s)
{
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" font-size=\"%d\" text-anchor=\"%s\">", x, y, size, anchor);
    markup_text(f, s);
    fputs("</text>\n", f);
}

static double y_of(const Chart *c, double share) { return BOTTOM - (BOTTOM - TOP) * (fmax(share, c->floor) - c->floor) / (1 - c->floor); }

static double efficiency(const Chart *c, int i) { return c->p[i].samples / c->p[i].nodes / (c->first->samples / c->first->nodes); }

/* Enough of the scale for the worst point to be seen. */
static double floor_of(const Chart *c)
{
    double least = 1;
    for (int i = 0; i < c->n; i++)
        if (c->p[i].samples > 0)
            least = fmin(least, efficiency(c, i));
    return least > 0.9 ? 0.8 : least > 0.75 ? 0.5 : 0;
}

static void axes(const Chart *c)
{
    const int steps = c->floor > 0.7 ? 4 : c->floor > 0 ? 5 : 10;
    char s[32];
    for (int k = 0; k <= steps; k++) {
        const double share = c->floor + (1 - c->floor) * k / steps;
        fprintf(c->f, "<path d=\"M%d %.1f H%d\" stroke=\"#ccc\"/>\n", LEFT, y_of(c, share), RIGHT);
        snprintf(s, sizeof s, "%.0f %%", 100 * share);
        text(c->f, LEFT - 8, y_of(c, share) + 4, 12, "end", s);
    }
    text(c->f, (LEFT + RIGHT) / 2, BOTTOM + 42, 13, "middle", "nodes");
    if (c->floor > 0) {
        snprintf(s, sizeof s, "the scale begins at %.0f %%", 100 * c->floor);
        text(c->f, LEFT, BOTTOM + 42, 11, "start", s);
    }
}

static void column(const Chart *c, int i)
{
    const double wide = (double)(RIGHT - LEFT) / c->n, x = LEFT + i * wide + 0.08 * wide, w = 0.84 * wide;
    char s[32];
    snprintf(s, sizeof s, "%d", c->p[i].nodes);
    text(c->f, x + w / 2, BOTTOM + 18, 12, "middle", s);
    if (c->p[i].samples == 0) {
        text(c->f, x + w / 2, BOTTOM - 6, 10, "middle", "no fit");
        return;
    }
    Loss loss[LOSSES];
    double at = fmin(1, efficiency(c, i));
    fprintf(c->f, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y_of(c, at), w, BOTTOM - y_of(c, at), EFFICIENCY);
    snprintf(s, sizeof s, "%.1f", 100 * efficiency(c, i));
    text(c->f, x + w / 2, fmin(BOTTOM - 6, y_of(c, at) + 16), 12, "middle", s);
    nodes_losses(&c->p[i], c->first, loss);
    for (int k = LOSSES - 1; k >= 0; at += loss[k--].share)
        if (loss[k].share > 0)
            fprintf(c->f, "<rect x=\"%.1f\" y=\"%.2f\" width=\"%.1f\" height=\"%.2f\" fill=\"%s\"/>\n", x, y_of(c, at + loss[k].share), w,
                    y_of(c, at) - y_of(c, at + loss[k].share), COLOUR[k]);
}

static void legend(const Chart *c)
{
    Loss loss[LOSSES];
    int last = c->n - 1;
    while (last > 0 && c->p[last].samples == 0)
        last--;
    nodes_losses(&c->p[last], c->first, loss);
    char s[96];
    double y = TOP + 20;
    snprintf(s, sizeof s, "at %d node%s, of a step:", c->p[last].nodes, c->p[last].nodes == 1 ? "" : "s");
    text(c->f, RIGHT + 24, TOP, 12, "start", s);
    for (int k = 0; k <= LOSSES; k++, y += 24) {
        fprintf(c->f, "<rect x=\"%d\" y=\"%.1f\" width=\"14\" height=\"14\" fill=\"%s\"/>\n", RIGHT + 24, y - 2, k < LOSSES ? COLOUR[k] : EFFICIENCY);
        snprintf(s, sizeof s, "%4.1f %%  %s", 100 * (k < LOSSES ? loss[k].share : efficiency(c, last)), k < LOSSES ? loss[k].name : "as fast as the first line");
        text(c->f, RIGHT + 46, y + 10, 12, "start", s);
    }
}

bool nodes_svg(const char *path, const char *title, const char *below, const Point *p, int n, Err *e)
{
    char *out = NULL;
    size_t size = 0;
    int first = 0;
    while (first < n - 1 && p[first].samples == 0)
        first++;
    Chart c = { .f = open_memstream(&out, &size), .p = p, .first = &p[first], .n = n };
    CHECK(c.f, "no memory for a picture");
    c.floor = floor_of(&c);
    fprintf(c.f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"DejaVu Sans, sans-serif\">\n"
                 "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", WIDE, HIGH, WIDE, HIGH);
    text(c.f, LEFT, 30, 17, "start", title);
    text(c.f, LEFT, 52, 12, "start", below);
    axes(&c);
    for (int i = 0; i < n; i++)
        column(&c, i);
    legend(&c);
    fputs("</svg>\n", c.f);
    CHECK(fclose(c.f) == 0, "no memory for a picture");
    const bool ok = file_replace(path, out, size, e);
    free(out);
    return ok;
}
