/* Who owns what: sections hold every tensor once, shares cover them once and equally, slices are the global tensor's; new weights
   reach all replicas, in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/ops.h"
#include "core/rng.h"
#include "dist/zero.h"
#include "tests/dist/factors.h"

static Grid grid;
static Params table;
static bool muon[64];

static const struct { const char *name; int rows, cols, split; unsigned flags; } TENSORS[] = {
    { "a.embed", 48, 10, 0, 0 },      { "a.norm", 10, 1, -1, 0 },     { "a.wq", 24, 30, 0, MUON },  { "a.bias", 24, 1, 0, 0 },
    { "a.wo", 30, 24, 1, MUON },      { "f.frozen", 12, 5, -1, 0 },   { "a.in", 14, 90, -1, MUON }, { "a.one", 1, 1, -1, 0 },
    { "a.big", 120, 50, 1, 0 },       { "a.table", 24, 6, 0, STATE }, { "a.wide", 2, 3000, -1, 0 }, { "a.kv", 24, 20, 0, MUON | COPIES(2) },
};
enum { N = sizeof TENSORS / sizeof *TENSORS, MOST = 120 * 50 };

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

/* Tensors of a section are neighbours, alike, and lie in the weights as in the gradient. */
static void sections_hold_what_is_alike(const Zero *z, bool zero1, bool with_muon, int64_t bytes)
{
    int next = 0;
    for (int k = 0; k < z->sections; k++) {
        const Section *s = &z->section[k];
        for (; next < s->first; next++)
            assert_true(table.p[next].grad < 0 && z->of[next] < 0);
        assert_true(s->first == next && s->at == table.p[next].grad && s->weights == table.p[next].offset);
        for (; next < s->last; next++) {
            const Param *p = &table.p[next];
            assert_int_equal(z->of[next], k);
            assert_int_equal(p->grad - s->at, p->offset - s->weights);
            assert_int_equal(s->state, !!(p->flags & STATE));
            assert_int_equal(s->muon, with_muon && muon[next]);
            assert_int_equal(s->owned, s->muon || (zero1 && !s->state));
        }
        assert_int_equal(s->at + s->n, table.p[s->last - 1].grad + table.p[s->last - 1].count);
        assert_true(s->last == s->first + 1 || s->n * (int64_t)sizeof(float) <= bytes);
    }
    for (; next < N; next++)
        assert_true(table.p[next].grad < 0);
}

/* Shares of all owners, one behind the other, are the section; none is larger than an equal part and two blocks. */
static void shares_cover(const Zero *z)
{
    for (int k = 0; k < z->sections; k++) {
        const Section *s = &z->section[k];
        int64_t at = s->at;
        for (int r = 0; r < z->ranks; r++) {
            const Range share = zero_share(s, r);
            assert_true(share.n == 0 || (share.at == at && (at == s->at || at % GRAIN == 0)));
            assert_true(share.n <= s->n / z->ranks + 2 * GRAIN);
            at += share.n;
        }
        assert_int_equal(at, s->at + s->n);
        for (int64_t bytes = 64; bytes < 100000; bytes *= 7) {          /* rounds take every element once */
            int64_t each, total = 0;
            int count[32], lies[32], packed[33], seen[32] = { 0 };
            const Pieces p = { count, lies, packed };
            const int rounds = zero_rounds(s, z->ranks, bytes, &each);
            for (int i = 0; i < rounds; i++) {
                pieces_of(&p, z, (Round){ k, i * each, each });
                total += packed[z->ranks];
                for (int place = 0; place < z->ranks; place++) {
                    const Range share = zero_share(s, z->owner[place]);
                    seen[z->owner[place]]++;
                    assert_true(count[place] >= 0 && count[place] <= each && packed[place + 1] - packed[place] == count[place]);
                    assert_true(count[place] == 0 || (s->at + lies[place] >= share.at && s->at + lies[place] + count[place] <= share.at + share.n));
                }
            }
            for (int r = 0; r < z->ranks; r++)
                assert_int_equal(seen[r], rounds);
            assert_int_equal(total, s->n);
        }
    }
}

/* Three slices of the global tensor are the range, in its order. */
static void slices_are_the_range(const Zero *z, int i, Range r, float *count)
{
    static float whole[MOST], cut[MOST];
    const Slice piece = param_slice(&table, i);
    int64_t n = 0;
    Slice s[ZERO_SLICES];
    for (int64_t e = 0; e < table.p[i].count; e++)
        whole[e] = (float)e;
    zero_slices(z, i, r, s);
    for (int k = 0; k < ZERO_SLICES; n += slice_total(&s[k++])) {
        assert_true(k != 1 || slice_total(&s[k]) == 0 || piece.dims == 1 || slice_extent(&s[k], 1) == slice_extent(&piece, 1));
        assert_int_equal(slice_copy(cut + n, &s[k], whole, &piece, sizeof *cut), slice_total(&s[k]));
    }
    assert_int_equal(n, r.n);
    assert_memory_equal(cut, whole + (r.n ? r.at - table.p[i].grad : 0), (size_t)n * sizeof *cut);
    for (int64_t e = 0; e < n; e++)
        count[(int)cut[e]]++;
}

static void shares_cover_each_tensor_once(void **state)
{
    (void)state;
    for (int tp = 1; tp <= 2; tp++)
        for (int ranks = 1; ranks <= 17; ranks++)
            for (int way = 0; way < 8; way++) {
                const int64_t bytes = way & 4 ? 1000 : 100000;
                Zero z;
                open_table(tp);
                zero_open(&z, &table, ranks - 1, ranks, &(ZeroConf){ way & 1, way & 2 ? muon : NULL, bytes, levels_of(ranks, ranks % 3 ? 1 : 3) });
                sections_hold_what_is_alike(&z, way & 1, way & 2, bytes);
                shares_cover(&z);
                for (int i = 0; i < N; i++) {
                    static float count[MOST];
                    memset(count, 0, sizeof count);
                    for (int r = 0; r < ranks && table.p[i].grad >= 0; r++)
                        slices_are_the_range(&z, i, zero_part(&z, i, r), count);
                    for (int64_t e = 0; e < table.p[i].count; e++)
                        assert_true(count[e] == (table.p[i].grad >= 0));
                }
                zero_close(&z);
                params_free(&table);
            }
}

static float weight(int i, int64_t e, int step) { return (float)rng_uniform(9, (uint64_t)(i * 100 + step), (uint64_t)e); }

/* Each owner changes its shares; then, as `need` goes through the table, every tensor is whole when it was named. */
static void weights_reach_all(const Levels *levels)
{
    for (int tp = 1; tp <= 2; tp++)
        for (int zero1 = 0; zero1 < 2; zero1++)
            for (int64_t bytes = 1000; bytes < 100000; bytes *= 20) {
                open_table(tp);
                Zero z;
                float *w = calloc((size_t)table.weights, sizeof *w);
                assert_non_null(w);
                zero_open(&z, &table, grid.dp_rank, grid.dp_size, &(ZeroConf){ zero1, muon, bytes, *levels });
                ZeroWeights *g = zero_weights_open(&z, w, &grid, bytes / 3);
                assert_int_equal(g != NULL, grid.dp_size > 1);
                for (int step = 0; step < 3; step++) {
                    for (int i = 0; i < N; i++) {
                        const Range r = z.of[i] >= 0 && z.section[z.of[i]].owned ? zero_part(&z, i, grid.dp_rank) : (Range){ 0 };
                        for (int64_t e = r.at - table.p[i].grad; e < r.at - table.p[i].grad + r.n; e++)
                            w[table.p[i].offset + e] = weight(i, e, step);
                    }
                    zero_weights_start(g);
                    for (int i = 0; i < N; i++) {
                        const bool owned = z.of[i] >= 0 && z.section[z.of[i]].owned;
                        zero_weights_need(g, i, i + 1);
                        for (int64_t e = 0; e < table.p[i].count; e++)
                            assert_true(w[table.p[i].offset + e] == (owned ? weight(i, e, step) : 0));
                    }
                    zero_weights_wait(g);
                }
                zero_weights_close(g);
                zero_close(&z);
                params_free(&table);
                free(w);
            }
}

static void new_weights_reach_all(void **state)
{
    (void)state;
    Levels levels[FACTORINGS];
    for (int i = factorings(grid.dp_size, levels) - 1; i >= 0; i--)
        weights_reach_all(&levels[i]);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    ops_use(&OPS_CPU, 1);
    grid_open(&grid, MPI_COMM_WORLD, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_cover_each_tensor_once),
        cmocka_unit_test(new_weights_reach_all),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    grid_close(&grid);
    MPI_Finalize();
    return failed;
}
