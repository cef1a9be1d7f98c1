/*
 * jinjaknown.h -- chat templates as people have them: the XXH64 of a template's text, and which of ours renders the same
 *
 * The text with "\n" for "\r\n" and without blanks at either end.  Rows are printed by tests/peers/templates.py --rows, which
 * finds the texts in packages of PyPI, renders each with the real Jinja, and compares with prompt_build; it says which
 * conversations were rendered and how.  "3 of 6": it refuses system turns.  "but for BOS, EOS, blanks": in later turns; the prompt of a
 * first question is equal, but for a BOS that the tokenizer puts.
 */
#pragma once
#include "io/text/templates.h"

static const struct { uint64_t hash; int template_; } JINJA_KNOWN[] = {
    { 0xd06dfa64f38fdacf, TEMPLATE_CHATML },             /* trl: qwen2_5_vl */
    { 0x7cf53bc7d7f90090, TEMPLATE_CHATML },             /* trl: qwen2_5_vl_training */
    { 0x301e91d166cf9b9f, TEMPLATE_CHATML },             /* Qwen2 */
    { 0x14f39dfcc63bcdcb, TEMPLATE_QWEN25 },             /* trl: qwen2_5 */
    { 0x803e65fca7371efc, TEMPLATE_QWEN25 },             /* trl: qwen2_5_training */
    { 0xa2f2632e64077a8e, TEMPLATE_QWEN3 },              /* trl: qwen3 */
    { 0x71e3bfd975da04ea, TEMPLATE_QWEN3 },              /* trl: qwen3_5_nothink */
    { 0x81a87211b56794d9, TEMPLATE_QWEN3 },              /* trl: qwen3_5_think */
    { 0x52660e49bdaf14ef, TEMPLATE_QWEN3 },              /* trl: qwen3_6 */
    { 0xebed4c75e31de940, TEMPLATE_QWEN3 },              /* Qwen-Qwen3-0.6B */
    { 0xc49079a34c0d2703, TEMPLATE_QWEN3 },              /* unsloth: qwen3 */
    { 0x406244e5f006a13a, TEMPLATE_SMOLLM2 },            /* SmolLM2-135M-Instruct */
    { 0x438e1930d4ab6761, TEMPLATE_CHATML_BARE },        /* trl: qwen3_instruct_2507 */
    { 0x0cf0d4cbcc75a89c, TEMPLATE_CHATML_BARE },        /* trl: qwen3_instruct_2507_training */
    { 0x6c2138339b396c60, TEMPLATE_CHATML_BARE },        /* trl: qwen3_vl */
    { 0x23d566cf4e91ea31, TEMPLATE_CHATML_BARE },        /* trl: qwen3_vl_training */
    { 0x3f951c547f06568f, TEMPLATE_CHATML_BARE },        /* OpenHermes-2.5 */
    { 0x2f20480ac2f3dbb8, TEMPLATE_CHATML_BARE },        /* Qwen3-Coder */
    { 0x408946d744ba89ee, TEMPLATE_CHATML_BARE },        /* chatml */
    { 0x4f9896f2bc7727c8, TEMPLATE_CHATML_BARE },        /* unsloth: chatml */
    { 0xe4a274592c59a6e4, TEMPLATE_CHATML_BARE },        /* unsloth: qwen3_instruct */
    { 0xb885985d8b9a5a01, TEMPLATE_CHATML_BARE },        /* unsloth: yi_chat */
    { 0xdcdc8f0c69cd885e, TEMPLATE_LLAMA3 },             /* trl: llama3 */
    { 0xa1d7271fcc4ea61e, TEMPLATE_LLAMA3 },             /* trl: llama3_training */
    { 0xfaadb0599d3f8825, TEMPLATE_LLAMA3 },             /* Meta-Llama-3-first, but for BOS, EOS, blanks */
    { 0xf44c620d83961bb5, TEMPLATE_LLAMA3 },             /* unsloth: llama3 */
    { 0xc0e2a829a7f6e18a, TEMPLATE_LLAMA31 },            /* trl: llama3_1 */
    { 0xe980fb39e0834855, TEMPLATE_LLAMA31 },            /* trl: llama3_2 */
    { 0x4814b86dcce0320f, TEMPLATE_MISTRAL },            /* Mistral-7B-Instruct-v0.1, 3 of 6, but for BOS, EOS, blanks */
    { 0x3b7f4d503b069b01, TEMPLATE_MISTRAL },            /* Mistral-7B-Instruct-v0.2-old, 3 of 6, but for BOS, EOS, blanks */
    { 0x040830b9603e6e42, TEMPLATE_MISTRAL },            /* unsloth: mistral, but for BOS, EOS, blanks */
    { 0x4cf6643b16abe2bb, TEMPLATE_MISTRAL3 },           /* Mistral-7B-Instruct-v0.3, 5 of 6 */
    { 0xea6074b922d3f96d, TEMPLATE_TEKKEN },             /* Mistral-Nemo-Instruct-2407, 5 of 6 */
    { 0xedb6b8105d3879b4, TEMPLATE_GEMMA },              /* trl: gemma, 3 of 6 */
    { 0xdaa268fb12f5cd53, TEMPLATE_GEMMA },              /* trl: gemma3 */
    { 0x6f5323953e5a75fa, TEMPLATE_GEMMA },              /* trl: gemma3_training */
    { 0xb4b9f6ef69b4a8ae, TEMPLATE_GEMMA },              /* trl: gemma_training, 3 of 6 */
    { 0xc39247f0ca6b0f9e, TEMPLATE_GEMMA },              /* gemma-7b-it, 3 of 6, but for BOS, EOS, blanks */
    { 0x97c77c802c61e63a, TEMPLATE_GEMMA },              /* unsloth: gemma, but for BOS, EOS, blanks */
    { 0xc73bf79ef009816e, TEMPLATE_GEMMA },              /* unsloth: gemma3 */
    { 0xdb32b8d48ee5ee21, TEMPLATE_GEMMA },              /* unsloth: gemma3n */
    { 0x89d5aa597e296603, TEMPLATE_ZEPHYR },             /* unsloth: zephyr, but for BOS, EOS, blanks */
    { 0x823b6a1d73a60c71, TEMPLATE_ZEPHYR },             /* zephyr-TinyLlama, but for BOS, EOS, blanks */
    { 0x9e9f7d431671b702, TEMPLATE_V1_BARE },            /* llava-1.5-hf, but for BOS, EOS, blanks */
    { 0x9bc3084ee9b2cf55, TEMPLATE_LLAMA2_BARE },        /* Llama-2-chat, but for BOS, EOS, blanks */
    { 0x1a47c004f803f87f, TEMPLATE_LLAMA2_BARE },        /* unsloth: llama, but for BOS, EOS, blanks */
};
