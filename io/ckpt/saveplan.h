/*
 * saveplan.h -- who writes which rows of a checkpoint, and what crosses between ranks for that
 *
 *     wq (rows, cols) on 4 replicas            wo (rows, cols) on 2 tp ranks, each with half of the columns
 *         ┌──────────┐ rank 0 writes                ┌─────┬─────┐
 *         ├──────────┤ rank 1                       │  0  │  1  │ rank 0 writes, rank 1 sends its half of these rows
 *         ├──────────┤ rank 2                       ├─────┼─────┤
 *         ├──────────┤ rank 3                       │  0  │  1  │ rank 1 writes, rank 0 sends
 *         └──────────┘                              └─────┴─────┘
 *
 * Ranks that hold the same box of a tensor share the writing of it: equal blocks of rows, small tensors whole, to those that
 * have least to write so far.  A rank may have several boxes of a tensor.  Where boxes are so narrow that their rows would be writes of a few KiB each, all of their
 * holders share whole rows instead, and send each other what is missing: a file system sees long runs alone.
 * Boxes are given once, in one collective; every later save follows the plan without asking anybody.
 *
 * Source  Thakur, Gropp, Lusk, "Data sieving and collective I/O in ROMIO", 1999 (the two phases; here the plan stays)
 * Tests   tests/io/ckpt/test_saver.c
 */
#pragma once
#include "io/ckpt/ckpt.h"

enum { LONG_RUN = 256 << 10 };          /* bytes that are worth a write of their own */

typedef struct {
    int          tensor;
    Slice        slice;                 /* what this rank writes, a box of the tensor */
    int64_t      at;                    /* where it begins in the staging memory, floats */
    const float *live;                  /* where it lies in the caller's memory; NULL: it is put together from several ranks */
} SavePart;

/* Rows that cross: packed dense in this order.  from: the piece that they are of, of a send; to: the part that they go to. */
typedef struct { int tensor, peer, from, to; Slice slice; } SaveMove;

typedef struct {
    MPI_Comm  comm;
    int       parts, sends, recvs;
    SavePart *part;
    SaveMove *send, *recv;              /* by tensor, then peer */
    int64_t   floats, crossing;         /* of all parts; of those that need staging always */
    int64_t   widest;                   /* floats that cross for one tensor, both ways */
    const Piece *piece;
} SavePlan;

/* Plans for these pieces, whose names and memory must outlive the plan.  EXIT_INTERNAL if they do not cover a tensor just once.
   Collective over comm, agreed. */
bool saveplan_open(SavePlan *s, MPI_Comm comm, const Piece *p, int n, Err *e);
void saveplan_close(SavePlan *s);
/* What is put together from several ranks comes into stage; with `all` everything does.  work: `widest` floats.
   Collective over comm where anything crosses, else Local. */
void saveplan_stage(const SavePlan *s, float *stage, float *work, bool all);
