#include "core/rqtok.h"

#include <math.h>

#include "core/join.h"
#include "core/ops.h"
#include "core/rng.h"

static int books(const Codes *w) { return w->shared ? 1 : w->Q; }
static int book(const Codes *w, int k) { return w->shared ? 0 : k; }

void codes_params(Codes *w, Binder *b)
{
    w->first = b->next;
    for (int k = 0; k < books(w); k++) {
        w->table[k] = param(b, w->S, w->Cv, 0, INIT_UNIT | STATE, "%s.%d.table", w->part, k);
        if (!w->means)
            continue;
        w->count[k] = param(b, w->S, 1, 0, INIT_ZERO | STATE, "%s.%d.count", w->part, k);
        w->sum[k]   = param(b, w->S, w->Cv, 0, INIT_ZERO | STATE, "%s.%d.sum", w->part, k);
    }
    w->last = b->next;
}

void codes_tape(CodesTape *t, Arena *a, const Codes *w, int64_t N, bool left, const Tp *tp)
{
    t->r     = TAKE(a, float, N * w->Cv);
    t->code  = TAKE(a, int32_t, N * w->Q);
    t->local = TAKE(a, int32_t, N);
    t->left  = left ? TAKE(a, float, N * w->Cv) : NULL;
    t->best  = tp->size > 1 ? TAKE(a, float, N) : NULL;
    t->bid   = tp->size > 1 ? TAKE(a, float, N) : NULL;
}

void codes_embed(float *out, const Codes *w, int k, const int32_t *code, int32_t *local, int64_t N, const Tp *tp)
{
    const int Sl = w->S / tp->size;
    op.local_ids(local, code, N, tp->rank * Sl);
    op.embed_fwd(out, w->table[book(w, k)], local, N, w->Cv, Sl);
}

/* Of the nearest codes of each rank the nearest of all, the lowest if several are. */
static void elect(int32_t *code, CodesTape *t, int64_t N, int first, Tp *tp)
{
    if (!t->bid)
        return;
    op.scale(t->best, N, -1);
    op.copy(t->bid, t->best, N);
    tp->max(tp, t->best, N);
    op.nearest_bid(t->bid, t->best, code, N, first);      /* ids are exact in float: S < 2^24 */
    tp->max(tp, t->bid, N);
    op.nearest_won(code, t->bid, N);
}

/* The codes of depth k, in t->code and t->local. */
static void choose(CodesTape *t, const Codes *w, int k, int64_t N, Tp *tp)
{
    const int Sl = w->S / tp->size;
    int32_t *code = t->code + k * N;
    op.nearest(code, t->best, t->r, w->table[book(w, k)], N, w->Cv, Sl, tp->leaves);
    elect(code, t, N, tp->rank * Sl, tp);
    op.local_ids(t->local, code, N, tp->rank * Sl);
}

/* Takes the vectors of depth k off the residuals: the rank that has one leaves the difference, the others zero. */
static void depth_done(CodesTape *t, double *energy, const Codes *w, int k, int64_t N, Tp *tp)
{
    const int Cv = w->Cv;
    op.residual(t->r, w->table[book(w, k)], t->local, N, Cv, w->S / tp->size);
    tp->sum(tp, t->r, N * Cv);
    if (energy)
        op.sumsq(&energy[k + 1], t->r, N * Cv);
    if (t->left && k == 0)
        op.copy(t->left, t->r, N * Cv);
    else if (t->left)
        op.add_fwd(t->left, t->left, t->r, N * Cv);
}

void codes_quantize(CodesTape *t, double *energy, const Codes *w, const float *x, int64_t N, Tp *tp)
{
    tp->need(tp, w->first, w->last);
    if (x != t->r)
        op.copy(t->r, x, N * w->Cv);
    if (energy)
        op.sumsq(&energy[0], t->r, N * w->Cv);
    for (int k = 0; k < w->Q; k++) {
        choose(t, w, k, N, tp);
        depth_done(t, energy, w, k, N, tp);
    }
}

/* Copies into dtable, for each code of this rank, the vector that it would start again from, where its owner is in this
   batch.  Who that is depends on the code's place in the whole codebook. */
static void candidates(float *dtable, const float *r, int k, const Codes *w, const int32_t *image_start, int B, int P,
                       const CodesDraw *d, const Tp *tp)
{
    const uint64_t stream = rng_stream("codes.restart") + (uint64_t)k;
    const int32_t Sl = w->S / tp->size, first = tp->rank * Sl;
    for (int32_t j = first; j < first + Sl; j++) {
        const uint64_t at = 2 * ((uint64_t)d->step * (uint64_t)w->S + (uint64_t)j);
        const int64_t sample = rng_below(d->global_batch, d->seed, stream, at) - d->first;
        if (sample < 0 || sample >= B)
            continue;
        const int64_t row0 = (int64_t)image_start[sample] * P, rows = (int64_t)image_start[sample + 1] * P - row0;
        if (rows == 0)
            continue;
        const int32_t row = (int32_t)(row0 + rng_below(rows, d->seed, stream, at + 1));
        op.gather(dtable + (int64_t)(j - first) * w->Cv, r, &row, 1, w->Cv);
    }
}

void codes_gather(Codes *dw, CodesTape *t, double *energy, const Codes *w, const float *x, const int32_t *image_start,
                  int B, int P, const CodesDraw *draw, Tp *tp)
{
    const int64_t N = (int64_t)image_start[B] * P;
    tp->need(tp, w->first, w->last);
    op.copy(t->r, x, N * w->Cv);
    op.sumsq(&energy[0], t->r, N * w->Cv);
    for (int k = 0; k < w->Q; k++) {
        const int i = book(w, k);
        if (!w->shared || k == 0)
            candidates(dw->table[i], t->r, k, w, image_start, B, P, draw, tp);
        choose(t, w, k, N, tp);
        op.code_stats(dw->count[i], dw->sum[i], t->r, t->local, N, w->Cv, w->S / tp->size);
        depth_done(t, energy, w, k, N, tp);
    }
}

/* Of codes in n leaves: what a book has on this rank, as tp_sum_f64 joins it between ranks. */
static void count_codes(double *total, double *chosen, float *count, const float *n, int S, float decay, int leaves)
{
    const int parts = leaves > 1 ? leaves : 1, each = S / parts;
    double averages[MAX_LEAVES], taken[MAX_LEAVES];
    for (int k = 0; k < parts; k++)
        op.code_count(&averages[k], &taken[k], count + k * each, n + k * each, each, decay);
    *total = join_f64(averages, parts);
    *chosen = join_f64(taken, parts);
}

static double entropy(const float *n, int S, double total, int leaves)
{
    const int parts = leaves > 1 ? leaves : 1, each = S / parts;
    double part[MAX_LEAVES];
    for (int k = 0; k < parts; k++)
        op.entropy(&part[k], n + k * each, each, total);
    return join_f64(part, parts);
}

void codes_update(CodesUse *use, Codes *w, const Codes *dw, float decay, Tp *tp)
{
    const float eps = 1e-5f;
    const int n = books(w), Sl = w->S / tp->size;
    double count[2][MAX_DEPTH] = { { 0 } };               /* of each book: sum of the averages, of what was chosen */
    double seen[3][MAX_DEPTH] = { { 0 } };                /* restarts, codes in use, entropy */
    *use = (CodesUse){ .books = n };
    for (int k = 0; k < n; k++)
        count_codes(&count[0][k], &count[1][k], w->count[k], dw->count[k], Sl, decay, tp->leaves);
    tp_sum_f64(tp, count[0], 2 * MAX_DEPTH);
    for (int k = 0; k < n; k++) {
        int64_t restarts;
        int used;
        if (count[0][k] != 0)                             /* else no step has met a vector yet */
            op.code_update(w->table[k], w->sum[k], w->count[k], dw->sum[k], Sl, w->Cv, decay, eps, count[0][k], w->S);
        op.code_restart(&restarts, &used, w->table[k], w->count[k], w->sum[k], dw->table[k], dw->count[k], Sl, w->Cv);
        seen[0][k] = (double)restarts;
        seen[1][k] = used;
        seen[2][k] = entropy(dw->count[k], Sl, count[1][k], tp->leaves);
    }
    tp_sum_f64(tp, seen[0], 3 * MAX_DEPTH);
    for (int k = 0; k < n; k++) {
        use->restarts += (int64_t)seen[0][k];
        use->used[k] = (int)seen[1][k];
        use->perplexity[k] = exp(seen[2][k]);
    }
}
