#include "io/ckpt/saver.h"

#include "core/rng.h"
#include "io/base/agree.h"
#include "io/base/files.h"
#include "io/ckpt/commit.h"
#include "io/ckpt/layout.h"
#include "io/ckpt/saveplan.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void (*ckpt_phase_hook)(int phase);

typedef enum { IDLE, MAKE, WRITE, HASH, COMMIT } Phase;

struct Saver {
    MPI_Comm  comm;
    int       rank, size;
    const char *dir;
    SaverConf conf;
    SavePlan  plan;
    Layout    layout;
    float    *stage, *work;
    /* the save under way */
    Phase     phase;
    CkptMeta  meta;
    Commit    commit;
    uint64_t  wrote, read;              /* sums of what this rank wrote, and of what it read back (tensors.h) */
    uint64_t  weights, moments;         /* what it wrote of the two fingerprints */
    uint64_t *block;                    /* hashes: of this rank's blocks; on rank 0 of all in COMMIT */
    pthread_t thread;
    atomic_bool done;                   /* the thread's last act */
    bool      ok;                       /* of the phase; read after joining */
    Err       err;
    int64_t   saved;
};

static int64_t blocks_of(const Saver *s) { return ceil_div(s->layout.bytes, HASH_BLOCK); }

/* ---- the phases: on the thread ---- */

static void hook(int phase)
{
    if (ckpt_phase_hook)
        ckpt_phase_hook(phase);
}

static bool make(Saver *s, Err *e)
{
    if (s->rank)
        return true;
    if (!commit_begin(&s->commit, e))
        return false;
    hook(CKPT_MKDIR);
    return layout_write(&s->layout, s->commit.file, &s->wrote, e);
}

static const char *after_kind(const char *name)
{
    return strncmp(name, "weights/", 8) ? name : name + 8;
}

/* Each rank writes its parts and syncs: on a parallel file system each has a cache of its own. */
static bool write_parts(Saver *s, Err *e)
{
    const int fd = open(s->commit.file, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 || file_error(e, s->commit.file, "open");
    for (int i = 0; i < s->plan.parts && ok; i++) {
        const SavePart *p = &s->plan.part[i];
        const CkptTensor *t = &s->layout.tensor[p->tensor];
        const float *data = s->conf.async || !p->live ? s->stage + p->at : p->live;
        TensorSums one = { 0 };
        ok = tensors_write(fd, s->commit.file, t, &p->slice, data, rng_stream(after_kind(t->name)), &one, e);
        s->wrote += one.words;
        *(after_kind(t->name) == t->name ? &s->moments : &s->weights) += one.bits;
    }
    ok = ok && (fsync(fd) == 0 || file_error(e, s->commit.file, "fsync"));
    if (fd >= 0 && close(fd) && ok)
        ok = file_error(e, s->commit.file, "close");
    return ok;
}

static bool hash(Saver *s, Err *e)
{
    const int64_t first = tensors_share(blocks_of(s), s->rank, s->size), n = tensors_share(blocks_of(s), s->rank + 1, s->size) - first;
    const int fd = open(s->commit.file, O_RDONLY | O_CLOEXEC);
    const bool ok = (fd >= 0 || file_error(e, s->commit.file, "open")) &&
                    tensors_hash(fd, s->commit.file, s->layout.bytes, first, n, s->block, &s->read, e);
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool commit(Saver *s, Err *e)
{
    const Manifest m = { .meta = s->meta, .tensor = s->layout.tensor, .tensors = s->layout.tensors, .bytes = s->layout.bytes,
                         .blocks = blocks_of(s), .block = s->block };
    if (s->rank)
        return true;
    if (!commit_manifest(&s->commit, &m, e))
        return false;
    hook(CKPT_MANIFEST);
    if (!commit_publish(&s->commit, e))
        return false;
    hook(CKPT_RENAME);
    commit_clear(&s->commit);               /* after an exchange: the older checkpoint of the same step */
    commit_latest(&s->commit);
    hook(CKPT_LATEST);
    commit_prune(&s->commit, s->meta.step);
    return true;
}

static void *work(void *saver)
{
    static bool (*const DO[])(Saver *s, Err *e) = { [MAKE] = make, [WRITE] = write_parts, [HASH] = hash, [COMMIT] = commit };
    Saver *s = saver;
    s->ok = DO[s->phase](s, &s->err);
    atomic_store_explicit(&s->done, true, memory_order_release);
    return NULL;
}

/* ---- on the main thread ---- */

/* Signals are for the main thread. */
static void begin(Saver *s, Phase phase)
{
    sigset_t all, old;
    s->phase = phase;
    atomic_store_explicit(&s->done, false, memory_order_relaxed);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    CHECK(pthread_create(&s->thread, NULL, work, s) == 0, "no thread for saving a checkpoint");
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* The save is over. */
static void end(Saver *s, bool ok)
{
    if (s->rank == 0 && !ok)
        commit_clear(&s->commit);
    if (ok)
        s->saved = s->meta.step;
    s->phase = IDLE;
}

/* Whether the sum of what all ranks wrote is the sum of what they read back; rank 0 gets all hashes. */
static bool collect(Saver *s, Err *e)
{
    uint64_t mine[4] = { s->wrote, s->read, s->weights, s->moments }, all[4];
    int *count = calloc((size_t)s->size * 2, sizeof *count), *first = count + s->size;
    CHECK(count, "no memory for a list of %d ranks", s->size);
    for (int r = 0; r < s->size; r++) {
        first[r] = (int)tensors_share(blocks_of(s), r, s->size);
        count[r] = (int)tensors_share(blocks_of(s), r + 1, s->size) - first[r];
    }
    MPI_Gatherv(s->rank ? s->block : MPI_IN_PLACE, count[s->rank], MPI_UINT64_T, s->block, count, first, MPI_UINT64_T, 0, s->comm);
    free(count);
    MPI_Allreduce(mine, all, 4, MPI_UINT64_T, MPI_SUM, s->comm);
    s->meta.fingerprint = all[2];
    s->meta.moments = all[3];
    return all[0] == all[1] || err_set(e, EXIT_IO, s->commit.file, "the file system, or how several nodes share a file on it, is not to be trusted",
                                       "what lies on the disk is not what was written");
}

bool saver_advance(Saver *s, Err *e)
{
    static const int LAST[] = { [MAKE] = CKPT_LAYOUT, [WRITE] = CKPT_TENSORS, [HASH] = CKPT_HASH, [COMMIT] = CKPT_PRUNE };
    pthread_join(s->thread, NULL);
    bool ok = err_agree(s->comm, s->ok, &s->err);
    if (ok && s->phase == HASH)
        ok = collect(s, &s->err);
    if (ok)
        hook(LAST[s->phase]);
    if (ok && s->phase < COMMIT) {
        begin(s, s->phase + 1);
        return true;
    }
    if (!ok)
        *e = s->err;
    end(s, ok);
    return ok;
}

bool saver_start(Saver *s, const CkptMeta *m, Err *e)
{
    ASSERT(s->phase == IDLE);
    s->meta = *m;
    s->wrote = s->read = s->weights = s->moments = 0;
    s->err = (Err){ 0 };
    if (!commit_names(&s->commit, s->dir, m->step, s->conf.tag, e))
        return false;
    s->commit.keep = s->conf.keep, s->commit.may = s->conf.may, s->commit.owner = s->conf.owner;
    saveplan_stage(&s->plan, s->stage, s->work, s->conf.async);
    begin(s, MAKE);
    return true;
}

bool saver_finish(Saver *s, Err *e)
{
    while (s->phase != IDLE)
        if (!saver_advance(s, e))
            return false;
    return true;
}

bool    saver_busy(const Saver *s) { return s->phase != IDLE; }
bool    saver_ready(const Saver *s) { return s->phase != IDLE && atomic_load_explicit(&s->done, memory_order_acquire); }
int64_t saver_saved(const Saver *s) { return s->saved; }
int64_t saver_saving(const Saver *s) { return s->phase == IDLE ? -1 : s->meta.step; }
int64_t saver_written(const Saver *s) { return s->plan.floats * (int64_t)sizeof(float); }

static int64_t staged(const Saver *s) { return s->conf.async ? s->plan.floats : s->plan.crossing; }

size_t saver_bytes(const Saver *s)
{
    return (size_t)(staged(s) + s->plan.widest) * sizeof(float);
}

/* ---- opening ---- */

/* Rank 0 lays the file out and tells where each tensor lies. */
static bool share_layout(Saver *s, const Piece *p, int n, Err *e)
{
    bool ok = true;
    if (s->rank == 0)
        ok = layout_make(&s->layout, p, n, e);
    if (!err_agree(s->comm, ok, e))
        return false;
    s->layout.tensors = n;
    if (s->rank)
        s->layout.tensor = calloc((size_t)n + 1, sizeof *s->layout.tensor);
    CHECK(s->layout.tensor, "no memory for a table of %d tensors", n);
    MPI_Bcast(&s->layout.bytes, 1, MPI_INT64_T, 0, s->comm);
    MPI_Bcast(s->layout.tensor, n * (int)sizeof *s->layout.tensor, MPI_BYTE, 0, s->comm);
    return true;
}

static float *memory(int64_t floats, const char *what)
{
    float *p = malloc((size_t)(floats + 1) * sizeof *p);
    CHECK(p, "no memory for %" PRId64 " MiB of %s: ckpt.async = false needs less", floats / (1 << 18), what);
    return p;
}

Saver *saver_open(MPI_Comm comm, const char *dir, const Piece *p, int n, const SaverConf *c, Err *e)
{
    Saver *s = calloc(1, sizeof *s);
    CHECK(s, "no memory for saving checkpoints");
    s->comm = comm, s->dir = dir, s->conf = *c, s->saved = -1;
    MPI_Comm_rank(comm, &s->rank);
    MPI_Comm_size(comm, &s->size);
    if (!saveplan_open(&s->plan, comm, p, n, e) || !share_layout(s, p, n, e)) {
        saver_close(s);
        return NULL;
    }
    const int64_t mine = s->rank ? tensors_share(blocks_of(s), s->rank + 1, s->size) - tensors_share(blocks_of(s), s->rank, s->size) : blocks_of(s);
    s->block = calloc((size_t)mine + 1, sizeof *s->block);
    CHECK(s->block, "no memory for %" PRId64 " hashes", mine);
    s->stage = memory(staged(s), "a checkpoint's copy");
    s->work = memory(s->plan.widest, "a tensor on its way to a checkpoint");
    return s;
}

void saver_close(Saver *s)
{
    ASSERT(s->phase == IDLE);
    saveplan_close(&s->plan);
    layout_close(&s->layout);
    free(s->block);
    free(s->stage);
    free(s->work);
    free(s);
}

bool ckpt_save(MPI_Comm comm, const char *dir, const CkptMeta *m, const Piece *p, int n, int keep, Err *e)
{
    Saver *s = saver_open(comm, dir, p, n, &(SaverConf){ .keep = keep }, e);
    const bool ok = s && saver_start(s, m, e) && saver_finish(s, e);
    if (s)
        saver_close(s);
    return ok;
}
