/*
 * found.h -- what an evaluation is made of; shared by evaluate.c, which fills it, and found.c, which tells
 */
#pragma once
#include "core/exact.h"
#include "io/set/gather.h"
#include "launch/eval/evaluate.h"
#include "launch/eval/generate.h"
#include "launch/eval/sheet.h"

enum { SHOWN = 20, FOUND_SAID = 4096 /* bytes of an answer */, FOUND_LOSSES = sizeof(Losses) / sizeof(double) };

/* Of one task: questions, right answers, those that its most frequent training answer would have got right. */
typedef struct { double n, right, baseline; } Mark;

/* Of a sample: what is right, NULL: nothing is asked; then what was asked and said. */
typedef struct { char *key; int task; char question[256], said[FOUND_SAID]; } Asking;

struct Evaluation {
    Run          *r;
    const Shards *shards;
    ShardReader  *reader;
    Gather        batch;
    Model         model;                   /* r's, which does not learn here */
    Generator     generator;
    int64_t       samples;
    int           tasks, answers;          /* answers: of the first so many tasks the most frequent one may be known */
    char        **task, **common;          /* names, and each one's most frequent training answer, "" not known */
    Asking       *asked;                   /* (micro_batch) of the samples in batch */
    int          *asker;                   /* (slots of the generator) the sample whose question each answers */
    bool          show;
    /* found */
    Mark         *mark;                    /* (tasks) */
    struct { double pairs, nearest; } own; /* contrast: pictures, and those whose own caption is the nearest */
    Exact         exact[FOUND_LOSSES];
    Losses        sum;
    int64_t       skipped;
    Shown         shown[SHOWN];
    int           n_shown;
};
