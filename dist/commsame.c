/* commsame.c -- what is made of the wrappers alone (comm.h) */
#include "dist/comm.h"

#include <limits.h>
#include <string.h>

/* Not MPI_Allgatherv: its counts and displacements are int. */
void comm_gather_bytes(MPI_Comm comm, void *all, const void *mine, const int64_t *bytes)
{
    char *at = all;
    for (int r = 0; r < comm_size(comm); at += bytes[r++]) {
        if (r == comm_rank(comm) && bytes[r] > 0)
            memcpy(at, mine, (size_t)bytes[r]);
        comm_bcast(comm, at, (size_t)bytes[r], r);
    }
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
