#include "io/hf/hfconfig.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/hf/hfkeys.h"

/* ---- the table ---- */

enum { VISION = HF_VISION, TEXT = HF_TEXT, DECODER = HF_DECODER, CLIP = HF_CLIP };
enum { LLAMA, MISTRAL, QWEN2, QWEN3, DECODERS };
static const char *const DECODER_NAME[] = { "llama", "mistral", "qwen2", "qwen3" };

#define ALL(x) { x, x, x, x }

/* ours NULL: a constant of ours.  A default of HUGE_VAL is the number of heads. */
static const struct { int section; const char *theirs, *ours; double constant, by_default[DECODERS]; } NUMBER[] = {
    { VISION,  "hidden_size",         "model.vision.width",     0, ALL(768) },
    { VISION,  "intermediate_size",   "model.vision.ffn",       0, ALL(3072) },
    { VISION,  "num_hidden_layers",   "model.vision.layers",    0, ALL(12) },
    { VISION,  "num_attention_heads", "model.vision.heads",     0, ALL(12) },
    { VISION,  "image_size",          "model.vision.image",     0, ALL(224) },
    { VISION,  "patch_size",          "model.vision.patch",     0, ALL(16) },
    { VISION,  "layer_norm_eps",      NULL,                     1e-6, ALL(1e-6) },
    { VISION,  "num_channels",        NULL,                     3, ALL(3) },
    { CLIP,    "hidden_size",         "model.vision.width",     0, ALL(768) },
    { CLIP,    "intermediate_size",   "model.vision.ffn",       0, ALL(3072) },
    { CLIP,    "num_hidden_layers",   "model.vision.layers",    0, ALL(12) },
    { CLIP,    "num_attention_heads", "model.vision.heads",     0, ALL(12) },
    { CLIP,    "image_size",          "model.vision.image",     0, ALL(224) },
    { CLIP,    "patch_size",          "model.vision.patch",     0, ALL(32) },
    { CLIP,    "layer_norm_eps",      NULL,                     1e-5, ALL(1e-5) },
    { CLIP,    "num_channels",        NULL,                     3, ALL(3) },
    { TEXT,    "hidden_size",         "model.text.width",       0, ALL(768) },
    { TEXT,    "intermediate_size",   "model.text.ffn",         0, ALL(3072) },
    { TEXT,    "num_hidden_layers",   "model.text.layers",      0, ALL(12) },
    { TEXT,    "num_attention_heads", "model.text.heads",       0, ALL(12) },
    { TEXT,    "vocab_size",          "model.decoder.vocab",    0, ALL(32000) },
    { TEXT,    "max_position_embeddings", "model.text.max_len", 0, ALL(64) },
    { TEXT,    "layer_norm_eps",      NULL,                     1e-6, ALL(1e-6) },
    { DECODER, "hidden_size",         "model.decoder.width",    0, ALL(4096) },
    { DECODER, "intermediate_size",   "model.decoder.ffn",      0, { 11008, 14336, 22016, 22016 } },
    { DECODER, "num_hidden_layers",   "model.decoder.layers",   0, ALL(32) },
    { DECODER, "num_attention_heads", "model.decoder.heads",    0, ALL(32) },
    { DECODER, "num_key_value_heads", "model.decoder.kv_heads", 0, { HUGE_VAL, 8, 32, 32 } },
    { DECODER, "vocab_size",          "model.decoder.vocab",    0, { 32000, 32000, 151936, 151936 } },
    { DECODER, "rope_theta",          "model.decoder.rope_theta", 0, ALL(10000) },
    { DECODER, "rms_norm_eps",        "model.decoder.eps",      0, ALL(1e-6) },
};
static const struct { int section; const char *theirs, *must; } WORD[] = {
    { VISION, "hidden_act", "gelu_pytorch_tanh" }, { TEXT, "hidden_act", "gelu_pytorch_tanh" }, { DECODER, "hidden_act", "silu" },
    { CLIP, "hidden_act", "quick_gelu" },
};
enum { NUMBERS = sizeof NUMBER / sizeof *NUMBER, WORDS = sizeof WORD / sizeof *WORD };

/* What stretches rotary embeddings, and ours. */
static const struct { const char *theirs, *ours; } STRETCH[] = {
    { "factor", "model.decoder.rope_factor" }, { "low_freq_factor", "model.decoder.rope_low_freq_factor" },
    { "high_freq_factor", "model.decoder.rope_high_freq_factor" },
    { "original_max_position_embeddings", "model.decoder.rope_original_max_len" },
};
enum { STRETCHES = sizeof STRETCH / sizeof *STRETCH };

/* Keys that are looked at one by one below. */
static const struct { int section; const char *key; } LOOKED_AT[] = {
    { DECODER, "head_dim" }, { DECODER, "rope_scaling" }, { DECODER, "rope_parameters" }, { DECODER, "sliding_window" },
    { DECODER, "use_sliding_window" }, { DECODER, "layer_types" }, { HF_ROOT, "vision_feature_layer" },
    { HF_ROOT, "vision_feature_select_strategy" }, { HF_ROOT, "projector_hidden_act" }, { HF_ROPE, "rope_type" }, { HF_ROPE, "type" },
    { HF_ROPE, "rope_theta" }, { HF_FLAT, "mm_vision_select_layer" },
};

/* ---- reading ---- */

typedef struct {
    HfNumber     *number;
    const void   *config;
    HfDifference *d;
    int           n, type;          /* type: LLAMA ... */
    unsigned      beside;           /* keys of this section, too, stand among a decoder's */
} Compare;

/* What a file says goes to a terminal. */
static void tame(char *s)
{
    for (; *s; s++)
        *s = (unsigned char)*s < ' ' || *s == 127 ? '?' : *s;
}

static HfDifference *differ(Compare *c, const char *ours, const char *group, const char *theirs, const char *expected, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
static HfDifference *differ(Compare *c, const char *ours, const char *group, const char *theirs, const char *expected, const char *fmt, ...)
{
    HfDifference *d = &c->d[c->n < HF_DIFFERENCES ? c->n++ : HF_DIFFERENCES - 1];
    va_list ap;
    *d = (HfDifference){ 0 };
    snprintf(d->ours, sizeof d->ours, "%s", ours);
    snprintf(d->theirs, sizeof d->theirs, "%s%s", group, theirs);
    snprintf(d->expected, sizeof d->expected, "%s", expected);
    va_start(ap, fmt);
    vsnprintf(d->got, sizeof d->got, fmt, ap);
    va_end(ap);
    tame(d->theirs);
    tame(d->got);
    return d;
}

static double ours(const Compare *c, const char *key) { return c->number(c->config, key); }

static void compare_number(Compare *c, const char *our_key, double want, const char *group, const char *theirs, double got)
{
    char expected[48];
    if (fabs(got - want) <= 1e-6 * fabs(want))      /* sizes exactly; 1e-5 may have been an fp32 on its way */
        return;
    snprintf(expected, sizeof expected, "%.9g", want);
    differ(c, our_key, group, theirs, expected, "%.9g", got);
}

static bool is_mapped(unsigned section, const char *key)
{
    for (int i = 0; i < NUMBERS; i++)
        if (((unsigned)NUMBER[i].section & section) && !strcmp(NUMBER[i].theirs, key))
            return true;
    for (int i = 0; i < WORDS; i++)
        if (((unsigned)WORD[i].section & section) && !strcmp(WORD[i].theirs, key))
            return true;
    for (int i = 0; i < STRETCHES; i++)
        if (section == HF_ROPE && !strcmp(STRETCH[i].theirs, key))
            return true;
    for (size_t i = 0; i < sizeof LOOKED_AT / sizeof *LOOKED_AT; i++)
        if (((unsigned)LOOKED_AT[i].section & section) && !strcmp(LOOKED_AT[i].key, key))
            return true;
    return false;
}

/* Every key that nobody here knows may change what the model computes.  One that is null says nothing. */
static void compare_keys(Compare *c, unsigned section, const char *group, const json_t *j)
{
    const char *key;
    json_t *x;
    json_object_foreach((json_t *)j, key, x) {
        const unsigned all = section | (section == DECODER ? c->beside : 0);
        const char *must = hfkeys_must(all, key);
        if (json_is_null(x) || is_mapped(all, key) || hfkeys_harmless(all, key) || (must && hfkeys_is(x, must)))
            continue;
        char *text = json_dumps(x, JSON_ENCODE_ANY | JSON_COMPACT | JSON_ENSURE_ASCII);
        HfDifference *d = differ(c, "", group, key, must ? must : "a key that asvr knows", "%.80s", text ? text : "?");
        d->unknown = !must;
        free(text);
    }
}

static void compare_section(Compare *c, int section, const char *group, const json_t *j)
{
    for (int i = 0; i < NUMBERS; i++) {
        const json_t *x = json_object_get(j, NUMBER[i].theirs);
        if (NUMBER[i].section != section)
            continue;
        if (!x && !strcmp(NUMBER[i].theirs, "rope_theta"))
            x = json_object_get(json_object_get(j, "rope_parameters"), "rope_theta");
        if (x && !json_is_number(x) && !json_is_null(x)) {
            differ(c, "", group, NUMBER[i].theirs, "a number", "something else");
            continue;
        }
        double got = json_is_number(x) ? json_number_value(x) : NUMBER[i].by_default[c->type];
        if (got == HUGE_VAL || (json_is_null(x) && NUMBER[i].by_default[LLAMA] == HUGE_VAL))       /* null is no default */
            got = json_is_number(json_object_get(j, "num_attention_heads"))
                ? json_number_value(json_object_get(j, "num_attention_heads")) : 32;
        compare_number(c, NUMBER[i].ours ? NUMBER[i].ours : "", NUMBER[i].ours ? ours(c, NUMBER[i].ours) : NUMBER[i].constant, group,
                       NUMBER[i].theirs, got);
    }
    for (int i = 0; i < WORDS; i++) {
        const json_t *x = json_object_get(j, WORD[i].theirs);
        if (WORD[i].section == section && json_is_string(x) && strcmp(json_string_value(x), WORD[i].must))
            differ(c, "", group, WORD[i].theirs, WORD[i].must, "%s", json_string_value(x));
    }
    compare_keys(c, (unsigned)section, group, j);
}

/* ---- the decoder ---- */

static void compare_rope(Compare *c, const char *group, const json_t *j)
{
    static const char *const OURS[] = { "none", "linear", "llama3" }, *const THEIRS[] = { "default", "linear", "llama3" };
    const json_t *x = json_object_get(j, "rope_scaling");
    const char *name = json_is_object(x) ? "rope_scaling" : "rope_parameters";
    const int want = (int)ours(c, "model.decoder.rope_scaling");
    char inside[96];
    x = json_object_get(j, name);
    const char *type = json_string_value(json_object_get(x, "rope_type"));
    type = type ? type : json_string_value(json_object_get(x, "type"));
    type = type ? type : THEIRS[0];
    int kind = 0;
    while (kind < 3 && strcmp(type, THEIRS[kind]))
        kind++;
    snprintf(inside, sizeof inside, "%s%s.", group, name);
    if (kind == 3)
        differ(c, "", group, "rope_scaling", "default, linear or llama3", "%s", type);
    else if (kind != want)
        differ(c, "model.decoder.rope_scaling", group, "rope_scaling", OURS[want], "%s", OURS[kind]);
    for (int i = 0; kind == want && kind > 0 && i < (kind == 1 ? 1 : STRETCHES); i++)
        compare_number(c, STRETCH[i].ours, ours(c, STRETCH[i].ours), inside, STRETCH[i].theirs,
                       json_number_value(json_object_get(x, STRETCH[i].theirs)));
    if (json_is_object(x) && kind < 3)
        compare_keys(c, HF_ROPE, inside, x);
}

/* A window that reaches over the longest sequence is none. */
static void compare_window(Compare *c, const char *group, const json_t *j)
{
    const double longest = ours(c, "model.decoder.max_len");
    const json_t *window = json_object_get(j, "sliding_window"), *types = json_object_get(j, "layer_types"), *x;
    const double reach = json_is_number(window) ? json_number_value(window) : window ? HUGE_VAL : 4096;
    bool slides = c->type == MISTRAL || (json_is_true(json_object_get(j, "use_sliding_window")) && !json_is_array(types));
    size_t i;
    json_array_foreach((json_t *)types, i, x) {
        const char *type = json_is_string(x) ? json_string_value(x) : "?";
        slides |= !strcmp(type, "sliding_attention");
        if (strcmp(type, "sliding_attention") && strcmp(type, "full_attention")) {
            differ(c, "", group, "layer_types", "full_attention", "%.80s", type);
            return;
        }
    }
    if (slides && reach < longest) {
        char expected[48];
        snprintf(expected, sizeof expected, "at most %.0f", reach);
        differ(c, "model.decoder.max_len", group, "sliding_window", expected, "%.0f", longest);
    }
}

/* What a model_type has, or has not. */
static void compare_kind(Compare *c, const char *our_key, const char *group, bool got)
{
    const bool want = ours(c, our_key) != 0;
    if (want != got)
        differ(c, our_key, group, "model_type", want ? "true" : "false", "%s", DECODER_NAME[c->type]);
}

static void compare_decoder(Compare *c, const char *group, const json_t *j)
{
    const double given = ours(c, "model.decoder.head_dim"), shared = ours(c, "model.decoder.width") / ours(c, "model.decoder.heads");
    const json_t *dim = json_object_get(j, "head_dim"), *width = json_object_get(j, "hidden_size"), *heads = json_object_get(j, "num_attention_heads");
    compare_section(c, DECODER, group, j);
    if (json_is_number(dim) || c->type == QWEN3)
        compare_number(c, "model.decoder.head_dim", given > 0 ? given : shared, group, "head_dim", json_is_number(dim) ? json_number_value(dim) : 128);
    else if (given > 0 && json_is_number(width) && json_is_number(heads))
        compare_number(c, "model.decoder.head_dim", given, group, "head_dim", json_number_value(width) / json_number_value(heads));
    compare_kind(c, "model.decoder.qkv_bias", group, c->type == QWEN2);
    compare_kind(c, "model.decoder.qk_norm", group, c->type == QWEN3);
    compare_rope(c, group, j);
    compare_window(c, group, j);
}

/* ---- towers, and what joins them ---- */

static const char *const TOWER[] = { "siglip_vision_model", "clip_vision_model" }, *const KIND[] = { "siglip", "clip" };

static int tower_kind(const char *type)
{
    for (int i = 0; type && i < 2; i++)
        if (!strcmp(type, TOWER[i]))
            return i;
    return -1;
}

static void compare_tower(Compare *c, const char *group, const json_t *j, int kind)
{
    const int want = (int)ours(c, "model.vision.kind");
    if (want != kind)
        differ(c, "model.vision.kind", group, "model_type", KIND[want], "%s", KIND[kind]);
    compare_section(c, kind ? CLIP : VISION, group, j);
}

/* hidden_states[n] counts from either end.  Of CLIP's rows the first, the class, is nobody's; SigLIP has none to drop. */
static void compare_llava(Compare *c, const json_t *root, int kind)
{
    const json_t *layer = json_object_get(root, "vision_feature_layer");
    const char *strategy = json_string_value(json_object_get(root, "vision_feature_select_strategy"));
    const char *act = json_string_value(json_object_get(root, "projector_hidden_act")), *must = kind ? "default" : "full";
    double got = json_is_integer(layer) ? json_number_value(layer) : -2;
    if (got >= 0)
        got -= ours(c, "model.vision.layers") + 1;
    if (json_is_array(layer))
        differ(c, "model.vision.select_layer", "", "vision_feature_layer", "one layer", "a list of layers");
    else
        compare_number(c, "model.vision.select_layer", ours(c, "model.vision.select_layer"), "", "vision_feature_layer", got);
    strategy = strategy ? strategy : "default";
    if (strcmp(strategy, must))
        differ(c, "", "", "vision_feature_select_strategy", must, "%s", strategy);
    if (act && strcmp(act, "gelu"))
        differ(c, "", "", "projector_hidden_act", "gelu", "%s", act);
    compare_keys(c, HF_ROOT, "", root);
}

static int decoder_type(const char *name)
{
    for (int i = 0; i < DECODERS; i++)
        if (!strcmp(name, DECODER_NAME[i]))
            return i;
    return -1;
}

/* LLaVA's own code: "llava", "llava_llama", "llava_mistral", "llava_qwen", one set of keys; the tower lies elsewhere. */
static bool compare_flat(Compare *c, const char *type, const json_t *root)
{
    const char *tail = strncmp(type, "llava", 5) ? NULL : type[5] == '_' ? type + 6 : type[5] ? NULL : "llama";
    const json_t *layer = json_object_get(root, "mm_vision_select_layer");
    const int decoder = !tail ? -1 : !strcmp(tail, "qwen") ? QWEN2 : decoder_type(tail);
    if (decoder < 0 || !json_object_get(root, "mm_vision_tower"))
        return false;
    c->type = decoder;
    c->beside = HF_FLAT;
    if (json_is_number(layer))
        compare_number(c, "model.vision.select_layer", ours(c, "model.vision.select_layer"), "", "mm_vision_select_layer", json_number_value(layer));
    compare_decoder(c, "", root);
    return true;
}

/* Why a model that is near to one of ours is none. */
static const char *why_not(const char *type)
{
    if (strstr(type, "siglip2"))
        return "SigLIP 2 of one resolution is model_type siglip; towers of any resolution (NaFlex) are not supported";
    if (strstr(type, "moe") || strstr(type, "mixtral"))
        return "mixtures of experts are not supported";
    return "docs/FORMATS.md lists the models that can be";
}

static bool compare_root(Compare *c, const json_t *root, const char *path, Err *e)
{
    const json_t *text = json_object_get(root, "text_config"), *vision = json_object_get(root, "vision_config");
    const char *type = json_string_value(json_object_get(root, "model_type"));
    const char *text_type = json_string_value(json_object_get(text, "model_type"));
    const char *vision_type = json_string_value(json_object_get(vision, "model_type"));
    type = type ? type : "none";
    c->type = LLAMA;
    if (decoder_type(type) >= 0) {
        c->type = decoder_type(type);
        compare_decoder(c, "", root);
        return true;
    }
    if (compare_flat(c, type, root))
        return true;
    if (tower_kind(type) >= 0) {
        compare_tower(c, "", root, tower_kind(type));
        return true;
    }
    if (!strcmp(type, "siglip")) {
        compare_tower(c, "vision_config.", vision, 0);
        compare_section(c, TEXT, "text_config.", text);
        compare_keys(c, HF_ROOT, "", root);
        return true;
    }
    if (!strcmp(type, "clip")) {                    /* its text tower is not imported */
        compare_tower(c, "vision_config.", vision, 1);
        compare_keys(c, HF_ROOT, "", root);
        return true;
    }
    const bool llava = !strcmp(type, "llava");
    const int decoder = decoder_type(text_type ? text_type : "llama");
    if (llava && decoder >= 0 && tower_kind(vision_type) >= 0) {
        compare_llava(c, root, tower_kind(vision_type));
        compare_tower(c, "vision_config.", vision, tower_kind(vision_type));
        c->type = decoder;
        compare_decoder(c, "text_config.", text);
        return true;
    }
    err_expected(e, "llama, mistral, qwen2, qwen3, siglip, clip, a siglip_ or clip_vision_model, or llava with one of the first four and a tower");
    err_got(e, "%s (text_config: %s, vision_config: %s)", type, text_type ? text_type : "none", vision_type ? vision_type : "none");
    return err_set(e, EXIT_DATA, path, why_not(!llava ? type : decoder < 0 ? text_type : vision_type ? vision_type : ""),
                   "config.json is of a model that cannot be imported");
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

bool hfconfig_says_tied(const char *text, size_t bytes)
{
    json_t *root = json_loadb(text, bytes, 0, NULL);
    const json_t *inner = json_object_get(json_object_get(root, "text_config"), "tie_word_embeddings");
    const bool tied = json_is_true(inner ? inner : json_object_get(root, "tie_word_embeddings"));
    json_decref(root);
    return tied;
}
