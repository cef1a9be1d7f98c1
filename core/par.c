#include "core/par.h"

static void alone(Tp *tp, float *x, int64_t n)
{
    (void)tp, (void)x, (void)n;
}

Tp TP_ALONE = { .rank = 0, .size = 1, .sum = alone, .max = alone };
