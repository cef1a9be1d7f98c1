/*
 * hftokens.h -- the tokenizer's files of an export: what text.model is, as transformers opens it
 *
 *     SentencePiece   tokenizer.model as it is; tokenizer.json, the same pieces for clients without SentencePiece (spjson.h)
 *     byte level      tokenizer.json as it is, but for the <image> token
 *     both            tokenizer_config.json, special_tokens_map.json, chat_template.jinja
 *
 * Local, for rank 0.  Errors  the disk's: EXIT_IO; files that changed under way: EXIT_DATA
 * Tests   tests/launch/hfrun.sh, tests/peers/check_export.sh
 */
#pragma once
#include "launch/hf/export.h"

/* Writes them into dir.  note (cap bytes): what a client may miss, one sentence, or "". */
bool hftokens_write(const Export *x, const char *dir, char *note, size_t cap, Err *e);
