/* ref_linear.c -- out = x w^T + b and its gradients */
#include "core/prof.h"
#include "core/ref/ref.h"

void ref_linear_fwd(float *out, const float *x, const Linear *w, int64_t N)
{
    const int I = w->I, O = w->O;
    prof_gemm(N, O, I);
    for (int64_t n = 0; n < N; n++)
        for (int o = 0; o < O; o++)
            out[n * O + o] = (float)(ref_dot(x + n * I, w->w + (int64_t)o * I, I) + (w->b ? w->b[o] : 0));
}

/* dx = dout w */
void ref_linear_dx(float *dx, const float *dout, const Linear *w, int64_t N, bool add)
{
    const int I = w->I, O = w->O;
    prof_gemm(N, I, O);
    for (int64_t n = 0; n < N; n++)
        for (int i = 0; i < I; i++) {
            double s = add ? dx[n * I + i] : 0;
            for (int o = 0; o < O; o++)
                s += (double)dout[n * O + o] * w->w[(int64_t)o * I + i];
            dx[n * I + i] = (float)s;
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
