/*
 * manifest.h -- manifest.json: what a checkpoint must be, to the bit
 *
 *     {
 *      "format": "asvr-checkpoint", "version": 3, "step": 100, "cursor": 3200, "global_batch": 32, "samples": 5000,
 *      "rng": {"seed": "0x..."}, "config_hash": "0x...", "fingerprint": "0x...", "grid": {"dp": 2, "tp": 1},
 *      "stage": "instruct", "data": "...", "init": "...", "moments": "0x...", "norms": [0.71, ...],
 *      "beside": [{"name": "hf/config.json", "bytes": 1234, "xxh64": "0x..."}, ...],
 *      "tensors": [{"name": "weights/decoder.3.attn.wq", "shape": [64, 64], "offset": 4096}, ...],
 *      "files": [{"name": "tensors.h5", "bytes": 1234567, "block": 1048576, "xxh64": ["0x...", ...]}],
 *      "hash": "0x..."
 *     }
 *
 * With low-rank pairs there are "base": "runs/vicuna/ckpt/step-00000000" (bases.h of launch) and "lora": {"rank": 8, "alpha": 16.0}, too.
 * (Indented by one.)  "hash" is XXH64 of every byte before the comma in front of it, and the file ends exactly there, so a
 * flipped bit anywhere is found before the JSON is parsed.  Every version of the format keeps "format", "version", "hash".
 * Version 1 had no "init", 1 and 2 neither "moments" nor "norms" nor "beside" (files of RUN that belong to the checkpoint: beside.h).
 * 64-bit numbers without a sign are hexadecimal strings, since JSON readers round numbers.
 * Local.  Malformed: EXIT_DATA; newer than CKPT_VERSION: EXIT_DATA, `newer` set.  Tests: tests/io/ckpt/test_manifest.c
 */
#pragma once
#include "io/ckpt/beside.h"
#include "io/ckpt/tensors.h"

#define MANIFEST_NAME "manifest.json"
#define MANIFEST_MAX  ((size_t)256 << 20)       /* bytes of a manifest that a reader accepts */

typedef struct {
    CkptMeta    meta;
    CkptTensor *tensor;
    int         tensors;
    int64_t     bytes, blocks;      /* of tensors.h5; blocks = ceil(bytes / HASH_BLOCK) */
    uint64_t   *block;              /* XXH64 of each block, (blocks) */
    CkptFile   *file;               /* beside the checkpoint, (files) */
    int         files;
    uint64_t    hash;               /* of the manifest itself */
    bool        newer;              /* parsing failed because the format is newer than this program */
} Manifest;

/* The text of the manifest, to be freed; NULL if a string is not UTF-8 or there is no memory. */
char *manifest_text(const Manifest *m);
/* Reads a text; `where` is the path for messages.  manifest_free in either case. */
bool  manifest_parse(Manifest *m, const char *text, size_t n, const char *where, Err *e);
void  manifest_free(Manifest *m);
