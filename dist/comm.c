#include "dist/comm.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* MPI counts are int, so long messages go in pieces.  Sums go in shorter ones than they must: on two ranks that share
   memory 64 MB take 30 ms as a whole and 12 ms in pieces of 1 to 8 MB, which stay in cache. */
enum { BCAST_PIECE = 1 << 30 /* bytes */, REDUCE_PIECE = 1 << 20, EXCHANGE_PIECE = 1 << 28 /* elements */ };

/* Open MPI sums in place, without blocking, by a binomial tree and a broadcast.  Rabenseifner's reduce-scatter and
   all-gather moves less: 94 MB in buckets of 2 MB take 23 to 26 ms instead of 37 on 2 ranks, 81 instead of 140 on 4. */
void comm_environment(void)
{
    CHECK(setenv("OMPI_MCA_coll_libnbc_iallreduce_algorithm", "3", 0) == 0, "no memory for the environment");
}

static void check(int rc, const char *call)
{
    if (rc == MPI_SUCCESS)
        return;
    char text[MPI_MAX_ERROR_STRING] = "";
    MPI_Error_string(rc, text, &(int){0});
    CHECK(0, "%s: %s", call, text);
}

int comm_rank(MPI_Comm comm)
{
    int rank;
    check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
    return rank;
}

int comm_size(MPI_Comm comm)
{
    int size;
    check(MPI_Comm_size(comm, &size), "MPI_Comm_size");
    return size;
}

void comm_barrier(MPI_Comm comm) { check(MPI_Barrier(comm), "MPI_Barrier"); }

static void reduce(MPI_Comm comm, void *x, int64_t n, MPI_Datatype type, size_t elem, MPI_Op how)
{
    for (char *p = x; n > 0; n -= REDUCE_PIECE, p += REDUCE_PIECE * elem)
        check(MPI_Allreduce(MPI_IN_PLACE, p, (int)min64(n, REDUCE_PIECE), type, how, comm), "MPI_Allreduce");
}

void comm_sum_f32(MPI_Comm comm, float *x, int64_t n) { reduce(comm, x, n, MPI_FLOAT, sizeof *x, MPI_SUM); }
void comm_sum_f64(MPI_Comm comm, double *x, int64_t n) { reduce(comm, x, n, MPI_DOUBLE, sizeof *x, MPI_SUM); }
void comm_max_f32(MPI_Comm comm, float *x, int64_t n) { reduce(comm, x, n, MPI_FLOAT, sizeof *x, MPI_MAX); }
void comm_max_f64(MPI_Comm comm, double *x, int64_t n) { reduce(comm, x, n, MPI_DOUBLE, sizeof *x, MPI_MAX); }

void comm_bcast(MPI_Comm comm, void *x, size_t bytes, int root)
{
    int64_t n = (int64_t)bytes;
    for (char *p = x; n > 0; n -= BCAST_PIECE, p += BCAST_PIECE)
        check(MPI_Bcast(p, (int)min64(n, BCAST_PIECE), MPI_BYTE, root, comm), "MPI_Bcast");
}

void comm_sum_start(MPI_Comm comm, float *x, int n, MPI_Request *r)
{
    check(MPI_Iallreduce(MPI_IN_PLACE, x, n, MPI_FLOAT, MPI_SUM, comm, r), "MPI_Iallreduce");
}

bool comm_test(MPI_Request *r)
{
    int done;
    check(MPI_Test(r, &done, MPI_STATUS_IGNORE), "MPI_Test");
    return done;
}

void comm_wait(MPI_Request *r) { check(MPI_Wait(r, MPI_STATUS_IGNORE), "MPI_Wait"); }

int comm_agree(MPI_Comm comm, int code)
{
    check(MPI_Allreduce(MPI_IN_PLACE, &code, 1, MPI_INT, MPI_MAX, comm), "MPI_Allreduce");
    return code;
}

void comm_same(MPI_Comm comm, const char *what, uint64_t value)
{
    uint64_t first = value, other = value;
    comm_bcast(comm, &first, sizeof first, 0);
    /* The lowest rank that differs from rank 0 claims the largest code. */
    int claim = comm_agree(comm, value == first ? 0 : INT_MAX - comm_rank(comm));
    if (claim == 0)
        return;
    int odd = INT_MAX - claim;
    double agree = value == first;
    comm_bcast(comm, &other, sizeof other, odd);
    comm_sum_f64(comm, &agree, 1);
    CHECK(0, "%s is not the same on all ranks: rank 0 has %llu, rank %d has %llu (%d of %d have what rank 0 has)", what,
          (unsigned long long)first, odd, (unsigned long long)other, (int)agree, comm_size(comm));
}

/* MPI's default is to abort by itself, before the wrappers could say where. */
static MPI_Comm ours(MPI_Comm comm)
{
    check(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
    return comm;
}

MPI_Comm comm_split(MPI_Comm comm, int color, int key)
{
    MPI_Comm part;
    check(MPI_Comm_split(comm, color, key, &part), "MPI_Comm_split");
    return ours(part);
}

MPI_Comm comm_split_node(MPI_Comm comm)
{
    MPI_Comm node;
    int rc = MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, comm_rank(comm), MPI_INFO_NULL, &node);
    check(rc, "MPI_Comm_split_type");
    return ours(node);
}

void comm_free(MPI_Comm *comm) { check(MPI_Comm_free(comm), "MPI_Comm_free"); }

/* The share of one pair.  Both ends count the same pieces, so a receive waits for a send that comes. */
static void swap(MPI_Comm comm, float *in, int64_t nin, int from, const float *out, int64_t nout, int to)
{
    for (int64_t at = 0; at < nin || at < nout; at += EXCHANGE_PIECE) {
        const int get = (int)max64(0, min64(nin - at, EXCHANGE_PIECE)), put = (int)max64(0, min64(nout - at, EXCHANGE_PIECE));
        check(MPI_Sendrecv(put ? out + at : NULL, put, MPI_FLOAT, put ? to : MPI_PROC_NULL, 0,
                           get ? in + at : NULL, get, MPI_FLOAT, get ? from : MPI_PROC_NULL, 0, comm, MPI_STATUS_IGNORE),
              "MPI_Sendrecv");
    }
}

static int64_t before(const int64_t *n, int rank)
{
    int64_t sum = 0;
    for (int r = 0; r < rank; r++)
        sum += n[r];
    return sum;
}

/* Not MPI_Alltoallv: its displacements are int.  In round k each rank sends to the k-th after it. */
void comm_exchange_f32(MPI_Comm comm, float *in, const int64_t *nin, const float *out, const int64_t *nout)
{
    const int rank = comm_rank(comm), size = comm_size(comm);
    if (nout[rank] > 0)
        memcpy(in + before(nin, rank), out + before(nout, rank), (size_t)nout[rank] * sizeof *out);
    for (int k = 1; k < size; k++) {
        const int to = (rank + k) % size, from = (rank + size - k) % size;
        swap(comm, in + before(nin, from), nin[from], from, out + before(nout, to), nout[to], to);
    }
}
