/* benchrates.c -- the rates of a machine, measured with all ranks at once (rates.h) */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/ops.h"
#include "dist/stats.h"
#include "launch/bench/bench.h"
#include "launch/plan/plan.h"

enum { MOVED = 4 << 20 /* elements of AdamW: beyond any cache */, BEST = 5 };

/* "Intel(R) Xeon(R) ..., 2 cores"; where the kernel has no name, as on arm64: "aarch64, 72 cores" */
void bench_machine(char out[], size_t cap)
{
    struct utsname kind;
    char line[256], name[80];
    snprintf(name, sizeof name, "%.*s", (int)sizeof name - 1, uname(&kind) == 0 ? kind.machine : "a machine");
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(strchr(line, ':') + 2, "\n"), strchr(line, ':') + 2);
            break;
        }
    if (f)
        fclose(f);
    snprintf(out, cap, "%s, %ld cores", name, sysconf(_SC_NPROCESSORS_ONLN));
}

static double mean(const Run *r, double x)
{
    Stat s;
    stats_gather(r->grid.world, &x, 1, &s);
    return s.mean;
}

static double adamw_rate(const Run *r)
{
    Arena a = { .name = "a benchmark of AdamW" };
    float *x[4];
    double best = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (int k = 0; k < 4; k++)
            x[k] = TAKE(&a, float, MOVED);
        if (pass == 0)
            arena_alloc(&a);
    }
    for (int i = 0; i < BEST; i++) {
        comm_barrier(r->grid.world);
        const double t = now();
        op.adamw(x[0], x[1], x[2], x[3], MOVED, 1e-5f, 0.9f, 0.95f, 1e-8f, 0, 1, 1);
        best = fmax(best, 28.0 * MOVED / (now() - t));
    }
    arena_free(&a);
    return mean(r, best);
}

/* The reduction of gradients with nothing beside it: seconds. */
static double reduction_alone(Run *r)
{
    const OnGrad door = buckets_door(r->buckets);
    const int leaves = run_buckets(r->c, &r->grid.levels).leaves;
    double best = 1e30;
    for (int i = 0; i < BEST; i++) {
        for (int leaf = 0; leaf < leaves; leaf++) {
            buckets_begin(r->buckets, leaf);
            if (leaf < leaves - 1)
                door.final(door.ctx, 0, r->model.table.n);
        }
        comm_barrier(r->grid.world);
        const double t = now();
        door.final(door.ctx, 0, r->model.table.n);
        buckets_wait(r->buckets);
        best = fmin(best, now() - t);
    }
    return mean(r, best);
}

/* Sums of three sizes over tp, one after the other. */
static void sums_alone(Run *r, Rates *out)
{
    enum { TIMES = 8 };
    Arena a = { .name = "a benchmark of sums" };
    static const int SIZE[TP_SIZES] = { 1 << 12, 1 << 16, 1 << 20 };        /* floats */
    TAKE(&a, float, SIZE[TP_SIZES - 1]);
    arena_alloc(&a);
    float *x = TAKE(&a, float, SIZE[TP_SIZES - 1]);
    for (int k = 0; k < TP_SIZES; k++) {
        double best = 1e30;
        for (int i = 0; i < BEST; i++) {
            comm_barrier(r->grid.world);
            const double t = now();
            for (int j = 0; j < TIMES; j++)
                r->tp.sum(&r->tp, x, SIZE[k]);
            best = fmin(best, (now() - t) / TIMES);
        }
        out->tp_size[k] = 4.0 * SIZE[k];
        out->tp_seconds[k] = mean(r, best);
    }
    arena_free(&a);
}

double bench_sgemm(const Run *r)
{
    Arena a = { .name = "sgemm" };
    double best = 0;
    TAKE(&a, float, run_sgemm_room(r));
    arena_alloc(&a);
    float *room = TAKE(&a, float, run_sgemm_room(r));
    for (int i = 0; i < BEST; i++) {
        comm_barrier(r->grid.world);
        double rate = run_sgemm(r, room);
        comm_sum_f64(r->grid.world, &rate, 1);
        best = fmax(rate, best);
    }
    arena_free(&a);
    return best;
}

/* The shares of sgemm that the two passes reach: without messages, and backward without adding up micro-batches. */
static void shares(const Run *r, const Times *t, int steps, const PlanRank *self, Rates *out)
{
    const double zeroing = 4 * (double)r->model.table.grads;
    const double adding = steps * (plan_bytes_sums(self) - zeroing) / out->memory;
    const double forward = mean(r, t->forward.seconds - t->forward.messages);
    const double backward = mean(r, t->backward.seconds - t->backward.messages - adding);
    out->forward = mean(r, t->forward.flops) / (forward * out->sgemm);
    out->backward = mean(r, t->backward.flops) / (fmax(backward, 1e-9) * out->sgemm);
}

bool bench_rates(Run *r, const Times *t, int steps, double exposed, Rates *out, Err *e)
{
    const Config *c = r->c;
    PlanRank self = { .c = c, .tp = r->tp, .replicas = r->grid.dp_size, .model = r->model, .optim = r->optim,
                            .buckets = run_buckets(c, &r->grid.levels) };
    dry_run(&self.dry, &r->model.c, &r->tp);
    bench_machine(out->machine, sizeof out->machine);
    out->debug = DEBUG_CHECKS;
    out->ranks = r->grid.size;
    out->dp = r->grid.dp_size;
    out->tp = r->grid.tp_size;
    out->threads = r->threads;
    out->memory = adamw_rate(r);
    shares(r, t, steps, &self, out);
    if (out->dp > 1) {
        const double alone = reduction_alone(r);
        out->dp_bytes = mean(r, (double)buckets_bytes(&self.optim.zero, &self.buckets)) / alone;
        out->dp_hidden = fmin(1, fmax(0, 1 - exposed / alone));
    }
    if (out->tp > 1) {
        sums_alone(r, out);
        out->tp_wait = mean(r, t->sent[AXIS_TP].seconds) / steps / plan_time_sums(&self, out);
    }
    out->rest = 1;
    out->rest = out->step / plan_time(&self, out).step;
    dry_close(&self.dry);
    if (r->grid.rank == 0 && c->run.dir[0])
        rates_write(out, c->run.dir, e);
    return run_agree(r, e);
}
