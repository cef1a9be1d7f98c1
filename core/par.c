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

void tp_ids(int32_t *local, const int32_t *id, int64_t N, int rows, const Tp *tp)
{
    for (int64_t n = 0; n < N; n++)
        local[n] = id[n] < 0 ? -1 : id[n] - tp->rank * rows;
}
