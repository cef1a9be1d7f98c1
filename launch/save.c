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
    uint64_t all = 0, *of = calloc((size_t)r->grid.tp_size, sizeof *of);
    CHECK(of, "no memory for %d numbers", r->grid.tp_size);
    for (int i = 0; i < t->n; i++)
        all = all * 31 + params_hash(t, r->model.weights, i);
    comm_same(r->grid.dp, "what replicas hold of the parameters", all);
    for (int c = 2; c <= r->grid.tp_size; c++) {
        uint64_t mine = 0;
        for (int i = 0; i < t->n; i++)
            mine = t->p[i].copies == c ? mine * 31 + params_hash(t, r->model.weights, i) : mine;
        if (r->grid.tp_size % c)
            continue;
        comm_gather_u64(r->grid.tp, mine, of);
        for (int k = 0; k < r->grid.tp_size; k++)
            CHECK(of[k] == of[k - k % c], "parameters that %d tensor-parallel ranks hold alike differ between ranks %d and %d of "
                  "the group", c, k - k % c, k);
    }
    free(of);
}

bool run_save(Run *r, Err *e)
{
    char dir[PATH_ROOM];
    int n;
    char (*names)[CKPT_NAME];
    if (!run_ckpt_dir(r, dir, e))
        return false;
    optim_settle(&r->optim);
    check_copies(r);
    const CkptMeta m = identity_of(r);
    Piece *p = run_pieces(r, true, &n, &names);
    bool ok = ckpt_save(r->grid.world, dir, &m, p, n, r->c->ckpt.keep, e);
    free(p);
    free(names);
    return ok;
}
