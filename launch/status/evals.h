/*
 * evals.h -- RUN/evals.jsonl as columns: the evaluations of a run that trains (stepeval.h)
 *
 * A value that a line lacks, and null, are NaN; so is the mean of a run without tasks.  Lines that cannot be read are left out, and of a step
 * that stands there twice the later one counts.  A file that is not there is none.  Local.  Tests: tests/launch/evalevery.sh
 */
#pragma once
#include <stdint.h>

enum { EVALS_LOSS, EVALS_TEXT, EVALS_VISUAL, EVALS_MEAN, EVALS_VALUES };

typedef struct {
    int64_t  n, cap;
    int64_t *step;                  /* (n) ascending */
    double  *value[EVALS_VALUES];   /* (n) */
    double  *time, *seconds;        /* (n) wall clock when it was done; how long it took */
    int64_t  best;                  /* which of them RUN/ckpt/best names; -1: none */
} Evals;

extern const char *const EVALS_KEY[EVALS_VALUES];      /* "loss", "loss_text", "loss_visual", "mean" */

/* best: the step that RUN/ckpt/best names, or -1.  *x is zero, or what an earlier call left. */
void evals_read(Evals *x, const char *dir, int64_t best);
void evals_free(Evals *x);
