/* hf_dump.h -- a case as a folder that tests/ref/hf.py reads: weights, config.json, gradients, and case.txt for the rest */
#pragma once
#include "io/hf/hfwrite.h"
#include "tests/io/hf/hf_whole.h"

/* HfNumber of a ModelConf */
static inline double dump_number(const void *config, const char *key)
{
    const ModelConf *c = config;
    const struct { const char *key; double value; } known[] = {
        { "model.vision.width", c->vision.C }, { "model.vision.ffn", c->vision.F }, { "model.vision.layers", c->vision.L },
        { "model.vision.heads", c->vision.H }, { "model.vision.image", c->image }, { "model.vision.patch", c->patch },
        { "model.vision.select_layer", c->select_layer }, { "model.decoder.width", c->decoder.C },
        { "model.decoder.ffn", c->decoder.F }, { "model.decoder.layers", c->decoder.L },
        { "model.decoder.heads", c->decoder.H }, { "model.decoder.kv_heads", c->decoder.K },
        { "model.decoder.vocab", c->decoder.V }, { "model.decoder.rope_theta", (double)c->decoder.theta },
        { "model.decoder.eps", (double)c->decoder.eps }, { "model.decoder.qkv_bias", c->decoder.qkv_bias },
        { "model.decoder.max_len", c->max_len }, { "model.codes.depth", c->codes_depth },
        { "model.codes.size", c->codes_size }, { "model.codes.shared", c->codes_shared },
        { "model.codes.layer", c->codes_layer[SEMANTIC] }, { "model.head.width", c->head_width },
        { "model.head.layers", c->head_layers }, { "model.head.heads", c->head_heads },
        { "model.codes.appearance_layer", c->codes_layer[APPEARANCE] }, { "model.codes.tower", c->own_tower },
        { "model.head.tied", c->head_tied }, { "model.vision.scales", c->scales }, { "model.vision.input", c->discrete },
        { "train.visual_shift", c->visual_shift }, { "train.denoise_draws", c->denoise_draws },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].key, key) == 0)
            return known[i].value;
    return 0;
}

static inline FILE *dump_open(const char *dir, const char *name)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    return f;
}

static inline void dump_config(const char *dir, const Model *m)
{
    static const char *const WORD[] = { "none", "semantic", "appearance", "both", "denoising" };
    const HfExport x = { .layout = HF_LLAVA, .vision_layers = m->w.vision.enc.d.L, .image_token = 39, .dtype = "float32",
                         .supervision = WORD[m->c.supervision] };
    char *text = hfwrite_config(dump_number, &m->c, &x);
    FILE *f = dump_open(dir, "config.json");
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    free(text);
}

/* n integers of 1 (unsigned), 2 (unsigned) or 4 bytes */
static inline void dump_list(FILE *f, const char *key, const void *x, int n, size_t bytes)
{
    fputs(key, f);
    const uint8_t *byte = x;
    const uint16_t *half = x;
    const int32_t *word = x;
    for (int i = 0; i < n; i++)
        fprintf(f, " %d", bytes == 1 ? byte[i] : bytes == 2 ? half[i] : word[i]);
    fputc('\n', f);
}

static inline void dump_text(const char *dir, const Model *m, const HfBatch *b, const Losses *sum)
{
    const ModelConf *c = &m->c;
    const int side = c->image * c->scales;
    double visual[BRANCHES * MAX_DEPTH];
    FILE *f = dump_open(dir, "case.txt");
    fprintf(f, "trainable %s\nvision_layers %d\n", c->trainable, c->vision.L);
    fprintf(f, "codes_layer %d %d\ncodes_given %d\n", c->codes_layer[SEMANTIC], c->codes_layer[APPEARANCE], c->codes_given);
    fprintf(f, "discrete %d\nsoft %.9e\nscales %d\n", c->discrete, (double)c->soft_targets, c->scales);
    fprintf(f, "own_tower %d\ndraws %d\nseed %d\n", c->own_tower, c->denoise_draws, (int)c->seed);
    fprintf(f, "step %d\nfirst %d\n", (int)b->batch.step, (int)b->batch.first);
    fprintf(f, "visual_weight %.9e\nmax_len %d\nside %d\n", (double)c->visual_weight, c->max_len, side);
    dump_list(f, "tokens", b->tokens, HF_M, sizeof *b->tokens);
    dump_list(f, "labels", b->labels, HF_M, sizeof *b->labels);
    dump_list(f, "token_start", b->token_start, HF_B + 1, sizeof *b->token_start);
    dump_list(f, "image_start", b->image_start, HF_B + 1, sizeof *b->image_start);
    dump_list(f, "pixels", b->pixels, HF_I * side * side * 3, sizeof *b->pixels);
    dump_list(f, "codes", b->codes, HF_I * HF_P * c->codes_given, sizeof *b->codes);
    fprintf(f, "loss %.12e\ntext %.12e\nvisual", model_loss(m, sum), sum->text / sum->n_text);
    for (int k = 0, depths = model_visual_depths(m, sum, visual); k < depths; k++)
        fprintf(f, " %.12e", visual[k]);
    fputc('\n', f);
    assert_int_equal(fclose(f), 0);
}

/* After forward and backward. */
static inline void dump_case(const char *root, const char *name, const Model *m, const HfBatch *b, const Losses *sum)
{
    char dir[PATH_ROOM / 2], gradients[PATH_ROOM];
    Whole w[WHOLES];
    snprintf(dir, sizeof dir, "%s/%s", root, name);
    snprintf(gradients, sizeof gradients, "%s/gradients", dir);
    int n = wholes_of(w, m, false);
    wholes_write(dir, w, n, ST_F32);
    wholes_free(w, n);
    n = wholes_of(w, m, true);
    wholes_write(gradients, w, n, ST_F32);
    wholes_free(w, n);
    dump_config(dir, m);
    dump_text(dir, m, b, sum);
}
