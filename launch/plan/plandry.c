#include "launch/plan/plandry.h"

#include <stdlib.h>
#include <string.h>

#include "core/opscount.h"
#include "core/prof.h"
#include "dist/comm.h"
#include "dist/tp.h"

const char *const DRY_PLACE_NAME[DRY_PLACES] = {
    [DRY_TOWER] = "vision tower", [DRY_OWN_TOWER] = "the codes' own tower", [DRY_CODES] = "codes", [DRY_PROJECTOR] = "projector",
    [DRY_DECODER] = "decoder", [DRY_TEXT_LOSS] = "text loss", [DRY_HEAD] = "visual head", [DRY_HEAD_LOSS] = "visual loss, back",
    [DRY_DENOISER] = "denoising head",
};

static const struct { const char *part; DryPlace place; } PART[] = {
    { "vision", DRY_TOWER }, { "tokenizer", DRY_OWN_TOWER }, { "codes", DRY_CODES }, { "app_codes", DRY_CODES },
    { "projector", DRY_PROJECTOR }, { "decoder", DRY_DECODER }, { LORA_PART, DRY_DECODER }, { "head", DRY_HEAD }, { "app_head", DRY_HEAD }, { "denoiser", DRY_DENOISER },
};

typedef struct {
    Dry    *d;
    Model   m;
    Tape    tape;
    Tp      tp;
    Batch   batch;
    DrySums since, begun;          /* backward: sums of which it is not yet known where they are */
    DryPlace at;
    bool    backward, *final;      /* (params) */
    int     tail;                  /* params [tail, n) are final, or frozen */
    double  flops, sum_flops;      /* at the last beat; at the last call about a sum in two phases */
} Run;

/* ---- where ---- */

static DryPlace part_of(const Param *p)
{
    for (size_t i = 0; i < sizeof PART / sizeof *PART; i++)
        if (param_in_part(p, PART[i].part))
            return PART[i].place;
    die_at(EXIT_INTERNAL, __FILE__, __LINE__, "launch/plan/plandry.c has no place for what %s asks of other ranks", p->name);
}

/* Weights that are named a second time, or beside others, say more than their part. */
static DryPlace place_of(const Run *r, int first)
{
    const Model *m = &r->m;
    const DryPlace part = part_of(&m->table.p[first]);
    if (part == DRY_CODES && r->at == DRY_HEAD)
        return DRY_HEAD;                                /* vectors that the head reads */
    if (part == DRY_DECODER && first == m->w.decoder.p_lm_head && r->at == DRY_DECODER)
        return DRY_TEXT_LOSS;                           /* an embedding that is tied was named before the blocks, too */
    for (int k = 0; k < BRANCHES && part == DRY_HEAD; k++)
        if (first == m->w.head[k].tail_first)
            return DRY_HEAD_LOSS;
    return part;
}

/* ---- the doors ---- */

/* Room for one more behind n of a list, which doubles when it is full. */
static void *grown(void *list, int n, size_t elem)
{
    if (n & (n - 1))
        return list;
    list = realloc(list, 2 * elem * (size_t)max64(n, 1));
    CHECK(list, "no memory for %d calls of the doors", n);
    return list;
}

static void add(DrySums *to, const DrySums *some)
{
    to->calls += some->calls;
    to->floats += some->floats;
    to->bytes += some->bytes;
}

static void count(Tp *tp, int64_t n, int64_t bytes)
{
    Run *r = tp->ctx;
    const DrySums one = { n > 0, n, bytes };
    if (tp->size > 1)
        add(r->backward ? &r->since : &r->d->sums[r->at], &one);
}

static void count_max(Tp *tp, float *x, int64_t n) { count(tp, n, comm_sum_bytes(n * (int64_t)sizeof *x, tp->size)); }

static void call(Run *r, SumKind kind, int64_t floats)
{
    Dry *d = r->d;
    d->sum = grown(d->sum, d->calls, sizeof *d->sum);
    d->sum[d->calls++] = (SumCall){ prof_flops - r->sum_flops, kind, floats };
    r->sum_flops = prof_flops;
}

static void count_start(Tp *tp, float *x, float *room, int64_t n)
{
    (void)room;
    Run *r = tp->ctx;
    DrySums one = { .floats = n };
    if (tp->size == 1)
        return;
    call(r, x ? SUM_START : SUM_LOOK, n);
    tp_sum_cost(&one.calls, &one.bytes, n, tp->rank, tp->size);
    add(r->backward ? &r->begun : &r->d->begun[r->at], &one);
}

/* A half of a sum. */
static void half(Tp *tp, SumKind kind, int64_t n, const DrySums *one)
{
    Run *r = tp->ctx;
    if (tp->size == 1)
        return;
    call(r, kind, n);
    add(r->backward ? &r->begun : &r->d->begun[r->at], one);
}

static void count_scatter(Tp *tp, float *x, float *room, int64_t n, int64_t each)
{
    (void)x, (void)room;
    DrySums one = { .floats = n };
    tp_scatter_cost(&one.calls, &one.bytes, n, each, tp->rank);
    half(tp, SUM_SCATTER, n, &one);
}

static void count_gather(Tp *tp, float *x, int64_t n, int64_t each)
{
    (void)x;
    DrySums one = { .floats = 0 };                          /* its scatter has them */
    tp_gather_cost(&one.calls, &one.bytes, n, each, tp->rank, tp->size);
    half(tp, SUM_GATHER, n, &one);
}

static void count_wait(Tp *tp)
{
    if (tp->size > 1)
        call(tp->ctx, SUM_WAIT, 0);
}

/* A long one is as one in two phases that is waited for at once. */
static void count_sum(Tp *tp, float *x, int64_t n)
{
    for (int64_t some; n > 0; n -= some) {
        some = min64(n, TP_PIECE);
        if (tp_sum_short(some, tp->size)) {
            count(tp, some, (int64_t)sizeof *x * some * (tp->size - 1));
            continue;
        }
        count_start(tp, x, NULL, some);
        count_wait(tp);
    }
}

static void beat(Run *r, Beats *b, int first, int last)
{
    b->beat = grown(b->beat, b->n, sizeof *b->beat);
    b->beat[b->n++] = (Beat){ 0, first, last };
    r->flops = prof_flops;
}

static void need(Tp *tp, int first, int last)
{
    Run *r = tp->ctx;
    Beats *b = &r->d->forward;
    if (b->n)
        b->beat[b->n - 1].flops = prof_flops - r->flops;
    r->at = place_of(r, first);
    beat(r, b, first, last);
}

static void final(void *ctx, int first, int last)
{
    Run *r = ctx;
    Beats *b = &r->d->backward;
    const double flops = prof_flops - r->flops;
    if (first < last) {
        const DryPlace at = part_of(&r->m.table.p[first]);
        add(&r->d->sums[at], &r->since);
        add(&r->d->begun[at], &r->begun);
        r->since = r->begun = (DrySums){ 0 };
    }
    for (int i = first; i < last; i++)
        r->final[i] = true;
    while (r->tail > 0 && (r->final[r->tail - 1] || r->m.table.p[r->tail - 1].grad < 0))
        r->tail--;
    beat(r, b, r->tail, r->m.table.n);
    b->beat[b->n - 1].flops = flops;
}

/* ---- the batch ---- */

static void *room(int64_t n, size_t elem)
{
    void *p = calloc((size_t)max64(n, 1), elem);
    CHECK(p, "no memory for a batch that is planned");
    return p;
}

static void batch_open(Batch *b, const ModelConf *c, int P)
{
    const int B = c->micro_batch, T = (int)max64(1, c->max_len - P + 1);
    int32_t *tokens = room((int64_t)B * T, sizeof *tokens), *labels = room((int64_t)B * T, sizeof *labels);
    int32_t *start = room(B + 1, sizeof *start), *images = room(B + 1, sizeof *images);
    for (int i = 0; i <= B; i++) {
        start[i] = i * T;
        images[i] = i;
    }
    for (int i = 0; i < B; i++) {
        tokens[i * T] = IMAGE_TOKEN;
        labels[i * T] = IGNORE;
    }
    *b = (Batch){ .B = B, .I = B, .M = (int64_t)B * T, .tokens = tokens, .labels = labels, .token_start = start, .image_start = images,
                  .codes = room((int64_t)B * P * c->codes_given, sizeof *b->codes), .sample = room(B, sizeof *b->sample), .global_batch = B };
}

static void batch_close(Batch *b)
{
    free((void *)b->tokens), free((void *)b->labels), free((void *)b->token_start), free((void *)b->image_start);
    free((void *)b->codes), free((void *)b->sample);
}

/* ---- the run ---- */

static void forget(Run *r)
{
    Dry *d = r->d;
    memset(d->sums, 0, sizeof d->sums);
    memset(d->begun, 0, sizeof d->begun);
    d->forward.n = d->backward.n = d->calls = 0;
    r->since = r->begun = (DrySums){ 0 };
    r->at = DRY_PLACES;
    r->backward = false;
    r->tail = r->m.table.n;
    r->flops = r->sum_flops = prof_flops;
    memset(r->final, 0, (size_t)r->m.table.n * sizeof *r->final);
}

static double forward(Run *r)
{
    Losses targets = { 0 }, sum = { 0 };
    forget(r);
    model_count(&r->m, &r->tape, &r->batch, &targets);
    const double from = prof_flops;
    model_forward(&r->m, &r->tape, &r->batch, &targets, &sum);
    return prof_flops - from;
}

static double backward(Run *r)
{
    const OnGrad door = { final, r };
    Beats *b = &r->d->backward;
    const double from = r->flops = prof_flops;
    r->backward = true;
    r->d->turn = r->d->calls;
    model_backward(&r->m, &r->tape, &r->batch, &door);
    if (b->n)
        b->beat[b->n - 1].flops += prof_flops - r->flops;
    ASSERT(r->since.calls == 0 && r->begun.calls == 0);
    return prof_flops - from;
}

static void no_dx(float *dx, const LinearTerm *term, int terms, int64_t N, bool add) { (void)dx, (void)term, (void)terms, (void)N, (void)add; }
static void no_depth(float *dq, float *dk, float *dv, const float *datt, const float *prob, const float *q, const float *k, const float *v, int Q,
                     int64_t N, int H, int D)
{
    (void)dq, (void)dk, (void)dv, (void)datt, (void)prob, (void)q, (void)k, (void)v, (void)Q, (void)N, (void)H, (void)D;
}
static void no_dw(Linear *dw, const float *dout, const float *x, int64_t N) { (void)dw, (void)dout, (void)x, (void)N; }

/* The first pass does what happens once (soft targets), without the gradients that forward computes; the second is a step's. */
static void passes(Run *r)
{
    Dry *d = r->d;
    const double B = r->m.c.micro_batch;
    forward(r);
    op.linear_dx = no_dx;
    op.linear_dw = no_dw;
    op.depth_attention_bwd = no_depth;
    d->sample.forward = forward(r) / B;
    op = OPS_COUNT;
    d->sample.early = forward(r) / B;
    if (d->forward.n)
        d->forward.beat[d->forward.n - 1].flops = prof_flops - r->flops;
    d->forward.flops = d->sample.early * B;
    d->backward.flops = backward(r);
    d->sample.step = d->sample.early + d->backward.flops / B;
}

void dry_run(Dry *d, const ModelConf *conf, const Tp *tp)
{
    static Run r;                                       /* a large structure */
    const Ops was = op;
    const double flops = prof_flops, bytes = prof_bytes;
    r = (Run){ .d = d, .tp = { .size = tp->size, .leaves = tp->leaves, .sequence = tp->sequence, .sum = count_sum, .max = count_max, .sum_start = count_start,
                               .scatter_start = count_scatter, .gather_start = count_gather, .wait = count_wait, .need = need, .ctx = &r } };
    model_measure(&r.m, conf, &r.tp);
    tape_measure(&r.tape, &r.m);
    model_nowhere(&r.m);
    tape_nowhere(&r.tape, &r.m);
    r.final = room(r.m.table.n, sizeof *r.final);
    batch_open(&r.batch, conf, r.m.w.vision.P);
    *d = (Dry){ 0 };
    op = OPS_COUNT;
    passes(&r);
    op = was;
    prof_flops = flops;
    prof_bytes = bytes;
    batch_close(&r.batch);
    free(r.final);
    tape_close(&r.tape);
    model_close(&r.m);
}

void dry_close(Dry *d)
{
    free(d->forward.beat);
    free(d->backward.beat);
    free(d->sum);
    *d = (Dry){ 0 };
}
