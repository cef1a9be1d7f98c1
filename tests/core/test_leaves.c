/* Sums of leaves (core/linear.h): the bits of a product do not depend on how a split dimension lies on ranks, on stripes of rows, on threads. */
#include "core/ops.h"
#include "tests/core/op_check.h"

/* Leaves of all ranks together; threads; rows, outputs, inputs of products. */
enum { ALL = 8, MOST_RANKS = 8, MOST_TERMS = 3 };
static const double REFERENCE = 2e7;            /* so many multiply-adds it does in a moment */
static const int THREADS[] = { 1, 2, 3, 5, 8 };
typedef struct { int N, O, I; } Sizes;

/* Leaves of one number, of a few in one chunk, of one and of several chunks; rows and columns beside those that tiles and panels like;
   (100,720,3208), (100,3208,720): each thread has a tile of its own; (2000,72,3208): so many rows that they are taken in two blocks. */
static const Sizes SIZES[] = {
    { 1, 8, 8 }, { 7, 24, 16 }, { 47, 40, 72 }, { 48, 104, 136 }, { 49, 384, 384 }, { 200, 384, 1024 }, { 200, 1024, 384 }, { 130, 200, 1024 },
    { 1, 328, 1000 }, { 97, 136, 4096 }, { 97, 4096, 136 }, { 100, 720, 3208 }, { 100, 3208, 720 }, { 2000, 72, 3208 }, { 2000, 3208, 72 },
};
enum { NSIZES = sizeof SIZES / sizeof *SIZES, NTHREADS = sizeof THREADS / sizeof *THREADS };

/* So large that one number of ranks and two of threads must do. */
static bool large(Sizes s) { return (double)s.N * s.O * s.I > 1e8; }
static int fewest_ranks(Sizes s) { return large(s) ? ALL : 1; }
static int next_threads(Sizes s, int t) { return large(s) ? t + NTHREADS - 1 : t + 1; }

/* Numbers of 24 bits in [-1, 1), fast: their products round. */
static float *some(int64_t n, uint32_t stream)
{
    float *x = buffer(n);
    uint32_t bits = stream;
    for (int64_t i = 0; i < n; i++) {
        bits = bits * 1664525u + 1013904223u;
        x[i] = (float)(int32_t)(bits & ~0xffu) * 0x1p-31f;
    }
    return x;
}

/* Columns [at, at + n) of x (rows,cols); NULL of NULL. */
static float *columns(const float *x, int rows, int cols, int at, int n)
{
    float *y = x ? buffer((int64_t)rows * n) : NULL;
    for (int r = 0; x && r < rows; r++)
        memcpy(y + (int64_t)r * n, x + (int64_t)r * cols + at, (size_t)n * sizeof *y);
    return y;
}

static void same(const char *what, Sizes s, int ranks, const float *got, const float *want, int64_t n)
{
    int64_t other = 0;
    for (int64_t i = 0; i < n; i++)
        other += memcmp(got + i, want + i, sizeof *got) != 0;
    if (other)
        fail_msg("%s (%d,%d,%d) in %d parts: %lld of %lld elements have other bits", what, s.N, s.O, s.I, ranks, (long long)other, (long long)n);
}

/* What tp->sum does: pairs of ranks, pairs of those, ... -> part[0]; all are freed but that. */
static float *tree(float **part, int ranks, int64_t n)
{
    for (int wide = 1; wide < ranks; wide *= 2)
        for (int r = 0; r < ranks; r += 2 * wide) {
            for (int64_t i = 0; i < n; i++)
                part[r][i] += part[r + wide][i];
            free(part[r + wide]);
        }
    return part[0];
}

/* ---- out = x w^T + b ---- */

static float *out_of(const float *x, Linear w, int N)
{
    float *out = buffer((int64_t)N * w.O);
    op.linear_fwd(out, x, &w, N);
    return out;
}

/* Split by input: the ranks' sums are joined.  Split by output: a rank has some of the columns. */
static void forward_of_ranks(const float *x, const Linear *w, const float *want, int N, int ranks)
{
    const Sizes s = { N, w->O, w->I };
    const int64_t n = (int64_t)N * w->O;
    const int Il = w->I / ranks, Ol = w->O / ranks;
    float *part[MOST_RANKS];
    for (int r = 0; r < ranks; r++) {
        Linear l = linear_biased(w, r == 0);
        l.leaves = ALL / ranks;
        if (w->split == 1) {
            float *xl = columns(x, N, w->I, r * Il, Il);
            l.w = columns(w->w, w->O, w->I, r * Il, Il);
            l.I = Il;
            part[r] = out_of(xl, l, N);
            free(xl), free(l.w);
        } else {
            l.w = w->w + (int64_t)r * Ol * w->I;
            l.b = w->b ? w->b + r * Ol : NULL;
            l.O = Ol;
            float *got = out_of(x, l, N), *mine = columns(want, N, w->O, r * Ol, Ol);
            same("forward split by output", s, ranks, got, mine, (int64_t)N * Ol);
            free(got), free(mine);
        }
    }
    if (w->split == 1) {
        float *sum = tree(part, ranks, n);
        same("forward split by input", s, ranks, sum, want, n);
        free(sum);
    }
}

/* A packed weight, whole panels of it and rows that are left, gives the same bits. */
static void forward_packed(const float *x, const Linear *w, const float *want, Sizes s)
{
    const int64_t n = (int64_t)s.O * s.I;
    float *room = buffer((int64_t)LINEAR_PANEL * s.I), *byref = buffer(n);
    Linear l = *w, ref = *w;
    l.w = buffer(n);
    memcpy(l.w, w->w, (size_t)n * sizeof *l.w);
    memcpy(ref.w = byref, w->w, (size_t)n * sizeof *byref);
    op.linear_pack(&l, room);
    OPS_REF.linear_pack(&ref, room);
    assert_true(l.packed && ref.packed);
    assert_memory_equal(l.w, byref, (size_t)n * sizeof *byref);
    for (int t = 0; t < NTHREADS; t = next_threads(s, t)) {
        ops_use(&OPS_CPU, THREADS[t]);
        float *got = out_of(x, l, s.N);
        same("forward, packed", s, THREADS[t], got, want, (int64_t)s.N * s.O);
        free(got);
    }
    for (int o = -1; o <= s.O; o++) {
        float *row = buffer(s.I), *zero = buffer(s.I);
        memset(zero, 0, (size_t)s.I * sizeof *zero);
        op.linear_rows(row, &l, &(int32_t){ o }, 1);
        assert_memory_equal(row, o < 0 || o == s.O ? zero : w->w + (int64_t)o * s.I, (size_t)s.I * sizeof *row);
        free(row), free(zero);
    }
    if ((double)s.N * (double)n < REFERENCE) {
        float *rows = buffer((int64_t)s.N * s.O), *panels = buffer((int64_t)s.N * s.O);
        OPS_REF.linear_fwd(rows, x, w, s.N);
        OPS_REF.linear_fwd(panels, x, &ref, s.N);
        same("the reference, packed", s, 1, panels, rows, (int64_t)s.N * s.O);
        free(rows), free(panels);
    }
    free(room), free(l.w), free(byref);
}

static void forward(Sizes s, int split, bool biased)
{
    const int64_t n = (int64_t)s.N * s.O;
    float *x = some((int64_t)s.N * s.I, 1), *b = biased ? some(s.O, 3) : NULL;
    const Linear w = { .w = some((int64_t)s.O * s.I, 2), .b = b, .I = s.I, .O = s.O, .split = split, .leaves = ALL };
    ops_use(&OPS_CPU, 2);
    float *want = out_of(x, w, s.N);
    for (int ranks = fewest_ranks(s); ranks <= ALL; ranks *= 2)
        forward_of_ranks(x, &w, want, s.N, ranks);
    for (int t = 0; t < NTHREADS; t = next_threads(s, t)) {
        ops_use(&OPS_CPU, THREADS[t]);
        float *got = out_of(x, w, s.N);
        same("forward, threads", s, THREADS[t], got, want, n);
        free(got);
    }
    forward_packed(x, &w, want, s);
    ops_use(&OPS_CPU, 2);
    for (int at = 48, rows; at < s.N && at <= 96; at += 48) {           /* rows by themselves: a stripe, and the last one */
        rows = s.N - at;
        float *first = out_of(x, w, at), *last = out_of(x + (int64_t)at * s.I, w, rows), *one = out_of(x + (int64_t)(s.N - 1) * s.I, w, 1);
        same("forward, first rows", s, 2, first, want, (int64_t)at * s.O);
        same("forward, last rows", s, 2, last, want + (int64_t)at * s.O, (int64_t)rows * s.O);
        same("forward, one row", s, s.N, one, want + n - s.O, s.O);
        free(first), free(last), free(one);
    }
    if ((double)n * s.I < REFERENCE) {
        float *ref = buffer(n);
        OPS_REF.linear_fwd(ref, x, &w, s.N);
        assert_near("leaves", "result", want, ref, n);
        free(ref);
    }
    free(x), free(w.w), free(b), free(want);
}

static void forwards(void **state)
{
    (void)state;
    for (int i = 0; i < NSIZES; i++) {
        forward(SIZES[i], 0, i % 2);
        forward(SIZES[i], 1, false);
        forward(SIZES[i], 1, true);
    }
}

/* ---- dx = sum of dout w ---- */

typedef struct { int N, terms; bool add; const LinearTerm *term; const float *was; } Sum;

static float *dx_of(const Sum *s)
{
    const int64_t n = (int64_t)s->N * s->term->w->I;
    float *dx = buffer(n);
    if (s->add)
        memcpy(dx, s->was, (size_t)n * sizeof *dx);
    op.linear_dx(dx, s->term, s->terms, s->N, s->add);
    return dx;
}

/* A rank's share of the terms; of one with fewer leaves than ranks, one of several ranks speaks. */
static float *dx_of_rank(const Sum *s, int r, int ranks)
{
    LinearTerm term[MOST_TERMS];
    Linear w[MOST_TERMS];
    Sum mine = { s->N, 0, s->add && r == 0, term, s->was };
    for (int t = 0; t < s->terms; t++) {
        const Linear *all = s->term[t].w;
        const int parts = all->leaves < ranks ? all->leaves : ranks, Ol = all->O / parts, at = r / (ranks / parts) * Ol;
        if (r % (ranks / parts))
            continue;
        w[mine.terms] = *all;
        w[mine.terms].O = Ol;
        w[mine.terms].w += (int64_t)at * all->I;
        w[mine.terms].leaves = all->leaves / parts;
        term[mine.terms] = (LinearTerm){ columns(s->term[t].dout, s->N, all->O, at, Ol), &w[mine.terms] };
        mine.terms++;
    }
    float *dx = dx_of(&mine);
    for (int t = 0; t < mine.terms; t++)
        free((void *)(uintptr_t)term[t].dout);
    return dx;
}

static Sizes sizes_of(const Sum *s) { return (Sizes){ s->N, s->term->w->O, s->term->w->I }; }

/* Weights that are split by input: a rank has some of the columns. */
static void dx_columns(const Sum *s, const float *want, int ranks)
{
    const int I = s->term->w->I, Il = I / ranks;
    for (int r = 0; r < ranks; r++) {
        LinearTerm term[MOST_TERMS];
        Linear w[MOST_TERMS];
        float *was = columns(s->was, s->N, I, r * Il, Il), *mine = columns(want, s->N, I, r * Il, Il);
        for (int t = 0; t < s->terms; t++) {
            w[t] = *s->term[t].w;
            w[t].w = columns(w[t].w, w[t].O, I, r * Il, Il);
            w[t].I = Il;
            w[t].leaves = ALL / ranks;
            term[t] = (LinearTerm){ s->term[t].dout, &w[t] };
        }
        float *got = dx_of(&(Sum){ s->N, s->terms, s->add, term, was });
        same("dx of weights split by input", sizes_of(s), ranks, got, mine, (int64_t)s->N * Il);
        for (int t = 0; t < s->terms; t++)
            free(w[t].w);
        free(was), free(mine), free(got);
    }
}

static void dx_rows(const Sum *s, const float *want)
{
    const int I = s->term->w->I, at = 48;
    Sum part = *s;
    LinearTerm term[MOST_TERMS];
    for (int t = 0; t < s->terms; t++)
        term[t] = (LinearTerm){ s->term[t].dout + (int64_t)at * s->term[t].w->O, s->term[t].w };
    part.N = at;
    float *first = dx_of(&part);
    part = (Sum){ s->N - at, s->terms, s->add, term, s->was + (int64_t)at * I };
    float *last = dx_of(&part);
    same("dx, first rows", sizes_of(s), 2, first, want, (int64_t)at * I);
    same("dx, last rows", sizes_of(s), 2, last, want + (int64_t)at * I, (int64_t)(s->N - at) * I);
    free(first), free(last);
}

/* Of one term or three, the second and third with as many leaves as `few`, the same depth a leaf. */
static void gradient(Sizes s, int split, int terms, int few, bool add)
{
    const int64_t n = (int64_t)s.N * s.I;
    Linear w[MOST_TERMS];
    LinearTerm term[MOST_TERMS];
    for (int t = 0; t < terms; t++) {
        const int O = t ? s.O / ALL * few : s.O;
        w[t] = (Linear){ .w = some((int64_t)O * s.I, (uint32_t)(1 + t)), .I = s.I, .O = O, .split = split, .leaves = t ? few : ALL };
        term[t] = (LinearTerm){ some((int64_t)s.N * O, (uint32_t)(4 + t)), &w[t] };
    }
    float *was = some(n, 8);
    const Sum sum = { s.N, terms, add, term, was };
    ops_use(&OPS_CPU, 2);
    float *want = dx_of(&sum);
    for (int ranks = fewest_ranks(s); ranks <= ALL; ranks *= 2) {
        float *part[MOST_RANKS];
        if (split == 1) {
            dx_columns(&sum, want, ranks);
            continue;
        }
        for (int r = 0; r < ranks; r++)
            part[r] = dx_of_rank(&sum, r, ranks);
        same("dx of weights split by output", s, ranks, tree(part, ranks, n), want, n);
        free(part[0]);
    }
    if (s.N > 48)
        dx_rows(&sum, want);
    for (int t = 0; t < NTHREADS; t = next_threads(s, t)) {
        ops_use(&OPS_CPU, THREADS[t]);
        float *got = dx_of(&sum);
        same("dx, threads", s, THREADS[t], got, want, n);
        free(got);
    }
    if ((double)n * s.O < REFERENCE) {
        ops_use(NULL, 1);
        float *ref = dx_of(&sum);
        assert_near("leaves", "gradient of x", want, ref, n);
        free(ref);
    }
    for (int t = 0; t < terms; t++)
        free(w[t].w), free((void *)(uintptr_t)term[t].dout);
    free(was), free(want);
}

static void gradients(void **state)
{
    (void)state;
    for (int i = 0; i < NSIZES; i++) {
        gradient(SIZES[i], 0, 1, ALL, i % 2);
        gradient(SIZES[i], 0, 3, ALL, i % 2 == 0);
        gradient(SIZES[i], 0, 3, 2, i % 2);
        gradient(SIZES[i], 1, 1 + i % 3, ALL, i % 2);
    }
}

/* ---- dw += dout^T x ---- */

static float *dw_of(const float *dout, const float *x, Sizes s, int split, int leaves)
{
    Linear dw = { .w = buffer((int64_t)s.O * s.I), .I = s.I, .O = s.O, .split = split, .leaves = leaves };
    for (int64_t i = 0; i < (int64_t)s.O * s.I; i++)
        dw.w[i] = 0.25f;
    op.linear_dw(&dw, dout, x, s.N);
    return dw.w;
}

static void weights_of_ranks(const float *dout, const float *x, const float *want, Sizes s, int ranks)
{
    const Sizes byout = { s.N, s.O / ranks, s.I }, byin = { s.N, s.O, s.I / ranks };
    for (int r = 0; r < ranks; r++) {
        float *d = columns(dout, s.N, s.O, r * byout.O, byout.O), *xl = columns(x, s.N, s.I, r * byin.I, byin.I);
        float *rows = dw_of(d, x, byout, 0, ALL / ranks), *cols = dw_of(dout, xl, byin, 1, ALL / ranks), *mine = columns(want, s.O, s.I, r * byin.I, byin.I);
        same("dw split by output", s, ranks, rows, want + (int64_t)r * byout.O * s.I, (int64_t)byout.O * s.I);
        same("dw split by input", s, ranks, cols, mine, (int64_t)s.O * byin.I);
        free(d), free(xl), free(rows), free(cols), free(mine);
    }
}

static void weights(void **state)
{
    (void)state;
    for (int i = 0; i < NSIZES; i++) {
        const Sizes s = SIZES[i];
        const int64_t n = (int64_t)s.O * s.I;
        float *dout = some((int64_t)s.N * s.O, 1), *x = some((int64_t)s.N * s.I, 2);
        ops_use(&OPS_CPU, 2);
        float *want = dw_of(dout, x, s, 0, ALL);
        for (int ranks = fewest_ranks(s); ranks <= ALL; ranks *= 2)
            weights_of_ranks(dout, x, want, s, ranks);
        for (int t = 0; t < NTHREADS; t = next_threads(s, t)) {
            ops_use(&OPS_CPU, THREADS[t]);
            float *got = dw_of(dout, x, s, 0, ALL);
            same("dw, threads", s, THREADS[t], got, want, n);
            free(got);
        }
        if ((double)n * s.N < REFERENCE) {
            ops_use(NULL, 1);
            float *ref = dw_of(dout, x, s, 0, ALL);
            assert_near("leaves", "gradient of w", want, ref, n);
            free(ref);
        }
        free(dout), free(x), free(want);
    }
}

/* Without leaves several terms are what one after the other is, to the last bit. */
static void terms_in_turn(void **state)
{
    (void)state;
    enum { N = 200, O = 136, I = 96 };
    const Linear w[2] = { { .w = some(O * I, 1), .I = I, .O = O }, { .w = some(O * I, 2), .I = I, .O = O } };
    float *dout[2] = { some(N * O, 3), some(N * O, 4) }, *once = buffer(N * I), *twice = buffer(N * I);
    for (int cpu = 0; cpu < 2; cpu++) {
        ops_use(cpu ? &OPS_CPU : NULL, 2);
        op.linear_dx(once, TERMS({ dout[0], &w[0] }, { dout[1], &w[1] }), N, false);
        op.linear_dx(twice, TERMS({ dout[0], &w[0] }), N, false);
        op.linear_dx(twice, TERMS({ dout[1], &w[1] }), N, true);
        same("two terms", (Sizes){ N, O, I }, 2, once, twice, N * I);
    }
    free(w[0].w), free(w[1].w), free(dout[0]), free(dout[1]), free(once), free(twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(forwards), cmocka_unit_test(gradients), cmocka_unit_test(weights), cmocka_unit_test(terms_in_turn) };
    return cmocka_run_group_tests_name("bits of products in leaves", tests, NULL, NULL);
}
