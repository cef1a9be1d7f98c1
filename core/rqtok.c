#include "core/rqtok.h"

#include <math.h>

#include "core/ops.h"
#include "core/rng.h"

static int books(const Codes *w) { return w->shared ? 1 : w->Q; }
static int book(const Codes *w, int k) { return w->shared ? 0 : k; }

void codes_params(Codes *w, Binder *b)
{
    w->first = b->next;
    for (int k = 0; k < books(w); k++) {
        w->table[k] = param(b, w->S, w->Cv, -1, INIT_UNIT | STATE, "%s.%d.table", w->part, k);
        if (!w->means)
            continue;
        w->count[k] = param(b, w->S, 1, -1, INIT_ZERO | STATE, "%s.%d.count", w->part, k);
        w->sum[k]   = param(b, w->S, w->Cv, -1, INIT_ZERO | STATE, "%s.%d.sum", w->part, k);
    }
    w->last = b->next;
}

void codes_tape(CodesTape *t, Arena *a, const Codes *w, int64_t N, bool left)
{
    t->r    = TAKE(a, float, N * w->Cv);
    t->code = TAKE(a, int32_t, N * w->Q);
    t->left = left ? TAKE(a, float, N * w->Cv) : NULL;
}

/* One depth is done: takes its vectors off the residuals. */
static void depth_done(CodesTape *t, double *energy, const float *e, int k, int64_t N, int Cv)
{
    op.residual(t->r, e, t->code + k * N, N, Cv);
    if (energy)
        energy[k + 1] = op.sumsq(t->r, N * Cv);
    if (t->left && k == 0)
        op.copy(t->left, t->r, N * Cv);
    else if (t->left)
        op.add_fwd(t->left, t->left, t->r, N * Cv);
}

void codes_quantize(CodesTape *t, double *energy, const Codes *w, const float *x, int64_t N, Tp *tp)
{
    tp->need(tp, w->first, w->last);
    op.copy(t->r, x, N * w->Cv);
    if (energy)
        energy[0] = op.sumsq(t->r, N * w->Cv);
    for (int k = 0; k < w->Q; k++) {
        const float *e = w->table[book(w, k)];
        op.nearest(t->code + k * N, t->r, e, N, w->Cv, w->S);
        depth_done(t, energy, e, k, N, w->Cv);
    }
}

/* Copies into row j of dtable the vector that code j would start again from, where its owner is in this batch. */
static void candidates(float *dtable, const float *r, int k, const Codes *w, const int32_t *image_start, int B, int P,
                       const CodesDraw *d)
{
    const uint64_t stream = rng_stream("codes.restart") + (uint64_t)k;
    for (int32_t j = 0; j < w->S; j++) {
        const uint64_t at = 2 * ((uint64_t)d->step * (uint64_t)w->S + (uint64_t)j);
        const int64_t sample = rng_below(d->global_batch, d->seed, stream, at) - d->first;
        if (sample < 0 || sample >= B)
            continue;
        const int64_t row0 = (int64_t)image_start[sample] * P, rows = (int64_t)image_start[sample + 1] * P - row0;
        if (rows == 0)
            continue;
        const int32_t row = (int32_t)(row0 + rng_below(rows, d->seed, stream, at + 1));
        op.gather(dtable + (int64_t)j * w->Cv, r, &row, 1, w->Cv);
    }
}

void codes_gather(Codes *dw, CodesTape *t, double *energy, const Codes *w, const float *x, const int32_t *image_start,
                  int B, int P, const CodesDraw *draw, Tp *tp)
{
    const int64_t N = (int64_t)image_start[B] * P;
    tp->need(tp, w->first, w->last);
    op.copy(t->r, x, N * w->Cv);
    energy[0] = op.sumsq(t->r, N * w->Cv);
    for (int k = 0; k < w->Q; k++) {
        const int i = book(w, k);
        if (!w->shared || k == 0)
            candidates(dw->table[i], t->r, k, w, image_start, B, P, draw);
        op.nearest(t->code + k * N, t->r, w->table[i], N, w->Cv, w->S);
        op.code_stats(dw->count[i], dw->sum[i], t->r, t->code + k * N, N, w->Cv);
        depth_done(t, energy, w->table[i], k, N, w->Cv);
    }
}

void codes_update(CodesUse *use, Codes *w, const Codes *dw, float decay)
{
    const float eps = 1e-5f;
    *use = (CodesUse){ .books = books(w) };
    for (int k = 0; k < use->books; k++) {
        op.code_update(w->table[k], w->count[k], w->sum[k], dw->count[k], dw->sum[k], w->S, w->Cv, decay, eps);
        use->restarts += op.code_restart(w->table[k], w->count[k], w->sum[k], dw->table[k], dw->count[k], w->S, w->Cv,
                                         &use->used[k]);
        use->perplexity[k] = exp(op.entropy(dw->count[k], w->S));
    }
}
