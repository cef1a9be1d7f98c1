/*
 * distill.h -- stage tokenizer: codebooks, and where the codes have a tower of their own that tower
 *
 * Codes of the frozen vision tower: nothing but the quantizer learns (rqtok.h), and what the stage minimises is the
 * share of the features' energy that it leaves.
 *
 * Codes of an own tower (part "tokenizer"): it starts as a copy of the vision tower, stays near it, and gives features
 * that codes express well.  Of one picture, z after the codes' block of the own tower, q_k the sum of its first k code
 * vectors, zq = z + sg(q_Q - z) (the value is q_Q, the gradient that of z), index 0 the frozen tower:
 *
 *     distill = mean |z - z0|^2                      over patches and width
 *     pooled  = mean |p - p0|^2                      p = pool(the own tower's further blocks of zq), p0 = pool(those of z0)
 *     commit  = 1/Q sum_k mean |z - sg(q_k)|^2       z - q_k is what depth k left; the appearance codes add theirs
 *     loss    = (w_d sum distill + w_p sum pooled + w_c sum commit) / pictures of the global batch
 *
 * The pooling is that of the contrast stage, frozen; with w_p = 0 it and the further blocks are not there.
 *
 * Dims    Cv width   Q depth   P patches   I pictures
 * Source  DualToken, arXiv:2503.14324, the semantic branch
 * Tests   tests/core/test_distill.c (double loops, finite differences), tests/launch/grid.sh (any number of ranks)
 */
#pragma once
#include "core/asvr.h"

/* Adds the batch's losses to `sum`; with c.train gathers what the codebooks learn from.  Collective over tp. */
void tokenizer_forward(Model *m, Tape *t, const Batch *b, const Losses *global, Losses *sum);
/* Adds the own tower's gradients of the last forward; g may be NULL.  Collective over tp. */
void tokenizer_backward(Model *m, Tape *t, const Batch *b, const OnGrad *g);
/* Makes the own tower a copy of the vision tower.  Local. */
void distill_start(Model *m);
