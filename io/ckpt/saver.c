#include "io/ckpt/saver.h"

#include "core/fault.h"
#include "io/base/agree.h"
#include "io/base/files.h"
#include "io/ckpt/local.h"
#include "io/ckpt/recover.h"
#include "io/ckpt/saveparts.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum { IDLE, MAKE, WRITE, CARRY, HASH, COMMIT, KEEP } Phase;

/* A save under way. */
typedef struct Lane {
    struct Saver *s;
    Phase      phase;
    CkptMeta   meta;
    Commit     commit;
    TensorSums sums;                    /* of what this rank wrote */
    uint64_t   read;                    /* the sum of what it read back (tensors.h) */
    pthread_t  thread;
    atomic_bool done;                   /* the thread's last act */
    bool       carry;                   /* from the node's disk, not from memory */
    bool       ok;                      /* of the phase; read after joining */
    bool       failed;                  /* the last save, if none was started since */
    Err        err;
    int64_t    saved;                   /* the last step */
    double     seconds, took;           /* of its threads so far; of the last whole save */
} Lane;

struct Saver {
    MPI_Comm  comm;
    int       rank, size;
    const char *dir;
    SaverConf conf;
    SavePlan  plan;
    Layout    layout;
    float    *stage, *work;
    uint64_t *block;                    /* hashes: of this rank's blocks; on rank 0 of all in COMMIT */
    int64_t   tried, best;              /* best: the step that is to be named so, or -1 */
    uint64_t  life;                     /* whose parts on the nodes' disks it carries: its own, but in saver_carry_parts */
    CkptMeta  kept;                     /* of the step that was kept last */
    int64_t   first;                    /* that was kept, or -1 */
    int64_t   carrying;                 /* the step that is, or was last: its parts stay.  Written while no thread keeps */
    int      *old, olds;                /* whose parts this rank carries: its own, but in saver_carry_parts */
    Lane      lane[SAVER_LANES];
};

static int64_t blocks_of(const Saver *s) { return save_blocks(&s->layout); }

/* ---- the phases: on the thread ---- */

static bool make(Lane *l, Err *e)
{
    return l->s->rank || save_make(&l->commit, &l->s->layout, &l->sums.words, e);
}

/* Opens tensors.h5, writes, and syncs: on a parallel file system each rank has a cache of its own. */
static bool write_with(Lane *l, bool (*put)(Lane *l, int fd, Err *e), Err *e)
{
    const int fd = file_open(l->commit.file, O_WRONLY);
    bool ok = (fd >= 0 || file_error(e, l->commit.file, "open")) && put(l, fd, e) &&
              (file_fsync(fd) || file_error(e, l->commit.file, "fsync"));
    if (fd >= 0 && !file_close(fd) && ok)
        ok = file_error(e, l->commit.file, "close");
    return ok;
}

static bool put_parts(Lane *l, int fd, Err *e)
{
    const Saver *s = l->s;
    bool ok = true;
    for (int i = 0; i < s->plan.parts && ok; i++) {
        const SavePart *p = &s->plan.part[i];
        const float *data = s->conf.async || !p->live ? s->stage + p->at : p->live;
        ok = tensors_write(fd, l->commit.file, &s->layout.tensor[p->tensor], &p->slice, data, &l->sums, e);
    }
    return ok;
}

static bool put_carried(Lane *l, int fd, Err *e)
{
    bool ok = true;
    for (int i = 0; i < l->s->olds && ok; i++) {
        LocalPart part;
        ok = local_open(&part, l->s->conf.local, l->meta.step, l->s->life, l->s->old[i], e) && local_carry(&part, fd, l->commit.file, e);
        l->sums.words += part.sums.words;
        l->sums.weights += part.sums.weights;
        l->sums.moments += part.sums.moments;
        local_close(&part);
    }
    return ok;
}

static bool write_parts(Lane *l, Err *e) { return write_with(l, put_parts, e); }
static bool carry_parts(Lane *l, Err *e) { return write_with(l, put_carried, e); }

static bool hash(Lane *l, Err *e)
{
    const Saver *s = l->s;
    const int64_t first = tensors_share(blocks_of(s), s->rank, s->size), n = tensors_share(blocks_of(s), s->rank + 1, s->size) - first;
    const int fd = file_open(l->commit.file, O_RDONLY);
    const bool ok = (fd >= 0 || file_error(e, l->commit.file, "open")) &&
                    tensors_hash(fd, l->commit.file, s->layout.bytes, first, n, s->block, &l->read, e);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool commit(Lane *l, Err *e)
{
    return l->s->rank || save_commit(&l->commit, &l->meta, &l->s->layout, l->s->block, e);
}

/* What all have kept makes older steps useless, but one that is being carried. */
static bool keep(Lane *l, Err *e)
{
    const Saver *s = l->s;
    local_prune(s->conf.local, s->life, l->saved, s->carrying, s->first);
    return local_write(s->conf.local, &(LocalSource){ s->rank, s->size, s->life, &l->meta, &s->layout, &s->plan, s->stage }, &l->sums, e);
}

static void *work(void *lane)
{
    static bool (*const DO[])(Lane *l, Err *e) = { [MAKE] = make, [WRITE] = write_parts, [CARRY] = carry_parts, [HASH] = hash,
                                                   [COMMIT] = commit, [KEEP] = keep };
    Lane *l = lane;
    const double from = now();
    static const char *const POINT[] = { [MAKE] = "layout", [WRITE] = "tensors", [CARRY] = "tensors", [HASH] = "hash", [COMMIT] = "prune", [KEEP] = "keep" };
    l->ok = DO[l->phase](l, &l->err) && !FAILS(POINT[l->phase], &l->err);
    FAULT(POINT[l->phase]);
    l->seconds += now() - from;
    atomic_store_explicit(&l->done, true, memory_order_release);
    return NULL;
}

/* ---- on the main thread ---- */

/* Signals are for the main thread. */
static void begin(Lane *l, Phase phase)
{
    sigset_t all, old;
    l->phase = phase;
    atomic_store_explicit(&l->done, false, memory_order_relaxed);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    CHECK(pthread_create(&l->thread, NULL, work, l) == 0, "no thread for saving a checkpoint");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* The save is over. */
static void end(Lane *l, bool ok)
{
    Saver *s = l->s;
    if (s->rank == 0 && !ok && l->phase != KEEP)
        commit_clear(&l->commit);
    l->s->tried = l->meta.step;
    if (ok)
        l->saved = l->meta.step, l->took = l->seconds;
    if (ok && l->phase == KEEP)
        s->kept = l->meta, s->first = s->first < 0 ? l->saved : s->first;
    l->failed = !ok;
    l->phase = IDLE;
}

static bool collect(Lane *l, Err *e)
{
    const Saver *s = l->s;
    const bool ok = save_collect(s->comm, &s->layout, &l->sums, l->read, s->block, l->commit.file, e);
    MPI_Allreduce(MPI_IN_PLACE, &l->seconds, 1, MPI_DOUBLE, MPI_MAX, s->comm);          /* all wait for the slowest disk */
    l->meta.fingerprint = l->sums.weights;
    l->meta.moments = l->sums.moments;
    return ok;
}

bool saver_advance(Saver *s, int lane, Err *e)
{
    static const int LAST[] = { [MAKE] = CKPT_LAYOUT, [WRITE] = CKPT_TENSORS, [CARRY] = CKPT_TENSORS, [HASH] = CKPT_HASH, [COMMIT] = CKPT_PRUNE };
    Lane *l = &s->lane[lane];
    pthread_join(l->thread, NULL);
    bool ok = err_agree(s->comm, l->ok, &l->err);
    if (ok && l->phase == HASH)
        ok = collect(l, &l->err);
    if (ok && l->phase != KEEP)
        save_hook(LAST[l->phase]);
    if (ok && l->phase < COMMIT) {
        begin(l, l->phase == MAKE ? l->carry ? CARRY : WRITE : l->phase == HASH ? COMMIT : HASH);
        return true;
    }
    if (!ok)
        *e = l->err;
    end(l, ok);
    return ok;
}

static void renew(Lane *l, const CkptMeta *m, bool carry)
{
    ASSERT(l->phase == IDLE);
    for (int k = 0; k < SAVER_LANES; k++)
        l->s->lane[k].failed = false;
    l->meta = *m;
    l->carry = carry;
    l->sums = (TensorSums){ 0 };
    l->read = 0, l->seconds = 0;
    l->err = (Err){ 0 };
}

static bool start_run(Saver *s, const CkptMeta *m, bool carry, Err *e)
{
    Lane *l = &s->lane[SAVER_RUN];
    renew(l, m, carry);
    if (!commit_names(&l->commit, s->dir, m->step, s->conf.tag, e))
        return false;
    l->commit.best = m->step == s->best;
    l->commit.keep = s->conf.keep, l->commit.may = s->conf.may, l->commit.owner = s->conf.owner;
    if (!carry)
        saveplan_stage(&s->plan, s->stage, s->work, s->conf.async);
    begin(l, MAKE);
    return true;
}

bool saver_start(Saver *s, const CkptMeta *m, Err *e)
{
    ASSERT(!saver_busy(s, SAVER_LOCAL));                /* the copy's memory is its own */
    return start_run(s, m, false, e);
}

void saver_keep(Saver *s, const CkptMeta *m)
{
    ASSERT(s->conf.local && s->conf.async && (!saver_busy(s, SAVER_RUN) || s->lane[SAVER_RUN].carry));
    renew(&s->lane[SAVER_LOCAL], m, false);
    saveplan_stage(&s->plan, s->stage, s->work, true);
    begin(&s->lane[SAVER_LOCAL], KEEP);
}

bool saver_carry(Saver *s, Err *e)
{
    ASSERT(!saver_busy(s, SAVER_LOCAL) && s->first >= 0);
    s->carrying = s->kept.step;
    return start_run(s, &s->kept, true, e);
}

bool saver_finish(Saver *s, int lane, Err *e)
{
    while (saver_busy(s, lane))
        if (!saver_advance(s, lane, e))
            return false;
    return true;
}

void    saver_best(Saver *s, int64_t step) { s->best = step; }
bool    saver_busy(const Saver *s, int lane) { return s->lane[lane].phase != IDLE; }
bool    saver_copying(const Saver *s) { return s->lane[SAVER_RUN].phase != IDLE && !s->lane[SAVER_RUN].carry; }
int64_t saver_saved(const Saver *s, int lane) { return s->lane[lane].saved; }
bool    saver_failed(const Saver *s, int lane) { return s->lane[lane].failed; }
int64_t saver_saving(const Saver *s, int lane) { return saver_busy(s, lane) ? s->lane[lane].meta.step : -1; }
int64_t saver_tried(const Saver *s) { return s->tried; }
double  saver_seconds(const Saver *s) { return s->lane[SAVER_RUN].took; }
int64_t saver_written(const Saver *s) { return s->plan.floats * (int64_t)sizeof(float); }

bool saver_ready(const Saver *s, int lane)
{
    return saver_busy(s, lane) && atomic_load_explicit(&s->lane[lane].done, memory_order_acquire);
}

static int64_t staged(const Saver *s) { return s->conf.async ? s->plan.floats : s->plan.crossing; }

/* ---- opening ---- */

static float *memory(int64_t floats, const char *what)
{
    float *p = malloc((size_t)(floats + 1) * sizeof *p);
    CHECK(p, "no memory for %" PRId64 " MiB of %s: ckpt.async = false needs less", floats / (1 << 18), what);
    return p;
}

static Saver *new_saver(MPI_Comm comm, const char *dir, const SaverConf *c)
{
    Saver *s = calloc(1, sizeof *s);
    CHECK(s, "no memory for saving checkpoints");
    s->comm = comm, s->dir = dir, s->conf = *c, s->carrying = s->first = s->best = -1;
    s->life = c->tag ? strtoull(c->tag, NULL, 16) : 0;
    for (int k = 0; k < SAVER_LANES; k++)
        s->lane[k].s = s, s->lane[k].saved = -1;
    MPI_Comm_rank(comm, &s->rank);
    MPI_Comm_size(comm, &s->size);
    return s;
}

static void take_memory(Saver *s, const int *old, int olds)
{
    s->block = save_hashes(&s->layout, s->rank, s->size);
    s->old = malloc((size_t)(olds + 1) * sizeof *s->old);
    CHECK(s->old, "no memory for a list of %d ranks", olds);
    if (olds)
        memcpy(s->old, old, (size_t)olds * sizeof *old);
    s->olds = olds;
    s->stage = memory(staged(s), "a checkpoint's copy");
    s->work = memory(s->plan.widest, "a tensor on its way to a checkpoint");
}

Saver *saver_open(MPI_Comm comm, const char *dir, const Piece *p, int n, const SaverConf *c, Err *e)
{
    Saver *s = new_saver(comm, dir, c);
    if (!saveplan_open(&s->plan, comm, p, n, e) || !save_layout(&s->layout, comm, p, n, e)) {
        saver_close(s);
        return NULL;
    }
    take_memory(s, &s->rank, 1);
    return s;
}

bool saver_carry_parts(MPI_Comm comm, const char *dir, const SaverConf *c, const CkptMeta *m, uint64_t life, Layout *layout,
                       const int *old, int olds, Err *e)
{
    SaverConf conf = *c;
    conf.async = false;
    Saver *s = new_saver(comm, dir, &conf);
    s->life = life;
    s->layout = *layout;
    *layout = (Layout){ 0 };
    take_memory(s, old, olds);
    const bool ok = start_run(s, m, true, e) && saver_finish(s, SAVER_RUN, e);
    saver_close(s);
    return ok;
}

void saver_close(Saver *s)
{
    ASSERT(!saver_busy(s, SAVER_RUN) && !saver_busy(s, SAVER_LOCAL));
    saveplan_close(&s->plan);
    layout_close(&s->layout);
    free(s->block);
    free(s->old);
    free(s->stage);
    free(s->work);
    free(s);
}

bool ckpt_save(MPI_Comm comm, const char *dir, const CkptMeta *m, const Piece *p, int n, int keep, Err *e)
{
    Saver *s = saver_open(comm, dir, p, n, &(SaverConf){ .keep = keep }, e);
    const bool ok = s && saver_start(s, m, e) && saver_finish(s, SAVER_RUN, e);
    if (s)
        saver_close(s);
    return ok;
}
