/*
 * hfkeys.h -- keys of config.json that say nothing about what a model computes here, and keys that must have one value
 *
 * What a section of config.json may hold: keys that hfconfig.c maps to ours, keys that are harmless, keys that must be what
 * asvr's model is.  Any other may change the mathematics: it is named (hfconfig.h).
 *
 * Harmless are what generation, training and bookkeeping of the library read, and sizes of parts that are not imported.
 * Local.
 *
 * Source  transformers: configuration_utils.py, configuration_{llava,llama,mistral,qwen2,qwen3,clip,siglip}.py of 4.37 to 5.24;
 *         config.json of Llama 2 to 3.2, Vicuna, Mistral 0.1 to 0.3, Qwen2, Qwen2.5, Qwen3, SmolLM2, llava-1.5-*-hf, CLIP, SigLIP 1 and 2
 * Tests   tests/io/hf/test_hfconfig.c
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

/* Sections. */
enum { HF_VISION = 1, HF_TEXT = 2, HF_DECODER = 4, HF_CLIP = 8, HF_ROOT = 16 /* of llava and siglip */, HF_ROPE = 32,
       HF_FLAT = 64 /* of LLaVA's own code: a language model's keys, and mm_... among them */ };

bool hfkeys_harmless(unsigned section, const char *key);

/* What the key must be, as JSON; NULL: it has no such rule. */
const char *hfkeys_must(unsigned section, const char *key);

/* Is x the JSON of `text`?  Numbers are compared as numbers. */
bool hfkeys_is(const json_t *x, const char *text);
