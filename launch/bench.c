/* bench.c -- `asvr bench`: what this machine gives on this model, all ratios measured in the same run */
#include <stdio.h>
#include <stdlib.h>

#include "core/ops.h"
#include "core/prof.h"
#include "core/rng.h"
#include "dist/comm.h"
#include "dist/stats.h"
#include "launch/step.h"
#include "launch/verbs.h"

enum { WARM_UP = 2, STEPS = 12 };

typedef struct {
    int32_t  *tokens, *labels, *token_start, *image_start;
    uint8_t  *pixels;
    uint16_t *codes;
    int64_t  *sample;
    Batch     batch;
} Synthetic;

static void *room(int64_t n, size_t elem)
{
    void *p = calloc((size_t)n, elem);
    CHECK(p, "no memory for a batch of the benchmark");
    return p;
}

/* Codes a patch: both kinds, where both are learned. */
static int codes_of(const Config *c) { return c->model.codes.depth * (c->train.supervision >= SUPERVISE_APPEARANCE ? 2 : 1); }

/* Each sample: one picture and text up to model.decoder.max_len rows, every token supervised. */
static void make_batch(Synthetic *s, const Config *c, int P, int rank)
{
    const int B = c->train.micro_batch, text = c->model.decoder.max_len - P, T = text + 1, Q = codes_of(c);
    const int64_t pixels = (int64_t)B * config_picture(c) * config_picture(c) * 3;
    CHECK(text > 1, "model.decoder.max_len = %d leaves no text beside a picture of %d rows", c->model.decoder.max_len, P);
    s->tokens = room(B * T, sizeof *s->tokens);
    s->labels = room(B * T, sizeof *s->labels);
    s->token_start = room(B + 1, sizeof *s->token_start);
    s->image_start = room(B + 1, sizeof *s->image_start);
    s->pixels = room(pixels, 1);
    s->codes = room((int64_t)B * P * Q, sizeof *s->codes);
    s->sample = room(B, sizeof *s->sample);
    for (int b = 0; b <= B; b++) {
        s->token_start[b] = b * T;
        s->image_start[b] = b;
    }
    for (int i = 0; i < B * T; i++) {
        s->tokens[i] = i % T ? (int32_t)rng_below(c->model.decoder.vocab, (uint64_t)rank, 1, (uint64_t)i) : IMAGE_TOKEN;
        s->labels[i] = i % T ? s->tokens[i] : IGNORE;
    }
    for (int64_t i = 0; i < pixels; i++)
        s->pixels[i] = (uint8_t)rng_below(256, (uint64_t)rank, 2, (uint64_t)i);
    for (int i = 0; i < B * P * Q; i++)
        s->codes[i] = (uint16_t)rng_below(c->model.codes.size, (uint64_t)rank, 3, (uint64_t)i);
    s->batch = (Batch){ .B = B, .I = B, .M = (int64_t)B * T, .tokens = s->tokens, .labels = s->labels,
                        .token_start = s->token_start, .image_start = s->image_start, .pixels = s->pixels,
                        .codes = s->codes, .sample = s->sample, .global_batch = B };
}

static void free_batch(Synthetic *s)
{
    void *all[] = { s->tokens, s->labels, s->token_start, s->image_start, s->pixels, s->codes, s->sample };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

typedef struct { double step, forward, backward, reduce, optim, flops; } Times;

/* One step of train.global_batch samples, all micro-batches alike. */
static void step(Run *r, const Synthetic *s, Buckets *b, int leaves, Times *t)
{
    const Config *c = r->c;
    Model *m = &r->model;
    const OnGrad door = buckets_door(b);
    Losses global = { 0 }, sum = { 0 };
    const OptimConf conf = { .lr = 1e-5f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .clip = (float)c->train.clip,
                             .momentum = 0.95f };
    const double began = now(), flops = prof_flops;
    for (int i = 0; i < leaves; i++)
        model_count(m, &s->batch, &global);
    comm_sum_f64(r->grid.dp, (double *)&global, sizeof global / sizeof(double));
    for (int i = 0; i < leaves; i++) {
        buckets_begin(b, i);
        span(&t->forward, model_forward(m, &s->batch, &global, &sum));
        span(&t->backward, model_backward(m, &s->batch, &door));
    }
    span(&t->reduce, buckets_wait(b));
    comm_sum_f64(r->grid.dp, (double *)&sum, sizeof sum / sizeof(double));
    span(&t->optim, optim_step(&r->optim, m->weights, m->grads, &conf, optim_norm(&r->optim, m->grads)));
    t->step += now() - began;
    t->flops += prof_flops - flops;
}

/* All ranks multiply at once, as they do in a step. */
static double sgemm_of_all(const Run *r)
{
    double rate = 0, best = 0;
    for (int i = 0; i < 5; i++) {
        comm_barrier(r->grid.world);
        rate = run_sgemm_rate();
        comm_sum_f64(r->grid.world, &rate, 1);
        best = rate > best ? rate : best;
    }
    return best;
}

/* Steps of the other reduction and of this one in turn, since a machine's speed drifts: what the canonical order costs. */
static void print_reduction(Run *r, const Synthetic *s, BucketConf conf)
{
    Times t[2] = { 0 };
    if (r->grid.dp_size == 1)
        return;
    mem_thaw();
    conf.reduction = conf.reduction == REDUCE_FAST ? REDUCE_CANONICAL : REDUCE_FAST;
    conf.wire = WIRE_FP32;
    Buckets *b[2] = { r->buckets, buckets_open(&r->optim.zero, r->model.grads, &r->grid, &conf) };
    step(r, s, b[1], conf.leaves, &t[1]);
    t[1] = (Times){ 0 };
    for (int i = 0; i < 2 * STEPS; i++) {
        comm_barrier(r->grid.world);
        step(r, s, b[i % 2], conf.leaves, &t[i % 2]);
    }
    buckets_close(b[1]);
    double slowest[2] = { t[0].step, t[1].step };
    comm_max_f64(r->grid.world, slowest, 2);
    const int canonical = conf.reduction == REDUCE_CANONICAL;
    if (r->grid.rank == 0)
        printf("reduction  a step with the canonical one takes %.3f of one with the fast one (%d steps each, in turn)\n",
               slowest[canonical] / slowest[!canonical], STEPS);
}

static void print_network(Run *r)
{
    const int64_t n = r->model.table.grads;
    if (r->grid.dp_size == 1)
        return;
    comm_barrier(r->grid.world);
    double t = now();
    comm_sum_f32(r->grid.dp, r->model.grads, n);
    t = now() - t;
    if (r->grid.rank == 0)
        printf("network    %.0f MiB of gradients summed at once in %.1f ms: %.2f GB/s\n", 4e-6 * (double)n / 1.048576,
               1e3 * t, 4e-9 * (double)n / t);
}

static void print_loader(Run *r, Err *e)
{
    const Config *c = r->c;
    if (!c->data.shards[0] || !run_shards(r, c->data.shards, "data.shards", e)) {
        if (r->grid.rank == 0)
            printf("loader     not measured: there are no shards at data.shards = \"%s\"\n", c->data.shards);
        *e = (Err){ 0 };
        return;
    }
    const LoaderConf l = { .seed = 1, .dp_rank = r->grid.dp_rank, .dp_size = r->grid.dp_size,
                           .micro_batch = c->train.micro_batch, .global_batch = c->train.micro_batch * r->grid.dp_size,
                           .max_len = c->model.decoder.max_len, .P = r->model.w.vision.P, .ring = 2 };
    r->loader = loader_open(r->shards, &l, e);
    if (!run_agree(r, e))
        return;
    const double t = now();
    for (int i = 0; i < STEPS && loader_next(r->loader, e); i++)
        ;
    if (r->grid.rank == 0 && !e->code)
        printf("loader     %.0f samples/s\n", STEPS * l.global_batch / (now() - t));
}

static void print_result(const Run *r, const Times *t, double sgemm, double peak)
{
    const BucketConf conf = run_buckets(r->c, r->grid.dp_size);
    const double samples = (double)r->c->train.micro_batch * conf.leaves * r->grid.dp_size;
    const double per[] = { t->step / STEPS, t->forward / STEPS, t->backward / STEPS, t->reduce / STEPS, t->optim / STEPS,
                           peak, t->flops / STEPS };
    Stat s[7];
    stats_gather(r->grid.world, per, 7, s);
    const double flops = s[6].mean * r->grid.size, gf = flops / s[0].max;
    if (r->grid.rank != 0)
        return;
    const char *name[] = { "step", "forward", "backward", "reduce", "optimizer" };
    printf("\n%-10s %9s %9s %9s   ms a step, over %d ranks\n", "", "min", "mean", "max", r->grid.size);
    for (int i = 0; i < 5; i++)
        printf("%-10s %9.2f %9.2f %9.2f   slowest: rank %d\n", name[i], 1e3 * s[i].min, 1e3 * s[i].mean, 1e3 * s[i].max, s[i].argmax);
    printf("backward waits for the reduction %.1f %% of its time; %.1f MiB are reduced a step\n",
           100 * s[3].mean / (s[2].mean + s[3].mean), (double)buckets_bytes(&r->optim.zero, &conf) / (1 << 20));
    printf("sgemm      %.1f GF/s (512 x 512 x 512, all ranks at once, this run)\n\n", 1e-9 * sgemm);
    printf("%.2f samples/s  %.1f GF/s  %.2f of sgemm  %.0f MiB\n", samples / s[0].max,
           1e-9 * gf, gf / sgemm, s[5].max);
}

static bool bench(Run *r, Err *e)
{
    const Config *c = r->c;
    const RunShape shape = { .stage = (Stage)c->train.stage, .train = true, .codes_given = codes_of(c),
                             .micro_batch = c->train.micro_batch, .max_images = c->train.micro_batch,
                             .max_len = c->model.decoder.max_len };
    Synthetic s = { 0 };
    if (c->train.stage < STAGE_PRETRAIN)
        return err_set(e, EXIT_CONFIG, "train.stage", "", "bench measures the stages pretrain and instruct");
    if (!run_model(r, &shape, e))
        return false;
    const BucketConf conf = run_buckets(c, r->grid.dp_size);
    optim_open(&r->optim, &r->model.table, r->model.weights, &r->grid, &(OptimSetup){
        .kind = c->train.optimizer, .zero1 = conf.zero1, .canonical = conf.reduction == REDUCE_CANONICAL });
    r->buckets = buckets_open(&r->optim.zero, r->model.grads, &r->grid, &conf);
    make_batch(&s, c, r->model.w.vision.P, r->grid.dp_rank);
    if (r->grid.rank == 0) {
        printf("%.2f M parameters, %.2f M trainable a rank; %d ranks: %d replica%s of %d; %d x %d samples each; %.0f MiB a rank in arenas\n",
               1e-6 * (double)r->model.table.weights, 1e-6 * (double)r->model.table.grads, r->grid.size, r->grid.dp_size,
               r->grid.dp_size == 1 ? "" : "s", r->grid.tp_size, conf.leaves, c->train.micro_batch, (double)mem_total() / (1 << 20));
        fflush(stdout);
    }
    Times t = { 0 };
    double sgemm = sgemm_of_all(r);
    for (int i = 0; i < WARM_UP; i++)
        step(r, &s, r->buckets, conf.leaves, &t);
    t = (Times){ 0 };
    comm_barrier(r->grid.world);
    for (int i = 0; i < STEPS; i++)
        step(r, &s, r->buckets, conf.leaves, &t);
    const double again = sgemm_of_all(r);                  /* before and after: the machine's clock may have moved */
    const double peak = run_peak_mb();
    sgemm = again > sgemm ? again : sgemm;
    print_reduction(r, &s, conf);
    print_network(r);
    print_loader(r, e);
    print_result(r, &t, sgemm, peak);
    free_batch(&s);
    return !e->code;
}

int bench_main(const Config *c)
{
    Run r;
    Err e = { 0 };
    run_open(&r, c, c->parallel.tp);
    const bool ok = bench(&r, &e);
    if (!ok && r.grid.rank == 0)
        log_error(&e);
    run_close(&r);
    return ok ? EXIT_DONE : e.code;
}
