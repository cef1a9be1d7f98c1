/*
 * log.h -- RUN/run.jsonl and the terminal
 *
 * One JSON object a step, one line each, always the same keys (docs/FORMATS.md); NaN and infinity are null.
 * `loss_hex` is the loss as C prints it with %a: two runs are the same run when these columns are equal.
 * On a terminal the human side is one line redrawn in place:
 *
 *     instruct  412/700 [########......]  loss 1.2340  text 0.9000  visual 2.1000  123.4 samples/s  ETA 3:21
 *
 * elsewhere plain lines, two seconds apart at first and a minute in the end, and the first and the last.  A full disk or a closed
 * stdout must not end a training run: it is said once on stderr, and training goes on.
 * Local, rank 0 only; a NULL Log says nothing, so that any rank may call.  SIGPIPE is ignored from log_open on.
 * Tests: tests/io/base/test_log.c
 */
#pragma once
#include <jansson.h>

#include "io/base/err.h"
#include "io/base/lease.h"

enum { LOG_DEPTHS = 32 };

typedef struct {
    int64_t step;                                       /* counts from 1: the step just done */
    double  time;                                       /* wall clock, seconds since the epoch */
    int64_t samples, tokens;
    double  loss, loss_text, loss_visual;
    double  loss_visual_depth[LOG_DEPTHS];
    int     depths;                                     /* how many of them */
    double  code_usage[LOG_DEPTHS], code_perplexity[LOG_DEPTHS];
    int     books;                                      /* how many of these */
    int64_t code_restarts;
    double  grad_norm, lr;
    int64_t skipped;
    double  tokens_per_s, samples_per_s, flops_share;
    double  t_step, t_data, t_forward, t_backward, t_reduce, t_optim, t_ckpt;
    double  rss_mb;
    int     straggler;                                  /* rank that the others wait for, if it has a host */
    const char *straggler_host;                         /* NULL: none */
    double  straggler_seconds;                          /* a step; of a slow link a word and its answer */
    const char *straggler_link;                         /* its link is slow: the collective that it was in, or ""; else NULL */
    int     restart, world, dp, tp, threads;
    const char *stage;                                  /* for the human line only; may be NULL */
    const char *terms;                                  /* likewise: the loss's terms where they are not text and visual */
} StepLog;

typedef struct Log Log;

/* Opens RUN/run.jsonl to append.  resume_step is the first step that this life will log; what earlier lives left is taken over as
   logfile.h says.  lease: of RUN, or NULL. */
Log *log_open(const char *run_dir, int64_t resume_step, Lease *lease, Err *e);
/* From now on log_step also writes what TensorBoard reads (events.h), where the log was opened.  EXIT_IO. */
bool log_events(Log *l, const char *run_dir, int64_t resume_step, Err *e);
/* A line of evals.jsonl, for TensorBoard; nothing without log_events. */
void log_evaluation(Log *l, const json_t *line);
/* How many lives of this run wrote lines before this one: the `restart` of this life. */
int  log_restart(const Log *l);
/* Appends the line and shows the human side; total_steps is where the bar ends. */
void log_step(Log *l, const StepLog *s, int64_t total_steps);
/* A plain message on stdout that does not break the bar. */
void log_line(Log *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* False where run.jsonl was removed or replaced while we write to it.  Looks at the name once a second; costs a microsecond. */
bool log_there(Log *l);
/* Makes the lines so far durable (before a checkpoint that counts on them). */
void log_sync(Log *l);
void log_close(Log *l);

/* Whether what is written to this descriptor may use a terminal's control sequences, behind a launcher, too. */
bool log_screen(int fd);
/* The error block on stderr: what, and of expected, got, where, hint those that are set. */
void log_error(const Err *e);
/* "asvr: warning: MESSAGE" on stderr. */
void log_warn(const char *message);
/* "asvr: warning: DOING: errno's text", unless told already. */
void log_warn_once(bool *told, const char *doing, int error);
