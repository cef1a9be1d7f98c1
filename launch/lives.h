/*
 * lives.h -- RUN/lives.jsonl: what each life of a run leaves of itself
 *
 *     {"event": "start", "time": 1764368045.123, "life": "9f3c...", "host": "n7", "job": "991", "restart": 1, "nodes": ["n7", "n8"], ...}
 *     {"event": "resume", "time": ..., "life": ..., "step": 400, "steps": 700, "count": 1}
 *     {"event": "ckpt", "time": ..., "life": ..., "step": 412, "seconds": 0.8}
 *     {"event": "end", "time": ..., "life": ..., "code": 75, "step": 412, "saved": 412, "worked": ..., "why": "stopped after step 412 ..."}
 *
 * docs/FORMATS.md lists the events and their keys; a line's keys have a fixed order, and its last is a hash of the line, as in run.jsonl.
 * A life that is killed leaves no end: the next one says so ("lost"), with what run.jsonl and the lease's heart told of it.
 *
 * Each life begins a new inode (logfile.h says why), so what an earlier one that still lives appends is in no file; a line that was cut
 * in half goes.  Every line is written whole and made durable, by rank 0 under the lease; but what a rank says that ends all (the
 * watchdog's verdict, a death) it writes itself, and looks at the lease itself.  A line that cannot be written is warned of once; training goes on.
 *
 * Local, rank 0's alone (others may call) unless it says otherwise.  Tests: tests/launch/status.sh
 */
#pragma once
#include "launch/run.h"

typedef struct Lives Lives;

/* A life begins: r->lease has just been taken, run.jsonl is as the life before has left it.  Sets r->lives, and rank 0 alone e
   (EXIT_IO; EXIT_CONFIG if the lease was lost).  Collective over all ranks. */
void lives_open(Run *r, Err *e);
/* It goes on from r->step. */
void lives_resume(const Run *r);
/* That step is a checkpoint of RUN/ckpt now; it took so long, 0: not known. */
void lives_ckpt(const Run *r, int64_t step, double seconds);
/* A step was logged, the last of so many that were skipped in a row. */
void lives_step(const Run *r, int skipped);
/* The others wait for that rank. */
void lives_straggler(const Run *r, const Straggler *x);
/* A line on the terminal that says why this life ends; of several the first counts. */
void lives_say(const Run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* It ends with that code, as e says where it has a code.  Closes r->lives. */
void lives_end(Run *r, int code, const Err *e);

/* Of any rank, in the watchdog's thread, just before the process ends: waits two seconds at most, for the file system may be what hangs. */
void lives_verdict(const char *what, const char *got);
/* Of any rank that dies (core/base.h), before it ends the others; likewise. */
void lives_died(int code);
