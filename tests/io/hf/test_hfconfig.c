/*
 * config.json of published models: none of their keys is unknown, each differs from our configuration where it should.
 * Keys that change the mathematics are named; those that nobody knows, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/hf/hfconfig.h"

/* "key=value key=value", keys without "model."; what is not there is 0. */
static double number(const void *config, const char *key)
{
    const char *s = config, *name = key + strlen("model.");
    const size_t n = strlen(name);
    for (; *s; s += strcspn(s, " "), s += *s == ' ')
        if (!strncmp(s, name, n) && s[n] == '=')
            return atof(s + n + 1);
    return 0;
}

static int compare(const char *text, const char *ours, HfDifference d[HF_DIFFERENCES])
{
    Err e = { 0 };
    const int n = hfconfig_compare(text, strlen(text), "config.json", number, ours, d, &e);
    assert_int_equal(n < 0, e.code == EXIT_DATA);
    return n;
}

/* ---- as published ---- */

#define LLAMA31 "decoder.width=4096 decoder.ffn=14336 decoder.layers=32 decoder.heads=32 decoder.kv_heads=8 decoder.vocab=128256 " \
    "decoder.rope_theta=500000 decoder.eps=1e-5 decoder.max_len=2048 decoder.rope_scaling=2 decoder.rope_factor=8 " \
    "decoder.rope_low_freq_factor=1 decoder.rope_high_freq_factor=4 decoder.rope_original_max_len=8192"
#define QWEN25 "decoder.width=3584 decoder.ffn=18944 decoder.layers=28 decoder.heads=28 decoder.kv_heads=4 decoder.vocab=152064 " \
    "decoder.rope_theta=1000000 decoder.eps=1e-6 decoder.max_len=2048 decoder.qkv_bias=1"
#define QWEN3 "decoder.width=4096 decoder.ffn=12288 decoder.layers=36 decoder.heads=32 decoder.kv_heads=8 decoder.vocab=151936 " \
    "decoder.rope_theta=1000000 decoder.eps=1e-6 decoder.max_len=2048 decoder.head_dim=128 decoder.qk_norm=1"
#define SMOLLM2 "decoder.width=576 decoder.ffn=1536 decoder.layers=30 decoder.heads=9 decoder.kv_heads=3 decoder.vocab=49152 " \
    "decoder.rope_theta=100000 decoder.eps=1e-5 decoder.max_len=2048 decoder.tied=1"
#define MISTRAL "decoder.width=4096 decoder.ffn=14336 decoder.layers=32 decoder.heads=32 decoder.kv_heads=8 decoder.vocab=32000 " \
    "decoder.rope_theta=10000 decoder.eps=1e-5 decoder.max_len=2048"
#define LLAVA15 "vision.kind=1 vision.image=336 vision.patch=14 vision.width=1024 vision.layers=24 vision.heads=16 vision.ffn=4096 " \
    "vision.select_layer=-2 decoder.width=4096 decoder.ffn=11008 decoder.layers=32 decoder.heads=32 decoder.kv_heads=32 " \
    "decoder.vocab=32064 decoder.rope_theta=10000 decoder.eps=1e-5 decoder.max_len=2048"
#define VICUNA "vision.select_layer=-2 decoder.width=4096 decoder.ffn=11008 decoder.layers=32 decoder.heads=32 decoder.kv_heads=32 " \
    "decoder.vocab=32000 decoder.rope_theta=10000 decoder.eps=1e-5 decoder.max_len=2048"
#define SIGLIP2 "vision.image=384 vision.patch=14 vision.width=1152 vision.layers=27 vision.heads=16 vision.ffn=4304 text.width=1152 " \
    "text.layers=27 text.heads=16 text.ffn=4304 text.max_len=64 decoder.vocab=256000"

#define LLAMA31_KEYS "\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0, \"bos_token_id\": 128000, " \
    "\"eos_token_id\": [128001, 128008, 128009], \"hidden_act\": \"silu\", \"hidden_size\": 4096, \"initializer_range\": 0.02, " \
    "\"intermediate_size\": 14336, \"max_position_embeddings\": 131072, \"mlp_bias\": false, \"model_type\": \"llama\", " \
    "\"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"num_key_value_heads\": 8, \"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05, " \
    "\"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.42.3\", \"use_cache\": true, \"vocab_size\": 128256"
#define LLAMA3_ROPE "{\"factor\": 8.0, \"high_freq_factor\": 4.0, \"low_freq_factor\": 1.0, \"original_max_position_embeddings\": 8192, \"rope_type\": \"llama3\"}"
#define QWEN3_KEYS "\"architectures\": [\"Qwen3ForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0, \"bos_token_id\": 151643, " \
    "\"eos_token_id\": 151645, \"hidden_act\": \"silu\", \"hidden_size\": 4096, \"initializer_range\": 0.02, \"intermediate_size\": 12288, " \
    "\"max_position_embeddings\": 40960, \"model_type\": \"qwen3\", \"num_attention_heads\": 32, \"num_hidden_layers\": 36, " \
    "\"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-06, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", \"use_cache\": true, " \
    "\"vocab_size\": 151936, \"sliding_window\": null, \"use_sliding_window\": false, \"max_window_layers\": 36"

static const struct { const char *name, *text, *ours; } PUBLISHED[] = {
    { "Llama-3.1-8B", "{" LLAMA31_KEYS ", \"rope_theta\": 500000.0, \"rope_scaling\": " LLAMA3_ROPE "}", LLAMA31 },
    { "the same, by transformers 5", "{" LLAMA31_KEYS ", \"head_dim\": 128, \"dtype\": \"bfloat16\", \"rope_parameters\": {\"factor\": 8.0, "
      "\"high_freq_factor\": 4.0, \"low_freq_factor\": 1.0, \"original_max_position_embeddings\": 8192, \"rope_theta\": 500000.0, "
      "\"rope_type\": \"llama3\"}}", LLAMA31 },
    { "Qwen2.5-7B", "{\"architectures\": [\"Qwen2ForCausalLM\"], \"attention_dropout\": 0.0, \"bos_token_id\": 151643, \"eos_token_id\": 151643, "
      "\"hidden_act\": \"silu\", \"hidden_size\": 3584, \"initializer_range\": 0.02, \"intermediate_size\": 18944, "
      "\"max_position_embeddings\": 131072, \"max_window_layers\": 28, \"model_type\": \"qwen2\", \"num_attention_heads\": 28, "
      "\"num_hidden_layers\": 28, \"num_key_value_heads\": 4, \"rms_norm_eps\": 1e-06, \"rope_theta\": 1000000.0, \"sliding_window\": 131072, "
      "\"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.40.1\", \"use_cache\": true, "
      "\"use_mrope\": false, \"use_sliding_window\": false, \"vocab_size\": 152064}", QWEN25 },
    { "Qwen3-8B", "{" QWEN3_KEYS ", \"head_dim\": 128, \"rope_scaling\": null, \"rope_theta\": 1000000}", QWEN3 },
    { "SmolLM2-135M", "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"attention_dropout\": 0.0, \"bos_token_id\": 0, "
      "\"eos_token_id\": 0, \"hidden_act\": \"silu\", \"hidden_size\": 576, \"initializer_range\": 0.041666666666666664, "
      "\"intermediate_size\": 1536, \"is_llama_config\": true, \"max_position_embeddings\": 8192, \"mlp_bias\": false, "
      "\"model_type\": \"llama\", \"num_attention_heads\": 9, \"num_hidden_layers\": 30, \"num_key_value_heads\": 3, \"pretraining_tp\": 1, "
      "\"rms_norm_eps\": 1e-05, \"rope_interleaved\": false, \"rope_scaling\": null, \"rope_theta\": 100000, \"tie_word_embeddings\": true, "
      "\"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.40.1\", \"use_cache\": true, \"vocab_size\": 49152, "
      "\"transformers.js_config\": {\"kv_cache_dtype\": {\"q4f16\": \"float16\"}}}", SMOLLM2 },
    { "Mistral-7B-v0.1", "{\"architectures\": [\"MistralForCausalLM\"], \"bos_token_id\": 1, \"eos_token_id\": 2, \"hidden_act\": \"silu\", "
      "\"hidden_size\": 4096, \"initializer_range\": 0.02, \"intermediate_size\": 14336, \"max_position_embeddings\": 32768, "
      "\"model_type\": \"mistral\", \"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"num_key_value_heads\": 8, "
      "\"rms_norm_eps\": 1e-05, \"rope_theta\": 10000.0, \"sliding_window\": 4096, \"tie_word_embeddings\": false, "
      "\"torch_dtype\": \"bfloat16\", \"transformers_version\": \"4.34.0.dev0\", \"use_cache\": true, \"vocab_size\": 32000}", MISTRAL },
    { "llava-1.5-7b-hf", "{\"architectures\": [\"LlavaForConditionalGeneration\"], \"ignore_index\": -100, \"image_token_index\": 32000, "
      "\"model_type\": \"llava\", \"pad_token_id\": 32001, \"projector_hidden_act\": \"gelu\", \"text_config\": {\"_name_or_path\": "
      "\"lmsys/vicuna-7b-v1.5\", \"architectures\": [\"LlamaForCausalLM\"], \"max_position_embeddings\": 4096, \"model_type\": \"llama\", "
      "\"rms_norm_eps\": 1e-05, \"torch_dtype\": \"float16\", \"vocab_size\": 32064}, \"tie_word_embeddings\": false, \"torch_dtype\": "
      "\"float16\", \"transformers_version\": \"4.36.0.dev0\", \"vision_config\": {\"hidden_size\": 1024, \"image_size\": 336, "
      "\"intermediate_size\": 4096, \"model_type\": \"clip_vision_model\", \"num_attention_heads\": 16, \"num_hidden_layers\": 24, "
      "\"patch_size\": 14, \"projection_dim\": 768, \"vocab_size\": 32000}, \"vision_feature_layer\": -2, "
      "\"vision_feature_select_strategy\": \"default\", \"vocab_size\": 32064}", LLAVA15 },
    { "llava-v1.5-7b of LLaVA's own code", "{\"_name_or_path\": \"llava-v1.5-7b\", \"architectures\": [\"LlavaLlamaForCausalLM\"], \"bos_token_id\": 1, "
      "\"eos_token_id\": 2, \"freeze_mm_mlp_adapter\": false, \"freeze_mm_vision_resampler\": false, \"hidden_act\": \"silu\", "
      "\"hidden_size\": 4096, \"image_aspect_ratio\": \"pad\", \"initializer_range\": 0.02, \"intermediate_size\": 11008, \"max_length\": 4096, "
      "\"max_position_embeddings\": 4096, \"mm_hidden_size\": 1024, \"mm_projector_type\": \"mlp2x_gelu\", \"mm_resampler_type\": null, "
      "\"mm_use_im_patch_token\": false, \"mm_use_im_start_end\": false, \"mm_vision_select_feature\": \"patch\", "
      "\"mm_vision_select_layer\": -2, \"mm_vision_tower\": \"openai/clip-vit-large-patch14-336\", \"model_type\": \"llava\", "
      "\"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"num_key_value_heads\": 32, \"pad_token_id\": 0, \"pretraining_tp\": 1, "
      "\"rms_norm_eps\": 1e-05, \"rope_scaling\": null, \"tie_word_embeddings\": false, \"torch_dtype\": \"float16\", "
      "\"transformers_version\": \"4.31.0\", \"tune_mm_mlp_adapter\": false, \"tune_mm_vision_resampler\": false, "
      "\"unfreeze_mm_vision_tower\": false, \"use_cache\": true, \"use_mm_proj\": true, \"vocab_size\": 32000}", VICUNA },
    { "siglip2-so400m-patch14-384", "{\"architectures\": [\"SiglipModel\"], \"initializer_factor\": 1.0, \"model_type\": \"siglip\", \"text_config\": "
      "{\"hidden_size\": 1152, \"intermediate_size\": 4304, \"model_type\": \"siglip_text_model\", \"num_attention_heads\": 16, "
      "\"num_hidden_layers\": 27, \"projection_size\": 1152, \"vocab_size\": 256000}, \"torch_dtype\": \"float32\", \"transformers_version\": "
      "\"4.49.0.dev0\", \"vision_config\": {\"hidden_size\": 1152, \"image_size\": 384, \"intermediate_size\": 4304, \"model_type\": "
      "\"siglip_vision_model\", \"num_attention_heads\": 16, \"num_hidden_layers\": 27, \"patch_size\": 14}}", SIGLIP2 },
};
enum { N_PUBLISHED = sizeof PUBLISHED / sizeof *PUBLISHED };

static void published(void **state)
{
    (void)state;
    HfDifference d[HF_DIFFERENCES];
    for (int i = 0; i < N_PUBLISHED; i++) {
        if (compare(PUBLISHED[i].text, PUBLISHED[i].ours, d))
            fail_msg("%s: %s, ours %s, is %s, not %s", PUBLISHED[i].name, d[0].theirs, d[0].ours, d[0].got, d[0].expected);
        for (int k = 0; k < N_PUBLISHED; k++)                /* each is told from the others */
            if (strcmp(PUBLISHED[k].ours, PUBLISHED[i].ours) && compare(PUBLISHED[i].text, PUBLISHED[k].ours, d) == 0)
                fail_msg("%s passes for %s", PUBLISHED[i].name, PUBLISHED[k].name);
    }
    assert_true(hfconfig_says_tied(PUBLISHED[4].text, strlen(PUBLISHED[4].text)));
    assert_false(hfconfig_says_tied(PUBLISHED[0].text, strlen(PUBLISHED[0].text)));
    const char inner[] = "{\"tie_word_embeddings\": true, \"text_config\": {\"tie_word_embeddings\": false}}";
    assert_false(hfconfig_says_tied(inner, strlen(inner)));
}

/* ---- one key more, or another value ---- */

typedef struct { const char *more, *theirs, *ours; bool unknown; } Key;

static const Key LLAMA_KEYS[] = {
    { "\"final_logit_softcapping\": 30.0", "final_logit_softcapping", "", true },
    { "\"attn_logit_softcapping\": null", NULL, "", false },                                  /* null says nothing */
    { "\"embedding_multiplier\": 12", "embedding_multiplier", "", true },
    { "\"num_local_experts\": 8", "num_local_experts", "", true },
    { "\"quantization_config\": {\"bits\": 4}", "quantization_config", "", true },
    { "\"no_rope_layers\": [1, 0]", "no_rope_layers", "", true },
    { "\"partial_rotary_factor\": 0.5", "partial_rotary_factor", "", false },
    { "\"partial_rotary_factor\": 1", NULL, "", false },
    { "\"attention_bias\": true", "attention_bias", "", false },
    { "\"mlp_bias\": true", "mlp_bias", "", false },
    { "\"rope_interleaved\": true", "rope_interleaved", "", false },
    { "\"pruned_heads\": {\"0\": [1]}", "pruned_heads", "", false },
    { "\"pruned_heads\": {}", NULL, "", false },
    { "\"add_cross_attention\": true", "add_cross_attention", "", false },
    { "\"hidden_act\": \"gelu\"", "hidden_act", "", false },
    { "\"head_dim\": 64", "head_dim", "model.decoder.head_dim", false },
    { "\"head_dim\": null", NULL, "", false },
    { "\"rope_theta\": \"10000\"", "rope_theta", "", false },
    { "\"layer_types\": [\"full_attention\", \"sliding_attention\"], \"sliding_window\": 512", "sliding_window", "model.decoder.max_len", false },
    { "\"layer_types\": [\"full_attention\", \"sliding_attention\"], \"sliding_window\": 4096", NULL, "", false },
    { "\"layer_types\": [\"chunked_attention\"]", "layer_types", "", false },
    { "\"sliding_window\": 512", NULL, "", false },                                           /* LLaMA has none, whatever it says */
    { "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 2.0}", "rope_scaling", "model.decoder.rope_scaling", false },
    { "\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4.0}", "rope_scaling", "", false },
    { "\"rope_scaling\": {\"rope_type\": \"longrope\", \"short_factor\": [1]}", "rope_scaling", "", false },
    { "\"rope_scaling\": {\"rope_type\": \"default\", \"mrope_section\": [16, 24]}", "rope_scaling.mrope_section", "", true },
    { "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 10000.0}", NULL, "", false },
    { "\"rope_parameters\": {\"rope_type\": \"default\", \"partial_rotary_factor\": 0.25}", "rope_parameters.partial_rotary_factor", "", false },
};

#define SMALL "decoder.width=256 decoder.ffn=512 decoder.layers=2 decoder.heads=8 decoder.kv_heads=8 decoder.vocab=999 decoder.rope_theta=10000 " \
    "decoder.eps=1e-6 decoder.max_len=1024 "
#define SMALL_KEYS "\"hidden_size\": 256, \"intermediate_size\": 512, \"num_hidden_layers\": 2, \"num_attention_heads\": 8, " \
    "\"num_key_value_heads\": 8, \"vocab_size\": 999"

static void one_key(const char *name, const char *begin, const char *end, const char *group, const Key *k, const char *config)
{
    HfDifference d[HF_DIFFERENCES];
    char text[2048], theirs[128];
    snprintf(text, sizeof text, "%s, %s%s", begin, k->more, end);
    const int n = compare(text, config, d);
    snprintf(theirs, sizeof theirs, "%s%s", group, k->theirs ? k->theirs : "");
    if (n != (k->theirs != NULL) || (n && (strcmp(d[0].theirs, theirs) || strcmp(d[0].ours, k->ours) || d[0].unknown != k->unknown)))
        fail_msg("%s, %s: %d differences: %s, ours %s, unknown %d", name, k->more, n, n ? d[0].theirs : "", n ? d[0].ours : "", n && d[0].unknown);
}

static void keys_of_a_decoder(void **state)
{
    (void)state;
    static const char begin[] = "{\"model_type\": \"llama\", " SMALL_KEYS;
    static const char nested[] = "{\"model_type\": \"llava\", \"vision_feature_select_strategy\": \"default\", \"vision_config\": {\"model_type\": "
                                 "\"clip_vision_model\"}, \"text_config\": {\"model_type\": \"llama\", " SMALL_KEYS;
    static const char llava[] = SMALL "vision.kind=1 vision.image=224 vision.patch=32 vision.width=768 vision.layers=12 vision.heads=12 "
                                "vision.ffn=3072 vision.select_layer=-2";
    for (size_t i = 0; i < sizeof LLAMA_KEYS / sizeof *LLAMA_KEYS; i++) {
        one_key("llama", begin, "}", "", &LLAMA_KEYS[i], SMALL);
        one_key("llava", nested, "}}", "text_config.", &LLAMA_KEYS[i], llava);
    }
}

/* Without a number of kv heads there are as many as heads: null says that, whatever the model_type's default. */
static void no_kv_heads(void **state)
{
    (void)state;
    HfDifference d[HF_DIFFERENCES];
    static const char *const TYPE[] = { "llama", "mistral", "qwen2" };
    for (size_t i = 0; i < sizeof TYPE / sizeof *TYPE; i++) {
        char text[512];
        snprintf(text, sizeof text, "{\"model_type\": \"%s\", \"hidden_size\": 256, \"intermediate_size\": 512, \"num_hidden_layers\": 2, "
                 "\"num_attention_heads\": 8, \"num_key_value_heads\": null, \"vocab_size\": 999}", TYPE[i]);
        assert_int_equal(compare(text, i == 2 ? SMALL "decoder.qkv_bias=1" : SMALL, d), 0);
    }
}

static void keys_of_a_tower(void **state)
{
    (void)state;
    static const Key CLIP[] = {
        { "\"hidden_act\": \"gelu\"", "hidden_act", "", false }, { "\"layer_norm_eps\": 1e-6", "layer_norm_eps", "", false },
        { "\"use_rel_pos\": true", "use_rel_pos", "", true },    { "\"patch_size\": 16", "patch_size", "model.vision.patch", false },
        { "\"dropout\": 0.0, \"projection_dim\": 512", NULL, "", false },
    };
    static const Key LLAVA[] = {
        { "\"vision_feature_select_strategy\": \"full\"", "vision_feature_select_strategy", "", false },
        { "\"vision_feature_layer\": [-2, -5]", "vision_feature_layer", "model.vision.select_layer", false },
        { "\"vision_feature_layer\": -1", "vision_feature_layer", "model.vision.select_layer", false },
        { "\"vision_feature_layer\": 11", NULL, "", false },
        { "\"projector_hidden_act\": \"relu\"", "projector_hidden_act", "", false },
        { "\"multimodal_projector_bias\": false", "multimodal_projector_bias", "", false },
        { "\"image_grid_pinpoints\": [[336, 672]]", "image_grid_pinpoints", "", true },
        { "\"asvr\": {}, \"image_seq_length\": 49, \"image_token_id\": 9", NULL, "", false },
    };
    static const char tower[] = "vision.kind=1 vision.image=224 vision.patch=32 vision.width=768 vision.layers=12 vision.heads=12 vision.ffn=3072 ";
    static const char llava[] = SMALL "vision.kind=1 vision.image=224 vision.patch=32 vision.width=768 vision.layers=12 vision.heads=12 "
                                "vision.ffn=3072 vision.select_layer=-2";
    for (size_t i = 0; i < sizeof CLIP / sizeof *CLIP; i++)
        one_key("clip", "{\"model_type\": \"clip_vision_model\"", "}", "", &CLIP[i], tower);
    for (size_t i = 0; i < sizeof LLAVA / sizeof *LLAVA; i++)
        one_key("llava", "{\"model_type\": \"llava\", \"vision_config\": {\"model_type\": \"clip_vision_model\"}, \"text_config\": {\"model_type\": "
                "\"llama\", " SMALL_KEYS "}", "}", "", &LLAVA[i], llava);
    HfDifference d[HF_DIFFERENCES];
    assert_true(compare("{\"model_type\": \"siglip_vision_model\"}", tower, d) > 0);
    assert_string_equal(d[0].ours, "model.vision.kind");
    assert_string_equal(d[0].expected, "clip");
    assert_string_equal(d[0].got, "siglip");
}

/* What stretches rotary embeddings is compared number by number. */
static void rope(void **state)
{
    (void)state;
    static const struct { const char *key, *to; } OTHER[] = {
        { "decoder.rope_factor", "decoder.rope_factor=4 " }, { "decoder.rope_low_freq_factor", "decoder.rope_low_freq_factor=2 " },
        { "decoder.rope_high_freq_factor", "decoder.rope_high_freq_factor=8 " },
        { "decoder.rope_original_max_len", "decoder.rope_original_max_len=4096 " }, { "decoder.rope_scaling", "decoder.rope_scaling=1 " },
    };
    HfDifference d[HF_DIFFERENCES];
    for (size_t i = 0; i < sizeof OTHER / sizeof *OTHER; i++) {
        char config[1024];
        snprintf(config, sizeof config, "%s" LLAMA31, OTHER[i].to);
        assert_int_equal(compare(PUBLISHED[0].text, config, d), 1);
        assert_string_equal(d[0].ours + strlen("model."), OTHER[i].key);
    }
}

static void other_models(void **state)
{
    (void)state;
    static const struct { const char *type, *hint; } CASE[] = {
        { "qwen3_moe", "experts" }, { "mixtral", "experts" }, { "siglip2", "NaFlex" }, { "clip_text_model", "FORMATS" }, { "gpt2", "FORMATS" },
    };
    HfDifference d[HF_DIFFERENCES];
    for (size_t i = 0; i < sizeof CASE / sizeof *CASE; i++) {
        Err e = { 0 };
        char text[64];
        snprintf(text, sizeof text, "{\"model_type\": \"%s\"}", CASE[i].type);
        assert_int_equal(hfconfig_compare(text, strlen(text), "config.json", number, SMALL, d, &e), -1);
        assert_non_null(strstr(e.got, CASE[i].type));
        assert_non_null(strstr(e.hint, CASE[i].hint));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published), cmocka_unit_test(keys_of_a_decoder), cmocka_unit_test(no_kv_heads), cmocka_unit_test(keys_of_a_tower),
        cmocka_unit_test(rope),      cmocka_unit_test(other_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
