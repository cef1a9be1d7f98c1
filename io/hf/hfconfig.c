#include "io/hf/hfconfig.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* ---- the table ---- */

enum { VISION = 1, TEXT = 2, DECODER = 4 };
enum { LLAMA, MISTRAL, QWEN2, DECODERS };

#define SAME { HUGE_VAL, HUGE_VAL, HUGE_VAL }       /* the default is the number of heads */
#define ALL(x) { x, x, x }

/* ours NULL: a constant of ours. */
static const struct { int section; const char *theirs, *ours; double constant, by_default[DECODERS]; } NUMBER[] = {
    { VISION,  "hidden_size",         "model.vision.width",     0, ALL(768) },
    { VISION,  "intermediate_size",   "model.vision.ffn",       0, ALL(3072) },
    { VISION,  "num_hidden_layers",   "model.vision.layers",    0, ALL(12) },
    { VISION,  "num_attention_heads", "model.vision.heads",     0, ALL(12) },
    { VISION,  "image_size",          "model.vision.image",     0, ALL(224) },
    { VISION,  "patch_size",          "model.vision.patch",     0, ALL(16) },
    { VISION,  "layer_norm_eps",      NULL,                     1e-6, ALL(1e-6) },
    { VISION,  "num_channels",        NULL,                     3, ALL(3) },
    { TEXT,    "hidden_size",         "model.text.width",       0, ALL(768) },
    { TEXT,    "intermediate_size",   "model.text.ffn",         0, ALL(3072) },
    { TEXT,    "num_hidden_layers",   "model.text.layers",      0, ALL(12) },
    { TEXT,    "num_attention_heads", "model.text.heads",       0, ALL(12) },
    { TEXT,    "vocab_size",          "model.decoder.vocab",    0, ALL(32000) },
    { TEXT,    "max_position_embeddings", "model.text.max_len", 0, ALL(64) },
    { TEXT,    "layer_norm_eps",      NULL,                     1e-6, ALL(1e-6) },
    { DECODER, "hidden_size",         "model.decoder.width",    0, ALL(4096) },
    { DECODER, "intermediate_size",   "model.decoder.ffn",      0, { 11008, 14336, 22016 } },
    { DECODER, "num_hidden_layers",   "model.decoder.layers",   0, ALL(32) },
    { DECODER, "num_attention_heads", "model.decoder.heads",    0, ALL(32) },
    { DECODER, "num_key_value_heads", "model.decoder.kv_heads", 0, { HUGE_VAL, 8, 32 } },
    { DECODER, "vocab_size",          "model.decoder.vocab",    0, { 32000, 32000, 151936 } },
    { DECODER, "rope_theta",          "model.decoder.rope_theta", 0, ALL(10000) },
    { DECODER, "rms_norm_eps",        "model.decoder.eps",      0, ALL(1e-6) },
};
static const struct { int section; const char *theirs, *must; } WORD[] = {
    { VISION, "hidden_act", "gelu_pytorch_tanh" }, { TEXT, "hidden_act", "gelu_pytorch_tanh" }, { DECODER, "hidden_act", "silu" },
};
enum { NUMBERS = sizeof NUMBER / sizeof *NUMBER, WORDS = sizeof WORD / sizeof *WORD };

/* ---- reading ---- */

typedef struct {
    HfNumber     *number;
    const void   *config;
    HfDifference *d;
    int           n, type;          /* type: LLAMA ... */
} Compare;

static void differ(Compare *c, const char *ours, const char *group, const char *theirs, const char *expected, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
static void differ(Compare *c, const char *ours, const char *group, const char *theirs, const char *expected, const char *fmt, ...)
{
    if (c->n == HF_DIFFERENCES)
        return;
    HfDifference *d = &c->d[c->n++];
    va_list ap;
    snprintf(d->ours, sizeof d->ours, "%s", ours);
    snprintf(d->theirs, sizeof d->theirs, "%s%s", group, theirs);
    snprintf(d->expected, sizeof d->expected, "%s", expected);
    va_start(ap, fmt);
    vsnprintf(d->got, sizeof d->got, fmt, ap);
    va_end(ap);
}

static void compare_number(Compare *c, const char *ours, double want, const char *group, const char *theirs, double got)
{
    char expected[48];
    if (fabs(got - want) <= 1e-6 * fabs(want))      /* sizes exactly; 1e-5 may have been an fp32 on its way */
        return;
    snprintf(expected, sizeof expected, "%.9g", want);
    differ(c, ours, group, theirs, expected, "%.9g", got);
}

static void compare_section(Compare *c, int section, const char *group, const json_t *j)
{
    for (int i = 0; i < NUMBERS; i++) {
        const json_t *x = json_object_get(j, NUMBER[i].theirs);
        if (!x && !strcmp(NUMBER[i].theirs, "rope_theta"))
            x = json_object_get(json_object_get(j, "rope_parameters"), "rope_theta");
        double got = json_is_number(x) ? json_number_value(x) : NUMBER[i].by_default[c->type];
        if (got == HUGE_VAL)
            got = json_is_number(json_object_get(j, "num_attention_heads"))
                ? json_number_value(json_object_get(j, "num_attention_heads")) : 32;
        if (NUMBER[i].section == section)
            compare_number(c, NUMBER[i].ours ? NUMBER[i].ours : "",
                           NUMBER[i].ours ? c->number(c->config, NUMBER[i].ours) : NUMBER[i].constant, group, NUMBER[i].theirs, got);
    }
    for (int i = 0; i < WORDS; i++) {
        const json_t *x = json_object_get(j, WORD[i].theirs);
        if (WORD[i].section == section && json_is_string(x) && strcmp(json_string_value(x), WORD[i].must))
            differ(c, "", group, WORD[i].theirs, WORD[i].must, "%s", json_string_value(x));
    }
}

static bool plain_rope(const json_t *x)
{
    const char *type = json_string_value(json_object_get(x, "rope_type"));
    return !x || json_is_null(x) || (json_is_object(x) && (!type || !strcmp(type, "default")) && !json_object_get(x, "factor"));
}

static void compare_decoder(Compare *c, const char *group, const json_t *j)
{
    const double width = c->number(c->config, "model.decoder.width"), heads = c->number(c->config, "model.decoder.heads");
    const double longest = c->number(c->config, "model.decoder.max_len"), bias = c->number(c->config, "model.decoder.qkv_bias");
    const json_t *dim = json_object_get(j, "head_dim"), *window = json_object_get(j, "sliding_window");
    const bool theirs = c->type == QWEN2 || (c->type == LLAMA && json_is_true(json_object_get(j, "attention_bias")));
    compare_section(c, DECODER, group, j);
    if (json_is_number(dim))
        compare_number(c, "", width / heads, group, "head_dim", json_number_value(dim));
    if (theirs != (bias != 0))
        differ(c, "model.decoder.qkv_bias", group, "model_type", bias != 0 ? "true" : "false", "%s", theirs ? "true" : "false");
    if (!plain_rope(json_object_get(j, "rope_scaling")) || !plain_rope(json_object_get(j, "rope_parameters")))
        differ(c, "", group, "rope_scaling", "null", "scaled rotary embeddings");
    const double reach = json_is_number(window) ? json_number_value(window) : window ? HUGE_VAL : 4096;
    if ((c->type == MISTRAL || json_is_true(json_object_get(j, "use_sliding_window"))) && reach < longest) {
        char expected[48];
        snprintf(expected, sizeof expected, "at most %.0f", reach);
        differ(c, "model.decoder.max_len", group, "sliding_window", expected, "%.0f", longest);
    }
}

/* hidden_states[n] counts from either end. */
static void compare_llava(Compare *c, const json_t *root)
{
    const json_t *layer = json_object_get(root, "vision_feature_layer");
    const char *strategy = json_string_value(json_object_get(root, "vision_feature_select_strategy"));
    const char *act = json_string_value(json_object_get(root, "projector_hidden_act"));
    double got = json_is_integer(layer) ? json_number_value(layer) : -2;
    if (got >= 0)
        got -= c->number(c->config, "model.vision.layers") + 1;
    if (json_is_array(layer))
        differ(c, "model.vision.select_layer", "", "vision_feature_layer", "one layer", "a list of layers");
    else
        compare_number(c, "model.vision.select_layer", c->number(c->config, "model.vision.select_layer"), "",
                       "vision_feature_layer", got);
    if (!strategy || strcmp(strategy, "full"))
        differ(c, "", "", "vision_feature_select_strategy", "full", "%s", strategy ? strategy : "default");
    if (act && strcmp(act, "gelu"))
        differ(c, "", "", "projector_hidden_act", "gelu", "%s", act);
}

static int decoder_type(const char *name)
{
    static const char *const NAME[] = { "llama", "mistral", "qwen2" };
    for (int i = 0; i < DECODERS; i++)
        if (!strcmp(name, NAME[i]))
            return i;
    return -1;
}

static bool compare_root(Compare *c, const json_t *root, const char *path, Err *e)
{
    const char *type = json_string_value(json_object_get(root, "model_type"));
    const json_t *text = json_object_get(root, "text_config"), *vision = json_object_get(root, "vision_config");
    const char *text_type = json_string_value(json_object_get(text, "model_type"));
    const char *vision_type = json_string_value(json_object_get(vision, "model_type"));
    type = type ? type : "none";
    if (decoder_type(type) >= 0) {
        c->type = decoder_type(type);
        compare_decoder(c, "", root);
        return true;
    }
    if (!strcmp(type, "siglip_vision_model")) {
        compare_section(c, VISION, "", root);
        return true;
    }
    if (!strcmp(type, "siglip")) {
        compare_section(c, VISION, "vision_config.", vision);
        compare_section(c, TEXT, "text_config.", text);
        return true;
    }
    c->type = decoder_type(text_type ? text_type : "llama");
    if (!strcmp(type, "llava") && c->type >= 0 && vision_type && !strcmp(vision_type, "siglip_vision_model")) {
        compare_llava(c, root);
        compare_section(c, VISION, "vision_config.", vision);
        compare_decoder(c, "text_config.", text);
        return true;
    }
    err_expected(e, "llama, mistral, qwen2, siglip, siglip_vision_model, or llava with a siglip_vision_model and one of the first three");
    err_got(e, "%s (text_config: %s, vision_config: %s)", type, text_type ? text_type : "none", vision_type ? vision_type : "none");
    return err_set(e, EXIT_DATA, path, "", "config.json is of a model that cannot be imported");
}

int hfconfig_compare(const char *text, size_t bytes, const char *path, HfNumber *number, const void *config,
                     HfDifference d[HF_DIFFERENCES], Err *e)
{
    Compare c = { .number = number, .config = config, .d = d };
    json_error_t err;
    char where[sizeof e->where];
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &err);
    snprintf(where, sizeof where, "%.480s, byte %d", path, root ? 0 : err.position);
    bool ok = root || err_set(e, EXIT_DATA, where, "", "config.json is not JSON: %s", err.text);
    ok = ok && compare_root(&c, root, path, e);
    json_decref(root);
    return ok ? c.n : -1;
}
