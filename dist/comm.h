/*
 * comm.h -- the only wrappers of MPI
 *
 * Counts are 64-bit; what is longer than an MPI count goes in several calls.  An MPI error dies with MPI's
 * own text.  Everything below is collective over `comm` unless it says Local, and is called from the main
 * thread (MPI_THREAD_FUNNELED).
 *
 * Debug builds ask before each collective whether all ranks are about to do the same: its number on this communicator, its
 * kind and its size.  Where they differ the program ends and names two ranks that do not agree and what each was about to do.
 *
 * What the ranks of a grid say to each other is counted by the axis that a communicator serves (grid.h).
 *
 * Sums give the same bits on all ranks of comm, and the same bits again for the same number of ranks on the
 * same machine; with another number of ranks the order of additions, so the last bits, may differ.
 *
 * Tests: tests/dist/test_comm.c
 */
#pragma once
#include <mpi.h>
#include <stdatomic.h>

#include "core/base.h"

int  comm_rank(MPI_Comm comm);                                 /* Local */
int  comm_size(MPI_Comm comm);                                 /* Local */
void comm_barrier(MPI_Comm comm);

/* What this rank has said since the program began, by axis: collectives over more than one rank; bytes that have to leave it
   (comm_sum_bytes; of an exchange or collection what goes to others); seconds inside of them, waiting included. */
enum { AXIS_NONE, AXIS_WORLD, AXIS_DP, AXIS_TP, AXES };
typedef struct { int64_t calls, bytes; double seconds; } CommCount;
extern CommCount comm_count[AXES];
void comm_axis(MPI_Comm comm, int axis);                       /* from here on comm counts there.  Local */
/* What a rank has to send in a sum or maximum of so many bytes: each of R parts away once as addend, once as sum.  Local. */
static inline int64_t comm_sum_bytes(int64_t bytes, int ranks) { return 2 * bytes * (ranks - 1) / ranks; }

/* What this rank's main thread is doing, for other threads to read (watch.h): in which collective it is, packed, or 0; and how
   often that has changed. */
typedef struct { int kind, axis, id; int64_t number; } CommWhere;   /* id: of the communicator; number: of its collectives */
typedef struct { _Atomic uint64_t moves, inside; } CommNow;
extern CommNow comm_now;
extern double comm_waited;                                     /* seconds in collectives, all of them; the main thread's */
const char *comm_kind(int kind);                               /* "allreduce" */
static inline uint64_t comm_pack(CommWhere w)
{
    return (uint64_t)w.number << 16 | (uint64_t)(w.id & 255) << 8 | (uint64_t)w.axis << 5 | (uint64_t)w.kind;
}
static inline CommWhere comm_unpack(uint64_t x) { return (CommWhere){ x & 31, x >> 5 & 7, x >> 8 & 255, (int64_t)(x >> 16) }; }

/* For agreements that others make by MPI (io/base/agree.h): this rank begins to wait in one, or has ended.  Local. */
void comm_agrees(MPI_Comm comm, bool begins);

/* x (n), in place */
void comm_sum_f32(MPI_Comm comm, float *x, int64_t n);
void comm_sum_f64(MPI_Comm comm, double *x, int64_t n);
void comm_sum_i64(MPI_Comm comm, int64_t *x, int64_t n);
void comm_sum_u64(MPI_Comm comm, uint64_t *x, int64_t n);      /* modulo 2^64 */
void comm_max_f32(MPI_Comm comm, float *x, int64_t n);
void comm_max_f64(MPI_Comm comm, double *x, int64_t n);
void comm_bcast(MPI_Comm comm, void *x, size_t bytes, int root);

/* Collectives in two phases.  Buffers belong to MPI between start and the test or wait that ends it.  All ranks of a
   communicator start the same ones in the same order.  test: Local, true when done; every call lets all that is under way
   progress.  wait: returns when done. */
typedef struct {
    MPI_Request request, check;                                /* check, in debug builds: do all ranks do the same? */
    MPI_Comm    comm;
    int         kind;
    int64_t     number, away /* bytes */, mine[8], all[8];
} CommOp;

bool comm_test(CommOp *op);
void comm_wait(CommOp *op);
/* *code <- the largest of all ranks */
void comm_agree_start(MPI_Comm comm, int *code, CommOp *op);
/* Where in a buffer what each rank gives or gets lies, in elements. */
typedef struct { const int *count, *at; } CommPieces;
/* Everybody sends everybody a piece.  elem: 2, 4 or 8 bytes.  total: elements of all pieces of all ranks, for the check. */
void comm_exchange_start(MPI_Comm comm, const void *send, CommPieces to, void *recv, CommPieces from, int elem, int64_t total,
                         CommOp *op);
/* Everybody gets everybody's piece of x; one's own is in its place already. */
void comm_collect_start(MPI_Comm comm, void *x, CommPieces pieces, int elem, CommOp *op);

/* Lets MPI move what is under way, if anything is and the last time is a while ago: for whoever computes long between two calls of the
   above (core/meanwhile.h).  Ends nothing.  Local; main thread. */
void comm_progress(void);

/* The largest code of all ranks: everyone learns the worst. */
int  comm_agree(MPI_Comm comm, int code);
/* all (size, bytes) <- everybody's `bytes` bytes */
void comm_gather(MPI_Comm comm, const void *mine, void *all, int bytes);
/* all (size) <- everybody's value */
void comm_gather_u64(MPI_Comm comm, uint64_t value, uint64_t *all);
/* all <- everybody's bytes[rank] bytes of mine, one behind the other; bytes is the same everywhere */
void comm_gather_bytes(MPI_Comm comm, void *all, const void *mine, const int64_t *bytes);
/* Dies on all ranks, naming a rank that differs, unless `value` is equal everywhere. */
void comm_same(MPI_Comm comm, const char *what, uint64_t value);

/* New communicators, freed by comm_free; their errors come back to the wrappers above.
   Equal colors come together, ordered by key. */
MPI_Comm comm_split(MPI_Comm comm, int color, int key);
MPI_Comm comm_split_node(MPI_Comm comm);                       /* the ranks that share this node's memory */
void     comm_free(MPI_Comm *comm);

/* Every rank to every rank: nout[r] floats of out go to rank r, nin[r] floats of in come from it; both buffers hold the
   ranks' shares one behind the other.  nin[r] here is nout[this rank] there; where it is 0 nothing is sent. */
void comm_exchange_f32(MPI_Comm comm, float *in, const int64_t *nin, const float *out, const int64_t *nout);
