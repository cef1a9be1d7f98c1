#include "io/ckpt/ckpt.h"

#include "io/base/agree.h"
#include "io/base/files.h"
#include "io/base/log.h"
#include "io/ckpt/manifest.h"
#include "io/ckpt/ckptdir.h"
#include "io/ckpt/tensors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void (*ckpt_warn)(const char *message) = log_warn;
void (*ckpt_phase_hook)(int phase);
CkptFence ckpt_fence;

static bool may(Err *e) { return !ckpt_fence.may || ckpt_fence.may(ckpt_fence.ctx, e); }
static const char *tag(void) { return ckpt_fence.tag ? ckpt_fence.tag : ""; }

/* A save under way. */
typedef struct {
    MPI_Comm        comm;
    int             rank, size;
    const CkptMeta *meta;
    const Piece    *piece;
    int             pieces;
    const char     *dir;
    char            name[32];                           /* step-N */
    char            temp[PATH_ROOM], final[PATH_ROOM];  /* dir/.tmp-step-N, dir/step-N */
    char            file[PATH_ROOM];                    /* tensors.h5 in temp */
    CkptTensor     *tensor;                             /* the table, (pieces) */
    int64_t         bytes, blocks;                      /* of tensors.h5 */
    uint64_t       *block;                              /* its hashes, on rank 0 */
    uint64_t        sum;                                /* of what this rank wrote (tensors.h) */
} Save;

/* Ends a phase: every rank learns whether all did it. */
static bool phase_done(const Save *s, int phase, bool ok, Err *e)
{
    if (!err_agree(s->comm, ok, e))
        return false;
    if (ckpt_phase_hook)
        ckpt_phase_hook(phase);
    return true;
}

/* A problem that does not touch what is already safe. */
static void warn_of(const char *what, const Err *e)
{
    char text[1536];
    snprintf(text, sizeof text, "%s: %s (%s)", what, e->what, e->where);
    ckpt_warn(text);
}

static bool save_begin(Save *s, Err *e)
{
    snprintf(s->name, sizeof s->name, STEP_FORMAT, s->meta->step);
    if (!path_set(s->file, e, "%s/.tmp-%s%s%s/" TENSORS_NAME, s->dir, tag(), tag()[0] ? "-" : "", s->name) || !path_set(s->final, e, "%s/%s", s->dir, s->name) ||
        !path_set(s->temp, e, "%s/.tmp-%s%s%s", s->dir, tag(), tag()[0] ? "-" : "", s->name))
        return false;
    bool ok = s->rank || (dir_make(s->dir, e) && dir_remove(s->temp, e) && dir_make(s->temp, e));
    return phase_done(s, CKPT_MKDIR, ok, e);
}

/* Rank 0 creates the file and tells where each tensor lies. */
static bool save_layout(Save *s, Err *e)
{
    bool ok = true;
    s->tensor = calloc((size_t)s->pieces + 1, sizeof *s->tensor);
    CHECK(s->tensor, "no memory for a table of %d tensors", s->pieces);
    for (int i = 0; i < s->pieces; i++) {
        const Piece *p = &s->piece[i];
        s->tensor[i].dims = p->slice.dims;
        memcpy(s->tensor[i].size, p->slice.size, sizeof s->tensor[i].size);
        if (snprintf(s->tensor[i].name, CKPT_NAME, "%s", p->name) >= CKPT_NAME)
            ok = err_set(e, EXIT_INTERNAL, s->final, "", "the tensor's name is too long: %s", p->name);
    }
    if (s->rank == 0)
        ok = ok && tensors_layout(s->file, s->tensor, s->pieces, &s->bytes, &s->sum, e);
    if (!phase_done(s, CKPT_LAYOUT, ok, e))
        return false;
    MPI_Bcast(&s->bytes, 1, MPI_INT64_T, 0, s->comm);
    MPI_Bcast(s->tensor, s->pieces * (int)sizeof *s->tensor, MPI_BYTE, 0, s->comm);
    return true;
}

/* Each rank writes its slices and syncs: on a parallel file system each has a cache of its own. */
static bool save_tensors(Save *s, Err *e)
{
    int fd = open(s->file, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 || file_error(e, s->file, "open");
    for (int i = 0; ok && i < s->pieces; i++)
        if (s->piece[i].write)
            ok = tensors_write(fd, s->file, &s->tensor[i], &s->piece[i].slice, s->piece[i].data, &s->sum, e);
    ok = ok && (fsync(fd) == 0 || file_error(e, s->file, "fsync"));
    if (fd >= 0 && close(fd) && ok)
        ok = file_error(e, s->file, "close");
    return phase_done(s, CKPT_TENSORS, ok, e);
}

/* Whether the sum of what all ranks wrote is the sum of what they read back. */
static bool same_sum(const Save *s, uint64_t read, Err *e)
{
    uint64_t mine[2] = { s->sum, read }, all[2];
    MPI_Allreduce(mine, all, 2, MPI_UINT64_T, MPI_SUM, s->comm);
    return all[0] == all[1] || err_set(e, EXIT_IO, s->file, "the file system, or how several nodes share a file on it, is not to be trusted",
                                       "what lies on the disk is not what was written");
}

/* Each rank hashes its share of the file, rank 0 gathers. */
static bool save_hash(Save *s, Err *e)
{
    uint64_t sum = 0;
    s->blocks = ceil_div(s->bytes, HASH_BLOCK);
    int *count = calloc((size_t)s->size * 2, sizeof *count), *first = count + s->size;
    uint64_t *mine = calloc((size_t)s->blocks + 1, sizeof *mine);
    CHECK(count && mine, "no memory for %" PRId64 " hashes", s->blocks);
    for (int r = 0; r < s->size; r++) {
        first[r] = (int)tensors_share(s->blocks, r, s->size);
        count[r] = (int)tensors_share(s->blocks, r + 1, s->size) - first[r];
    }
    int fd = open(s->file, O_RDONLY | O_CLOEXEC);
    bool ok = (fd >= 0 || file_error(e, s->file, "open"))
           && tensors_hash(fd, s->file, s->bytes, first[s->rank], count[s->rank], mine, &sum, e);
    if (fd >= 0)
        close(fd);
    if (s->rank == 0) {
        s->block = calloc((size_t)s->blocks + 1, sizeof *s->block);
        CHECK(s->block, "no memory for %" PRId64 " hashes", s->blocks);
    }
    MPI_Gatherv(mine, count[s->rank], MPI_UINT64_T, s->block, count, first, MPI_UINT64_T, 0, s->comm);
    free(mine);
    free(count);
    if (err_agree(s->comm, ok, e))
        ok = same_sum(s, sum, e);
    else
        ok = false;
    return phase_done(s, CKPT_HASH, ok, e);
}

/* Rank 0: the table of tensors, sizes and hashes, durable inside the temporary folder. */
static bool write_manifest(const Save *s, Err *e)
{
    char path[PATH_ROOM];
    Manifest m = { .meta = *s->meta, .tensor = s->tensor, .tensors = s->pieces, .bytes = s->bytes, .blocks = s->blocks,
                   .block = s->block };
    bool ok = true;
    char *text = manifest_text(&m);
    if (!text)
        ok = err_set(e, EXIT_INTERNAL, s->final, "", "cannot write the manifest: a name is not UTF-8");
    ok = ok && path_set(path, e, "%s/" MANIFEST_NAME, s->temp) && file_replace(path, text, strlen(text), e);
    free(text);
    return ok;
}

/* Rank 0: temp becomes final.  If this step was saved before, the two change places in one instant; where the file
   system cannot do that, the old one steps aside first under a name that ckpt_clean puts back. */
static bool publish(const Save *s, Err *e)
{
    if (access(s->final, F_OK))
        return file_commit(s->temp, s->final, e);
    if (renameat2(AT_FDCWD, s->temp, AT_FDCWD, s->final, RENAME_EXCHANGE) == 0)
        return file_sync(s->dir, e);
    char aside[PATH_ROOM];
    Err left = {0};
    if (!path_set(aside, e, "%s/.tmp-old-%s", s->dir, s->name) || !dir_remove(aside, e))
        return false;
    if (!file_commit(s->final, aside, e) || !file_commit(s->temp, s->final, e)) {
        file_commit(aside, s->final, &left);
        return false;
    }
    if (!dir_remove(aside, &left))
        warn_of("cannot remove the older checkpoint of this step", &left);
    return true;
}

static bool save_commit(const Save *s, Err *e)
{
    if (!phase_done(s, CKPT_MANIFEST, s->rank || write_manifest(s, e), e))
        return false;
    return phase_done(s, CKPT_RENAME, s->rank || (may(e) && publish(s, e)), e);
}

/* ---- what comes after the commit, on rank 0: its failures are warnings ---- */

static void write_latest(const Save *s)
{
    char path[PATH_ROOM], text[40];
    Err e = {0};
    int n = snprintf(text, sizeof text, "%s\n", s->name);
    if (!path_set(path, &e, "%s/latest", s->dir) || !file_replace(path, text, (size_t)n, &e))
        warn_of("the checkpoint is saved, but the file `latest` is not", &e);
}

/* Whether the checkpoint has a manifest that is whole and a file of the right size: enough to count it, since the one
   just written was read back to the last byte. */
static bool looks_valid(const char *path)
{
    char file[PATH_ROOM], *text = NULL;
    size_t n;
    Err e = {0};
    Manifest m = {0};
    struct stat st;
    bool ok = path_set(file, &e, "%s/" MANIFEST_NAME, path) && file_read(file, MANIFEST_MAX, &text, &n, &e) &&
              manifest_parse(&m, text, n, file, &e);
    ok = ok && path_set(file, &e, "%s/" TENSORS_NAME, path) && stat(file, &st) == 0 && st.st_size == m.bytes;
    free(text);
    manifest_free(&m);
    return ok;
}

/* Deletes a checkpoint: out of sight in one instant, then file by file, so that what has a manifest is whole. */
static bool delete_step(const char *dir, int64_t step, Err *e)
{
    char path[PATH_ROOM], gone[PATH_ROOM];
    return path_set(path, e, "%s/" STEP_FORMAT, dir, step) && path_set(gone, e, "%s/.tmp-gone-" STEP_FORMAT, dir, step) &&
           dir_remove(gone, e) && file_commit(path, gone, e) && dir_remove(gone, e);
}

/* Deletes what is older than the `keep` newest valid ones up to this step. */
static void prune(const Save *s, int keep)
{
    int64_t *step;
    int n, valid = 0;
    char path[PATH_ROOM];
    Err e = {0};
    if (keep <= 0)
        return;
    bool ok = ckptdir_list(s->dir, &step, &n, &e);
    for (int i = 0; ok && i < n; i++) {
        if (step[i] > s->meta->step)
            continue;
        if (valid >= keep)
            ok = delete_step(s->dir, step[i], &e);
        else if ((ok = path_set(path, &e, "%s/" STEP_FORMAT, s->dir, step[i])))
            valid += looks_valid(path);
    }
    free(step);
    if (!ok)
        warn_of("cannot remove old checkpoints", &e);
}

bool ckpt_save(MPI_Comm comm, const char *dir, const CkptMeta *m, const Piece *p, int n, int keep, Err *e)
{
    Save *s = calloc(1, sizeof *s);
    CHECK(s, "no memory for %zu bytes", sizeof *s);
    s->comm = comm, s->meta = m, s->piece = p, s->pieces = n, s->dir = dir;
    MPI_Comm_rank(comm, &s->rank);
    MPI_Comm_size(comm, &s->size);
    bool ok = save_begin(s, e) && save_layout(s, e) && save_tensors(s, e) && save_hash(s, e) && save_commit(s, e);
    Err left = {0};
    /* After a failure: what was half written.  After an exchange: the older checkpoint of the same step. */
    if (s->rank == 0 && s->temp[0] && !dir_remove(s->temp, &left))
        warn_of("cannot remove a temporary folder", &left);
    if (ok && s->rank == 0 && may(&left))
        write_latest(s);
    ok = ok && phase_done(s, CKPT_LATEST, true, e);
    if (ok && s->rank == 0 && may(&left))
        prune(s, keep);
    ok = ok && phase_done(s, CKPT_PRUNE, true, e);
    free(s->tensor);
    free(s->block);
    free(s);
    return ok;
}

void ckpt_clean(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return;
    char path[PATH_ROOM], home[PATH_ROOM];
    const struct dirent *entry;
    while ((entry = readdir(d))) {
        Err e = {0}, taken = {0};
        if (strncmp(entry->d_name, ".tmp-", 5))
            continue;
        bool old = !strncmp(entry->d_name, ".tmp-old-", 9);
        bool ok = path_set(home, &e, "%s/%s", dir, entry->d_name + (old ? 9 : 0)) && path_set(path, &e, "%s/%s", dir, entry->d_name);
        if (ok && old && file_commit(path, home, &taken))
            continue;
        /* Out of sight in one instant: who still means to rename it gets all of it or nothing. */
        ok = ok && path_set(home, &e, "%s/.tmp-gone%s", dir, tag());
        if (!ok || (file_commit(path, home, &taken) ? !dir_remove(home, &e) : !dir_remove(path, &e)))
            warn_of("cannot remove what a dead job left", &e);
    }
    closedir(d);
}
