/*
 * hffiles.h -- the files of a Hugging Face folder beside its weights, and numbers by key: what import and export share
 *
 * RUN/hf/ of an imported run keeps what a checkpoint does not: the small files (config.json, tokenizer, ...), the
 * headers of the weight files (NAME.header, and the index), and the tensors that the model does not use
 * (unused.safetensors).  With it `asvr export` writes the same bytes again.
 *
 * Local, for rank 0.  Errors  the disk's: EXIT_IO
 * Tests   tests/launch/hf.sh
 */
#pragma once
#include "io/base/files.h"
#include "io/hf/hfconfig.h"
#include "launch/config/config.h"

#define HFFILES_DIR    "hf"
#define HFFILES_UNUSED "unused.safetensors"

/* HfNumber of a Config: a numeric, boolean or word key's value; model.head.heads as the model takes it. */
double hffiles_number(const void *config, const char *key);
/* Copies the small files of a model's folder: *.json, *.txt, *.model, *.jinja. */
bool hffiles_copy(const char *from, const char *to, Err *e);
bool hffiles_copy_file(const char *from, const char *to, Err *e);
/* Writes a file of this text, and frees it. */
bool hffiles_put(const char *dir, const char *name, char *text, Err *e);
/* Whether a folder is not there, or empty. */
bool hffiles_is_free(const char *dir);
