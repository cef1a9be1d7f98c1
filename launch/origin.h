/*
 * origin.h -- where the weights of each part of a model came from, and how that is said
 *
 *     resumes from RUN/ckpt/step-00000100
 *     starts from runs/siglip/ckpt/step-00000000, runs/vicuna/ckpt/step-00000000; fresh: head, codes; tokenizer: a copy of vision
 *     starts from seed 1
 *
 * Local.  Tests: tests/launch/grid.sh, tests/launch/variants.sh
 */
#pragma once
#include "core/param.h"

enum { ORIGINS = 16, ORIGIN_NAME = 200, ORIGIN_TEXT = 1024 };
enum { ORIGIN_FRESH = -1, ORIGIN_COPIED = -2 /* of the vision tower */ };

typedef struct {
    bool    resumed;                /* the run went on, from checkpoint[0] */
    int64_t seed;                   /* of what is fresh */
    int     checkpoints, parts;
    char    checkpoint[ORIGINS][ORIGIN_NAME];
    struct { char name[PARAM_NAME]; int from; } part[ORIGINS];      /* from: a number of checkpoint, or ORIGIN_... */
} Origin;

/* One more checkpoint; false where there are ORIGINS already. */
bool origin_checkpoint(Origin *o, const char *path);
/* The parts of the table in its order; from (t->n): of each tensor, those of a part alike. */
void origin_parts(Origin *o, const Params *t, const int *from);
/* Did every part come from a checkpoint? */
bool origin_whole(const Origin *o);
/* "head, codes": the parts whose origin is `from`. */
void origin_list(const Origin *o, int from, char out[ORIGIN_TEXT]);
/* The sentence above. */
void origin_text(const Origin *o, char out[ORIGIN_TEXT]);
