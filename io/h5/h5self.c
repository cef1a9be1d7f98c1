#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/h5/h5.h"

enum { ROWS = 96, COLS = 320, NB = 8 };          /* stripes of 8 rows or columns, dealt to the ranks in turn */

static const char HINT[] = "set OMPI_MCA_io=^ompio before the launcher starts the ranks; or OMPI_MCA_fcoll=two_phase";

static int32_t value_at(int64_t row, int64_t col)
{
    return (int32_t)(row * COLS + col) * 40503;
}

static Slice dealt(int dim, int rank, int ranks)
{
    Slice s = slice_whole(2, (int64_t[]){ ROWS, COLS });
    int64_t stripes = s.size[dim] / NB;
    s.start[dim] = min64(rank, stripes) * NB;
    s.stride[dim] = (int64_t)ranks * NB;
    s.block[dim] = NB;
    s.count[dim] = rank < stripes ? ceil_div(stripes - rank, ranks) : 0;
    return s;
}

static int32_t *at(const Slice *s, int32_t *x, int64_t row, int64_t col)
{
    return x + row * slice_extent(s, 1) + col;
}

static int64_t global(const Slice *s, int dim, int64_t i)
{
    return s->start[dim] + i / s->block[dim] * s->stride[dim] + i % s->block[dim];
}

static void fill(const Slice *s, int32_t *x)
{
    for (int64_t i = 0; i < slice_extent(s, 0); i++)
        for (int64_t j = 0; j < slice_extent(s, 1); j++)
            *at(s, x, i, j) = value_at(global(s, 0, i), global(s, 1, j));
}

/* ---- MPI-IO without HDF5, which may hang for ever over metadata that were not kept ---- */

static bool write_plain(MPI_Comm comm, const char *path, int32_t *x, Err *e)
{
    int rank, ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    const Slice s = dealt(0, rank, ranks);
    MPI_Datatype stripes;
    MPI_File f;
    fill(&s, x);
    bool ok = MPI_File_open(comm, path, MPI_MODE_CREATE | MPI_MODE_WRONLY, MPI_INFO_NULL, &f) == MPI_SUCCESS ||
              err_set(e, EXIT_IO, path, "is the file system full, or the folder not ours to write?", "MPI-IO cannot make a file");
    if (!err_agree(comm, ok, e))
        return false;
    MPI_Type_vector((int)max64(1, s.count[0]), NB * COLS, NB * COLS * ranks, MPI_INT32_T, &stripes);
    MPI_Type_commit(&stripes);
    ok = MPI_File_set_view(f, (MPI_Offset)rank * NB * COLS * (MPI_Offset)sizeof *x, MPI_INT32_T, stripes, "native", MPI_INFO_NULL) == MPI_SUCCESS &&
         MPI_File_write_at_all(f, 0, x, (int)slice_total(&s), MPI_INT32_T, MPI_STATUS_IGNORE) == MPI_SUCCESS;
    ok = MPI_File_close(&f) == MPI_SUCCESS && ok;
    MPI_Type_free(&stripes);
    return err_agree(comm, ok || err_set(e, EXIT_IO, path, "is the file system full?", "MPI-IO cannot write"), e);
}

/* By the first rank, as everybody else reads files. */
static bool read_plain(MPI_Comm comm, const char *path, int32_t *x, Err *e)
{
    int rank;
    MPI_Comm_rank(comm, &rank);
    const int fd = rank ? -1 : file_open(path, O_RDONLY);
    const int64_t bytes = ROWS * COLS * (int64_t)sizeof *x;
    bool ok = rank || (fd >= 0 && file_pread(fd, x, bytes, 0) == bytes);
    for (int64_t i = 0; rank == 0 && ok && i < ROWS * COLS; i++)
        if (!(ok = x[i] == value_at(i / COLS, i % COLS))) {
            err_expected(e, "%d at byte %lld", value_at(i / COLS, i % COLS), (long long)i * (long long)sizeof *x);
            err_got(e, "%d", x[i]);
        }
    if (fd >= 0)
        close(fd);
    return err_agree(comm, ok || err_set(e, EXIT_IO, path, HINT, "MPI-IO does not write what it is given"), e);
}

/* ---- HDF5 ---- */

static const struct { const char *name; int dim, level; } pass[] = { { "packed", 0, 1 }, { "plain", 1, 0 } };

void (*h5_selftest_hook)(const char *path);

/* Writes by rows (packed) and by columns (plain). */
static bool write_all(MPI_Comm comm, const char *path, int32_t *x, Err *e)
{
    int rank, ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    H5 *h = h5_create(comm, path, e);
    bool ok = h != NULL;
    for (int p = 0; p < 2 && ok; p++) {
        Slice s = dealt(pass[p].dim, rank, ranks);
        fill(&s, x);
        ok = h5_write(h, pass[p].name, H5_I32, &s, x, pass[p].level ? (int64_t[]){ 36, COLS } : NULL, pass[p].level, e);
    }
    return h && h5_close(h, e) && ok;
}

/* What rank `rank` of `ranks` reads, each the other way than it was written.  Local in what it says. */
static bool read_one(H5 *h, int p, int rank, int ranks, int32_t *x, Err *e)
{
    Slice s = dealt(1 - pass[p].dim, rank, ranks);
    if (!h5_read(h, pass[p].name, H5_I32, &s, x, e))
        return false;
    for (int64_t i = 0; i < slice_extent(&s, 0); i++)
        for (int64_t j = 0; j < slice_extent(&s, 1); j++)
            if (*at(&s, x, i, j) != value_at(global(&s, 0, i), global(&s, 1, j))) {
                err_expected(e, "%d in row %lld, column %lld", value_at(global(&s, 0, i), global(&s, 1, j)), (long long)global(&s, 0, i),
                             (long long)global(&s, 1, j));
                err_got(e, "%d", *at(&s, x, i, j));
                return false;
            }
    return true;
}

/* By the first rank alone, as training reads shards, then by all together: what is broken may let a collective call hang. */
static bool read_all(MPI_Comm comm, const char *path, int32_t *x, Err *e)
{
    int rank, ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    for (int alone = 1; alone >= 0; alone--) {
        H5 *h = alone && rank ? NULL : h5_open(alone ? MPI_COMM_NULL : comm, path, e);
        bool ok = h || (alone && rank);
        for (int p = 0; p < 2 && h; p++)
            ok = ok && read_one(h, p, alone ? 0 : rank, alone ? 1 : ranks, x, e);
        ok = (!h || h5_close(h, e)) && ok;
        if (e->code) {                  /* a file that cannot be read at all */
            const Err was = *e;
            *e = (Err){ 0 };
            err_got(e, "%s%s%s", was.what, was.got[0] ? ": " : "", was.got);
        }
        if (!ok)
            err_set(e, EXIT_IO, path, HINT, "MPI-IO does not read back what it wrote");
        if (!err_agree(comm, ok, e))
            return false;
    }
    return true;
}

bool h5_selftest(MPI_Comm comm, const char *dir, Err *e)
{
    char path[PATH_ROOM];
    int rank, pid = (int)getpid();
    MPI_Comm_rank(comm, &rank);
    MPI_Bcast(&pid, 1, MPI_INT, 0, comm);
    if (!path_set(path, e, "%s/.h5-selftest-%d.h5", dir, pid))
        return false;
    int32_t *x = malloc(sizeof *x * ROWS * COLS);
    CHECK(x, "no memory for the self-test");
    bool ok = write_plain(comm, path, x, e) && read_plain(comm, path, x, e) && write_all(comm, path, x, e);
    if (ok && h5_selftest_hook)
        h5_selftest_hook(path);
    ok = ok && read_all(comm, path, x, e);
    free(x);
    MPI_Barrier(comm);
    if (rank == 0)
        unlink(path);
    return ok;
}
