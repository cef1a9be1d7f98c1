/* test_canon.c -- the canonical tree: the definition, computed recursively, against what replicas do with it */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mpi.h>

#include "core/rng.h"
#include "dist/canon.h"

enum { MOST = 96 };

static float leaf(int64_t i) { return (float)(rng_uniform(3, 1, (uint64_t)i) - 0.5) * (float)(1 + i % 7); }

/* The definition: node (level, index) of a tree over `all` leaves. */
static float node_value(int level, int64_t index, int64_t all)
{
    if (level == 0)
        return leaf(index);
    const int64_t right = (2 * index + 1) << (level - 1);
    const float left = node_value(level - 1, 2 * index, all);
    return right < all ? left + node_value(level - 1, 2 * index + 1, all) : left;
}

static float root(int64_t all)
{
    int level = 0;
    while ((int64_t)1 << level < all)
        level++;
    return node_value(level, 0, all);
}

/* What one replica does with its leaves: a buffer that is computed into, and those that wait. */
static int local(float part[CANON_NODES], int64_t first, int64_t n, int *most)
{
    CanonStack s = { 0 };
    float waiting[CANON_NODES];
    for (int64_t i = first; i < first + n; i++) {
        float grads = leaf(i);
        *most = s.n > *most ? s.n : *most;
        for (int merges = canon_push(&s, (CanonNode){ 0, i }), k = 0; k < merges; k++)
            grads = waiting[s.n - 1 + merges - 1 - k] + grads;
        waiting[s.n - 1] = grads;
    }
    memcpy(part, waiting, (size_t)s.n * sizeof *part);
    return s.n;
}

static void any_number_of_replicas_gives_the_tree(void **state)
{
    (void)state;
    for (int64_t all = 1; all <= MOST; all++)
        for (int replicas = 1; replicas <= all; replicas++) {
            if (all % replicas)
                continue;
            float slot[MOST * 2];
            CanonNode node[MOST * 2];
            Addition add[MOST * 2];
            int n = 0;
            for (int r = 0; r < replicas; r++) {
                const int64_t each = all / replicas;
                int most = 0;
                const CanonStack parts = canon_parts(r * each, each);
                assert_int_equal(local(slot + n, r * each, each, &most), parts.n);
                assert_int_equal(canon_waiting(r * each, each), most);
                memcpy(node + n, parts.node, (size_t)parts.n * sizeof *node);
                n += parts.n;
            }
            canon_additions(add, node, n);
            for (int i = 0; i < n - 1; i++)
                slot[add[i].to] += slot[add[i].from];
            assert_true(slot[0] == root(all));
        }
}

/* Replicas add up in groups first, each as far as its nodes go together, and then all groups' sums: still the tree. */
static void groups_of_replicas_give_the_tree(void **state)
{
    (void)state;
    for (int64_t each = 1; each <= 5; each++)
        for (int group = 1; group <= 9; group++)
            for (int groups = 1; groups <= 5; groups++) {
                float sum[MOST * 2];
                CanonNode left[MOST * 2];
                Addition add[MOST * 2];
                int n = 0;
                for (int g = 0; g < groups; g++) {
                    float slot[MOST * 2];
                    CanonNode node[MOST * 2];
                    int in = 0, most = 0, first[CANON_NODES + 1];
                    for (int r = g * group; r < (g + 1) * group; r++) {
                        const CanonStack parts = canon_parts(r * each, each);
                        local(slot + in, r * each, each, &most);
                        memcpy(node + in, parts.node, (size_t)parts.n * sizeof *node);
                        in += parts.n;
                    }
                    const int sums = canon_sums(node, in, first);
                    const CanonStack whole = canon_parts(g * group * each, group * each);
                    assert_int_equal(sums, whole.n);
                    assert_true(first[0] == 0 && first[sums] == in);
                    for (int k = 0; k < sums; k++) {
                        canon_additions(add, node + first[k], first[k + 1] - first[k]);
                        for (int i = 0; i < first[k + 1] - first[k] - 1; i++)
                            slot[first[k] + add[i].to] += slot[first[k] + add[i].from];
                        left[n] = whole.node[k];
                        sum[n++] = slot[first[k]];
                    }
                }
                canon_additions(add, left, n);
                for (int i = 0; i < n - 1; i++)
                    sum[add[i].to] += sum[add[i].from];
                assert_true(sum[0] == root(each * group * groups));
            }
}

static void a_power_of_two_is_one_part(void **state)
{
    (void)state;
    for (int k = 0; k < 6; k++)
        for (int64_t r = 0; r < 5; r++)
            assert_int_equal(canon_parts(r << k, 1 << k).n, 1);
    assert_int_equal(canon_waiting(0, 8), 3);
    assert_int_equal(canon_parts(0, 3).n, 2);
    assert_int_equal(canon_parts(3, 3).n, 2);       /* 3, then 4 and 5 */
}

/* Were the values whole numbers, any order would do: these show it. */
static void the_order_matters(void **state)
{
    (void)state;
    int differ = 0;
    for (int64_t all = 3; all <= MOST; all++) {
        float chain = 0;
        for (int64_t i = 0; i < all; i++)
            chain += leaf(i);
        differ += chain != root(all);
    }
    assert_true(differ > MOST / 2);
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_replicas_gives_the_tree),
        cmocka_unit_test(groups_of_replicas_give_the_tree),
        cmocka_unit_test(a_power_of_two_is_one_part),
        cmocka_unit_test(the_order_matters),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
