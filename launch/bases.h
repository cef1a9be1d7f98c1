/*
 * bases.h -- a checkpoint of low-rank pairs and those that it stands on
 *
 *     RUN/ckpt/step-00000100            lora, projector, head: what has learned
 *       base  runs/vicuna/ckpt/step-..  decoder, vision: what train.init gave and nobody has changed
 *
 * Such a checkpoint's manifest has where each base lay, and its fingerprint (CkptMeta.base, init).  A base is what has that fingerprint: at that place, or
 * anywhere among what train.init names.  It may have bases itself.  Every other checkpoint has none, and all of this is it alone.
 *
 * Collective over all ranks unless it says Local.
 * Errors  a base that is not there: EXIT_IO; pairs that the configuration has not: EXIT_CONFIG
 * Tests   tests/launch/lora.sh
 */
#pragma once
#include "launch/run.h"

enum { BASES = 16 };

typedef struct { Ckpt *at[BASES]; int n; } Bases;      /* at[0]: the checkpoint, which is its opener's */

/* Opens what c stands on; bases_close in either case. */
bool bases_open(Bases *b, const Run *r, Ckpt *c, Err *e);
void bases_close(Bases *b);                                                             /* Local */
/* The first that has the tensor, or -1.  Local. */
int  bases_find(const Bases *b, const char *name);
/* ckpt_fill, each piece from the first that has it; what none has, the checkpoint is blamed for.  how: of the checkpoint; of the others what is wanted. */
bool bases_fill(Bases *b, const Piece *p, int n, int how, Err *e);
/* The k-th of a list with commas; false: there is none.  Local. */
bool bases_word(const char *list, int k, char out[PATH_ROOM]);
/* Are its pairs those of the configuration?  Of a model without a decoder nobody asks.  Local. */
bool bases_pairs(const Run *r, const Ckpt *c, Err *e);
