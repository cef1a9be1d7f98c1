/* ref_pick.c -- choosing: the next token, and the codes that start again */
#include <math.h>
#include <string.h>

#include "core/ref/ref.h"

void ref_pick(int32_t *id, const float *z, int V, float temperature, double u)
{
    int best = 0;
    for (int v = 1; v < V; v++)
        if (z[v] > z[best])
            best = v;
    *id = best;
    if (temperature <= 0)
        return;
    double sum = 0, seen = 0;
    for (int v = 0; v < V; v++)
        sum += exp(((double)z[v] - z[best]) / temperature);
    for (int v = 0; v < V; v++) {
        seen += exp(((double)z[v] - z[best]) / temperature);
        if (seen > u * sum) {
            *id = v;
            return;
        }
    }
}

/* A vector that met itself in an earlier depth leaves what rounding left of it, squared and with room: nothing to start from. */
static const double ROUNDING = 1e-10;

void ref_code_restart(int64_t *restarts, int *used, float *e, float *count, float *sum, const float *candidate, const float *n, int S,
                      int C)
{
    *restarts = 0;
    *used = 0;
    for (int64_t j = 0; j < S; j++) {
        const float *from = candidate + j * C;
        double energy = 0, was = 0;
        *used += n[j] > 0;
        for (int c = 0; c < C; c++) {
            energy += (double)from[c] * from[c];
            was += (double)e[j * C + c] * e[j * C + c];
        }
        if (count[j] >= 1 || energy == 0 || energy < ROUNDING * was)
            continue;
        memcpy(e + j * C, from, (size_t)C * sizeof *e);
        memcpy(sum + j * C, from, (size_t)C * sizeof *sum);
        count[j] = 1;
        ++*restarts;
    }
}

void ref_entropy(double *out, const float *n, int S, double total)
{
    *out = 0;
    for (int j = 0; j < S; j++)
        if (n[j] > 0)
            *out -= n[j] / total * log(n[j] / total);
}
