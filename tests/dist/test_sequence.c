/* Shares of rows (core/stripe.h): a tensor-parallel group whose ranks keep shares of residuals and norms beside the same one without, and the
   model whole on each rank: with blocks one result, to the bit, in less memory. */
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

enum { BLOCKS = 8 };

static int size, blocks;                        /* of 3 ranks none: sums go by ranks */

#define LM "projector,decoder"

typedef struct {
    const char *name, *trainable;
    Stage stage;
    int   supervision, recompute, kv_heads;
    bool  many, own, bias, qk_norm, clip;       /* many: rows enough for stripes */
} Case;

static const Case CASES[] = {
    { "contrast", "vision,pool,text,contrast", .stage = STAGE_CONTRAST },
    { "tokenizer", "codes", .stage = STAGE_TOKENIZER },
    { "tokenizer, own tower", "codes,app_codes,tokenizer", .stage = STAGE_TOKENIZER, .own = true },
    { "CLIP, own tower, recomputed", "codes,app_codes,tokenizer", .stage = STAGE_TOKENIZER, .own = true, .clip = true, .recompute = RECOMPUTE_BLOCK },
    { "semantic", LM ",head", .stage = STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .bias = true },
    { "denoising", LM ",denoiser", .stage = STAGE_INSTRUCT, .supervision = SUPERVISE_DENOISING },
    { "CLIP learns", LM ",head,vision", .stage = STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .clip = true },
    { "shared kv heads, q/k norms", LM, STAGE_INSTRUCT, SUPERVISE_NONE, .kv_heads = 2, .qk_norm = true },
    { "projector alone", "projector", .stage = STAGE_PRETRAIN, .supervision = SUPERVISE_SEMANTIC },
    { "attention again", LM ",head,vision", .stage = STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .recompute = RECOMPUTE_ATTENTION },
    { "many rows", LM ",head,vision", .stage = STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .many = true, .bias = true, .qk_norm = true },
    { "many rows, recomputed", LM ",head,vision", .stage = STAGE_INSTRUCT, .supervision = SUPERVISE_SEMANTIC, .recompute = RECOMPUTE_BLOCK, .many = true },
};
enum { NCASES = sizeof CASES / sizeof *CASES };

static ModelConf conf_of(const Case *k)
{
    ModelConf c = k->many ? rows_conf() : case_conf(k->stage, k->trainable);
    if (!k->many) {
        c.vision = c.text = (EncoderDims){ .C = 48, .F = 72, .H = 24, .L = 4, .eps = 1e-6f };
        c.decoder = (LlamaDims){ .C = 96, .F = 72, .H = 24, .K = 24, .L = 3, .V = 48, .theta = 10000, .eps = 1e-5f };
        c.codes_size = 24;
        c.head_width = 48, c.head_heads = 24;
        c.codes_given = k->stage < STAGE_PRETRAIN ? 0 : 3;
        c.codes_layer[APPEARANCE] = k->own ? -4 : 0;
    }
    c.trainable = k->trainable;
    c.supervision = k->supervision;
    c.recompute = k->recompute;
    c.own_tower = k->own;
    c.distill = 1, c.commit = 0.5f, c.distill_pool = k->own ? 0.7f : 0;
    c.decoder.K = k->kv_heads ? k->kv_heads : c.decoder.K;
    c.decoder.qkv_bias = k->bias;
    c.decoder.qk_norm = k->qk_norm;
    if (k->clip)
        case_kind(&c, CASE_CLIP);
    return c;
}

static void fail_on(bool ok, const char *name, const char *what)
{
    double bad = !ok;
    comm_max_f64(MPI_COMM_WORLD, &bad, 1);               /* none ends before the others */
    if (bad > 0)
        fail_msg("%s: %s", name, what);
}

/* Gradients of `part` as those of `want`, a group of as many ranks or one: the bits; without blocks sums over rows have another order, and floats of
   a few layers differ by 1e-7 to 1e-6 (tests/dist/test_model_tp.c). */
static void gradients(const Case *k, const Model *part, const Model *want)
{
    char what[256];
    for (int i = 0; i < part->table.n; i++) {
        const Param *q = &part->table.p[i];
        if (q->grad < 0)
            continue;
        const Slice here = param_slice(&part->table, i), all = param_slice(&want->table, i);
        float *x = malloc((size_t)q->count * sizeof *x);
        double off = 0, all2 = 0;
        slice_copy(x, &here, want->grads + want->table.p[i].grad, &all, sizeof *x);
        for (int64_t e = 0; e < q->count; e++) {
            off += pow((double)part->grads[q->grad + e] - x[e], 2);
            all2 += pow(x[e], 2);
        }
        free(x);
        snprintf(what, sizeof what, "the gradient of %s is off by %.3g of %.3g", q->name, sqrt(off), sqrt(all2));
        const bool noise = strstr(q->name, "attn.bk");        /* 0 but for rounding */
        fail_on(blocks ? off == 0 : noise || sqrt(off) <= 1e-5 * sqrt(all2), k->name, what);
    }
}

static void one_result(const Case *k, Grid *g)
{
    static Model whole, off, on;
    static Tape  of_whole, of_off, of_on;
    const ModelConf conf = conf_of(k);
    BatchCase small;
    Batch b;
    Tp alone = TP_ALONE, tp = tp_door(g, blocks), shares = tp;
    alone.leaves = blocks;
    shares.sequence = size > 1;
    case_batch(&small, k->stage == STAGE_CONTRAST);
    b = k->many ? rows_batch() : small.batch;
    assert_true(case_open(&whole, &of_whole, &conf, &alone) && case_open(&off, &of_off, &conf, &tp) && case_open(&on, &of_on, &conf, &shares));
    const Losses l0 = pass(&whole, &of_whole, &b), l1 = pass(&off, &of_off, &b), l2 = pass(&on, &of_on, &b);
    fail_on(memcmp(&l1, &l2, sizeof l1) == 0, k->name, "losses differ with shares");
    fail_on(!blocks || memcmp(&l0, &l2, sizeof l0) == 0, k->name, "losses differ from one rank's");
    gradients(k, &on, &off);
    gradients(k, &on, &whole);
    fail_on(size == 1 || !k->many || tape_bytes(&of_on, &on) < tape_bytes(&of_off, &off), k->name, "shares save nothing");
    case_close(&on, &of_on), case_close(&off, &of_off), case_close(&whole, &of_whole);
}

static void shares_change_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < NCASES; i++) {
        Grid g;
        if (size == 3 && CASES[i].kv_heads == 2)
            continue;                                       /* 2 kv heads do not divide */
        grid_open(&g, MPI_COMM_WORLD, size);
        one_result(&CASES[i], &g);
        grid_close(&g);
    }
}

/* Shares lie one behind the other and are all rows; each is a run of whole leaves; room and tape have room for any number of rows below. */
static void shares_are_all_rows(void **state)
{
    (void)state;
    for (int leaves = 0; leaves <= 4; leaves = leaves ? 2 * leaves : 1)
        for (int ranks = 2; ranks <= 8; ranks++)
            for (int64_t N = 1; N < 700; N += 1 + N / 7)
                for (int n = 1; n <= (N >= 2 * STRIPE_STEP ? 2 : 1); n++) {
                    int64_t kept[8] = { 0 }, room = 0;
                    for (int i = 0; i < n; i++) {
                        const Stripe s = stripe(i, n, N);
                        int64_t at = s.at;
                        for (int r = 0; r < ranks; r++) {
                            const Tp tp = { .rank = r, .size = ranks, .leaves = leaves, .sequence = true };
                            const Share x = share(&tp, i, n, N);
                            assert_true(x.n >= 0 && (x.n == 0 || x.at == at) && x.here == kept[r]);
                            assert_true(leaves == 0 || x.n == 0 || x.at + x.n == s.at + s.n || x.n == leaves * leaf_rows(&tp, s.n));
                            at += x.n;
                            kept[r] += x.n;
                        }
                        assert_true(at == s.at + s.n);
                        room += (ranks - 1) * share_rows(&(Tp){ .size = ranks, .leaves = leaves }, s.n);
                    }
                    for (int64_t most = N; most < N + 20; most += 3)
                        for (int r = 0; r < ranks; r++) {
                            const Tp tp = { .rank = r, .size = ranks, .leaves = leaves, .sequence = true };
                            assert_true(kept[r] <= kept_rows(&tp, most) && room <= room_rows(&tp, most));
                        }
                }
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    size = comm_size(MPI_COMM_WORLD);
    blocks = BLOCKS % size ? 0 : BLOCKS;
    ops_use(&OPS_CPU, 1);
    const struct CMUnitTest tests[] = { cmocka_unit_test(shares_are_all_rows), cmocka_unit_test(shares_change_nothing) };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    MPI_Finalize();
    return failed;
}
