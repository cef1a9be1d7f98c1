/*
 * travel.h -- what import and export share: numbers by key, the small files beside the weights, folders that appear whole
 *
 * RUN/hf/ of an imported run keeps what a checkpoint does not: the small files (config.json, tokenizer, ...), the
 * headers of the weight files (NAME.header, and the index), and the tensors that the model does not use
 * (unused.safetensors).  With it `asvr export` writes the same bytes again.
 *
 * Local, for rank 0.  Errors  the disk's: EXIT_IO
 * Tests   tests/launch/hf.sh
 */
#pragma once
#include "io/hf/hfconfig.h"
#include "launch/config/config.h"

#define TRAVEL_DIR    "hf"
#define TRAVEL_UNUSED "unused.safetensors"

enum { TRAVEL_PATH = 2 * CONFIG_STRING };

/* HfNumber of a Config: a numeric, boolean or word key's value; model.head.heads as the model takes it. */
double travel_number(const void *config, const char *key);
/* Copies the small files of a model's folder: *.json, *.txt, *.model, *.jinja. */
bool travel_copy(const char *from, const char *to, Err *e);
bool travel_copy_file(const char *from, const char *to, Err *e);
/* Whether a folder is not there, or empty. */
bool travel_is_free(const char *dir);
/* A folder whose files are synced gets its name: fsync, rename, fsync of the parent. */
bool travel_publish(const char *temp, const char *final, Err *e);
