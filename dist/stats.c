#include "dist/stats.h"

#include "dist/comm.h"

enum { LOT = 32 };          /* values per message: nothing to allocate, and one lot is what a step has */

static void gather(MPI_Comm comm, const double *x, int n, Stat *out)
{
    int rank = comm_rank(comm), size = comm_size(comm);
    double sum[LOT], bound[2 * LOT], claim[LOT];
    for (int i = 0; i < n; i++) {
        sum[i] = bound[i] = x[i];
        bound[n + i] = -x[i];
    }
    comm_sum_f64(comm, sum, n);
    comm_max_f64(comm, bound, 2 * n);
    for (int i = 0; i < n; i++)
        claim[i] = x[i] < bound[i] ? -size : -rank;
    comm_max_f64(comm, claim, n);
    for (int i = 0; i < n; i++)
        out[i] = (Stat){ -bound[n + i], sum[i] / size, bound[i], (int)-claim[i] };
}

void stats_gather(MPI_Comm comm, const double *x, int n, Stat *out)
{
    for (int i = 0; i < n; i += LOT)
        gather(comm, x + i, n - i < LOT ? n - i : LOT, out + i);
}
