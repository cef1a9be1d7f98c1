#include "io/hf/hfkeys.h"

#include <string.h>

enum { TOWERS = HF_VISION | HF_TEXT | HF_CLIP, ALL = TOWERS | HF_DECODER | HF_ROOT };

/* Of every configuration of the library: bookkeeping, and what generate() reads. */
static const char *const ANY[] = {
    "_name_or_path", "_attn_implementation_autoset", "_flash_attn_2_enabled", "architectures", "attn_implementation", "bad_words_ids",
    "begin_suppress_tokens", "bos_token_id", "chunk_size_feed_forward", "decoder_start_token_id", "diversity_penalty", "do_sample", "dtype",
    "early_stopping", "encoder_no_repeat_ngram_size", "eos_token_id", "exponential_decay_length_penalty", "finetuning_task",
    "forced_bos_token_id", "forced_eos_token_id", "id2label", "initializer_factor", "initializer_range", "is_decoder", "label2id",
    "length_penalty", "max_length", "min_length", "model_type", "no_repeat_ngram_size", "num_beam_groups", "num_beams",
    "num_return_sequences", "output_attentions", "output_hidden_states", "output_scores", "pad_token_id", "prefix", "problem_type",
    "remove_invalid_values", "repetition_penalty", "return_dict", "return_dict_in_generate", "sep_token_id", "suppress_tokens",
    "task_specific_params", "temperature", "tf_legacy_loss", "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript",
    "transformers.js_config", "transformers_version", "typical_p", "use_bfloat16", "use_cache", "attention_dropout", "dropout",
    "hidden_dropout", "tie_word_embeddings",             /* what the files hold decides (launch/import.c) */
};

/* Of one kind of section.  pretraining_tp sums products in another order; max_position_embeddings of a decoder is a limit. */
static const struct { unsigned section; const char *key; } SOME[] = {
    { HF_DECODER, "max_position_embeddings" }, { HF_DECODER, "max_sequence_length" }, { HF_DECODER, "pretraining_tp" },
    { HF_DECODER, "max_window_layers" }, { HF_DECODER, "is_llama_config" }, { HF_DECODER, "unsloth_version" },
    { HF_VISION, "vision_use_head" }, { HF_VISION, "projection_dim" }, { HF_VISION, "vocab_size" },
    { HF_CLIP, "projection_dim" }, { HF_CLIP, "vocab_size" },
    { HF_TEXT, "projection_size" },
    { HF_ROOT, "asvr" }, { HF_ROOT, "text_config" }, { HF_ROOT, "vision_config" }, { HF_ROOT, "ignore_index" }, { HF_ROOT, "image_seq_length" },
    { HF_ROOT, "image_token_index" }, { HF_ROOT, "image_token_id" }, { HF_ROOT, "vocab_size" }, { HF_ROOT, "text_config_dict" },
    { HF_ROOT, "vision_config_dict" }, { HF_ROOT, "unsloth_version" }, { HF_ROOT, "projection_dim" },
    { HF_ROOT, "logit_scale_init_value" },
    { HF_FLAT, "mm_vision_tower" }, { HF_FLAT, "mm_hidden_size" }, { HF_FLAT, "use_mm_proj" }, { HF_FLAT, "freeze_mm_mlp_adapter" },
    { HF_FLAT, "tune_mm_mlp_adapter" }, { HF_FLAT, "unfreeze_mm_vision_tower" }, { HF_FLAT, "image_aspect_ratio" },
    { HF_FLAT, "mm_use_im_patch_token" }, { HF_FLAT, "mm_projector_lr" }, { HF_FLAT, "mm_vision_tower_lr" }, { HF_FLAT, "mm_tunable_parts" },
    { HF_FLAT, "tokenizer_model_max_length" }, { HF_FLAT, "tokenizer_padding_side" }, { HF_FLAT, "freeze_mm_vision_resampler" },
    { HF_FLAT, "tune_mm_vision_resampler" }, { HF_FLAT, "tune_entire_model" }, { HF_FLAT, "vision_tower_pretrained" },
    { HF_DECODER, "asvr" }, { HF_VISION, "asvr" },       /* of a language model or a tower alone, as we write it */
};

static const struct { unsigned section; const char *key, *value; } MUST[] = {
    { ALL, "pruned_heads", "{}" }, { ALL, "add_cross_attention", "false" }, { ALL, "is_encoder_decoder", "false" },
    { ALL, "tie_encoder_decoder", "false" }, { ALL, "cross_attention_hidden_size", "null" },
    { HF_DECODER, "attention_bias", "false" },           /* one of o_proj, too; Qwen2's three are its model_type's */
    { HF_DECODER, "mlp_bias", "false" }, { HF_DECODER, "partial_rotary_factor", "1" }, { HF_DECODER, "rope_interleaved", "false" },
    { HF_DECODER, "use_mrope", "false" }, { HF_ROPE, "partial_rotary_factor", "1" },
    { HF_ROOT, "multimodal_projector_bias", "true" },
    { HF_FLAT, "mm_projector_type", "\"mlp2x_gelu\"" }, { HF_FLAT, "mm_vision_select_feature", "\"patch\"" },
    { HF_FLAT, "mm_use_im_start_end", "false" }, { HF_FLAT, "mm_patch_merge_type", "\"flat\"" }, { HF_FLAT, "mm_resampler_type", "null" },
};

bool hfkeys_harmless(unsigned section, const char *key)
{
    for (size_t i = 0; section != HF_ROPE && i < sizeof ANY / sizeof *ANY; i++)
        if (!strcmp(ANY[i], key))
            return true;
    for (size_t i = 0; i < sizeof SOME / sizeof *SOME; i++)
        if ((SOME[i].section & section) && !strcmp(SOME[i].key, key))
            return true;
    return false;
}

const char *hfkeys_must(unsigned section, const char *key)
{
    for (size_t i = 0; i < sizeof MUST / sizeof *MUST; i++)
        if ((MUST[i].section & section) && !strcmp(MUST[i].key, key))
            return MUST[i].value;
    return NULL;
}

bool hfkeys_is(const json_t *x, const char *text)
{
    json_t *want = json_loads(text, JSON_DECODE_ANY, NULL);
    const bool same = json_is_number(x) && json_is_number(want) ? json_number_value(x) == json_number_value(want) : json_equal(x, want);
    json_decref(want);
    return same;
}
