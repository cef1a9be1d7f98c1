/* ref_depth.c -- causal attention over depth */
#include "core/prof.h"
#include "core/ref/ref.h"

#include <math.h>
#include <stdlib.h>

/* Depth j of row n, head h lies at j * step behind the first one: tensors are (Q,N,H,D). */
typedef struct {
    const float *q, *k, *v, *datt;
    int64_t step;
    int     Q, D;
} Depths;

static Depths depths(const Depths *all, int64_t row)
{
    Depths s = *all;
    s.q += row * s.D, s.k += row * s.D, s.v += row * s.D;
    if (s.datt)
        s.datt += row * s.D;
    return s;
}

/* att at the first depth of its row, prob (Q,Q) with zeros above the diagonal. */
static void attend(float *att, float *prob, const Depths *s)
{
    for (int i = 0; i < s->Q; i++) {
        float *p = prob + i * s->Q;
        double max = -INFINITY, sum = 0;
        for (int j = 0; j <= i; j++) {
            p[j] = (float)(ref_dot(s->q + i * s->step, s->k + j * s->step, s->D) / sqrt(s->D));
            max = fmax(max, p[j]);
        }
        for (int j = 0; j <= i; j++)
            sum += exp(p[j] - max);
        for (int j = 0; j < s->Q; j++)
            p[j] = j <= i ? (float)(exp(p[j] - max) / sum) : 0;
        for (int d = 0; d < s->D; d++) {
            double a = 0;
            for (int j = 0; j <= i; j++)
                a += (double)p[j] * s->v[j * s->step + d];
            att[i * s->step + d] = (float)a;
        }
    }
}

void ref_depth_attention_fwd(float *att, float *prob, const float *q, const float *k, const float *v, int Q, int64_t N,
                             int H, int D)
{
    Depths all = { .q = q, .k = k, .v = v, .step = N * H * D, .Q = Q, .D = D };
    prof_gemm(N * H, Q * (Q + 1), D);
    for (int64_t row = 0; row < N * H; row++) {
        Depths s = depths(&all, row);
        attend(att + row * D, prob + row * Q * Q, &s);
    }
}

/* ds (Q,Q): d loss / d (q_i . k_j) on and below the diagonal. */
static void dscores(double *ds, const Depths *s, const float *prob)
{
    for (int i = 0; i < s->Q; i++) {
        double mean = 0;
        for (int j = 0; j <= i; j++) {
            ds[i * s->Q + j] = ref_dot(s->datt + i * s->step, s->v + j * s->step, s->D);
            mean += prob[i * s->Q + j] * ds[i * s->Q + j];
        }
        for (int j = 0; j <= i; j++)
            ds[i * s->Q + j] = prob[i * s->Q + j] * (ds[i * s->Q + j] - mean) / sqrt(s->D);
    }
}

/* The gradients of depth a: as a query it meets the depths <= a, as a key the depths >= a. */
static void one_depth(float *dq, float *dk, float *dv, const Depths *s, const double *ds, const float *prob, int a)
{
    for (int d = 0; d < s->D; d++) {
        double sq = 0, sk = 0, sv = 0;
        for (int j = 0; j <= a; j++)
            sq += ds[a * s->Q + j] * s->k[j * s->step + d];
        for (int i = a; i < s->Q; i++) {
            sk += ds[i * s->Q + a] * s->q[i * s->step + d];
            sv += (double)prob[i * s->Q + a] * s->datt[i * s->step + d];
        }
        if (dq)
            dq[a * s->step + d] = (float)sq;
        if (dk)
            dk[a * s->step + d] = (float)sk;
        if (dv)
            dv[a * s->step + d] = (float)sv;
    }
}

void ref_depth_attention_bwd(float *dq, float *dk, float *dv, const float *datt, const float *prob, const float *q,
                             const float *k, const float *v, int Q, int64_t N, int H, int D)
{
    Depths all = { .q = q, .k = k, .v = v, .datt = datt, .step = N * H * D, .Q = Q, .D = D };
    double *ds = ref_buffer((int64_t)Q * Q);
    prof_gemm(N * H, 2 * Q * (Q + 1), D);
    for (int64_t row = 0; row < N * H; row++) {
        Depths s = depths(&all, row);
        const float *p = prob + row * Q * Q;
        dscores(ds, &s, p);
        for (int a = 0; a < Q; a++)
            one_depth(dq ? dq + row * D : NULL, dk ? dk + row * D : NULL, dv ? dv + row * D : NULL, &s, ds, p, a);
    }
    free(ds);
}
