#include "launch/report/plot.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/base.h"
#include "launch/markup.h"
#include "launch/report/axis.h"

enum { LEFT = 52, TOP = 10, WIDE = PLOT_COLUMNS, HIGH = 196, BOTTOM = 24, RIGHT = 20, LIVES_DRAWN = 40, DOTS_FROM = 8 /* steps a value */ };
static const double LOG_FROM = 30;

/* Of one curve, one column. */
typedef struct { double least, most, sum; int64_t n, bad; } Cell;

typedef struct {
    FILE *f;
    const Chart *c;
    Axis  x, y;
    int   columns;
    bool  every;                            /* each value is drawn */
    bool  apart;                            /* and each step has a column */
    Cell  cell[PLOT_COLUMNS];
    int64_t x10, y10;                       /* the pen, in tenths */
} Plot;

static double px(const Plot *p, double step) { return LEFT + WIDE * axis_share(&p->x, step); }
static double py(const Plot *p, double y) { return TOP + HIGH * (1 - axis_share(&p->y, y)); }

/* ---- the pen ---- */

static void tenths(FILE *f, int64_t v, bool apart)
{
    const char *sign = v < 0 ? "-" : apart ? " " : "";
    const int64_t a = v < 0 ? -v : v;
    if (a % 10)
        a < 10 ? fprintf(f, "%s.%" PRId64, sign, a) : fprintf(f, "%s%" PRId64 ".%" PRId64, sign, a / 10, a % 10);
    else
        fprintf(f, "%s%" PRId64, sign, a / 10);
}

/* Corners as differences of rounded places: errors do not add up. */
static void pen(Plot *p, bool down, double x, double y)
{
    const int64_t x10 = llround(10 * x), y10 = llround(10 * fmin(fmax(y, 0), TOP + HIGH + BOTTOM));
    fputc(down ? 'l' : 'M', p->f);
    tenths(p->f, x10 - (down ? p->x10 : 0), false);
    tenths(p->f, y10 - (down ? p->y10 : 0), true);
    p->x10 = x10;
    p->y10 = y10;
}

/* ---- columns ---- */

static int column_of(const Plot *p, int64_t step)
{
    const double share = (double)(step - (int64_t)p->x.lo) / (p->x.hi - p->x.lo + 1);
    return (int)fmax(0, fmin(p->columns - 1, floor(share * p->columns)));
}

static double middle(const Plot *p, int column) { return LEFT + WIDE * (column + 0.5) / p->columns; }

static void deal(Plot *p, const Curve *v)
{
    for (int k = 0; k < p->columns; k++)
        p->cell[k] = (Cell){ .least = INFINITY, .most = -INFINITY };
    for (int64_t i = 0; i < v->n; i++) {
        Cell *k = &p->cell[column_of(p, v->step[i])];
        if (!isfinite(v->y[i])) {
            k->bad++;
            continue;
        }
        k->least = fmin(k->least, v->y[i]);
        k->most = fmax(k->most, v->y[i]);
        k->sum += v->y[i];
        k->n++;
    }
}

static void open_path(const Plot *p, const char *class, const Curve *v)
{
    fprintf(p->f, "<path class=\"%s c%d d%d\" data-n=\"", class, v->look % PLOT_COLOURS, v->look / PLOT_COLOURS % 4);
    markup_text(p->f, v->name);
    fprintf(p->f, "\" d=\"");
}

/* From each column's most to the right, from its least back: pieces between columns in which nothing is finite. */
static void draw_band(Plot *p, const Curve *v)
{
    open_path(p, "b", v);
    for (int k = 0, end; k < p->columns; k = end) {
        int last = -1;
        for (end = k; end < p->columns && (p->cell[end].n || !p->cell[end].bad); end++)
            last = p->cell[end].n ? end : last;
        bool down = false;
        for (int i = k; i < end; i++)
            if (p->cell[i].n)
                pen(p, down, middle(p, i), py(p, p->cell[i].most)), down = true;
        for (int i = last; i >= k && last >= 0; i--)
            if (p->cell[i].n)
                pen(p, true, middle(p, i), py(p, p->cell[i].least));
        if (last >= 0)
            fputc('z', p->f);
        end += end < p->columns;
    }
    fprintf(p->f, "\"/>\n");
}

/* A dot where a step has nothing to be joined with, and where values are far between. */
static void draw_dots(Plot *p, const Curve *v)
{
    const bool all = (double)v->n * DOTS_FROM < p->x.hi - p->x.lo;
    bool open = false;
    for (int64_t i = 0; i < v->n; i++) {
        const bool joined = (i > 0 && isfinite(v->y[i - 1])) || (i + 1 < v->n && isfinite(v->y[i + 1]));
        if (!isfinite(v->y[i]) || (joined && !all))
            continue;
        if (!open)
            open_path(p, "o", v);
        open = true;
        pen(p, false, px(p, (double)v->step[i]), py(p, v->y[i]));
        fprintf(p->f, "h0");
    }
    if (open)
        fprintf(p->f, "\"/>\n");
}

static void draw_curve(Plot *p, const Curve *v)
{
    bool down = false;
    if (p->every) {
        draw_dots(p, v);
    } else {
        deal(p, v);
        draw_band(p, v);
    }
    open_path(p, "m", v);
    for (int64_t i = 0; p->every && i < v->n; i++) {
        if (isfinite(v->y[i]))
            pen(p, down, px(p, (double)v->step[i]), py(p, v->y[i]));
        down = isfinite(v->y[i]);
    }
    for (int k = 0; !p->every && k < p->columns; k++) {
        const Cell *c = &p->cell[k];
        if (c->n)
            pen(p, down, middle(p, k), py(p, c->sum / (double)c->n));
        down = c->n || (down && !c->bad);
    }
    fprintf(p->f, "\"/>\n");
}

/* ---- stacked shares ---- */

static void draw_stack(Plot *p)
{
    const Chart *c = p->c;
    static double part[PLOT_CURVES + 1][PLOT_COLUMNS], whole[PLOT_COLUMNS];
    memset(part, 0, sizeof part);
    memset(whole, 0, sizeof whole);
    for (int64_t i = 0; i < c->curve[0].n; i++)
        if (c->whole[i] > 0)
            whole[column_of(p, c->curve[0].step[i])] += c->whole[i];
    for (int v = 0; v < c->curves; v++)
        for (int64_t i = 0; i < c->curve[v].n; i++)
            if (c->whole[i] > 0 && c->curve[v].y[i] > 0)
                part[v + 1][column_of(p, c->curve[v].step[i])] += c->curve[v].y[i];
    for (int v = 1; v <= c->curves; v++)
        for (int k = 0; k < p->columns; k++)
            part[v][k] += part[v - 1][k];
    for (int v = 0; v < c->curves; v++) {
        bool down = false;
        open_path(p, "s", &c->curve[v]);
        for (int side = 0; side < 2; side++)
            for (int i = 0; i < 2 * p->columns; i++) {              /* both edges of each column, there and back */
                const int edge = side ? 2 * p->columns - 1 - i : i, k = edge / 2;
                if (whole[k] > 0)
                    pen(p, down, LEFT + WIDE * (double)(k + edge % 2) / p->columns, py(p, part[side ? v : v + 1][k] / whole[k])), down = true;
            }
        fprintf(p->f, "%s\"/>\n", down ? "z" : "M0 0");
    }
}

/* ---- frame ---- */

static void scale(Plot *p)
{
    const Chart *c = p->c;
    double lo = INFINITY, hi = -INFINITY;
    int64_t first = c->to ? c->from : INT64_MAX, last = c->to ? c->to : INT64_MIN, most = 0;
    for (int v = 0; v < c->curves; v++) {
        const Curve *r = &c->curve[v];
        most = max64(most, r->n);
        if (r->n) {
            first = min64(first, r->step[0]);
            last = max64(last, r->step[r->n - 1]);
        }
        for (int64_t i = 0; i < r->n; i++)
            if (isfinite(r->y[i])) {
                lo = fmin(lo, r->y[i]);
                hi = fmax(hi, r->y[i]);
            }
    }
    p->apart = last - first < c->columns && !c->stacked;
    p->every = most <= c->columns && !c->stacked;
    p->columns = (int)min64(c->columns, last - first + 1);
    p->x = axis_linear((double)first, (double)last);
    if (c->stacked)
        p->y = axis_linear(0, 1);
    else if (!c->zero && lo > 0 && hi > LOG_FROM * lo)
        p->y = axis_log(lo, hi);
    else
        p->y = axis_padded(c->zero && lo > 0 ? 0 : lo, hi);
}

static void draw_frame(const Plot *p)
{
    double at[AXIS_TICKS];
    char word[AXIS_WORD];
    for (int i = 0, n = axis_ticks(&p->y, 5, at); i < n; i++) {
        fprintf(p->f, "<path class=\"g\" d=\"M%d %.1fh%d\"/>", LEFT, py(p, at[i]), WIDE);
        if (p->c->stacked)
            snprintf(word, sizeof word, "%.0f %%", 100 * at[i]);
        else
            axis_word(&p->y, at[i], word);
        fprintf(p->f, "<text class=\"y\" x=\"%d\" y=\"%.1f\">%s</text>\n", LEFT - 7, py(p, at[i]) + 3.8, word);
    }
    for (int i = 0, n = axis_ticks(&p->x, 5, at); i < n; i++) {
        if (at[i] != floor(at[i]))
            continue;
        axis_word(&p->x, at[i], word);
        fprintf(p->f, "<path class=\"a\" d=\"M%.1f %dv4\"/><text class=\"x\" x=\"%.1f\" y=\"%d\">%s</text>\n", px(p, at[i]), TOP + HIGH, px(p, at[i]),
                TOP + HIGH + 18, word);
    }
    fprintf(p->f, "<path class=\"a\" d=\"M%d %dh%d\"/>\n", LEFT, TOP + HIGH, WIDE);
    for (int i = 1; i < p->c->lives && p->c->lives <= LIVES_DRAWN; i++)
        fprintf(p->f, "<path class=\"r\" d=\"M%.1f %dv%d\"><title>life %d begins at step %" PRId64 "</title></path>\n",
                p->every ? px(p, (double)p->c->life[i]) : middle(p, column_of(p, p->c->life[i])), TOP, HIGH, i + 1, p->c->life[i]);
}

/* ---- marks: steps that were not finite, above; skipped, below ---- */

static int64_t draw_marks(Plot *p, bool skipped)
{
    static bool hit[PLOT_COLUMNS];
    int64_t n = 0;
    memset(hit, 0, sizeof hit);
    for (int v = 0; v < p->c->curves; v++) {
        const Curve *r = &p->c->curve[v];
        for (int64_t i = 0; i < (skipped ? r->skips : r->n); i++)
            if (skipped || !isfinite(r->y[i])) {
                hit[column_of(p, skipped ? r->skip[i] : r->step[i])] = true;
                n++;
            }
    }
    if (!n)
        return 0;
    fprintf(p->f, "<path class=\"%s\" d=\"", skipped ? "k" : "n");
    for (int k = 0; k < p->columns; k++)
        if (hit[k])
            fprintf(p->f, "M%.1f %dl-3 %dh6z", p->apart ? px(p, p->x.lo + k) : middle(p, k), skipped ? TOP + HIGH - 6 : TOP + 5, skipped ? 6 : -6);
    fprintf(p->f, "\"/>\n");
    return n;
}

static void legend(const Plot *p)
{
    const Chart *c = p->c;
    fprintf(p->f, "<figcaption><b>");
    markup_text(p->f, c->title);
    fprintf(p->f, "</b>");
    if (c->unit[0]) {
        fprintf(p->f, " <i>");
        markup_text(p->f, c->unit);
        fprintf(p->f, "</i>");
    }
    if (p->y.log)
        fprintf(p->f, " <i>%slog axis</i>", c->unit[0] ? "&#183; " : "");
    if (c->curves > 1 || c->named) {
        fprintf(p->f, "<span class=\"keys\">");
        for (int v = 0; v < c->curves; v++) {
            fprintf(p->f, "<span class=\"key\"><svg class=\"chip\" viewBox=\"0 0 18 8\" aria-hidden=\"true\">"
                          "<path class=\"%s c%d d%d\" d=\"M0 4h18\"/></svg>",
                    c->stacked ? "w" : "m", c->curve[v].look % PLOT_COLOURS, c->curve[v].look / PLOT_COLOURS % 4);
            markup_text(p->f, c->curve[v].name);
            fprintf(p->f, "</span>");
        }
        fprintf(p->f, "</span>");
    }
    fprintf(p->f, "</figcaption>\n");
}

void plot_chart(FILE *f, const Chart *c)
{
    Plot p = { .f = f, .c = c };
    int64_t bad = 0, skips = 0;
    scale(&p);
    fprintf(f, c->view < 0 ? "<figure class=\"card\">" : "<figure class=\"card w%d\">", c->view);
    legend(&p);
    fprintf(f, "<svg class=\"plot\" viewBox=\"0 0 %d %d\" role=\"img\" data-x=\"%.17g %.17g\" data-y=\"%.9g %.9g\" "
               "data-log=\"%d\" data-box=\"%d %d %d %d\" aria-label=\"",
            LEFT + WIDE + RIGHT, TOP + HIGH + BOTTOM, p.x.lo, p.x.hi, p.y.lo, p.y.hi, p.y.log, LEFT, TOP, WIDE, HIGH);
    markup_text(f, c->title);
    fprintf(f, " over steps\">\n");
    draw_frame(&p);
    if (c->stacked)
        draw_stack(&p);
    for (int v = 0; v < c->curves && !c->stacked; v++)
        draw_curve(&p, &c->curve[v]);
    if (c->gaps) {
        bad = draw_marks(&p, false);
        skips = draw_marks(&p, true);
    }
    fprintf(f, "</svg>");
    if (bad || skips)
        fprintf(f, "<p class=\"note\">");
    if (bad)
        fprintf(f, "<span class=\"bad\">&#9660;</span> not finite: %" PRId64 " ", bad);
    if (skips)
        fprintf(f, "<span class=\"skip\">&#9650;</span> skipped");
    if (bad || skips)
        fprintf(f, "</p>");
    fprintf(f, "</figure>\n");
}
