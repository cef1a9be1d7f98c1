#include "launch/eval/found.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fault.h"
#include "core/ops.h"
#include "dist/comm.h"
#include "io/set/order.h"
#include "launch/eval/judge.h"

/* The pieces of text between separators; the list and its first entry, which holds all of them, are to be freed. */
static char **split(const char *text, char at, int *n)
{
    size_t most = 1;
    for (const char *s = text; *s; s++)
        most += *s == at;
    char **list = calloc(most, sizeof *list);
    CHECK(list && (list[0] = strdup(text)), "no memory for a list of %zu texts", most);
    *n = 0;
    for (char *s = list[0]; s && *s; ) {
        list[(*n)++] = s;
        s = strchr(s, at);
        if (s)
            *s++ = '\0';
    }
    return list;
}

static void split_free(char **list)
{
    if (list)
        free(list[0]);
    free(list);
}

/* Of a block. */
int evaluate_at_once(const Config *c) { return (int)min64(c->eval.batch, c->train.micro_batch); }

/* Evaluation shards name their tasks, as many as they like. */
static void open_tasks(Evaluation *v, Err *e)
{
    const Config *c = v->r->c;
    const ShardMeta *m = shards_meta(v->shards);
    const int kind = template_find(m->template_);
    v->task = split(m->tasks, ',', &v->tasks);
    v->common = split(m->baseline, '\n', &v->answers);
    if (v->tasks && kind < 0) {
        err_got(e, "\"%s\"", m->template_);
        err_set(e, EXIT_DATA, "data.set", "", "the shards are of an unknown template");
    } else if (v->tasks) {
        const GeneratorShape g = { .slots = evaluate_at_once(c), .max_len = c->model.decoder.max_len, .max_new = c->chat.max_new, .template_ = kind };
        generate_open(&v->generator, &v->model, &v->r->tape, v->r->text, &g);
        v->asker = calloc((size_t)g.slots, sizeof *v->asker);
        CHECK(v->asker, "no memory for %d questions", g.slots);
    }
}

Evaluation *evaluate_open(Run *r, const Shards *shards, int64_t samples, Err *e)
{
    const Config *c = r->c;
    const ShardMeta *m = shards_meta(shards);
    Evaluation *v = calloc(1, sizeof *v);
    CHECK(v, "no memory for an evaluation");
    v->r = r;
    v->shards = shards;
    v->samples = samples ? min64(samples, m->samples) : m->samples;
    v->model = r->model;
    v->model.c.train = false;
    const GatherRoom room = gather_room(shards, v->model.c.micro_batch, v->model.c.max_images);
    gather_open(&v->batch, &room);
    v->reader = reader_open(shards);
    reader_limits(v->reader, c->model.decoder.vocab, c->model.codes.size);
    if (m->eval && c->train.stage >= STAGE_PRETRAIN)
        open_tasks(v, e);
    v->mark = calloc((size_t)v->tasks + 1, sizeof *v->mark);
    v->asked = calloc((size_t)v->model.c.micro_batch, sizeof *v->asked);
    CHECK(v->mark && v->asked, "no memory for the marks of %d tasks", v->tasks);
    if (run_agree(r, e))
        return v;
    evaluate_close(v);
    return NULL;
}

static void forget(Evaluation *v)
{
    for (int b = 0; b < v->model.c.micro_batch; b++) {
        free(v->asked[b].key);
        v->asked[b].key = NULL;
    }
    for (int i = 0; i < v->n_shown; i++)
        free(v->shown[i].pixels);
    v->n_shown = 0;
}

void evaluate_close(Evaluation *v)
{
    if (!v)
        return;
    forget(v);
    generate_close(&v->generator);
    reader_close(v->reader);
    gather_close(&v->batch);
    split_free(v->task);
    split_free(v->common);
    free(v->mark);
    free(v->asked);
    free(v->asker);
    free(v);
}

void evaluate_show(Evaluation *v) { v->show = true; }

/* ---- a block ---- */

/* Losses of what was gathered; each micro-batch is its own global batch here, since sums are what is added up. */
static void losses(Evaluation *v, const Batch *b)
{
    Model *m = &v->model;
    Tape *t = &v->r->tape;
    Losses one = { .n_text = 1, .n_visual = 1, .pairs = 1 }, sum = { 0 };
    model_forward(m, t, b, &one, &sum);
    FAULT_NUMBERS("eval", &sum.text, 1);
    for (int i = 0; i < FOUND_LOSSES; i++)
        exact_add(&v->exact[i], ((const double *)&sum)[i]);
    if (m->c.stage != STAGE_CONTRAST)
        return;
    v->own.pairs += b->I;                                   /* the sequences that have a picture */
    for (int32_t i = 0, nearest; i < b->I; i++) {
        op.pick(&nearest, t->contrast.z + (int64_t)i * b->I, b->I, 0, 0);
        v->own.nearest += nearest == i;
    }
}

/* Sample b of the batch, as it was read. */
static Sample sample_of(const Evaluation *v, const Batch *b, int i)
{
    return (Sample){ .n_tokens = b->token_start[i + 1] - b->token_start[i], .n_images = b->image_start[i + 1] - b->image_start[i],
                     .tokens = b->tokens + b->token_start[i], .labels = b->labels + b->token_start[i],
                     .pixels = b->pixels + b->image_start[i] * v->batch.room.image_bytes, .task = v->asked[i].task };
}

/* One of each task before the second of any. */
static void keep_shown(Evaluation *v, const Sample *s, Shown *it)
{
    const size_t picture = (size_t)v->batch.room.image_bytes;
    int same = 0;
    if (!v->show || v->r->grid.rank != 0 || v->n_shown == SHOWN || s->n_images == 0)
        return;
    for (int i = 0; i < v->n_shown; i++)
        same += v->shown[i].task == s->task;
    if (same > v->n_shown / v->tasks)
        return;
    for (char *c = it->question; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    it->task = s->task;
    it->pixels = malloc(picture);
    CHECK(it->pixels, "no memory for a picture");
    memcpy(it->pixels, s->pixels, picture);
    v->shown[v->n_shown++] = *it;
}

/* Puts the questions of a block to the model: all of them are here, to be answered one by one or together. */
/* One step of those under way; what has ended is said. */
static bool answer_on(Evaluation *v)
{
    Generator *g = &v->generator;
    watch_phase(v->r->watch, WATCH_EVAL, v->r->step);
    const bool more = generate_step(g);
    for (int i = 0; i < g->slots; i++)
        if (g->slot[i].taken && generate_ended(g, i)) {
            Asking *a = &v->asked[v->asker[i]];
            generate_text(g, i, a->said, sizeof a->said);
            generate_release(g, i);
        }
    return more;
}

static void answer(Evaluation *v, const Batch *b)
{
    for (int i = 0; i < b->B; i++) {
        Asking *a = &v->asked[i];
        const Sample s = sample_of(v, b, i);
        if (!a->key)
            continue;
        const Request q = generate_sample(&v->generator, &s, a->question, sizeof a->question);
        int slot;
        while ((slot = generate_add(&v->generator, &q)) == GENERATE_FULL)
            answer_on(v);
        if (slot >= 0)
            v->asker[slot] = i;
        a->said[0] = '\0';
    }
    while (answer_on(v))
        ;
}

/* Marks what was said to the question of sample i. */
static void mark(Evaluation *v, const Batch *b, int i)
{
    const Asking *a = &v->asked[i];
    const Sample s = sample_of(v, b, i);
    Mark *m = &v->mark[a->task];
    Shown it = { .good = judge_right(a->key, a->said) };
    m->n++;
    m->right += it.good;
    m->baseline += a->task < v->answers && v->common[a->task][0] && judge_right(a->key, v->common[a->task]);
    snprintf(it.question, sizeof it.question, "%s", a->question);
    snprintf(it.answer, sizeof it.answer, "%.*s", (int)sizeof it.answer - 1, a->said);
    judge_show(a->key, it.right, sizeof it.right);
    keep_shown(v, &s, &it);
}

/* Losses, then answers, of what was gathered. */
static void flush(Evaluation *v)
{
    const Batch *b = gather_batch(&v->batch);
    if (b->B == 0)
        return;
    losses(v, b);
    answer(v, b);
    for (int i = 0; i < b->B; i++) {
        if (v->asked[i].key)
            mark(v, b, i);
        free(v->asked[i].key);
        v->asked[i].key = NULL;
    }
    gather_clear(&v->batch);
}

static void take(Evaluation *v, const Sample *s, int64_t number)
{
    if (!gather_add(&v->batch, s, number)) {
        flush(v);
        gather_add(&v->batch, s, number);
    }
    const int i = v->batch.batch.B - 1;
    v->asked[i].task = s->task;
    v->asked[i].key = s->task >= 0 && v->tasks ? strndup(s->answer, (size_t)s->answer_len) : NULL;
    CHECK(s->task < 0 || !v->tasks || v->asked[i].key, "no memory for an answer");
}

/* Fewer samples than there are: drawn over all of them, the same on any number of ranks. */
static int64_t which(const Evaluation *v, int64_t i)
{
    const int64_t all = shards_meta(v->shards)->samples;
    return v->samples == all ? i : order_sample(all, (uint64_t)v->r->c->run.seed, i);
}

/* The ranks of a replica take a sample together or not at all.  False: e is set on one of them. */
static bool take_block(Evaluation *v, int64_t block, Err *e)
{
    const int64_t size = v->model.c.micro_batch, end = min64((block + 1) * size, v->samples);
    for (int64_t i = block * size; i < end; i++) {
        Sample s;
        Err bad = { 0 };
        const bool mine = reader_sample(v->reader, which(v, i), &s, &bad);
        const int worst = comm_agree(v->r->grid.tp, mine ? 0 : bad.code);
        if (worst && (worst != EXIT_DATA || v->r->c->data.on_bad != BAD_SKIP)) {
            *e = bad;
            return false;
        }
        v->skipped += worst != 0;
        if (!worst)
            take(v, &s, i);
    }
    flush(v);
    return true;
}

/* ---- all of them ---- */

static void begin(Evaluation *v)
{
    forget(v);
    memset(v->mark, 0, (size_t)v->tasks * sizeof *v->mark);
    memset(&v->own, 0, sizeof v->own);
    memset(v->exact, 0, sizeof v->exact);
    v->skipped = 0;
    gather_clear(&v->batch);
}

static void add_up(Evaluation *v)
{
    MPI_Comm dp = v->r->grid.dp;
    comm_sum_i64(dp, v->exact[0].word, FOUND_LOSSES * EXACT_WORDS);
    for (int i = 0; i < FOUND_LOSSES; i++)
        ((double *)&v->sum)[i] = exact_value(&v->exact[i]);
    comm_sum_f64(dp, (double *)&v->own, sizeof v->own / sizeof(double));
    comm_sum_f64(dp, (double *)v->mark, v->tasks * (int64_t)(sizeof *v->mark / sizeof(double)));
    comm_sum_i64(dp, &v->skipped, 1);
    if (v->skipped && v->r->grid.rank == 0) {
        char text[160];
        snprintf(text, sizeof text, "evaluation: %lld damaged samples were skipped (data.on_bad)", (long long)v->skipped);
        log_warn(text);
    }
}

bool evaluate_run(Evaluation *v, bool (*leave)(void *), void *ctx, bool *left, Err *e)
{
    enum { GOES_ON, LEAVES, FAILS_ALL };
    const Grid *g = &v->r->grid;
    const int64_t blocks = ceil_div(v->samples, v->model.c.micro_batch);
    int state = GOES_ON;
    begin(v);
    for (int64_t k = 0; k < blocks && state == GOES_ON; k += g->dp_size) {
        const bool ok = k + g->dp_rank >= blocks || take_block(v, k + g->dp_rank, e);
        state = !ok ? FAILS_ALL : leave && leave(ctx) ? LEAVES : GOES_ON;
        if (leave)                                          /* else nobody waits for anybody before the end */
            state = comm_agree(g->world, state);
    }
    state = comm_agree(g->world, state);
    if (left)
        *left = state == LEAVES;
    if (state == GOES_ON)
        add_up(v);
    return run_agree(v->r, e);
}

double evaluate_bytes(const Config *c, const Model *m)
{
    const int64_t side = config_picture(c), P = m->w.vision.P;
    const GatherRoom room = { .samples = m->c.micro_batch, .images = m->c.max_images, .tokens = (int64_t)m->c.micro_batch * m->c.max_len,
                              .image_bytes = side * side * 3, .image_codes = P * m->c.codes_given };
    const GeneratorShape g = { .slots = evaluate_at_once(c), .max_len = c->model.decoder.max_len };
    return (double)gather_bytes(&room) + (m->c.stage >= STAGE_PRETRAIN ? (double)generate_bytes(m, &g) : 0);
}
