#include "io/hf/hfwrite.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

/* ---- config.json ---- */

enum { VISION, TEXT, DECODER };       /* sections */

/* ours NULL: a constant of ours. */
static const struct { int section; const char *theirs, *ours; double constant; } NUMBER[] = {
    { VISION,  "hidden_size",             "model.vision.width",       0 },
    { VISION,  "intermediate_size",       "model.vision.ffn",         0 },
    { VISION,  "num_attention_heads",     "model.vision.heads",       0 },
    { VISION,  "image_size",              "model.vision.image",       0 },
    { VISION,  "patch_size",              "model.vision.patch",       0 },
    { VISION,  "num_channels",            NULL,                       3 },
    { TEXT,    "hidden_size",             "model.text.width",         0 },
    { TEXT,    "intermediate_size",       "model.text.ffn",           0 },
    { TEXT,    "num_hidden_layers",       "model.text.layers",        0 },
    { TEXT,    "num_attention_heads",     "model.text.heads",         0 },
    { TEXT,    "vocab_size",              "model.decoder.vocab",      0 },
    { TEXT,    "max_position_embeddings", "model.text.max_len",       0 },
    { TEXT,    "layer_norm_eps",          NULL,                       1e-6 },
    { DECODER, "hidden_size",             "model.decoder.width",      0 },
    { DECODER, "intermediate_size",       "model.decoder.ffn",        0 },
    { DECODER, "num_hidden_layers",       "model.decoder.layers",     0 },
    { DECODER, "num_attention_heads",     "model.decoder.heads",      0 },
    { DECODER, "num_key_value_heads",     "model.decoder.kv_heads",   0 },
    { DECODER, "max_position_embeddings", "model.decoder.max_len",    0 },
    { DECODER, "rope_theta",              "model.decoder.rope_theta", 0 },
    { DECODER, "rms_norm_eps",            "model.decoder.eps",        0 },
};

static void put(json_t *j, const char *key, json_t *value) { json_object_set_new(j, key, value); }
static void put_string(json_t *j, const char *key, const char *s) { put(j, key, json_string(s)); }
static void put_int(json_t *j, const char *key, double n) { put(j, key, json_integer((json_int_t)n)); }
static void put_token(json_t *j, const char *key, int id) { put(j, key, id < 0 ? json_null() : json_integer(id)); }

/* The id, or a list where there are several. */
static void put_stops(json_t *j, const HfExport *x)
{
    json_t *list = json_array();
    for (int i = 0; i < x->stops; i++)
        json_array_append_new(list, json_integer(x->stop[i]));
    put(j, "eos_token_id", x->stops == 1 ? json_integer(x->stop[0]) : x->stops ? json_incref(list) : json_null());
    json_decref(list);
}

static char *text_of(json_t *root)
{
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    CHECK(text, "no memory for a file in JSON");
    json_decref(root);
    return text;
}

static json_t *section(HfNumber *number, const void *config, int which, const char *model_type)
{
    json_t *j = json_pack("{s:s}", "model_type", model_type);
    for (size_t i = 0; i < sizeof NUMBER / sizeof *NUMBER; i++) {
        if (NUMBER[i].section != which)
            continue;
        const double value = NUMBER[i].ours ? number(config, NUMBER[i].ours) : NUMBER[i].constant;
        const bool real = strstr(NUMBER[i].theirs, "eps") || strstr(NUMBER[i].theirs, "theta");
        put(j, NUMBER[i].theirs, real ? json_real(value) : json_integer((json_int_t)value));
    }
    return j;
}

/* What the two kinds of towers differ in; as values of model.vision.kind. */
static const struct { const char *type, *act, *strategy; double eps, mean[3], std[3]; int class_rows; } TOWER[] = {
    { "siglip_vision_model", "gelu_pytorch_tanh", "full", 1e-6, { .5, .5, .5 }, { .5, .5, .5 }, 0 },
    { "clip_vision_model", "quick_gelu", "default", 1e-5, { 0.48145466, 0.4578275, 0.40821073 }, { 0.26862954, 0.26130258, 0.27577711 }, 1 },
};

static int tower(HfNumber *number, const void *config) { return (int)number(config, "model.vision.kind"); }

static json_t *vision(HfNumber *number, const void *config, const HfExport *x)
{
    const int kind = tower(number, config);
    json_t *j = section(number, config, VISION, TOWER[kind].type);
    put_string(j, "hidden_act", TOWER[kind].act);
    put(j, "layer_norm_eps", json_real(TOWER[kind].eps));
    put_int(j, "num_hidden_layers", x->vision_layers);
    if (kind == 0)
        put(j, "vision_use_head", json_boolean(x->pool));
    return j;
}

/* As values of model.decoder.qkv_bias and .qk_norm. */
static const char *const DECODER_TYPE[2][2] = { { "llama", "qwen3" }, { "qwen2", NULL } };
static const char *const DECODER_CLASS[2][2] = { { "LlamaForCausalLM", "Qwen3ForCausalLM" }, { "Qwen2ForCausalLM", NULL } };

static const char *decoder_is(HfNumber *number, const void *config, const char *const what[2][2])
{
    const char *name = what[number(config, "model.decoder.qkv_bias") != 0][number(config, "model.decoder.qk_norm") != 0];
    return name ? name : what[1][0];
}

/* NULL in JSON where rotary embeddings are as they were trained first. */
static json_t *stretch(HfNumber *number, const void *config)
{
    const int kind = (int)number(config, "model.decoder.rope_scaling");
    if (kind == 0)
        return json_null();
    json_t *j = json_pack("{s:s, s:f}", "rope_type", kind == 1 ? "linear" : "llama3", "factor", number(config, "model.decoder.rope_factor"));
    if (kind == 2) {
        put(j, "low_freq_factor", json_real(number(config, "model.decoder.rope_low_freq_factor")));
        put(j, "high_freq_factor", json_real(number(config, "model.decoder.rope_high_freq_factor")));
        put_int(j, "original_max_position_embeddings", number(config, "model.decoder.rope_original_max_len"));
    }
    return j;
}

static json_t *decoder(HfNumber *number, const void *config, const HfExport *x)
{
    json_t *j = section(number, config, DECODER, decoder_is(number, config, DECODER_TYPE));
    const double size = number(config, "model.decoder.head_dim");
    put_string(j, "hidden_act", "silu");
    if (size > 0 || number(config, "model.decoder.qk_norm") != 0)           /* Qwen3 has another default */
        put_int(j, "head_dim", size > 0 ? size : number(config, "model.decoder.width") / number(config, "model.decoder.heads"));
    put(j, "rope_scaling", stretch(number, config));
    put_int(j, "vocab_size", x->vocab ? x->vocab : number(config, "model.decoder.vocab"));
    put(j, "tie_word_embeddings", json_boolean(x->tied));
    put_token(j, "bos_token_id", x->bos);
    put_stops(j, x);
    put_string(j, "torch_dtype", x->dtype);
    return j;
}

/* What no library knows: how the visual head is shaped and was trained. */
static json_t *own(HfNumber *number, const void *config, const HfExport *x)
{
    static const char *const KEY[] = { "model.codes.depth", "model.codes.size", "model.codes.shared", "model.head.width",
                                       "model.head.layers", "model.head.heads", "model.head.tied", "model.vision.scales",
                                       "train.visual_shift", "train.denoise_draws" };
    json_t *j = json_object();
    /* Which of the tower's hidden states is quantized, counted from the embeddings: also right where blocks are missing. */
    const double states = number(config, "model.vision.layers") + 1, early = number(config, "model.codes.appearance_layer");
    put_int(j, "codes_hidden_state", states + number(config, "model.codes.layer"));
    put(j, "appearance_hidden_state", early < 0 ? json_integer((json_int_t)(states + early)) : json_null());
    put(j, "codes_own_tower", json_boolean(number(config, "model.codes.tower") != 0));
    put(j, "discrete_input", json_boolean(number(config, "model.vision.input") != 0));
    for (size_t i = 0; i < sizeof KEY / sizeof *KEY; i++) {
        char key[64];
        snprintf(key, sizeof key, "%s", strchr(KEY[i], '.') + 1);
        for (char *s = key; *s; s++)
            *s = *s == '.' ? '_' : *s;
        const double v = number(config, KEY[i]);
        put(j, key, strstr(key, "shared") || strstr(key, "tied") ? json_boolean(v != 0) : json_integer((json_int_t)v));
    }
    put_string(j, "supervision", x->supervision);
    return j;
}

static int patches(HfNumber *number, const void *config)
{
    const int side = (int)number(config, "model.vision.image") / (int)number(config, "model.vision.patch");
    return side * side;
}

static json_t *llava(HfNumber *number, const void *config, const HfExport *x)
{
    /* The tower may have lost the blocks behind the features: they still are the same, counted from its new end. */
    const int lost = (int)number(config, "model.vision.layers") - x->vision_layers;
    json_t *j = json_pack("{s:[s], s:s}", "architectures", "LlavaForConditionalGeneration", "model_type", "llava");
    put(j, "vision_config", vision(number, config, x));
    put(j, "text_config", decoder(number, config, x));
    put_int(j, "vision_feature_layer", number(config, "model.vision.select_layer") + lost);
    put_string(j, "vision_feature_select_strategy", TOWER[tower(number, config)].strategy);
    put_string(j, "projector_hidden_act", "gelu");
    put(j, "multimodal_projector_bias", json_true());
    put_int(j, "image_token_index", x->image_token);
    put_int(j, "image_seq_length", patches(number, config));
    put(j, "tie_word_embeddings", json_boolean(x->tied));
    return j;
}

char *hfwrite_config(HfNumber *number, const void *config, const HfExport *x)
{
    json_t *root;
    if (x->layout == HF_LLAVA) {
        root = llava(number, config, x);
    } else if (x->layout == HF_SIGLIP && !x->text) {
        root = vision(number, config, x);
        put(root, "architectures", json_pack("[s]", tower(number, config) ? "CLIPVisionModel" : "SiglipVisionModel"));
    } else if (x->layout == HF_SIGLIP) {
        root = json_pack("{s:[s], s:s}", "architectures", "SiglipModel", "model_type", "siglip");
        put(root, "vision_config", vision(number, config, x));
        json_t *text = section(number, config, TEXT, "siglip_text_model");
        put_string(text, "hidden_act", "gelu_pytorch_tanh");
        put(root, "text_config", text);
    } else {
        root = decoder(number, config, x);
        put(root, "architectures", json_pack("[s]", decoder_is(number, config, DECODER_CLASS)));
    }
    put_string(root, "torch_dtype", x->dtype);
    if (x->supervision)
        put(root, "asvr", own(number, config, x));
    return text_of(root);
}

char *hfwrite_generation(const HfExport *x)
{
    json_t *root = json_object();
    put_token(root, "bos_token_id", x->bos);
    put_stops(root, x);
    put_token(root, "pad_token_id", x->pad_token);
    put(root, "do_sample", json_false());
    return text_of(root);
}

const char *hfwrite_beyond(HfNumber *number, const void *config)
{
    if (number(config, "model.projector.layers") != 2)
        return "its projector has always two layers (model.projector.layers)";
    if (number(config, "model.vision.scales") != 1)
        return "it sees a picture at one scale (model.vision.scales)";
    if (number(config, "model.vision.input") != 0)
        return "it has no codes in place of features (model.vision.input)";
    if (number(config, "model.decoder.qkv_bias") != 0 && number(config, "model.decoder.qk_norm") != 0)
        return "no decoder of it has both biases and norms of queries and keys (model.decoder.qkv_bias, qk_norm)";
    return NULL;
}

/* ---- pictures ---- */

/* Pillow's bicubic.  LLaVA's class pads to a square of the mean colour, SigLIP's stretches. */
char *hfwrite_pictures(HfNumber *number, const void *config, const HfExport *x)
{
    const int side = (int)number(config, "model.vision.image");
    const double *m = TOWER[tower(number, config)].mean, *d = TOWER[tower(number, config)].std;
    json_t *root = json_pack("{s:s, s:b, s:i, s:b, s:f, s:b, s:[f,f,f], s:[f,f,f], s:b}", "image_processor_type",
                             x->pad ? "LlavaImageProcessor" : "SiglipImageProcessor", "do_resize", 1, "resample", 3, "do_rescale", 1,
                             "rescale_factor", 1 / 255.0, "do_normalize", 1, "image_mean", m[0], m[1], m[2], "image_std", d[0], d[1], d[2],
                             "do_convert_rgb", 1);
    if (x->pad) {
        put(root, "do_pad", json_true());
        put(root, "size", json_pack("{s:i}", "shortest_edge", side));
        put(root, "do_center_crop", json_true());
        put(root, "crop_size", json_pack("{s:i, s:i}", "height", side, "width", side));
    } else {
        put(root, "size", json_pack("{s:i, s:i}", "height", side, "width", side));
    }
    if (x->layout == HF_LLAVA)
        put_string(root, "processor_class", "LlavaProcessor");
    char *text = json_dumps(root, JSON_INDENT(2));          /* 1/255 to its last bit */
    CHECK(text, "no memory for a file in JSON");
    json_decref(root);
    return text;
}

char *hfwrite_processor(HfNumber *number, const void *config)
{
    json_t *root = json_pack("{s:s, s:s}", "processor_class", "LlavaProcessor", "image_token", "<image>");
    put_int(root, "patch_size", number(config, "model.vision.patch"));
    put_int(root, "num_additional_image_tokens", TOWER[tower(number, config)].class_rows);
    put_string(root, "vision_feature_select_strategy", TOWER[tower(number, config)].strategy);
    return text_of(root);
}

/* ---- tokens ---- */

static void put_named(json_t *root, const HfTokens *t)
{
    static const char *const NAME[] = { "bos_token", "eos_token", "unk_token", "image_token" };
    const char *const word[] = { t->bos, t->eos, t->unk, t->image };
    for (size_t i = 0; i < sizeof NAME / sizeof *NAME; i++)
        if (word[i])
            put_string(root, NAME[i], word[i]);
    if (t->eos)
        put_string(root, "pad_token", t->eos);
}

char *hfwrite_tokens(const HfTokens *t)
{
    json_t *root = json_pack("{s:s, s:b, s:b, s:b, s:s, s:i, s:b}", "tokenizer_class", t->kind, "legacy", 0, "add_bos_token", t->add_bos,
                             "add_eos_token", 0, "padding_side", "left", "model_max_length", t->max_len, "clean_up_tokenization_spaces", 0);
    put_named(root, t);
    if (t->image)
        put_string(root, "processor_class", "LlavaProcessor");
    json_t *list = json_object();
    for (int i = 0; i < t->tokens; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", t->token[i].id);
        put(list, id, json_pack("{s:s, s:b, s:b, s:b, s:b, s:b}", "content", t->token[i].text, "lstrip", 0, "normalized",
                                t->bos && !strcmp(t->token[i].text, t->bos), "rstrip", 0, "single_word", 0, "special", t->token[i].special));
    }
    put(root, "added_tokens_decoder", list);
    return text_of(root);
}

char *hfwrite_special(const HfTokens *t)
{
    json_t *root = json_object();
    put_named(root, t);
    return text_of(root);
}
