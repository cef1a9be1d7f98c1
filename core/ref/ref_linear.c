/* ref_linear.c -- out = x w^T + b and its gradients */
#include "core/prof.h"
#include "core/ref/ref.h"

#include <string.h>

/* Leaves along the inner dimension, which is the one that is split. */
static int leaves_of(const Linear *w, int inner)
{
    return w->split == inner && w->leaves > 0 ? w->leaves : 1;
}

/* The sum of leaves, a power of two, along the balanced tree; what they hold is used up. */
static float joined(float *leaf, int leaves)
{
    for (int wide = 1; wide < leaves; wide *= 2)
        for (int i = 0; i < leaves; i += 2 * wide)
            leaf[i] += leaf[i + wide];
    return leaf[0];
}

/* Row o of w, and from one element of it to the next. */
static const float *row_of(const Linear *w, int o, int64_t *step)
{
    const int panel = o / LINEAR_PANEL * LINEAR_PANEL;
    const bool packed = w->packed && panel + LINEAR_PANEL <= w->O;
    *step = packed ? LINEAR_PANEL : 1;
    return w->w + (packed ? (int64_t)panel * w->I + o - panel : (int64_t)o * w->I);
}

/* The sum of n products of x and row o of w, from element i on. */
static double dot(const float *x, const Linear *w, int o, int i, int n)
{
    int64_t step;
    const float *row = row_of(w, o, &step) + i * step;
    double s = 0;
    for (int k = 0; k < n; k++)
        s += (double)x[k] * row[k * step];
    return s;
}

void ref_linear_pack(Linear *w, float *room)
{
    ASSERT(w->leaves > 0 && !w->packed);
    for (int o = 0; o + LINEAR_PANEL <= w->O; o += LINEAR_PANEL) {
        float *panel = w->w + (int64_t)o * w->I;
        memcpy(room, panel, (size_t)w->I * LINEAR_PANEL * sizeof *room);
        for (int i = 0; i < w->I; i++)
            for (int r = 0; r < LINEAR_PANEL; r++)
                panel[i * LINEAR_PANEL + r] = room[r * w->I + i];
    }
    w->packed = true;
}

void ref_linear_rows(float *out, const Linear *w, const int32_t *id, int64_t N)
{
    for (int64_t n = 0; n < N; n++) {
        const bool there = id[n] >= 0 && id[n] < w->O;
        int64_t step = 0;
        const float *row = there ? row_of(w, id[n], &step) : NULL;
        for (int i = 0; i < w->I; i++)
            out[n * w->I + i] = there ? row[i * step] : 0;
    }
}

void ref_linear_fwd(float *out, const float *x, const Linear *w, int64_t N)
{
    const int I = w->I, O = w->O, leaves = leaves_of(w, 1), deep = I / leaves;
    float leaf[MAX_LEAVES];
    prof_gemm(N, O, I);
    for (int64_t n = 0; n < N; n++)
        for (int o = 0; o < O; o++) {
            const double begin = w->add ? out[n * O + o] : w->b ? w->b[o] : 0;
            for (int l = 0; l < leaves; l++)
                leaf[l] = (float)(dot(x + n * I + l * deep, w, o, l * deep, deep) + (l == 0 ? begin : 0));
            out[n * O + o] = joined(leaf, leaves);
        }
}

/* s and element (n,i) of leaf l of dout w, of so many leaves of all terms */
static double add_leaf(double s, const LinearTerm *t, int leaves, int l, int64_t n, int i)
{
    const int own = leaves_of(t->w, 0), every = leaves / own, deep = t->w->O / own, O = t->w->O, I = t->w->I;
    for (int o = l / every * deep; l % every == 0 && o < (l / every + 1) * deep; o++)
        s += (double)t->dout[n * O + o] * t->w->w[(int64_t)o * I + i];
    return s;
}

/* dx = sum_t dout_t w_t.  Without leaves one term is added after the other. */
void ref_linear_dx(float *dx, const LinearTerm *term, int terms, int64_t N, bool add)
{
    const int I = term->w->I, leaves = leaves_of(term->w, 0);
    float leaf[MAX_LEAVES];
    for (int t = 0; t < terms; t++) {
        ASSERT(!term[t].w->packed);
        prof_gemm(N, I, term[t].w->O);
    }
    for (int64_t n = 0; n < N; n++)
        for (int i = 0; i < I; i++) {
            for (int l = 0; l < leaves; l++) {
                double s = add && l == 0 ? dx[n * I + i] : 0;
                for (int t = 0; t < terms; t++)
                    s = add_leaf(term->w->leaves ? s : (double)(float)s, &term[t], leaves, l, n, i);
                leaf[l] = (float)s;
            }
            dx[n * I + i] = joined(leaf, leaves);
        }
}

/* dw += dout^T x,   db += sum_n dout */
void ref_linear_dw(Linear *dw, const float *dout, const float *x, int64_t N)
{
    const int I = dw->I, O = dw->O;
    if (dw->w)
        prof_gemm(O, I, N);
    for (int o = 0; dw->w && o < O; o++)
        for (int i = 0; i < I; i++) {
            double s = dw->w[(int64_t)o * I + i];
            for (int64_t n = 0; n < N; n++)
                s += (double)dout[n * O + o] * x[n * I + i];
            dw->w[(int64_t)o * I + i] = (float)s;
        }
    for (int o = 0; dw->b && o < O; o++) {
        double s = dw->b[o];
        for (int64_t n = 0; n < N; n++)
            s += dout[n * O + o];
        dw->b[o] = (float)s;
    }
}

void ref_gram(float *c, const float *a, bool ta, int M, int K)
{
    prof_gram(M, K);
    ref_product(c, M, a, ta ? M : K, ta, a, ta ? M : K, !ta, M, M, K, 1, 0);
}

void ref_product(float *c, int ldc, const float *a, int lda, bool ta, const float *b, int ldb, bool tb, int64_t M, int N, int K,
                 float alpha, float beta)
{
    for (int64_t m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            double sum = 0;
            for (int k = 0; k < K; k++)
                sum += (double)(ta ? a[(int64_t)k * lda + m] : a[m * lda + k]) * (tb ? b[(int64_t)n * ldb + k] : b[(int64_t)k * ldb + n]);
            c[m * ldc + n] = (float)(alpha * sum + (beta == 0 ? 0 : beta * (double)c[m * ldc + n]));
        }
}
