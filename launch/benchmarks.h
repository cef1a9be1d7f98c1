/*
 * benchmarks.h -- RUN/benchmarks.jsonl: what `asvr eval` has found of tables of benchmarks, over the steps of a run
 *
 *     {"step": 100, "time": 1700000000.5, "weights": "9f2c...", "benchmarks": {"POPE": {"kind": "pope", "score": 0.85, "n": 9000, ...}}}
 *
 * A line a call of eval, added with one write.  A line that a full disk or a crash cut is no line; the next one begins behind it.  Whoever trains
 * leaves the file alone.
 *
 * Local.  Tests: tests/launch/{kits,evalevery,report}.sh, tests/peers/check_events.py
 */
#pragma once
#include "io/base/json.h"

/* Opens the file, makes it if there is none, and waits until no other call has it open so: what calls at once leave in the run's folder they write in turn
   (flock; where the file system has none, as they come).  For file_close; -1: EXIT_IO. */
int  benchmarks_open(const char *run_dir, Err *e);
/* Takes line over.  EXIT_IO. */
bool benchmarks_append(int fd, const char *run_dir, json_t *line, Err *e);
/* By step, ascending: an object a step, as a line, with what was found last of each table.  Empty where there is no file. */
json_t *benchmarks_read(const char *run_dir);
/* All of it for TensorBoard, in a new file of RUN/tensorboard/benchmarks that takes the place of the older ones.  EXIT_IO. */
bool benchmarks_events(const char *run_dir, Err *e);
