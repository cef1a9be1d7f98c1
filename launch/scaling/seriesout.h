/*
 * seriesout.h -- what a series has shown: a table for the terminal, CSV, Extra-P's JSON Lines, a picture
 *
 *     efficiency    samples a second and thread, of those that the reference point makes: the fewest threads of its kind of series
 *     speed-up      samples a second over the reference's, times its threads
 *     differs       how much longer the median step took than was predicted
 *
 * Local.  EXIT_IO.  Tests: tests/launch/scaling.sh (Extra-P itself reads the file: docs/TESTING.md)
 */
#pragma once
#include "launch/scaling/series.h"

/* Of points that are done.  The reference is NULL where none of that kind is. */
const Point *series_reference(const Series *s, int kind);
double point_samples(const Point *p);                               /* a second, in the median */
double point_efficiency(const Point *p, const Point *reference);
double point_differs(const Point *p);                               /* 0.05: 5 % longer than predicted; NAN: nothing was predicted */

void series_table(const Series *s);
bool series_csv(const Series *s, Err *e);                           /* DIR/scaling.csv */
bool series_jsonl(const Series *s, Err *e);                         /* DIR/scaling.jsonl */
bool series_svg(const Series *s, Err *e);                           /* DIR/scaling.svg */
