/* simulate.c -- a training step under SimGrid: the real model and the real dist/, arithmetic paid for in simulated time
 *
 *     smpirun ... simulate RANK-FILE step            one step as launch/train.c takes it
 *     smpirun ... simulate RANK-FILE exchange N      the reduction of N buckets alone, nothing beside it
 *     smpirun ... simulate RANK-FILE at_once N       the same among all replicas in one level, with the buckets that go with it
 *     smpirun ... simulate RANK-FILE sum FLOATS      one blocking sum over dp
 *
 * Prints one line, "key value ..." of rank 0; times are those of the slowest rank.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/exact.h"
#include "dist/tp.h"
#include "tests/simulate/described.h"
#include "tests/simulate/meter.h"

enum { TOKEN = 5 };

Meter meter;

typedef struct {
    Described d;
    Grid   grid;
    Tp     tp, real;               /* the model's door; the one behind it */
    OnGrad marks, door;
    Model  model;
    Tape   tape;
    Optim  optim;
    Buckets *buckets;
    Batch  batch;
} Sim;

typedef struct { double step, forward, backward, reduce, optimizer, compute, tp, dp, world; } Times;

/* ---- doors: what is owed is spent before others are met ---- */

static void sum(Tp *tp, float *x, int64_t n) { Sim *s = tp->ctx; meter_spend(); s->real.sum(&s->real, x, n); }
static void max(Tp *tp, float *x, int64_t n) { Sim *s = tp->ctx; meter_spend(); s->real.max(&s->real, x, n); }
static void sum_start(Tp *tp, float *x, float *room, int64_t n) { Sim *s = tp->ctx; meter_spend(); s->real.sum_start(&s->real, x, room, n); }
static void scatter_start(Tp *tp, float *x, float *room, int64_t n, int64_t each) { Sim *s = tp->ctx; meter_spend(); s->real.scatter_start(&s->real, x, room, n, each); }
static void gather_start(Tp *tp, float *x, int64_t n, int64_t each) { Sim *s = tp->ctx; meter_spend(); s->real.gather_start(&s->real, x, n, each); }
static void wait_first(Tp *tp) { Sim *s = tp->ctx; meter_spend(); s->real.wait(&s->real); }
static void need(Tp *tp, int first, int last) { Sim *s = tp->ctx; meter_spend(); s->real.need(&s->real, first, last); meter_spend(); }
static void final(void *ctx, int first, int last) { Sim *s = ctx; meter_spend(); s->marks.final(s->marks.ctx, first, last); meter_spend(); }

static void open_doors(Sim *s)
{
    s->real = tp_door(&s->grid, 0);
    s->tp = (Tp){ .rank = s->real.rank, .size = s->real.size, .leaves = s->d.leaves, .sequence = s->d.sequence, .sum = sum, .max = max, .sum_start = sum_start, .scatter_start = scatter_start,
                  .gather_start = gather_start, .wait = wait_first, .need = need, .ctx = s };
    s->door = (OnGrad){ final, s };
}

/* ---- a batch as in `asvr bench`: a picture and text up to max_len rows, every token supervised ---- */

static void *room(int64_t n, size_t elem)
{
    void *p = calloc((size_t)n, elem);
    CHECK(p, "no memory for a batch");
    return p;
}

static void make_batch(Batch *b, const ModelConf *c, int P)
{
    const int B = c->micro_batch, T = c->max_len - P + 1;
    int32_t *tokens = room(B * T, sizeof *tokens), *labels = room(B * T, sizeof *labels);
    int32_t *token_start = room(B + 1, sizeof *token_start), *image_start = room(B + 1, sizeof *image_start);
    for (int k = 0; k <= B; k++) {
        token_start[k] = k * T;
        image_start[k] = k;
    }
    for (int i = 0; i < B * T; i++) {
        tokens[i] = i % T ? TOKEN : IMAGE_TOKEN;
        labels[i] = i % T ? TOKEN : IGNORE;
    }
    *b = (Batch){ .B = B, .I = B, .M = (int64_t)B * T, .tokens = tokens, .labels = labels, .token_start = token_start,
                  .image_start = image_start, .codes = room((int64_t)B * P * 2 * c->codes_depth, sizeof(uint16_t)),
                  .sample = room(B, sizeof(int64_t)), .global_batch = B };
}

/* ---- a step, in the order of launch/train.c ---- */

static double *numbers;

static void sums_of_world(Sim *s, int64_t doubles, int64_t words)
{
    meter_spend();
    if (doubles)
        comm_sum_f64(s->grid.world, numbers, doubles);
    else
        comm_sum_i64(s->grid.world, (int64_t *)numbers, words);
}

#define TIMED(t, call) do { const double from = now(); call; meter_spend(); (t) += now() - from; } while (0)

static Times step(Sim *s)
{
    const OptimConf conf = { .lr = 1e-5f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f };
    const Losses targets = { .n_text = 1, .n_visual = 1 };
    Times t = { 0 };
    comm_barrier(s->grid.world);
    memset(comm_count, 0, sizeof comm_count);
    meter.spent = meter.posting = 0;
    meter.messages = 0;
    const double began = now();
    sums_of_world(s, s->d.tally, 0);
    for (int leaf = 0; leaf < s->d.buckets.leaves; leaf++) {
        Losses one = { 0 };
        buckets_begin(s->buckets, leaf);
        TIMED(t.forward, model_forward(&s->model, &s->tape, &s->batch, &targets, &one));
        TIMED(t.backward, model_backward(&s->model, &s->tape, &s->batch, &s->door));
    }
    TIMED(t.reduce, buckets_wait(s->buckets));
    sums_of_world(s, 0, s->d.losses);
    double norm = 0;
    TIMED(t.optimizer, norm = optim_norm(&s->optim, s->model.grads));
    TIMED(t.optimizer, optim_step(&s->optim, s->model.weights, s->model.grads, &conf, norm));
    t.step = now() - began;
    t.compute = meter.spent - meter.posting;
    t.tp = comm_count[AXIS_TP].seconds;
    t.dp = comm_count[AXIS_DP].seconds;
    t.world = comm_count[AXIS_WORLD].seconds;
    return t;
}

static void run_steps(Sim *s)
{
    s->d.conf.trainable = s->d.trainable;
    CHECK(model_open(&s->model, &s->d.conf, &s->tp), "no such parts: %s", s->d.trainable);
    tape_open(&s->tape, &s->model);
    optim_open(&s->optim, &s->model.table, s->model.weights, &s->grid, &s->d.optim);
    s->buckets = buckets_open(&s->optim.zero, s->model.grads, &s->grid, &s->d.buckets);
    s->marks = buckets_door(s->buckets);
    make_batch(&s->batch, &s->model.c, s->model.w.vision.P);
    Times t = step(s);
    if (s->d.optim.zero1)
        t = step(s);                                /* the first one's forward had no weights to wait for */
    const double compute = t.compute;
    CommCount count[AXES];
    memcpy(count, comm_count, sizeof count);
    comm_max_f64(s->grid.world, (double *)&t, sizeof t / sizeof(double));
    if (s->grid.rank)
        return;
    printf("simulated_layers %d step %.6f forward %.6f backward %.6f reduce %.6f optimizer %.6f compute %.6f tp %.6f dp %.6f world %.6f",
           s->d.conf.decoder.L, t.step, t.forward, t.backward, t.reduce, t.optimizer, compute, t.tp, t.dp, t.world);
    for (int a = AXIS_WORLD; a < AXES; a++)
        printf(" calls%d %lld bytes%d %lld plan_calls%d %lld plan_bytes%d %lld", a, (long long)count[a].calls, a,
               (long long)count[a].bytes, a, (long long)s->d.plan[a].calls, a, (long long)s->d.plan[a].bytes);
    printf(" messages %lld\n", (long long)meter.messages);
}

/* ---- buckets alone ---- */

static void run_exchange(Sim *s, const Levels *levels, int n)
{
    Params table = { 0 };
    Zero zero;
    Binder b = binder_declare(&table, &s->tp);
    const int64_t bytes = bucket_size(levels), span = bytes / (int64_t)sizeof(float);
    param(&b, n, (int)span, -1, 0, "x.w");
    CHECK(params_seal(&table, "x"), "no table of one tensor");
    zero_open(&zero, &table, s->grid.dp_rank, s->grid.dp_size, &(ZeroConf){ .bytes = bytes, .levels = *levels });
    Arena a = { .name = "gradients" };
    TAKE(&a, float, table.grads);
    arena_alloc(&a);
    BucketConf conf = s->d.buckets;
    conf.leaves = 1;
    conf.bytes = bytes;
    s->buckets = buckets_open(&zero, TAKE(&a, float, table.grads), &s->grid, &conf);
    comm_barrier(s->grid.world);
    double t = now();
    buckets_begin(s->buckets, 0);
    meter.owed = 0;                                 /* what clears the gradients is no part of it */
    buckets_wait(s->buckets);
    meter_spend();
    t = now() - t;
    comm_max_f64(s->grid.world, &t, 1);
    if (s->grid.rank == 0)
        printf("exchange %.9f messages %lld bytes %lld bucket %lld gradient %lld\n", t, (long long)meter.messages,
               (long long)comm_count[AXIS_DP].bytes, (long long)bytes, (long long)s->d.total);
}

static void run_sum(Sim *s, int64_t n)
{
    Arena a = { .name = "addends" };
    TAKE(&a, float, n);
    arena_alloc(&a);
    float *x = TAKE(&a, float, n);
    comm_barrier(s->grid.world);
    double t = now();
    comm_sum_f32(s->grid.dp, x, n);
    t = now() - t;
    comm_max_f64(s->grid.world, &t, 1);
    if (s->grid.rank == 0)
        printf("sum %.9f\n", t);
}

int main(int argc, char **argv)
{
    static Sim s;
    MPI_Init(&argc, &argv);
    FILE *f = argc > 2 ? fopen(argv[1], "r") : NULL;
    CHECK(f && fread(&s.d, sizeof s.d, 1, f) == 1, "simulate RANK-FILE step | exchange N | at_once N | sum FLOATS");
    fclose(f);
    CHECK(comm_size(MPI_COMM_WORLD) == s.d.ranks, "%s describes %d ranks, not %d", argv[1], s.d.ranks, comm_size(MPI_COMM_WORLD));
    meter = (Meter){ .rate = s.d.rate, .memory = s.d.memory, .overhead = s.d.overhead, .bundle = s.d.bundle, .node = s.d.each, .tp = s.d.tp };
    numbers = room(s.d.tally > s.d.losses ? s.d.tally : s.d.losses, sizeof *numbers);
    tensors_at(comm_rank(MPI_COMM_WORLD), s.d.ranks);
    grid_open(&s.grid, MPI_COMM_WORLD, s.d.tp);
    open_doors(&s);
    if (!strcmp(argv[2], "step"))
        run_steps(&s);
    else if (!strcmp(argv[2], "exchange") && argc > 3)
        run_exchange(&s, &s.d.optim.levels, atoi(argv[3]));
    else if (!strcmp(argv[2], "at_once") && argc > 3)
        run_exchange(&s, &(Levels){ s.grid.dp_size, s.grid.dp_size > 1, { s.grid.dp_size } }, atoi(argv[3]));
    else if (!strcmp(argv[2], "sum") && argc > 3)
        run_sum(&s, atoll(argv[3]));
    else
        CHECK(0, "no such simulation: %s", argv[2]);
    MPI_Finalize();
    return 0;
}
