/*
 * sentencepiece.h -- the few calls of SentencePiece (C++) that text.c needs, in C
 *
 * No exception leaves these functions, nothing is printed.  Where one can fail it says why in `why` (cap bytes).  Local.
 *
 * Source  Kudo, Richardson, "SentencePiece", arXiv:1808.06226
 * Tests   tests/io/text/test_text.c
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct Sp Sp;

Sp  *sp_load(const void *model, size_t bytes, char *why, size_t cap);       /* NULL: see why */
void sp_free(Sp *s);
int  sp_size(const Sp *s);
int  sp_bos(const Sp *s);
int  sp_eos(const Sp *s);
int  sp_find(const Sp *s, const char *piece);                               /* its id; -1: there is no such piece */
enum { SP_MEMORY = -1, SP_REFUSES = -2 };
/* The number of ids; SP_MEMORY; or SP_REFUSES: see why. */
int  sp_encode(const Sp *s, const char *text, size_t len, int32_t *ids, int cap, char *why, size_t why_cap);
int  sp_decode(const Sp *s, const int32_t *ids, int n, char *out, int cap);            /* bytes; SP_MEMORY */

/* Trains with `vocab` pieces from one sentence a line; options are name, value, name, value, ..., NULL as spm_train has
   them.  The model's bytes, to be freed by free(); NULL: see why. */
void *sp_train(const char *corpus_path, int vocab, const char *const *options, size_t *bytes, char *why, size_t cap);

#ifdef __cplusplus
}
#endif
