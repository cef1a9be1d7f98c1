/* Levels: who meets whom, which places each goes on with, and that at the end each has its own share of everybody's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <mpi.h>

#include "dist/levels.h"

enum { MOST = 240 };

/* What replica r holds of replica q's places: after each level all of its group's, of its own run.  heard[r] counts the replicas. */
static void all_meet_once(const Levels *v)
{
    static bool has[MOST][MOST], next[MOST][MOST];              /* has[r][q]: r has added up what q holds of r's run */
    static int first[MOST], run[MOST];
    memset(has, 0, sizeof has);
    for (int r = 0; r < v->replicas; r++) {
        has[r][r] = true;
        first[r] = 0, run[r] = v->replicas;
    }
    for (int i = 0; i < v->n; i++) {
        memset(next, 0, sizeof next);
        for (int r = 0; r < v->replicas; r++) {
            const Level me = levels_at(v, i, r);
            assert_int_equal(me.size, v->size[i]);
            assert_int_equal(me.first, first[r]);
            assert_int_equal(me.run * me.size, run[r]);
            for (int q = 0; q < v->replicas; q++) {
                const Level l = levels_at(v, i, q);
                if (l.group != me.group)
                    continue;
                assert_int_equal(q - r, (l.member - me.member) * me.stride);
                assert_true(l.first == me.first && l.run == me.run);
                for (int k = 0; k < v->replicas; k++) {         /* q comes with the replicas of its block, and none twice */
                    assert_int_equal(has[q][k], k / me.stride == me.block + l.member);
                    assert_false(has[q][k] && next[r][k]);
                    next[r][k] |= has[q][k];
                }
            }
        }
        for (int r = 0; r < v->replicas; r++) {
            const Level me = levels_at(v, i, r);
            first[r] = me.first + me.member * me.run;
            run[r] = me.run;
        }
        memcpy(has, next, sizeof has);
    }
    for (int r = 0; r < v->replicas; r++) {
        assert_int_equal(run[r], 1);
        assert_int_equal(levels_owner(v, first[r]), r);
        for (int k = 0; k < v->replicas; k++)
            assert_true(has[r][k]);
    }
}

static void every_share_gets_every_replica_once(void **state)
{
    (void)state;
    for (int replicas = 1; replicas <= MOST; replicas += 1 + replicas / 16)
        for (int near = 1; near <= replicas; near++)
            if (replicas % near == 0) {
                const Levels v = levels_of(replicas, near);
                all_meet_once(&v);
            }
    const Levels one = levels_one(7), odd = { 60, 4, { 3, 2, 5, 2 } };
    all_meet_once(&one);
    all_meet_once(&odd);
}

static void is(int replicas, int near, int n, const int *size)
{
    const Levels v = levels_of(replicas, near);
    assert_int_equal(v.replicas, replicas);
    assert_int_equal(v.n, n);
    for (int i = 0; i < n; i++)
        assert_int_equal(v.size[i], size[i]);
}
#define IS(replicas, near, ...) is(replicas, near, sizeof (int[]){ __VA_ARGS__ } / sizeof(int), (int[]){ __VA_ARGS__ })

static void nodes_first_then_factors_near_the_root(void **state)
{
    (void)state;
    is(1, 1, 0, NULL);
    IS(16, 1, 16);
    IS(16, 16, 16);
    IS(64, 1, 8, 8);
    IS(96, 1, 8, 12);
    IS(1024, 1, 32, 32);
    IS(1024, 4, 4, 16, 16);
    IS(32 * 1024, 32, 8, 4, 32, 32);
    IS(2000, 2, 2, 40, 25);
    IS(997, 1, 997);
    IS(34, 1, 2, 17);
    const Levels v = levels_of(1024, 4);
    assert_int_equal(levels_messages(&v), 33);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_share_gets_every_replica_once),
        cmocka_unit_test(nodes_first_then_factors_near_the_root),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
