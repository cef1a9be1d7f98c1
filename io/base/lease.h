/*
 * lease.h -- who has a folder: one job at a time; a later life of the same Slurm job takes it over and fences the earlier
 *
 *     RUN/.lease          the holder as text (life.h), flocked by it; its time of change is a heart that beats every second
 *
 * Taking.  Whoever may take the folder writes a file of his own aside, locks it and renames it to .lease, so that the name always
 * stands for one holder.  May he?
 *
 *     a later life of the holder's Slurm job      yes, at once: the earlier is fenced
 *     flock refused                               no: it lives
 *     flock granted, machine not booted since     yes: it is dead
 *     no flock here, its process is to be seen    as that process lives or not, told by its time of start
 *     otherwise (another machine)                 yes after 5 seconds in which the heart did not beat
 *
 * No clocks are compared: the heart beats where its time changes.  "No" is said after 3 seconds, in which a job that was just
 * ended may still close.
 *
 * Fencing.  The token in .lease is the fence.  Every write that counts is made aside, under a name that has the token
 * (lease_tag), then lease_held is asked, then it gets its name.  A later life first replaces .lease and then removes all that
 * lies aside (.tmp-*).  So where an earlier life was still let through, its write is there before the later one looks, or
 * fails, since what it would rename is gone.  What is appended to (run.jsonl) gets a new inode (lease_apart).
 *
 *     l = lease_run("RUN", e);   ...   lease_held(l, e) && file_commit(aside, path, e);   ...   lease_drop(l);
 *
 * DESIGN  One thread a lease, so that a step of minutes does not look like death: it touches .lease once a second and looks whether the name
 * still stands for it.  It shares an atomic flag with the holder, nothing else, and takes no signals.
 *
 * Local, one process a job (rank 0).  A NULL lease is held by nobody and never lost.  Tests: tests/io/base/test_lease.c,
 * tests/launch/lease.sh
 */
#pragma once
#include "io/base/err.h"

typedef struct Lease Lease;

/* Makes the folder, takes it, removes what lies aside in it (.tmp-*).  NULL with EXIT_UNSAVED "WHAT by host n7, process 4242, job 12"
   where another lives; EXIT_IO. */
Lease *lease_take(const char *dir, const char *what, const char *hint, Err *e);
/* The same for a run's directory. */
Lease *lease_run(const char *dir, Err *e);
/* Ends it and says so in the file. */
void   lease_drop(Lease *l);

/* Still ours?  EXIT_CONFIG, naming who took it over; EXIT_IO where the folder is gone or cannot be read.  l is a Lease. */
bool lease_held(void *l, Err *e);
/* Costs nothing: false from at most 2 seconds after it was lost. */
bool lease_seems_held(const Lease *l);
/* 16 letters and digits that no other life has, for names of what is made aside; "" for NULL. */
const char *lease_tag(const Lease *l);
/* The holder before may still live, and may still write to files that it has open. */
bool lease_apart(const Lease *l);
/* From whom it was taken, where it was not given back: "host n7, process 4242"; else "". */
const char *lease_from(const Lease *l);
/* When that holder's heart beat last, by the file system's clock, seconds since the epoch; 0: it was given back, or there was none. */
double lease_heard(const Lease *l);

/* The newest step that was saved in this run, by this life or an earlier one, and lives to come shall know of; -1: none. */
void    lease_save(Lease *l, int64_t step);
int64_t lease_saved(const Lease *l);
