/* scenesource.c -- scenes as a source of pack: training samples hold all questions of a scene as turns, evaluation
   samples one question each (source.h) */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <xxhash.h>

#include "core/rng.h"
#include "io/scenes/scenes.h"
#include "io/scenes/stamps.h"
#include "launch/pack/source.h"

typedef struct { int64_t scene; int question; } Question;

typedef struct {
    Scenes   *scenes;
    Question *val;                 /* (samples[SPLIT_VAL]) */
    Scene     scene;
} Ctx;

enum { CORPUS_SCENES = 4000, BASELINE_SCENES = 20000, ANSWERS_MAX = 512, PATIENCE = 4000 };

static const char CAPTION_QUESTION[] = "describe the picture.";

/* Evaluation questions: scenes in order, of each the questions whose task still lacks some, so that all tasks get
   equally many. */
static int64_t choose_questions(Ctx *x, int64_t wanted)
{
    int64_t have[TASKS] = { 0 }, n = 0;
    const int64_t quota = ceil_div(wanted, TASKS);
    for (int64_t i = 0; n < wanted && i < PATIENCE + 20 * wanted; i++) {
        scenes_make(x->scenes, true, i, &x->scene, NULL);
        for (int q = 0; q < x->scene.n && n < wanted; q++)
            if (have[x->scene.q[q].task] < quota) {
                have[x->scene.q[q].task]++;
                x->val[n++] = (Question){ i, q };
            }
    }
    return n;
}

/* The most frequent answer of each task among training scenes. */
static void find_baseline(Source *s, Ctx *x)
{
    typedef struct { char answer[48]; int64_t n; } Count;
    Count *count = calloc((size_t)TASKS * ANSWERS_MAX, sizeof *count);
    CHECK(count, "no memory for the answers' counts");
    const int64_t scenes = min64(s->samples[SPLIT_TRAIN], BASELINE_SCENES);
    for (int64_t i = 0; i < scenes; i++) {
        scenes_make(x->scenes, false, i, &x->scene, NULL);
        for (int q = 0; q < x->scene.n; q++) {
            Count *c = count + (size_t)x->scene.q[q].task * ANSWERS_MAX, *end = c + ANSWERS_MAX - 1;
            while (c < end && c->n && strcmp(c->answer, x->scene.q[q].answer) != 0)
                c++;
            snprintf(c->answer, sizeof c->answer, "%s", x->scene.q[q].answer);
            c->n++;
        }
    }
    size_t tasks = 0, answers = 0;
    for (int t = 0; t < TASKS; t++) {
        const Count *best = count + (size_t)t * ANSWERS_MAX;
        for (int a = 1; a < ANSWERS_MAX; a++)
            if (count[t * ANSWERS_MAX + a].n > best->n)
                best = count + (size_t)t * ANSWERS_MAX + a;
        tasks += (size_t)snprintf(s->tasks + tasks, sizeof s->tasks - tasks, "%s%s", t ? "," : "", scene_task(t));
        answers += (size_t)snprintf(s->baseline + answers, sizeof s->baseline - answers, "%s%s", t ? "\n" : "", best->answer);
    }
    free(count);
}

static bool build(const Source *s, const Turn *turns, int n, PackSample *out, Err *e)
{
    const Talk talk = { turns, n, 1, source_system(s) };
    return prompt_build(&out->prompt, s->text, s->c->data.template, &talk, e);
}

/* All questions in their order, and the caption as one more turn at a drawn place. */
static bool build_turns(Source *s, Ctx *x, int64_t i, PackSample *out, Err *e)
{
    Turn turn[SCENE_QUESTIONS + 1];
    const Scene *scene = &x->scene;
    int n = 0;
    if (s->c->data.template == TEMPLATE_PLAIN) {
        turn[n++] = (Turn){ "<image>", scene->caption };
        return build(s, turn, n, out, e);
    }
    const int at = (int)rng_below(scene->n + 1, (uint64_t)s->c->run.seed, rng_stream("pack.caption"), (uint64_t)i);
    for (int q = 0; q <= scene->n; q++) {
        if (q == at)
            turn[n++] = (Turn){ CAPTION_QUESTION, scene->caption };
        if (q < scene->n)
            turn[n++] = (Turn){ scene->q[q].question, scene->q[q].answer };
    }
    return build(s, turn, n, out, e);
}

static int make(Source *s, int split, int64_t i, PackSample *out, Err *e)
{
    Ctx *x = s->ctx;
    const int size = config_picture(s->c);
    snprintf(out->record, sizeof out->record, "scene %lld", (long long)i);
    pack_sample_room(out, 1, size);
    out->images = 1;
    if (split == SPLIT_TRAIN || !s->answers) {
        scenes_make(x->scenes, split == SPLIT_VAL, i, &x->scene, out->pixels);
        return build_turns(s, x, i, out, e) ? 1 : -1;
    }
    scenes_make(x->scenes, true, x->val[i].scene, &x->scene, out->pixels);
    const SceneQuestion *q = &x->scene.q[x->val[i].question];
    out->answer = q->answer;
    out->task = q->task;
    const Turn turn = { q->question, q->answer };
    return build(s, &turn, 1, out, e) ? 1 : -1;
}

static bool corpus(Source *s, FILE *f, Err *e)
{
    Ctx *x = s->ctx;
    const int kind = s->c->data.template;
    const Template *t = &templates[kind == TEMPLATE_PLAIN ? TEMPLATE_V1 : kind];     /* later stages use its text model */
    const char *system = source_system(s) ? source_system(s) : t->system;
    (void)e;
    for (int64_t i = 0; i < CORPUS_SCENES; i++) {
        scenes_make(x->scenes, false, i, &x->scene, NULL);
        fprintf(f, "%s\n%s %s %s %s\n", x->scene.caption, system, t->human, t->answer, CAPTION_QUESTION);
        for (int q = 0; q < x->scene.n; q++)
            fprintf(f, "%s %s %s %s\n", t->human, x->scene.q[q].question, t->answer, x->scene.q[q].answer);
    }
    return true;
}

static void close_scenes(Source *s)
{
    Ctx *x = s->ctx;
    scenes_close(x->scenes);
    free(x->val);
    free(x);
}

/* The options that scenes are a function of, and the cut-outs by name and size, wherever their folder lies. */
static uint64_t identity(const Config *c)
{
    const int64_t options[] = { c->run.seed, c->data.level, c->data.max_cutouts, config_picture(c) };
    uint64_t h = XXH64(options, sizeof options, 0);
    Stamps f;
    if (c->data.cutouts[0] && stamps_find(&f, c->data.cutouts)) {
        for (int i = 0; i < f.n + LETTERS; i++) {
            const char *path = i < f.n ? f.at[i].path : f.letter[i - f.n];
            struct stat st = { 0 };
            if (!path || stat(path, &st) != 0)
                continue;
            path += strlen(c->data.cutouts);
            h = XXH64(path, strlen(path), h);
            h = XXH64(&st.st_size, sizeof st.st_size, h);
            if (i < f.n)
                h = XXH64(f.at[i].name, strlen(f.at[i].name), h);
        }
        stamps_free(&f);
    }
    return h;
}

bool source_scenes(Source *s, const Config *c, Err *e)
{
    Ctx *x = calloc(1, sizeof *x);
    CHECK(x, "no memory for the scenes");
    *s = (Source){ .samples = { c->data.samples, c->data.val_samples }, .make = make, .corpus = corpus,
                   .close = close_scenes, .c = c, .ctx = x, .answers = c->data.template != TEMPLATE_PLAIN };
    x->scenes = scenes_open(c->data.cutouts, c->data.max_cutouts, config_picture(c), (uint64_t)c->run.seed,
                            c->data.level, e);
    if (!x->scenes)
        return false;
    s->identity = identity(c);
    if (s->answers && s->samples[SPLIT_VAL] > 0) {
        x->val = calloc((size_t)s->samples[SPLIT_VAL], sizeof *x->val);
        CHECK(x->val, "no memory for %lld questions", (long long)s->samples[SPLIT_VAL]);
        s->samples[SPLIT_VAL] = choose_questions(x, s->samples[SPLIT_VAL]);
        find_baseline(s, x);
    }
    return true;
}
