/*
 * plan.c -- `asvr plan`: the parameters that a configuration has, and what one rank of a grid keeps, sends, computes and takes
 *
 * The whole model comes first, then the rank with most to keep (plan.h).  No MPI, nothing large is allocated.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/comm.h"
#include "launch/plan/plannodes.h"
#include "launch/run.h"
#include "launch/verbs.h"

static const struct { const char *part, *label; } PARTS[] = {
    { "vision", "vision tower" }, { "pool", "attention pooling" }, { "text", "text tower" },
    { "contrast", "scale and bias" }, { "tokenizer", "the codes' own tower" },
    { "codes", "codebooks" }, { "app_codes", "codebooks, appearance" },
    { "projector", "projector" }, { "decoder", "decoder" }, { LORA_PART, "low-rank pairs" }, { "head", "visual head" },
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
        const bool clip = c.vision_kind == VISION_CLIP;
        int64_t n = clip ? 2 * c.vision.C : 0;              /* a last norm, which a model of ours does not have */
        c.parts = clip ? PART_VISION : PART_VISION | PART_POOL;
        c.bare = true;
        model_measure(&whole, &c, m->tp);
        for (int i = 0; i < whole.table.n; i++)
            n += whole.table.p[i].count;
        model_close(&whole);
        printf("The vision tower runs %d of its %d blocks; whole, with %s, it has %s parameters.\n", m->w.vision.enc.d.L, m->c.vision.L,
               clip ? "its last norm" : "final norm and pooling", commas(n, a));
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

/* ---- one rank ---- */

/* MiB of a rank's tensors that tp splits, and of those that each of its ranks has. */
static void shared_out(const Params *t, bool gradients, double *split, double *each)
{
    *split = *each = 0;
    for (const Param *p = t->p; p < t->p + t->n; p++)
        if (!gradients || p->grad >= 0)
            *(p->split >= 0 ? split : each) += 4.0 / (1 << 20) * (double)p->count;
}

static void memory_print(const PlanRank *r, const PlanRank *alone, const Rates *rates)
{
    const ModelConf *m = &r->model.c;
    const double mib = 1 << 20;
    double bytes[MEM_CLASSES], whole[MEM_CLASSES], split, each, sum[2] = { 0 };
    char a[32], b[32];
    plan_memory(r, rates, bytes);
    plan_memory(alone, rates, whole);
    printf("\nmemory, fp32: of %s", r->replicas * r->tp.size > 1 ? "the rank that keeps most" : "the rank");
    if (r->replicas > 1)
        printf(" (replica %d)", r->replica);
    printf("; of one rank alone\n");
    for (int k = 0; k < MEM_CLASSES; k++) {
        sum[0] += k == MEM_ARENAS ? 0 : bytes[k];
        sum[1] += k == MEM_ARENAS ? 0 : whole[k];
        if (bytes[k] + whole[k] == 0)
            continue;
        printf("  %-15s %10s %10s", MEM_NAME[k], brief_bytes(bytes[k], a), brief_bytes(whole[k], b));
        if (k == MEM_GRADS && r->buckets.drop) {
            int64_t shares;
            plan_gradients(&r->model, &r->optim, &r->buckets, &r->dry.backward, &shares);
            printf("   %.1f MiB of shares, and what is in the making or on its way", 4 * (double)shares / mib);
        } else if (k <= MEM_GRADS && r->tp.size > 1) {
            shared_out(&r->model.table, k == MEM_GRADS, &split, &each);
            printf("   %.1f MiB of what tp splits, %.1f of what each rank has", split, each);
        }
        if (k == MEM_TAPE)
            printf("   %d x %d rows, %d picture%s (train.micro_batch); %s", m->micro_batch, m->max_len, m->max_images,
                   m->max_images == 1 ? "" : "s", m->codes_given ? "codes from the shards" : "codes computed on the way");
        if (k == MEM_ARENAS)
            printf("   %.1f MiB", bytes[k] / mib);
        if (k == MEM_PROCESS && rates)
            printf("   as bench measured before the model, and 12 MiB for files and threads");
        if (k == MEM_PROCESS && !rates)
            printf("   estimated: this process, and 16 MiB for MPI, 12 for files and threads (plan.rates would know)");
        printf("\n");
    }
    printf("  %-15s %10s %10s   %.0f MiB\n", "predicted peak", brief_bytes(sum[0], a), brief_bytes(sum[1], b), sum[0] / mib);
}

static void places_print(const PlanRank *r)
{
    static const char *const NAME[AXES] = { [AXIS_WORLD] = "world", [AXIS_DP] = "dp", [AXIS_TP] = "tp" };
    Place p[PLACES];
    char each[32], all[32];
    const int n = plan_places(r, p);
    if (n)
        printf("\nmessages of a step: what this rank has to send\n");
    for (int axis = AXES - 1; axis > 0; axis--) {
        Place sum = { 0 };
        for (int i = 0; i < n; i++) {
            if (p[i].axis != axis)
                continue;
            sum.bytes += p[i].bytes;
            sum.calls += p[i].calls;
            printf("  %-6s %-20s %10s", NAME[axis], p[i].name, brief_bytes((double)p[i].bytes, all));
            if (p[i].each > 0)
                printf("   %lld %ssums, of %s", (long long)p[i].calls, p[i].begun ? "half " : "", brief_bytes(4 * p[i].each, each));
            printf("\n");
        }
        if (sum.bytes)
            printf("  %-6s %-20s %10s   %lld bytes\n", NAME[axis], "together", brief_bytes((double)sum.bytes, all),
                   (long long)sum.bytes);
    }
}

static void flops_print(const PlanRank *alone, const PlanRank *r)
{
    const Config *c = r->c;
    const Flops f = alone->dry.sample;
    const double step = r->dry.sample.step * c->train.micro_batch * r->buckets.leaves;
    char a[32], b[32], all[32], rank[32];
    printf("\nflops of a sample: a picture, and text up to %d rows\n", alone->model.c.max_len);
    printf("  %-12s %10s\n", "forward", brief_flops(f.forward, a));
    printf("  %-12s %10s   %s for train.global_batch = %d, %s on each rank: %.0f\n", "a step", brief_flops(f.step, b),
           brief_flops(f.step * c->train.global_batch, all), c->train.global_batch, brief_flops(step, rank), step);
}

static void time_print(const PlanRank *r, const Rates *x)
{
    const Seconds s = plan_time(r, x);
    const struct { const char *name; double seconds; } row[] = {
        { "forward", s.forward }, { "backward", s.backward }, { "adding up", s.sums }, { "optimizer", s.optimizer },
        { "tp messages", s.tp }, { "dp messages", s.dp }, { "the rest", s.rest },
    };
    printf("\ntime of a step, by the rates of %s (%d replica%s of %d, %d thread%s a rank%s)\n", x->machine, x->dp,
           x->dp == 1 ? "" : "s", x->tp, x->threads, x->threads == 1 ? "" : "s", x->debug ? ", a debug build" : "");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (row[i].seconds != 0)
            printf("  %-12s %9.4f s\n", row[i].name, row[i].seconds);
    if (s.hidden > 0)
        printf("  %-12s %9.4f s more, behind backward\n", "dp messages", s.hidden);
    if (r->tp.size > 1 && x->tp == 1)
        printf("  messages over tp are missing: bench ran with parallel.tp = 1\n");
    if (r->replicas > 1 && x->dp == 1)
        printf("  messages over dp are missing: bench ran on one replica\n");
    printf("predicted step %.4f s (compute %.4f, tp %.4f, dp exposed %.4f, optimizer %.4f), %.2f samples/s\n", s.step,
           s.forward + s.backward + s.sums + s.rest, s.tp, s.dp, s.optimizer, r->c->train.global_batch / s.step);
}

/* ---- what divides ---- */

/* "1, 2, 4": numbers up to `most` that are good. */
typedef bool Good(const Config *c, const ModelConf *m, int n);

static bool good_tp(const Config *c, const ModelConf *m, int n)
{
    char why[512];
    (void)c;
    return model_divides(m, n, why, sizeof why);
}

static bool good_replicas(const Config *c, const ModelConf *m, int n)
{
    (void)m;
    return c->train.global_batch % ((int64_t)c->train.micro_batch * n) == 0;
}

static const char *list_good(char out[200], Good *good, const Config *c, const ModelConf *m, int most)
{
    int at = 0;
    out[0] = 0;
    for (int n = 1; n <= most && at < 180; n++)
        if (good(c, m, n))
            at += snprintf(out + at, 200 - (size_t)at, "%s%d", at ? ", " : "", n);
    if (!at || at >= 180)
        snprintf(out + at, 200 - (size_t)at, at ? ", ..." : "no number");
    return out;
}

/* Does the grid fit the model, and the batch the grid? */
static bool divides(const Config *c, const ModelConf *m, Err *e)
{
    char why[512], would[200];
    const int n = c->plan.replicas;
    if (!model_divides(m, c->parallel.tp, why, sizeof why))
        return err_set(e, EXIT_CONFIG, "parallel.tp", "", "%s", why);
    if (good_replicas(c, m, n))
        return true;
    return err_set(e, EXIT_CONFIG, "plan.replicas", "each replica computes the same number of micro-batches in a step",
                   "train.global_batch = %d is no multiple of train.micro_batch = %d times %d replica%s; %s would do", c->train.global_batch,
                   c->train.micro_batch, n, n == 1 ? "" : "s", list_good(would, good_replicas, c, m, c->train.global_batch));
}

/* ---- the verb ---- */

enum { MOST_TP = 64 };

static void print(const Config *c, const ModelConf *conf, const PlanRank *r, PlanRank *alone, const Rates *rates)
{
    char tp[200], replicas[200];
    printf("stage %s; learns %s\n", STAGE_NAME[conf->stage], conf->trainable[0] ? conf->trainable : "nothing");
    printf("%d rank%s: %d replica%s of %d; %d x %d samples each in a step\n", r->replicas * r->tp.size,
           r->replicas * r->tp.size == 1 ? "" : "s", r->replicas, r->replicas == 1 ? "" : "s", r->tp.size, r->buckets.leaves,
           c->train.micro_batch);
    printf("would do: parallel.tp = %s; replicas = %s (train.global_batch / micro_batch = %d)\n\n",
           list_good(tp, good_tp, c, conf, MOST_TP), list_good(replicas, good_replicas, c, conf, c->train.global_batch),
           c->train.global_batch / c->train.micro_batch);
    table_print(&alone->model.table);
    notes_print(&alone->model);
    memory_print(r, alone, rates);
    plan_data(c);
    if (conf->stage < STAGE_PRETRAIN)
        return;
    places_print(r);
    flops_print(alone, r);
    if (rates)
        time_print(r, rates);
}

static bool plan(const Config *c, Err *e)
{
    const int kinds = c->model.codes.appearance_layer ? 2 : 1;
    const RunShape shape = { .stage = (Stage)c->train.stage, .train = true,
                             .codes_given = c->data.codes[0] ? c->model.codes.depth * kinds : 0,
                             .micro_batch = c->train.micro_batch, .max_images = c->train.micro_batch,
                             .max_len = c->model.decoder.max_len };
    static PlanRank r, alone;                               /* large structures */
    char trainable[CONFIG_STRING];
    const ModelConf conf = run_conf(c, &shape, trainable);
    Rates rates;
    if (c->plan.ranks)
        return plan_ranks(c, &conf, c->plan.ranks, e);
    if (c->plan.rates[0] && !rates_read(&rates, c->plan.rates, e))
        return false;
    if (c->plan.nodes[0] || c->plan.cluster[0])
        return plan_nodes(c, c->plan.rates[0] ? &rates : NULL, e);
    if (!divides(c, &conf, e))
        return false;
    if (!plan_rank(&alone, c, &conf, 1, 1, 1) || !plan_rank(&r, c, &conf, c->plan.replicas, c->plan.replicas, c->parallel.tp)) {
        err_got(e, "\"%.200s\"", conf.trainable);
        err_expected(e, "parts of this stage's model, e.g. \"projector,decoder\"");
        err_set(e, EXIT_CONFIG, "train.trainable", "", "train.trainable names a part that the model does not have");
    } else {
        print(c, &conf, &r, &alone, c->plan.rates[0] ? &rates : NULL);
    }
    plan_rank_close(&r);
    plan_rank_close(&alone);
    return !e->code;
}

int plan_main(const Config *c)
{
    Err e = { 0 };
    if (plan(c, &e))
        return EXIT_DONE;
    log_error(&e);
    return e.code;
}
