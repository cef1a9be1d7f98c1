/*
 * rows.h -- what the host knows of tensors: packed rows, and lists
 *
 * A list (integers, or the few doubles of a table) is written by the layout, on the host, and read by ops: which row goes where,
 * whose turn it is.  LIST takes its room; what TAKE takes is a tensor's, and only ops read or write it, be it float or int32_t (codes).
 * Here both come from one arena, unless it lies nowhere.  A backend with a memory of its own takes the one there, keeps the other, and nothing else changes.
 *
 * Local.  Tests: tests/layers.sh (no file of the model subscripts a tensor)
 */
#pragma once
#include "core/arena.h"

#define LIST(a, type, n) ((type *)arena_list((a), (int64_t)(n), sizeof(type)))

/* What of a block backward does not find on the tape but computes once more, by the same calls (train.recompute): nothing; q, k, v and
   attention; all but the block's output. */
enum { RECOMPUTE_NONE, RECOMPUTE_ATTENTION, RECOMPUTE_BLOCK };

typedef struct {
    int64_t N;                             /* rows of all sequences, one sequence behind the other, none padded */
    int     B;                             /* sequences */
    const int32_t *start;                  /* (B+1): rows start[b] .. start[b+1] are those of b */
    const int32_t *pos;                    /* (N) place of each row in its sequence, or NULL where nobody asks */
} Rows;
