/*
 * spjson.h -- a SentencePiece model as tokenizer.json, which every client of Hugging Face's tokenizers reads
 *
 *     model            BPE: the pieces, and of each piece all pairs of pieces that make it, by its score
 *                      Unigram: the pieces with their scores
 *     pre_tokenizer    Metaspace: blanks are U+2581; one in front of a text
 *     normalizer       one more behind BOS: what follows begins a text (io/text/prompt.h).  A look-ahead keeps BOS itself, which
 *                      tokenizers also normalises, as it is
 *     post_processor   BOS in front of a text that is tokenized with special tokens
 *
 * So the ids of a rendered chat template are those of prompt_build.  Local.
 * Tests   tests/peers/check_export.sh (ids, by transformers of two versions)
 */
#pragma once
#include <jansson.h>

#include "io/hf/hfwrite.h"
#include "io/text/sppieces.h"

/* The text of the file, to be freed; tokens: those of tokenizer_config.json.  NULL with why: the model asks for what is not
   written here (characters that are replaced, blanks that are joined). */
char *spjson_text(const SpPieces *s, const HfTokens *t, const char **why);
/* The pieces that are no text, and what the user defined: `token` (pieces + 1); returns how many.  Their texts live in *texts,
   to be freed. */
int   spjson_tokens(const SpPieces *s, HfToken *token, char **texts);
/* A tokenizer.json of characters that puts a blank in front of each text, also behind an added token (Prepend, Metaspace): only at the
   beginning and behind BOS (NULL: there is none) from now on, as above.  False: it has no such blank. */
bool  spjson_begins(json_t *root, const char *bos);
