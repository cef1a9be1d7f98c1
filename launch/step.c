#include "launch/spike.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/dnnl/bf16.h"
#include "core/fault.h"
#include "core/prof.h"
#include "dist/comm.h"
#include "dist/stop.h"
#include "io/base/files.h"
#include "launch/deadline.h"
#include "launch/guard.h"
#include "launch/lives.h"
#include "launch/nodes.h"
#include "launch/opstable.h"
#include "launch/rundir.h"
#include "launch/save.h"
#include "launch/schedule.h"
#include "launch/stepeval.h"

enum { NAMED = 5 };
static const double LONG_STEP = 1;              /* seconds from which on requests are looked at within a step, about as often */

/* RUN/config.cfg: what this run is, once nothing speaks against going on with it. */
static void write_config(const Run *r, Err *e)
{
    char path[CONFIG_STRING + 16];
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    CHECK(f, "no memory for the configuration's text");
    config_print(r->c, f);
    fclose(f);
    snprintf(path, sizeof path, "%s/config.cfg", r->c->run.dir);
    file_replace(path, text, n, e);
    free(text);
}

int steps_ahead(const Config *c, int replicas)
{
    const int64_t A = max64(1, c->train.global_batch / ((int64_t)c->train.micro_batch * replicas));
    return (int)max64(STEPS_AHEAD, 1 + ceil_div(c->data.threads, A));
}

static void open_loader(Run *r, const RunShape *s, Err *e)
{
    const Config *c = r->c;
    const LoaderConf l = { .seed = (uint64_t)c->run.seed, .dp_rank = r->grid.dp_rank, .dp_size = r->grid.dp_size,
                           .micro_batch = c->train.micro_batch, .global_batch = c->train.global_batch,
                           .max_len = s->max_len, .P = r->model.w.vision.P, .first_step = r->step,
                           .ring = steps_ahead(c, r->grid.dp_size), .threads = c->data.threads,
                           .skip_bad = c->data.on_bad == BAD_SKIP, .vocab = c->model.decoder.vocab,
                           .codebook = c->model.codes.size };
    r->feed = feed_open(&r->grid, r->shards, &l, e);
}

/* Steps of train.epochs passes.  The order goes on over the end of a pass, so only the last batch of the run can be incomplete. */
static bool count_steps(Run *r, Err *e)
{
    const Config *c = r->c;
    const double samples = c->train.epochs * (double)shards_meta(r->shards)->samples, batches = samples / c->train.global_batch;
    r->steps = c->train.steps;
    if (!r->steps)
        r->steps = (int64_t)(c->data.last == LAST_WRAP ? ceil(batches) : floor(batches));
    if (r->steps)
        return true;
    err_expected(e, "train.global_batch = %d samples at least", c->train.global_batch);
    err_got(e, "%.0f: %g passes over %lld", samples, c->train.epochs, (long long)shards_meta(r->shards)->samples);
    return err_set(e, EXIT_CONFIG, "train.epochs", "lower train.global_batch, raise train.epochs, or set data.last = \"wrap\"",
                   "the data do not fill a single batch");
}

static void say_last(Run *r)
{
    const Config *c = r->c;
    const double samples = c->train.epochs * (double)shards_meta(r->shards)->samples;
    const double over = samples - (double)r->steps * c->train.global_batch;
    if (!c->train.steps && over >= 1)
        log_line(r->log, "the last %.0f samples fill no batch and are left out (data.last = \"drop\")", over);
    else if (!c->train.steps && over <= -1)
        log_line(r->log, "the last batch is filled with %.0f samples of the next pass (data.last = \"wrap\")", -over);
}

static void say_start(Run *r)
{
    const ShardMeta *s = shards_meta(r->shards);
    const double mib = 1 << 20;
    const Model *m = &r->model;
    char from[ORIGIN_TEXT];
    log_line(r->log, "%lld samples, %lld pictures; %.2f M parameters%s, %.2f M trainable; %d rank%s of %s; %.0f MiB each",
             (long long)s->samples, (long long)s->images, 1e-6 * (double)m->table.weights, r->grid.tp_size > 1 ? " a rank" : "", 1e-6 * (double)m->table.grads,
             r->grid.size, r->grid.size == 1 ? "" : "s", r->threads_text, (double)mem_total() / mib);
    const bool by_ranks = r->c->parallel.blocks && !r->tp.leaves && r->grid.tp_size > 1;
    if (r->grid.tp_size > 1 || r->grid.dp_size > 1)
        log_line(r->log, "%d replica%s of %d rank%s; reduction %s%s%s", r->grid.dp_size, r->grid.dp_size == 1 ? "" : "s", r->grid.tp_size,
                 r->grid.tp_size == 1 ? "" : "s", REDUCE_NAME[r->c->parallel.reduction],
                 step_shared(r),
                 by_ranks ? "; sums of what tp splits go by ranks: the bits are those of this tp alone" : "");
    step_say_waiting(r);
    if (r->c->train.compute == COMPUTE_BF16)
        log_line(r->log, "linear layers multiply in bf16 by %s, sums, weights and gradients are fp32", bf16_by());
    if (r->grid.tp_apart)
        log_warn("the tensor-parallel ranks of a replica lie on several nodes, and each block's sums cross the network: "
                 "let the launcher fill one node after the other, or lower parallel.tp");
    origin_text(&r->origin, from);
    if (r->step < r->steps)
        log_line(r->log, "%s; steps %lld to %lld of %s", from, (long long)r->step + 1, (long long)r->steps, r->c->run.dir);
    else
        log_line(r->log, "%s: all %lld steps are done already", from, (long long)r->steps);
    if (r->step < r->steps)
        say_last(r);
}

bool step_open(Run *r, Err *e)
{
    const Config *c = r->c;
    FAULT("open");
    if (c->text.model[0] && !run_text(r, e))
        return false;
    if (!run_shards(r, SPLIT_TRAIN, e))
        return false;
    RunShape shape = run_shape(r, true);
    if (!stepeval_shards(r, &shape, e) || !run_model(r, &shape, e))
        return false;
    const OptimSetup setup = run_optim(c, &r->grid.levels);
    optim_open(&r->optim, &r->model.table, r->model.weights, &r->grid, &setup);
    if (!count_steps(r, e))
        return false;
    if (!rundir_take(r, e))                     /* keeps a second job off the same run */
        return false;
    lives_open(r, e);
    (void)FAILS("open", e);
    if (!run_agree(r, e))
        return false;
    if (!run_recover(r, e) || !run_resume(r, e) || !run_codes_match(r, e))
        return false;
    if (!run_saver(r, e))
        return false;
    guard_open(r);
    if (r->grid.rank == 0)
        rundir_whole(r, e);
    if (!run_agree(r, e))
        return false;
    const BucketConf conf = run_buckets(c, &r->grid.levels);
    r->buckets = buckets_open(&r->optim.zero, r->model.grads, &r->grid, &conf);
    r->door = buckets_door(r->buckets);
    r->sgemm = run_sgemm_rate(r);
    open_loader(r, &shape, e);
    if (r->grid.rank == 0 && !e->code && lease_held(r->lease, e))
        write_config(r, e);
    if (r->grid.rank == 0 && !e->code)
        run_data_write(r, e);
    if (r->grid.rank == 0 && !e->code)
        r->log = log_open(c->run.dir, r->step + 1, r->lease, e);
    if (!rundir_agree(r, e) || !stepeval_open(r, e))
        return false;
    if (r->log && c->run.tensorboard && (r->step < r->steps || step_eval_owed(r)))
        (void)log_events(r->log, c->run.dir, r->step + 1, e);
    if (!rundir_agree(r, e))
        return false;
    if (r->log) {
        r->restart = log_restart(r->log);
        say_start(r);
        lives_resume(r);
    }
    nodes_say(r);
    opstable_open(r);
    return true;
}

void step_close(Run *r, int code)
{
    Err left = { 0 };
    opstable_close(r, code);
    if (r->saver && code != EXIT_UNSAVED && !run_saved(r, &left) && r->grid.rank == 0) {
        char text[1400];                                    /* a checkpoint under way is not lost because training ends */
        snprintf(text, sizeof text, "the checkpoint under way is not saved: %s (%s)", left.what, left.where);
        log_warn(text);
    }
    if (r->log && code == EXIT_DONE)
        log_line(r->log, "done: %s/ckpt holds step %lld", r->c->run.dir, (long long)r->step);
}

static void warn_bad(const Run *r, const StepData *d)
{
    for (int64_t i = 0; i < d->bad; i++) {
        char text[1200];
        snprintf(text, sizeof text, "step %lld: sample %lld is skipped: %s (%s)", (long long)r->step + 1,
                 (long long)d->bad_sample[i].id, d->bad_sample[i].why.what, d->bad_sample[i].why.where);
        log_warn(text);
    }
}

/* Samples whose answers were all cut off teach no text.  The first few of a rank are named, in the first pass alone. */
static void warn_unlabelled(const Run *r, StepState *s)
{
    const Model *m = &r->model;
    const StepData *d = s->data;
    if (r->grid.tp_rank != 0 || m->c.stage < STAGE_PRETRAIN || r->step * r->c->train.global_batch >= shards_meta(r->shards)->samples)
        return;
    for (int i = 0; i < d->n; i++)
        for (int b = 0; b < d->batch[i].B; b++) {
            const Batch *x = &d->batch[i];
            const int32_t from = x->token_start[b], n = x->token_start[b + 1] - from;
            if (n == 1 || splice_text_targets(x->tokens + from, x->labels + from, n, m->w.vision.P, m->c.max_len) > 0 ||
                ++s->unlabelled > NAMED)
                continue;                           /* one token: a malformed sample, named above */
            char text[200];
            snprintf(text, sizeof text, "step %lld: sample %lld has no answer to learn within model.decoder.max_len = %d rows%s",
                     (long long)r->step + 1, (long long)x->sample[b], r->c->model.decoder.max_len,
                     s->unlabelled == NAMED ? "; no more are named" : "");
            log_warn(text);
        }
}

static double wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Micro-batches between two looks at requests, 0: none.  How long the first step will be nobody knows: it is looked at some times. */
static int ask_every(const StepState *s, double last)
{
    enum { TIMES = 16 };
    const int n = s->data ? s->data->n : 0;
    if (last == 0)
        return (int)ceil_div(n, TIMES);
    return last < LONG_STEP ? 0 : (int)ceil(n * LONG_STEP / last);
}

const StepData *step_data(Run *r, StepState *s, Err *e)
{
    Tally t = { 0 };
    const double flops = prof_flops;
    watch_step_begins(r->watch, r->step + 1);
    s->began = now();
    s->flops = flops;
    zero_weights_waited(r->grid.coming);                    /* what was waited for elsewhere, in a save */
    s->t_data = s->t_forward = s->t_backward = s->t_reduce = s->t_optim = 0;
    span(&s->t_data, s->data = feed_next(r->feed, e));
    s->data = FAILS("data", e) ? NULL : s->data;
    if (s->data) {
        warn_bad(r, s->data);
        warn_unlabelled(r, s);
        for (int i = 0; i < s->data->n; i++)
            model_count(&r->model, &r->tape, &s->data->batch[i], &t.targets);
    }
    if (r->grid.tp_rank != 0)                           /* a replica's ranks see the same data: one of them counts */
        t.targets = (Losses){ 0 };
    const int stop = stop_requested();
    watch_phase(r->watch, WATCH_STEP, r->step + 1);
    t.failed = s->data == NULL || (r->grid.rank == 0 && !rundir_ours(r, e));
    t.stop = stop > 0;
    t.twice = stop > 1;
    t.late = s->late = deadline_near(r, s, s->t_last);
    t.last = r->grid.rank == 0 ? s->t_last : 0;         /* the others' are as long: all wait for all */
    t.differ = guard_part(r);
    step_save_asks(r, s, &t);
    comm_sum_f64(r->grid.world, (double *)&t, sizeof t / sizeof(double));
    if (!guard_same(r, t.differ, e))
        return NULL;
    if (t.failed > 0) {
        run_agree(r, e);
        return NULL;
    }
    if (!step_save_goes_on(r, s, &t, e))
        return NULL;
    s->targets = t.targets;
    s->stop = t.twice > 0 ? 2 : t.stop > 0 || t.late > 0;
    s->asks = ask_every(s, t.last);
    s->odd = false;
    memset(&s->exact, 0, sizeof s->exact);
    memset(s->use, 0, sizeof s->use);
    return s->data;
}

/* Nobody waits for the answer to what is asked behind one forward pass until a second later, and then all look at the same
   answer.  The gradients so far are left where they are: nothing reads them. */
bool step_left(Run *r, StepState *s, int i)
{
    if (!s->asks || i % s->asks)
        return false;
    if (i > 0) {
        comm_wait(&s->asking);
        s->stop = s->asked;
    }
    if (s->stop) {
        buckets_leave(r->buckets);
        return true;
    }
    if (i + s->asks < s->data->n) {
        s->late = deadline_near(r, s, 0);
        s->asked = (int)max64(stop_requested(), s->late);
        comm_agree_start(r->grid.world, &s->asked, &s->asking);
    }
    return false;
}

void step_losses(const Run *r, StepState *s, const Losses *one)
{
    const double late = zero_weights_waited(r->grid.coming);    /* forward waited for new weights: that is communication */
    s->t_forward -= late;
    s->t_reduce += late;
    watch_phase(r->watch, WATCH_STEP, r->step + 1);             /* who computes moves, also where many micro-batches need nobody else */
    for (int i = 0; i < N_LOSSES; i++) {
        exact_add(&s->exact[i], ((const double *)one)[i]);
        s->odd |= !isfinite(((const double *)one)[i]);
    }
}

void step_sum(const Run *r, StepState *s)
{
    if (r->grid.tp_rank != 0 && !s->odd)                /* a replica's ranks have the same losses: one counts, and all that err do */
        memset(&s->exact, 0, sizeof s->exact);
    comm_sum_i64(r->grid.world, s->exact[0].word, N_LOSSES * EXACT_WORDS);
    for (int i = 0; i < N_LOSSES; i++)
        ((double *)&s->sum)[i] = exact_value(&s->exact[i]);
    s->loss = model_loss(&r->model, &s->sum);
}

void step_update(Run *r, StepState *s)
{
    const Config *c = r->c;
    s->lr = schedule_lr(c, r->step, r->steps);
    const OptimConf conf = { .lr = (float)s->lr, .beta1 = (float)c->train.betas[0], .beta2 = (float)c->train.betas[1],
                             .eps = (float)c->train.eps, .decay = (float)c->train.decay, .clip = (float)c->train.clip,
                             .muon_lr = (float)(c->train.muon_lr > 0 ? c->train.muon_lr * schedule_shape(c, r->step, r->steps) : s->lr),
                             .momentum = (float)c->train.momentum };
    r->optim.step = r->step;                                /* skipped steps count: a resume knows r->step alone */
    optim_step(&r->optim, r->model.weights, r->model.grads, &conf, s->norm);
    for (int k = 0; k < BRANCHES && r->model.c.stage == STAGE_TOKENIZER; k++)
        if (model_has(&r->model, k ? PART_APP_CODES : PART_CODES) && r->model.dw.codes[k].table[0])
            codes_update(&s->use[k], &r->model.w.codes[k], &r->model.dw.codes[k], (float)c->train.ema_decay, &r->tp);
}

/* What others wait for; a line where it is another rank than the last time. */
static void log_straggler(StepLog *l, Straggler *x, const Run *r, StepState *s)
{
    if (!watch_straggler(r->watch, x))
        return;
    l->straggler = x->rank;
    l->straggler_host = x->host;
    l->straggler_seconds = x->seconds;
    l->straggler_link = x->link ? x->collective : NULL;
    const int said = 2 * x->rank + x->link + 1;
    if (s->said == said)
        return;
    s->said = said;
    if (x->link)
        log_line(r->log, "step %lld: the link of rank %d on node %s is slow: a word and its answer take it %.3g s longer than the median%s%s",
                 (long long)r->step + 1, x->rank, x->host, x->seconds, x->collective[0] ? "; all wait in " : "", x->collective);
    else
        log_line(r->log, "step %lld: rank %d on node %s is slow: the others wait %.3g s a step for it", (long long)r->step + 1, x->rank,
                 x->host, x->seconds);
    lives_straggler(r, x);
}

/* Share of the codes that the step chose, their perplexity, how many started again; and the terms of the loss. */
static void log_codes(StepLog *l, char terms[80], const Model *m, const StepState *s)
{
    const Losses *x = &s->sum;
    for (int k = 0; k < BRANCHES; k++) {
        for (int i = 0; i < s->use[k].books; i++, l->books++) {
            l->code_usage[l->books] = (double)s->use[k].used[i] / m->c.codes_size;
            l->code_perplexity[l->books] = s->use[k].perplexity[i];
        }
        l->code_restarts += s->use[k].restarts;
    }
    if (m->c.stage != STAGE_TOKENIZER || x->n_distill == 0)
        return;
    snprintf(terms, 80, "distill %.4f  pooled %.4f  commit %.4f", x->distill / x->n_distill, x->pooled / x->n_distill,
             x->commit / x->n_distill);
    l->terms = terms;
}

void step_log(Run *r, StepState *s)
{
    const Model *m = &r->model;
    const double t = now() - s->began;
    watch_step_ended(r->watch);
    s->t_last = t;
    if (s->ok)
        s->skipped_in_a_row = 0;
    else
        s->skipped++;
    if (!s->ok)
        spike_warn(r, s);
    if (r->grid.rank != 0)
        return;
    StepLog l = {
        .step = r->step + 1, .time = wall_clock(), .samples = (r->step + 1) * r->c->train.global_batch,
        .tokens = (int64_t)s->sum.tokens, .loss = s->loss,
        .loss_text = s->sum.n_text > 0 ? s->sum.text / s->sum.n_text : 0, .loss_visual = model_visual_loss(m, &s->sum),
        .grad_norm = s->norm, .lr = s->lr, .skipped = s->skipped, .tokens_per_s = s->sum.tokens / t,
        .samples_per_s = r->c->train.global_batch / t, .flops_share = (prof_flops - s->flops) / t / r->sgemm,
        .t_step = t, .t_data = s->t_data, .t_forward = s->t_forward, .t_backward = s->t_backward,
        .t_reduce = s->t_reduce, .t_optim = s->t_optim, .t_ckpt = s->t_ckpt, .rss_mb = run_peak_mb(),
        .restart = r->restart, .world = r->grid.size, .dp = r->grid.dp_size, .tp = r->grid.tp_size, .threads = r->threads,
        .stage = STAGE_NAME[m->c.stage],
    };
    Straggler straggler;
    log_straggler(&l, &straggler, r, s);
    char terms[80];
    log_codes(&l, terms, m, s);
    l.depths = model_visual_depths(m, &s->sum, l.loss_visual_depth);
    log_step(r->log, &l, r->steps);
    lives_step(r, s->ok ? 0 : s->skipped_in_a_row + 1);
    s->t_ckpt = 0;              /* a save comes after its step's line: it counts for the next one */
}
