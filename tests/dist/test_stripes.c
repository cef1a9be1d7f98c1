/* Rows enough for stripes (core/stripe.h), in the tower and in the decoder: the model on all ranks as one tensor-parallel group beside the
   same one whole on each, which has no stripes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/slice.h"
#include "core/stripe.h"
#include "dist/comm.h"
#include "dist/tp.h"
#include "tests/dist/rows_case.h"

static int size;

/* |got - want| / |want| of this rank's piece of a gradient; of the bias of keys 0, whose gradient is rounding alone. */
static double off(const Model *part, const Model *whole, int i)
{
    const Param *q = &part->table.p[i];
    const Slice here = param_slice(&part->table, i), all = param_slice(&whole->table, i);
    float *want = malloc((size_t)q->count * sizeof *want);
    double wrong = 0, size2 = 0;
    slice_copy(want, &here, whole->grads + whole->table.p[i].grad, &all, sizeof *want);
    for (int64_t e = 0; e < q->count; e++) {
        wrong += pow((double)part->grads[q->grad + e] - want[e], 2);
        size2 += pow(want[e], 2);
    }
    free(want);
    return strcmp(q->name + strlen(q->name) - 2, "bk") ? sqrt(wrong / size2) : 0;
}

/* Products that are cut elsewhere and additions in another order round floats: tests/dist/test_model_tp.c sees 1e-7 to 1e-6 without
   stripes and allows 1e-5; stripes may do no more. */
static void stripes_change_rounding_alone(void **state)
{
    (void)state;
    static Model whole, part;
    static Tape of_whole, of_part;
    const ModelConf c = rows_conf();
    const Batch b = rows_batch();
    Grid g;
    grid_open(&g, MPI_COMM_WORLD, size);
    Tp tp = tp_door(&g, 0);
    assert_int_equal(stripes(&tp, SEQUENCES * P, c.vision.C), size > 1 ? 2 : 1);
    assert_int_equal(stripes(&tp, SEQUENCES * ROWS, c.decoder.C), size > 1 ? 2 : 1);
    assert_true(case_open(&whole, &of_whole, &c, &TP_ALONE) && case_open(&part, &of_part, &c, &tp));
    const Losses want = pass(&whole, &of_whole, &b), got = pass(&part, &of_part, &b);
    double worst = 0;
    for (size_t i = 0; i < sizeof want / sizeof(double); i++)
        worst = fmax(worst, fabs(((const double *)&got)[i] / ((const double *)&want)[i] - 1));
    for (int i = 0; i < part.table.n; i++)
        if (part.table.p[i].grad >= 0)
            worst = fmax(worst, off(&part, &whole, i));
    comm_max_f64(MPI_COMM_WORLD, &worst, 1);                /* none ends before the others */
    case_close(&part, &of_part);
    case_close(&whole, &of_whole);
    grid_close(&g);
    assert_true(worst <= 1e-5);
}

/* Halves, of which the first ends where products cut; one rank, few rows and narrow ones have one stripe. */
static void stripes_are_all_rows(void **state)
{
    (void)state;
    const Tp two = { .size = 2 };
    for (int64_t n = 96; n < 5000; n += 37) {
        const Stripe a = stripe(0, 2, n), b = stripe(1, 2, n), all = stripe(0, 1, n);
        assert_true(a.at == 0 && b.at == a.n && a.n + b.n == n && a.n % STRIPE_STEP == 0 && a.n > 0 && b.n > 0);
        assert_true(all.at == 0 && all.n == n);
    }
    assert_int_equal(stripes(&two, 1024, 128), 2);
    assert_int_equal(stripes(&two, 1023, 128), 1);
    assert_int_equal(stripes(&two, 95, 1 << 20), 1);
    assert_int_equal(stripes(&two, 0, 128), 1);
    assert_int_equal(stripes(&TP_ALONE, 1024, 4096), 1);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    size = comm_size(MPI_COMM_WORLD);
    ops_use(&OPS_CPU, 1);
    const struct CMUnitTest tests[] = { cmocka_unit_test(stripes_are_all_rows), cmocka_unit_test(stripes_change_rounding_alone) };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
