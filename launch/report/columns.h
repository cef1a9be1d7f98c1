/*
 * columns.h -- run.jsonl as columns: every step that counts, as `asvr status` counts them (steplog.h)
 *
 * A key that a line lacks, and null, are NaN.  A column that never had a finite number is NULL.
 * Local.  Tests: tests/launch/report.sh
 */
#pragma once
#include "io/base/log.h"
#include "launch/status/steplog.h"

/* In the order of a line's keys, the lists last. */
enum { COL_LOSS, COL_TEXT, COL_VISUAL, COL_RESTARTS, COL_GRAD, COL_LR, COL_TOKENS, COL_SAMPLES, COL_FLOPS, COL_STEP, COL_DATA, COL_FORWARD,
       COL_BACKWARD, COL_REDUCE, COL_OPTIM, COL_CKPT, COL_RSS, COL_DEPTH, COL_USAGE = COL_DEPTH + LOG_DEPTHS,
       COL_PERPLEXITY = COL_USAGE + LOG_DEPTHS, COLUMNS = COL_PERPLEXITY + LOG_DEPTHS };
enum { COLUMNS_SLOW = 32 };

/* Over the finite numbers of a column; n 0: there are none. */
typedef struct { double last, least, most, mean; int64_t n, bad, at_least, at_most; } ColumnSums;       /* at: steps; bad: not finite */

typedef struct { int rank; char host[64]; bool link; int64_t steps, first, last; double worst; } Slow;

typedef struct {
    int64_t  n, room;
    int64_t *step;                  /* (n), ascending */
    double  *x[COLUMNS];            /* (n) */
    int64_t *skip, skips, skip_room;    /* steps that were skipped: their number is known by the counter of each life; skipped: of all */
    int64_t  skipped, counter, restart;
    Slow     slow[COLUMNS_SLOW];    /* ranks that were named, in the order of their first step */
    int      slows;
} Columns;

/* To be called for each line (StepFile.each); ctx is a Columns, zero at first. */
void columns_take(void *ctx, const StepFile *s, const char *line);
void columns_free(Columns *c);
ColumnSums columns_sums(const Columns *c, int column);
/* How many of the list that begins with column `first` there are. */
int  columns_list(const Columns *c, int first);
