/* ref_linear.c -- out = x w^T + b and its gradients */
#include "core/prof.h"
#include "core/ref/ref.h"

void ref_linear_fwd(float *out, const float *x, const float *w, const float *b, int64_t N, int I, int O)
{
    prof_gemm(N, O, I);
    for (int64_t n = 0; n < N; n++)
        for (int o = 0; o < O; o++)
            out[n * O + o] = (float)(ref_dot(x + n * I, w + (int64_t)o * I, I) + (b ? b[o] : 0));
}

/* dx = dout w */
static void linear_dx(float *dx, const float *dout, const float *w, int64_t N, int I, int O)
{
    prof_gemm(N, I, O);
    for (int64_t n = 0; n < N; n++)
        for (int i = 0; i < I; i++) {
            double s = 0;
            for (int o = 0; o < O; o++)
                s += (double)dout[n * O + o] * w[(int64_t)o * I + i];
            dx[n * I + i] = (float)s;
        }
}

/* dw += dout^T x */
static void linear_dw(float *dw, const float *dout, const float *x, int64_t N, int I, int O)
{
    prof_gemm(O, I, N);
    for (int o = 0; o < O; o++)
        for (int i = 0; i < I; i++) {
            double s = dw[(int64_t)o * I + i];
            for (int64_t n = 0; n < N; n++)
                s += (double)dout[n * O + o] * x[n * I + i];
            dw[(int64_t)o * I + i] = (float)s;
        }
}

static void linear_db(float *db, const float *dout, int64_t N, int O)
{
    for (int o = 0; o < O; o++) {
        double s = db[o];
        for (int64_t n = 0; n < N; n++)
            s += dout[n * O + o];
        db[o] = (float)s;
    }
}

void ref_linear_bwd(float *dx, float *dw, float *db, const float *dout, const float *x, const float *w, int64_t N, int I,
                    int O)
{
    if (dx)
        linear_dx(dx, dout, w, N, I, O);
    if (dw)
        linear_dw(dw, dout, x, N, I, O);
    if (db)
        linear_db(db, dout, N, O);
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
