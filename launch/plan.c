/*
 * plan.c -- `asvr plan`: the parameters, bytes and flops that a configuration asks for, before anything is allocated
 *
 * Table and arenas are those that the run itself would have: model_measure is the first half of model_open.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/plan.h"
#include "launch/run.h"
#include "launch/verbs.h"

static const struct { const char *part, *label; } PARTS[] = {
    { "vision", "vision tower" }, { "pool", "attention pooling" }, { "text", "text tower" },
    { "contrast", "scale and bias" }, { "tokenizer", "the codes' own tower" },
    { "codes", "codebooks" }, { "app_codes", "codebooks, appearance" },
    { "projector", "projector" }, { "decoder", "decoder" }, { "head", "visual head" },
    { "app_head", "visual head, appearance" }, { "denoiser", "denoising head" },
};
enum { N_PARTS = sizeof PARTS / sizeof *PARTS, MAX_LINES = 16 /* groups of a part */ };

/* ---- the table ---- */

typedef struct { char label[48]; int64_t count, learned; } Line;

static void line_add(Line *l, const Param *p)
{
    l->count += p->count;
    l->learned += p->grad >= 0 ? p->count : 0;
}

/* 6738415616 -> "6,738,415,616" */
static const char *commas(int64_t n, char out[32])
{
    char plain[24];
    const int digits = snprintf(plain, sizeof plain, "%lld", (long long)n);
    int k = 0;
    for (int i = 0; i < digits; i++) {
        if (i && (digits - i) % 3 == 0)
            out[k++] = ',';
        out[k++] = plain[i];
    }
    out[k] = 0;
    return out;
}

/* Three digits and a unit: "6.74 B". */
static const char *brief(double x, double step, const char *const *unit, char out[32])
{
    while (x >= 0.9995 * step && unit[1]) {
        x /= step;
        unit++;
    }
    snprintf(out, 32, "%.*f %s", !unit[0][0] || x >= 99.95 ? 0 : x < 9.995 ? 2 : 1, x, *unit);
    return out;
}

static const char *brief_count(double x, char out[32])
{
    static const char *const unit[] = { "", "K", "M", "B", "T", NULL };
    return brief(x, 1000, unit, out);
}

static const char *brief_bytes(double x, char out[32])
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", NULL };
    return brief(x, 1024, unit, out);
}

static const char *brief_flops(double x, char out[32])
{
    static const char *const unit[] = { "F", "KF", "MF", "GF", "TF", "PF", "EF", "ZF", NULL };
    return brief(x, 1000, unit, out);
}

static void line_print(const Line *l, const char *indent)
{
    char count[32], few[32], w[32], g[32], m[32], label[64];
    snprintf(label, sizeof label, "%s%s", indent, l->label);
    printf("%-24s %15s %9s %10s", label, commas(l->count, count), brief_count((double)l->count, few),
           brief_bytes(4.0 * (double)l->count, w));
    if (l->learned)
        printf(" %10s %10s\n", brief_bytes(4.0 * (double)l->learned, g), brief_bytes(8.0 * (double)l->learned, m));
    else
        printf(" %10s\n", "frozen");
}

/* A part, and below it its groups where it has more than one. */
static void part_print(const Params *t, int part)
{
    Line whole = { 0 }, sub[MAX_LINES] = { 0 };
    int  lines = 0, blocks[MAX_LINES] = { 0 };
    snprintf(whole.label, sizeof whole.label, "%s", PARTS[part].label);
    for (const Param *p = t->p; p < t->p + t->n; p++) {
        if (!param_in_part(p, PARTS[part].part))
            continue;
        const Group *g = group_of(p);
        int i = 0;
        while (i < lines && strcmp(sub[i].label, g->label))
            i++;
        if (i == lines && g->label[0])
            snprintf(sub[lines++].label, sizeof sub->label, "%s", g->label);
        if (g->label[0])
            line_add(&sub[i], p);
        if (g->word[0] == '#')
            blocks[i] = atoi(strchr(p->name, '.') + 1) + 1;
        line_add(&whole, p);
    }
    if (whole.count)
        line_print(&whole, "");
    for (int i = 0; i < lines; i++) {
        if (!strcmp(sub[i].label, "block"))
            snprintf(sub[i].label, sizeof sub->label, "%d block%s", blocks[i], blocks[i] == 1 ? "" : "s");
        line_print(&sub[i], "  ");
    }
}

static void table_print(const Params *t)
{
    Line total = { .label = "together" };
    char learned[32], few[32];
    printf("%-24s %15s %9s %10s %10s %10s\n", "", "parameters", "", "weights", "gradients", "moments");
    for (int part = 0; part < N_PARTS; part++)
        part_print(t, part);
    for (const Param *p = t->p; p < t->p + t->n; p++)
        line_add(&total, p);
    line_print(&total, "");
    printf("%-24s %15s %9s\n\n", "  that learn", commas(total.learned, learned), brief_count((double)total.learned, few));
}

/* ---- what others count ---- */

static void notes_print(Model *m)
{
    const RqHeadDims *d = &m->w.head[SEMANTIC].d;
    char a[32], b[32];
    if (m->w.vision.enc.d.L < m->c.vision.L) {
        Model whole;
        ModelConf c = m->c;
        int64_t n = 0;
        c.parts = PART_VISION | PART_POOL;
        c.bare = true;
        model_measure(&whole, &c, m->tp);
        for (int i = 0; i < whole.table.n; i++)
            n += whole.table.p[i].count;
        model_close(&whole);
        printf("The vision tower runs %d of its %d blocks; whole, with final norm and pooling, it has %s parameters.\n",
               m->w.vision.enc.d.L, m->c.vision.L, commas(n, a));
    }
    if (model_has(m, PART_HEAD) && !d->tied) {
        int64_t n = 0;
        const int64_t unused = (int64_t)d->L * 3 * d->E;
        for (int i = 0; i < m->table.n; i++)
            n += param_in_part(&m->table.p[i], "head") ? m->table.p[i].count : 0;
        printf("The visual head of ASVR's released code counts %s: %s biases more, which it never uses.\n",
               commas(n + unused, a), commas(unused, b));
    }
}

/* ---- memory ---- */

static void memory_print(const Model *m, const Config *c)
{
    const double weights = (double)m->weight_arena.size, grads = (double)m->grad_arena.size;
    const double tape = (double)m->tape_arena.size;
    const double moments = 2 * grads;              /* AdamW's two, as large as the gradients (dist/optim.c) */
    char s[32], note[160];
    snprintf(note, sizeof note, "%d x %d rows, %d picture%s (train.micro_batch)", m->c.micro_batch, m->c.max_len,
             m->c.max_images, m->c.max_images == 1 ? "" : "s");
    printf("\nmemory of a rank, fp32\n");
    printf("  %-12s %10s\n", "weights", brief_bytes(weights, s));
    printf("  %-12s %10s\n", "gradients", brief_bytes(grads, s));
    printf("  %-12s %10s\n", "moments", brief_bytes(moments, s));
    printf("  %-12s %10s   %s; %s\n", "tape", brief_bytes(tape, s), note,
           c->data.codes[0] ? "codes from the shards" : "codes computed on the way");
    printf("  %-12s %10s   %.0f MiB\n", "together", brief_bytes(weights + grads + moments + tape, s),
           (weights + grads + moments + tape) / (1 << 20));
}

/* ---- the verb ---- */

static void flops_print(const Model *m, const Config *c)
{
    char a[32], b[32], all[32];
    if (m->c.stage < STAGE_PRETRAIN)
        return;
    const Flops f = plan_flops(m);
    printf("\nflops of a sample: a picture, and text up to %d rows\n", m->c.max_len);
    printf("  %-12s %10s\n", "forward", brief_flops(f.forward, a));
    printf("  %-12s %10s   %s for train.global_batch = %d\n", "a step", brief_flops(f.step, b),
           brief_flops(f.step * c->train.global_batch, all), c->train.global_batch);
}

static bool plan(Run *r, Err *e)
{
    const Config *c = r->c;
    const int kinds = c->model.codes.appearance_layer ? 2 : 1;
    const RunShape shape = { .stage = (Stage)c->train.stage, .train = true,
                             .codes_given = c->data.codes[0] ? c->model.codes.depth * kinds : 0,
                             .micro_batch = c->train.micro_batch, .max_images = c->train.micro_batch,
                             .max_len = c->model.decoder.max_len };
    char trainable[CONFIG_STRING];
    const ModelConf conf = run_conf(c, &shape, trainable);
    if (!model_measure(&r->model, &conf, &r->tp)) {
        err_got(e, "\"%.200s\"", conf.trainable);
        err_expected(e, "parts of this stage's model, e.g. \"projector,decoder\"");
        err_set(e, EXIT_CONFIG, "train.trainable", "", "train.trainable names a part that the model does not have");
    } else if (r->grid.rank == 0) {
        printf("stage %s; learns %s\n\n", STAGE_NAME[conf.stage], trainable[0] ? trainable : "nothing");
        table_print(&r->model.table);
        notes_print(&r->model);
        memory_print(&r->model, c);
        flops_print(&r->model, c);
    }
    model_close(&r->model);
    return !e->code;
}

int plan_main(const Config *c)
{
    Run r;
    Err e = { 0 };
    run_open(&r, c, 1);
    const bool ok = plan(&r, &e);
    if (!ok && r.grid.rank == 0)
        log_error(&e);
    run_close(&r);
    return ok ? EXIT_DONE : e.code;
}
