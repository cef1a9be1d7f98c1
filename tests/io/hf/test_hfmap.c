/*
 * Names: every tensor of a model with all its parts has one place in the files, under every module's prefix; places tile
 * the files' tensors.  config.json: what we write, we read without a difference; each number that differs is named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/asvr.h"
#include "core/ops.h"
#include "io/hf/hfwrite.h"
#include "io/hf/hfrules.h"

enum { DEPTH_OF = 3, ALL = PART_VISION | PART_POOL | PART_TEXT | PART_CONTRAST | PART_TOKENIZER | PART_CODES | PART_APP_CODES
                         | PART_PROJECTOR | PART_DECODER | PART_HEAD | PART_APP_HEAD | PART_DENOISER };

static void open_model(Model *m, bool tied, bool shared)
{
    static Tp tp;
    tp = TP_ALONE;
    const EncoderDims tower = { .C = 8, .F = 12, .H = 2, .L = 3, .eps = 1e-6f };
    const ModelConf c = {
        .stage = STAGE_INSTRUCT, .bare = true, .parts = ALL, .supervision = SUPERVISE_BOTH, .trainable = "", .image = 12, .patch = 4,
        .scales = 1, .vision = tower, .text = tower, .select_layer = -2, .text_max_len = 5, .projector_layers = 2,
        .decoder = { .C = 16, .F = 20, .H = 4, .K = 2, .L = 2, .V = 32, .theta = 1e4f, .eps = 1e-5f, .qkv_bias = true },
        .codes_layer = { -2, -3 }, .codes_depth = DEPTH_OF, .codes_size = 8, .codes_shared = shared, .own_tower = true,
        .head_width = 8, .head_layers = 2, .head_heads = 2, .head_tied = tied, .denoise_draws = 1, .micro_batch = 1,
        .max_images = 1, .max_len = 1,
    };
    assert_true(model_open(m, &c, &tp));
}

static bool average(const char *name) { return strstr(name, "codes.") && !strstr(name, ".table"); }

typedef struct { char name[ST_NAME]; int rows, cols, blocks; char seen[3 * MAX_DEPTH]; } Place;

/* Each parameter, named with these modules first, has a block of its own, and the blocks fill every tensor named. */
static void check_names(const Model *m, uint64_t modules)
{
    Place *place = calloc((size_t)m->table.n, sizeof *place);
    int places = 0;
    assert_non_null(place);
    for (int i = 0; i < m->table.n; i++) {
        const Param *q = &m->table.p[i];
        HfPiece p, back[HF_PIECES];
        char name[ST_NAME];
        int64_t shape[ST_DIMS], elements = 1;
        const bool named = hf_name(q->name, DEPTH_OF, modules, name, &p);
        assert_int_equal(named, !average(q->name));
        if (!named)
            continue;
        const int n = hf_pieces(name, DEPTH_OF, back);
        int found = 0;
        for (int k = 0; k < n; k++)
            found += !strcmp(back[k].ours, q->name) && back[k].row_block == p.row_block && back[k].col_block == p.col_block
                  && back[k].part == p.part && param_in_part(q, hf_part_name(p.part));
        if (found != 1 || n != p.row_blocks * p.col_blocks)
            fail_msg("%s -> %s -> %d pieces, %d times itself", q->name, name, n, found);
        const int dims = hf_shape(&p, q->rows, q->cols, shape);
        for (int d = 0; d < dims; d++)
            elements *= shape[d];
        assert_true(elements == (int64_t)q->rows * q->cols * p.row_blocks * p.col_blocks);
        int at = 0;
        while (at < places && strcmp(place[at].name, name))
            at++;
        if (at == places) {
            strcpy(place[places].name, name);
            place[places].rows = q->rows, place[places].cols = q->cols;
            place[places++].blocks = p.row_blocks * p.col_blocks;
        }
        assert_int_equal(place[at].rows, q->rows);
        assert_int_equal(place[at].cols, q->cols);
        assert_int_equal(place[at].seen[p.row_block * p.col_blocks + p.col_block]++, 0);
        place[at].blocks--;
    }
    for (int at = 0; at < places; at++)
        if (place[at].blocks)
            fail_msg("%s is not filled", place[at].name);
    free(place);
}

static void every_parameter_has_a_place(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        Model *m = calloc(1, sizeof *m);
        assert_non_null(m);
        open_model(m, kind, kind);
        for (unsigned layout = 1; layout <= HF_LLM; layout <<= 1)
            check_names(m, hf_modules((HfLayout)layout));
        for (int module = 0; module < HF_MODULES; module++)
            check_names(m, (uint64_t)1 << module);
        model_close(m);
        free(m);
    }
}

static void modules_fit_a_mask(void **state)
{
    (void)state;
    assert_true(HF_MODULES <= 64);
}

static int pieces_of(const char *name, const char *ours)
{
    HfPiece p[HF_PIECES];
    const int n = hf_pieces(name, DEPTH_OF, p);
    if (n > 0 && ours)
        assert_string_equal(p[0].ours, ours);
    return n;
}

static void names_are_known(void **state)
{
    (void)state;
    assert_int_equal(pieces_of("language_model.model.layers.31.self_attn.q_proj.weight", "decoder.31.attn.wq"), 1);
    assert_int_equal(pieces_of("model.language_model.layers.0.mlp.down_proj.weight", "decoder.0.ffn.down"), 1);
    assert_int_equal(pieces_of("model.layers.0.self_attn.k_proj.bias", "decoder.0.attn.bk"), 1);
    assert_int_equal(pieces_of("lm_head.weight", "decoder.lm_head"), 1);
    assert_int_equal(pieces_of("model.layers.2.self_attn.q_norm.weight", "decoder.2.attn.q_norm"), 1);
    assert_int_equal(pieces_of("vision_tower.vision_model.pre_layrnorm.bias", "vision.pre.b"), 1);
    assert_int_equal(pieces_of("vision_tower.embeddings.class_embedding", "vision.class"), 1);
    assert_int_equal(pieces_of("encoder.layers.0.layer_norm1.weight", "vision.0.ln1.w"), 1);
    assert_int_equal(pieces_of("head.probe", "pool.probe"), 1);
    assert_int_equal(pieces_of("model.mm_projector.2.bias", "projector.1.b"), 1);
    assert_int_equal(pieces_of("multi_modal_projector.linear_2.bias", "projector.1.b"), 1);
    assert_int_equal(pieces_of("vision_model.head.attention.in_proj_bias", "pool.attn.bq"), 3);
    assert_int_equal(pieces_of("rqtransformer_semantic.head_transformer.2.linear1.weight", "head.2.ffn.0.w1"), DEPTH_OF);
    assert_int_equal(pieces_of("appearance_head.heads.1.bias", "app_head.code.1.b"), 1);
    assert_int_equal(pieces_of("vision_tokenizer.codebooks.0.weight", "codes.0.table"), 1);
    assert_int_equal(pieces_of("vision_tokenizer.vision_model.encoder.layers.1.mlp.fc1.weight", "tokenizer.1.ffn.w1"), 1);
    HfPiece p[HF_PIECES];
    for (int third = 0; third < 3; third++) {
        static const char *const QKV[] = { "head.1.attn.wq", "head.1.attn.wk", "head.1.attn.wv" };
        assert_int_equal(hf_pieces("visual_head.head_transformer.1.self_attention.in_proj_weight", DEPTH_OF, p), 3);
        assert_string_equal(p[third].ours, QKV[third]);
        assert_int_equal(p[third].row_block, third);
    }
    assert_int_equal(hf_pieces("visual_head.head_transformer.1.linear2.weight", DEPTH_OF, p), DEPTH_OF);
    assert_string_equal(p[2].ours, "head.1.ffn.2.w2");
    assert_int_equal(p[2].col_block, 2);
    /* known and not used */
    assert_int_equal(pieces_of("visual_head.head_transformer.0.linear2.bias", NULL), 0);
    assert_int_equal(pieces_of("model.layers.3.self_attn.rotary_emb.inv_freq", NULL), 0);
    assert_int_equal(pieces_of("vision_tower.vision_model.embeddings.position_ids", NULL), 0);
    assert_int_equal(pieces_of("rqtransformer_visual.whatever", NULL), 0);
    assert_int_equal(pieces_of("visual_projection.weight", NULL), 0);
    /* unknown */
    static const char *const UNKNOWN[] = {
        "", "model", "model.layers.0.self_attn.o_proj.bias", "model.layers.00.self_attn.q_proj.weight", "model.mm_projector.1.weight",
        "model.layers.-1.self_attn.q_proj.weight", "model.layers.9999999.self_attn.q_proj.weight", "model.layers.0.self_attn.q_proj.weight2",
        "multi_modal_projector.linear_0.weight", "vision_tower.vision_model.head", "lm_head.weights", "visual_head.codebooks.0.weight", "denoiser.",
    };
    for (size_t i = 0; i < sizeof UNKNOWN / sizeof *UNKNOWN; i++)
        assert_int_equal(pieces_of(UNKNOWN[i], NULL), -1);
}

/* ---- config.json ---- */

typedef struct { const char *changed; double to; } Fake;

static double number(const void *config, const char *key)
{
    static const struct { const char *key; double value; } VALUE[] = {
        { "model.vision.width", 64 }, { "model.vision.ffn", 160 }, { "model.vision.layers", 5 }, { "model.vision.heads", 4 },
        { "model.vision.image", 56 }, { "model.vision.patch", 14 }, { "model.vision.select_layer", -2 },
        { "model.text.width", 48 }, { "model.text.ffn", 96 }, { "model.text.layers", 3 }, { "model.text.heads", 6 },
        { "model.text.max_len", 24 }, { "model.decoder.width", 96 }, { "model.decoder.ffn", 200 }, { "model.decoder.layers", 7 },
        { "model.decoder.heads", 8 }, { "model.decoder.kv_heads", 2 }, { "model.decoder.vocab", 999 },
        { "model.decoder.rope_theta", 5e5 }, { "model.decoder.eps", 1e-5 }, { "model.decoder.qkv_bias", 0 },
        { "model.decoder.max_len", 512 }, { "model.codes.depth", 4 }, { "model.codes.size", 256 }, { "model.codes.layer", -2 },
        { "model.codes.shared", 1 }, { "model.head.width", 32 }, { "model.head.layers", 3 }, { "model.head.heads", 2 },
        { "model.codes.appearance_layer", -5 }, { "model.codes.tower", 1 }, { "model.head.tied", 0 }, { "model.vision.scales", 2 },
        { "model.vision.kind", 0 }, { "model.decoder.head_dim", 0 }, { "model.decoder.qk_norm", 0 }, { "model.decoder.rope_scaling", 0 },
        { "model.vision.input", 0 }, { "train.visual_shift", 1 }, { "train.denoise_draws", 4 },
    };
    const Fake *f = config;
    if (f->changed && !strcmp(f->changed, key))
        return f->to;
    for (size_t i = 0; i < sizeof VALUE / sizeof *VALUE; i++)
        if (!strcmp(VALUE[i].key, key))
            return VALUE[i].value;
    fail_msg("who asked for %s?", key);
    return 0;
}

static int compare(const char *text, const Fake *f, HfDifference d[HF_DIFFERENCES])
{
    Err e = { 0 };
    const int n = hfconfig_compare(text, strlen(text), "config.json", number, f, d, &e);
    assert_int_equal(n < 0, e.code == EXIT_DATA);
    return n;
}

static void what_is_written_has_no_difference(void **state)
{
    static const char *const SEEN[][12] = {
        { "model.vision.width", "model.vision.ffn", "model.vision.heads", "model.vision.image", "model.vision.patch",
          "model.vision.select_layer", "model.decoder.layers", "model.decoder.rope_theta", "model.decoder.eps" },
        { "model.vision.width", "model.vision.layers", "model.text.width", "model.text.ffn", "model.text.layers", "model.text.heads",
          "model.text.max_len", "model.decoder.vocab" },
        { "model.decoder.width", "model.decoder.ffn", "model.decoder.heads", "model.decoder.kv_heads", "model.decoder.vocab" },
    };
    static const HfLayout LAYOUT[] = { HF_LLAVA, HF_SIGLIP, HF_LLM };
    HfDifference d[HF_DIFFERENCES];
    (void)state;
    for (int i = 0; i < 3; i++)
        for (int bias = 0; bias < 2; bias++) {
            const Fake same = { "model.decoder.qkv_bias", bias };
            const HfExport x = { .layout = LAYOUT[i], .vision_layers = 5, .text = true, .image_token = 3, .dtype = "float32", .supervision = "semantic" };
            char *text = hfwrite_config(number, &same, &x);
            assert_int_equal(compare(text, &same, d), 0);
            for (int k = 0; SEEN[i][k] && !bias; k++) {
                const Fake other = { SEEN[i][k], number(&same, SEEN[i][k]) * 2 };
                const int n = compare(text, &other, d);
                int named = 0;
                for (int j = 0; j < n; j++)
                    named += !strcmp(d[j].ours, SEEN[i][k]);
                if (named != 1 || n != 1)
                    fail_msg("%s: %d differences, %d of them it", SEEN[i][k], n, named);
            }
            free(text);
        }
    /* A tower that lost its last block: the features are those of its new end. */
    const Fake none = { 0 }, shorter = { "model.vision.select_layer", -1 };
    const HfExport x = { .layout = HF_LLAVA, .vision_layers = 4, .dtype = "bfloat16" };
    char *text = hfwrite_config(number, &none, &x);
    assert_non_null(strstr(text, "\"vision_feature_layer\": -1"));
    assert_int_equal(compare(text, &shorter, d), 1);
    assert_string_equal(d[0].ours, "model.vision.layers");
    free(text);
}

#define LLM(more) "{\"model_type\": \"llama\", \"hidden_size\": 96, \"intermediate_size\": 200, \"num_hidden_layers\": 7, " \
    "\"num_attention_heads\": 8, \"num_key_value_heads\": 2, \"vocab_size\": 999, \"rope_theta\": 500000.0, \"rms_norm_eps\": 1e-05" more "}"

static void what_cannot_be_done_is_named(void **state)
{
    static const struct { const char *text, *theirs; } CASE[] = {
        { LLM(", \"hidden_act\": \"gelu\""), "hidden_act" },
        { LLM(", \"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}"), "rope_scaling" },
        { LLM(", \"head_dim\": 16"), "head_dim" },
        { LLM(", \"attention_bias\": true"), "attention_bias" },
    };
    HfDifference d[HF_DIFFERENCES];
    const Fake none = { 0 }, eight = { "model.decoder.kv_heads", 8 };
    (void)state;
    assert_int_equal(compare(LLM(""), &none, d), 0);
    assert_int_equal(compare(LLM(", \"rope_scaling\": null, \"head_dim\": 12"), &none, d), 0);
    for (size_t i = 0; i < sizeof CASE / sizeof *CASE; i++) {
        assert_int_equal(compare(CASE[i].text, &none, d), 1);
        assert_string_equal(d[0].theirs, CASE[i].theirs);
    }
    /* Defaults differ by model: LLaMA's kv heads are its heads, Mistral's are 8, with a window of 4096. */
    char text[512];
    snprintf(text, sizeof text, "%s", LLM(""));
    char *kv = strstr(text, "\"num_key_value_heads\": 2, ");
    memmove(kv, kv + 26, strlen(kv + 26) + 1);
    assert_int_equal(compare(text, &eight, d), 0);
    assert_int_equal(compare(text, &none, d), 1);
    assert_string_equal(d[0].ours, "model.decoder.kv_heads");
    const Fake lengthy = { "model.decoder.max_len", 8192 };
    assert_int_equal(compare("{\"model_type\": \"mistral\", \"hidden_size\": 96, \"intermediate_size\": 200, \"num_hidden_layers\": 7, "
                             "\"num_attention_heads\": 8, \"num_key_value_heads\": 2, \"vocab_size\": 999, \"rope_theta\": 5e5, "
                             "\"rms_norm_eps\": 1e-5}", &lengthy, d), 1);
    assert_string_equal(d[0].ours, "model.decoder.max_len");
    assert_int_equal(compare("{\"model_type\": \"gpt2\"}", &none, d), -1);
    assert_int_equal(compare("{\"model_type\": \"llava\", \"vision_config\": {\"model_type\": \"siglip2_vision_model\"}}", &none, d), -1);
    assert_int_equal(compare("{\"model_type\": ", &none, d), -1);
    assert_int_equal(compare("[]", &none, d), -1);
}

int main(void)
{
    ops_use(NULL, 1);                               /* initial values are drawn by an op */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_parameter_has_a_place),       cmocka_unit_test(modules_fit_a_mask),
        cmocka_unit_test(names_are_known),                   cmocka_unit_test(what_is_written_has_no_difference),
        cmocka_unit_test(what_cannot_be_done_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
