/* test_rqhead.c -- the visual head, tied to the codebooks or not, targets soft or hard: slopes, formulas, two ranks */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/ops.h"
#include "core/rng.h"
#include "core/rqhead.h"

enum { C = 10, E = 8, H = 2, L = 2, Q = 3, S = 12, Cv = 6, M = 7, NEAR = 8 };

typedef struct { bool tied, shared; float soft; } Kind;

typedef struct {
    Tp        *tp;
    Params     table;
    Codes      codes;
    RqHead     w, dw;
    float     *weights, *grads;
    RqHeadTape t;
    RqHeadSoft soft;
    Arena      arena;
    float      g[M * C], dg[M * C];
    int32_t    code[Q * M];
} Head;

static void lay_head(Head *h)
{
    h->weights = TAKE(&h->arena, float, h->table.weights);
    h->grads   = TAKE(&h->arena, float, h->table.grads);
    rqhead_soft(&h->soft, &h->arena, &h->w.d, h->tp);
    rqhead_tape(&h->t, &h->arena, &h->w.d, M, h->tp);
}

static Head *open_head(Kind kind, Tp *tp)
{
    Head *h = calloc(1, sizeof *h);
    h->tp = tp;
    h->arena.name = "test";
    h->codes = (Codes){ .part = "codes", .Q = Q, .S = S, .Cv = Cv, .shared = kind.shared };
    h->w.d = (RqHeadDims){ .C = C, .E = E, .H = H, .L = L, .Q = Q, .S = S, .Cv = Cv, .eps = 1e-6f, .tied = kind.tied,
                           .soft = kind.soft };
    h->w.part = "head";
    h->dw = h->w;
    Binder b = binder_declare(&h->table, tp);
    codes_params(&h->codes, &b);
    rqhead_params(&h->w, &b);
    assert_true(params_seal(&h->table, "head"));
    lay_head(h);
    arena_alloc(&h->arena);
    lay_head(h);
    b = binder_weights(&h->table, h->weights);
    codes_params(&h->codes, &b);
    rqhead_params(&h->w, &b);
    b = binder_grads(&h->table, h->grads);
    Codes frozen = h->codes;
    codes_params(&frozen, &b);
    rqhead_params(&h->dw, &b);
    for (int i = 0; i < h->table.n; i++)
        params_init(&h->table, i, h->weights, 3);
    for (int i = 0; i < M * C; i++)
        h->g[i] = (float)rng_normal(4, 1, (uint64_t)i);
    for (int i = 0; i < Q * M; i++)
        h->code[i] = (int32_t)rng_below(S, 4, 2, (uint64_t)i);
    return h;
}

static void close_head(Head *h)
{
    arena_free(&h->arena);
    params_free(&h->table);
    free(h);
}

/* Weights of the head away from zeros and ones, so that no gradient vanishes by symmetry. */
static void shake(Head *h)
{
    for (int i = 0; i < h->table.n; i++) {
        const Param *p = &h->table.p[i];
        for (int64_t e = 0; p->grad >= 0 && e < p->count; e++)
            h->weights[p->offset + e] += 0.2f * (float)rng_normal(9, rng_stream(p->name), (uint64_t)e);
    }
}

/* The mean loss; `learn`: soft targets where they are asked for, and gradients are added. */
static double loss_of(Head *h, bool learn)
{
    double loss[Q] = { 0 };
    rqhead_forward(loss, learn ? &h->dw : NULL, &h->t, &h->soft, &h->w, &h->codes, h->g, h->code, M, 1.f / (Q * M), h->tp);
    return (loss[0] + loss[1] + loss[2]) / (Q * M);
}

static double learn(Head *h)
{
    op.zero(h->grads, h->table.grads);
    const double loss = loss_of(h, true);
    rqhead_backward(h->dg, &h->dw, &h->t, &h->w, h->g, M, h->tp);
    return loss;
}

static const Kind KINDS[] = {
    { false, false, 0 }, { true, false, 0 }, { false, false, 0.8f }, { true, false, 0.8f },
    { false, true, 0 },  { true, true, 0 },  { false, true, 0.8f },  { true, true, 0.8f },
};
enum { NKINDS = sizeof KINDS / sizeof *KINDS };

/*
 * The difference of the loss along a direction, the gradient with some noise, against the gradient.  A mean of 21 losses
 * of about 3 errs by 3e-7, its quotient over 1e-2 by 3e-5; the bend of attention costs 1e-3 of the slope at this step and
 * 1e-2 at four times as much.  A missing or wrong term is of order 1.
 */
static void check_slope(Head *h, float *x, const float *grad, int64_t n, const char *name)
{
    float *keep = malloc((size_t)n * sizeof *keep);
    double size = 0, along = 0, loss[2];
    memcpy(keep, x, (size_t)n * sizeof *keep);
    for (int64_t e = 0; e < n; e++)
        size += (double)grad[e] * grad[e];
    size = sqrt(size) + 1e-12;
    const double step = fmin(5e-3, 5e-3 / size);
    for (int side = 0; side < 2; side++) {
        for (int64_t e = 0; e < n; e++) {
            const double dir = grad[e] / size + 0.3 * rng_normal(5, rng_stream(name), (uint64_t)e) / sqrt((double)n);
            x[e] = keep[e] + (float)((side ? -step : step) * dir);
            along += side ? 0 : dir * grad[e];
        }
        loss[side] = loss_of(h, true);
    }
    memcpy(x, keep, (size_t)n * sizeof *keep);
    free(keep);
    const double slope = (loss[0] - loss[1]) / (2 * step);
    if (!(fabs(slope - along) <= 5e-3 * fabs(along) + 1e-4))
        fail_msg("%s: the gradient along the direction is %.6g, the difference quotient %.6g", name, along, slope);
}

static void slopes(void **state)
{
    (void)state;
    for (int i = 0; i < NKINDS; i++) {
        Head *h = open_head(KINDS[i], &TP_ALONE);
        int checked = 0;
        shake(h);
        learn(h);
        float *grads = malloc((size_t)h->table.grads * sizeof *grads);
        memcpy(grads, h->grads, (size_t)h->table.grads * sizeof *grads);
        for (int k = 0; k < h->table.n; k++) {
            const Param *p = &h->table.p[k];
            if (p->grad < 0)
                continue;
            check_slope(h, h->weights + p->offset, grads + p->grad, p->count, p->name);
            checked++;
        }
        check_slope(h, h->g, h->dg, M * C, "g");
        assert_int_equal(checked, 6 + L * (10 + 2 * Q) + 1 + (KINDS[i].tied ? 2 + Q : 2 * Q));
        free(grads);
        close_head(h);
    }
}

/* ---- the formulas ---- */

static double distance(const float *x, const float *y, int n)
{
    double d = 0;
    for (int c = 0; c < n; c++)
        d += ((double)x[c] - y[c]) * ((double)x[c] - y[c]);
    return d;
}

/* The row of code s by counting who comes before whom: id (m) and |e_s - e_id|^2. */
static void naive_near(int *id, double *d, const float *e, int codes, int width, int s, int m)
{
    double *all = malloc((size_t)codes * sizeof *all);
    id[0] = s, d[0] = 0;
    for (int j = 0; j < codes; j++)
        all[j] = distance(e + s * width, e + j * width, width);
    for (int j = 0; j < codes; j++) {
        int rank = 1;
        for (int i = 0; i < codes; i++)
            rank += i != s && (all[i] < all[j] || (all[i] == all[j] && i < j));
        if (j != s && rank < m)
            id[rank] = j, d[rank] = all[j];
    }
    free(all);
}

/* p (codes,m) in double. */
static void naive_soft(double *p, int *id, const float *e, int codes, int width, int m, double tau)
{
    double mean = 0;
    for (int s = 0; s < codes; s++) {
        naive_near(id + s * m, p + s * m, e, codes, width, s, m);
        mean += m > 1 ? p[s * m + 1] / codes : 0;
    }
    for (int s = 0; s < codes; s++) {
        double total = 0;
        for (int i = 0; i < m; i++)
            total += p[s * m + i] = p[s * m + i] == 0 ? 1 : exp(-p[s * m + i] / (tau * mean));
        for (int i = 0; i < m; i++)
            p[s * m + i] /= total;
    }
}

/* Codebooks: of one code, with fewer codes than are asked for, over several tiles; with twins; of nothing but twins. */
static void near_codes(void **state)
{
    const Ops *o = &op;
    (void)state;
    const struct { int codes, width, m, twins; double tau; } books[] = {
        { 1, 3, 1, 0, 1 },    { 2, 3, 2, 0, 0.5 }, { 5, 4, 5, 0, 1 },     { 300, 17, 8, 0, 1 },
        { 301, 5, 8, 7, 2 },  { 24, 6, 8, 3, 1 },  { 260, 2, 8, 130, 1 },
    };
    for (size_t b = 0; b < sizeof books / sizeof *books; b++) {
        const int codes = books[b].codes, width = books[b].width, m = books[b].m;
        float *e = malloc((size_t)(codes * width) * sizeof *e), *p = malloc((size_t)(codes * m) * sizeof *p);
        int32_t *id = malloc((size_t)(codes * m) * sizeof *id);
        double *want = malloc((size_t)(codes * m) * sizeof *want);
        int *want_id = malloc((size_t)(codes * m) * sizeof *want_id);
        for (int i = 0; i < codes * width; i++)
            e[i] = (float)rng_normal(6, 1, (uint64_t)(books[b].twins ? i % (books[b].twins * width) : i));
        naive_soft(want, want_id, e, codes, width, m, books[b].tau);
        o->nearest_m(id, p, e, codes, width, m);
        for (int i = 0; i < codes * m; i++)                       /* float of a double sum */
            assert_float_equal(p[i], distance(e + i / m * width, e + id[i] * width, width), 1e-7 * p[i]);
        o->soft_targets(p, codes, m, (float)books[b].tau);
        for (int s = 0; s < codes; s++) {
            double total = 0;
            for (int i = 0; i < m; i++) {
                assert_int_equal(id[s * m + i], want_id[s * m + i]);
                /* The exponent, up to 40, has float distances: 40 * 6e-8 of p. */
                assert_float_equal(p[s * m + i], want[s * m + i], 3e-6);
                assert_true(i == 0 || p[s * m + i] <= p[s * m + i - 1]);
                total += p[s * m + i];
            }
            assert_true(id[s * m] == s && fabs(total - 1) < 1e-6);
        }
        free(e), free(p), free(id), free(want), free(want_id);
    }
}

/* The loss of row n at depth q, from what the last norm left, in double. */
static double naive_loss(const Head *h, int q, int n, const double *p, const int *id)
{
    const float *x = h->t.normed + (q * M + n) * E, *e = h->codes.table[h->codes.shared ? 0 : q];
    double y[Cv], z[S], sum = 0, target = 0;
    for (int c = 0; c < Cv && h->w.d.tied; c++) {
        y[c] = h->w.tie.b[c];
        for (int i = 0; i < E; i++)
            y[c] += (double)h->w.tie.w[c * E + i] * x[i];
    }
    for (int j = 0; j < S; j++) {
        z[j] = 0;
        for (int i = 0; i < (h->w.d.tied ? Cv : E); i++)
            z[j] += h->w.d.tied ? y[i] * e[j * Cv + i] / sqrt(Cv) : (double)h->w.head[q].w[j * E + i] * x[i];
        sum += exp(z[j] += h->w.head[q].b[j]);
    }
    const int code = h->code[q * M + n];
    for (int i = 0; i < NEAR; i++)
        target += p[code * NEAR + i] * z[id[code * NEAR + i]];
    return log(sum) - (p[0] > 0 ? target : z[code]);
}

/* Logits and losses are those of the header, with gradients; without, targets are hard. */
static void formulas(void **state)
{
    (void)state;
    for (int k = 0; k < NKINDS; k++) {
        Head *h = open_head(KINDS[k], &TP_ALONE);
        shake(h);
        for (int learning = 0; learning < 2; learning++) {
            double p[S * NEAR] = { 0 }, want = 0, got = loss_of(h, learning);
            int id[S * NEAR] = { 0 };
            assert_true(h->soft.ready == (learning && KINDS[k].soft > 0));
            for (int q = 0; q < Q; q++) {
                if (learning && KINDS[k].soft > 0)
                    naive_soft(p, id, h->codes.table[KINDS[k].shared ? 0 : q], S, Cv, NEAR, KINDS[k].soft);
                for (int n = 0; n < M; n++)
                    want += naive_loss(h, q, n, p, id) / (Q * M);
            }
            assert_float_equal(got, want, 2e-6);                  /* float logits of order 1 */
        }
        close_head(h);
    }
}

/* As tau goes to 0 the soft targets become the hard ones: the same loss, the same gradients. */
static void sharp(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        Head *hard = open_head((Kind){ tied, false, 0 }, &TP_ALONE);
        Head *soft = open_head((Kind){ tied, false, 1e-4f }, &TP_ALONE);
        shake(hard), shake(soft);
        assert_float_equal(learn(hard), learn(soft), 1e-6);       /* other weights underflow: rounding alone */
        for (int64_t i = 0; i < hard->table.grads; i++)
            assert_float_equal(hard->grads[i], soft->grads[i], 1e-6);
        close_head(hard), close_head(soft);
        hard = open_head((Kind){ tied, false, 0 }, &TP_ALONE), soft = open_head((Kind){ tied, false, 0.8f }, &TP_ALONE);
        assert_true(loss_of(hard, false) == loss_of(soft, false));           /* evaluation does not know of tau */
        assert_true(fabs(loss_of(hard, true) - loss_of(soft, true)) > 1e-3);
        close_head(hard), close_head(soft);
    }
}

/* ---- two tensor-parallel ranks: two processes that meet in shared memory ---- */

enum { ROOM = 4096 };
typedef struct { pthread_barrier_t door; float slot[2][ROOM]; } Meeting;

static void meet(Tp *tp, float *x, int64_t n, bool sum)
{
    Meeting *m = tp->ctx;
    assert_in_range(n, 0, ROOM);
    memcpy(m->slot[tp->rank], x, (size_t)n * sizeof *x);
    pthread_barrier_wait(&m->door);
    for (int64_t i = 0; i < n; i++)
        x[i] = sum ? m->slot[0][i] + m->slot[1][i] : fmaxf(m->slot[0][i], m->slot[1][i]);
    pthread_barrier_wait(&m->door);
}

static void meet_sum(Tp *tp, float *x, int64_t n) { meet(tp, x, n, true); }
static void meet_start(Tp *tp, float *x, float *room, int64_t n) { (void)room; if (x) meet_sum(tp, x, n); }
static void meet_max(Tp *tp, float *x, int64_t n) { meet(tp, x, n, false); }

/* Rank's loss, gradients and dg are its pieces of the whole's. */
static bool agrees(const Head *whole, double loss, int rank, Kind kind, Meeting *m)
{
    Tp tp = { .rank = rank, .size = 2, .sum = meet_sum, .max = meet_max, .sum_start = meet_start,
              .wait = TP_ALONE.wait, .need = TP_ALONE.need, .ctx = m };
    Head *part = open_head(kind, &tp);
    double worst = fabs(learn(part) - loss);
    for (int i = 0; i < part->table.n; i++) {
        const Param *p = &part->table.p[i], *all = &whole->table.p[i];
        float want[E * S * 4];
        const Slice here = param_slice(&part->table, i), there = param_slice(&whole->table, i);
        if (p->grad < 0)
            continue;
        slice_copy(want, &here, whole->grads + all->grad, &there, sizeof(float));
        for (int64_t e = 0; e < p->count; e++)
            worst = fmax(worst, fabs(part->grads[p->grad + e] - want[e]));
    }
    for (int i = 0; i < M * C; i++)
        worst = fmax(worst, fabs(part->dg[i] - whole->dg[i]));
    close_head(part);
    return worst < 2e-6;                                          /* partial sums are rounded to float once more */
}

static void two_ranks(void **state)
{
    (void)state;
    Meeting *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&m->door, &shared, 2);
    for (int k = 0; k < NKINDS; k++) {
        Head *whole = open_head(KINDS[k], &TP_ALONE);
        const double loss = learn(whole);
        const pid_t child = fork();
        alarm(60);                                                /* who waits for the dead is ended, too */
        if (child == 0)
            _exit(agrees(whole, loss, 1, KINDS[k], m) ? 0 : 1);
        int status = 1;
        const bool fine = agrees(whole, loss, 0, KINDS[k], m);
        waitpid(child, &status, 0);
        alarm(0);
        assert_true(fine && status == 0);
        close_head(whole);
    }
    munmap(m, sizeof *m);
}

static int reference(void **s) { (void)s; ops_use(NULL, 1); return 0; }
static int fast(void **s) { (void)s; ops_use(&OPS_CPU, 1); return 0; }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(slopes, reference),     cmocka_unit_test_setup(two_ranks, reference),
        cmocka_unit_test_setup(formulas, reference),   cmocka_unit_test_setup(formulas, fast),
        cmocka_unit_test_setup(sharp, reference),      cmocka_unit_test_setup(sharp, fast),
        cmocka_unit_test_setup(near_codes, reference), cmocka_unit_test_setup(near_codes, fast),
    };
    return cmocka_run_group_tests_name("visual head", tests, NULL, NULL);
}
