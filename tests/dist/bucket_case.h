/* bucket_case.h -- gradients to be reduced: a table of odd sizes, what micro-batches produce, and a step of this rank's */
#pragma once
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops.h"
#include "core/rng.h"
#include "dist/bucket.h"
#include "dist/comm.h"
#include "tests/dist/factors.h"

enum { TENSORS = 40 };

static int rank, size;
static Grid grid;
static Params table;
static float *grads, *want[2];

/* ---- a table of odd sizes, every fifth part frozen; as one tp rank of two it has columns to cut ---- */

static inline void open_table(int tp)
{
    char trainable[256] = "";
    Tp one = TP_ALONE;
    one.size = tp;
    Binder b = binder_declare(&table, &one);
    for (int i = 0; i < TENSORS; i++)
        param(&b, (2 + i * i % 91) / 2 * 2, i % 3 ? 2 + i % 3 * 40 : 1, i % 4 == 2 ? 0 : i % 4 == 3 && i % 3 ? 1 : -1,
              i % 7 == 6 ? STATE : 0, "part%d.%d.w", i % 5, i);
    for (int i = 0; i < 4; i++)
        snprintf(trainable + strlen(trainable), 32, "part%d ", i);
    assert_true(params_seal(&table, trainable));
    grads = calloc((size_t)table.grads, sizeof *grads);
    for (int i = 0; i < 2; i++)
        want[i] = calloc((size_t)table.grads, sizeof *want[i]);
    assert_true(grads && want[0] && want[1]);
}

static inline void close_table(void)
{
    params_free(&table);
    free(grads);
    free(want[0]);
    free(want[1]);
}

/* ---- gradients of a micro-batch m of the global batch ---- */

enum { WHOLE, SMALL, FRACTION, MIXED, SPOILED };        /* whole numbers: any order of additions gives the same bits; of MIXED half are tiny */
static struct { int m[2]; int64_t at; float x[2]; } spoil;      /* two elements that no sum should have */

static inline float value(int kind, int m, int64_t i)
{
    const double u = rng_uniform(5, (uint64_t)m, (uint64_t)i);
    if (kind == SPOILED && i == spoil.at && (m == spoil.m[0] || m == spoil.m[1]))
        return spoil.x[m != spoil.m[0]];
    return kind == WHOLE ? (float)((int)(u * 2000) - 1000) : kind == SMALL ? (float)((int)(u * 9) - 4) : (float)(2 * u - 1) * (kind > FRACTION && i % 2 ? 0x1p-30f : 1);
}

/* Does micro-batch m never produce tensor i? */
static inline bool skipped(int i, int m, int share) { return rng_below(100, 6, (uint64_t)m, (uint64_t)i) < share; }

static inline float produced(int kind, int m, int t, int64_t e, int share)
{
    return skipped(t, m, share) ? 0 : value(kind, m, table.p[t].grad + e);
}

/* In whole numbers of 2^-50; a single micro-batch is its own sum. */
static inline void exact(float *sum, int kind, int all, int share)
{
    for (int t = 0; t < TENSORS; t++)
        for (int64_t e = 0; table.p[t].grad >= 0 && e < table.p[t].count; e++) {
            int64_t whole = 0;
            for (int m = 0; m < all; m++)
                whole += llrint(ldexp(produced(kind, m, t, e, share), FIXED_BITS));
            sum[table.p[t].grad + e] = all > 1 ? ldexpf((float)whole, -FIXED_BITS) : produced(kind, 0, t, e, share);
        }
}

/* One step: in each micro-batch this rank's own random order; junk lies in a gradient until it is marked. */
static inline void step(Buckets *b, int leaves, int kind, int share, uint64_t seed)
{
    OnGrad door = buckets_door(b);
    for (int leaf = 0; leaf < leaves; leaf++) {
        const int m = grid.dp_rank * leaves + leaf;
        int order[TENSORS];
        for (int i = 0; i < TENSORS; i++) {
            int j = (int)rng_below(i + 1, seed + (uint64_t)leaf, (uint64_t)rank, (uint64_t)i);
            order[i] = order[j];
            order[j] = i;
        }
        buckets_begin(b, leaf);
        for (int i = 0; i < TENSORS; i++) {
            const Param *p = &table.p[order[i]];
            if (skipped(order[i], m, share))
                continue;
            for (int64_t e = 0; p->grad >= 0 && e < p->count; e++)
                grads[p->grad + e] += value(kind, m, p->grad + e);      /* ops accumulate */
            door.final(door.ctx, order[i], order[i] + 1);
            door.final(door.ctx, 0, 0);
        }
    }
    buckets_wait(b);
}

/* Is what this rank is to have what it should be?  Bit by bit. */
static inline void check(const Zero *z, const float *sum)
{
    for (int k = 0; k < z->sections; k++)
        for (int i = z->section[k].first; i < z->section[k].last; i++) {
            const Param *p = &table.p[i];
            const Range r = z->section[k].owned ? zero_part(z, i, z->rank) : (Range){ p->grad, p->count };
            assert_memory_equal(grads + r.at, sum + r.at, (size_t)r.n * sizeof *grads);
        }
}
