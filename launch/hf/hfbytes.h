/*
 * hfbytes.h -- the tokenizer's files of a text model that has a tokenizer.json, carried into an export: as they are, and an <image> token
 *
 *     tokenizer.json             added_tokens gets it; where it has one, the file's very bytes
 *                                its blanks as prompts have them (spjson.h), and no BOS where they have none
 *     tokenizer_config.json      added_tokens_decoder, image_token, the processor's class; chat_template leaves it, since that is a file
 *     special_tokens_map.json, added_tokens.json, vocab.json, merges.txt      as they are
 *
 * Local, for rank 0.  Errors  the disk's: EXIT_IO; no JSON: EXIT_DATA
 * Tests   tests/launch/hfrun.sh, tests/peers/check_export.sh
 */
#pragma once
#include "launch/hf/export.h"

/* bos: prompts begin with it.  note (cap bytes): what a client may miss, or "". */
bool hfbytes_write(const Export *x, bool bos, const char *dir, char *note, size_t cap, Err *e);
