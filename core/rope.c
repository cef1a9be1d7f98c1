#include "core/rope.h"

#include <math.h>

/* The share of a frequency that is not stretched. */
static double kept(const Rope *r, double freq)
{
    const double waves = r->original * freq / 6.283185307179586;           /* in the positions of the first training */
    return r->kind == ROPE_LINEAR ? 0 : fmin(1, fmax(0, (waves - r->low) / (r->high - r->low)));
}

void rope_freq(double *freq, int D, double theta, const Rope *r)
{
    for (int d = 0; d < D / 2; d++) {
        freq[d] = pow(theta, -2.0 * d / D);
        if (r && r->kind != ROPE_PLAIN)
            freq[d] *= kept(r, freq[d]) + (1 - kept(r, freq[d])) / r->factor;
    }
}
