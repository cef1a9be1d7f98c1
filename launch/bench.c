/* bench.c -- `asvr bench`: what this machine gives on this model, all ratios measured in the same run */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/dnnl/bf16.h"
#include "core/prof.h"
#include "dist/stats.h"
#include "io/set/readways.h"
#include "launch/bench/benchsteps.h"
#include "launch/bench/benchtrace.h"
#include "launch/bench/synthetic.h"
#include "launch/bench/waterfall.h"
#include "launch/nodes.h"
#include "launch/plan/plan.h"
#include "launch/verbs.h"

enum { TURNS = 8, LOADED = 12, WATCHED = 4 };

#define LOADER_SECONDS 2.0
#define READ_BYTES     (INT64_C(256) << 20)

static double messages(void) { return comm_count[AXIS_WORLD].seconds + comm_count[AXIS_DP].seconds + comm_count[AXIS_TP].seconds; }

static Phase phase(void) { return (Phase){ now(), prof_flops, messages() }; }

static void spent(Phase *p, const Phase *since)
{
    const Phase is = phase();
    p->seconds += is.seconds - since->seconds;
    p->flops += is.flops - since->flops;
    p->messages += is.messages - since->messages;
}

/* As span of step.h, and a span of the trace, and a phase of the waterfall. */
#define MEASURE(p, name, way, call)                                                \
    do {                                                                           \
        const Phase from = phase();                                                \
        const int in = waterfall_phase(way);                                       \
        prof_begin(name);                                                          \
        call;                                                                      \
        prof_end();                                                                \
        waterfall_phase(in);                                                       \
        spent(p, &from);                                                           \
    } while (0)

/* The targets of all replicas, in the reduction that a training step makes. */
static Losses targets(Run *r, const Synthetic *s, int leaves)
{
    Tally t = { 0 };
    for (int i = 0; i < leaves && r->grid.tp_rank == 0; i++)
        model_count(&r->model, &r->tape, &s->batch, &t.targets);
    comm_sum_f64(r->grid.world, (double *)&t, sizeof t / sizeof(double));
    return t.targets;
}

static void micro_batch(Run *r, const Synthetic *s, Buckets *b, StepState *state, Times *t)
{
    const OnGrad door = trace_door(waterfall_door(buckets_door(b)));
    Losses one = { 0 };
    MEASURE(&t->forward, "forward", FALL_FORWARD, (trace_blocks(), model_forward(&r->model, &r->tape, &s->batch, &state->targets, &one), trace_blocks_end()));
    MEASURE(&t->backward, "backward", FALL_BACKWARD, (trace_blocks(), model_backward(&r->model, &r->tape, &s->batch, &door), trace_blocks_end()));
    step_losses(r, state, &one);
}

/* One step of train.global_batch samples, all micro-batches alike; what it sends is that of launch/train.c. */
static void step(Run *r, const Synthetic *s, Buckets *b, Times *t)
{
    Model *m = &r->model;
    const OptimConf conf = { .lr = 1e-5f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-8f, .clip = (float)r->c->train.clip,
                             .muon_lr = 1e-5f, .momentum = 0.95f };
    const int leaves = run_buckets(r->c, &r->grid.levels).leaves;
    const Phase began = phase();
    CommCount before[AXES];
    StepState state = { 0 };
    memcpy(before, comm_count, sizeof before);
    prof_begin("step");
    prof_begin("targets");
    state.targets = targets(r, s, leaves);
    prof_end();
    for (int i = 0; i < leaves; i++) {
        waterfall_phase(FALL_SUMS);
        buckets_begin(b, i);
        waterfall_phase(FALL_BEGIN);
        micro_batch(r, s, b, &state, t);
    }
    MEASURE(&t->reduce, "reduce", FALL_SUMS, buckets_wait(b));
    prof_begin("losses");
    step_sum(r, &state);
    prof_end();
    MEASURE(&t->optim, "optimizer", FALL_OPTIMIZER, optim_step(&r->optim, m->weights, m->grads, &conf, optim_norm(&r->optim, m->grads)));
    prof_end();
    spent(&t->step, &began);
    for (int k = 0; k < AXES; k++) {
        t->sent[k].calls += comm_count[k].calls - before[k].calls;
        t->sent[k].bytes += comm_count[k].bytes - before[k].bytes;
        t->sent[k].seconds += comm_count[k].seconds - before[k].seconds;
    }
}

/* Steps with the other reduction, with this one and with none in turn, since a machine's speed drifts: what equal bits on any grid
   cost, and (returned) the seconds that this one adds to a step. */
static double print_reduction(Run *r, const Synthetic *s)
{
    enum { THIS, OTHER, NONE, WAYS };
    BucketConf conf = run_buckets(r->c, &r->grid.levels);
    Times t[WAYS] = { 0 };
    Zero alone;
    double slowest[WAYS];
    const int turns = (int)min64(TURNS, r->c->bench.steps);
    if (r->grid.dp_size == 1)
        return 0;
    conf.reduction = conf.reduction == REDUCE_FAST ? REDUCE_CANONICAL : REDUCE_FAST;
    conf.wire = WIRE_FP32;
    zero_open(&alone, &r->model.table, 0, 1, &(ZeroConf){ 0 });
    Buckets *b[WAYS] = { r->buckets, buckets_open(&r->optim.zero, r->model.grads, &r->grid, &conf),
                         buckets_open(&alone, r->model.grads, &r->grid, &(BucketConf){ .leaves = conf.leaves, .bytes = conf.bytes,
                                      .reduction = r->c->parallel.reduction }) };
    for (int i = 0; i < WAYS * (1 + turns); i++) {
        if (i == WAYS)
            memset(t, 0, sizeof t);                        /* the first turn warms up */
        comm_barrier(r->grid.world);
        step(r, s, b[i % WAYS], &t[i % WAYS]);
    }
    buckets_close(b[OTHER]);
    buckets_close(b[NONE]);
    zero_close(&alone);
    for (int i = 0; i < WAYS; i++)
        slowest[i] = t[i].step.seconds;
    comm_max_f64(r->grid.world, slowest, WAYS);
    const int is = r->c->parallel.reduction, grids = is == REDUCE_FAST ? OTHER : THIS;
    if (r->grid.rank == 0)
        printf("reduction  a step with the %s one takes %.3f of one with the fast one, with this one %.3f of one with none "
               "(%d steps each, in turn)\n", REDUCE_NAME[is == REDUCE_FAST ? conf.reduction : is],
               slowest[grids] / slowest[grids == THIS ? OTHER : THIS], slowest[THIS] / slowest[NONE], turns);
    return (slowest[THIS] - slowest[NONE]) / turns;
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

/* *rate <- samples a second that reading ahead gives, one rank a replica reading, as fast as they come. */
static bool print_loader(Run *r, double *rate, Err *e)
{
    const Config *c = r->c;
    if (!c->data.set[0] || !run_shards(r, SPLIT_TRAIN, e)) {
        if (r->grid.rank == 0)
            printf(e->code ? "loader     not measured: %s (%s)\n" : "loader     not measured: data.set is not set\n", e->what, e->where);
        *e = (Err){ 0 };
        return true;
    }
    const LoaderConf l = { .seed = 1, .dp_rank = r->grid.dp_rank, .dp_size = r->grid.dp_size,
                           .micro_batch = c->train.micro_batch, .global_batch = c->train.micro_batch * r->grid.dp_size,
                           .max_len = c->model.decoder.max_len, .P = r->model.w.vision.P, .ring = 1 + (int)max64(1, c->data.threads),
                           .threads = c->data.threads };
    r->feed = feed_open(&r->grid, r->shards, &l, e);
    if (!run_agree(r, e))
        return false;
    int64_t n = 0;
    double t = now(), spent = 0;
    while (spent < LOADER_SECONDS) {
        for (int i = 0; i < LOADED && feed_next(r->feed, e); i++)
            n += l.global_batch;
        spent = now() - t;
        comm_bcast(r->grid.world, &spent, sizeof spent, 0);
        if (!run_agree(r, e))
            return false;
    }
    *rate = (double)n / spent;
    if (r->grid.rank == 0)
        printf("loader     %.0f samples/s, %d thread%s a rank\n", *rate, c->data.threads, c->data.threads == 1 ? "" : "s");
    ReadWays ways;
    if (!read_ways(r->grid.world, r->shards, c->data.threads, READ_BYTES, &ways, e))
        return false;
    if (r->grid.rank == 0 && ways.bytes > 0)
        printf("reading    %.2f GB/s of pixels by chunks as training reads them, %.2f GB/s by HDF5's collective read (%.0f MB)\n",
               1e-9 * ways.independent, 1e-9 * ways.collective, 1e-6 * ways.bytes);
    return true;
}

/* What lies in the arenas of rank 0, by class, in MiB. */
static void print_memory(const Run *r, double base, double peak)
{
    const BucketConf conf = run_buckets(r->c, &r->grid.levels);
    const Model *m = &r->model;
    const double mib = 1 << 20, buckets = (double)buckets_memory(&r->optim.zero, &conf);
    size_t coming, muon;
    int64_t shares;
    optim_memory(&r->optim, &coming, &muon);
    plan_gradients(m, &r->optim, &conf, &(Beats){ 0 }, &shares);
    const double gradients = conf.drop ? sizeof(float) * (double)shares : (double)m->grad_arena.size;      /* what stays */
    if (r->grid.rank == 0)
        printf("memory     %.1f MiB before the model; weights %.1f, gradients %.1f, moments %.1f, buckets %.1f, weights coming %.1f, Muon's work "
               "%.1f, tape %.1f: %.1f MiB; peak %.1f\n", base, (double)m->weight_arena.size / mib, gradients / mib,
               (double)r->optim.arena.size / mib, buckets / mib, (double)coming / mib, (double)muon / mib,
               (double)tape_bytes(&r->tape, m) / mib, ((double)mem_total() + (conf.drop ? gradients : 0)) / mib, peak);
}

static void print_sent(const Run *r, const Times *t, int steps)
{
    static const char *const NAME[AXES] = { [AXIS_WORLD] = "world", [AXIS_DP] = "dp", [AXIS_TP] = "tp" };
    for (int k = AXES - 1; k > 0 && r->grid.rank == 0; k--)
        printf("%-10s %-5s %7lld collectives, %12lld bytes a step, %.2f ms in them\n", k == AXES - 1 ? "sent" : "", NAME[k],
               (long long)(t->sent[k].calls / steps), (long long)(t->sent[k].bytes / steps), 1e3 * t->sent[k].seconds / steps);
}

static void print_rates(const Run *r, const Rates *x)
{
    if (r->grid.rank != 0)
        return;
    printf("rates      sgemm %.1f GF/s a rank; forward %.2f and backward %.2f of it; AdamW %.1f GB/s", 1e-9 * x->sgemm, x->forward,
           x->backward, 1e-9 * x->memory);
    if (x->dp > 1)
        printf("; reduction %.2f GB/s, %.0f %% of it hidden", 1e-9 * x->dp_bytes, 100 * x->dp_hidden);
    for (int k = 0; k < TP_SIZES && x->tp > 1; k++)
        printf("%s %.0f KiB in %.3f ms", k ? "," : "; sums over tp:", x->tp_size[k] / 1024, 1e3 * x->tp_seconds[k]);
    if (x->tp > 1)
        printf(", %.1f times that in a step", x->tp_wait);
    printf("; %.2f times all that%s%s%s\n", x->rest, r->c->run.dir[0] ? "; " : "", r->c->run.dir, r->c->run.dir[0] ? "/bench.json" : "");
}

static void print_result(const Run *r, const Times *t, int steps, const Steps *x)
{
    const double per[] = { t->step.seconds / steps, t->forward.seconds / steps, t->backward.seconds / steps,
                           t->reduce.seconds / steps, t->optim.seconds / steps };
    Stat s[5];
    stats_gather(r->grid.world, per, 5, s);
    const double step = steps_median(x, TIME_STEP), rate = x->sgemm * x->ranks, samples = x->global_batch / step;
    double least, most;
    steps_spread(x, TIME_STEP, &least, &most);
    if (r->grid.rank != 0)
        return;
    const char *name[] = { "step", "forward", "backward", "reduce", "optimizer" };
    printf("\n%-10s %9s %9s %9s   ms a step, over %d ranks\n", "", "min", "mean", "max", r->grid.size);
    for (int i = 0; i < 5; i++)
        printf("%-10s %9.2f %9.2f %9.2f   slowest: rank %d\n", name[i], 1e3 * s[i].min, 1e3 * s[i].mean, 1e3 * s[i].max, s[i].argmax);
    printf("backward waits for the reduction %.1f %% of its time\n", 100 * s[3].mean / (s[2].mean + s[3].mean));
    if (x->repeats > 1)
        printf("%d repetitions of %d steps: %.2f ms a step at least, %.2f in the median, %.2f at most\n", x->repeats, x->steps, 1e3 * least,
               1e3 * step, 1e3 * most);
    if (x->shared > 1)
        printf("cores are shared: %.3g threads a core\n", x->shared);
    printf("sgemm      %.1f GF/s (%d x %d x %d, all ranks at once, this run)\n\n", 1e-9 * rate, (int)(run_sgemm_room(r) / RUN_SGEMM - RUN_SGEMM) / 2,
           RUN_SGEMM, RUN_SGEMM);
    const int places = samples < 1 ? 4 : 2;
    printf("Samples Per Second (FOM): %.*f\nasvr: OK\n\n", places, samples);
    printf("%.*f samples/s  %.1f GF/s  %.2f of sgemm  %.0f MiB\n", places, samples, 1e-9 * x->flops / step, x->flops / step / rate, x->peak_mib);
}

/* Everything that a training run has but its data. */
static bool open_all(Run *r, Synthetic *s, Err *e)
{
    const Config *c = r->c;
    const RunShape shape = synthetic_shape(c);
    const BucketConf conf = run_buckets(c, &r->grid.levels);
    if (c->train.stage < STAGE_PRETRAIN)
        return err_set(e, EXIT_CONFIG, "train.stage", "", "bench measures the stages pretrain and instruct");
    if (!run_model(r, &shape, e))
        return false;
    model_init(&r->model);
    const OptimSetup setup = run_optim(c, &r->grid.levels);
    optim_open(&r->optim, &r->model.table, r->model.weights, &r->grid, &setup);
    r->buckets = buckets_open(&r->optim.zero, r->model.grads, &r->grid, &conf);
    synthetic_open(s, c, r->model.w.vision.P, r->grid.dp_rank);
    if (r->grid.rank == 0) {
        printf("%.2f M parameters, %.2f M trainable a rank; %d rank%s: %d replica%s of %d; %d x %d samples each; %.0f MiB a rank in arenas\n",
               1e-6 * (double)r->model.table.weights, 1e-6 * (double)r->model.table.grads, r->grid.size, r->grid.size == 1 ? "" : "s", r->grid.dp_size,
               r->grid.dp_size == 1 ? "" : "s", r->grid.tp_size, conf.leaves, c->train.micro_batch, (double)mem_total() / (1 << 20));
        if (c->train.compute == COMPUTE_BF16)
            printf("linear layers multiply in bf16 by %s, sums, weights and gradients are fp32\n", bf16_by());
        fflush(stdout);
    }
    nodes_say(r);
    return true;
}

static void times_add(Times *sum, const Times *t)
{
    double *to = (double *)sum;                             /* the phases are numbers and nothing else */
    for (size_t i = 0; i < offsetof(Times, sent) / sizeof *to; i++)
        to[i] += ((const double *)t)[i];
    for (int k = 0; k < AXES; k++) {
        sum->sent[k].calls += t->sent[k].calls;
        sum->sent[k].bytes += t->sent[k].bytes;
        sum->sent[k].seconds += t->sent[k].seconds;
    }
}

/* Repetitions, each measured alone; *all <- the sum of their times. */
static void repeat(Run *r, const Synthetic *s, Times *all, Steps *x)
{
    const Config *c = r->c;
    for (int i = 0; i < c->bench.warm; i++)
        step(r, s, r->buckets, all);
    memset(all, 0, sizeof *all);
    for (int k = 0; k < c->bench.repeat; k++) {
        Times t = { 0 };
        comm_barrier(r->grid.world);
        for (int i = 0; i < c->bench.steps; i++)
            step(r, s, r->buckets, &t);
        times_add(all, &t);
        steps_add(r, &t, c->bench.steps, x);
    }
    steps_end(r, all, x);
}

static bool rates(Run *r, const Synthetic *s, const Times *t, Rates *x, Err *e)
{
    const double exposed = print_reduction(r, s);
    const bool ok = bench_rates(r, t, r->c->bench.steps * r->c->bench.repeat, exposed, x, e);
    print_network(r);
    print_rates(r, x);
    return ok;
}

/* Steps that are watched, with all threads and, where that is asked for, with one in turn. */
static bool waterfall(Run *r, const Synthetic *s, Err *e)
{
    const int steps = (int)min64(WATCHED, r->c->bench.steps);
    Times t = { 0 };
    for (int i = 0; waterfall_wanted(r) && i < steps; i++)
        for (int alone = 0; alone <= (r->c->bench.one_thread && r->threads > 1); alone++) {
            comm_barrier(r->grid.world);
            waterfall_begin(alone);
            step(r, s, r->buckets, &t);
            waterfall_end(r);
        }
    return !waterfall_wanted(r) || waterfall_write(r, steps, e);
}

static bool bench(Run *r, Err *e)
{
    static Steps x;
    Synthetic s = { 0 };
    Times t = { 0 };
    double most[3] = { bench_sgemm(r), run_resident_mb() };     /* with what sgemm keeps */
    const int steps = r->c->bench.steps * r->c->bench.repeat;
    if (!trace_open(r, e) || !open_all(r, &s, e))
        return false;
    repeat(r, &s, &t, &x);
    most[2] = run_peak_mb();
    most[0] = fmax(most[0], bench_sgemm(r));                    /* before and after: the machine's clock may have moved */
    comm_max_f64(r->grid.world, most, 3);
    bench_machine(x.machine, sizeof x.machine);
    x.sgemm = most[0] / r->grid.size;
    x.peak_mib = most[2];
    Rates rate = { .sgemm = x.sgemm, .base_mib = most[1], .peak_mib = most[2], .step = steps_median(&x, TIME_STEP) };
    rate.samples = x.global_batch / rate.step;
    print_memory(r, rate.base_mib, rate.peak_mib);
    print_sent(r, &t, steps);
    bool ok = !r->c->bench.rates || rates(r, &s, &t, &rate, e);
    Times traced = { 0 };                                       /* of steps that are slower: in none of the figures */
    for (int i = 0; ok && trace_wanted(r) && i < TRACED; i++) {
        trace_begin(r);
        step(r, &s, r->buckets, &traced);
        trace_end(r);
    }
    ok = ok && trace_write(r, e) && waterfall(r, &s, e) && print_loader(r, &x.loader, e) && bench_ckpt(r, &x, e);
    if (ok && r->c->run.dir[0] && r->grid.rank == 0)
        steps_write(&x, r->c->run.dir, e);
    ok = ok && run_agree(r, e);
    if (ok)
        print_result(r, &t, steps, &x);
    synthetic_close(&s);
    return ok;
}

int bench_main(const Config *c)
{
    Run r;
    Err e = { 0 };
    run_open(&r, c, c->parallel.tp);
    const bool ok = c->bench.prompts ? bench_answers(&r, &e) : bench(&r, &e);
    if (!ok && r.grid.rank == 0)
        log_error(&e);
    run_close(&r);
    return ok ? EXIT_DONE : e.code;
}
