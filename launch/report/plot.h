/*
 * plot.h -- curves over steps as inline SVG
 *
 *     few values    every one is a corner of the line, of very few a dot
 *     many          steps are dealt to columns of one pixel; a band from each column's least to its most, the line is the mean
 *
 * So no spike is lost, whatever the number of steps.  What is not finite is a gap in the line and a mark above it.  The vertical axis
 * is logarithmic where it need not begin at 0, all is positive and the most is over LOG_FROM times the least.
 *
 * A page that has script reads values off the paths of class "m", whose corners are M x y l dx dy ..., in tenths of a pixel.
 * Local.  Tests: tests/launch/report.sh, tests/peers/check_report.sh (in a browser)
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { PLOT_CURVES = 64, PLOT_COLUMNS = 456, PLOT_COLOURS = 8 };

typedef struct {
    const char    *name;
    const int64_t *step;                    /* (n), ascending */
    const double  *y;                       /* (n); NaN: none */
    int64_t        n;
    int            look;                    /* colour look % PLOT_COLOURS, dashes look / PLOT_COLOURS */
    const int64_t *skip;                    /* (skips) steps to mark, or NULL */
    int64_t        skips;
} Curve;

typedef struct {
    const char *title, *unit;               /* unit: may be "" */
    Curve       curve[PLOT_CURVES];
    int         curves;
    int         columns;                    /* at most PLOT_COLUMNS */
    int64_t     from, to;                   /* the axis has these steps, and what curves have beside them; to 0: what curves have */
    int         view;                       /* of the page that has several: the figure's class is w0, w1, ...; else -1 */
    bool        named;                      /* a curve that is alone has its name beside it, too */
    bool        zero;                       /* the axis begins at 0, and is linear */
    bool        stacked;                    /* curves are parts of `whole`; their means in a column stand on each other as shares */
    const double *whole;                    /* as y of curve 0 */
    bool        gaps;                       /* mark what is not finite */
    const int64_t *life;                    /* (lives) first steps of the run's lives: lines; of one run only */
    int         lives;
} Chart;

/* One <figure>: title, legend, picture, and what its marks are.  Some curve has a row. */
void plot_chart(FILE *f, const Chart *c);
