#include "dist/tp.h"

#include "dist/comm.h"

static MPI_Comm group(const Tp *tp) { return ((const Grid *)tp->ctx)->tp; }

static void sum(Tp *tp, float *x, int64_t n) { comm_sum_f32(group(tp), x, n); }
static void max(Tp *tp, float *x, int64_t n) { comm_max_f32(group(tp), x, n); }

/* Every rank holds all weights of its pieces, always. */
static void need(Tp *tp, int first, int last) { (void)tp, (void)first, (void)last; }

Tp tp_door(const Grid *g)
{
    if (g->tp_size == 1)
        return TP_ALONE;
    return (Tp){ g->tp_rank, g->tp_size, sum, max, need, (void *)g };
}
