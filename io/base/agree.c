#include "io/base/agree.h"

#include <limits.h>

void (*agree_waits)(MPI_Comm comm, bool begins);

static void waits(MPI_Comm comm, bool begins)
{
    if (agree_waits)
        agree_waits(comm, begins);
}

bool err_agree(MPI_Comm comm, bool ok, Err *e)
{
    if (comm == MPI_COMM_NULL)
        return ok;
    int rank, first, mine;
    MPI_Comm_rank(comm, &rank);
    mine = ok ? INT_MAX : rank;
    waits(comm, true);
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, comm);
    if (first != INT_MAX)
        MPI_Bcast(e, sizeof *e, MPI_BYTE, first, comm);
    waits(comm, false);
    return first == INT_MAX;
}
