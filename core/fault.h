/*
 * fault.h -- faults on purpose, in debug builds alone: ASVR_FAULT=RANK:STEP:POINT:ACTION[:VALUE],...
 *
 *     RANK    as the launcher counts, or *
 *     STEP    the step under way, counted from 1; 0 before the first one of this life; N+ from step N on; *
 *     POINT   a place in the program:
 *                 start up    open load list
 *                 a step      data forward backward reduce optim log eval save
 *                 a save      mkdir layout tensors hash manifest rename latest best prune (io/ckpt/ckpt.h)
 *     ACTION  kill            SIGKILL to this process        exit:CODE    leaves without a word (1)
 *             stop            SIGSTOP to this process        slow:SECONDS sleeps here, in this step and all later ones
 *             fail:ERRNO      what stands here fails, on this rank alone
 *             nan             a number of what is computed here becomes one       spike:FACTOR   all are multiplied (1e10)
 *             flip:TENSOR     a bit of the first tensor whose name contains TENSOR turns, once (where tensors are at hand)
 *
 *     ASVR_FAULT=1:12:reduce:kill    ASVR_FAULT=*:3+:forward:nan    ASVR_FAULT=0:20:save:flip:decoder.0.attn.wq
 *
 * What cannot be understood ends the program.  With NDEBUG nothing of this is in the program.
 * Local.  Tests  tests/faults
 */
#pragma once
#include "core/param.h"

/* x: an array of float or double.  FAILS: true after filling the Err (io/base/err.h). */
#ifdef NDEBUG
#define FAULT(point)                         ((void)(point))
#define FAULT_STEP(step)                     ((void)0)
#define FAULT_NUMBERS(point, x, n)           ((void)0)
#define FAULT_TENSORS(point, table, weights) ((void)0)
#define FAILS(point, e)                      ((void)(point), false)
#else
#define FAULT(point)                         fault_point(point)
#define FAULT_STEP(step)                     fault_step(step)
#define FAULT_NUMBERS(point, x, n)           fault_numbers(point, x, n, sizeof *(x) == sizeof(double))
#define FAULT_TENSORS(point, table, weights) fault_tensors(point, table, weights)
#define FAILS(point, e)                      (fault_fails(point, &(e)->error) && !err_set(e, EXIT_IO, point, "", "made to fail by ASVR_FAULT"))
#endif

void fault_step(int64_t step);
void fault_point(const char *point);
bool fault_fails(const char *point, int *error);
void fault_numbers(const char *point, void *x, int64_t n, bool doubles);
void fault_tensors(const char *point, const Params *t, float *weights);
