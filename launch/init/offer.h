/*
 * offer.h -- sizes of a model that fit the machine and the data, each with all its stages, and what it would cost
 *
 *     small    64 x 64 pixels, a few million parameters: minutes
 *     medium   128 x 128
 *     large    224 x 224
 *
 * A language model of somebody else's takes the place of the decoder; a whole LLaVA also that of the tower.  Costs are those of `asvr plan`
 * (launch/plan/plan.h): parameters, bytes of a rank, and for pretrain and instruct the seconds of a step by the rates measured here; the
 * stages contrast and tokenizer by the products of their matrices.
 *
 * Local, without MPI.  Tests: tests/launch/init.sh
 */
#pragma once
#include "launch/init/look.h"

enum { OFFER_SMALL, OFFER_MEDIUM, OFFER_LARGE, OFFERS, OFFER_STAGES = 5 };
extern const char *const OFFER_NAME[OFFERS];

/* This machine, looked at and measured within a second. */
typedef struct { int cores, ranks, threads; double ram, disk /* bytes that are left */, sgemm /* flops a second of all cores */, memory /* bytes a second */; } Machinery;

typedef struct {
    Config c;                          /* with what this stage has, and paths */
    bool   packs;                      /* its data set is its own */
    const char *why;                   /* one line for the file */
    double seconds, memory, disk;      /* of the stage; bytes of a rank; bytes of its checkpoints */
    int64_t parameters, learned;
} OfferStage;

typedef struct {
    int    size;
    OfferStage stage[OFFER_STAGES];
    int    n;
    double seconds, memory, disk;      /* together; of the largest; data sets and checkpoints */
    int64_t parameters;                /* of the last stage's model */
    bool   fits, enough, cut;          /* machine; there are data for so much; by offer_cut */
    const char *lacks;                 /* what does not fit */
} Offer;

void machinery_read(Machinery *m);
/* model: a Hugging Face folder, or NULL; run: the run's folder.  EXIT_DATA, EXIT_CONFIG where the model is none that asvr imports. */
bool offer_make(Offer *o, int size, const Look *l, const Machinery *m, const char *model, const char *run, Err *e);
/* Fills in what the stages cost. */
bool offer_costs(Offer *o, const Look *l, const Machinery *m, Err *e);
/* Fewer steps, and no more data than they see, so that it takes so many seconds. */
void offer_cut(Offer *o, const Look *l, double seconds);
/* The configuration, commented. */
void offer_write(const Offer *o, const Look *l, const Machinery *m, const char *model, FILE *f);
