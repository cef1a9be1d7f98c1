/*
 * stop.h -- signals become one number
 *
 * Schedulers ask a job to end by TERM, USR1, USR2, INT or XCPU, on one rank or on all.  The handler only
 * counts; the training loop adds the number to the vector that a step sums anyway, so all ranks learn it
 * after the same step.  All functions are Local and touch no MPI.
 *
 * Tests: tests/dist/test_stop.c
 */
#pragma once

/* Handles the five signals from now on; interrupted system calls are restarted.  Forgets what was asked before. */
void stop_install(void);
/* How often this rank was asked to stop: 0 go on, 1 save and stop, more: stop at once. */
int  stop_requested(void);
