/* ref_rq.c -- residual quantization */
#include "core/prof.h"
#include "core/ref/ref.h"

#include <math.h>
#include <stdlib.h>

static double distance(const float *x, const float *e, int C)
{
    double s = 0;
    for (int c = 0; c < C; c++)
        s += ((double)x[c] - e[c]) * ((double)x[c] - e[c]);
    return s;
}

static int32_t nearest(float *dist, const float *x, const float *e, int C, int S)
{
    double least = distance(x, e, C);
    int32_t code = 0;
    for (int j = 1; j < S; j++) {
        double d = distance(x, e + (int64_t)j * C, C);
        if (d < least)
            least = d, code = j;
    }
    *dist = isnan(least) ? INFINITY : (float)least;
    return code;
}

void ref_nearest(int32_t *code, float *dist, const float *x, const float *e, int64_t N, int C, int S, int leaves)
{
    const int parts = leaves > 1 ? leaves : 1, each = S / parts;
    prof_gemm(N, S, C);
    for (int64_t n = 0; n < N; n++) {
        float least = 0, far;
        for (int k = 0; k < parts; k++) {
            const int32_t here = nearest(&far, x + n * C, e + (int64_t)k * each * C, C, each);
            if (k == 0 || far < least)
                least = far, code[n] = k * each + here;
        }
        if (dist)
            dist[n] = least;
    }
}

void ref_nearest_bid(float *bid, const float *best, const int32_t *code, int64_t N, int first)
{
    for (int64_t n = 0; n < N; n++)
        bid[n] = bid[n] == best[n] ? -(float)(first + code[n]) : -INFINITY;
}

void ref_nearest_won(int32_t *code, const float *bid, int64_t N)
{
    for (int64_t n = 0; n < N; n++)
        code[n] = (int32_t)-bid[n];
}

/* Puts code j at its place among the m nearest so far, behind those as near; the first place is the code's own. */
static void insert(int32_t *id, float *d, double *exact, double distance_j, int j, int m)
{
    int at = m - 1;
    for (; at > 1 && distance_j < exact[at - 1]; at--)
        exact[at] = exact[at - 1], d[at] = d[at - 1], id[at] = id[at - 1];
    exact[at] = distance_j, d[at] = (float)distance_j, id[at] = j;
}

void ref_nearest_m(int32_t *id, float *d, const float *e, int S, int C, int m)
{
    double *exact = ref_buffer(m);
    prof_gemm(S, S, C);
    for (int s = 0; s < S; s++) {
        int32_t *id_s = id + (int64_t)s * m;
        float *d_s = d + (int64_t)s * m;
        for (int i = 0; i < m; i++)
            exact[i] = i ? INFINITY : 0, d_s[i] = (float)exact[i], id_s[i] = s;
        for (int j = 0; j < S && m > 1; j++) {
            double far = distance(e + (int64_t)s * C, e + (int64_t)j * C, C);
            if (j != s && far < exact[m - 1])
                insert(id_s, d_s, exact, far, j, m);
        }
    }
    free(exact);
}

void ref_soft_targets(float *p, int S, int m, float tau)
{
    double mean = 0;
    for (int s = 0; s < S && m > 1; s++)
        mean += (double)p[(int64_t)s * m + 1] / S;
    for (int s = 0; s < S; s++) {
        float *row = p + (int64_t)s * m;
        double total = 0;
        for (int i = 0; i < m; i++)                    /* codes that are equal share alike, even if all have a twin */
            total += row[i] > 0 ? exp(-row[i] / (tau * mean)) : 1;
        for (int i = 0; i < m; i++)
            row[i] = (float)((row[i] > 0 ? exp(-row[i] / (tau * mean)) : 1) / total);
    }
}

void ref_residual(float *x, const float *e, const int32_t *code, int64_t N, int C, int S)
{
    for (int64_t n = 0; n < N; n++)
        for (int c = 0; c < C; c++)
            x[n * C + c] = code[n] >= 0 && code[n] < S ? x[n * C + c] - e[(int64_t)code[n] * C + c] : 0;
}

void ref_code_stats(float *count, float *sum, const float *x, const int32_t *code, int64_t N, int C, int S)
{
    for (int64_t n = 0; n < N; n++)
        if (code[n] >= 0 && code[n] < S)
            count[code[n]] += 1;
    ref_embed_bwd(sum, x, code, N, C, S);
}

void ref_code_count(double *total, double *chosen, float *count, const float *n, int S, float decay)
{
    const double d = decay;
    *total = *chosen = 0;
    for (int s = 0; s < S; s++) {
        count[s] = (float)(d * count[s] + (1 - d) * n[s]);
        *total += count[s];
        *chosen += n[s];
    }
}

void ref_code_update(float *e, float *sum, const float *count, const float *m, int S, int C, float decay, float eps,
                     double total, int codes)
{
    double d = decay;
    for (int s = 0; s < S; s++) {
        double smooth = total * ((double)count[s] + eps) / (total + (double)codes * eps);
        for (int64_t i = (int64_t)s * C; i < (int64_t)(s + 1) * C; i++) {
            sum[i] = (float)(d * sum[i] + (1 - d) * m[i]);
            e[i] = (float)(sum[i] / smooth);
        }
    }
}

void ref_take_codes(int32_t *out, const int32_t *code, const int32_t *row, int64_t n, int Q, int64_t N)
{
    for (int k = 0; k < Q; k++)
        for (int64_t i = 0; i < n; i++)
            out[k * n + i] = code[k * N + (row ? row[i] : i)];
}

void ref_given_codes(int32_t *out, const uint16_t *given, const int32_t *row, int64_t n, int Q, int all)
{
    for (int k = 0; k < Q; k++)
        for (int64_t i = 0; i < n; i++)
            out[k * n + i] = given[(row ? row[i] : i) * all + k];
}
