/*
 * panel.h -- products by panels: what is multiplied, how the sum over the inner dimension is cut and where its parts are joined
 *
 *     c (M,N) = or += alpha sum_t op(a_t) op(b_t)          one term, or several with c in common
 *
 * The inner dimension is a row of leaves (core/linear.h); a leaf is its block of each term, one behind the other.  Packed and multiplied is a
 * chunk at a time:
 *
 *     small leaves     a power of two of them: each a sum begun at zero, joined in the registers (tile.h)
 *     one that is      a term's block, or an equal piece of it: each a sum begun at zero, added to those before
 *     deeper than DEEPEST
 *
 * What leaves complete is a node; they are joined as a binary counter counts.  Node i takes one buffer that waits for each trailing one of i and
 * waits itself in buffer popcount(i) less those; buffer 0 is c, where the last one ends.
 *
 * So an element's bits are those of its leaves, a leaf's those of its own blocks, and what is beside the element does not matter, nor the
 * number of threads.  Leaves 0: one, cut by DEEP.
 *
 * Local.  Tests: tests/core/test_leaves.c, tests/core/test_threads.c
 */
#pragma once
#include "core/cpu/tile.h"
#include "core/linear.h"

enum { DEEPEST = 400, SPANS = LINEAR_TERMS << NEAR };

/* op(a), its element (m,k) at from[m row + k col]. */
typedef struct { const float *from; int64_t row, col; } Left;
typedef struct { Left a; const float *b; int ldb; bool tb; int K, leaves; } Factors;

typedef struct {
    float  *c;
    int64_t M;
    int     ldc, N, terms, leaves;          /* leaves: of the first term, which has the most */
    Factors term[LINEAR_TERMS];
    float   alpha;
    bool    add;
} Panels;

typedef struct { int term, at, depth; } Span;       /* of a term's K */
typedef struct {
    Span span[SPANS];                       /* one behind the other */
    int  leaf[1 << NEAR];                   /* how deep each is */
    int  spans, leaves, depth;
} Chunk;

static inline Left left_at(Left a, int64_t m, int64_t k) { return (Left){ a.from + m * a.row + k * a.col, a.row, a.col }; }

/* cpu_inner.c: of all terms; then nodes, their chunks, the deepest of all, and how many buffers there are besides c */
int  inner_depth(const Panels *p);
int  inner_nodes(const Panels *p);
int  inner_chunks(const Panels *p, int node);
void inner_chunk(Chunk *k, const Panels *p, int node, int i);
int  inner_deepest(const Panels *p);
int  inner_buffers(const Panels *p);

/* cpu_panel.c: by all threads, or by this one of a team; so many floats of room for buffers, where there are any (inner_buffers).  Then rows
   [m, m + M) and columns [n, n + N) of c. */
void   panel_product(const Panels *p, float *room, int64_t floats);
Panels panels_part(const Panels *p, int64_t m, int64_t M, int n, int N);
/* One term, whose b lies as whole panels, each ldb deep (Linear.packed): the same bits; shared by threads. */
void   panels_packed(const Panels *p);
/* cpu_product.c: shared by threads as its shape suggests */
void panels_shared(const Panels *p);
