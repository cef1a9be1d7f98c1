/* The optimizer's walk over the table against AdamW in double on the global tensors, for tp = number of ranks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops.h"
#include "core/rng.h"
#include "dist/comm.h"
#include "dist/optim.h"
#include "dist/tp.h"

enum { ROWS = 12, COLS = 24, STEPS = 5 };       /* both divide by 1, 2, 3 and 4 */

static const struct Tensor { const char *name; int rows, cols, split; unsigned flags; bool trained; } TENSORS[] = {
    { "vision.w",     ROWS, COLS,  0, DECAY,         false },
    { "decoder.up",   ROWS, COLS,  0, DECAY | MUON,  true },
    { "decoder.norm", ROWS, 1,    -1, INIT_ONE,      true },
    { "decoder.down", ROWS, COLS,  1, DECAY | MUON,  true },
    { "decoder.ema",  ROWS, COLS, -1, STATE,         false },
    { "decoder.bias", ROWS, 1,     0, 0,             true },
};
enum { NTENSORS = sizeof TENSORS / sizeof *TENSORS };

static Grid grid;
static Params table;
static float *weights, *grads;

static double weight0(int i, int64_t e) { return (float)(2 * rng_uniform(1, (uint64_t)i, (uint64_t)e) - 1); }
static double gradient(int i, int64_t e, int step)
{
    return (float)(3 * rng_uniform(2, (uint64_t)(i * 100 + step), (uint64_t)e) - 1);
}

static int64_t total(int i) { return (int64_t)TENSORS[i].rows * TENSORS[i].cols; }

/* This rank's piece of a global tensor, and back a comparison. */
static void cut(float *piece, const float *whole, int i)
{
    Slice mine = param_slice(&table, i), all = slice_whole(mine.dims, mine.size);
    assert_int_equal(slice_copy(piece, &mine, whole, &all, sizeof *whole), table.p[i].count);
}

static void load_gradients(int step)
{
    float whole[ROWS * COLS];
    for (int i = 0; i < NTENSORS; i++) {
        for (int64_t e = 0; e < total(i); e++)
            whole[e] = (float)gradient(i, e, step);
        if (table.p[i].grad >= 0)
            cut(grads + table.p[i].grad, whole, i);
    }
}

static int open_model(void **state)
{
    (void)state;
    Tp tp = tp_door(&grid);
    Binder b = binder_declare(&table, &tp);
    for (int i = 0; i < NTENSORS; i++)
        param(&b, TENSORS[i].rows, TENSORS[i].cols, TENSORS[i].split, TENSORS[i].flags, "%s", TENSORS[i].name);
    assert_true(params_seal(&table, "decoder"));
    weights = calloc((size_t)table.weights, sizeof *weights);
    grads = calloc((size_t)table.grads, sizeof *grads);
    return !weights || !grads;
}

static int close_model(void **state)
{
    (void)state;
    params_free(&table);
    free(weights);
    free(grads);
    return 0;
}

static double reference_norm(int step)
{
    double sum = 0;
    for (int i = 0; i < NTENSORS; i++)
        for (int64_t e = 0; TENSORS[i].trained && e < total(i); e++)
            sum += gradient(i, e, step) * gradient(i, e, step);
    return sqrt(sum);
}

static void the_norm_counts_each_element_once(void **state)
{
    (void)state;
    Optim o;
    optim_open(&o, &table);
    load_gradients(0);
    double norm = optim_norm(&o, grads, &grid), largest = norm;
    comm_max_f64(grid.world, &largest, 1);
    assert_true(norm == largest);               /* the same bits on all ranks */
    /* Squares of floats summed in double: what remains is the order, some 1e-16 per addition. */
    assert_true(fabs(norm - reference_norm(0)) < 1e-12 * norm);
    grads[0] = NAN;                             /* on every rank: a piece of decoder.up */
    assert_true(isnan(optim_norm(&o, grads, &grid)));
    grads[0] = grid.tp_rank == grid.tp_size - 1 ? INFINITY : 0;
    assert_true(isinf(optim_norm(&o, grads, &grid)));
    optim_close(&o);
}

/* AdamW of one tensor in double, written from the paper. */
static void reference(double *w, double *m, double *v, int i, int steps, const OptimConf *c)
{
    for (int64_t e = 0; e < total(i); e++)
        w[e] = weight0(i, e), m[e] = v[e] = 0;
    for (int t = 1; TENSORS[i].trained && t <= steps; t++) {
        double scale = c->clip > 0 ? fmin(1, c->clip / (reference_norm(t) + 1e-6)) : 1;
        double decay = TENSORS[i].flags & DECAY ? c->decay : 0;
        for (int64_t e = 0; e < total(i); e++) {
            double g = scale * gradient(i, e, t);
            m[e] = c->beta1 * m[e] + (1 - c->beta1) * g;
            v[e] = c->beta2 * v[e] + (1 - c->beta2) * g * g;
            double mhat = m[e] / (1 - pow(c->beta1, t)), vhat = v[e] / (1 - pow(c->beta2, t));
            w[e] -= c->lr * (mhat / (sqrt(vhat) + c->eps) + decay * w[e]);
        }
    }
}

/* Does the piece hold the global tensor's elements within the tolerance? */
static void compare(const float *piece, const double *whole, int i, double tolerance)
{
    float rounded[ROWS * COLS], want[ROWS * COLS];
    for (int64_t e = 0; e < total(i); e++)
        rounded[e] = (float)whole[e];
    cut(want, rounded, i);
    for (int64_t e = 0; e < table.p[i].count; e++)
        assert_true(fabsf(piece[e] - want[e]) <= tolerance);
}

static void steps_follow_the_paper(const OptimConf *c)
{
    Optim o;
    optim_open(&o, &table);
    assert_int_equal(o.step, 0);
    float whole[ROWS * COLS];
    for (int i = 0; i < NTENSORS; i++) {
        for (int64_t e = 0; e < total(i); e++)
            whole[e] = (float)weight0(i, e);
        cut(weights + table.p[i].offset, whole, i);
    }
    for (int t = 1; t <= STEPS; t++) {
        load_gradients(t);
        optim_step(&o, weights, grads, c, optim_norm(&o, grads, &grid));
    }
    assert_int_equal(o.step, STEPS);
    for (int i = 0; i < NTENSORS; i++) {
        double w[ROWS * COLS], m[ROWS * COLS], v[ROWS * COLS];
        const Param *p = &table.p[i];
        reference(w, m, v, i, STEPS, c);
        /* Floats below 2, rounded a few times in each of STEPS steps; what is not trained keeps its bits. */
        double tolerance = TENSORS[i].trained ? STEPS * 4 * 1.2e-7 : 0;
        compare(weights + p->offset, w, i, tolerance);
        if (p->grad >= 0) {
            compare(o.m + p->grad, m, i, tolerance);
            compare(o.v + p->grad, v, i, 2 * tolerance);
        }
    }
    optim_close(&o);
}

static void clipped(void **state)
{
    (void)state;
    steps_follow_the_paper(&(OptimConf){ 0.02f, 0.9f, 0.95f, 1e-8f, 0.1f, 1.0f });
}

static void below_the_clip(void **state)
{
    (void)state;
    steps_follow_the_paper(&(OptimConf){ 0.02f, 0.9f, 0.95f, 1e-8f, 0.1f, 1e6f });
}

static void unclipped_without_decay(void **state)
{
    (void)state;
    steps_follow_the_paper(&(OptimConf){ 0.02f, 0.9f, 0.999f, 1e-6f, 0, 0 });
}

int main(int argc, char **argv)
{
    int level;
    comm_environment();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    ops_use(NULL, 1);
    grid_open(&grid, MPI_COMM_WORLD, comm_size(MPI_COMM_WORLD));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_norm_counts_each_element_once),
        cmocka_unit_test(clipped),
        cmocka_unit_test(below_the_clip),
        cmocka_unit_test(unclipped_without_decay),
    };
    int failed = cmocka_run_group_tests(tests, open_model, close_model);
    grid_close(&grid);
    MPI_Finalize();
    return failed;
}
