/*
 * benchmarks.h -- RUN/benchmarks.jsonl: what `asvr eval` has found of tables of benchmarks, over the steps of a run
 *
 *     {"step": 100, "time": 1700000000.5, "weights": "9f2c...", "benchmarks": {"POPE": {"kind": "pope", "score": 0.85, "n": 9000, ...}}}
 *
 * A line a call of eval, added with one write, so that two calls at once leave both.  A line that a full disk or a crash cut is no line; the
 * next one begins behind it.  Whoever trains leaves the file alone.
 *
 * Local.  Tests: tests/launch/{kits,evalevery,report}.sh, tests/peers/check_events.py
 */
#pragma once
#include "io/base/json.h"

/* Takes line over.  EXIT_IO. */
bool benchmarks_append(const char *run_dir, json_t *line, Err *e);
/* By step, ascending: an object a step, as a line, with what was found last of each table.  Empty where there is no file. */
json_t *benchmarks_read(const char *run_dir);
/* All of it for TensorBoard, in a new file of RUN/tensorboard/benchmarks that takes the place of the older ones.  EXIT_IO. */
bool benchmarks_events(const char *run_dir, Err *e);
