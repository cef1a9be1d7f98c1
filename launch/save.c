/* save.c -- where a run's weights go to: the next checkpoint of its folder (run.h) */
#include <stdlib.h>

#include "dist/comm.h"
#include "io/base/files.h"
#include "launch/identity.h"

/* What several ranks hold must be the same on all of them: the copies of a piece among neighbouring tp ranks, and every
   piece among replicas.  Dies where it is not, since nothing that could be saved would be right. */
static void check_copies(const Run *r)
{
    const Params *t = &r->model.table;
    uint64_t all = 0, *of = calloc((size_t)(r->grid.tp_size + t->n), sizeof *of), *hash = of + r->grid.tp_size;
    CHECK(of, "no memory for %d numbers", r->grid.tp_size + t->n);
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < t->n; i++)
        hash[i] = params_hash(t, r->model.weights, i);
    for (int i = 0; i < t->n; i++)
        all = all * 31 + hash[i];
    comm_same(r->grid.dp, "what replicas hold of the parameters", all);
    for (int c = 2; c <= r->grid.tp_size; c++) {
        uint64_t mine = 0;
        for (int i = 0; i < t->n; i++)
            mine = t->p[i].copies == c ? mine * 31 + hash[i] : mine;
        if (r->grid.tp_size % c)
            continue;
        comm_gather_u64(r->grid.tp, mine, of);
        for (int k = 0; k < r->grid.tp_size; k++)
            CHECK(of[k] == of[k - k % c], "parameters that %d tensor-parallel ranks hold alike differ between ranks %d and %d of "
                  "the group", c, k - k % c, k);
    }
    free(of);
}

bool run_saver(Run *r, Err *e)
{
    int n;
    if (!run_ckpt_dir(r, r->ckpt_dir, e))
        return false;
    r->piece = run_pieces(r, true, &n, &r->piece_name);
    r->saver = saver_open(r->grid.world, r->ckpt_dir, r->piece, n, &(SaverConf){ .keep = r->c->ckpt.keep, .async = r->c->ckpt.async }, e);
    return r->saver != NULL;
}

void run_saver_close(Run *r)
{
    if (r->saver)
        saver_close(r->saver);
    free(r->piece);
    free(r->piece_name);
}

bool run_save(Run *r, bool wait, Err *e)
{
    if (!saver_finish(r->saver, e))
        return false;
    if (saver_saved(r->saver) != r->step) {
        optim_settle(&r->optim);
        check_copies(r);
        const CkptMeta m = identity_of(r);
        if (!saver_start(r->saver, &m, e))
            return false;
    }
    return !(wait || !r->c->ckpt.async) || saver_finish(r->saver, e);
}
