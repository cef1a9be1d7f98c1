/*
 * commit.h -- rank 0's side of a save: the folder, the manifest, the rename, `latest`, old checkpoints
 *
 * Local, any thread; nothing here knows of MPI.  The order of durable steps is ckpt.h's.
 * Tests   tests/io/ckpt/test_ckpt_faults.c
 */
#pragma once
#include "io/base/files.h"
#include "io/ckpt/manifest.h"

typedef struct {
    const char *dir;                                    /* RUN/ckpt */
    char  name[32];                                     /* step-N */
    char  temp[PATH_ROOM], final[PATH_ROOM];            /* dir/.tmp-TAG-step-N, dir/step-N */
    char  file[PATH_ROOM];                              /* tensors.h5 in temp */
    int   keep;
    bool  best;                                         /* `best` is to name it */
    bool (*may)(void *owner, Err *e);                   /* asked before anything becomes visible or goes away; NULL: yes */
    void *owner;
} Commit;

/* Names of a save of this step.  Local, the same on all ranks. */
bool commit_names(Commit *c, const char *dir, int64_t step, const char *tag, Err *e);
/* An empty temporary folder. */
bool commit_begin(const Commit *c, Err *e);
/* The manifest, with what meta.beside names, durable in the folder; then the folder gets its name. */
bool commit_manifest(const Commit *c, const Manifest *m, Err *e);
bool commit_publish(const Commit *c, Err *e);
/* After the rename: failures are warnings, and what is no longer ours is left alone. */
void commit_latest(const Commit *c);
void commit_best(const Commit *c, int64_t step);        /* where c->best */
/* Never the step that `best` names. */
void commit_prune(const Commit *c, int64_t step);
/* Removes the temporary folder, if there is one. */
void commit_clear(const Commit *c);
