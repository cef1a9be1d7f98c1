/* ref_pick.c -- choosing: the next token, and the codes that start again */
#include <math.h>
#include <string.h>

#include "core/ref/ref.h"

int ref_pick(const float *z, int V, float temperature, double u)
{
    int best = 0;
    for (int v = 1; v < V; v++)
        if (z[v] > z[best])
            best = v;
    if (temperature <= 0)
        return best;
    double sum = 0, seen = 0;
    for (int v = 0; v < V; v++)
        sum += exp(((double)z[v] - z[best]) / temperature);
    for (int v = 0; v < V; v++) {
        seen += exp(((double)z[v] - z[best]) / temperature);
        if (seen > u * sum)
            return v;
    }
    return best;
}

int64_t ref_code_restart(float *e, float *count, float *sum, const float *candidate, const float *n, int S, int C,
                         int *used)
{
    int64_t restarted = 0;
    *used = 0;
    for (int64_t j = 0; j < S; j++) {
        const float *from = candidate + j * C;
        double energy = 0;
        *used += n[j] > 0;
        for (int c = 0; c < C; c++)
            energy += (double)from[c] * from[c];
        if (count[j] >= 1 || energy == 0)
            continue;
        memcpy(e + j * C, from, (size_t)C * sizeof *e);
        memcpy(sum + j * C, from, (size_t)C * sizeof *sum);
        count[j] = 1;
        restarted++;
    }
    return restarted;
}

double ref_entropy(const float *n, int S, double total)
{
    double sum = 0;
    for (int j = 0; j < S; j++)
        if (n[j] > 0)
            sum -= n[j] / total * log(n[j] / total);
    return sum;
}
