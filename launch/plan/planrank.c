/* planrank.c -- one rank of a grid, measured, and its bytes by class (plan.h) */
#include "core/arena.h"
#include "io/set/loader.h"
#include "launch/plan/plan.h"
#include "launch/run.h"
#include "launch/save.h"
#include "launch/stepeval.h"

/* What a run has resident beside its arenas, as seen with Debian 12's Open MPI 4.1, HDF5 1.10 and OpenBLAS 0.3.21, alike on 1, 2
   and 4 ranks: more than a plan's own process MPI and OpenBLAS' buffers of one thread; of each further thread; in a run that
   trains a text model, the lists of the shards and a reader, what the sgemm at its start leaves, and the threads of watch, lease and
   saver. */
enum { MPI_MIB = 16, THREAD_MIB = 4, TRAIN_MIB = 12 };

const char *const MEM_NAME[MEM_CLASSES] = {
    [MEM_WEIGHTS] = "weights", [MEM_GRADS] = "gradients", [MEM_MOMENTS] = "moments", [MEM_WAITING] = "sums that wait",
    [MEM_BUCKETS] = "buckets", [MEM_COMING] = "weights coming", [MEM_MUON] = "Muon's work", [MEM_TAPE] = "tape",
    [MEM_ARENAS] = "in arenas", [MEM_LOADER] = "loader", [MEM_COPY] = "checkpoint copy", [MEM_EVAL] = "evaluation", [MEM_PROCESS] = "process",
};

bool plan_rank(PlanRank *r, const Config *c, const ModelConf *conf, int replicas, int near, int tp)
{
    const Levels v = levels_of(replicas, near);
    const OptimSetup s = run_optim(c, &v);
    double most = -1;
    *r = (PlanRank){ .c = c, .tp = run_tp(c, conf, tp), .replicas = replicas, .buckets = run_buckets(c, &v) };
    if (!model_measure(&r->model, conf, &r->tp))
        return false;
    tape_measure(&r->tape, &r->model);
    if (conf->stage >= STAGE_PRETRAIN)
        dry_run(&r->dry, conf, &r->tp);
    for (int k = 0; k < replicas; k++) {
        Optim o;
        optim_measure(&o, &r->model.table, k, replicas, &s);
        const double kept = (double)(o.arena.size + buckets_waiting(&o.zero, &r->buckets));
        if (kept > most) {
            most = kept;
            r->replica = k;
        }
        optim_close(&o);
    }
    optim_measure(&r->optim, &r->model.table, r->replica, replicas, &s);
    return true;
}

void plan_rank_close(PlanRank *r)
{
    if (r->optim.table)
        optim_close(&r->optim);
    dry_close(&r->dry);
    tape_close(&r->tape);
    model_close(&r->model);
}

/* A sample is a picture and text up to max_len rows. */
static double loader(const PlanRank *r)
{
    const Config *c = r->c;
    const Model *m = &r->model;
    const int64_t side = config_picture(c), P = m->w.vision.P;
    const LoaderConf conf = { .dp_size = r->replicas, .micro_batch = c->train.micro_batch, .ring = steps_ahead(c, r->replicas),
                              .global_batch = c->train.micro_batch * r->buckets.leaves * r->replicas };
    const LoaderRoom each = { .tokens = m->c.max_len - P + 1, .images = 1, .image_bytes = 3 * side * side,
                              .image_codes = P * m->c.codes_given };
    const double ring = (double)loader_memory(&conf, &each);
    return ring + (r->tp.size > 1 ? ring / conf.ring : 0);          /* what crosses to the other ranks of the group */
}

void plan_memory(const PlanRank *r, const Rates *rates, double bytes[MEM_CLASSES])
{
    const Model *m = &r->model;
    const double mib = 1 << 20, threads = r->c->parallel.threads > 1 ? r->c->parallel.threads : 1;
    const double started = rates ? rates->base_mib : run_resident_mb() + MPI_MIB + THREAD_MIB * (threads - 1);
    size_t coming, muon;
    int64_t shares;
    optim_memory(&r->optim, &coming, &muon);
    bytes[MEM_WEIGHTS] = (double)m->weight_arena.size;
    bytes[MEM_GRADS] = (double)sizeof(float) * (double)plan_gradients(m, &r->optim, &r->buckets, &r->dry.backward, &shares);
    bytes[MEM_MOMENTS] = (double)r->optim.arena.size;
    bytes[MEM_WAITING] = (double)buckets_waiting(&r->optim.zero, &r->buckets);
    bytes[MEM_BUCKETS] = (double)buckets_memory(&r->optim.zero, &r->buckets) - bytes[MEM_WAITING];
    bytes[MEM_COMING] = (double)coming;
    bytes[MEM_MUON] = (double)muon;
    bytes[MEM_TAPE] = (double)tape_bytes(&r->tape, m);
    bytes[MEM_ARENAS] = 0;
    for (int k = 0; k < MEM_ARENAS; k++)
        bytes[MEM_ARENAS] += bytes[k];
    bytes[MEM_LOADER] = loader(r);
    bytes[MEM_COPY] = r->c->ckpt.async ? save_copy(&r->optim, r->replicas) : 0;
    bytes[MEM_EVAL] = stepeval_bytes(r->c, m);
    bytes[MEM_PROCESS] = mib * (started + TRAIN_MIB);
}
