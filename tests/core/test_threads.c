/* Equal bits for any number of threads: every op of core/cpu on shapes that are odd, large enough for threads to share, and cut. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/cpu/cpu.h"
#include "core/meanwhile.h"
#include "core/resize.h"
#include "core/rope.h"
#include "core/siglip.h"
#include "tests/core/op_check.h"
#include "tests/core/op_values.h"

/* Rows, width, other width, heads and head dim; all are odd or primes, and N * C is more than PARALLEL. */
enum { N = 523, C = 131, O = 257, H = 3, D = 46, Q = 5, SEQUENCES = 3, BIG = N * 512, RESULTS = 6 };

static float   *x[4], *y[RESULTS];               /* inputs, which nobody writes; results, written anew each time */
static int32_t  row[N];                          /* 0 .. 96, so that they repeat */
static uint8_t *pixels;
static double   sum;

static const int32_t START[SEQUENCES + 1] = { 0, 200, 201, N };

static void linear(void)
{
    const Linear w = { .w = x[1], .b = x[2], .I = C, .O = O }, tall = { .w = x[1], .b = x[2], .I = C, .O = N };
    Linear packed = { .w = y[4] + N, .I = C, .O = O, .leaves = 1 };
    op.copy(packed.w, x[1], O * C), op.linear_pack(&packed, y[2]), op.linear_fwd(y[2], x[0], &packed, 1), op.linear_fwd(y[3], x[0], &packed, N / 2);
    op.linear_fwd(y[0], x[0], &w, N);
    op.linear_dx(y[1], TERMS({ x[3], &w }), N, false), op.linear_dx(y[5], TERMS({ x[3], &w }), N, true);
    op.linear_dw(&(Linear){ .w = y[2], .b = y[3], .I = C, .O = O }, x[3], x[0], N), op.linear_fwd(y[4], x[0], &tall, 1);
}

static void product(void)
{
    for (int t = 0; t < 4; t++)                 /* (N,O) of 100 sums each, rows of c O + 5 apart */
        op.product(y[t], O + 5, x[0], t & 1 ? N : 100, t & 1, x[1], t & 2 ? 100 : O, t & 2, N, O, 100, 0.7f, t == 3 ? 0 : 0.3f);
}

static void gram(void)
{
    op.gram(y[0], x[0], false, D * 11, C);
    op.gram(y[1], x[1], true, D * 11, C);
    op.gram(y[2], x[2], false, C, O);
}

static void norms(void)
{
    op.rmsnorm_fwd(y[0], y[1], x[0], x[1], N, C, 1e-6f);
    op.rmsnorm_bwd(y[2], y[3], x[2], x[0], y[1], x[1], N, C, 0, false);
    op.rmsnorm_dw(y[3] + 3 * C, x[2], x[0], y[1], N / 3, 3, C, 3);
    op.layernorm_fwd(y[4], y[5], y[1] + N, x[0], x[1], x[2], N, C, 1e-6f);
    op.layernorm_bwd(y[5] + N, y[3] + C, y[3] + 2 * C, x[2], x[0], y[5], y[1] + N, x[1], N, C, 0, false);
}

static void norms_of_sums(void)
{
    op.add_rmsnorm_fwd(y[0], y[1], y[2], x[0], x[1], x[2], N, C, 1e-6f);
    op.rmsnorm_bwd(y[5], y[2] + N, x[2], y[0], y[2], x[1], N, C, 0, true);
    op.add_layernorm_fwd(y[3], y[4], y[2] + 2 * N, y[2] + 3 * N, x[0], x[1], x[2], x[3], N, C, 1e-6f);
    op.layernorm_bwd(y[5], y[2] + 4 * N, y[2] + 5 * N, x[2], y[3], y[2] + 2 * N, y[2] + 3 * N, x[1], N, C, 0, true);
}

static void l2norm(void)
{
    op.l2norm_fwd(y[0], y[1], x[0], N, C, 1e-6f);
    op.l2norm_bwd(y[2], x[2], y[0], y[1], N, C, 1e-6f);
}

static void elementwise(void)
{
    for (int kind = GELU_TANH; kind <= GELU_QUICK; kind++) {
        op.gelu_fwd(y[0] + kind * N * C, x[0], N * C, kind);
        op.gelu_bwd(y[1] + kind * N * C, y[2], x[1], x[0], N * C, kind);
    }
    op.swiglu_fwd(y[2], x[0], x[1], N * C);
    op.swiglu_bwd(y[3], y[4], y[5], x[2], x[0], x[1], N * C);
    op.add_fwd(y[5] + N * C, y[5], x[1], N * C);
    op.scale(y[5], N * C, 0.37f);
    op.blend(y[5], x[2], N * C, 0.7f, 1.3f);
}

static void copies(void)
{
    op.fill(y[0], N * C, 0.7f);
    op.copy(y[1], x[0], N * C);
    op.zero(y[2], N * C);
    op.gather(y[3], x[0], row, N, C);
    op.scatter(y[4], x[0], row, N, C);          /* rows repeat: the last of them */
    assert_memory_equal(y[4] + row[N - 1] * C, x[0] + (N - 1) * C, C * sizeof(float));
    op.to_bf16((uint16_t *)(void *)y[5], x[0], N * C);
    op.from_bf16(y[2], (const uint16_t *)(void *)y[5], N * C);
}

static void rows(void)
{
    double freq[D / 2];
    op.add_rows_fwd(y[0], x[0], row, N, C);
    op.add_rows_bwd(y[1], x[1], row, N, C);
    op.embed_fwd(y[2], x[0], row, N, C, 90);
    op.embed_bwd(y[3], x[1], row, N, C, 90);
    op.scatter_add(y[4], x[2], row, N, C);
    rope_freq(freq, D, 1e4, NULL);
    op.rope(y[5], row, N, H, D, freq, 1);
}

static void attention(void)
{
    for (int mask = FULL; mask <= CAUSAL; mask++) {
        float *att = y[0] + mask * N * H * D, *lse = y[1] + mask * N * H;
        const int heads = mask ? 4 : H;                 /* in two passes: of one group, of four */
        op.attention_fwd(att, lse, x[0], x[1], x[2], SEQUENCES, START, START, heads, 1, D, mask);
        op.attention_bwd(y[2], y[3], y[4], x[3], att, lse, x[0], x[1], x[2], SEQUENCES, START, START, heads, 1, D, mask, mask ? 4 : 0);
    }
}

/* So many sequences that each is one thread's in the backward; then one query, whose heads are shared. */
static void many_heads(void)
{
    enum { SHORT = 13, MANY = N / SHORT };
    int32_t start[MANY + 1];
    const int32_t one[2] = { 0, 1 }, keys[2] = { 0, N };
    for (int b = 0; b <= MANY; b++)
        start[b] = b * SHORT;
    op.attention_fwd(y[0], y[1], x[0], x[1], x[2], MANY, start, start, H, 1, D, CAUSAL);
    op.attention_bwd(y[2], y[3], y[4], x[3], y[0], y[1], x[0], x[1], x[2], MANY, start, start, H, 1, D, CAUSAL, 0);
    op.attention_fwd(y[5], y[5] + 11 * D, x[0], x[1], x[2], 1, one, keys, 11, 1, D, CAUSAL);
}

static void depth(void)
{
    enum { ROWS = 77 };
    op.depth_attention_fwd(y[0], y[1], x[0], x[1], x[2], Q, ROWS, H, D);
    op.depth_attention_bwd(y[2], y[3], y[4], x[3], y[1], x[0], x[1], x[2], Q, ROWS, H, D);
}

static void losses(void)
{
    op.xent_max(y[0], x[0], N, O);
    op.xent_sum(y[1], y[2], x[0], y[0], row, N, O, 3, 0);
    op.copy(y[3], x[0], N * O);
    op.xent_bwd(y[3], y[0], y[1], row, N, O, 3, 0.1f);
    sum += op_xent_loss(&op, y[0], y[1], y[2], N);
    sum += op_mse(&op, y[4], x[1], x[2], N, C, 0.3f);
}

static void codes(void)
{
    int32_t *code = (int32_t *)(void *)y[0];
    op.nearest(code, y[1], x[0], x[1], N, C, O, 0);
    op.copy(y[2], x[0], N * C);
    op.residual(y[2], x[1], code, N, C, O);
    op.code_stats(y[3], y[4], x[0], code, N, C, O);
    for (int i = 0; i < 2 * PARALLEL; i++)          /* so many that threads share the counting */
        ((int32_t *)(void *)y[2])[i] = i % 301;
    op.code_stats(y[3] + O, y[4], x[0], (const int32_t *)(void *)y[2], 2 * PARALLEL, 1, O);
    op.nearest_m((int32_t *)(void *)y[5], y[5] + 8 * O, x[1], O, C, 7);
}

static void noise(void)
{
    static uint64_t stream[N];
    static int64_t key[N];
    static double kept[N];
    for (int n = 0; n < N; n++)
        stream[n] = (uint64_t)n % 7, key[n] = n, kept[n] = n / (double)N;
    op.noise(y[0], stream, key, N, C, 11);
    op.noise_mix(y[1], x[0], x[1], row, kept, N, C);
}

static void pictures(void)
{
    enum { SIZE = 96, PICTURES = 5 };
    op.patches(y[0], pixels, 0, PICTURES, SIZE, SIZE, SIZE, 12, RESIZE_BICUBIC, &VISION_COLOURS[VISION_SIGLIP]);
    op.patches(y[1], pixels, 1, 2 * PICTURES, SIZE, 160, 80, 16, RESIZE_BILINEAR, &VISION_COLOURS[VISION_SIGLIP]);
    op.area_mean(y[2], x[0], 1, 7, 2, 6, C, C + 3, 2);
}

static void state(void)
{
    uint64_t bits;
    op.draw(y[0], N, C, 5, C + 3, DRAW_NORMAL, 0.02, 1, 2);
    op.draw(y[1], N, C, 5, C, DRAW_UNIFORM, 3, 1, 2);
    for (int k = 0; k < 2; k++)
        op.hash(&bits, x[0], N, C, 5, C + 3 * k, 2), memcpy(y[2 + k], &bits, sizeof bits);
}

static void optimizer(void)
{
    sum += op_sumsq(&op, x[0], N * C);
    for (int split = 0; split < 2; split++)
        op.sumsq_blocks((double *)(void *)(y[0] + split * (N * C / 2)), x[0], N * C, 256, 77, split);
    op.copy(y[4], x[1], N * C), op.copy(y[5], x[2], N * C);
    op.sum_tree(y[4], (float *[]){ y[5], y[4] }, (Addition[]){ { 1, 0 }, { 0, 1 } }, 2, N * C);
    int64_t *const fixed = (int64_t *)(void *)(y[4] + N * C);
    op.fixed_add(fixed, NULL, x[1], N * C / 2, 1), op.fixed_add(fixed, fixed, x[2], N * C / 2, 1);
    op.fixed_join(fixed, fixed, fixed, N * C / 2), op.fixed_round(y[0] + N * C, fixed, N * C / 2);
    op.adamw(y[1], y[2], y[3], x[1], N * C, 1e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, 3, 0.5f);
}

#define MEMBER(name) offsetof(Ops, name)
static const struct { void (*run)(void); size_t member[10]; } CASES[] = {
    { linear,      { MEMBER(linear_fwd), MEMBER(linear_dx), MEMBER(linear_dw), MEMBER(linear_pack) } },
    { product,     { MEMBER(product) } },
    { gram,        { MEMBER(gram) } },
    { norms,       { MEMBER(rmsnorm_fwd), MEMBER(rmsnorm_bwd), MEMBER(rmsnorm_dw), MEMBER(layernorm_fwd), MEMBER(layernorm_bwd) } },
    { norms_of_sums, { MEMBER(add_rmsnorm_fwd), MEMBER(add_layernorm_fwd) } },
    { l2norm,      { MEMBER(l2norm_fwd), MEMBER(l2norm_bwd) } },
    { elementwise, { MEMBER(gelu_fwd), MEMBER(gelu_bwd), MEMBER(swiglu_fwd), MEMBER(swiglu_bwd), MEMBER(add_fwd), MEMBER(scale), MEMBER(blend) } },
    { copies,      { MEMBER(fill), MEMBER(copy), MEMBER(zero), MEMBER(gather), MEMBER(scatter), MEMBER(to_bf16), MEMBER(from_bf16) } },
    { rows,        { MEMBER(add_rows_fwd), MEMBER(add_rows_bwd), MEMBER(embed_fwd), MEMBER(embed_bwd), MEMBER(scatter_add), MEMBER(rope) } },
    { attention,   { MEMBER(attention_fwd), MEMBER(attention_bwd) } },
    { many_heads,  { MEMBER(attention_fwd), MEMBER(attention_bwd) } },
    { depth,       { MEMBER(depth_attention_fwd), MEMBER(depth_attention_bwd) } },
    { losses,      { MEMBER(xent_max), MEMBER(xent_sum), MEMBER(xent_bwd), MEMBER(xent_loss), MEMBER(mse) } },
    { codes,       { MEMBER(nearest), MEMBER(residual), MEMBER(code_stats), MEMBER(nearest_m) } },
    { noise,       { MEMBER(noise), MEMBER(noise_mix) } },
    { pictures,    { MEMBER(patches), MEMBER(area_mean) } },
    { state,       { MEMBER(draw), MEMBER(hash) } },
    { optimizer,   { MEMBER(sumsq), MEMBER(sumsq_blocks), MEMBER(sum_tree), MEMBER(fixed_add), MEMBER(fixed_join), MEMBER(fixed_round), MEMBER(adamw) } },
};
static const int THREADS[] = { 1, 2, 3, 5, 8 };
enum { NCASES = sizeof CASES / sizeof *CASES, NTHREADS = sizeof THREADS / sizeof *THREADS };

/* An op that core/cpu gets is in the table above. */
static void none_is_missing(void **state)
{
    (void)state;
    bool there[sizeof(Ops)] = { false };
    for (int i = 0; i < NCASES; i++)
        for (int k = 0; k < 10 && CASES[i].member[k]; k++)
            there[CASES[i].member[k]] = true;
#define TESTED(f)                            \
    if (OPS_CPU.f && !there[MEMBER(f)])      \
        fail_msg("%s is not tested with several numbers of threads", #f);
    OPS_LIST(TESTED)
#undef TESTED
}

static void every_op(void **state)
{
    (void)state;
    float *first[RESULTS];
    for (int k = 0; k < RESULTS; k++)
        first[k] = buffer(BIG);
    for (int i = 0; i < NCASES; i++) {
        double first_sum = 0;
        for (int t = 0; t < NTHREADS; t++) {
            ops_use(&OPS_CPU, THREADS[t]);
            sum = 0;
            for (int k = 0; k < RESULTS; k++)
                fill(y[k], BIG / 8, (uint64_t)(20 + k)), memset(y[k] + BIG / 8, 0, (BIG - BIG / 8) * sizeof *y[k]);
            CASES[i].run();
            for (int k = 0; k < RESULTS; k++)
                if (t == 0)
                    memcpy(first[k], y[k], BIG * sizeof *y[k]);
                else if (memcmp(first[k], y[k], BIG * sizeof *y[k]))
                    fail_msg("case %d: result %d of %d threads has other bits than that of one", i, k, THREADS[t]);
            if (t == 0)
                first_sum = sum;
            assert_memory_equal(&sum, &first_sum, sizeof sum);
        }
    }
    for (int k = 0; k < RESULTS; k++)
        free(first[k]);
}

/* Shapes of products: small ones, which stay whole, and such as are cut along rows, columns, both, with what is left over. */
static const int PRODUCTS[][3] = {
    { 1, 1000, 700 }, { 2, 1000, 2100 }, { 3, 5, 7 }, { 17, 4099, 131 }, { 64, 384, 384 }, { 129, 130, 131 }, { 131, 1031, 67 },
    { 509, 192, 193 }, { 523, 769, 192 }, { 1021, 97, 385 }, { 1024, 384, 384 }, { 1031, 1033, 129 }, { 2051, 257, 255 },
    { 4099, 3, 2000 }, { 601, 2053, 3 }, { 1537, 1543, 1 }, { 131, 1501, 1450 },
};
enum { NPRODUCTS = sizeof PRODUCTS / sizeof *PRODUCTS };

/* Forward, both gradients; and each is right, not only equal: a tile that is missing or done twice would be equal, too. */
static void products(void **state)
{
    (void)state;
    for (int p = 0; p < NPRODUCTS; p++) {
        const int n = PRODUCTS[p][0], o = PRODUCTS[p][1], i = PRODUCTS[p][2];
        float *in = buffer((int64_t)n * i), *w = buffer((int64_t)o * i), *dout = buffer((int64_t)n * o), *out[2], *dx[2], *dw[2];
        fill(in, (int64_t)n * i, 1), fill(w, (int64_t)o * i, 2), fill(dout, (int64_t)n * o, 3);
        for (int t = 0; t <= NTHREADS; t++) {
            const int k = t > 0;
            if (t < 2)
                out[k] = buffer((int64_t)n * o), dx[k] = buffer((int64_t)n * i), dw[k] = buffer((int64_t)o * i);
            ops_use(t < NTHREADS ? &OPS_CPU : NULL, t < NTHREADS ? THREADS[t] : 2);
            op.fill(dw[k], (int64_t)o * i, 0.25f);
            if (t == NTHREADS && (double)n * o * i > 3e7)       /* the reference would take too long */
                continue;
            const Linear l = { .w = w, .I = i, .O = o };
            op.linear_fwd(out[k], in, &l, n);
            op.linear_dx(dx[k], TERMS({ dout, &l }), n, false);
            op.linear_dw(&(Linear){ .w = dw[k], .I = i, .O = o }, dout, in, n);
            if (t == NTHREADS) {
                assert_near("product", "result", out[0], out[1], (int64_t)n * o);
                assert_near("product", "gradient of x", dx[0], dx[1], (int64_t)n * i);
                assert_near("product", "gradient of w", dw[0], dw[1], (int64_t)o * i);
            } else if (k && (memcmp(out[0], out[1], (size_t)n * o * sizeof **out) || memcmp(dx[0], dx[1], (size_t)n * i * sizeof **dx) ||
                             memcmp(dw[0], dw[1], (size_t)o * i * sizeof **dw))) {
                fail_msg("the product (%d,%d,%d) has other bits with %d threads than with one", n, o, i, THREADS[t]);
            }
        }
        for (int k = 0; k < 2; k++)
            free(out[k]), free(dx[k]), free(dw[k]);
        free(in), free(w), free(dout);
    }
}

/* One row of blocks, several, the last one shorter: each is right; of several one half is the other's copy. */
static void grams(void **state)
{
    (void)state;
    static const int SHAPES[][2] = { { 1, 3 }, { 33, 5 }, { 128, 40 }, { 257, 31 }, { 400, 64 }, { 1031, 17 } };
    ops_use(&OPS_CPU, 2);
    for (size_t i = 0; i < 2 * sizeof SHAPES / sizeof *SHAPES; i++) {
        const int M = SHAPES[i / 2][0], K = SHAPES[i / 2][1];
        float *a = buffer((int64_t)M * K), *got = buffer((int64_t)M * M), *want = buffer((int64_t)M * M);
        fill(a, (int64_t)M * K, 1);
        op.fill(got, (int64_t)M * M, 0.25f);
        op.gram(got, a, i % 2, M, K);
        OPS_REF.gram(want, a, i % 2, M, K);
        assert_near("gram", "result", got, want, (int64_t)M * M);
        for (int m = 0; m < M && M > 255; m++)
            for (int n = 0; n < m; n++)
                assert_true(got[(int64_t)m * M + n] == got[(int64_t)n * M + m]);
        free(a), free(got), free(want);
    }
}

/* Ranges so long that they are written past the caches (cpu_pass.c): all of them, and nothing beside them, wherever they begin. */
static void long_ranges(void **state)
{
    (void)state;
    enum { LONG = (1 << 23) + 37, MORE = 64 };
    float *a = malloc((LONG + MORE) * sizeof *a), *b = malloc((LONG + MORE) * sizeof *b);
    uint16_t *h = malloc((LONG + MORE) * sizeof *h);
    for (int at = 1; at < 8; at += 3) {
        ops_use(&OPS_CPU, at);
        for (int i = 0; i < LONG + MORE; i++)
            a[i] = (float)(i % 251), b[i] = -1;
        op.copy(b + at, a + 2, LONG);
        op.to_bf16(h + at, a + 2, LONG);
        for (int i = 0; i < LONG; i++)
            if (b[at + i] != a[2 + i])
                fail_msg("copy: %d of %d floats", i, LONG);
        assert_true(b[at - 1] == -1 && b[at + LONG] == -1);
        op.fill(a + at, LONG, 7);
        op.from_bf16(b + 3, h + at, LONG);
        for (int i = 0; i < LONG; i++)
            if (a[at + i] != 7 || b[3 + i] != (float)((i + 2) % 251))
                fail_msg("fill, bf16: %d of %d floats", i, LONG);
        assert_true(a[at - 1] == (float)(at - 1) && a[at + LONG] == (float)((at + LONG) % 251));
        op.zero(a + at, LONG);
        for (int i = 0; i < LONG; i++)
            if (a[at + i] != 0)
                fail_msg("zero: %d of %d floats", i, LONG);
        assert_true(a[at - 1] == (float)(at - 1) && a[at + LONG] == (float)((at + LONG) % 251));
    }
    free(a), free(b), free(h);
}

static pthread_t caller;
static atomic_int asked, others;

static void ask(void)
{
    *(pthread_equal(pthread_self(), caller) ? &asked : &others) += 1;
}

/* Between its tiles an op asks what is to be done meanwhile: the thread that called it, and no other, however many share the tiles. */
static void meanwhile_is_asked_for(void **state)
{
    (void)state;
    enum { M = 769, W = 640, LONG = 600, HEADS = 4, DIM = 32 };       /* tiles of sgemm, panels, blocks of attention: several each */
    void (*const before)(void) = meanwhile;
    const int32_t start[2] = { 0, LONG };
    caller = pthread_self();
    for (int t = 0; t < NTHREADS; t++) {
        int seen[4];
        ops_use(&OPS_CPU, THREADS[t]);
        meanwhile = ask, asked = 0;
        op.product(y[0], 300, x[0], M, true, x[1], 300, false, M, 300, 100, 1, 1);
        seen[0] = asked;
        op.product(y[0], 64, x[0], 128, false, x[1], 64, false, W, 64, 128, 1, 0);
        seen[1] = asked;
        op.attention_fwd(y[0], y[1], x[0], x[1], x[2], 1, start, start, HEADS, HEADS, DIM, CAUSAL);
        seen[2] = asked;
        op.attention_bwd(y[2], y[3], y[4], x[3], y[0], y[1], x[0], x[1], x[2], 1, start, start, HEADS, HEADS, DIM, CAUSAL, 0);
        seen[3] = asked;
        meanwhile = before;
        for (int k = 0; k < 4 && THREADS[t] == 1; k++)                 /* of many, others may have taken all tiles */
            assert_true(seen[k] > (k ? seen[k - 1] : 0));
    }
    assert_int_equal(others, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(none_is_missing), cmocka_unit_test(every_op), cmocka_unit_test(products),
                                        cmocka_unit_test(grams), cmocka_unit_test(long_ranges),
                                        cmocka_unit_test(meanwhile_is_asked_for) };
    for (int k = 0; k < 4; k++)
        fill(x[k] = buffer(BIG), BIG, (uint64_t)k);
    for (int k = 0; k < RESULTS; k++)
        y[k] = buffer(BIG);
    for (int n = 0; n < N; n++)
        row[n] = n * 37 % 97;
    pixels = malloc(5 * 96 * 96 * 3);
    for (int i = 0; i < 5 * 96 * 96 * 3; i++)
        pixels[i] = (uint8_t)(i * 89 % 251);
    const int failed = cmocka_run_group_tests_name("equal bits for any number of threads", tests, NULL, NULL);
    for (int k = 0; k < 4; k++)
        free(x[k]);
    for (int k = 0; k < RESULTS; k++)
        free(y[k]);
    free(pixels);
    return failed;
}
