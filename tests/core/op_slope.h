/* op_slope.h -- the reference's backward ops against central differences of its forward ops: <dy, y>, dy random */
#pragma once
#include "tests/core/op_check.h"

/* Each bwd of the reference against differences of its fwd. */
static inline void check_slopes(const OpCase *c, const Shape *s)
{
    /* Central differences err by step^2/6 f''' (1e-5) and by the rounding of float outputs over the step (1e-5):
       2^-7 is near the cube root of 6 * 6e-8, where both are equal.  1e-3 leaves room for a large f'''. */
    const double step = 0x1p-7, tolerance = 1e-3;
    enum { SAMPLES = 24 };
    Job j = job(c, s), before = job(c, s);
    preset(&before);
    run_job(c, &OPS_REF, &j);
    float *plus = buffer(j.ny[0]);
    for (int k = 0; k < j.inputs; k++) {
        double norm = 0;
        for (int64_t i = 0; i < j.nx[k]; i++)
            norm += pow(j.dx[k][i] -= j.adds[k] ? before.dx[k][i] : 0, 2) / (double)j.nx[k];
        for (int64_t t = 0; t < min64(j.nx[k], SAMPLES); t++) {
            int64_t i = j.nx[k] <= SAMPLES ? t : rng_below(j.nx[k], 7, 300, (uint64_t)t);
            float x = j.x[k][i], up = x + (float)step, down = x - (float)step;
            double slope = 0, noise = 0;
            j.x[k][i] = up;
            c->fwd(&OPS_REF, &j);
            memcpy(plus, j.y[0], (size_t)j.ny[0] * sizeof *plus);
            j.x[k][i] = down;
            c->fwd(&OPS_REF, &j);
            j.x[k][i] = x;
            for (int64_t o = 0; o < j.ny[0]; o++)
                if (plus[o] != j.y[0][o]) {
                    slope += j.dy[o] * ((double)plus[o] - j.y[0][o]) / ((double)up - down);
                    noise += pow((double)j.dy[o] * plus[o] * FLT_EPSILON / step, 2);
                }
            double got = j.dx[k][i], room = tolerance * (fabs(got) + sqrt(norm)) + 2 * sqrt(noise) + FLT_EPSILON / step;
            if (!(fabs(got - slope) <= room))
                fail_msg("%s, shape %d: slope of input %d at %lld is %.6g, bwd says %.6g", c->name, (int)(s - c->shape), k,
                         (long long)i, slope, got);
        }
    }
    free(plus);
    job_free(&j), job_free(&before);
}

static inline void check_all_slopes(const OpCase *c, int n)
{
    for (int i = 0; i < n; i++)
        for (int s = 0; s < c[i].shapes; s++)
            check_slopes(&c[i], &c[i].shape[s]);
}
