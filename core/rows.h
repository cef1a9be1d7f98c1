/*
 * rows.h -- packed rows: several sequences, one behind the other, none padded
 *
 * Lists of indices belong to the host: the layout writes them, ops read them.
 * Local.
 */
#pragma once
#include <stdint.h>

typedef struct {
    int64_t N;                             /* rows of all sequences */
    int     B;                             /* sequences */
    const int32_t *start;                  /* (B+1): rows start[b] .. start[b+1] are those of b */
    const int32_t *pos;                    /* (N) place of each row in its sequence, or NULL where nobody asks */
} Rows;
