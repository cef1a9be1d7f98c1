/* ref_norm.c -- RMSNorm, LayerNorm, division by the 2-norm */
#include "core/join.h"
#include "core/linear.h"
#include "core/ref/ref.h"

#include <math.h>

void ref_rmsnorm_fwd(float *out, float *rstd, const float *x, const float *w, int64_t N, int C, float eps)
{
    for (int64_t n = 0; n < N; n++) {
        const float *xn = x + n * C;
        double r = 1 / sqrt(ref_dot(xn, xn, C) / C + eps);
        for (int c = 0; c < C; c++)
            out[n * C + c] = (float)(xn[c] * r * w[c]);
        rstd[n] = (float)r;
    }
}

void ref_add_rmsnorm_fwd(float *sum, float *out, float *rstd, const float *a, const float *b, const float *w, int64_t N, int C, float eps)
{
    ref_add_fwd(sum, a, b, N * C);
    ref_rmsnorm_fwd(out, rstd, sum, w, N, C, eps);
}

/* sum_n dout (x - mean) rstd of a column, or without x sum_n dout: of each leaf's rows by itself. */
static float weight_gradient(const float *dout, const float *x, const float *mean, const float *rstd, int64_t N, int C, int64_t leaf)
{
    float part[MAX_LEAVES];
    int leaves = 0;
    for (int64_t n = 0; n < N; leaves++) {
        const int64_t end = leaf ? min64(N, n + leaf) : N;
        double s = 0;
        ASSERT(leaves < MAX_LEAVES);
        for (; n < end; n++)
            s += x ? dout[n * C] * ((double)x[n * C] - (mean ? mean[n] : 0)) * rstd[n] : dout[n * C];
        part[leaves] = (float)s;
    }
    return leaves ? join_f32(part, leaves) : 0;
}

/* With u = x rstd:  dx = rstd (dout w - u mean(dout w u)),  dw += sum_n dout u. */
void ref_rmsnorm_bwd(float *dx, float *dw, const float *dout, const float *x, const float *rstd, const float *w,
                     int64_t N, int C, int64_t leaf, bool add)
{
    for (int c = 0; dw && c < C; c++)
        dw[c] += weight_gradient(dout + c, x + c, NULL, rstd, N, C, leaf);
    for (int64_t n = 0; dx && n < N; n++) {
        const float *xn = x + n * C, *dn = dout + n * C;
        double r = rstd[n], mean = 0;
        for (int c = 0; c < C; c++)
            mean += (double)dn[c] * w[c] * (xn[c] * r) / C;
        for (int c = 0; c < C; c++)
            dx[n * C + c] = (float)((add ? dx[n * C + c] : 0) + r * ((double)dn[c] * w[c] - xn[c] * r * mean));
    }
}

void ref_rmsnorm_dw(float *dw, const float *dout, const float *x, const float *rstd, int64_t N, int H, int C, int groups)
{
    const int each = H / groups;
    for (int i = 0; i < groups * C; i++) {
        const int g = i / C, c = i % C;
        double s = dw[i];
        for (int64_t n = 0; n < N; n++)
            for (int64_t row = n * H + g * each; row < n * H + (g + 1) * each; row++)
                s += (double)dout[row * C + c] * x[row * C + c] * rstd[row];
        dw[i] = (float)s;
    }
}

void ref_layernorm_fwd(float *out, float *mean, float *rstd, const float *x, const float *w, const float *bias, int64_t N,
                       int C, float eps)
{
    for (int64_t n = 0; n < N; n++) {
        const float *xn = x + n * C;
        double m = 0, var = 0;
        for (int c = 0; c < C; c++)
            m += (double)xn[c] / C;
        for (int c = 0; c < C; c++)
            var += (xn[c] - m) * (xn[c] - m) / C;
        double r = 1 / sqrt(var + eps);
        for (int c = 0; c < C; c++)
            out[n * C + c] = (float)((xn[c] - m) * r * w[c] + (bias ? bias[c] : 0));
        mean[n] = (float)m;
        rstd[n] = (float)r;
    }
}

void ref_add_layernorm_fwd(float *sum, float *out, float *mean, float *rstd, const float *a, const float *b, const float *w,
                           const float *bias, int64_t N, int C, float eps)
{
    ref_add_fwd(sum, a, b, N * C);
    ref_layernorm_fwd(out, mean, rstd, sum, w, bias, N, C, eps);
}

/* With u = (x - mean) rstd, g = dout w:  dx = rstd (g - mean(g) - u mean(g u)). */
static void layernorm_dx(float *dx, const float *dout, const float *x, double mean, double rstd, const float *w, int C, bool add)
{
    double g1 = 0, gu = 0;
    for (int c = 0; c < C; c++) {
        double g = (double)dout[c] * w[c];
        g1 += g / C;
        gu += g * (x[c] - mean) * rstd / C;
    }
    for (int c = 0; c < C; c++)
        dx[c] = (float)((add ? dx[c] : 0) + rstd * ((double)dout[c] * w[c] - g1 - (x[c] - mean) * rstd * gu));
}

void ref_layernorm_bwd(float *dx, float *dw, float *dbias, const float *dout, const float *x, const float *mean,
                       const float *rstd, const float *w, int64_t N, int C, int64_t leaf, bool add)
{
    for (int c = 0; c < C; c++) {
        if (dw)
            dw[c] += weight_gradient(dout + c, x + c, mean, rstd, N, C, leaf);
        if (dbias)
            dbias[c] += weight_gradient(dout + c, NULL, NULL, NULL, N, C, leaf);
    }
    for (int64_t n = 0; dx && n < N; n++)
        layernorm_dx(dx + n * C, dout + n * C, x + n * C, mean[n], rstd[n], w, C, add);
}

void ref_l2norm_fwd(float *out, float *norm, const float *x, int64_t N, int C, float eps)
{
    for (int64_t n = 0; n < N; n++) {
        double r = sqrt(ref_dot(x + n * C, x + n * C, C));
        for (int c = 0; c < C; c++)
            out[n * C + c] = (float)(x[n * C + c] / fmax(r, eps));
        norm[n] = (float)r;
    }
}

void ref_l2norm_bwd(float *dx, const float *dout, const float *out, const float *norm, int64_t N, int C, float eps)
{
    for (int64_t n = 0; dx && n < N; n++) {
        double along = norm[n] > eps ? ref_dot(dout + n * C, out + n * C, C) : 0;      /* below eps the map is linear */
        for (int c = 0; c < C; c++)
            dx[n * C + c] = (float)((dout[n * C + c] - out[n * C + c] * along) / fmax(norm[n], eps));
    }
}
