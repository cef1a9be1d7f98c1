#include "core/xent.h"

/* About 4 MB of logits: they stay in the last-level cache between the passes, and the products stay large.  But each chunk reads the
   whole weight three times: below 256 rows that would cost more than what falls out of the cache. */
enum { CHUNK_LOGITS = 1 << 20, CHUNK_MIN = 256, CHUNK_MAX = 1024 };

void xent_work(XentWork *t, Arena *a, int V, const Tp *tp)
{
    const int Vl = V / tp->size;
    /* The rows of a chunk are summed by themselves: with leaves their number must not depend on tp. */
    t->chunk  = (int)max64(CHUNK_MIN, min64(CHUNK_MAX, CHUNK_LOGITS / (tp->leaves ? V : Vl)));
    t->z      = TAKE(a, float, (int64_t)t->chunk * Vl);
    t->max    = TAKE(a, float, t->chunk);
    t->sum    = TAKE(a, float, t->chunk);
    t->target = TAKE(a, float, t->chunk);
}

double xent_rows(float *dx, Linear *dw, const float *x, const Linear *w, const int32_t *y, const XentSoft *soft, int64_t N,
                 float scale, XentWork *t, Tp *tp)
{
    const int I = w->I, Vl = w->O, v0 = tp->rank * Vl;
    double loss = 0, part;
    for (int64_t n0 = 0; n0 < N; n0 += t->chunk) {
        const int64_t n = min64(t->chunk, N - n0);
        const float *xn = x + n0 * I;
        op.linear_fwd(t->z, xn, w, n);
        op.xent_max(t->max, t->z, n, Vl);
        tp->max(tp, t->max, n);
        op.xent_sum(t->sum, t->target, t->z, t->max, y + n0, n, Vl, v0, tp->leaves);
        if (soft)
            op.xent_soft_target(t->target, t->z, y + n0, soft, n, Vl, v0, tp->leaves);
        tp->sum(tp, t->sum, n);
        tp->sum(tp, t->target, n);
        op.xent_loss(&part, t->max, t->sum, t->target, n);
        loss += part;
        if (!dx)
            continue;
        op.xent_bwd(t->z, t->max, t->sum, soft ? NULL : y + n0, n, Vl, v0, scale);
        if (soft)
            op.xent_soft_bwd(t->z, y + n0, soft, n, Vl, v0, scale);
        op.linear_dw(dw, t->z, xn, n);
        op.linear_dx(dx + n0 * I, TERMS({ t->z, w }), n, false);
        tp->sum(tp, dx + n0 * I, n * I);
    }
    return loss;
}
