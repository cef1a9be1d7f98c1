/*
 * conf.h -- what a model is to be: stages, supervisions, parts, sizes; and the sums that its losses are
 *
 * Plain data without pointers into anything that lives (but `trainable` and `lora_targets`, which model_open alone reads).  Local.
 */
#pragma once
#include "core/llama.h"
#include "core/rqtok.h"

typedef enum { STAGE_CONTRAST, STAGE_TOKENIZER, STAGE_PRETRAIN, STAGE_INSTRUCT } Stage;

/* What image rows learn beside the text (ASVR, table 1 and 4). */
typedef enum { SUPERVISE_NONE, SUPERVISE_SEMANTIC, SUPERVISE_APPEARANCE, SUPERVISE_BOTH, SUPERVISE_DENOISING } Supervision;

/* Two kinds of codes: of a late layer and of an early one.  The same quantizer and head serve both. */
enum { SEMANTIC, APPEARANCE, BRANCHES };

/* Parts a model may consist of; their names in the table begin with the part. */
enum {
    PART_VISION = 1, PART_POOL = 2, PART_TEXT = 4, PART_CONTRAST = 8, PART_TOKENIZER = 16 /* own tower of the codes */,
    PART_CODES = 32, PART_APP_CODES = 64, PART_PROJECTOR = 128, PART_DECODER = 256, PART_HEAD = 512,
    PART_APP_HEAD = 1024, PART_DENOISER = 2048
};

typedef struct {
    Stage       stage;
    bool        train;                         /* gradients and a tape for the backward pass */
    bool        bare;                          /* weights alone: nothing can be run (import, export) */
    bool        fleeting;                      /* gradients have memory only while something lies there (arena.h) */
    bool        empty;                         /* weights stay zero: who opens it fills them, or model_init */
    unsigned    parts;                         /* PART_...; 0: what the stage needs.  Given, the tower has all its blocks */
    Supervision supervision;
    int         codes_given;                   /* codes a patch that batches carry: Q semantic, then Q appearance; 0: none */
    const char *trainable;                     /* parts, e.g. "projector,head" */
    int         image, patch, scales;          /* pictures are scales * image wide (scales.h) */
    int         vision_kind;                   /* VISION_... of siglip.h */
    EncoderDims vision, text;                  /* vision.L: all layers of the tower */
    int         select_layer;                  /* from the end of the hidden states: -1 = after all, -2 = last but one */
    bool        discrete;                      /* the decoder sees quantized features */
    int         text_max_len, projector_layers;
    LlamaDims   decoder;
    int         codes_layer[BRANCHES];         /* as select_layer; 0: no such codes */
    int         codes_depth, codes_size;
    bool        codes_shared, own_tower;       /* own_tower: codes are of a copy of the tower, distilled (distill.h) */
    float       distill, distill_pool, commit; /* weights of the tokenizer stage's losses, with own_tower */
    int         head_width, head_layers, head_heads;
    bool        head_tied;
    int         denoise_draws;
    float       visual_weight, visual_share, soft_targets;
    int         visual_shift;
    int         recompute;                     /* RECOMPUTE_... (rows.h) of the decoder and of towers that learn */
    int         micro_batch, max_images, max_len;   /* of one micro-batch: sequences, images; rows of a sequence */
    int         lora_rank;                     /* of the pairs beside the decoder's weights (lora.h); 0: none */
    float       lora_alpha;
    const char *lora_targets;
    bool        lora_based;                    /* lora.h */
    uint64_t    seed;
} ModelConf;

/* Sums over rows; all double, so that one reduction adds them up over ranks. */
typedef struct {
    double text, n_text;                       /* cross-entropy of text targets, and their number */
    double visual[BRANCHES][MAX_DEPTH], n_visual;   /* of codes, by depth; of denoising in [SEMANTIC][0] */
    double contrast, pairs;
    double energy[BRANCHES][MAX_DEPTH + 1];    /* |z|^2 and what each depth of the quantizer leaves of it */
    double distill, pooled, commit, n_distill; /* tokenizer with its own tower: mean squares, summed over pictures */
    double tokens;                             /* real tokens and image rows */
} Losses;
