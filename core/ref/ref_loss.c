/* ref_loss.c -- cross-entropy in three passes, sigmoid contrastive loss */
#include "core/join.h"
#include "core/ref/ref.h"

#include <math.h>

void ref_xent_max(float *max, const float *z, int64_t N, int Vl)
{
    for (int64_t n = 0; n < N; n++) {
        max[n] = z[n * Vl];
        for (int v = 1; v < Vl; v++)
            max[n] = z[n * Vl + v] > max[n] ? z[n * Vl + v] : max[n];
    }
}

static float exponentials(const float *row, float m, int V)
{
    double s = 0;
    for (int v = 0; v < V; v++)
        s += exp((double)row[v] - m);
    return (float)s;
}

void ref_xent_sum(float *sum, float *target, const float *z, const float *max, const int32_t *y, int64_t N, int Vl, int v0, int leaves)
{
    const int parts = leaves > 1 ? leaves : 1, wide = Vl / parts;
    float part[MAX_LEAVES];
    ASSERT(parts <= MAX_LEAVES && Vl % parts == 0);
    for (int64_t n = 0; n < N; n++) {
        for (int k = 0; k < parts; k++)
            part[k] = exponentials(z + n * Vl + k * wide, max[n], wide);
        sum[n] = join_f32(part, parts);
        target[n] = y[n] >= v0 && y[n] < v0 + Vl ? z[n * Vl + y[n] - v0] : 0;
    }
}

void ref_xent_bwd(float *z, const float *max, const float *sum, const int32_t *y, int64_t N, int Vl, int v0, float scale)
{
    for (int64_t n = 0; n < N; n++)
        for (int v = 0; v < Vl; v++) {
            double p = exp((double)z[n * Vl + v] - max[n]) / sum[n];
            z[n * Vl + v] = (float)((p - (y && v0 + v == y[n])) * scale);
        }
}

/* The classes of a row that lie in [first, first + wide), in their order; z: from the first on. */
static float soft_target(const float *z, const int32_t *id, const float *p, int m, int first, int wide)
{
    double s = 0;
    for (int i = 0; i < m; i++)
        if (id[i] >= first && id[i] < first + wide)
            s += (double)p[i] * z[id[i] - first];
    return (float)s;
}

void ref_xent_soft_target(float *target, const float *z, const int32_t *y, const XentSoft *soft, int64_t N, int Vl, int v0, int leaves)
{
    const int parts = leaves > 1 ? leaves : 1, wide = Vl / parts;
    float part[MAX_LEAVES];
    ASSERT(parts <= MAX_LEAVES && Vl % parts == 0);
    for (int64_t n = 0; n < N; n++) {
        const int64_t at = (int64_t)y[n] * soft->m;
        for (int k = 0; k < parts; k++)
            part[k] = soft_target(z + n * Vl + k * wide, soft->id + at, soft->p + at, soft->m, v0 + k * wide, wide);
        target[n] = join_f32(part, parts);
    }
}

void ref_xent_soft_bwd(float *z, const int32_t *y, const XentSoft *soft, int64_t N, int Vl, int v0, float scale)
{
    for (int64_t n = 0; n < N; n++) {
        const int32_t *id = soft->id + (int64_t)y[n] * soft->m;
        const float *p = soft->p + (int64_t)y[n] * soft->m;
        for (int i = 0; i < soft->m; i++)
            if (id[i] >= v0 && id[i] < v0 + Vl)
                z[n * Vl + id[i] - v0] -= p[i] * scale;
    }
}

void ref_xent_loss(double *loss, const float *max, const float *sum, const float *target, int64_t N)
{
    *loss = 0;
    for (int64_t n = 0; n < N; n++)
        *loss += max[n] + log(sum[n]) - target[n];
}

/* -log sigmoid(x); no exp overflows */
static double neg_log_sigmoid(double x)
{
    return fmax(-x, 0) + log1p(exp(-fabs(x)));
}

void ref_sigmoid_contrast(double *loss, float *z, float *dlogscale, float *dbias, const float *logscale, const float *bias, int B,
                          float factor)
{
    double scale = exp(*logscale), dscale = 0, db = 0;
    *loss = 0;
    for (int i = 0; i < B; i++)
        for (int j = 0; j < B; j++) {
            float *zij = z + (int64_t)i * B + j;
            double label = i == j ? 1 : -1, logit = *zij * scale + *bias;
            double slope = -label / (1 + exp(label * logit));          /* d loss / d logit */
            *loss += neg_log_sigmoid(label * logit);
            dscale += slope * *zij;
            db += slope;
            if (dlogscale)
                *zij = (float)(slope * scale * factor);
        }
    if (dlogscale)
        *dlogscale += (float)(dscale * scale * factor);                /* d scale / d logscale = scale */
    if (dlogscale && dbias)
        *dbias += (float)(db * factor);
}
