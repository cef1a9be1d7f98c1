#include "io/ckpt/ckpt.h"

#include "io/base/agree.h"
#include "io/base/files.h"
#include "io/ckpt/manifest.h"
#include "io/ckpt/ckptdir.h"
#include "io/ckpt/tensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Rank and size; one process without MPI where comm is MPI_COMM_NULL. */
static void who(MPI_Comm comm, int *rank, int *size)
{
    *rank = 0, *size = 1;
    if (comm != MPI_COMM_NULL) {
        MPI_Comm_rank(comm, rank);
        MPI_Comm_size(comm, size);
    }
}

static void bcast(MPI_Comm comm, void *x, size_t bytes)
{
    if (comm != MPI_COMM_NULL)
        MPI_Bcast(x, (int)bytes, MPI_BYTE, 0, comm);
}

/* Whether this rank's share of tensors.h5 is what the manifest says. */
static bool check_share(const char *file, const Manifest *m, int rank, int size, Err *e)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(e, EXIT_DATA, file, "", "the checkpoint has no " TENSORS_NAME);
    if (fd < 0)
        return file_error(e, file, "open");
    int64_t first = tensors_share(m->blocks, rank, size), n = tensors_share(m->blocks, rank + 1, size) - first;
    uint64_t *hash = calloc((size_t)n + 1, sizeof *hash);
    CHECK(hash, "no memory for %" PRId64 " hashes", n);
    struct stat st;
    bool ok = fstat(fd, &st) == 0 || file_error(e, file, "stat");
    if (ok && st.st_size != m->bytes) {
        err_expected(e, "%" PRId64 " bytes", m->bytes);
        err_got(e, "%lld bytes", (long long)st.st_size);
        ok = err_set(e, EXIT_DATA, file, "", "the file has not the size that the manifest says");
    }
    ok = ok && tensors_hash(fd, file, m->bytes, first, n, hash, NULL, e);
    for (int64_t b = 0; ok && b < n; b++)
        if (hash[b] != m->block[first + b]) {
            err_expected(e, "XXH64 0x%016" PRIx64, m->block[first + b]);
            err_got(e, "0x%016" PRIx64, hash[b]);
            ok = err_set(e, EXIT_DATA, file, "", "damaged between byte %" PRId64 " and %" PRId64, (first + b) * HASH_BLOCK,
                         min64((first + b + 1) * HASH_BLOCK, m->bytes));
        }
    free(hash);
    close(fd);
    return ok;
}

/* ---- reading ---- */

/* Rank 0 reads the manifest of the checkpoint at path, all parse it.  manifest_free in either case. */
static bool read_manifest(MPI_Comm comm, const char *path, Manifest *m, Err *e)
{
    int rank, size;
    who(comm, &rank, &size);
    *m = (Manifest){0};
    char file[PATH_ROOM], *text = NULL;
    size_t n = 0;
    if (!path_set(file, e, "%s/" MANIFEST_NAME, path))
        return false;
    bool ok = true;
    if (rank == 0 && access(file, F_OK) && (errno == ENOENT || errno == ENOTDIR))
        ok = err_set(e, EXIT_DATA, path, "", "it has no manifest: not a checkpoint, or one never finished");
    else if (rank == 0)
        ok = file_read(file, MANIFEST_MAX, &text, &n, e);
    if (err_agree(comm, ok, e)) {
        bcast(comm, &n, sizeof n);
        if (rank)
            text = malloc(n + 1);
        CHECK(text, "no memory for a manifest of %zu bytes", n);
        bcast(comm, text, n);
        ok = manifest_parse(m, text, n, file, e);
    } else {
        ok = false;
    }
    free(text);
    return ok;
}

/* The checkpoint that this process validated last: loading it needs no second pass over the file. */
static struct { char path[PATH_ROOM]; uint64_t hash; } validated;

/* Manifest and every byte; the same verdict on all ranks.  manifest_free in either case. */
static bool validate(MPI_Comm comm, const char *path, Manifest *m, Err *e)
{
    int rank, size;
    char file[PATH_ROOM];
    who(comm, &rank, &size);
    if (!read_manifest(comm, path, m, e) || !path_set(file, e, "%s/" TENSORS_NAME, path))
        return false;
    bool ok = err_agree(comm, check_share(file, m, rank, size, e), e);
    validated.hash = ok ? m->hash : 0;
    snprintf(validated.path, sizeof validated.path, "%s", ok ? path : "");
    return ok;
}

bool ckpt_open_meta(MPI_Comm comm, const char *path, CkptMeta *meta, Err *e)
{
    Manifest m;
    bool ok = validate(comm, path, &m, e);
    if (ok)
        *meta = m.meta;
    manifest_free(&m);
    return ok;
}

bool ckpt_verify(const char *path, CkptMeta *m, Err *e)
{
    return ckpt_open_meta(MPI_COMM_NULL, path, m, e);
}

bool ckpt_tensors(MPI_Comm comm, const char *path, CkptTensor **list, int *n, Err *e)
{
    Manifest m;
    bool ok = read_manifest(comm, path, &m, e);
    *list = ok ? m.tensor : NULL;
    *n = ok ? m.tensors : 0;
    if (ok)
        m.tensor = NULL;
    manifest_free(&m);
    return ok;
}

static const CkptTensor *find(const CkptTensor *list, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].name, name))
            return &list[i];
    return NULL;
}

bool ckpt_has(const CkptTensor *list, int n, const char *name)
{
    return find(list, n, name);
}

/* Whether every piece is in the checkpoint with its shape. */
static bool fits(const Manifest *m, const char *path, const Piece *p, int n, Err *e)
{
    const char *hint = "the configuration differs from the one that wrote this checkpoint";
    for (int i = 0; i < n; i++) {
        const char *name = strncmp(p[i].name, "weights/", 8) ? p[i].name : p[i].name + 8;
        const CkptTensor *t = find(m->tensor, m->tensors, p[i].name);
        const Slice *s = &p[i].slice;
        char has[SHAPE_TEXT], wants[SHAPE_TEXT];
        shape_text(wants, s->dims, s->size);
        if (!t)
            return err_set(e, EXIT_DATA, path, hint, "the checkpoint has no tensor \"%s\", the model wants one of %s", name, wants);
        if (t->dims != s->dims || memcmp(t->size, s->size, (size_t)s->dims * sizeof *s->size))
            return err_set(e, EXIT_DATA, path, hint, "tensor \"%s\" is %s, the model wants %s", name,
                           shape_text(has, t->dims, t->size), wants);
    }
    return true;
}

static bool read_pieces(const char *file, const Manifest *m, const Piece *p, int n, Err *e)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 || file_error(e, file, "open");
    for (int i = 0; ok && i < n; i++)
        ok = tensors_read(fd, file, find(m->tensor, m->tensors, p[i].name), &p[i].slice, p[i].data, e);
    if (fd >= 0)
        close(fd);
    return ok;
}

bool ckpt_load(MPI_Comm comm, const char *path, const Piece *p, int n, Err *e)
{
    Manifest m;
    char file[PATH_ROOM];
    bool ok = read_manifest(comm, path, &m, e);
    if (ok && err_agree(comm, m.hash == validated.hash && !strcmp(path, validated.path), &(Err){0}) == false) {
        manifest_free(&m);
        ok = validate(comm, path, &m, e);
    }
    ok = ok && err_agree(comm, path_set(file, e, "%s/" TENSORS_NAME, path) && fits(&m, path, p, n, e), e);
    if (ok)
        ok = err_agree(comm, read_pieces(file, &m, p, n, e), e);
    manifest_free(&m);
    return ok;
}

/* ---- choosing ---- */

/* Rank 0 lists dir's steps, all get them; freed by the caller. */
static bool list_steps(MPI_Comm comm, const char *dir, int64_t **step, int *n, Err *e)
{
    int rank, size;
    who(comm, &rank, &size);
    *step = NULL, *n = 0;
    bool ok = rank || ckptdir_list(dir, step, n, e);
    if (ok && rank == 0 && *n == 0) {
        char latest[PATH_ROOM];
        ok = path_set(latest, e, "%s/latest", dir);
        if (ok && access(latest, F_OK) == 0)
            ok = err_set(e, EXIT_IO, dir, "put them back, or begin anew from step 0 with run.fresh = true",
                         "no checkpoint left: `latest` names one, but there is none");
    }
    if (!err_agree(comm, ok, e)) {
        free(*step);
        *step = NULL;
        return false;
    }
    bcast(comm, n, sizeof *n);
    if (*n == 0)
        return true;
    if (rank)
        *step = calloc((size_t)*n + 1, sizeof **step);
    CHECK(*step, "no memory for a list of %d checkpoints", *n);
    bcast(comm, *step, (size_t)*n * sizeof **step);
    return true;
}

/* Whether the checkpoint of this step is whole, and is of this step. */
static bool try_step(MPI_Comm comm, const char *path, int64_t step, CkptMeta *meta, bool *newer, Err *e)
{
    Manifest m;
    bool ok = validate(comm, path, &m, e);
    *newer = m.newer;
    if (ok && m.meta.step != step)
        ok = err_set(e, EXIT_DATA, path, "", "its manifest is of step %" PRId64, m.meta.step);
    if (ok)
        *meta = m.meta;
    manifest_free(&m);
    return ok;
}

/* Warns of a checkpoint passed over and adds it to the list of them. */
static void pass_over(const char *path, const Err *why, char *list, size_t cap)
{
    char text[2048];
    const char *name = strrchr(path, '/');
    size_t n = strlen(list);
    if (n + 2 < cap)
        snprintf(list + n, cap - n, "%s%s (%.80s)", n ? ", " : "", name ? name + 1 : path, why->what);
    snprintf(text, sizeof text, "checkpoint %s is not valid and is passed over: %s%s%s%s%s", path, why->what,
             why->expected[0] ? "; expected " : "", why->expected, why->got[0] ? ", got " : "", why->got);
    ckpt_warn(text);
}

bool ckpt_newest(MPI_Comm comm, const char *dir, char path[], size_t cap, CkptMeta *m, Err *e)
{
    int rank, size, n;
    int64_t *step;
    who(comm, &rank, &size);
    path[0] = 0;
    if (!list_steps(comm, dir, &step, &n, e))
        return false;
    char bad[400] = "";
    bool ok = false, newer = false;
    for (int i = 0; i < n && !ok && !newer; i++) {
        Err why = {0};
        if (snprintf(path, cap, "%s/" STEP_FORMAT, dir, step[i]) >= (int)cap)
            err_set(&why, EXIT_IO, dir, "", "the path is too long");
        else
            ok = try_step(comm, path, step[i], m, &newer, &why);
        if (newer)
            *e = why;
        else if (!ok && rank == 0)
            pass_over(path, &why, bad, sizeof bad);
    }
    free(step);
    if (ok || n == 0)
        return true;
    path[0] = 0;
    bcast(comm, bad, sizeof bad);
    return newer ? false : err_set(e, EXIT_IO, dir, "to start from step 0, remove this folder",
                                   "no valid checkpoint left among %d: %s", n, bad);
}

/* ---- fingerprints, by manifests alone ---- */

static bool fingerprint_of(const char *path, uint64_t *out)
{
    Err e = { 0 };
    Manifest m = { 0 };
    char file[PATH_ROOM], *text = NULL;
    size_t n;
    const bool ok = path_set(file, &e, "%s/" MANIFEST_NAME, path) && file_read(file, MANIFEST_MAX, &text, &n, &e) &&
                    manifest_parse(&m, text, n, file, &e);
    *out = m.meta.fingerprint;
    manifest_free(&m);
    free(text);
    return ok;
}

int ckpt_fingerprints(const char *named, uint64_t *out, int cap)
{
    static const char *const BELOW[] = { "", "/ckpt" };
    int found = cap > 0 && fingerprint_of(named, out);
    for (size_t k = 0; k < sizeof BELOW / sizeof *BELOW && !found; k++) {
        Err e = { 0 };
        char dir[PATH_ROOM], path[PATH_ROOM];
        int64_t *step = NULL;
        int n = 0;
        if (!path_set(dir, &e, "%s%s", named, BELOW[k]) || !ckptdir_list(dir, &step, &n, &e))
            continue;
        for (int i = 0; i < n && found < cap; i++)
            found += path_set(path, &e, "%s/" STEP_FORMAT, dir, step[i]) && fingerprint_of(path, &out[found]);
        free(step);
    }
    return found;
}
