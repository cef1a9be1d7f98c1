#include "dist/tp.h"

#include "dist/comm.h"
#include "dist/zero.h"

static const Grid *grid(const Tp *tp) { return tp->ctx; }

static void sum(Tp *tp, float *x, int64_t n) { comm_sum_f32(grid(tp)->tp, x, n); }
static void max(Tp *tp, float *x, int64_t n) { comm_max_f32(grid(tp)->tp, x, n); }
static void need(Tp *tp, int first, int last) { zero_weights_need(grid(tp)->coming, first, last); }

Tp tp_door(const Grid *g)
{
    const Tp door = { g->tp_rank, g->tp_size, sum, max, need, (void *)g };
    return g->tp_size > 1 ? door : (Tp){ 0, 1, TP_ALONE.sum, TP_ALONE.max, need, (void *)g };
}
