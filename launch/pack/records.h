/*
 * records.h -- the records of a JSON file: found by all ranks together, some drawn to be held out
 *
 * Finding: each rank goes over the records that begin in its slice of the bytes, then everybody gets all offsets and kinds
 * (llavaindex.h): 9 bytes a record on each rank.
 *
 * Drawing: records come in kinds (without a picture, with one, with several), often one kind behind the other, so the tail
 * of a file is no sample of it.  Of each kind so many are held out as its share of all, by largest remainders; which ones, a
 * keyed permutation of the kind's records says (order.h), whose key is the seed's and the kind's.  The same for any number of
 * ranks; nobody is both held out and trained on; a bad record is never held out.
 *
 * Tests   tests/launch/draw.sh, tests/launch/llava.sh
 */
#pragma once
#include <mpi.h>

#include "io/source/llavaindex.h"

typedef struct {
    int64_t  n;
    int64_t *offset;               /* (n) where each begins */
    uint8_t *kind;                 /* (n) KIND_, perhaps + KIND_ANSWER_FIRST + KIND_ASKED */
    int64_t  n_held;
    int64_t *held;                 /* (n_held) those held out, ascending */
} Records;

/* Collective over comm.  False on all ranks, with e set on one at least: the file is broken, or, with to_bad, its first bad
   record. */
bool    records_find(Records *x, Llava *l, bool to_bad, MPI_Comm comm, Err *e);
/* XXH64 of the file: of the hashes of its blocks of 16 MiB.  Collective over comm; false as above. */
bool    records_hash(uint64_t *hash, Llava *l, MPI_Comm comm, Err *e);
void    records_free(Records *x);

/* Holds out `wanted` records, at most half of the good ones.  Local. */
void    records_draw(Records *x, int64_t wanted, uint64_t seed);
/* The number of training record i, of those that are not held out, in the file's order.  Local. */
int64_t records_training(const Records *x, int64_t i);
