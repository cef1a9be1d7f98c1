#include "launch/run.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/dnnl/bf16.h"
#include "core/limits.h"
#include "core/ops.h"
#include "dist/comm.h"
#include "dist/tp.h"
#include "io/base/agree.h"
#include "launch/lives.h"
#include "launch/save.h"
#include "launch/room.h"


const char *const STAGE_NAME[] = { "contrast", "tokenizer", "pretrain", "instruct" };

void run_open(Run *r, const Config *c, int tp)
{
    *r = (Run){ .c = c };
    grid_open(&r->grid, MPI_COMM_WORLD, tp);
    r->tp = tp_door(&r->grid, 0);
    place_open(&r->place, &r->grid, c->parallel.bind == BIND_AUTO);     /* before any thread computes */
    room_threads(r);
    ops_use(&OPS_CPU, r->threads);
}

/* From the watchdog's thread, while the main thread may stand anywhere. */
static void hang(const char *what, const char *got)
{
    Err e = { 0 };
    if (!got) {
        log_warn(what);
        return;
    }
    err_got(&e, "%s", got);
    err_set(&e, EXIT_HANG, "", "is it stopped, or does its node, its disk or its network hang?  watch.timeout says how long is waited",
            "%s", what);
    log_error(&e);
    lives_verdict(what, got);
}

void run_watch(Run *r)
{
    r->watch = watch_open(&r->grid, r->c->watch.timeout, hang);
}

void run_close(Run *r)
{
    watch_close(r->watch);
    if (r->feed)
        feed_close(r->feed);
    if (r->log)
        log_close(r->log);
    const bool over = run_saver_close(r);
    free(r->guard.frozen);
    if (r->buckets)
        buckets_close(r->buckets);
    if (r->optim.table)
        optim_close(&r->optim);
    if (r->has_model) {
        tape_close(&r->tape);
        model_close(&r->model);
    }
    if (r->shards)
        shards_close(r->shards);
    if (r->text)
        text_close(r->text);
    if (over)
        lease_drop(r->lease);
    mem_thaw();
    grid_close(&r->grid);
}

bool run_agree(const Run *r, Err *e)
{
    return err_agree(r->grid.world, !e->code, e);
}

bool run_text(Run *r, Err *e)
{
    const Config *c = r->c;
    if (access(c->text.model, F_OK) != 0 && errno == ENOENT)
        err_set(e, EXIT_DATA, c->text.model, "`asvr pack` makes one, or correct text.model", "there is no such text model");
    else
        r->text = text_open(c->text.model, e);
    if (r->text && text_size(r->text) > c->model.decoder.vocab) {
        err_expected(e, "at most model.decoder.vocab = %d pieces", c->model.decoder.vocab);
        err_got(e, "%d pieces", text_size(r->text));
        err_set(e, EXIT_CONFIG, c->text.model, "raise model.decoder.vocab", "the text model is larger than the vocabulary");
    }
    return run_agree(r, e) && run_same(r, text_hash(r->text), c->text.model, "text models", e);
}

/* Parts that learn: the configured ones, or what the stage is for. */
static void trainable_parts(const Config *c, Stage stage, char out[CONFIG_STRING])
{
    static const char *const heads[] = { [SUPERVISE_NONE] = "", [SUPERVISE_SEMANTIC] = ",head", [SUPERVISE_APPEARANCE] = ",app_head",
                                         [SUPERVISE_BOTH] = ",head,app_head", [SUPERVISE_DENOISING] = ",denoiser" };
    const char *head = heads[c->train.supervision];
    const bool lora = c->train.lora_rank > 0;               /* the pairs learn in the decoder's place */
    if (c->train.trainable[0])
        snprintf(out, CONFIG_STRING, "%.*s%s", CONFIG_STRING - 8, c->train.trainable, lora ? "," LORA_PART : "");
    else if (stage == STAGE_CONTRAST)
        snprintf(out, CONFIG_STRING, "vision,pool,text,contrast");
    else if (stage == STAGE_TOKENIZER)
        snprintf(out, CONFIG_STRING, "codes%s%s", c->model.codes.appearance_layer ? ",app_codes" : "",
                 c->model.codes.tower == TOWER_OWN ? ",tokenizer" : "");
    else
        snprintf(out, CONFIG_STRING, "projector%s%s", lora ? "," LORA_PART : stage == STAGE_INSTRUCT ? ",decoder" : "", head);
}

ModelConf run_conf(const Config *c, const RunShape *s, char trainable[CONFIG_STRING])
{
    const int visual = c->model.head.heads ? c->model.head.heads : (int)max64(1, c->model.head.width / 128);
    trainable_parts(c, s->stage, trainable);
    return (ModelConf){
        .stage = s->stage, .train = s->train, .bare = s->bare, .empty = true, .parts = s->parts,
        .supervision = (Supervision)c->train.supervision, .codes_given = s->codes_given, .trainable = trainable,
        .image = c->model.vision.image, .patch = c->model.vision.patch, .scales = c->model.vision.scales,
        .vision_kind = c->model.vision.kind,
        .vision = vision_dims(c->model.vision.kind, c->model.vision.width, c->model.vision.ffn, c->model.vision.heads,
                              c->model.vision.layers),
        .text = { .C = c->model.text.width, .F = c->model.text.ffn, .H = c->model.text.heads,
                  .L = c->model.text.layers, .eps = 1e-6f },
        .select_layer = c->model.vision.select_layer, .discrete = c->model.vision.input == INPUT_DISCRETE,
        .text_max_len = c->model.text.max_len, .projector_layers = c->model.projector.layers,
        .decoder = { .C = c->model.decoder.width, .F = c->model.decoder.ffn, .H = c->model.decoder.heads,
                     .K = c->model.decoder.kv_heads, .L = c->model.decoder.layers, .V = c->model.decoder.vocab,
                     .D = c->model.decoder.head_dim, .theta = (float)c->model.decoder.rope_theta,
                     .rope = { .kind = c->model.decoder.rope_scaling, .factor = c->model.decoder.rope_factor,
                               .low = c->model.decoder.rope_low_freq_factor, .high = c->model.decoder.rope_high_freq_factor,
                               .original = c->model.decoder.rope_original_max_len },
                     .eps = (float)c->model.decoder.eps, .qkv_bias = c->model.decoder.qkv_bias,
                     .qk_norm = c->model.decoder.qk_norm, .tied = c->model.decoder.tied },
        .codes_layer = { c->model.codes.layer, c->model.codes.appearance_layer },
        .codes_depth = c->model.codes.depth, .codes_size = c->model.codes.size, .codes_shared = c->model.codes.shared,
        .own_tower = c->model.codes.tower == TOWER_OWN, .distill = (float)c->train.distill,
        .distill_pool = (float)c->train.distill_pool, .commit = (float)c->train.commit,
        .head_width = c->model.head.width, .head_layers = c->model.head.layers, .head_heads = visual,
        .head_tied = c->model.head.tied, .denoise_draws = c->train.denoise_draws,
        .visual_weight = (float)c->train.visual_weight, .visual_share = (float)c->train.visual_share,
        .soft_targets = (float)c->train.soft_targets, .visual_shift = c->train.visual_shift,
        .recompute = c->train.recompute, .micro_batch = s->micro_batch, .max_images = s->max_images, .max_len = s->max_len,
        .lora_rank = s->stage >= STAGE_PRETRAIN && !s->bare ? c->train.lora_rank : 0, .lora_alpha = (float)c->train.lora_alpha,
        .lora_targets = c->train.lora_targets, .lora_based = c->train.init[0], .seed = (uint64_t)c->run.seed,
    };
}

/* train.compute, for what trains: all other verbs compute in fp32. */
static void compute_open(Run *r)
{
    const char *absent = bf16_absent();
    if (r->c->train.compute == COMPUTE_FP32 || r->refused.code)
        return;
    if (absent) {
        err_expected(&r->refused, "oneDNN 2 or 3 on a processor that computes in bf16, on every node");
        err_got(&r->refused, "%s", absent);
        err_set(&r->refused, EXIT_CONFIG, "train.compute", "train.compute = \"fp32\" trains anywhere (a run that was started in bf16 goes on in bf16 alone)",
                "there are no bf16 products here");
        return;
    }
    bf16_open(r->threads);
    ops_overlay(&OPS_BF16);
}

/* The most blocks, a power of two up to `most`, that the sizes divide into; 0: none, or tp does not divide them. */
static int blocks_in(int most, const ModelConf *conf, int tp)
{
    char why[512];
    while (most > 1 && !model_divides(conf, most, why, sizeof why))
        most /= 2;
    return most > 1 && most % tp == 0 ? most : 0;
}

int run_blocks(const Config *c, const ModelConf *conf, int tp)
{
    return blocks_in(c->train.compute == COMPUTE_FP32 ? c->parallel.blocks : 0, conf, tp);
}

/* Whoever only reads weights has leaves, too, be there but one: no row's bits depend on which others go with it, so no answer on what else is asked. */
static int reading_blocks(const Config *c, const ModelConf *conf, int tp)
{
    const int blocks = blocks_in(c->parallel.blocks, conf, tp);
    return blocks == 0 && tp == 1 && c->parallel.blocks ? 1 : blocks;
}

bool run_model(Run *r, const RunShape *s, Err *e)
{
    char trainable[CONFIG_STRING];
    ModelConf conf = run_conf(r->c, s, trainable);
    char why[512];
    conf.fleeting = s->train && r->c->parallel.zero == 2 && r->grid.dp_size > 1;
    if (!model_divides(&conf, r->grid.tp_size, why, sizeof why))
        return err_set(e, EXIT_CONFIG, "parallel.tp", "`asvr plan` knows for any grid, without running", "%s", why);
    r->tp = tp_door(&r->grid, s->train ? run_blocks(r->c, &conf, r->grid.tp_size) : reading_blocks(r->c, &conf, r->grid.tp_size));
    if (s->train) {
        compute_open(r);
        r->tp.sequence = run_tp(r->c, &conf, r->grid.tp_size).sequence;
    }
    if (!room_memory(r, &conf, s, e))
        return false;
    if (!model_open(&r->model, &conf, &r->tp)) {
        err_got(e, "\"%.200s\"", conf.trainable);
        err_expected(e, "parts of this stage's model, e.g. \"projector,decoder\"");
        model_close(&r->model);
        return err_set(e, EXIT_CONFIG, "train.trainable", "", "train.trainable names a part that the model does not have");
    }
    r->model.c.trainable = r->c->train.trainable;           /* the text above ends with this function */
    tape_open(&r->tape, &r->model);
    r->has_model = true;
    return true;
}

uint64_t run_fingerprint(const Run *r, bool (*want)(const Param *p))
{
    uint64_t sum = params_fingerprint(&r->model.table, r->model.weights, want);
    comm_sum_u64(r->grid.tp, &sum, 1);
    return sum;
}

/* The codebooks name the tokenizer: they were learned on its tower's features, and the visual head reads them.  The
   tower itself may have learned on since (it is a copy in the released code, too). */
static bool semantic_table(const Param *p) { return param_in_part(p, "codes") && strstr(p->name, ".table"); }
static bool appearance_table(const Param *p) { return param_in_part(p, "app_codes") && strstr(p->name, ".table"); }

uint64_t run_codes_model(const Run *r, int branch)
{
    if (!model_has(&r->model, branch ? PART_APP_CODES : PART_CODES))
        return 0;
    return run_fingerprint(r, branch ? appearance_table : semantic_table);
}

/* The codes of one kind in the shards are those of the model. */
static bool branch_matches(const Run *r, int branch, uint64_t stored, Err *e)
{
    const uint64_t own = run_codes_model(r, branch);
    if (own == 0 || own == stored)
        return true;
    err_expected(e, "tokenizer %016llx (the model's codebooks)", (unsigned long long)own);
    err_got(e, "tokenizer %016llx", (unsigned long long)stored);
    if (stored == 0)
        return err_set(e, EXIT_DATA, "data.set", "pack with model.codes.appearance_layer set and data.codes a tokenizer that has them",
                       "the shards have no appearance codes");
    return err_set(e, EXIT_DATA, "data.set", "pack with data.codes = the checkpoint that train.init descends from",
                   "the shards' visual codes were made by another tokenizer");
}

static bool codes_match(const Run *r, Err *e)
{
    const Model *m = &r->model;
    const ShardMeta *s = shards_meta(r->shards);
    const int kinds = s->appearance_model ? 2 : 1;
    if (m->c.stage < STAGE_PRETRAIN || !(m->parts & (PART_CODES | PART_APP_CODES)))
        return true;
    if (!m->c.codes_given && m->dw.vision.wp.w && !model_has(m, PART_TOKENIZER))
        return err_set(e, EXIT_CONFIG, "train.trainable", "pack with data.codes, so that the codes stay what they are",
                       "the vision tower is to learn, and the shards have no codes: the targets would move with it");
    if (!m->c.codes_given)
        return true;
    if (s->depth != m->c.codes_depth * kinds) {
        err_expected(e, "%d codes a patch (model.codes.depth)", m->c.codes_depth);
        err_got(e, "%d codes a patch", s->depth / kinds);
        return err_set(e, EXIT_DATA, "data.set", "pack again, or set model.codes.depth", "the shards' codes have another depth");
    }
    return branch_matches(r, SEMANTIC, s->codes_model, e) && branch_matches(r, APPEARANCE, s->appearance_model, e);
}

bool run_codes_match(const Run *r, Err *e)
{
    codes_match(r, e);                                      /* each replica judges what it has in memory */
    return run_agree(r, e);
}

Tp run_tp(const Config *c, const ModelConf *conf, int tp)
{
    Tp t = TP_ALONE;
    t.size = tp;
    t.leaves = run_blocks(c, conf, tp) / tp;
    t.sequence = tp > 1 && c->parallel.sequence;
    return t;
}

BucketConf run_buckets(const Config *c, const Levels *v)
{
    return (BucketConf){ .reduction = c->parallel.reduction, .wire = c->parallel.wire, .bytes = bucket_size(v),
                         .drop = c->parallel.zero == 2 && v->replicas > 1,
                         .leaves = (int)ceil_div(c->train.global_batch, (int64_t)c->train.micro_batch * v->replicas) };
}

OptimSetup run_optim(const Config *c, const Levels *v)
{
    return (OptimSetup){ .kind = c->train.optimizer, .zero1 = c->parallel.zero >= 1, .bytes = bucket_size(v), .levels = *v,
                         .canonical = c->parallel.reduction != REDUCE_FAST };
}

/* Each thread has enough to do, and the operands of one thread are those of 512^3. */
static int64_t sgemm_rows(const Run *r) { return max64(RUN_SGEMM, RUN_SGEMM / 2 * (int64_t)r->threads); }

int64_t run_sgemm_room(const Run *r) { return limits_room(sgemm_rows(r), RUN_SGEMM, RUN_SGEMM); }

double run_sgemm(const Run *r, float *room) { return limits_sgemm(room, sgemm_rows(r), RUN_SGEMM, RUN_SGEMM, false, true, r->threads); }

double run_sgemm_rate(const Run *r)
{
    Arena a = { .name = "sgemm" };
    TAKE(&a, float, run_sgemm_room(r));
    arena_alloc(&a);
    const double rate = run_sgemm(r, TAKE(&a, float, run_sgemm_room(r)));
    arena_free(&a);
    return rate;
}

double run_peak_mb(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)u.ru_maxrss / 1024;
}

double run_resident_mb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%*d %ld", &pages) == 1, "/proc/self/statm does not say how much memory is resident");
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}
