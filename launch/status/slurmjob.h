/*
 * slurmjob.h -- what Slurm says of a job, if it answers at once
 *
 * Local.  Tests: tests/launch/status.sh
 */
#pragma once
#include <stdbool.h>

typedef struct {
    bool known;                     /* squeue knows the job */
    char said[160];                 /* why not: "squeue has not answered within 2 s"; "" */
    char state[32], reason[96], left[32], start[32], nodes[256];
} SlurmJob;

/* squeue's words, in 2 seconds at most.  id "": of no job. */
void slurmjob_ask(SlurmJob *j, const char *id);
/* It may run again: it waits, runs, or is between the two. */
bool slurmjob_goes_on(const SlurmJob *j);
