#include "io/h5/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/h5/h5inside.h"
#include "io/h5/zfilter.h"

/* ---- errors ---- */

/* Why HDF5's last call failed.  Any further call wipes its error stack, so it is noted when it happens. */
static char reason[sizeof((Err *)0)->got];

static herr_t innermost(unsigned n, const H5E_error2_t *error, void *unused)
{
    (void)n, (void)unused;
    snprintf(reason, sizeof reason, "HDF5: %s", error->desc ? error->desc : "no reason given");
    return 1;                           /* stops the walk, which starts where the error arose */
}

static herr_t note(hid_t stack, void *unused)
{
    H5Ewalk2(stack, H5E_WALK_UPWARD, innermost, unused);
    return 0;
}

bool h5_fail(const H5 *h, Err *e, int code, const char *name, const char *what)
{
    if (reason[0])
        err_got(e, "%s", reason);
    reason[0] = 0;
    const char *hint = code == EXIT_IO ? "is the file system full, or the file not ours to write?" : "";
    if (name[0])
        return err_set(e, code, h->path, hint, "\"%s\" %s", name, what);
    return err_set(e, code, h->path, hint, "the file %s", what);
}

/* ---- files ---- */

void h5_environment(void)
{
    if (!getenv("OMPI_MCA_fcoll"))
        setenv("OMPI_MCA_io", "^ompio", 0);
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
    H5dont_atexit();
    CHECK(H5open() >= 0, "HDF5 does not start");
}

/*
 * DESIGN: parallel HDF5 does not survive a failing write
 *
 * When a write fails on one rank (ENOSPC, EDQUOT, EIO), the others wait for it in that call, in the next flush, in the
 * close, or in MPI_Finalize, for ever.  So
 *   - space is reserved before HDF5 needs it, where the failure is ours and can be agreed;
 *   - data and metadata are written collectively, with collective buffering: it tells all ranks about a failure;
 *   - a file with a failed write is abandoned: cut to zero bytes, its handle never closed.  HDF5 is started before
 *     MPI and without an exit handler (h5_environment), so that it does not try to close it in MPI_Finalize.
 */
enum { METADATA = 1 << 20, PER_SET = 64 << 10 };        /* bytes of HDF5's own, at most, in sane files */

bool h5_reserve(H5 *h, const char *name, int64_t bytes, Err *e)
{
    int rank = 0;
    h->end += bytes + bytes / 64 + PER_SET;
    if (h->comm != MPI_COMM_NULL)
        MPI_Comm_rank(h->comm, &rank);
    if (rank > 0)
        return true;
    int fd = file_open(h->path, O_WRONLY);
    const bool ok = fd >= 0 ? file_reserve(fd, h->path, h->end, e) : file_error(e, h->path, "open");
    if (!ok)
        err_got(e, "no room for %s", name[0] ? name : "its metadata");
    if (fd >= 0)
        close(fd);
    return ok;
}

bool h5_wrote(H5 *h, bool ok, Err *e)
{
    ok = err_agree(h->comm, ok, e);
    h->broken |= !ok;
    return ok;
}

/* See DESIGN.  The handle stays open, so the blocks must be given back. */
static void abandon(const H5 *h)
{
    if (h->created && h->file >= 0 && truncate(h->path, 0))
        return;                         /* nothing more can be done for this file */
}

static H5 *opened(MPI_Comm comm, const char *path, bool create, Err *e)
{
    H5 *h = calloc(1, sizeof *h);
    CHECK(h, "no memory for a file handle");
    CHECK(H5open() >= 0, "HDF5 does not start");
    H5Eset_auto2(H5E_DEFAULT, note, NULL);
    zfilter_register();
    snprintf(h->path, sizeof h->path, "%s", path);
    h->comm = comm;
    h->created = create;
    hid_t how = H5Pcreate(H5P_FILE_ACCESS);
    CHECK(how >= 0, "HDF5: no file access properties");
    if (comm != MPI_COMM_NULL) {
        MPI_Info info;
        MPI_Info_create(&info);
        MPI_Info_set(info, "romio_cb_write", "enable");
        CHECK(H5Pset_fapl_mpio(how, comm, info) >= 0 && H5Pset_coll_metadata_write(how, true) >= 0,
              "HDF5 does not take the communicator");
        MPI_Info_free(&info);
    }
    CHECK(H5Pset_libver_bounds(how, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0, "HDF5 1.10 or newer is needed");
    hid_t plain = H5Pcreate(H5P_FILE_CREATE);
    CHECK(plain >= 0 && H5Pset_obj_track_times(plain, false) >= 0, "HDF5: no file creation properties");
    h->file = create ? H5Fcreate(path, H5F_ACC_TRUNC, plain, how) : H5Fopen(path, H5F_ACC_RDONLY, how);
    bool ok = h->file >= 0;
    if (!ok && create)
        h5_fail(h, e, EXIT_IO, "", "cannot be created");
    else if (!ok)
        h5_fail(h, e, access(path, R_OK) ? EXIT_IO : EXIT_DATA, "", "cannot be opened as HDF5");
    H5Pclose(plain);
    H5Pclose(how);
    ok = err_agree(comm, ok, e);
    h->end = METADATA;
    if (ok && create)
        h5_wrote(h, h5_reserve(h, "", 0, e), e);
    if (ok && !h->broken)
        return h;
    abandon(h);
    free(h);
    return NULL;
}

H5 *h5_create(MPI_Comm comm, const char *path, Err *e)
{
    return opened(comm, path, true, e);
}

H5 *h5_open(MPI_Comm comm, const char *path, Err *e)
{
    return opened(comm, path, false, e);
}

bool h5_flush(H5 *h, Err *e)
{
    ASSERT(!h->broken);
    bool ok = H5Fflush(h->file, H5F_SCOPE_GLOBAL) >= 0 || h5_fail(h, e, EXIT_IO, "", "cannot be flushed");
    struct stat st;
    if (ok && h->created && stat(h->path, &st) == 0) {
        h->end = st.st_size + METADATA;         /* the flush has cut the file to its content */
        ok = h5_reserve(h, "", 0, e);
    }
    return h5_wrote(h, ok, e);
}

/* Every node holds dirty pages of its own, so every rank does this. */
static bool to_disk(const H5 *h, Err *e)
{
    int fd = file_open(h->path, O_RDONLY);
    bool ok = fd >= 0 && file_fsync(fd);
    if (!ok)
        err_set(e, EXIT_IO, h->path, "", "the file does not reach the disk: %m");
    if (fd >= 0)
        close(fd);
    return ok;
}

bool h5_close(H5 *h, Err *e)
{
    if (h->created && !h->broken)
        h5_wrote(h, H5Fflush(h->file, H5F_SCOPE_GLOBAL) >= 0 || h5_fail(h, e, EXIT_IO, "", "cannot be flushed"), e);
    if (!h->broken)
        h5_wrote(h, H5Fclose(h->file) >= 0 || h5_fail(h, e, EXIT_IO, "", "cannot be closed"), e);
    if (h->created && !h->broken)
        h5_wrote(h, to_disk(h, e), e);
    bool ok = !h->broken;
    if (!ok) {
        err_set(e, EXIT_IO, h->path, "", "the file was not written whole");
        abandon(h);
    }
    free(h);
    return ok;
}
