/*
 * config.h -- what was asked: the effective configuration, and how a libconfig file and --set become one
 *
 * The members mirror the keys: model.decoder.width is c->model.decoder.width.  Each key's type, range and
 * default stand in the table of launch/config/options.c, one line a key; nothing else enumerates them.  A Config is
 * plain data without pointers: it can be copied, compared and sent to other ranks as it lies.
 *
 * Order: defaults, then the file with its @includes, then one of its stages (`stages = ( { ... }, ... );`, each what it has that others have
 * not; --set train.stage names which are meant, without it all are), then every --set from left to right.
 *
 * Source  libconfig's grammar; the keys are those of docs/OPTIONS.md
 * Tests   tests/launch/config.sh (each kind of error, all at once, the round trip)
 */
#pragma once
#include "core/asvr.h"
#include "io/base/err.h"
#include "io/image/image.h"
#include "io/text/prompt.h"

#include <stdio.h>

enum { CONFIG_STRING = 1024, CONFIG_ERRORS = 32, CONFIG_KEYS = 256, CONFIG_PLACE = 200 };

/* Values of ENUM keys; data.fit, data.template, train.stage, model.vision.kind and model.decoder.rope_scaling are FIT_* of
   io/image/image.h, TEMPLATE_* of io/text/templates.h, Stage, VISION_* of core/siglip.h and ROPE_* of core/llama.h. */
enum { SOURCE_LLAVA, SOURCE_WEBDATASET, SOURCE_COCO, SOURCE_PARQUET, SOURCE_FOLDER, SOURCE_SCENES };    /* data.source */
enum { BAD_FAIL, BAD_SKIP };                                                /* data.on_bad */
enum { LAST_DROP, LAST_WRAP };                                              /* data.last */
enum { OPTIMIZER_ADAMW, OPTIMIZER_MUON };                                    /* train.optimizer; as OPTIM_* */
enum { EXPORT_F32, EXPORT_F16, EXPORT_BF16 };                                /* export.dtype */
enum { UNKNOWN_FAIL, UNKNOWN_WARN };                                        /* import.unknown */
enum { SCHEDULE_COSINE, SCHEDULE_CONSTANT };                                /* train.schedule */
enum { COMPUTE_FP32, COMPUTE_BF16 };                                        /* train.compute */
enum { BIND_AUTO, BIND_NONE }; enum { TALK_AUTO, TALK_YES, TALK_NO };        /* parallel.bind; chat.talk */
enum { INPUT_CONTINUOUS, INPUT_DISCRETE };                                  /* model.vision.input */
enum { TOWER_SHARED, TOWER_OWN };                                           /* model.codes.tower */
enum { SCALING_WEAK, SCALING_STRONG, SCALING_BOTH };                        /* scaling.kind; the first two plan.scaling */
enum { GRID_BEST, GRID_GIVEN }; enum { BEST_NONE, BEST_LOSS, BEST_LOSS_TEXT, BEST_LOSS_VISUAL, BEST_MEAN };                                             /* plan.grid */

typedef char ConfigString[CONFIG_STRING];

typedef struct Config {
    struct { ConfigString dir; int64_t seed; bool fresh, ops_table, tensorboard; } run;
    struct {
        struct { int kind, image, patch, scales, width, layers, heads, ffn, select_layer, input; } vision;
        struct { int width, layers, heads, ffn, max_len; } text;
        struct { int layers; } projector;
        struct {
            int width, layers, heads, kv_heads, head_dim, ffn, vocab, max_len, rope_scaling, rope_original_max_len;
            double rope_theta, rope_factor, rope_low_freq_factor, rope_high_freq_factor, eps;
            bool qkv_bias, qk_norm, tied;
        } decoder;
        struct { int depth, size, layer, appearance_layer, tower; bool shared; } codes;
        struct { int width, layers, heads; bool tied; } head;
    } model;
    struct { ConfigString model; } text;
    struct {
        int source, max_cutouts, fit, template, store, shard_samples, level, on_bad, last, threads;
        bool follow_links;
        int64_t samples, val_samples, max_pixels;
        ConfigString set, json, val_json, images, cutouts, system, codes, shards, val;
    } data;
    struct {
        int stage, global_batch, micro_batch, optimizer, schedule, compute, recompute, visual_shift, supervision, skip_limit, denoise_draws, lora_rank;
        int64_t steps;
        double epochs, lr, warmup, betas[2], eps, decay, clip, spike, visual_weight, visual_share, soft_targets, ema_decay, distill,
            distill_pool, commit, momentum, muon_lr, lora_alpha;
        ConfigString init, trainable, lora_targets;
    } train;
    struct { int tp, zero, blocks, reduction, wire, threads, bind; bool sequence; } parallel;         /* reduction, wire: REDUCE_*, WIRE_* of dist/bucket.h */
    struct { int64_t every; double minutes; int keep, best; bool async; char local[CONFIG_STRING]; double local_minutes; } ckpt;
    struct { double timeout; } watch; struct { double grace; int64_t deadline; } stop;
    struct {
        ConfigString nodes, time, partition, account, qos, constraint, exclude, reservation, name, extra, site;
        int verb, ranks_per_node, threads, lead, chain, budget;
        bool exclusive, exclude_failed, dry;
    } slurm;
    struct { int64_t every, samples; int batch, kind; ConfigString from, tsv, predictions; } eval;
    struct { ConfigString from, parts; int64_t samples, whole; } spectrum;
    struct { ConfigString image, question; double temperature; int max_new, talk; } chat;
    struct { ConfigString address, api_key, name; int port, batch, queue, max_images, max_tokens; int64_t max_body; double timeout; bool open; } serve;
    struct { int replicas, ranks, scaling, grid; ConfigString rates, nodes, cluster, csv, svg; } plan;
    struct { int warm, steps, repeat, min_len, prompts; bool rates, ckpt, waterfall, one_thread; ConfigString trace; } bench;
    struct { int kind, warm, steps, repeat; double max_seconds; ConfigString ranks, tp, zero, micro_batch, threads, launcher, dir; } scaling;
    struct { ConfigString from, to; int unknown; } import;
    struct { ConfigString from, to, base; int dtype, shard_mb; bool adapter; } export;
    struct { int n, at; } stages;               /* no key: how many stages are meant, and which of them this is; n 0: the file lists none */
} Config;

/* Side of the pictures in the shards: the tower's, times the scales that S2 sees. */
static inline int config_picture(const Config *c) { return c->model.vision.image * c->model.vision.scales; }

/* How a picture becomes square: padded with what the tower takes for the mean colour, as LLaVA does, or stretched. */
static inline int config_fit(const Config *c) { return c->data.fit == FIT_PAD && c->model.vision.kind == VISION_CLIP ? FIT_PAD_CLIP : c->data.fit; }

/* Every error found, in the order of the file; `lost` counts those that did not fit.  And where each key was set last: the
   rules between keys name the places of those that break them. */
typedef struct {
    int  n, lost;
    Err  err[CONFIG_ERRORS + 1];                    /* the last one takes what does not fit */
    char file[CONFIG_PLACE];                        /* "" where there is none */
    char place[CONFIG_KEYS][CONFIG_PLACE];          /* of options[i]: "tiny.cfg:7", "--set train.lr=1"; "": its default holds */
} ErrList;

/* A fresh Err at the end of the list (a spare one beyond CONFIG_ERRORS). */
Err *err_next(ErrList *errs);

/* Defaults, then the file at `path` (NULL: none), then sets[0..n) of the form "train.lr=1e-3".  True when no
   error was found; all errors are in *errs, EXIT_CONFIG each, and errs->file and place are set.  Of stages the last, or number `stage`.  Local. */
bool config_load(Config *c, const char *path, char *const *sets, int n, ErrList *errs);
bool config_load_stage(Config *c, const char *path, int stage, char *const *sets, int n, ErrList *errs);

/* What one key alone cannot tell: divisibility, ranges that depend on other keys, keys that `verb` needs, sizes
   whose products leave 31 bits.  ranks: of this job.  errs: config_load's; appends to it, with the places of the keys that an
   error names, or the file; true when nothing was found.  Local. */
bool config_check(const Config *c, const char *verb, int ranks, ErrList *errs);

/* What `asvr submit` submits: the verb, and its ranks; 0 where slurm.nodes leaves them open.  Local. */
const char *config_submits(const Config *c, int *ranks);

/* The whole configuration as a libconfig file; loading it gives the same bits. */
void config_print(const Config *c, FILE *f);
/* A hash over the keys that determine the result of a training run (not where it or its data lie, nor how it is saved,
   evaluated, shown or threaded).  version: of the checkpoint that it is compared with; 1 counted the paths of data, text model
   and train.init. */
uint64_t config_hash(const Config *c, int version);
/* Prints "  train.lr: 0.001 -> 0.002" for each key that counts for config_hash of that version and differs; returns how many. */
int config_diff(const Config *was, const Config *is, int version, FILE *f);
/* The keys that say what is packed and how, as a JSON object of texts, to be freed; no paths. */
char *config_packs(const Config *c);
