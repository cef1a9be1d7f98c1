/* ref_optim.c -- sum of squares, AdamW */
#include "core/ref/ref.h"

#include <math.h>

double ref_sumsq(const float *x, int64_t n)
{
    double s = 0;
    for (int64_t i = 0; i < n; i++)
        s += (double)x[i] * x[i];
    return s;
}

void ref_adamw(float *w, float *m, float *v, const float *g, int64_t n, float lr, float beta1, float beta2, float eps,
               float decay, int64_t step, float gscale)
{
    double b1 = beta1, b2 = beta2, unbias1 = 1 - pow(b1, (double)step), unbias2 = 1 - pow(b2, (double)step);
    for (int64_t i = 0; i < n; i++) {
        double gi = (double)g[i] * gscale;
        m[i] = (float)(b1 * m[i] + (1 - b1) * gi);
        v[i] = (float)(b2 * v[i] + (1 - b2) * gi * gi);
        double kept = w[i] - (double)lr * decay * w[i];
        w[i] = (float)(kept - lr * (m[i] / unbias1) / (sqrt(v[i] / unbias2) + eps));
    }
}
