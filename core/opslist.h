/*
 * opslist.h -- the names of all ops: what fills, overlays, wraps or checks the table goes through this list
 *
 * X(f) for every member of Ops (ops.h) but the name, in its order.  core/ops.c does not compile if one is missing.
 */
#pragma once

#define OPS_LIST(X)                                                                                                    \
    X(linear_fwd) X(linear_dx) X(linear_dw) X(linear_pack) X(linear_rows) X(product) X(gram)                           \
    X(rmsnorm_fwd) X(add_rmsnorm_fwd) X(rmsnorm_bwd) X(rmsnorm_dw) X(layernorm_fwd) X(add_layernorm_fwd) X(layernorm_bwd)            \
    X(l2norm_fwd) X(l2norm_bwd) X(gelu_fwd) X(gelu_bwd) X(swiglu_fwd) X(swiglu_bwd)                                    \
    X(add_fwd) X(scale) X(blend) X(fill) X(zero) X(copy)                                                               \
    X(add_rows_fwd) X(add_rows_bwd) X(embed_fwd) X(embed_bwd) X(gather) X(scatter) X(scatter_add) X(local_ids)         \
    X(attention_fwd) X(attention_bwd) X(depth_attention_fwd) X(depth_attention_bwd) X(rope)                            \
    X(patches) X(area_mean)                                                                                            \
    X(xent_max) X(xent_sum) X(xent_bwd) X(xent_soft_target) X(xent_soft_bwd) X(xent_loss) X(sigmoid_contrast) X(mse)   \
    X(noise) X(noise_mix)                                                                                              \
    X(nearest) X(nearest_bid) X(nearest_won) X(nearest_m) X(soft_targets) X(residual)                                  \
    X(code_stats) X(code_count) X(code_update) X(code_restart) X(take_codes) X(given_codes)                            \
    X(entropy) X(pick)                                                                                                 \
    X(draw) X(hash)                                                                                                    \
    X(sumsq) X(sumsq_blocks) X(sum_tree) X(fixed_add) X(fixed_join) X(fixed_round)                                   \
    X(to_bf16) X(from_bf16) X(adamw)
