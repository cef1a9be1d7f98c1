/* One update after another against AdamW and Muon in double on the global tensors, on every dp x tp grid of the ranks, with and
   without ZeRO: what each rank holds is its piece of the same thing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/exact.h"
#include "core/ops.h"
#include "core/rng.h"
#include "dist/comm.h"
#include "dist/optim.h"
#include "dist/tp.h"

/* Both divide by 1, 2, 3 and 4, and a matrix is some blocks of GRAIN. */
enum { ROWS = 24, COLS = 48, MOST = COLS * COLS, STEPS = 5 };

static const struct Tensor { const char *name; int rows, cols, split; unsigned flags; bool trained; } TENSORS[] = {
    { "vision.w",     ROWS, COLS,  0, DECAY,         false },
    { "decoder.up",   ROWS, COLS,  0, DECAY | MUON,  true },
    { "decoder.norm", ROWS, 1,    -1, INIT_ONE,      true },
    { "decoder.down", COLS, ROWS,  1, DECAY | MUON,  true },
    { "decoder.ema",  ROWS, COLS, -1, STATE,         true },
    { "decoder.bias", ROWS, 1,     0, 0,             true },
    { "decoder.in",   COLS, COLS, -1, MUON,          true },
    { "decoder.kv",   ROWS, COLS,  0, DECAY | MUON,  true },        /* held by every tp rank in pairs, where tp is even */
    { "decoder.head", COLS, ROWS,  0, DECAY,         true },
};
enum { NTENSORS = sizeof TENSORS / sizeof *TENSORS, KV = 7 };

static Grid grid;
static Params table;
static float *weights, *grads;

static double weight0(int i, int64_t e) { return (float)(2 * rng_uniform(1, (uint64_t)i, (uint64_t)e) - 1); }
static double gradient(int i, int64_t e, int step)
{
    return (float)(3 * rng_uniform(2, (uint64_t)(i * 100 + step), (uint64_t)e) - 1);
}
static int64_t total(int i) { return (int64_t)TENSORS[i].rows * TENSORS[i].cols; }
static bool learns(int i) { return TENSORS[i].trained && !(TENSORS[i].flags & STATE); }

/* ---- the model on a grid ---- */

/* The elements of a global tensor that a slice has. */
static int64_t cut(float *piece, const Slice *mine, const double *whole, int i)
{
    float rounded[MOST];
    const Slice all = slice_whole(mine->dims, mine->size);
    for (int64_t e = 0; e < total(i); e++)
        rounded[e] = (float)whole[e];
    return slice_copy(piece, mine, rounded, &all, sizeof *piece);
}

static void fill(float *flat, int i, int64_t at, double (*value)(int i, int64_t e, int step), int step)
{
    double whole[MOST];
    const Slice mine = param_slice(&table, i);
    for (int64_t e = 0; e < total(i); e++)
        whole[e] = value(i, e, step);
    assert_int_equal(cut(flat + at, &mine, whole, i), table.p[i].count);
}

static double start(int i, int64_t e, int step) { (void)step; return weight0(i, e); }

static void load_gradients(int step)
{
    for (int i = 0; i < NTENSORS; i++)
        if (table.p[i].grad >= 0)
            fill(grads, i, table.p[i].grad, gradient, step);
}

static void open_model(int tp, int blocks)
{
    grid_open(&grid, MPI_COMM_WORLD, tp);
    Tp door = tp_door(&grid, blocks);
    Binder b = binder_declare(&table, &door);
    for (int i = 0; i < NTENSORS; i++)
        param(&b, TENSORS[i].rows, TENSORS[i].cols, TENSORS[i].split,
              TENSORS[i].flags | (i == KV && tp % 2 == 0 ? COPIES(2) : 0), "%s", TENSORS[i].name);
    assert_true(params_seal(&table, "decoder"));
    weights = calloc((size_t)table.weights, sizeof *weights);
    grads = calloc((size_t)table.grads, sizeof *grads);
    assert_true(weights && grads);
    for (int i = 0; i < NTENSORS; i++)
        fill(weights, i, table.p[i].offset, start, 0);
}

static void close_model(void)
{
    params_free(&table);
    free(weights);
    free(grads);
    grid_close(&grid);
}

/* ---- the reference, in double ---- */

static double reference_norm(int step)
{
    double sum = 0;
    for (int i = 0; i < NTENSORS; i++)
        for (int64_t e = 0; learns(i) && e < total(i); e++)
            sum += gradient(i, e, step) * gradient(i, e, step);
    return sqrt(sum);
}

/* out (n,m) = a (n,k) b (k,m) */
static void product(double *out, const double *a, const double *b, int n, int k, int m)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) {
            double sum = 0;
            for (int l = 0; l < k; l++)
                sum += a[i * k + l] * b[l * m + j];
            out[i * m + j] = sum;
        }
}

/* u (rows,cols) <- Newton-Schulz of it; rows <= cols or not, the result is the same. */
static void orthogonalise(double *u, int rows, int cols)
{
    double norm = 0, t[MOST], a[MOST], aa[MOST], y[MOST];
    for (int e = 0; e < rows * cols; e++)
        norm += u[e] * u[e];
    for (int e = 0; e < rows * cols; e++)
        u[e] /= sqrt(norm) + 1e-7;
    for (int step = 0; step < 5; step++) {
        for (int i = 0; i < rows; i++)
            for (int j = 0; j < cols; j++)
                t[j * rows + i] = u[i * cols + j];
        product(a, u, t, rows, cols, rows);
        product(aa, a, a, rows, rows, rows);
        for (int e = 0; e < rows * rows; e++)
            a[e] = -4.7750 * a[e] + 2.0315 * aa[e];
        product(y, a, u, rows, rows, cols);
        for (int e = 0; e < rows * cols; e++)
            u[e] = 3.4445 * u[e] + y[e];
    }
}

static void reference(double *w, double *m, double *v, int i, int steps, const OptimConf *c, int kind)
{
    const bool muon = kind == OPTIM_MUON && (TENSORS[i].flags & MUON);
    const double decay = TENSORS[i].flags & DECAY ? c->decay : 0, side = TENSORS[i].rows > TENSORS[i].cols ? TENSORS[i].rows : TENSORS[i].cols;
    double u[MOST];
    for (int64_t e = 0; e < total(i); e++)
        w[e] = weight0(i, e), m[e] = v[e] = 0;
    for (int t = 1; learns(i) && t <= steps; t++) {
        const double scale = c->clip > 0 ? fmin(1, c->clip / (reference_norm(t) + 1e-6)) : 1;
        for (int64_t e = 0; e < total(i); e++) {
            const double g = scale * gradient(i, e, t);
            m[e] = muon ? c->momentum * m[e] + g : c->beta1 * m[e] + (1 - c->beta1) * g;
            v[e] = c->beta2 * v[e] + (1 - c->beta2) * g * g;
            u[e] = muon ? g + c->momentum * m[e] : m[e] / (1 - pow(c->beta1, t)) / (sqrt(v[e] / (1 - pow(c->beta2, t))) + c->eps);
        }
        if (muon)
            orthogonalise(u, TENSORS[i].rows, TENSORS[i].cols);
        for (int64_t e = 0; e < total(i); e++)
            w[e] -= (muon ? c->muon_lr : c->lr) * ((muon ? 0.2 * sqrt(side) : 1) * u[e] + decay * w[e]);
    }
}

/* Does a slice's buffer hold the global tensor's elements within the tolerance? */
static void compare(const float *data, const Slice *mine, const double *whole, int i, double tolerance)
{
    float want[MOST];
    const int64_t n = cut(want, mine, whole, i);
    for (int64_t e = 0; e < n; e++)
        assert_true(fabsf(data[e] - want[e]) <= tolerance);
}

static void compare_moment(const Moment *m, const double *whole, int i, double tolerance)
{
    const float *data = m->data;
    for (int k = 0; k < ZERO_SLICES; data += slice_total(&m->slice[k++]))
        compare(data, &m->slice[k], whole, i, tolerance);
}

/* ---- tests ---- */

enum { BYTES = 4096 };                  /* at once: several rounds a section */

/* What an update sent over each axis is what a plan says. */
static void sent_as_planned(const Optim *o, const CommCount *before)
{
    MatricesBytes muon;
    const int64_t norm = comm_sum_bytes(EXACT_WORDS * 8, grid.size);
    optim_bytes(o, &muon);
    assert_int_equal(comm_count[AXIS_DP].bytes - before[AXIS_DP].bytes, STEPS * (muon.dp + zero_weights_bytes(&o->zero)));
    assert_int_equal(comm_count[AXIS_TP].bytes - before[AXIS_TP].bytes, STEPS * muon.tp);
    assert_int_equal(comm_count[AXIS_WORLD].bytes - before[AXIS_WORLD].bytes, STEPS * (muon.world + norm));
}

static void steps_follow_the_papers(const OptimConf *c, const OptimSetup *s)
{
    Optim o;
    CommCount before[AXES];
    optim_open(&o, &table, weights, &grid, s);
    assert_int_equal(o.step, 0);
    memcpy(before, comm_count, sizeof before);
    for (int t = 1; t <= STEPS; t++) {
        load_gradients(t);
        optim_step(&o, weights, grads, c, optim_norm(&o, grads));
    }
    optim_settle(&o);
    sent_as_planned(&o, before);
    assert_int_equal(o.step, STEPS);
    for (int i = 0; i < NTENSORS; i++) {
        double w[MOST], m[MOST], v[MOST];
        const Slice piece = param_slice(&table, i);
        const bool muon = s->kind == OPTIM_MUON && (TENSORS[i].flags & MUON);
        Moment moment;
        reference(w, m, v, i, STEPS, c, s->kind);
        /* Floats below 2, rounded a few times in each of STEPS steps; an orthogonalised matrix has elements near 1 that err
           by 1e-5 (test_muon.c), times the rate, 0.02 here.  What is not trained keeps its bits. */
        const double tolerance = !learns(i) ? 0 : muon ? STEPS * 1e-6 : STEPS * 4 * 1.2e-7;
        compare(weights + table.p[i].offset, &piece, w, i, tolerance);
        if (optim_moment(&o, i, 0, &moment))
            compare_moment(&moment, m, i, STEPS * 4 * 4e-7);                    /* momentum grows to 5 gradients of 2 */
        if (optim_moment(&o, i, 1, &moment))
            compare_moment(&moment, v, i, STEPS * 8 * 1.2e-7);
        assert_int_equal(optim_moment(&o, i, 0, &moment), learns(i));
        assert_int_equal(optim_moment(&o, i, 1, &moment), learns(i) && !muon);
    }
    optim_close(&o);
}

static const OptimConf CONFS[] = {
    { 0.02f, 0.9f, 0.95f, 1e-8f, 0.1f, 1.0f, 0.02f, 0.95f },      /* clipped */
    { 0.02f, 0.9f, 0.95f, 1e-8f, 0.1f, 1e6f, 0.01f, 0.9f },       /* below the clip */
    { 0.02f, 0.9f, 0.999f, 1e-6f, 0, 0, 0.005f, 0.95f },           /* neither clip nor decay */
};

/* Each number of tensor-parallel ranks that divides the job's, times ZeRO, reduction and optimizer. */
static void every_grid_follows_the_papers(void **state)
{
    (void)state;
    const int size = comm_size(MPI_COMM_WORLD);
    for (int tp = 1; tp <= size; tp++)
        for (int way = 0; way < 8 && size % tp == 0; way++)
            for (size_t c = 0; c < sizeof CONFS / sizeof *CONFS; c++) {
                open_model(tp, 0);
                steps_follow_the_papers(&CONFS[c], &(OptimSetup){ way & 1 ? OPTIM_MUON : OPTIM_ADAMW, way & 2, way & 4, BYTES, { 0 } });
                close_model();
            }
}

static uint64_t bits(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* With tp as it is, neither replicas nor ZeRO change a bit of the norm; with leaves tp does not, either. */
static void norms(int blocks)
{
    const int size = comm_size(MPI_COMM_WORLD);
    uint64_t first = 0;
    for (int tp = 1; tp <= size; tp++) {
        for (int way = 0; way < 4 && size % tp == 0 && blocks % tp == 0; way++) {
            Optim o;
            open_model(tp, blocks);
            optim_open(&o, &table, weights, &grid, &(OptimSetup){ OPTIM_ADAMW, way & 1, way & 2, BYTES, { 0 } });
            load_gradients(0);
            const double norm = optim_norm(&o, grads);
            comm_same(grid.world, "the norm", bits(norm));
            first = way || (blocks && tp > 1) ? first : bits(norm);
            assert_int_equal(bits(norm), first);
            /* Squares of floats summed in double: what remains is the order, some 1e-16 per addition. */
            assert_true(fabs(norm - reference_norm(0)) < 1e-12 * norm);
            /* One element of decoder.up that is not a number: summed, all replicas have it, or with ZeRO its owner alone. */
            const Range r = zero_part(&o.zero, 1, 0);
            if (grid.tp_rank == tp - 1 && (grid.dp_rank == 0 || !(way & 1)))
                grads[r.at] = NAN;
            assert_true(r.n > 0 && isnan(optim_norm(&o, grads)));
            optim_close(&o);
            close_model();
        }
    }
}

static void the_norm_counts_each_element_once(void **state)
{
    (void)state;
    norms(0);
    norms(8);
}

/* With zero = 1 a rank holds its share of the moments and no more. */
static void shares_are_all_that_is_kept(void **state)
{
    (void)state;
    static const OptimSetup setup[] = { { OPTIM_ADAMW, false, true, BYTES, { 0 } }, { OPTIM_ADAMW, true, true, BYTES, { 0 } },
                                         { OPTIM_MUON, false, true, BYTES, { 0 } } };
    size_t kept[3], coming[3], muon[3];
    int sections = 0;
    open_model(1, 0);
    for (int i = 0; i < 3; i++) {
        Optim o;
        optim_measure(&o, &table, 0, i == 1 ? 4 : 1, &setup[i]);
        optim_memory(&o, &coming[i], &muon[i]);
        kept[i] = o.arena.size;
        sections = o.zero.sections;
        optim_close(&o);
    }
    /* Two moments, each share at most a block more than a quarter; and the table of where they begin. */
    assert_in_range(kept[1], kept[0] / 4, kept[0] / 4 + (size_t)sections * 2 * GRAIN * sizeof(float) + 400);
    assert_true(coming[1] > 0 && coming[0] == 0 && coming[2] == 0);
    assert_true(muon[2] > 0 && muon[0] == 0 && muon[1] == 0);
    assert_true(kept[2] < 0.75 * (double)kept[0]);              /* Muon keeps one moment */
    close_model();
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    ops_use(NULL, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_norm_counts_each_element_once),
        cmocka_unit_test(every_grid_follows_the_papers),
        cmocka_unit_test(shares_are_all_that_is_kept),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
