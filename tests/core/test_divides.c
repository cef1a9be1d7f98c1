/* test_divides.c -- what model_divides says of a number of ranks is what declaring the parameters finds */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/dies.h"
#include "tests/core/model_case.h"

/* All sizes divide among 12 ranks. */
static ModelConf divisible(Stage stage, Supervision supervision)
{
    ModelConf c = case_conf(stage, "");
    c.supervision = supervision;
    c.vision = c.text = (EncoderDims){ .C = 24, .F = 36, .H = 12, .L = 3, .eps = 1e-6f };
    c.decoder = (LlamaDims){ .C = 48, .F = 60, .H = 12, .K = 12, .L = 1, .V = 48, .theta = 10000, .eps = 1e-5f };
    c.codes_size = 24;
    c.head_width = 24, c.head_heads = 12;
    return c;
}

/* Declares the model as rank 0 of tp: is there a tensor that does not divide? */
static bool declared(const ModelConf *c, int tp)
{
    static Model m;
    static Tp door;
    static const ModelConf *conf;
    door = TP_ALONE;
    door.size = tp;
    conf = c;
    m = (Model){ 0 };
    const bool died = DIES(model_measure(&m, conf, &door));
    params_free(&m.table);
    return !died;
}

/* Each size in turn becomes one that 12 ranks do not divide, where the model has it and where it does not. */
static void as_declared(void **state)
{
    (void)state;
    static const struct { Stage stage; Supervision supervision; } kinds[] = {
        { STAGE_CONTRAST, SUPERVISE_NONE },     { STAGE_TOKENIZER, SUPERVISE_NONE },     { STAGE_INSTRUCT, SUPERVISE_NONE },
        { STAGE_INSTRUCT, SUPERVISE_SEMANTIC }, { STAGE_INSTRUCT, SUPERVISE_DENOISING },
    };
    int refused = 0, accepted = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int change = 0; change < 16; change++) {
            ModelConf c = divisible(kinds[k].stage, kinds[k].supervision);
            int *const size[] = { &c.decoder.F, &c.decoder.V, &c.vision.F, &c.text.F, &c.codes_size, &c.decoder.K, &c.decoder.K,
                                  &c.decoder.K, &c.vision.H, &c.text.H, &c.head_heads, &c.decoder.H, &c.head_width };
            static const int to[] = { 58, 50, 38, 34, 22, 1, 2, 6, 8, 6, 4, 4, 36 };
            if (change < 13)
                *size[change] = to[change];
            if (change == 11)
                c.decoder.K = 2;
            if (change == 13)
                c.projector_layers = 1;
            if (change == 14)
                c.own_tower = c.head_tied = c.codes_shared = true;
            for (int tp = 1; tp <= 12; tp++) {
                char why[512] = "";
                const bool divides = model_divides(&c, tp, why, sizeof why);
                if (divides != declared(&c, tp))
                    fail_msg("kind %d, change %d, tp %d: model_divides says %d: %s", (int)k, change, tp, divides, why);
                assert_int_equal(divides, why[0] == 0);
                refused += !divides, accepted += divides;
            }
        }
    assert_true(refused > 100 && accepted > 100);
}

static void says(const ModelConf *c, int tp, const char *want)
{
    char why[512] = "";
    assert_int_equal(model_divides(c, tp, why, sizeof why), want == NULL);
    assert_string_equal(why, want ? want : "");
}

static void sentences(void **state)
{
    (void)state;
    ModelConf c = divisible(STAGE_INSTRUCT, SUPERVISE_SEMANTIC);
    says(&c, 4, NULL);
    says(&c, 5, "model.decoder.heads = 12 does not divide among parallel.tp = 5 ranks; 1, 2, 3, 4, 6 and 12 would do");
    c.decoder.K = 6;
    says(&c, 4, "model.decoder.kv_heads = 6 neither divides among parallel.tp = 4 ranks nor is divided by them; "
                "1, 2, 3, 6 and 12 would do");
    c.codes_size = 25;
    says(&c, 2, "model.codes.size = 25 does not divide among parallel.tp = 2 ranks; 1 alone would do");
    c.supervision = SUPERVISE_NONE;                        /* without codes their number does not matter */
    says(&c, 2, NULL);
    c.vision.F = 38;
    says(&c, 3, "model.vision.ffn = 38 does not divide among parallel.tp = 3 ranks; 1 and 2 would do");
    char cut[20];
    assert_false(model_divides(&c, 3, cut, sizeof cut));
    assert_string_equal(cut, "model.vision.ffn = ");
    c = divisible(STAGE_CONTRAST, SUPERVISE_NONE);
    c.decoder.V = 49;
    says(&c, 2, "model.decoder.vocab = 49 does not divide among parallel.tp = 2 ranks; 1 alone would do");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(as_declared), cmocka_unit_test(sentences) };
    ops_use(NULL, 1);
    return cmocka_run_group_tests_name("divides", tests, NULL, NULL);
}
