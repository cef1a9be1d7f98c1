/* Matrices from flat shares to blocks and back: every block holds its elements, every share gets its own again, and as much was sent as
   was planned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops.h"
#include "dist/regroup.h"

static Grid grid;

static const struct { const char *name; int rows, cols, split; Target target; } TENSORS[] = {
    { "a.rows", 70, 33, 1, { WAY_ROWS, -1 } },   { "a.norm", 10, 1, -1, { WAY_NONE, -1 } },  { "a.cols", 48, 61, 0, { WAY_COLS, -1 } },
    { "a.zero", 50, 40, -1, { WAY_WHOLE, 0 } },  { "a.last", 30, 64, 0, { WAY_WHOLE, 3 } },  { "a.same", 40, 50, -1, { WAY_WHOLE, 0 } },
    { "a.thin", 3, 700, -1, { WAY_ROWS, -1 } },  { "a.one", 2, 2, -1, { WAY_COLS, -1 } },    { "a.cols2", 300, 5, 0, { WAY_COLS, -1 } },
};
enum { N = sizeof TENSORS / sizeof *TENSORS };

static float value(int i, int64_t e) { return (float)(100000 * (i + 1) + e); }

/* Each rank knows its own parts alone. */
static void fill(float *grads, const Zero *z)
{
    for (int64_t e = 0; e < z->table->grads; e++)
        grads[e] = -1;
    for (int i = 0; i < N; i++) {
        const Range r = zero_part(z, i, z->rank);
        for (int64_t e = r.at; e < r.at + r.n; e++)
            grads[e] = value(i, e - z->table->p[i].grad);
    }
}

static void check_blocks(const Regroup *x, const Zero *z, const Target *t, float *grads)
{
    for (int i = 0; i < N; i++) {
        const Block b = regroup_block(z, t, i, z->rank);
        const Slice piece = param_slice(z->table, i);
        const int cols = piece.dims > 1 ? (int)slice_extent(&piece, 1) : 1;
        float *at = t[i].way != WAY_NONE ? regroup_at(x, i, grads) : NULL;
        for (int r = 0; r < b.rows; r++)
            for (int c = 0; c < b.cols; c++) {
                float *e = at + (int64_t)r * b.cols + c;
                assert_true(*e == value(i, (int64_t)(b.row + r) * cols + b.col + c));
                *e += 0.25f;
            }
    }
}

static void blocks_hold_what_shares_held(void **state)
{
    (void)state;
    for (int tp = 1; tp <= 2; tp++)
        for (int64_t bytes = 2000; bytes < 1000000; bytes *= 30) {
            Params table = { 0 };
            Tp one = TP_ALONE;
            Target target[N];
            bool muon[N];
            one.size = tp;
            Binder b = binder_declare(&table, &one);
            for (int i = 0; i < N; i++) {
                param(&b, TENSORS[i].rows, TENSORS[i].split == 1 ? 2 * TENSORS[i].cols : TENSORS[i].cols, TENSORS[i].split, 0, "%s", TENSORS[i].name);
                target[i] = TENSORS[i].target;
                target[i].owner = target[i].owner < 0 ? -1 : target[i].owner % grid.dp_size;
                muon[i] = target[i].way != WAY_NONE;
            }
            assert_true(params_seal(&table, "a"));
            Zero z;
            zero_open(&z, &table, grid.dp_rank, grid.dp_size, &(ZeroConf){ .muon = muon, .bytes = bytes });
            float *grads = malloc((size_t)table.grads * sizeof *grads);
            assert_non_null(grads);
            Regroup *x = regroup_open(&z, target, grid.dp);
            for (int turn = 0; turn < 2; turn++) {
                const int64_t before = comm_count[AXIS_DP].bytes;
                fill(grads, &z);
                regroup_gather(x, grads);
                check_blocks(x, &z, target, grads);
                regroup_return(x, grads);
                assert_int_equal(comm_count[AXIS_DP].bytes - before, regroup_bytes(&z, target));
                for (int i = 0; i < N; i++) {
                    const Range r = zero_part(&z, i, z.rank);
                    for (int64_t e = r.at; e < r.at + r.n; e++)
                        assert_true(grads[e] == value(i, e - table.p[i].grad) + (muon[i] ? 0.25f : 0));
                }
            }
            assert_true(regroup_memory(&z, target) > 0);
            regroup_close(x);
            free(grads);
            zero_close(&z);
            params_free(&table);
        }
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    ops_use(&OPS_CPU, 1);
    grid_open(&grid, MPI_COMM_WORLD, 1);
    const struct CMUnitTest tests[] = { cmocka_unit_test(blocks_hold_what_shares_held) };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    grid_close(&grid);
    MPI_Finalize();
    return failed;
}
