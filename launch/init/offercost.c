/* offercost.c -- what an offer costs on this machine: bytes, and seconds by rates that are measured here (offer.h) */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/limits.h"
#include "core/ops.h"
#include "dist/place.h"
#include "launch/init/offer.h"
#include "launch/plan/plan.h"
#include "launch/room.h"
#include "launch/save.h"

/* What forward and backward reach of the products' rate: `asvr bench configs/bench/small.cfg` (docs/PERF.md); narrow matrices reach less. */
static const double SHARE = 0.87, NARROW = 256, REST = 1.25, RAM_SHARE = 0.9;
/* Of a text: characters a token, and tokens around it. */
static const double CHARS_TOKEN = 4, AROUND = 6;
enum { EDGE = 512, RANKS_MOST = 8, COPY = 64 << 20 };

void machinery_read(Machinery *m)
{
    static Machine machine;
    struct statvfs disk;
    machine_read(&machine, NULL);
    const CpuMask own = mask_own();
    uint8_t seen[MASK_CPUS] = { 0 };
    *m = (Machinery){ 0 };
    for (int cpu = 0; cpu < MASK_CPUS; cpu++)
        if (machine.core[cpu] >= 0 && CPU_ISSET(cpu % CPU_SETSIZE, &own.part[cpu / CPU_SETSIZE]) && !seen[machine.core[cpu]]++)
            m->cores++;
    m->cores = (int)max64(1, m->cores);
    for (m->ranks = 1; 2 * m->ranks <= m->cores && m->ranks < RANKS_MOST; m->ranks *= 2)
        ;
    m->threads = m->cores / m->ranks;
    m->ram = room_left();
    m->disk = statvfs(".", &disk) == 0 ? (double)disk.f_bavail * (double)disk.f_frsize : 0;
    ops_use(&OPS_CPU, m->cores);
    const int64_t rows = EDGE * (int64_t)m->cores;
    float *room = calloc((size_t)limits_room(rows, EDGE, EDGE), sizeof *room);
    CHECK(room, "no memory to measure products");
    m->sgemm = limits_sgemm(room, rows, EDGE, EDGE, false, true, m->cores);
    free(room);
    m->memory = limits_copy(COPY, m->cores);
}

/* Parameters of a part, and of them the matrices, whose products are most of the work. */
static double part_size(const Params *t, const char *part)
{
    double n = 0;
    for (const Param *p = t->p; p < t->p + t->n; p++)
        n += param_in_part(p, part) ? (double)p->count : 0;
    return n;
}

/* A rank's share of the machine, for matrices so wide. */
static Rates rates_of(const Machinery *m, int width)
{
    const double share = SHARE * fmin(1, sqrt(width / NARROW));
    return (Rates){ .ranks = 1, .dp = 1, .tp = 1, .threads = m->threads, .sgemm = m->sgemm / m->ranks, .forward = share, .backward = share,
                    .memory = m->memory / m->ranks, .rest = REST, .base_mib = 64 + 4 * (m->threads - 1) };
}

/* Of a step of the stages that plan does not run dry: the tower on every patch, the text tower on every token, two passes more to learn. */
static double tower_seconds(const PlanRank *r, const Config *c, const Rates *x)
{
    const Params *t = &r->model.table;
    const double side = c->model.vision.image / c->model.vision.patch, passes = c->train.stage == STAGE_CONTRAST ? 3 : 1;
    const double text = c->train.stage == STAGE_CONTRAST ? (part_size(t, "text") - (double)c->model.decoder.vocab * c->model.text.width) * c->model.text.max_len : 0;
    const double flops = 2 * passes * (part_size(t, "vision") * side * side + text) * c->train.micro_batch * r->buckets.leaves;
    return x->rest * (flops / (x->sgemm * x->forward) + 40.0 * (double)r->model.table.grads / x->memory);
}

/* One rank of the stage, with sequences so long at most. */
static bool open_rank(PlanRank *r, const Config *c, ModelConf *conf, char trainable[CONFIG_STRING], const Machinery *m, int max_len, Err *e)
{
    const RunShape shape = { .stage = (Stage)c->train.stage, .train = true, .micro_batch = c->train.micro_batch,
                             .max_images = c->train.micro_batch, .max_len = max_len };
    *conf = run_conf(c, &shape, trainable);
    return plan_rank(r, c, conf, m->ranks, m->ranks, 1) || err_set(e, EXIT_INTERNAL, "", "", "an offered model lacks what it is to train");
}

/* Seconds of a step: samples are as long as the data's are, not as the longest. */
static bool step_seconds(double *seconds, const Config *c, const Look *l, const Machinery *m, const Rates *rates, Err *e)
{
    static PlanRank r;
    char trainable[CONFIG_STRING];
    ModelConf conf;
    const int side = c->model.vision.image / c->model.vision.patch;
    const double tokens = AROUND + (double)l->text.chars / (double)l->records / CHARS_TOKEN;
    const int len = (int)min64(c->model.decoder.max_len, side * side + (int)ceil(tokens));
    if (!open_rank(&r, c, &conf, trainable, m, len, e))
        return false;
    *seconds = c->train.stage < STAGE_PRETRAIN ? tower_seconds(&r, c, rates) : plan_time(&r, rates).step;
    plan_rank_close(&r);
    return true;
}

static bool stage_costs(OfferStage *s, const Look *l, const Machinery *m, Err *e)
{
    static PlanRank r;
    const Config *c = &s->c;
    char trainable[CONFIG_STRING];
    ModelConf conf;
    const Rates rates = rates_of(m, c->train.stage < STAGE_PRETRAIN ? c->model.vision.width : c->model.decoder.width);
    double bytes[MEM_CLASSES], floats = 0, step;
    if (!step_seconds(&step, c, l, m, &rates, e) || !open_rank(&r, c, &conf, trainable, m, c->model.decoder.max_len, e))
        return false;
    plan_memory(&r, &rates, bytes);
    s->parameters = s->learned = 0;
    s->memory = 0;
    for (int k = 0; k < MEM_CLASSES; k++)
        s->memory += k == MEM_ARENAS ? 0 : bytes[k];
    for (int i = 0; i < r.model.table.n; i++) {
        const Param *p = &r.model.table.p[i];
        s->parameters += p->count;
        s->learned += p->grad >= 0 ? p->count : 0;
        floats += (double)p->count * (p->grad < 0 || (p->flags & STATE) ? 1 : r.optim.muon[i] ? 2 : 3);
    }
    s->disk = 4 * floats * (c->ckpt.keep + 1);              /* a new one is whole before the old one goes */
    s->seconds = (double)c->train.steps * step;
    plan_rank_close(&r);
    return true;
}

bool offer_costs(Offer *o, const Look *l, const Machinery *m, Err *e)
{
    const OfferStage *last = &o->stage[o->n - 1];
    o->seconds = o->memory = o->disk = 0;
    for (int i = 0; i < o->n; i++) {
        if (!stage_costs(&o->stage[i], l, m, e))
            return false;
        o->seconds += o->stage[i].seconds;
        o->memory = fmax(o->memory, o->stage[i].memory);
        o->disk += o->stage[i].disk;
    }
    o->disk += 2 * plan_picture(&last->c) * (double)l->pictures;        /* captions, and questions */
    o->parameters = last->parameters;
    o->lacks = o->memory * m->ranks > RAM_SHARE * m->ram ? "memory" : o->disk > m->disk ? "disk" : "";
    o->fits = !o->lacks[0];
    return true;
}

void offer_cut(Offer *o, const Look *l, double seconds)
{
    const double share = seconds / o->seconds;
    int64_t views = 0;
    o->cut = true;
    o->seconds = 0;
    for (int i = 0; i < o->n; i++) {
        OfferStage *s = &o->stage[i];
        const int64_t steps = max64(1, (int64_t)(share * (double)s->c.train.steps));
        s->seconds *= (double)steps / (double)s->c.train.steps;
        s->c.train.steps = steps;
        o->seconds += s->seconds;
        views = max64(views, steps * s->c.train.global_batch);
    }
    const int64_t train = l->records - o->stage[0].c.data.val_samples;
    for (int i = 0; i < o->n; i++)
        o->stage[i].c.data.samples = views < train ? views : 0;
    if (views < train)
        o->disk -= 2 * plan_picture(&o->stage[0].c) * (double)l->pictures * (1 - (double)views / (double)train);
}
