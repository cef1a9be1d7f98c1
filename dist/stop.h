/*
 * stop.h -- signals become one number
 *
 * Schedulers ask a job to end by TERM, USR1, USR2, INT or XCPU, on one rank or on all.  The handler only counts and looks
 * at the clock; the training loop adds the number to the vector that a step sums anyway, so all ranks learn it at the same
 * place.  Slurm sends TERM twice within a moment: signals that come less than stop.grace seconds after the first are the
 * same request.
 *
 * DESIGN
 * Handlers stand before MPI_Init, which may take minutes on a large job, and again after it, should it have put others
 *   there; what came in between stays counted.  Verbs that never look must not install them: there a signal ends the process.
 * In a save nobody looks, and a save may take longer than there is time: between stop_in_save(true) and (false) the second
 *   request ends this process in the handler itself, with 76, and the launcher ends the others.  What is committed by then
 *   is whole, and the temporary directory is cleaned by the next start.
 * XFSZ is ignored: a write beyond the limit then fails with EFBIG, and that is an error with a name.
 *
 * All functions are Local and touch no MPI.
 * Tests: tests/dist/test_stop.c, tests/launch/stop.sh
 */
#pragma once
#include <stdbool.h>

/* Handles the five signals from now on; interrupted system calls are restarted.  What was asked before stays asked. */
void stop_install(void);
/* Seconds after the first signal from which on another one is a second request.  5 until it is called. */
void stop_grace(double seconds);
/* What this rank was asked: 0 go on, 1 save and stop, 2 stop at once. */
int  stop_requested(void);
/* A save begins, or has ended. */
void stop_in_save(bool yes);
/* Nothing was asked. */
void stop_forget(void);
