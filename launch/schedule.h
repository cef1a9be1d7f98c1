/*
 * schedule.h -- the learning rate of a step
 *
 *     warm-up     lr (step + 1) / W                        step < W = warmup steps (below 1: a share of all steps)
 *     cosine      lr (1 + cos(pi (step - W) / (steps - W))) / 2
 *     constant    lr
 *
 * Steps count from 0.  Local.  Source: ASVR, arXiv:2506.09040, section 4.1 (linear warm-up, cosine to 0).
 */
#pragma once
#include "launch/config/config.h"

/* As a share of the peak; and train.lr times that. */
double schedule_shape(const Config *c, int64_t step, int64_t steps);
double schedule_lr(const Config *c, int64_t step, int64_t steps);
