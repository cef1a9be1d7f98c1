/* benchckpt.c -- bench.ckpt: what one checkpoint of this model costs (benchsteps.h) */
#include <stdio.h>
#include <stdlib.h>

#include "dist/comm.h"
#include "launch/bench/benchsteps.h"

/* Saves into dir, as a run does: training stops for the copy (ckpt.async) or for the whole. */
static bool save(Run *r, const char *dir, const Piece *p, int n, Steps *s, Err *e)
{
    const SaverConf conf = { .keep = 1, .async = r->c->ckpt.async };
    const CkptMeta m = { .step = 1, .seed = (uint64_t)r->c->run.seed, .dp = r->grid.dp_size, .tp = r->grid.tp_size, .stage = "benchmark",
                         .global_batch = r->c->train.global_batch };
    Saver *saver = saver_open(r->grid.world, dir, p, n, &conf, e);
    if (!saver)
        return false;
    double bytes = (double)saver_written(saver), seconds[2];
    comm_barrier(r->grid.world);
    const double t = now();
    bool ok = saver_start(saver, &m, e);
    seconds[0] = now() - t;
    ok = ok && saver_finish(saver, SAVER_RUN, e);
    seconds[1] = now() - t;
    saver_close(saver);
    comm_max_f64(r->grid.world, seconds, 2);
    comm_sum_f64(r->grid.world, &bytes, 1);
    s->ckpt_stopped = seconds[!conf.async];
    s->ckpt = seconds[1];
    s->ckpt_bytes = bytes;
    return ok;
}

bool bench_ckpt(Run *r, Steps *s, Err *e)
{
    char dir[PATH_ROOM] = "", (*name)[CKPT_NAME];
    int n;
    if (!r->c->bench.ckpt)
        return true;
    if (!r->c->run.dir[0])
        return err_set(e, EXIT_CONFIG, "run.dir", "", "bench.ckpt saves in run.dir, which is not set");
    if (path_set(dir, e, "%s/bench-ckpt", r->c->run.dir) && r->grid.rank == 0)
        dir_make(dir, e);
    if (!run_agree(r, e))
        return false;
    Piece *p = run_pieces(r, true, &n, &name);
    const bool ok = save(r, dir, p, n, s, e);
    free(p);
    free(name);
    if (r->grid.rank == 0)
        dir_remove(dir, ok ? e : &(Err){ 0 });
    if (ok && r->grid.rank == 0)
        printf("checkpoint %.0f MB in %.3f s, %.2f GB/s; training stops for %.3f s of them\n", 1e-6 * s->ckpt_bytes, s->ckpt,
               1e-9 * s->ckpt_bytes / s->ckpt, s->ckpt_stopped);
    return run_agree(r, e) && ok;
}
