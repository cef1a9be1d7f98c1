/*
 * events.h -- RUN/tensorboard/events.out.tfevents.SECONDS.HOST.PID: the numbers of run.jsonl and of evaluations for TensorBoard
 *
 * A file a life, of records (tfrecord.h) that are Event messages of protobuf; of a field its number:
 *
 *     Event    wall_time = 1 double   step = 2 int64   file_version = 3 "brain.Event:2"   summary = 5   session_log = 7
 *     Summary  value = 1, each        tag = 1 string   simple_value = 2 float
 *     SessionLog                      status = 1: START
 *
 * First comes the version; then START with the first step that this life does, at which readers drop what earlier files have of it
 * and later ones; then one Event a step with all its numbers (docs/FORMATS.md has the tags), and of an evaluation one or more.  Readers take
 * a folder's files by name, one behind the other: SECONDS is the time, but always more than the newest file's, whatever this node's clock says.
 * A record cut in half ends a file for its readers; a full disk is as of run.jsonl (append.h).
 *
 * Local, rank 0 only.
 * Source: tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto
 * Tests: tests/io/base/test_events.c, tests/launch/stop.sh, tests/peers/check_events.py
 */
#pragma once
#include <jansson.h>

#include "io/base/log.h"

typedef struct Events Events;

/* Makes the folder and a new file in it.  resume_step: the first step that will come; 0: what older files have does not count.  NULL: EXIT_IO. */
Events *events_open(const char *folder, int64_t resume_step, Err *e);
void events_step(Events *v, const StepLog *s);
/* A line of evals.jsonl, or of benchmarks.jsonl. */
void events_evaluation(Events *v, const json_t *line);
void events_sync(Events *v);
void events_close(Events *v);
