#include "core/residual.h"

#include "core/stripe.h"

Residual residual(Tp *tp, int64_t N, int C, float *norm, float *room, float *part)
{
    return (Residual){ tp, N, C, stripes(tp, N, C), norm, room, part };
}

void residual_enter(const Residual *r, float *in, const float *x)
{
    for (int i = 0; i < r->n && r->tp->sequence; i++) {
        const Share s = share(r->tp, i, r->n, r->N);
        op.copy(in + s.here * r->C, x + s.at * r->C, s.n * r->C);
    }
}

static void norm(float *out, const Norm *m, const float *x, Share s, int C)
{
    if (m->bias)
        op.layernorm_fwd(out + s.at * C, m->mean + s.here, m->rstd + s.here, x + s.here * C, m->w, m->bias, s.n, C, m->eps);
    else
        op.rmsnorm_fwd(out + s.at * C, m->rstd + s.here, x + s.here * C, m->w, s.n, C, m->eps);
}

static void add_norm(float *x, float *out, const Norm *m, const float *sum, const float *add, Share s, int C)
{
    const int64_t at = s.at * C, here = s.here * C;
    if (m->bias)
        op.add_layernorm_fwd(x + here, out + at, m->mean + s.here, m->rstd + s.here, sum + at, add + here, m->w, m->bias, s.n, C, m->eps);
    else
        op.add_rmsnorm_fwd(x + here, out + at, m->rstd + s.here, sum + at, add + here, m->w, s.n, C, m->eps);
}

void residual_norm(const Residual *r, float *out, const Norm *m, float *x, const float *add, int i)
{
    const Share s = share(r->tp, i, r->n, r->N);
    if (add) {
        r->tp->wait(r->tp);
        add_norm(x, out, m, r->norm, add, s, r->C);
    } else {
        norm(out, m, x, s, r->C);
    }
    share_gather_start(r->tp, out, i, r->n, r->N, r->C);
}

float *residual_leave(const Residual *r, float *all, float *x, const float *add)
{
    const bool shares = r->tp->sequence;
    for (int i = 0; add && i < r->n; i++) {
        const Share s = share(r->tp, i, r->n, r->N);
        r->tp->wait(r->tp);
        op.add_fwd(x + s.here * r->C, r->norm + s.at * r->C, add + s.here * r->C, s.n * r->C);
        if (shares)
            op.copy(all + s.at * r->C, x + s.here * r->C, s.n * r->C);
        share_gather_start(r->tp, all, i, r->n, r->N, r->C);
    }
    if (add)
        residual_gathered(r);
    return shares ? all : x;
}

void residual_again(const Residual *r, const Norm *m, const float *x)
{
    for (int i = 0; i < r->n; i++) {
        norm(r->norm, m, x, share(r->tp, i, r->n, r->N), r->C);
        share_gather_start(r->tp, r->norm, i, r->n, r->N, r->C);
    }
}

void residual_gathered(const Residual *r)
{
    for (int i = 0; i < r->n; i++)
        share_gather_wait(r->tp);
}

/* Of half k of all rows, what this rank keeps. */
static void half_backward(const Residual *r, float *dx, NormGrad dw, const Norm *m, const float *x, const float *dout, int k, bool add)
{
    const int C = r->C, all = halves(r->N, C);
    const Share s = share(r->tp, k, all, r->N);
    const int64_t leaf = leaf_rows(r->tp, stripe(k, all, r->N).n), at = s.at * C, here = s.here * C;
    if (m->bias)
        op.layernorm_bwd(dx + at, dw.w, dw.bias, dout + at, x + here, m->mean + s.here, m->rstd + s.here, m->w, s.n, C, leaf, add);
    else
        op.rmsnorm_bwd(dx + at, dw.w, dout + at, x + here, m->rstd + s.here, m->w, s.n, C, leaf, add);
}

/* A half's gradient of the weights is a sum by itself.  Where ranks keep shares, r->part gets this rank's part of it. */
static void backward(const Residual *r, float *dx, const NormGrad *dw, const Norm *m, const float *x, const float *dout, int i, bool add)
{
    const int C = r->C, all = halves(r->N, C);
    for (int k = r->n == 1 ? 0 : i; k < (r->n == 1 ? all : i + 1); k++) {
        NormGrad to = *dw;
        if (r->part) {
            float *part = r->part + 2 * k * C;
            op.zero(part, 2 * C);
            to = (NormGrad){ dw->w ? part : NULL, dw->bias ? part + C : NULL };
        }
        half_backward(r, dx, to, m, x, dout, k, add);
    }
    share_gather_start(r->tp, dx, i, r->n, r->N, C);
}

/* What the rows of all ranks give. */
static void sum_parts(const Residual *r, const NormGrad *dw)
{
    const int C = r->C, all = halves(r->N, C);
    if (!r->part || (!dw->w && !dw->bias))
        return;
    r->tp->sum(r->tp, r->part, 2 * all * C);
    for (int k = 0; k < all; k++) {
        if (dw->w)
            op.add_fwd(dw->w, dw->w, r->part + 2 * k * C, C);
        if (dw->bias)
            op.add_fwd(dw->bias, dw->bias, r->part + (2 * k + 1) * C, C);
    }
}

void residual_backward(const Residual *r, float *dx, const NormGrad *dw, const Norm *m, const float *x, const float *dout)
{
    for (int i = 0; i < r->n; i++)
        backward(r, dx, dw, m, x, dout, i, false);
    residual_gathered(r);
    sum_parts(r, dw);
}

/* One product for each stripe, and for the last one all that are left. */
void residual_backward_beside(const Residual *r, float *dx, const NormGrad *dw, const Norm *m, const float *x, float *dout,
                              const DwTerm *term, int terms)
{
    Tp *tp = r->tp;
    for (int i = 0; i < r->n; i++)
        share_sum_start(tp, dout, r->room, i, r->n, r->N, r->C);
    for (int i = 0, k = 0; i < r->n; i++) {
        for (const int end = i == r->n - 1 ? terms : k + 1; k < end; k++) {
            lora_dw(term[k].dw, term[k].dout, r->norm, term[k].w, k, r->N);
            tp->sum_start(tp, NULL, NULL, 0);
        }
        tp->wait(tp);
        backward(r, dx, dw, m, x, dout, i, true);
    }
    residual_gathered(r);
    sum_parts(r, dw);
}
