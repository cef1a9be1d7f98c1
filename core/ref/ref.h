/*
 * ref.h -- the reference backend, op by op: naive loops, sums in double, one thread
 *
 * ref_f implements the member f of Ops; its prototype and its contract are those of core/ops.h.
 * Sums over rows that an index array chooses (embed_bwd, scatter_add, ...) run in float, in row order.
 * Tests: tests/core/test_ops*.c (finite differences, invariants)
 */
#pragma once
#include "core/ops.h"

/* Every member of Ops but the name. */
#define REF_OPS(_)                                                                                                     \
    _(linear_fwd) _(linear_bwd) _(product)                                                                             \
    _(rmsnorm_fwd) _(rmsnorm_bwd) _(layernorm_fwd) _(layernorm_bwd) _(l2norm_fwd) _(l2norm_bwd)                        \
    _(gelu_fwd) _(gelu_bwd) _(swiglu_fwd) _(swiglu_bwd) _(add_fwd) _(scale) _(blend) _(zero) _(fill) _(copy)                  \
    _(add_rows_fwd) _(add_rows_bwd) _(embed_fwd) _(embed_bwd) _(gather) _(scatter) _(scatter_add)                      \
    _(attention_fwd) _(attention_bwd) _(depth_attention_fwd) _(depth_attention_bwd) _(rope)                            \
    _(patches) _(area_mean)                                                                                            \
    _(xent_max) _(xent_sum) _(xent_bwd) _(xent_loss) _(xent_soft_target) _(xent_soft_bwd) _(sigmoid_contrast)          \
    _(nearest) _(nearest_bid) _(nearest_won) _(nearest_m) _(soft_targets) _(residual)                                  \
    _(code_stats) _(code_count) _(code_update) _(code_restart) _(pick)                                                 \
    _(entropy) _(mse) _(noise) _(noise_mix)                                                                            \
    _(sumsq) _(sumsq_blocks) _(sum_tree) _(to_bf16) _(from_bf16) _(adamw)

#define REF_PROTOTYPE(f) __typeof__(*((Ops *)0)->f) ref_##f;
REF_OPS(REF_PROTOTYPE)
#undef REF_PROTOTYPE

static inline double ref_dot(const float *a, const float *b, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += (double)a[i] * b[i];
    return s;
}

/* n doubles, to be freed; the reference is the one backend that allocates. */
double *ref_buffer(int64_t n);
