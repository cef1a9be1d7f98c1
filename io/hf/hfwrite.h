/*
 * hfwrite.h -- the small JSON files of a folder that transformers opens: what model, pictures and tokens are
 *
 *     config.json                 which model it is; of a visual head, in an object `asvr`, what no library knows
 *     generation_config.json      ids: what begins a text, what ends an answer
 *     preprocessor_config.json    how a file becomes pixel values, as io/image/image.h fits it
 *     processor_config.json       for how many ids an <image> stands
 *     tokenizer_config.json, special_tokens_map.json      the words of special tokens (tokenizer.json: launch/hf/hftokens.h)
 *
 * Each function returns the text of a file, to be freed.  The configuration is asked by its keys through HfNumber.  Local.
 * Source  transformers: configuration_{llava,llama,qwen2,qwen3,siglip,clip}.py, processing_llava.py, image_processing_llava.py
 * Tests   tests/io/hf/test_hfmap.c, tests/launch/hfrun.sh, tests/peers/check_export.sh (transformers itself)
 */
#pragma once
#include "io/hf/hfconfig.h"

enum { HF_STOPS = 8 };

typedef struct {
    HfLayout    layout;
    int         vision_layers;      /* blocks of the tower in the files */
    bool        pool, text;         /* are the pooling, the text tower there? */
    bool        tied;               /* there is no lm_head: it is the embedding */
    int         vocab;              /* rows of the embedding in the files; 0: model.decoder.vocab */
    int         image_token, bos;   /* bos -1: none */
    int         stop[HF_STOPS], stops;      /* ids that end an answer */
    int         pad_token;
    bool        pad;                /* a picture is padded to a square (data.fit) */
    const char *dtype;              /* "float32", ... */
    const char *supervision;        /* NULL: no "asvr" object */
} HfExport;

char *hfwrite_config(HfNumber *number, const void *config, const HfExport *x);
char *hfwrite_generation(const HfExport *x);
char *hfwrite_pictures(HfNumber *number, const void *config, const HfExport *x);
char *hfwrite_processor(HfNumber *number, const void *config);

/* Why transformers' own model of this kind cannot compute what ours does, one sentence; NULL: it can. */
const char *hfwrite_beyond(HfNumber *number, const void *config);

/* A token that is no ordinary piece. */
typedef struct {
    const char *text;
    int         id;
    bool        special;            /* not shown in an answer */
} HfToken;

typedef struct {
    const char    *kind;            /* the library's class */
    const char    *bos, *eos, *unk, *image;     /* NULL: none */
    bool           add_bos;         /* in front of a text that is tokenized with special tokens */
    int            max_len;
    const HfToken *token;           /* (tokens) */
    int            tokens;
} HfTokens;

char *hfwrite_tokens(const HfTokens *t);
char *hfwrite_special(const HfTokens *t);
