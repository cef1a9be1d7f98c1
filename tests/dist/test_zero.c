/* Who owns what: shares cover every tensor once; what is packed comes back; new weights reach all replicas, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops.h"
#include "core/rng.h"
#include "dist/zero.h"

static Grid grid;
static Params table;
static bool muon[64];

static const struct { const char *name; int rows, cols, split; unsigned flags; } TENSORS[] = {
    { "a.embed", 48, 10, 0, 0 },      { "a.norm", 10, 1, -1, 0 },     { "a.wq", 24, 30, 0, MUON },  { "a.bias", 24, 1, 0, 0 },
    { "a.wo", 30, 24, 1, MUON },      { "f.frozen", 12, 5, -1, 0 },   { "a.in", 14, 9, -1, MUON },  { "a.one", 1, 1, -1, 0 },
    { "a.big", 120, 50, 1, 0 },       { "a.table", 24, 6, 0, STATE }, { "a.wide", 2, 300, -1, 0 },  { "a.kv", 24, 20, 0, MUON | COPIES(2) },
};
enum { N = sizeof TENSORS / sizeof *TENSORS };

static void open_table(int tp)
{
    Tp one = TP_ALONE;
    one.size = tp;
    one.rank = tp - 1;
    Binder b = binder_declare(&table, &one);
    for (int i = 0; i < N; i++)
        param(&b, TENSORS[i].rows, TENSORS[i].cols, TENSORS[i].split, tp > 1 ? TENSORS[i].flags : TENSORS[i].flags & 0xffff, "%s",
              TENSORS[i].name);
    assert_true(params_seal(&table, "a"));
    for (int i = 0; i < N; i++)
        muon[i] = TENSORS[i].flags & MUON;
}

/* Every element of the piece belongs to one owner; the slices of all owners are the piece's. */
static void shares_cover_each_tensor_once(void **state)
{
    (void)state;
    for (int tp = 1; tp <= 2; tp++)
        for (int ranks = 1; ranks <= 17; ranks++)
            for (int way = 0; way < 8; way++) {
                open_table(tp);
                for (int i = 0; i < N; i++) {
                    float count[120 * 50] = { 0 }, one[120 * 50], part[120 * 50];
                    for (int64_t e = 0; e < table.p[i].count; e++)
                        one[e] = (float)e + 1;
                    for (int r = 0; r < ranks; r++) {
                        Zero z;
                        zero_open(&z, &table, r, ranks, &(ZeroConf){ way & 1, way & 2 ? muon : NULL, way & 4 });
                        const int64_t n = share_count(zero_share(&z, i, r));
                        const Slice piece = param_slice(&table, i), mine = zero_slice(&z, i, r);
                        assert_int_equal(slice_total(&mine), n);
                        zero_pack(part, &z, i, r, one, 0, n);
                        /* The same elements, found by the slices of the global tensor. */
                        float cut[120 * 50];
                        assert_int_equal(slice_copy(cut, &mine, one, &piece, sizeof *cut), n);
                        assert_memory_equal(cut, part, (size_t)n * sizeof *cut);
                        float back[120 * 50] = { 0 };
                        zero_unpack(back, &z, i, r, part, 0, n / 3);
                        zero_unpack(back, &z, i, r, part + n / 3, n / 3, n);
                        for (int64_t e = 0; e < table.p[i].count; e++)
                            count[e] += back[e];
                        assert_int_equal(z.mine[i], table.p[i].grad >= 0 && ((way & 2 && muon[i]) || (way & 1 && !(table.p[i].flags & STATE))));
                        zero_close(&z);
                    }
                    assert_memory_equal(count, one, (size_t)table.p[i].count * sizeof *one);
                }
                params_free(&table);
            }
}

/* Where tp does not split rows, blocks of rows; else of columns: one ScaLAPACK block each. */
static void the_cut_is_along_what_tp_left(void **state)
{
    (void)state;
    Zero z;
    open_table(2);
    zero_open(&z, &table, 1, 3, &(ZeroConf){ true, muon, false });
    const Share wq = zero_share(&z, 2, 1), wo = zero_share(&z, 4, 1), bias = zero_share(&z, 3, 2);
    assert_true(wq.row == 0 && wq.rows == 12 && wq.col == 10 && wq.cols == 10);
    assert_true(wo.row == 10 && wo.rows == 10 && wo.col == 0 && wo.cols == 12);
    assert_true(bias.row == 8 && bias.rows == 4 && bias.cols == 1);
    assert_int_equal(z.cut[11], CUT_WHOLE);             /* copies are no block distribution */
    zero_close(&z);
    zero_open(&z, &table, 1, 3, &(ZeroConf){ true, muon, true });
    int owned[3] = { 0 };
    for (int i = 0; i < N; i++)
        if (muon[i]) {
            assert_int_equal(z.cut[i], CUT_WHOLE);
            owned[z.owner[i]]++;
        }
    assert_true(owned[0] > 0 && owned[1] > 0 && owned[2] > 0);
    zero_close(&z);
    params_free(&table);
}

static bool all(const Zero *z, int i) { return z->table->p[i].grad >= 0; }

static void lots_hold_everything_in_order(void **state)
{
    (void)state;
    open_table(1);
    Zero z;
    zero_open(&z, &table, 0, 3, &(ZeroConf){ true, NULL, false });
    for (int64_t span = 16; span < 20000; span = span * 3 + 1) {
        static Lot lot[4096];
        const int n = zero_lots(&z, all, span, NULL);
        assert_int_equal(zero_lots(&z, all, span, lot), n);
        int64_t total = 0, here = 0;
        for (int k = 0; k < n; k++) {
            int64_t of_lot = 0;
            for (int r = 0; r < 3; r++)
                of_lot += zero_lot_count(&z, all, &lot[k], r);
            assert_true(of_lot > 0 && of_lot <= span + 3);
            assert_true(k == 0 || lot[k].first >= lot[k - 1].first);
            total += of_lot;
        }
        for (int i = 0; i < N; i++)
            here += all(&z, i) ? table.p[i].count : 0;
        assert_int_equal(total, here);
    }
    zero_close(&z);
    params_free(&table);
}

static float weight(int i, int64_t e, int step) { return (float)rng_uniform(9, (uint64_t)(i * 100 + step), (uint64_t)e); }

/* Each owner changes its shares; then, as `need` goes through the table, every tensor is whole when it was named. */
static void new_weights_reach_all(void **state)
{
    (void)state;
    for (int tp = 1; tp <= 2; tp++)
        for (int whole = 0; whole < 2; whole++)
            for (int64_t bytes = 1000; bytes < 100000; bytes *= 20) {
                open_table(tp);
                Zero z;
                float *w = calloc((size_t)table.weights, sizeof *w), share[120 * 50], new[120 * 50];
                assert_non_null(w);
                zero_open(&z, &table, grid.dp_rank, grid.dp_size, &(ZeroConf){ true, muon, whole });
                ZeroWeights *g = zero_weights_open(&z, w, &grid, bytes);
                assert_int_equal(g != NULL, grid.dp_size > 1);
                for (int step = 0; step < 3; step++) {
                    for (int i = 0; i < N; i++) {
                        const int64_t n = z.mine[i] ? share_count(zero_share(&z, i, grid.dp_rank)) : 0;
                        for (int64_t e = 0; e < table.p[i].count; e++)
                            new[e] = weight(i, e, step);
                        zero_pack(share, &z, i, grid.dp_rank, new, 0, n);
                        zero_unpack(w + table.p[i].offset, &z, i, grid.dp_rank, share, 0, n);
                    }
                    zero_weights_start(g);
                    for (int i = 0; i < N; i++) {
                        zero_weights_need(g, i, i + 1);
                        for (int64_t e = 0; z.mine[i] && e < table.p[i].count; e++)
                            assert_true(w[table.p[i].offset + e] == weight(i, e, step));
                        for (int64_t e = 0; !z.mine[i] && e < table.p[i].count; e++)
                            assert_true(w[table.p[i].offset + e] == 0);
                    }
                    zero_weights_wait(g);
                }
                zero_weights_close(g);
                zero_close(&z);
                params_free(&table);
                free(w);
            }
}

int main(int argc, char **argv)
{
    int level;
    comm_environment();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    ops_use(&OPS_CPU, 1);
    grid_open(&grid, MPI_COMM_WORLD, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_cover_each_tensor_once),
        cmocka_unit_test(the_cut_is_along_what_tp_left),
        cmocka_unit_test(lots_hold_everything_in_order),
        cmocka_unit_test(new_weights_reach_all),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    grid_close(&grid);
    MPI_Finalize();
    return failed;
}
