/* plannodes.c -- the best grid on a number of nodes, and the parts of its step (plannodes.h) */
#include <math.h>
#include <stdlib.h>

#include "dist/canon.h"
#include "dist/comm.h"
#include "launch/plan/plannodes.h"
#include "launch/run.h"
#include "launch/save.h"

/* What `asvr bench configs/bench/small.cfg` measured on two cores (docs/PERF.md); plan.rates replaces it. */
const double nodes_rest = 1.04;
/* Of what a node has, the system takes the rest; of what the file system gives, a save with its hashes (docs/PERF.md). */
static const double RAM_SHARE = 0.94, STORAGE_SHARE = 0.78;
enum { MICRO_MOST = 16, MODELS = 64 };

/* A model on tp ranks with some micro-batch, measured; what else a grid decides is put into it. */
typedef struct {
    Config    c;
    ModelConf conf;
    ConfigString trainable;
    PlanRank  r;
    int       tp, micro_batch;
    double    least;                       /* bytes that any rank of it takes */
} Measured;

struct Nodes {
    const Config  *c;
    const Cluster *m;
    const Rates   *rates;
    Stage     stage;
    Measured *model[MODELS];
    int       n;
};

static ModelConf conf_of(const Config *c, Stage stage, int micro_batch, ConfigString trainable)
{
    const int kinds = c->model.codes.appearance_layer ? 2 : 1;
    const RunShape shape = { .stage = stage, .train = true, .codes_given = c->data.codes[0] ? c->model.codes.depth * kinds : 0,
                             .micro_batch = micro_batch, .max_images = micro_batch, .max_len = c->model.decoder.max_len };
    return run_conf(c, &shape, trainable);
}

/* NULL where it does not divide, or a part of train.trainable is not in the model. */
static Measured *measured(Nodes *n, int tp, int micro_batch)
{
    char why[512];
    for (int i = 0; i < n->n; i++)
        if (n->model[i]->tp == tp && n->model[i]->micro_batch == micro_batch)
            return n->model[i]->least > 0 ? n->model[i] : NULL;
    Measured *x = calloc(1, sizeof *x);
    CHECK(x && n->n < MODELS, "no memory for a model that is planned");
    n->model[n->n++] = x;
    x->c = *n->c;
    x->c.parallel.tp = x->tp = tp;
    x->c.train.micro_batch = x->micro_batch = micro_batch;
    x->c.train.stage = (int)n->stage;
    x->conf = conf_of(&x->c, n->stage, micro_batch, x->trainable);
    x->r = (PlanRank){ .c = &x->c, .tp = run_tp(&x->c, &x->conf, tp) };
    if (!model_divides(&x->conf, tp, why, sizeof why) || !model_measure(&x->r.model, &x->conf, &x->r.tp))
        return NULL;
    tape_measure(&x->r.tape, &x->r.model);
    dry_run(&x->r.dry, &x->conf, &x->r.tp);
    x->least = (double)(x->r.model.weight_arena.size + tape_bytes(&x->r.tape, &x->r.model));
    return x;
}

Nodes *nodes_open(const Config *c, Stage stage, const Cluster *m, const Rates *rates, Err *e)
{
    char why[512];
    Nodes *n = calloc(1, sizeof *n);
    CHECK(n, "no memory for a plan");
    *n = (Nodes){ .c = c, .m = m, .rates = rates, .stage = stage };
    ConfigString trainable;
    const ModelConf conf = conf_of(c, stage, c->train.micro_batch, trainable);
    const int tp = c->plan.grid == GRID_GIVEN ? c->parallel.tp : 1;
    if (!model_divides(&conf, tp, why, sizeof why)) {
        err_set(e, EXIT_CONFIG, "parallel.tp", "", "%s", why);
    } else if (!measured(n, tp, c->train.micro_batch)) {
        err_got(e, "\"%.200s\"", trainable);
        err_expected(e, "parts of this stage's model, e.g. \"projector,decoder\"");
        err_set(e, EXIT_CONFIG, "train.trainable", "", "train.trainable names a part that the model does not have");
    }
    return n;
}

void nodes_close(Nodes *n)
{
    for (int i = 0; i < n->n; i++) {
        dry_close(&n->model[i]->r.dry);
        tape_close(&n->model[i]->r.tape);
        model_close(&n->model[i]->r.model);
        free(n->model[i]);
    }
    free(n);
}

double nodes_learned(Nodes *n)
{
    double learned = 0;
    const PlanRank *r = &n->model[0]->r;
    for (int i = 0; i < r->model.table.n; i++) {
        const Param *p = &r->model.table.p[i];
        learned += p->grad >= 0 ? (double)p->count * r->tp.size / p->copies : 0;
    }
    return learned;
}

/* ---- one grid ---- */

/* What the machine gives a rank, as bench would have found it. */
static Rates rates_of(const Nodes *n, const Point *p)
{
    const Rates *x = n->rates;
    return (Rates){ .ranks = 1, .dp = 1, .tp = 1, .threads = p->threads, .sgemm = 1e9 * n->m->gflops * p->threads,
                    .forward = x ? x->forward : n->m->share, .backward = x ? x->backward : n->m->share,
                    .memory = 1e9 * n->m->memory / p->ranks_node, .rest = 1,
                    .base_mib = x ? x->base_mib : 64 + 4 * (p->threads - 1) };
}

static void layout(Measured *x, const Point *p)
{
    x->c.train.global_batch = p->global_batch;
    x->c.parallel.zero = p->zero;
    x->c.parallel.threads = p->threads;
    x->r.replicas = p->replicas;
    const Levels v = levels_of(p->replicas, (int)max64(1, p->ranks_node / p->tp));
    x->r.buckets = run_buckets(&x->c, &v);
    const OptimSetup s = run_optim(&x->c, &v);
    optim_measure(&x->r.optim, &x->r.model.table, x->r.replica, p->replicas, &s);
}

static double bytes_of_rank(const PlanRank *r, const Rates *rates)
{
    double bytes[MEM_CLASSES], sum = 0;
    plan_memory(r, rates, bytes);
    for (int k = 0; k < MEM_CLASSES; k++)
        sum += k == MEM_ARENAS ? 0 : bytes[k];
    return sum;
}

/* Lays out the replica that keeps most: the one with most sums that wait; of a cut, and of matrices with one owner each, the first
   has most. */
static void heaviest(Measured *x, const Point *p)
{
    const int64_t leaves = p->global_batch / (p->micro_batch * p->replicas);
    int most = -1;
    for (int k = 0; k < p->replicas && x->c.parallel.reduction == REDUCE_CANONICAL; k++) {
        const int waits = canon_waiting(k * leaves, leaves);
        if (waits > most) {
            most = waits;
            x->r.replica = k;
        }
        if ((leaves & (leaves - 1)) == 0)
            break;                                      /* all alike */
    }
    if (most < 0)
        x->r.replica = 0;
    layout(x, p);
}

static double rest_of(const Nodes *n) { return n->rates ? n->rates->rest : nodes_rest; }

/* What dp can hide behind: forward with its half of the sums over tp, and backward with the other. */
static Lying lying(const Nodes *n, const PlanRank *r, const Point *p)
{
    const Rates rates = rates_of(n, p);
    const Seconds s = plan_time(r, &rates);
    const double leaves = r->buckets.leaves, tp = 0.5 * p->tp_s;
    return (Lying){ n->m, p->ranks_node, rates.memory, (rest_of(n) * s.forward + tp) / leaves, (rest_of(n) * s.backward + tp) / leaves };
}

/* Over tp: each short sum by itself, and what is waited for of the long ones; and the few small sums over all, in pieces as comm.c makes
   them. */
static void sums(const Nodes *n, const PlanRank *r, Point *p)
{
    enum { PIECE = 1 << 20 /* floats, as dist/comm.c */ };
    Place place[PLACES];
    const int places = plan_places(r, place);
    const Lying w = lying(n, r, p);                     /* what is computed alone: sums do not hide behind sums */
    for (int i = 0; i < places; i++) {
        const bool tp = place[i].axis == AXIS_TP;
        p->bytes += (double)place[i].bytes;
        if (place[i].axis == AXIS_DP || place[i].calls == 0 || place[i].begun)
            continue;
        const int ranks = tp ? r->tp.size : r->replicas * r->tp.size;
        const double each = tp && place[i].each > 0 ? place[i].each
                                                    : (double)place[i].bytes / (2 * (ranks - 1.0) / ranks) / 4 / (double)place[i].calls;
        const double pieces = ceil(each / PIECE);
        double messages = 0;
        const double t = (double)place[i].calls * pieces * cluster_allreduce(n->m, p->ranks_node, ranks, 1, 4 * each / pieces, &messages);
        p->messages += messages * (double)place[i].calls * pieces;
        *(tp ? &p->tp_s : &p->dp) += t;
    }
    const Replayed begun = replay_sums(r, &w);
    p->tp_s += r->buckets.leaves * begun.seconds;
    p->messages += r->buckets.leaves * begun.messages;
}

static double both(const PlanRank *r, const Lying *w, double *messages)
{
    const Replayed a = replay_buckets(r, w), b = replay_weights(r, w);
    *messages += a.messages + b.messages;
    return a.seconds + b.seconds;
}

/* Muon's matrices on their way, all of it to wait for. */
static double muon_seconds(const Nodes *n, const PlanRank *r, const Point *p)
{
    MatricesBytes muon;
    optim_bytes(&r->optim, &muon);
    return (double)(muon.dp + muon.world + muon.tp) * p->ranks_node / (1e9 * (p->nodes > 1 ? n->m->beta : n->m->beta_in));
}

/* r is laid out for p. */
static void step_of(const Nodes *n, const PlanRank *r, Point *p)
{
    const Rates rates = rates_of(n, p);
    const Seconds s = plan_time(r, &rates);
    p->tp_s = p->messages = p->bytes = 0;
    p->dp = muon_seconds(n, r, p);
    sums(n, r, p);
    const Lying w = lying(n, r, p);
    p->dp += both(r, &w, &p->messages);
    p->compute = s.forward + s.backward + s.sums;
    p->optimizer = s.optimizer;
    p->rest = (rest_of(n) - 1) * (p->compute + p->optimizer);
    p->step = p->compute + p->tp_s + p->dp + p->optimizer + p->rest;
    p->samples = p->global_batch / p->step;
}

/* Where the time over dp goes: again with nothing to hide behind, with messages that cost nothing but their bytes, and with nothing
   but the additions.  What is not replayed stays. */
static void causes(const Nodes *n, const PlanRank *r, Point *p)
{
    Cluster free = *n->m;
    Lying w = lying(n, r, p), bare = w;
    double unused = 0;
    const double other = p->dp - both(r, &w, &unused);
    bare.forward = bare.backward = 0;
    p->dp_total = other + both(r, &bare, &unused);
    w.machine = &free;
    free.overhead = free.alpha = free.alpha_in = 0;
    p->dp_bytes = other + both(r, &w, &unused);
    free.beta = free.beta_in = 1e9;
    p->dp_adds = both(r, &w, &unused);
}

/* What a checkpoint has, and what it costs. */
static void save_of(const Nodes *n, const PlanRank *r, Point *p)
{
    const Cluster *m = n->m;
    double floats = 0;
    for (int i = 0; i < r->model.table.n; i++) {
        const Param *q = &r->model.table.p[i];
        const int moments = q->grad < 0 || (q->flags & STATE) ? 0 : r->optim.muon[i] ? 1 : 2;
        floats += (!save_leaves(&r->model.table, q) + moments) * (double)q->count * r->tp.size / q->copies;
    }
    p->saved = 4 * floats;
    p->write = fmax(p->saved / (1e9 * STORAGE_SHARE * m->storage), p->saved / (1e9 * m->beta * p->nodes));
    p->wait = r->c->ckpt.async ? 2 * save_copy(&r->optim, r->replicas) / (1e9 * m->memory / p->ranks_node) : p->write;
}

/* ---- the best ---- */

typedef struct { Nodes *n; Point best; bool found; double least; } Search;

static void look(Search *s, Point p)
{
    Measured *x = measured(s->n, p.tp, p.micro_batch);
    const double ram = RAM_SHARE * s->n->m->ram * (1 << 30);
    if (!x)
        return;
    if (x->least * p.ranks_node > ram) {
        s->least = s->least > 0 ? fmin(s->least, x->least * p.ranks_node) : x->least * p.ranks_node;
        return;
    }
    const Rates rates = rates_of(s->n, &p);
    heaviest(x, &p);
    if (!buckets_count(&x->r.optim.zero, &x->r.buckets)) {
        optim_close(&x->r.optim);
        return;
    }
    p.memory = p.ranks_node * bytes_of_rank(&x->r, &rates);
    s->least = s->least > 0 ? fmin(s->least, p.memory) : p.memory;
    if (p.memory <= ram) {
        step_of(s->n, &x->r, &p);
        if (!s->found || p.step < s->best.step)
            s->best = p;
        s->found = true;
    }
    optim_close(&x->r.optim);
}

static void look_grid(Search *s, Point p)
{
    const Config *c = s->n->c;
    const bool given = c->plan.grid == GRID_GIVEN;
    const int64_t ranks = (int64_t)p.nodes * p.ranks_node;
    const int own = c->train.micro_batch;
    if (ranks % p.tp || (p.tp % p.ranks_node && p.ranks_node % p.tp))           /* a replica has whole nodes, or a node whole replicas */
        return;
    if (ranks / p.tp > p.global_batch || p.global_batch % (ranks / p.tp))
        return;
    p.replicas = (int)(ranks / p.tp);
    const int64_t each = p.global_batch / p.replicas;
    for (p.micro_batch = given ? own : 1; p.micro_batch <= (given ? own : MICRO_MOST); p.micro_batch *= 2)
        for (p.zero = 0; p.zero <= (p.replicas > 1 ? 2 : 0) && each % p.micro_batch == 0; p.zero++)     /* alone nothing is shared */
            if (!given || p.replicas == 1 || p.zero == c->parallel.zero)
                look(s, p);
}

static void look_nodes(Search *s, Point p)
{
    const Config *c = s->n->c;
    const Cluster *m = s->n->m;
    if (c->plan.grid == GRID_GIVEN) {
        p.ranks_node = c->parallel.threads ? m->cores / c->parallel.threads : m->sockets;
        p.threads = p.ranks_node ? m->cores / p.ranks_node : 0;
        p.tp = c->parallel.tp;
        if (p.threads)
            look_grid(s, p);
        return;
    }
    for (p.ranks_node = m->sockets; p.ranks_node <= m->cores; p.ranks_node += m->sockets) {     /* no rank on two sockets */
        p.threads = m->cores / p.ranks_node;
        for (p.tp = 1; p.tp <= NODES_TP && m->cores % p.ranks_node == 0; p.tp *= 2)
            look_grid(s, p);
    }
}

bool nodes_best(Nodes *n, int nodes, int global_batch, Point *out)
{
    Search s = { .n = n };
    look_nodes(&s, (Point){ .nodes = nodes, .global_batch = global_batch });
    *out = s.best;
    if (!s.found) {
        *out = (Point){ .nodes = nodes, .global_batch = global_batch, .memory = s.least };
        return false;
    }
    Measured *x = measured(n, out->tp, out->micro_batch);
    heaviest(x, out);
    step_of(n, &x->r, out);
    causes(n, &x->r, out);
    save_of(n, &x->r, out);
    optim_close(&x->r.optim);
    out->sgemm = measured(n, 1, out->micro_batch)->r.dry.sample.step * out->samples / (1e9 * n->m->gflops * n->m->cores * nodes);
    return true;
}
