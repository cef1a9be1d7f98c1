#include "core/denoise.h"

#include <math.h>

#include "core/ops.h"
#include "core/rng.h"
#include "core/rope.h"

static double cosine(int t)
{
    const double s = 0.008, c = cos(1.5707963267948966 * ((double)t / DENOISE_STEPS + s) / (1 + s));
    return c * c;
}

/* Of all steps only the last would keep less than 1/1000: cosine(DENOISE_STEPS) is 0. */
double denoise_kept(int t)
{
    return t < DENOISE_STEPS ? cosine(t) / cosine(0) : 1e-3 * cosine(DENOISE_STEPS - 1) / cosine(0);
}

void denoise_params(Denoiser *w, Binder *b)
{
    const DenoiseDims *d = &w->d;
    const unsigned matrix = INIT_FAN_IN | DECAY | MUON;
    CHECK(d->E % 2 == 0 && d->draws > 0, "a denoising head of width %d with %d draws: the width must be even", d->E,
          d->draws);
    w->enc.d = (EncoderDims){ .C = d->E, .F = d->F, .H = d->H, .L = d->L, .eps = d->eps };
    w->first = b->next;
    w->in    = param_linear(b, d->E, d->Cv, -1, matrix, "denoiser.in.w");
    w->in.b = param(b, d->E, 1, -1, INIT_ZERO, "denoiser.in.b");
    w->cond  = param_linear(b, d->E, d->C,  -1, matrix, "denoiser.cond.w");
    w->cond.b = param(b, d->E, 1, -1, INIT_ZERO, "denoiser.cond.b");
    w->time1 = param_linear(b, d->E, d->E,  -1, matrix, "denoiser.time1.w");
    w->time1.b = param(b, d->E, 1, -1, INIT_ZERO, "denoiser.time1.b");
    w->time2 = param_linear(b, d->E, d->E,  -1, matrix, "denoiser.time2.w");
    w->time2.b = param(b, d->E, 1, -1, INIT_ZERO, "denoiser.time2.b");
    w->front_last = b->next;
    encoder_params(&w->enc, b, "denoiser");
    w->tail_first = b->next;
    w->norm  = param(b, d->E, 1, -1, INIT_ONE, "denoiser.norm.w");
    w->norm_b = param(b, d->E, 1, -1, INIT_ZERO, "denoiser.norm.b");
    w->out   = param_linear(b, d->Cv, d->E, -1, INIT_ZERO | DECAY, "denoiser.out.w");
    w->out.b = param(b, d->Cv, 1, -1, INIT_ZERO, "denoiser.out.b");
    w->last = b->next;
}

void denoise_tape(DenoiseTape *t, Arena *a, const Denoiser *w, int64_t M, int images, const Tp *tp)
{
    const DenoiseDims *d = &w->d;
    const int64_t R = M * d->draws, S = (int64_t)images * d->draws;
    const EncoderDims enc = { .C = d->E, .F = d->F, .H = d->H, .L = d->L, .eps = d->eps };
    t->time   = LIST(a, int32_t, S);         t->start    = LIST(a, int32_t, S + 1);
    t->source = LIST(a, int32_t, R);         t->sequence = LIST(a, int32_t, R);
    t->key    = LIST(a, int64_t, R);         t->stream   = LIST(a, uint64_t, R);
    t->kept   = LIST(a, double, R);          t->freq  = LIST(a, double, d->E / 2);
    t->one    = TAKE(a, float, d->Cv);       t->x0    = TAKE(a, float, M * d->Cv);
    t->mean   = TAKE(a, float, M);           t->rstd  = TAKE(a, float, M);
    t->noise  = TAKE(a, float, R * d->Cv);   t->noisy = TAKE(a, float, R * d->Cv);
    t->hat    = TAKE(a, float, R * d->Cv);   t->cond  = TAKE(a, float, M * d->E);
    t->wave   = TAKE(a, float, S * d->E);    t->pre   = TAKE(a, float, S * d->E);
    t->act    = TAKE(a, float, S * d->E);    t->emb   = TAKE(a, float, S * d->E);
    t->dpre   = TAKE(a, float, S * d->E);    t->normed = TAKE(a, float, R * d->E);
    t->norm_mean = TAKE(a, float, R);        t->norm_rstd = TAKE(a, float, R);
    t->dnormed = TAKE(a, float, R * d->E);   t->dx = TAKE(a, float, R * d->E);
    encoder_tape(&t->enc, a, &enc, R, true, RECOMPUTE_NONE, tp);
}

/* The sequences of n images, their steps, and for each row where it comes from and which noise it gets. */
static void lay_out(DenoiseTape *t, int draws, int n, const int32_t *start, const int64_t *key, const NoiseDraw *draw)
{
    const uint64_t noise = rng_stream("denoise.noise"), time = rng_stream("denoise.time");
    int32_t r = 0;
    t->start[0] = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < draws; k++) {
            const int s = i * draws + k;
            const uint64_t nth = (uint64_t)draw->step * (uint64_t)draws + (uint64_t)k;
            const uint64_t stream = rng_bits(draw->seed, noise, nth), when = rng_bits(draw->seed, time, nth);
            const bool empty = start[i] == start[i + 1];
            t->time[s] = empty ? 1 : 1 + (int32_t)(DENOISE_STEPS * rng_uniform(draw->seed, when, (uint64_t)key[start[i]]));
            const double kept = denoise_kept(t->time[s]);
            for (int32_t m = start[i]; m < start[i + 1]; m++, r++) {
                t->source[r] = m;
                t->sequence[r] = s;
                t->key[r] = key[m];
                t->stream[r] = stream;
                t->kept[r] = kept;
            }
            t->start[s + 1] = r;
        }
}

/* t->emb (S,E): a wave is the vector (1 .. 1, 0 .. 0) turned by the angles of rope. */
static void time_forward(DenoiseTape *t, const Denoiser *w, int S)
{
    const int E = w->d.E;
    op.zero(t->wave, (int64_t)S * E);
    for (int s = 0; s < S; s++)
        op.fill(t->wave + (int64_t)s * E, E / 2, 1);
    rope_freq(t->freq, E, 10000, NULL);
    op.rope(t->wave, t->time, S, 1, E, t->freq, 1);
    op.linear_fwd(t->pre, t->wave, &w->time1, S);
    op.gelu_fwd(t->act, t->pre, (int64_t)S * E, GELU_ERF);
    op.linear_fwd(t->emb, t->act, &w->time2, S);
}

double denoise_forward(Denoiser *dw, DenoiseTape *t, const Denoiser *w, const float *g, const float *z, int64_t M, int n,
                       const int32_t *start, const int64_t *key, const NoiseDraw *draw, float scale, Tp *tp)
{
    const int Cv = w->d.Cv, E = w->d.E, draws = w->d.draws, S = n * draws;
    const int64_t R = M * draws;
    double loss;
    ASSERT(start[0] == 0 && start[n] == M);
    tp->need(tp, w->first, w->front_last);
    lay_out(t, draws, n, start, key, draw);
    op.fill(t->one, Cv, 1);
    op.layernorm_fwd(t->x0, t->mean, t->rstd, z, t->one, NULL, M, Cv, w->d.eps);
    op.noise(t->noise, t->stream, t->key, R, Cv, draw->seed);
    op.noise_mix(t->noisy, t->x0, t->noise, t->source, t->kept, R, Cv);

    time_forward(t, w, S);
    op.linear_fwd(t->cond, g, &w->cond, M);
    op.linear_fwd(t->enc.x, t->noisy, &w->in, R);
    op.add_rows_fwd(t->enc.x, t->cond, t->source, R, E);
    op.add_rows_fwd(t->enc.x, t->emb, t->sequence, R, E);
    const float *x = encoder_forward(&t->enc, &w->enc, 0, w->d.L, &(Rows){ R, S, t->start, NULL }, tp);
    tp->need(tp, w->tail_first, w->last);
    op.layernorm_fwd(t->normed, t->norm_mean, t->norm_rstd, x, w->norm, w->norm_b, R, E, w->d.eps);
    op.linear_fwd(t->hat, t->normed, &w->out, R);
    op.mse(&loss, dw ? t->hat : NULL, t->hat, t->noise, R, Cv, scale / (float)draws);
    return loss / draws;
}

static void time_backward(Denoiser *dw, DenoiseTape *t, const Denoiser *w, int S, int64_t R)
{
    const int E = w->d.E;
    float *demb = t->emb;
    op.zero(demb, (int64_t)S * E);
    op.add_rows_bwd(demb, t->dx, t->sequence, R, E);
    op.linear_dw(&dw->time2, demb, t->act, S);
    op.linear_dx(t->dpre, TERMS({ demb, &w->time2 }), S, false);
    op.gelu_bwd(t->dpre, NULL, t->dpre, t->pre, (int64_t)S * E, GELU_ERF);
    op.linear_dw(&dw->time1, t->dpre, t->wave, S);
}

void denoise_backward(float *dg, Denoiser *dw, DenoiseTape *t, const Denoiser *w, const float *g, int64_t M, int n,
                      Tp *tp, const OnGrad *door)
{
    const int E = w->d.E, L = w->d.L, S = n * w->d.draws;
    const int64_t R = M * w->d.draws;
    const float *x = t->enc.out;
    float *dcond = t->cond;
    ASSERT(t->start[S] == R);
    op.linear_dw(&dw->out, t->hat, t->normed, R);
    op.linear_dx(t->dnormed, TERMS({ t->hat, &w->out }), R, false);
    op.layernorm_bwd(t->dx, dw->norm, dw->norm_b, t->dnormed, x, t->norm_mean, t->norm_rstd, w->norm, R, E, 0, false);
    if (door)
        door->final(door->ctx, w->tail_first, w->last);
    encoder_backward(t->dx, &dw->enc, &t->enc, &w->enc, 0, L, &(Rows){ R, S, t->start, NULL }, tp, door);
    op.linear_dw(&dw->in, t->dx, t->noisy, R);
    time_backward(dw, t, w, S, R);
    op.zero(dcond, M * E);
    op.add_rows_bwd(dcond, t->dx, t->source, R, E);
    op.linear_dw(&dw->cond, dcond, g, M);
    op.linear_dx(dg, TERMS({ dcond, &w->cond }), M, false);
    if (door)
        door->final(door->ctx, w->first, w->front_last);
}
