/* ref_attention.c -- attention over packed sequences */
#include "core/join.h"
#include "core/prof.h"
#include "core/ref/ref.h"

#include <math.h>
#include <stdlib.h>

/* One sequence: tq queries from row q0 on, tk keys from row k0 on; query i sees keys j < seen(i). */
typedef struct {
    const float *q, *k, *v, *datt, *att, *lse;
    int64_t q0, k0;
    int     tq, tk, H, K, D, mask;
} Seq;

static int seen(const Seq *s, int i)
{
    if (s->mask == FULL)
        return s->tk;
    int n = i + 1 + s->tk - s->tq;
    return n < 0 ? 0 : n;
}

static int64_t pairs(const Seq *s)
{
    int64_t n = 0;
    for (int i = 0; i < s->tq; i++)
        n += seen(s, i);
    return n;
}

/* Offsets of a query row (q, att, dq) and of the key row that query head h reads (k, v, dk, dv). */
static int64_t at_q(const Seq *s, int i, int h) { return ((s->q0 + i) * s->H + h) * s->D; }
static int64_t at_k(const Seq *s, int j, int h) { return ((s->k0 + j) * s->K + h / (s->H / s->K)) * s->D; }

static double score(const Seq *s, int i, int h, int j)
{
    return ref_dot(s->q + at_q(s, i, h), s->k + at_k(s, j, h), s->D) / sqrt(s->D);
}

/* att of one query; p holds tk numbers.  A query that sees nothing gets 0, and -inf as its lse. */
static void attend(float *att, float *lse, const Seq *s, double *p, int i, int h)
{
    int n = seen(s, i);
    double max = -INFINITY, sum = 0;
    for (int j = 0; j < n; j++)
        max = fmax(max, p[j] = score(s, i, h, j));
    for (int j = 0; j < n; j++)
        sum += p[j] = exp(p[j] - max);
    for (int d = 0; d < s->D; d++) {
        double a = 0;
        for (int j = 0; j < n; j++)
            a += p[j] / sum * s->v[at_k(s, j, h) + d];
        att[at_q(s, i, h) + d] = (float)a;
    }
    lse[(s->q0 + i) * s->H + h] = (float)(max + log(sum));
}

/* Packed sequence b. */
static Seq sequence(const Seq *all, const int32_t *qstart, const int32_t *kstart, int b)
{
    Seq s = *all;
    s.q0 = qstart[b], s.tq = qstart[b + 1] - qstart[b];
    s.k0 = kstart[b], s.tk = kstart[b + 1] - kstart[b];
    return s;
}

static int longest(const int32_t *start, int B)
{
    int n = 0;
    for (int b = 0; b < B; b++)
        n = start[b + 1] - start[b] > n ? start[b + 1] - start[b] : n;
    return n;
}

void ref_attention_fwd(float *att, float *lse, const float *q, const float *k, const float *v, int B, const int32_t *qstart,
                       const int32_t *kstart, int H, int K, int D, int mask)
{
    Seq all = { .q = q, .k = k, .v = v, .H = H, .K = K, .D = D, .mask = mask };
    double *p = ref_buffer(longest(kstart, B));
    for (int b = 0; b < B; b++) {
        Seq s = sequence(&all, qstart, kstart, b);
        prof_gemm(pairs(&s), 2 * H, D);
        for (int i = 0; i < s.tq; i++)
            for (int h = 0; h < H; h++)
                attend(att, lse, &s, p, i, h);
    }
    free(p);
}

/* Weight of key j for query i, and d loss / d (q_i . k_j). */
static double weight(const Seq *s, int i, int h, int j)
{
    return exp(score(s, i, h, j) - s->lse[(s->q0 + i) * s->H + h]);
}

static double dscore(const Seq *s, int i, int h, int j, double p)
{
    const float *da = s->datt + at_q(s, i, h), *a = s->att + at_q(s, i, h), *v = s->v + at_k(s, j, h);
    return p * (ref_dot(da, v, s->D) - ref_dot(da, a, s->D)) / sqrt(s->D);
}

static void one_dq(float *dq, const Seq *s, double *ds, int i, int h)
{
    int n = seen(s, i);
    for (int j = 0; j < n; j++)
        ds[j] = dscore(s, i, h, j, weight(s, i, h, j));
    for (int d = 0; d < s->D; d++) {
        double sum = 0;
        for (int j = 0; j < n; j++)
            sum += ds[j] * s->k[at_k(s, j, h) + d];
        dq[at_q(s, i, h) + d] = (float)sum;
    }
}

/* Element d of key j's gradient from rows (tq,H/K) of x: each group of query heads sums by itself. */
static float one_key(const Seq *s, const double *p, const float *x, int g, int d, int groups)
{
    const int G = s->H / s->K;
    float part[MAX_LEAVES] = { 0 };
    for (int k = 0; k < groups; k++) {
        double sum = 0;
        for (int r = 0; r < s->tq * G; r++)
            if (r % G / (G / groups) == k)
                sum += p[r] * x[at_q(s, r / G, g * G + r % G) + d];
        part[k] = (float)sum;
    }
    return join_f32(part, groups);
}

/* dk and dv of key j in kv head g sum over the queries that see it, in all query heads of g; p, ds: (tq, H/K). */
static void one_dkv(float *dk, float *dv, const Seq *s, double *p, double *ds, int j, int g, int groups)
{
    int G = s->H / s->K;
    for (int r = 0; r < s->tq * G; r++) {
        int i = r / G, h = g * G + r % G;
        p[r] = j < seen(s, i) ? weight(s, i, h, j) : 0;
        ds[r] = j < seen(s, i) ? dscore(s, i, h, j, p[r]) : 0;
    }
    for (int d = 0; d < s->D; d++) {
        if (dk)
            dk[at_k(s, j, g * G) + d] = one_key(s, ds, s->q, g, d, groups);
        if (dv)
            dv[at_k(s, j, g * G) + d] = one_key(s, p, s->datt, g, d, groups);
    }
}

void ref_attention_bwd(float *dq, float *dk, float *dv, const float *datt, const float *att, const float *lse,
                       const float *q, const float *k, const float *v, int B, const int32_t *qstart, const int32_t *kstart,
                       int H, int K, int D, int mask, int leaves)
{
    const int groups = leaves > K ? leaves / K : 1;
    Seq all = { .q = q, .k = k, .v = v, .datt = datt, .att = att, .lse = lse, .H = H, .K = K, .D = D, .mask = mask };
    int64_t column = (int64_t)longest(qstart, B) * (H / K);
    ASSERT(groups <= MAX_LEAVES && H / K % groups == 0);
    double *row = ref_buffer(longest(kstart, B)), *p = ref_buffer(column), *ds = ref_buffer(column);
    for (int b = 0; b < B; b++) {
        Seq s = sequence(&all, qstart, kstart, b);
        prof_gemm(pairs(&s), (dq ? 3 : 2) * H + (dk ? H : 0) + (dv ? H : 0), D);
        for (int i = 0; dq && i < s.tq; i++)
            for (int h = 0; h < H; h++)
                one_dq(dq, &s, row, i, h);
        for (int j = 0; (dk || dv) && j < s.tk; j++)
            for (int g = 0; g < K; g++)
                one_dkv(dk, dv, &s, p, ds, j, g, groups);
    }
    free(row), free(p), free(ds);
}
