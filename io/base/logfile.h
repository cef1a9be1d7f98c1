/*
 * logfile.h -- RUN/run.jsonl is taken over by a later life: what stays, what goes, what is wrong with it
 *
 *     stays       whole lines of steps before the one that this life begins with
 *     goes        lines of later steps, which will be done again, and a line at the end that was cut in half
 *     aside       lines that are damaged (each has a hash of itself), and steps that stand there twice: to run.damaged.jsonl
 *
 * What is put aside, and steps that are missing, are warned of.  Lines at the end that go are cut off in place; the file is
 * written anew only where lines in the middle go, or where an earlier life may still have it open (lease.h): what that one
 * appends then is in no file.
 *
 * Local.  Errors: EXIT_IO; EXIT_CONFIG if the lease was lost.  Tests: tests/io/base/test_log.c
 */
#pragma once
#include "io/base/lease.h"

/* " hash": eight digits, a hash of the line up to here, and the end of the line; ends the line in `text` of n bytes.  The
   new length; 0 if there is no room. */
size_t logfile_seal(char *text, size_t n, size_t room);

/* resume: the first step of this life; lease may be NULL.  *restart: lives that wrote lines before.  A file that is not there is none. */
bool logfile_take(const char *run_dir, int64_t resume, Lease *lease, int *restart, Err *e);
