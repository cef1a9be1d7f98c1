/*
 * jobend.h -- when the time of this Slurm job is over
 *
 *     SLURM_JOB_END_TIME   newer Slurms set it.  In the past it is left from an earlier life, or from whoever submitted: no answer
 *     squeue -h -j ID -o %e   asked once, a few seconds at most.  ID of an array's element: ${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
 *
 * Local.  Tests: tests/io/base/test_command.c
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { JOBEND_TEXT = 256 };

/* Seconds since 1970; 0: unknown, or no end.  said: who says so, or why nobody knows; "" outside Slurm. */
double jobend(char said[JOBEND_TEXT]);

/* "2026-11-28T22:13:42", a time of UTC, in the first line of text; 0: it is none. */
double jobend_time(const char *text);
/* What squeue's answer means: it exited so (command.h), having said that, while the clock showed `clock`.  As jobend. */
double jobend_answer(int status, int error, const char *text, double clock, char said[JOBEND_TEXT]);
