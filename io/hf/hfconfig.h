/*
 * hfconfig.h -- config.json of a Hugging Face folder: what it says the model is, compared with ours
 *
 *     {"model_type": "llava", "vision_feature_layer": -2, ...,
 *      "text_config": {"model_type": "llama", "hidden_size": 4096, ...},           model.decoder.*
 *      "vision_config": {"model_type": "siglip_vision_model", "image_size": 384}}  model.vision.*
 *
 * Language models (llama, mistral, qwen2, qwen3) have the keys of text_config at the top; SigLIP has a text_config of another
 * kind (model.text.*).  A key that is not there has the library's default, which differs by model_type.  One table
 * (hfconfig.c) says which key is which of ours; hfwrite.h writes such files.  What the model cannot do (another
 * activation, other rotary embeddings, a sliding window shorter than a sequence) is a difference too, and so is every key
 * that is neither mapped nor known to be harmless (hfkeys.h): it may change the mathematics.
 *
 * The configuration is asked by its keys through HfNumber: io knows no Config.  Local.
 * Errors  no JSON, or a model_type that is not listed: EXIT_DATA
 * Source  transformers: configuration_{llava,llama,mistral,qwen2,qwen3,siglip,clip}.py
 * Tests   tests/io/hf/test_hfmap.c, tests/io/hf/test_hfconfig.c, tests/launch/hf.sh
 */
#pragma once
#include "io/hf/hfmap.h"

/* Value of one of our keys, as "model.decoder.width"; a bool is 0 or 1. */
typedef double HfNumber(const void *config, const char *key);

enum { HF_DIFFERENCES = 24 };

typedef struct {
    char ours[64];                  /* our key; "" if we have none */
    char theirs[96];                /* "text_config.hidden_size" */
    char expected[96], got[96];     /* ours and theirs */
    bool unknown;                   /* a key that nobody here knows */
} HfDifference;

/* Every difference between config.json's text and the configuration; returns how many, or -1 with the error. */
int hfconfig_compare(const char *text, size_t bytes, const char *path, HfNumber *number, const void *config,
                     HfDifference d[HF_DIFFERENCES], Err *e);

/* Does it say that lm_head is the embedding?  Whether it is, the files decide. */
bool hfconfig_says_tied(const char *text, size_t bytes);
