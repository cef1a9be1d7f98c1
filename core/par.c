#include "core/par.h"

static void alone(Tp *tp, float *x, int64_t n)
{
    (void)tp, (void)x, (void)n;
}

static void here(Tp *tp, int first, int last)
{
    (void)tp, (void)first, (void)last;
}

Tp TP_ALONE = { .rank = 0, .size = 1, .sum = alone, .max = alone, .need = here };
