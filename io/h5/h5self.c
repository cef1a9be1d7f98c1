#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/h5/h5.h"

enum { ROWS = 96, COLS = 320, NB = 8 };          /* stripes of 8 rows or columns, dealt to the ranks in turn */

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
        for (int64_t i = 0; i < slice_extent(&s, 0); i++)
            for (int64_t j = 0; j < slice_extent(&s, 1); j++)
                *at(&s, x, i, j) = value_at(global(&s, 0, i), global(&s, 1, j));
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

/* By all ranks together, and by the first of them alone, as training reads shards. */
static bool read_all(MPI_Comm comm, const char *path, int32_t *x, Err *e)
{
    int rank, ranks;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &ranks);
    for (int alone = 0; alone < 2; alone++) {
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
            err_set(e, EXIT_IO, path, "set OMPI_MCA_io=^ompio before the launcher starts the ranks; or OMPI_MCA_fcoll=two_phase",
                    "MPI-IO does not read back what it wrote");
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
    bool ok = write_all(comm, path, x, e);
    if (ok && h5_selftest_hook)
        h5_selftest_hook(path);
    ok = ok && read_all(comm, path, x, e);
    free(x);
    MPI_Barrier(comm);
    if (rank == 0)
        unlink(path);
    return ok;
}
