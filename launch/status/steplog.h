/*
 * steplog.h -- run.jsonl read in one pass, and then only what has been added
 *
 * Kept are the latest rows, the sums of each life's lines, and the last line's figures.  Of a line only the keys that are needed are
 * looked for, in their order: what an older version did not write is NaN, a line that is none is counted, one without an end waits.
 *
 * Local.  Errors: EXIT_IO.  Tests: tests/launch/{status,report}.sh
 */
#pragma once
#include "io/base/err.h"

enum { STEPLOG_ROWS = 1024 };
#define STORY_LATEST 1e11               /* seconds since 1970: what is said to be later is damaged */

typedef struct {
    int64_t step;
    double  time, tokens, loss, text, visual, tokens_s, samples_s, t_step, t_ckpt;
} StepRow;

/* The lines of one life: those of one `restart`. */
typedef struct {
    int64_t restart, first, last;   /* steps */
    double  begin, end;             /* wall clock: its first step began; its last was logged */
    double  steps, saves, other;    /* seconds: in steps; in saves between them; between them otherwise */
    int     world, dp, tp, threads;
} StepLife;

typedef struct StepFile {
    bool      there;                /* there is a run.jsonl */
    StepRow   row[STEPLOG_ROWS];    /* the i-th line is row[i % STEPLOG_ROWS] */
    int64_t   rows;                 /* lines so far */
    StepLife *life;                 /* (lives) */
    int       lives;
    int64_t   skipped, damaged;     /* as the last line says; lines that are none */
    int       straggler;            /* of the last line: rank, or -1 */
    char      straggler_host[64];
    double    straggler_seconds;
    bool      straggler_link;       /* its link is slow, not what it computes */
    int64_t   at;                   /* bytes read */
    uint64_t  inode;
    void    (*each)(void *ctx, const struct StepFile *s, const char *line);     /* or NULL; told of each line that counts, now row 0 */
    void     *ctx;
} StepFile;

/* What is new; all, where it is another file by now, or was cut.  *s is zero at first. */
bool steplog_read(StepFile *s, const char *run_dir, Err *e);
void steplog_free(StepFile *s);
/* The number behind a key ("\"loss\": "), looked for from *at on, which then moves there; NaN for null, and where there is no such key. */
double steplog_number(const char **at, const char *key);
/* The i-th row from the end, 0 the last; NULL where it is not kept. */
const StepRow *steplog_row(const StepFile *s, int64_t i);
/* Of the kept rows: the median of samples a second; seconds from step to step, saves included, over the last life's latest. */
double steplog_rate(const StepFile *s);
double steplog_pace(const StepFile *s);
