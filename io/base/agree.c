#include "io/base/agree.h"

#include <limits.h>

bool err_agree(MPI_Comm comm, bool ok, Err *e)
{
    if (comm == MPI_COMM_NULL)
        return ok;
    int rank, first, mine;
    MPI_Comm_rank(comm, &rank);
    mine = ok ? INT_MAX : rank;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, comm);
    if (first == INT_MAX)
        return true;
    MPI_Bcast(e, sizeof *e, MPI_BYTE, first, comm);
    return false;
}
