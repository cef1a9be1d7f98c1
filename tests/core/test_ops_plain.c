/* Ops without a gradient, each against what ops.h says, in the reference and in the backend of the program. */
#include "core/bits.h"
#include "core/resize.h"
#include "core/siglip.h"
#include "tests/core/op_check.h"
#include "tests/core/op_values.h"

/* No member of the reference may be missing, and an overlay must leave none out. */
static void reference_is_complete(void **state)
{
    (void)state;
    ops_use(&OPS_CPU, 2);
#define COMPLETE(f)                                               \
    assert_true(OPS_REF.f && op.f == (OPS_CPU.f ? OPS_CPU.f : OPS_REF.f));
    OPS_LIST(COMPLETE)
#undef COMPLETE
    assert_string_equal(op.name, OPS_CPU.name);
    ops_use(NULL, 1);
    assert_memory_equal(&op, &OPS_REF, sizeof op);
    ops_use(&OPS_CPU, 2);
}

static const int64_t LENGTHS[] = { 0, 1, 3, 17, 33, 100003 };
enum { NLENGTHS = sizeof LENGTHS / sizeof *LENGTHS, LONGEST = 100003 };

/* Each op of n elements leaves the one behind them alone. */
static void elementwise(void **state)
{
    const Ops *o = *state;
    static float a[LONGEST + 1], b[LONGEST + 1], out[LONGEST + 1];
    for (int l = 0; l < NLENGTHS; l++) {
        int64_t n = LENGTHS[l];
        fill(a, n + 1, 1), fill(b, n + 1, 2);
        out[n] = 42;
        o->add_fwd(out, a, b, n);
        for (int64_t i = 0; i < n; i++)
            assert_true(out[i] == a[i] + b[i]);
        o->copy(out, a, n);
        assert_memory_equal(out, a, (size_t)n * sizeof *a);
        o->add_fwd(out, out, b, n);                             /* out may be a */
        o->add_fwd(b, a, b, n);                                 /* out may be b */
        assert_memory_equal(out, b, (size_t)n * sizeof *a);
        o->scale(out, n, -0.5f);
        for (int64_t i = 0; i < n; i++)
            assert_true(out[i] == -0.5f * b[i]);
        o->zero(out, n);
        for (int64_t i = 0; i < n; i++)
            assert_true(out[i] == 0);
        assert_true(out[n] == 42);
    }
}

/* What was gathered and scattered back is in its place, other rows are untouched. */
static void scatter_undoes_gather(void **state)
{
    const Ops *o = *state;
    enum { ROWS = 13, C = 17, n = 5 };
    const int32_t row[n] = { 12, 0, 7, 3, 4 };
    float x[ROWS * C], in[n * C], back[ROWS * C];
    fill(x, ROWS * C, 1);
    o->gather(in, x, row, n, C);
    o->zero(back, ROWS * C);
    o->scatter(back, in, row, n, C);
    for (int r = 0; r < ROWS; r++) {
        bool taken = r == 12 || r == 0 || r == 7 || r == 3 || r == 4;
        for (int c = 0; c < C; c++)
            assert_true(back[r * C + c] == (taken ? x[r * C + c] : 0));
    }
}

static void lists_of_codes_and_ids(void **state)
{
    const Ops *o = *state;
    const int32_t id[] = { 0, 9, 10, 19, 20, -1, -200 }, want[] = { -10, -1, 0, 9, 10, -1, -1 };
    const int32_t code[] = { 1, 2, 3, 4, 5, 6 }, row[] = { 2, 0 };         /* (2,3) */
    const uint16_t given[] = { 1, 2, 3, 4, 5, 60000, 7, 8, 9 };             /* (3,3) */
    int32_t out[7];
    o->local_ids(out, id, 7, 10);
    assert_memory_equal(out, want, sizeof out);
    memcpy(out, id, sizeof out);
    o->local_ids(out, out, 7, 10);
    assert_memory_equal(out, want, sizeof out);
    o->take_codes(out, code, row, 2, 2, 3);
    assert_memory_equal(out, ((int32_t[]){ 3, 1, 6, 4 }), 4 * sizeof *out);
    o->take_codes(out, code, NULL, 2, 2, 3);
    assert_memory_equal(out, ((int32_t[]){ 1, 2, 4, 5 }), 4 * sizeof *out);
    o->given_codes(out, given + 1, row, 2, 2, 3);
    assert_memory_equal(out, ((int32_t[]){ 8, 2, 9, 3 }), 4 * sizeof *out);
    o->given_codes(out, given, NULL, 2, 3, 3);
    assert_memory_equal(out, ((int32_t[]){ 1, 4, 2, 5, 3, 60000 }), 6 * sizeof *out);
}

/* A piece has the values that the whole tensor has there, and adds its part to the hash. */
static void draw_and_hash_know_the_whole(void **state)
{
    const Ops *o = *state;
    enum { ROWS = 401, COLS = 301, LEFT = 37, PART = ROWS * LEFT };
    static float whole[ROWS * COLS], left[PART], right[ROWS * COLS - PART];
    uint64_t all, sum[2];
    for (int kind = DRAW_NORMAL; kind <= DRAW_UNIFORM; kind++) {
        o->draw(whole, 1, ROWS * COLS, 1000, 0, kind, 0.5, 7, 9);
        o->draw(left, ROWS, LEFT, 1000, COLS, kind, 0.5, 7, 9);
        o->draw(right, ROWS, COLS - LEFT, 1000 + LEFT, COLS, kind, 0.5, 7, 9);
        for (int r = 0; r < ROWS; r++) {
            assert_memory_equal(left + r * LEFT, whole + r * COLS, LEFT * sizeof *left);
            assert_memory_equal(right + r * (COLS - LEFT), whole + r * COLS + LEFT, (COLS - LEFT) * sizeof *left);
        }
        assert_true(whole[5] == (float)(kind ? (2 * rng_uniform(7, 9, 1005) - 1) / 0.5 : 0.5 * rng_normal(7, 9, 1005)));
    }
    o->hash(&all, whole, ROWS, COLS, 1000, COLS, 9);
    assert_true(all == bits_sum(9, 1000, whole, ROWS * COLS));
    o->hash(&sum[0], left, ROWS, LEFT, 1000, COLS, 9);
    o->hash(&sum[1], right, ROWS, COLS - LEFT, 1000 + LEFT, COLS, 9);
    assert_true(sum[0] + sum[1] == all && sum[0] != all);
}

/* Channel, row and column of every value are written into the picture; 7 = 3 patches of 2 and one row left over. */
static void patches_are_channel_major(void **state)
{
    const Ops *o = *state;
    enum { I = 2, SIZE = 7, PATCH = 2, SIDE = 3, LEN = 3 * PATCH * PATCH };
    uint8_t pixels[I][SIZE][SIZE][3];
    float out[I][SIDE][SIDE][3][PATCH][PATCH];
    for (int i = 0; i < I; i++)
        for (int y = 0; y < SIZE; y++)
            for (int x = 0; x < SIZE; x++)
                for (int c = 0; c < 3; c++)
                    pixels[i][y][x][c] = (uint8_t)(100 * i + 40 * c + 5 * y + x);
    pixels[0][0][0][0] = 255;
    o->patches(&out[0][0][0][0][0][0], &pixels[0][0][0][0], 0, I, SIZE, SIZE, SIZE, PATCH, RESIZE_BICUBIC, &VISION_COLOURS[VISION_SIGLIP]);
    assert_float_equal(out[0][0][0][0][0][0], 1, 1e-6);
    assert_float_equal(out[0][0][0][0][0][1], 1 / 127.5 - 1, 1e-6);
    for (int at = 1; at < I * SIDE * SIDE * LEN; at++) {
        int i = at / (SIDE * SIDE * LEN), py = at / (SIDE * LEN) % SIDE, px = at / LEN % SIDE;
        int c = at / (PATCH * PATCH) % 3, y = at / PATCH % PATCH, x = at % PATCH;
        assert_float_equal(out[i][py][px][c][y][x], pixels[i][py * PATCH + y][px * PATCH + x][c] / 127.5 - 1, 1e-6);
    }
}

static double distance(const float *x, const float *e, int C)
{
    double d = 0;
    for (int c = 0; c < C; c++)
        d += ((double)x[c] - e[c]) * ((double)x[c] - e[c]);
    return d;
}

/* Small integers: every float sum is exact, so ties are ties, and the lowest code must win. */
static void nearest_breaks_ties_to_the_lowest(void **state)
{
    const Ops *o = *state;
    static const int shapes[][3] = { { 0, 3, 5 }, { 1, 1, 1 }, { 33, 2, 67 }, { 131, 3, 257 }, { 17, 33, 5 } };
    for (size_t t = 0; t < sizeof shapes / sizeof *shapes; t++) {
        int n = shapes[t][0], C = shapes[t][1], S = shapes[t][2];
        float *x = buffer(n * C), *e = buffer(S * C);
        int32_t *code = malloc((size_t)n * sizeof *code + 1);
        float *dist = buffer(n);
        for (int i = 0; i < n * C; i++)
            x[i] = (float)rng_below(5, 7, 1, (uint64_t)i);
        for (int i = 0; i < S * C; i++)
            e[i] = (float)rng_below(5, 7, 2, (uint64_t)i);
        o->nearest(code, dist, x, e, n, C, S, 0);
        for (int i = 0; i < n; i++) {
            int best = 0;
            for (int j = 1; j < S; j++)
                if (distance(x + i * C, e + j * C, C) < distance(x + i * C, e + best * C, C))
                    best = j;
            assert_int_equal(code[i], best);
            assert_true(dist[i] == (float)distance(x + i * C, e + best * C, C));
        }
        free(x), free(e), free(code), free(dist);
    }
}

/* Any code may be off by rounding, but not farther than float sums of C = 67 squares: 67 * 6e-8 of |x|^2 + |e|^2. */
static void nearest_is_near(void **state)
{
    const Ops *o = *state;
    enum { N = 97, C = 67, S = 521 };
    static float x[N * C], e[S * C];
    float dist[N];
    int32_t code[N], again[N];
    fill(x, N * C, 1), fill(e, S * C, 2);
    for (int c = 0; c < C; c++)
        x[5 * C + c] = e[300 * C + c], x[6 * C + c] = NAN;
    o->nearest(code, dist, x, e, N, C, S, 0);
    assert_int_equal(code[5], 300);
    assert_true(dist[5] == 0 && dist[6] == INFINITY);
    assert_in_range(code[6], 0, S - 1);                         /* no answer, but never one outside the table */
    o->nearest(again, NULL, x, e, N, C, S, 0);
    assert_memory_equal(again, code, sizeof code);
    for (int n = 0; n < N; n++)
        for (int j = 0; n != 6 && j < S; j++)
            assert_true(distance(x + n * C, e + code[n] * C, C) <= distance(x + n * C, e + j * C, C) + 1e-5 * 2 * C);
}

/* Three ranks of 4 codes each; row 0: rank 1 is nearest; 1: ranks 0 and 2 tie, the lowest code wins; 2: nobody has a number. */
static void ranks_bid_for_the_nearest(void **state)
{
    const Ops *o = *state;
    const float dist[3][3] = { { 2, 3, INFINITY }, { 1, 4, INFINITY }, { 5, 3, INFINITY } };
    const int32_t code[3][3] = { { 3, 2, 0 }, { 1, 0, 1 }, { 0, 1, 2 } };
    float best[3], most[3], bid[3][3];
    int32_t won[3];
    for (int n = 0; n < 3; n++)
        best[n] = -fminf(dist[0][n], fminf(dist[1][n], dist[2][n]));
    for (int r = 0; r < 3; r++) {
        for (int n = 0; n < 3; n++)
            bid[r][n] = -dist[r][n];
        o->nearest_bid(bid[r], best, code[r], 3, 4 * r);
    }
    for (int n = 0; n < 3; n++)
        most[n] = fmaxf(bid[0][n], fmaxf(bid[1][n], bid[2][n]));
    o->nearest_won(won, most, 3);
    assert_int_equal(won[0], 5), assert_int_equal(won[1], 2), assert_int_equal(won[2], 0);
    assert_true(bid[0][0] == -INFINITY && bid[2][1] == -9);
}

static void residual_subtracts(void **state)
{
    const Ops *o = *state;
    enum { N = 33, C = 17, S = 5 };
    float x[N * C], r[N * C], e[S * C];
    int32_t code[N];
    fill(x, N * C, 1), fill(e, S * C, 2);
    memcpy(r, x, sizeof r);
    for (int n = 0; n < N; n++)
        code[n] = n * 3 % S;
    o->residual(r, e, code, N, C, S);
    for (int i = 0; i < N * C; i++)
        assert_true(r[i] == x[i] - e[code[i / C] * C + i % C]);
    memcpy(r, x, sizeof r);
    for (int n = 0; n < N; n++)
        code[n] = n % (S + 2) - 1;                              /* -1 and S are other ranks' */
    o->residual(r, e, code, N, C, S);
    for (int i = 0; i < N * C; i++) {
        const int j = code[i / C];
        assert_true(r[i] == (j >= 0 && j < S ? x[i] - e[j * C + i % C] : 0));
    }
    o->residual(NULL, e, NULL, 0, C, S);
}

/* Integers again, so that sums in any order are equal; both outputs accumulate; codes of other ranks do not count. */
static void code_stats_count_and_add(void **state)
{
    const Ops *o = *state;
    enum { N = 509, C = 7, S = 31 };
    float x[N * C], count[S], sum[S * C], want[S * C], many[S];
    int32_t code[N];
    for (int i = 0; i < S * C; i++)
        sum[i] = want[i] = (float)i, count[i / C] = many[i / C] = 2;
    for (int i = 0; i < N * C; i++) {
        x[i] = (float)rng_below(9, 7, 1, (uint64_t)i);
        code[i / C] = (int32_t)rng_below(S + 2, 7, 2, (uint64_t)(i / C)) - 1;
        if (code[i / C] == S - 1)
            code[i / C] = S;                                                    /* the last code is never used */
        if (code[i / C] < 0 || code[i / C] == S)
            continue;
        want[code[i / C] * C + i % C] += x[i];
        many[code[i / C]] += i % C == 0;
    }
    o->code_stats(count, sum, x, code, N, C, S);
    assert_memory_equal(count, many, sizeof many);
    assert_memory_equal(sum, want, sizeof want);
    assert_true(count[S - 1] == 2);
}

/* count {1,3,0} and n {5,-,-}, half and half: {3,1.5,0}, 4.5 in all; smoothed with eps 1: 4.5 (count + 1) / 7.5.
   As part of a codebook of 7 codes whose counts make 9: 9 (count + 1) / 16. */
static void code_update_by_hand(void **state)
{
    const Ops *o = *state;
    float e[6], count[] = { 1, 3, 0 }, sum[] = { 2, 4, -6, 0, 0, 0 };
    const float n[] = { 5, 0, 0 }, m[] = { 4, 8, 0, 0, 0, 0 };
    double total = -1, chosen = -1;
    o->code_count(&total, &chosen, count, n, 3, 0.5f);
    assert_true(total == 4.5 && chosen == 5);
    o->code_update(e, sum, count, m, 3, 2, 0.5f, 1, 4.5, 3);
    const float want_count[] = { 3, 1.5f, 0 }, want_sum[] = { 3, 6, -3, 0, 0, 0 };
    assert_memory_equal(count, want_count, sizeof count);
    assert_memory_equal(sum, want_sum, sizeof sum);
    for (int i = 0; i < 6; i++)
        assert_float_equal(e[i], want_sum[i] / (4.5 * (want_count[i / 2] + 1) / 7.5), 1e-6);
    memcpy(sum, (float[]){ 2, 4, -6, 0, 0, 0 }, sizeof sum);
    o->code_update(e, sum, count, m, 3, 2, 0.5f, 1, 9, 7);
    for (int i = 0; i < 6; i++)
        assert_float_equal(e[i], want_sum[i] / (9 * (want_count[i / 2] + 1) / 16), 1e-6);
}

/* Code 0 is dead and has a candidate, 1 is dead without one, 2 lives, 3 is just alive. */
static void dead_codes_restart(void **state)
{
    const Ops *o = *state;
    float e[8], count[] = { 0.99f, 0, 7, 1 }, sum[8];
    const float candidate[] = { 0, -3, 0, 0, 5, 6, 7, 8 }, n[] = { 1, 0, 4, 0 };
    int64_t restarts = -1;
    int used = -1;
    fill(e, 8, 1), fill(sum, 8, 2);
    const float want_e[] = { 0, -3, e[2], e[3], e[4], e[5], e[6], e[7] };
    const float want_sum[] = { 0, -3, sum[2], sum[3], sum[4], sum[5], sum[6], sum[7] };
    const float want_count[] = { 1, 0, 7, 1 };
    o->code_restart(&restarts, &used, e, count, sum, candidate, n, 4, 2);
    assert_int_equal(restarts, 1);
    assert_int_equal(used, 2);
    assert_memory_equal(e, want_e, sizeof e);
    assert_memory_equal(sum, want_sum, sizeof sum);
    assert_memory_equal(count, want_count, sizeof count);
}

/* Shares 1/2, 1/4, 1/4: 1.5 bits.  A code alone tells nothing, and no counts at all are no error. */
static void entropy_by_hand(void **state)
{
    const Ops *o = *state;
    const float n[] = { 6, 0, 3, 3 }, one[] = { 0, 7 }, none[] = { 0, 0, 0 };
    assert_true(fabs(op_entropy(o, n, 4, 12) - 1.5 * log(2)) < 1e-15);     /* four double roundings of order 1 */
    assert_true(op_entropy(o, one, 2, 7) == 0 && op_entropy(o, none, 3, 0) == 0);
    assert_true(fabs(op_entropy(o, n + 2, 2, 12) - log(2)) < 1e-15);       /* a part of them adds its terms */
}

/* softmax(log p / 1) = p: u walks through the cumulative shares .1 .6 .6 1; at temperature 1/2 shares go as p^2. */
static void pick_draws_its_shares(void **state)
{
    const Ops *o = *state;
    const float z[] = { logf(0.1f) + 500, logf(0.5f) + 500, -1e30f, logf(0.4f) + 500 };
    assert_int_equal(op_pick(o, z, 4, 0, 0.99), 1);
    assert_int_equal(op_pick(o, (float[]){ 1, 2, 2 }, 3, 0, 0), 1);                  /* ties to the lowest */
    assert_int_equal(op_pick(o, z, 4, 1, 0), 0);
    assert_int_equal(op_pick(o, z, 4, 1, 0.0999), 0);
    assert_int_equal(op_pick(o, z, 4, 1, 0.1001), 1);
    assert_int_equal(op_pick(o, z, 4, 1, 0.5999), 1);
    assert_int_equal(op_pick(o, z, 4, 1, 0.6001), 3);
    assert_int_equal(op_pick(o, z, 4, 1, 1 - 0x1p-53), 3);
    assert_int_equal(op_pick(o, z, 4, 0.5f, 0.0237), 0);                             /* .01 / .42 = .02381 */
    assert_int_equal(op_pick(o, z, 4, 0.5f, 0.0239), 1);
    assert_int_equal(op_pick(o, z, 4, 0.5f, 0.6189), 1);                             /* .26 / .42 = .61905 */
    assert_int_equal(op_pick(o, z, 4, 0.5f, 0.6192), 3);
}

static int suite(const char *name, const Ops *o)
{
    void *s = (void *)(uintptr_t)o;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(elementwise, s),
        cmocka_unit_test_prestate(scatter_undoes_gather, s),
        cmocka_unit_test_prestate(lists_of_codes_and_ids, s),
        cmocka_unit_test_prestate(draw_and_hash_know_the_whole, s),
        cmocka_unit_test_prestate(patches_are_channel_major, s),
        cmocka_unit_test_prestate(nearest_breaks_ties_to_the_lowest, s),
        cmocka_unit_test_prestate(nearest_is_near, s),
        cmocka_unit_test_prestate(ranks_bid_for_the_nearest, s),
        cmocka_unit_test_prestate(residual_subtracts, s),
        cmocka_unit_test_prestate(code_stats_count_and_add, s),
        cmocka_unit_test_prestate(code_update_by_hand, s),
        cmocka_unit_test_prestate(entropy_by_hand, s),
        cmocka_unit_test_prestate(dead_codes_restart, s),
        cmocka_unit_test_prestate(pick_draws_its_shares, s),
    };
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(reference_is_complete) };
    ops_use(&OPS_CPU, 2);
    return cmocka_run_group_tests_name("table of ops", tests, NULL, NULL) + suite("ref", &OPS_REF) + suite("fast", &op);
}
