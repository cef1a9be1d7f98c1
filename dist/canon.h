/*
 * canon.h -- the canonical order of additions: one fixed binary tree over the micro-batches of a step
 *
 *     node (k, j) = the micro-batches [j 2^k, (j+1) 2^k) of the global batch, as far as they exist
 *     its value   = value of (k-1, 2j) + value of (k-1, 2j+1), or the first alone where the second is empty
 *
 * Which rank computes what does not enter, so any number of replicas gives the same bits.  A replica holds a range of
 * micro-batches, [r A, (r+1) A); what it can add up by itself is the few largest nodes inside its range: one where A is a
 * power of two (or with one replica), else at most 2 log2 A.  Additions of float commute, so it does not matter which of two
 * buffers takes the sum.
 *
 *     12 micro-batches, 3 replicas of 4                       4 replicas of 3: two parts each
 *               root                                                    root
 *          ┌─────┴──────┐                                          ┌─────┴──────┐
 *        (3,0)        (2,2)                                      (3,0)        (2,2)
 *      ┌───┴───┐        │                                      ┌───┴───┐     ┌──┴──┐
 *    (2,0)   (2,1)    (2,2)                                  (2,0)   (2,1) (1,4) (1,5)
 *    rank 0  rank 1   rank 2                            0 0 0 1    1 1 2 2   2 3   3 3
 *
 * Integers only; bucket.h moves the gradients.  Local.
 * Tests   tests/dist/test_canon.c
 */
#pragma once
#include "core/ops.h"

enum { CANON_NODES = 128 };        /* a range is never more nodes than that */

typedef struct { int level; int64_t index; } CanonNode;

/* Whole nodes that wait for their sibling, in the order of their micro-batches. */
typedef struct { int n; CanonNode node[CANON_NODES]; } CanonStack;

/* Puts a node on the stack and, as long as the two uppermost are siblings, makes one of them: how many times. */
int canon_push(CanonStack *s, CanonNode node);
/* The largest nodes inside the micro-batches [first, first + n). */
CanonStack canon_parts(int64_t first, int64_t n);
/* How many nodes wait, at most, while one of the micro-batches [first, first + n) is computed: buffers of that many gradients. */
int canon_waiting(int64_t first, int64_t n);

/* Which of n neighbouring nodes, in the order of their micro-batches, add up to one: sum k is of the nodes first[k] .. first[k + 1] - 1.
   first (CANON_NODES + 1); returns the number of sums. */
int canon_sums(const CanonNode *node, int n, int *first);
/* The n - 1 additions that leave in slot 0 the sum of all nodes, which lie in slots 0 .. n-1 in the order of their
   micro-batches and together are one node (canon_sums) or all of a step's. */
void canon_additions(Addition *add, const CanonNode *node, int n);
