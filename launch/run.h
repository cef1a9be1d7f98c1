/*
 * run.h -- what lives while a verb works: built in order, torn down in reverse
 *
 *     run_open      process grid, ops, the text model (where one is configured)
 *     run_model     the model of the configuration's stage
 *     run_weights   values: the newest valid checkpoint, or parts of train.init, or the seed
 *     run_close     everything, in reverse
 *
 * train adds what only a training run needs (run_train).  All functions are collective over all ranks; those that
 * return bool return the same on each, with the error set on each.
 * Tests  tests/launch
 */
#pragma once
#include "core/asvr.h"
#include "dist/bucket.h"
#include "dist/optim.h"
#include "dist/place.h"
#include "dist/watch.h"
#include "io/set/catalogue.h"
#include "io/ckpt/saver.h"
#include "io/base/files.h"
#include "io/ckpt/ckptread.h"
#include "io/base/lease.h"
#include "io/base/log.h"
#include "io/text/text.h"
#include "launch/config/config.h"
#include "launch/feed.h"
#include "launch/origin.h"

typedef struct {
    const Config *c;
    Grid     grid;
    Tp       tp;
    Text    *text;
    Shards  *shards;
    Model    model; Tape tape;     /* one micro-batch is under way */
    bool     has_model;
    Optim    optim;
    Buckets *buckets;
    OnGrad   door;
    Feed    *feed; struct StepEval *eval;                   /* eval: of a training run with eval.every (stepeval.h) */
    Log     *log; struct Lives *lives;                      /* rank 0 only; of a training run (lives.h) */
    Saver   *saver;                /* of a training run */
    Piece   *piece;                /* what it saves */
    char   (*piece_name)[CKPT_NAME];
    char     ckpt_dir[PATH_ROOM], local_dir[PATH_ROOM];    /* RUN/ckpt; the run's folder below ckpt.local, or "" */
    Lease   *lease;                /* of the run's directory; rank 0 only */
    char     tag[17];              /* lease_tag on all ranks */
    CpuPlace place; int threads;   /* of this rank: its cores, its threads */
    char     threads_text[48];     /* of all ranks: "2 threads", "1 to 4 threads", and their vectors */
    Err      refused;              /* threads or bf16, asked for and not to be had: run_model says so */
    Watch   *watch;                /* of train and pack, or NULL */
    int64_t  step, steps;          /* updates done, updates to do */
    int      restart;
    double   sgemm;                /* this rank's sgemm rate at start, flops per second */
    char     init[288], base[1024];        /* fingerprints of the checkpoints that it started from; where they lay, if it has low-rank pairs */
    struct { uint64_t *frozen; double part; } guard;        /* (n) hashes of frozen tensors; of the last slice (guard.h) */
    CkptNorms norms;               /* gradient norms of the last updates (spike.h) */
    Origin   origin;               /* of the weights, for the first line of a run */
} Run;

extern const char *const STAGE_NAME[];         /* by Stage: "contrast", "tokenizer", "pretrain", "instruct" */
/* What a model is opened for. */
typedef struct {
    Stage    stage;
    bool     train, bare;          /* gradients; weights alone */
    unsigned parts;                /* PART_..., or 0: what the stage needs */
    int      codes_given, micro_batch, max_images, max_len;    /* codes_given: codes a patch in the shards */
    int      answers; const char *answers_by;          /* under way at once, of model.decoder.max_len rows, and the key that says how many, if one does; 0: none */
} RunShape;

/* tp: tensor-parallel ranks a replica, parallel.tp or 1; it divides the ranks. */
void run_open(Run *r, const Config *c, int tp);
void run_close(Run *r);
void run_watch(Run *r);         /* opens r->watch (watch_open): from here on a rank that hangs ends all with EXIT_HANG */
/* Every rank learns the first error; true if nobody has one. */
bool run_agree(const Run *r, Err *e);
/* Is the hash of what each rank has opened at `path` the same everywhere?  EXIT_DATA: "the ranks have opened different WHAT". */
bool run_same(const Run *r, uint64_t value, const char *path, const char *what, Err *e);

bool run_text(Run *r, Err *e);                                         /* opens text.model */
/* Opens a split of data.set, on all ranks the same, and checks that it was packed for this configuration. */
bool run_shards(Run *r, int split, Err *e);
/* The model, its weights zero: one of the functions below fills them, or model_init. */
bool run_model(Run *r, const RunShape *s, Err *e);
/* The model's configuration, as run_model opens it.  Local. */
ModelConf run_conf(const Config *c, const RunShape *s, char trainable[CONFIG_STRING]);
/* Names the data, as checkpoints of that version do. */
void run_data(const Run *r, int version, char out[64]);
/* RUN/data.json says what the data set is; the difference to it: "data.level: "1" -> "2", ..."  Rank 0. */
bool run_data_write(const Run *r, Err *e);
void run_data_difference(const Run *r, char *out, size_t cap);
/* The shape of the shards' micro-batches for the configured stage. */
RunShape run_shape(const Run *r, bool train);

/* A checkpoint as users name it, opened and used (`use` may be NULL): its folder, a RUN, or a RUN/ckpt: the newest.  NULL on failure; to be closed. */
Ckpt *run_ckpt(const Run *r, const char *named, CkptUse *use, void *with, Err *e);
/* Loads the parts of the model that the named checkpoints have ("runs/siglip, runs/vicuna": each part from the first that
   has it), whole or not at all; the others keep their fresh values, but the codes' own tower, which then is a copy of
   the vision tower.  Which is which goes to *o. */
bool run_load_parts(Run *r, const char *names, Origin *o, Err *e);
/* Weights for eval and chat: the newest checkpoint of run.dir, or one as users name it; it must have every part. */
bool run_weights(Run *r, int64_t *step, Err *e), run_weights_of(Run *r, const char *named, int64_t *step, Err *e);
/* Weights, moments and step of the newest checkpoint of run.dir; or train.init; or fresh. */
bool run_resume(Run *r, Err *e);
/* Weights but those that are BASED (param.h), and with moments the optimizer's, as pieces of a checkpoint; both are to be freed.  Local. */
Piece *run_pieces(const Run *r, bool moments, int *n, char (**names)[CKPT_NAME]);
/* RUN/ckpt, of PATH_ROOM bytes.  Local. */
bool run_ckpt_dir(const Run *r, char dir[], Err *e);
/* What the model's parameters are, in one number that no grid changes; want: which, NULL for all. */
uint64_t run_fingerprint(const Run *r, bool (*want)(const Param *p));
/* The same of the optimizer's moments (CkptMeta.moments): what this replica holds, and what replicas share. */
uint64_t run_moments(const Run *r);
/* Are the shards' codes those of this model's tower and codebooks? */
bool run_codes_match(const Run *r, Err *e);
/* Names the codebooks of one kind; 0 if the model has none. */
uint64_t run_codes_model(const Run *r, int branch);

/* Blocks of what tp splits (linear.h): the most, a power of two up to parallel.blocks, that the sizes divide into; 0 where tp does not
   divide them, and in bf16.  run_tp: the shape of such a group, whose doors lead nowhere.  How gradients are added up among replicas in such levels, and what is done with them.  Local. */
int        run_blocks(const Config *c, const ModelConf *conf, int tp); Tp run_tp(const Config *c, const ModelConf *conf, int tp);
BucketConf run_buckets(const Config *c, const Levels *v);
OptimSetup run_optim(const Config *c, const Levels *v);

/* Flops per second of this rank's sgemm, milliseconds: RUN_SGEMM^3, of more than two threads more rows; in run_sgemm_room floats, or own memory. */
enum { RUN_SGEMM = 512 };
int64_t run_sgemm_room(const Run *r);
double run_sgemm(const Run *r, float *room);
double run_sgemm_rate(const Run *r);
double run_peak_mb(void), run_resident_mb(void);        /* of this process, in MiB: the most so far, and now */
