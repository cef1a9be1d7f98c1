/*
 * hfmap.h -- Hugging Face's names of tensors and ours: one table of rules (hfrules.c), read in both directions
 *
 *     language_model.model.layers.3.self_attn.q_proj.weight              decoder.3.attn.wq              whole
 *     visual_head.head_transformer.0.self_attention.in_proj_weight       head.0.attn.wq, .wk, .wv       rows i (3E,E) / 3
 *     visual_head.head_transformer.0.linear1.weight (2E, Q E)            head.0.ffn.k.w1 (2E,E)         columns k E ...
 *     vision_tower.vision_model.embeddings.patch_embedding.weight        vision.patch.w (C, 3 p p)      (C,3,p,p)
 *
 * A tensor of a file is seen as 2-D, (first dim, others); each of ours is a block of it: (row_block of row_blocks,
 * col_block of col_blocks), blocks of equal size.  So a tensor's pieces tile it, by construction.
 *
 * Which prefix a part's names have depends on who wrote the files: LLaVA of the transformers library (old and new),
 * a language model alone, SigLIP, CLIP, the flat names of LLaVA's and ASVR's own code.  A line of the list of modules
 * (part, prefix, rules) says one of them; a bit mask of modules says which a folder uses.
 *
 * Source  transformers: modeling_{llava,llama,mistral,qwen2,qwen3,siglip,clip}.py; ASVR's released code; docs/FORMATS.md
 * Tests   tests/io/hf/test_hfmap.c
 */
#pragma once
#include "core/conf.h"
#include "io/hf/safetensors.h"

enum { HF_PIECES = MAX_DEPTH };

typedef enum { HF_LLAVA = 1, HF_SIGLIP = 2, HF_LLM = 4, HF_ADAPTER = 8 /* of LLaVA: hfadapter.h */ } HfLayout;

typedef enum { HF_PLAIN, HF_PATCH /* (C,3,p,p) */, HF_PROBE /* (1,1,C) */ } HfForm;

typedef struct {
    char     ours[PARAM_NAME];
    unsigned part;                  /* PART_... */
    int      module;                /* which line of the list of modules */
    bool     extra;                 /* may be there without its part (post_layernorm) */
    HfForm   form;
    int      row_block, row_blocks, col_block, col_blocks;
} HfPiece;

/* What a tensor of a file holds: the number of pieces, 0 for a tensor that is known and not used, -1 for an unknown one.
   depth: model.codes.depth. */
int hf_pieces(const char *name, int depth, HfPiece piece[HF_PIECES]);

/* Where our tensor goes: name of the file's tensor, and the piece.  modules: bit mask, those to look in first; then the
   first that knows it.  False if files do not hold it (the codebooks' averages). */
bool hf_name(const char *ours, int depth, uint64_t modules, char name[ST_NAME], HfPiece *piece);

/* The modules of a layout that we write. */
uint64_t hf_modules(HfLayout layout);

/* Shape of the file's tensor that (rows, cols) of ours is a piece of; returns its dims.  cols 1: a vector. */
int hf_shape(const HfPiece *p, int rows, int cols, int64_t shape[ST_DIMS]);

/* "vision", "pool", ...: the first word of its tensors' names; NULL for no part. */
const char *hf_part_name(unsigned part);
