/* Products of operands that are rounded to bf16: oneDNN's tiles against the reference, in a whole model, too, and against fp32. */
#include <stdlib.h>

#include "core/arena.h"
#include "core/dnnl/bf16.h"
#include "core/ref/ref.h"
#include "tests/core/model_case.h"
#include "tests/core/op_check.h"

static const int THREADS[] = { 1, 2, 4 };
enum { NTHREADS = sizeof THREADS / sizeof *THREADS, MOST = 4 };

/* The one table over the other, on so many threads. */
static void use(const Ops *under, const Ops *bf16, int threads)
{
    ops_use(under, threads);
    ops_overlay(bf16);
}

/* Ties go to the even one of two neighbours, what is less to the nearer one; products and sums of few bits are exact. */
static void roundings(const Ops *bf16)
{
    static const float CASES[][2] = {
        { 1, 1 }, { 0x1.01p0f, 1 }, { 0x1.03p0f, 0x1.04p0f }, { 0x1.010002p0f, 0x1.02p0f }, { 0x1.02fffep0f, 0x1.02p0f },
        { -0x1.03p0f, -0x1.04p0f }, { 0x1.ffp0f, 2 }, { 0x1.fep-100f, 0x1.fep-100f }, { 0, 0 }, { INFINITY, INFINITY }, { 0x1.ffp127f, INFINITY },
    };
    use(&OPS_CPU, bf16, 1);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        float one = 1, out = NAN, x = CASES[i][0];
        op.linear_fwd(&out, &x, &(Linear){ .w = &one, .I = 1, .O = 1 }, 1);
        assert_true(out == CASES[i][1]);
        op.linear_fwd(&out, &one, &(Linear){ .w = &x, .I = 1, .O = 1 }, 1);
        assert_true(out == CASES[i][1]);
        op.linear_dx(&out, TERMS({ &x, &(Linear){ .w = &one, .I = 1, .O = 1 } }), 1, false);
        assert_true(out == CASES[i][1]);
        float dw = 0, db = 0;
        op.linear_dw(&(Linear){ .w = &dw, .b = &db, .I = 1, .O = 1 }, &x, &one, 1);
        assert_true(dw == CASES[i][1] && db == x);      /* no product: not rounded */
    }
    float one = 1, out = 0, bias = 0x1.010102p0f, nan = NAN;
    op.linear_fwd(&out, &one, &(Linear){ .w = &one, .b = &bias, .I = 1, .O = 1 }, 1);
    assert_true(out == 1 + bias);                       /* nor is a bias */
    op.linear_fwd(&out, &nan, &(Linear){ .w = &one, .I = 1, .O = 1 }, 1);
    assert_true(isnan(out));
}

static void reference_roundings(void **s) { (void)s; roundings(&OPS_REF_BF16); }
static void fast_roundings(void **s) { (void)s; roundings(&OPS_BF16); }

/* Rows, outputs, inputs: one of all, less than a step, whole steps and tiles, one more, several tiles along each, primes. */
static const int PRODUCTS[][3] = {
    { 1, 1, 1 }, { 1, 130, 67 }, { 3, 5, 7 }, { 64, 64, 64 }, { 65, 63, 129 }, { 128, 192, 192 }, { 512, 192, 192 }, { 257, 512, 256 },
    { 523, 131, 257 }, { 131, 1031, 67 }, { 1021, 97, 385 }, { 67, 515, 1031 }, { 2051, 257, 63 },
};
enum { NPRODUCTS = sizeof PRODUCTS / sizeof *PRODUCTS };

typedef struct { float *out, *dx, *more, *dw, *db; } Results;

static void products_of(Results *r, const float *x, const float *dout, const Linear *w, int N)
{
    const int64_t nx = (int64_t)N * w->I, nw = (int64_t)w->O * w->I;
    op.linear_fwd(r->out, x, w, N);
    op.linear_dx(r->dx, TERMS({ dout, w }), N, false);
    op.copy(r->more, x, nx);
    op.linear_dx(r->more, TERMS({ dout, &(Linear){ .w = w->w, .I = w->I, .O = w->O } }), N, true);
    op.fill(r->dw, nw, 0.25f), op.fill(r->db, w->O, 0.5f);
    op.linear_dw(&(Linear){ .w = r->dw, .b = r->db, .I = w->I, .O = w->O }, dout, x, N);
}

static void same_bits(const float *a, const float *b, int64_t n, const char *what, const int shape[3], int threads)
{
    if (memcmp(a, b, (size_t)n * sizeof *a))
        fail_msg("%s (%d,%d,%d) has other bits with %d threads than with one", what, shape[0], shape[1], shape[2], threads);
}

/* FAST_TOLERANCE: sums of fp32 against sums of double, of the same rounded operands.  Cut off instead of rounded they would differ by 1e-3. */
static void products(void **s)
{
    (void)s;
    for (int p = 0; p < NPRODUCTS; p++) {
        const int N = PRODUCTS[p][0], O = PRODUCTS[p][1], I = PRODUCTS[p][2];
        const int64_t nx = (int64_t)N * I, nw = (int64_t)O * I, ny = (int64_t)N * O;
        float *x = buffer(nx), *w = buffer(nw), *b = buffer(O), *dout = buffer(ny);
        Results r[NTHREADS + 1];
        fill(x, nx, 1), fill(w, nw, 2), fill(b, O, 3), fill(dout, ny, 4);
        for (int t = 0; t <= NTHREADS; t++) {
            r[t] = (Results){ buffer(ny), buffer(nx), buffer(nx), buffer(nw), buffer(O) };
            if (t < NTHREADS)
                use(&OPS_CPU, &OPS_BF16, THREADS[t]);
            else
                use(NULL, &OPS_REF_BF16, 1);
            products_of(&r[t], x, dout, &(Linear){ .w = w, .b = b, .I = I, .O = O }, N);
        }
        assert_near("bf16", "result", r[0].out, r[NTHREADS].out, ny);
        assert_near("bf16", "gradient of x", r[0].dx, r[NTHREADS].dx, nx);
        assert_near("bf16", "gradient added to x", r[0].more, r[NTHREADS].more, nx);
        assert_near("bf16", "gradient of w", r[0].dw, r[NTHREADS].dw, nw);
        assert_near("bf16", "gradient of b", r[0].db, r[NTHREADS].db, O);
        for (int t = 1; t < NTHREADS; t++) {
            same_bits(r[0].out, r[t].out, ny, "the result", PRODUCTS[p], THREADS[t]);
            same_bits(r[0].dx, r[t].dx, nx, "the gradient of x", PRODUCTS[p], THREADS[t]);
            same_bits(r[0].more, r[t].more, nx, "the gradient added to x", PRODUCTS[p], THREADS[t]);
            same_bits(r[0].dw, r[t].dw, nw, "the gradient of w", PRODUCTS[p], THREADS[t]);
            same_bits(r[0].db, r[t].db, O, "the gradient of b", PRODUCTS[p], THREADS[t]);
        }
        for (int t = 0; t <= NTHREADS; t++)
            free(r[t].out), free(r[t].dx), free(r[t].more), free(r[t].dw), free(r[t].db);
        free(x), free(w), free(b), free(dout);
    }
}

/* No rows; gradients that nobody wants; and after the first step, with another number of rows, no arena grows. */
static void edges(void **s)
{
    (void)s;
    enum { N = 70, C = 65 };
    float *x = buffer(N * C), *w = buffer(C * C), *y = buffer(N * C), *dw = buffer(C * C);
    fill(x, N * C, 1), fill(w, C * C, 2), fill(y, N * C, 3), fill(dw, C * C, 4);
    const Linear l = { .w = w, .I = C, .O = C };
    const float first = y[0], kept = dw[0];
    use(&OPS_CPU, &OPS_BF16, MOST);
    op.linear_fwd(y, x, &l, 0);
    op.linear_dx(y, TERMS({ x, &l }), 0, false);
    op.linear_dw(&(Linear){ .w = dw, .I = C, .O = C }, x, x, 0);
    op.linear_dw(&(Linear){ .I = C, .O = C }, x, x, N);
    assert_true(y[0] == first && dw[0] == kept);
    op.linear_fwd(y, x, &l, N);
    mem_freeze();
    op.linear_fwd(y, x, &l, N - 40);
    op.linear_dx(y, TERMS({ x, &l }), N - 9, false);
    bf16_open(MOST);
    mem_thaw();
    free(x), free(w), free(y), free(dw);
}

/* |a - b| / |b| */
static double apart(const float *a, const float *b, int64_t n)
{
    double error = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        error += pow((double)a[i] - b[i], 2);
        norm += pow(b[i], 2);
    }
    return sqrt(error / norm);
}

/* The loss of the small model, and its gradient in *grads, to be freed. */
static double model_by(const Ops *bf16, float **grads, int64_t *n)
{
    Model m;
    Tape t;
    BatchCase c;
    const ModelConf conf = case_conf(STAGE_INSTRUCT, "vision,projector,decoder,head");
    use(NULL, bf16, 1);
    case_batch(&c, false);
    assert_true(case_open(&m, &t, &conf, &TP_ALONE));
    case_shake(&m, 0.1f);
    const double loss = case_loss(&m, &t, &c.batch, true, NULL);
    *n = m.table.grads;
    *grads = buffer(*n);
    op.copy(*grads, m.grads, *n);
    case_close(&m, &t);
    return loss;
}

/* Each rounding errs by up to 2^-8 of an operand, in mean by 2^-9.3 of it, independently: some ten layers of a network that amplifies
   little make that some 2^-7 of the gradient.  With the same roundings only those operands differ that lie so near to a tie that a
   sum's last bits decide: few. */
static void model(void **s)
{
    (void)s;
    float *g[3];
    int64_t n = 0;
    const double want = model_by(&OPS_REF_BF16, &g[0], &n), got = model_by(&OPS_BF16, &g[1], &n), fp32 = model_by(&(Ops){ 0 }, &g[2], &n);
    const double near = apart(g[1], g[0], n), far = apart(g[0], g[2], n);
    print_message("the gradient of bf16 differs by %.1e from the reference's, by %.1e from fp32's; the loss by %.1e and %.1e\n", near, far,
                  fabs(got / want - 1), fabs(want / fp32 - 1));
    assert_true(near < far / 5);
    assert_true(far > 1e-4 && far < 0x1p-5);
    assert_true(fabs(got / want - 1) < 1e-4 && fabs(want / fp32 - 1) < 1e-2);
    for (int i = 0; i < 3; i++)
        free(g[i]);
}

int main(void)
{
    const struct CMUnitTest everywhere[] = { cmocka_unit_test(reference_roundings) };
    const struct CMUnitTest by_onednn[] = { cmocka_unit_test(fast_roundings), cmocka_unit_test(products), cmocka_unit_test(edges),
                                            cmocka_unit_test(model) };
    const int failed = cmocka_run_group_tests_name("the reference", everywhere, NULL, NULL);
    if (bf16_absent()) {
        print_message("not tested here, %s\n", bf16_absent());
        return failed;
    }
    bf16_open(MOST);
    return failed + cmocka_run_group_tests_name(bf16_by(), by_onednn, NULL, NULL);
}
