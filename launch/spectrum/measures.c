#include "launch/spectrum/measures.h"

#include <math.h>
#include <string.h>

Measures measures_of(const double *s, int n)
{
    Measures m = { .finite = n > 0 && isfinite(s[0]) };
    double sum = 0, square = 0, fourth = 0, entropy = 0;
    if (!m.finite)
        return m;
    for (int i = 0; i < n; i++) {
        sum += s[i];
        square += s[i] * s[i];
        fourth += s[i] * s[i] * s[i] * s[i];
        m.dead += s[i] < DEAD * s[0];
    }
    m.largest = s[0];
    m.smallest = s[n - 1];
    m.frobenius = sqrt(square);
    if (s[0] == 0) {
        m.dead = n;
        return m;
    }
    for (int i = 0; i < n; i++)
        if (s[i] > 0)
            entropy -= s[i] / sum * log(s[i] / sum);
    m.condition = m.smallest > 0 ? m.largest / m.smallest : 0;
    m.stable = square / (s[0] * s[0]);
    m.effective = exp(entropy);
    m.participation = square * square / fourth;
    return m;
}

void measures_spark(char out[SPARK_BYTES], const double *s, int n)
{
    static const char *const bars[] = { " ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    *out = 0;
    for (int i = 0; i < SPARK; i++) {
        const double x = s[(int64_t)i * (n - 1) / (SPARK - 1)];
        /* The small sum keeps a value on the border of two heights where it is, whatever the last bits. */
        const double height = x > 0 ? 8 - floor(log10(s[0] / x) * 8 / 3 - 1e-9) : 0;
        strcat(out, bars[height > 8 ? 8 : height > 0 ? (int)height : 0]);
    }
}
