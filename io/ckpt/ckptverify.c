#include "io/ckpt/ckptinside.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/bits.h"
#include "core/rng.h"
#include "io/base/agree.h"

/* Sums under way: of each tensor, in the order of the file, its stream and where it counts. */
typedef struct {
    const Ckpt *c;
    uint64_t   *stream, sum[3];         /* weights, moments, and what is neither */
    char       *kind;                   /* of sum */
    int         first;                  /* tensors before it end before what comes now */
} Sums;

static void take_block(void *with, const char *bytes, int64_t at, int64_t n)
{
    Sums *s = with;
    s->first = ckpt_ends_behind(s->c, s->first, at);
    for (int i = s->first; i < s->c->m.tensors; i++) {
        const CkptTensor *t = &s->c->m.tensor[s->c->by_offset[i]];
        const int64_t lo = max64(at, t->offset), hi = min64(at + n, t->offset + ckpt_bytes(t));
        if (t->offset >= at + n)
            return;
        if (lo < hi)
            s->sum[(int)s->kind[i]] += bits_sum(s->stream[i], (lo - t->offset) / 4, (const float *)(const void *)(bytes + (lo - at)), (hi - lo) / 4);
    }
}

static void sums_open(Sums *s, const Ckpt *c)
{
    const size_t n = (size_t)c->m.tensors + 1;
    *s = (Sums){ .c = c, .stream = calloc(n, sizeof *s->stream), .kind = calloc(n, 1) };
    CHECK(s->stream && s->kind, "no memory for a list of %zu tensors", n);
    for (int i = 0; i < c->m.tensors; i++) {
        const char *name = c->m.tensor[c->by_offset[i]].name;
        const bool weights = !strncmp(name, "weights/", 8);
        s->kind[i] = weights ? 0 : !strncmp(name, "m/", 2) || !strncmp(name, "v/", 2) ? 1 : 2;
        s->stream[i] = rng_stream(weights ? name + 8 : name);
    }
}

static bool same_sum(const Ckpt *c, const char *what, uint64_t want, uint64_t got, Err *e)
{
    if (want == got)
        return true;
    err_expected(e, "%016" PRIx64, want);
    err_got(e, "%016" PRIx64, got);
    return err_set(e, EXIT_DATA, c->path, "what was saved was not what was in the model: take an older checkpoint",
                   "the %s in the file have another fingerprint than the manifest says", what);
}

bool ckpt_verify_beside(Ckpt *c, Err *e)
{
    char run[PATH_ROOM];
    bool ok = !ckpt_hurt(CKPT_AT_BESIDE, e) && path_set(run, e, "%s/../..", c->path);
    ok = ok && (c->rank || beside_check(run, c->m.file, c->m.files, e));
    return err_agree(c->comm, ok, e);
}

bool ckpt_verify(Ckpt *c, Err *e)
{
    Sums s;
    unsigned char *need = calloc((size_t)c->m.blocks + 1, 1);
    CHECK(need, "no memory for a list of %" PRId64 " blocks", c->m.blocks);
    const int64_t first = tensors_share(c->m.blocks, c->rank, c->size), last = tensors_share(c->m.blocks, c->rank + 1, c->size);
    memset(need + first, 1, (size_t)(last - first));
    sums_open(&s, c);
    bool ok = err_agree(c->comm, ckpt_scan(c, need, take_block, &s, e), e);
    if (ok && c->comm != MPI_COMM_NULL)
        MPI_Allreduce(MPI_IN_PLACE, s.sum, 3, MPI_UINT64_T, MPI_SUM, c->comm);
    ok = ok && err_agree(c->comm, same_sum(c, "weights", c->m.meta.fingerprint, s.sum[0], e) &&
                                  (c->m.meta.version < 3 || same_sum(c, "moments", c->m.meta.moments, s.sum[1], e)), e);
    free(s.stream);
    free(s.kind);
    free(need);
    c->damaged |= !ok;
    return ok && ckpt_verify_beside(c, e);
}
