/* With leaves the residual quantizer learns the same bits on any number of tensor-parallel ranks: codes, energies, averages, restarts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops.h"
#include "core/rng.h"
#include "core/rqtok.h"
#include "core/slice.h"
#include "dist/comm.h"
#include "dist/tp.h"

enum { BLOCKS = 8, Q = 3, S = 64, C = 6, P = 40, B = 6, N = B * P, STEPS = 4 };

static int size;

typedef struct {
    Params    table;
    Codes     w, dw;
    float    *weights, *grads;
    CodesTape t;
    Arena     arena;
    double    energy[Q + 1];
    CodesUse  use;
} Rq;

static void lay(Rq *r, const Tp *tp)
{
    r->weights = TAKE(&r->arena, float, r->table.weights);
    r->grads   = TAKE(&r->arena, float, r->table.grads);
    codes_tape(&r->t, &r->arena, &r->w, N, true, tp);
}

static void open_rq(Rq *r, bool shared, const Tp *tp)
{
    *r = (Rq){ .arena.name = "test" };
    r->w = r->dw = (Codes){ .part = "codes", .Q = Q, .S = S, .Cv = C, .means = true, .shared = shared };
    Binder b = binder_declare(&r->table, tp);
    codes_params(&r->w, &b);
    assert_true(params_seal(&r->table, "codes"));
    lay(r, tp);
    arena_alloc(&r->arena);
    lay(r, tp);
    b = binder_weights(&r->table, r->weights);
    codes_params(&r->w, &b);
    b = binder_grads(&r->table, r->grads);
    codes_params(&r->dw, &b);
    for (int i = 0; i < r->table.n; i++)
        params_init(&r->table, i, r->weights, 3);
}

static void close_rq(Rq *r)
{
    arena_free(&r->arena);
    params_free(&r->table);
}

static void step(Rq *r, int64_t n, Tp *tp)
{
    static float x[N * C];
    int32_t image_start[B + 1];
    const CodesDraw draw = { .seed = 8, .step = n, .global_batch = B, .first = 0 };
    for (int b = 0; b <= B; b++)
        image_start[b] = b;
    for (int i = 0; i < N * C; i++)
        x[i] = (float)rng_normal(4, (uint64_t)n, (uint64_t)i);
    op.zero(r->grads, r->table.grads);
    codes_gather(&r->dw, &r->t, r->energy, &r->w, x, image_start, B, P, &draw, tp);
    codes_update(&r->use, &r->w, &r->dw, 0.7f, tp);
}

/* Everything of `part` that is this rank's piece of what `whole` has. */
static bool same(const Rq *part, const Rq *whole)
{
    bool equal = memcmp(part->t.code, whole->t.code, sizeof(int32_t) * Q * N) == 0 && memcmp(part->energy, whole->energy, sizeof part->energy) == 0 &&
                 memcmp(&part->use, &whole->use, sizeof part->use) == 0;
    for (int i = 0; i < part->table.n; i++) {
        const Param *p = &part->table.p[i];
        const Slice here = param_slice(&part->table, i), all = param_slice(&whole->table, i);
        float *want = malloc((size_t)p->count * sizeof *want);
        slice_copy(want, &here, whole->weights + whole->table.p[i].offset, &all, sizeof *want);
        equal &= memcmp(want, part->weights + p->offset, (size_t)p->count * sizeof *want) == 0;
        free(want);
    }
    return equal;
}

static void any_number_of_ranks(void **state)
{
    (void)state;
    Grid g;
    if (BLOCKS % size)
        skip();
    grid_open(&g, MPI_COMM_WORLD, size);
    Tp tp = tp_door(&g, BLOCKS), alone = TP_ALONE;
    alone.leaves = BLOCKS;
    for (int shared = 0; shared < 2; shared++) {
        Rq part, whole;
        int64_t restarts = 0;
        open_rq(&part, shared, &tp);
        open_rq(&whole, shared, &alone);
        for (int64_t n = 0; n < STEPS; n++) {
            step(&part, n, &tp);
            step(&whole, n, &alone);
            restarts += whole.use.restarts;
            assert_int_equal(comm_agree(MPI_COMM_WORLD, !same(&part, &whole)), 0);
        }
        assert_true(restarts > 0);
        close_rq(&part);
        close_rq(&whole);
    }
    grid_close(&g);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    size = comm_size(MPI_COMM_WORLD);
    ops_use(&OPS_CPU, 1);
    const struct CMUnitTest tests[] = { cmocka_unit_test(any_number_of_ranks) };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
