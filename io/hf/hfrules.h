/*
 * hfrules.h -- the table behind hfmap.h: modules (who calls a part what) and rules (tensor by tensor)
 *
 *     module   { part, prefix of the file's names, set of rules, layouts we write with it }
 *     rule     { sets, the rest of the file's name, the rest of ours, how }
 *
 * "%d" is the block's number (in the file's name step * number + base); a second "%d" in ours is the depth.  "*" is
 * the rest of the name as it is.  A rule without our name is known and not used.  Local.
 * Tests   tests/io/hf/test_hfmap.c
 */
#pragma once
#include "io/hf/hfmap.h"

/* Sets of rules. */
enum {
    SET_TOWER = 1, SET_TEXT = 2, SET_POOL = 4, SET_CONTRAST = 8, SET_LINEAR = 16, SET_MLP = 32, SET_DECODER = 64,
    SET_LM_HEAD = 128, SET_FRONT = 256, SET_HEAD = 512, SET_BOOKS = 1024, SET_SAME = 2048, SET_IGNORED = 4096, SET_CLIP = 8192
};

typedef struct {
    unsigned    part;
    const char *prefix;
    unsigned    set, layouts;
} HfModule;

typedef enum { WHOLE, THIRD_0, THIRD_1, THIRD_2, DEPTH, PATCH, PROBE, EXTRA } HfHow;

typedef struct {
    unsigned    sets;
    const char *file, *ours;
    HfHow       how;
    int         step, base;         /* 0: 1 */
} HfRule;

extern const HfModule HF_MODULE[];
extern const HfRule   HF_RULE[];
extern const int      HF_MODULES, HF_RULES;
