#include "launch/pack/records.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "core/rng.h"
#include "dist/comm.h"
#include "io/base/files.h"
#include "io/set/order.h"

static void *room(int64_t n, size_t elem)
{
    void *p = calloc((size_t)max64(n, 1), elem);
    CHECK(p, "no memory for %lld records", (long long)n);
    return p;
}

static bool agreed(MPI_Comm comm, const Err *e) { return comm_agree(comm, e->code) == 0; }

/* all (ranks) <- everybody's x */
static void gather(MPI_Comm comm, void *all, const void *x, size_t bytes)
{
    const int ranks = comm_size(comm);
    int64_t *each = room(ranks, sizeof *each);
    for (int r = 0; r < ranks; r++)
        each[r] = (int64_t)bytes;
    comm_gather_bytes(comm, all, x, each);
    free(each);
}

/* ---- finding ---- */

/* Where the first record begins of those that begin in this rank's slice. */
static bool first_of_slice(int64_t *first, Llava *l, int64_t from, int64_t to, MPI_Comm comm, Err *e)
{
    const int rank = comm_rank(comm), ranks = comm_size(comm);
    JsonSlice mine = { 0 }, *all = room(ranks, sizeof *all);
    const bool ok = rank == ranks - 1 || json_slice_read(&mine, llava_scan(l), from, to, e);      /* how the last one ends, nobody asks */
    gather(comm, all, &mine, sizeof mine);
    if (ok)
        json_slice_first(first, llava_scan(l), json_slice_state(all, rank), from, to, e);
    free(all);
    return agreed(comm, e);
}

/* Indexes [first, to) on each rank: so many of `all` (ranks) count (llava_parts_fit). */
static int index_parts(LlavaPart *all, LlavaIndex *mine, Llava *l, int64_t first, int64_t to, bool to_bad, MPI_Comm comm, Err *e)
{
    LlavaPart part;
    llava_index_slice(mine, &part, l, first, to, to_bad, e);
    gather(comm, all, &part, sizeof part);
    int fit = llava_parts_fit(all, comm_size(comm), llava_scan(l)->first);
    comm_bcast(comm, &fit, sizeof fit, 0);              /* where a rank sees another file, its own word would part it from the others */
    return fit;
}

static void gather_index(Records *x, const LlavaPart *part, int parts, const LlavaIndex *mine, MPI_Comm comm)
{
    const int ranks = comm_size(comm);
    int64_t *bytes = room(ranks, sizeof *bytes);
    for (int r = 0; r < parts; r++)
        x->n += bytes[r] = part[r].n;
    x->offset = room(x->n, sizeof *x->offset);
    x->kind   = room(x->n, sizeof *x->kind);
    comm_gather_bytes(comm, x->kind, mine->kind, bytes);
    for (int r = 0; r < parts; r++)
        bytes[r] *= (int64_t)sizeof *x->offset;
    comm_gather_bytes(comm, x->offset, mine->offset, bytes);
    free(bytes);
}

/* The record is read again, so that the error bears its number in the file. */
static void say_bad(const Records *x, Llava *l, Err *e)
{
    LlavaRecord r;
    llava_seek(l, x->offset[x->n - 1], x->n - 1);
    if (llava_next(l, &r, e) == 1)
        err_set(e, EXIT_DATA, llava_scan(l)->name, "", "record %lld changed while it was read", (long long)r.record);
}

bool records_find(Records *x, Llava *l, bool to_bad, MPI_Comm comm, Err *e)
{
    const int rank = comm_rank(comm), ranks = comm_size(comm);
    const int64_t start = llava_scan(l)->first;
    int64_t size = llava_scan(l)->size, first = -1;
    *x = (Records){ 0 };
    comm_bcast(comm, &size, sizeof size, 0);
    if (llava_scan(l)->size != size) {
        err_expected(e, "%lld bytes, which rank 0 sees", (long long)size);
        err_got(e, "%lld bytes on rank %d", (long long)llava_scan(l)->size, rank);
        err_set(e, EXIT_DATA, llava_scan(l)->name, "copy it to all nodes again, or read it from one place", "the ranks have opened different JSON files");
    }
    if (!agreed(comm, e))
        return false;
    const int64_t from = start + (size - start) * rank / ranks, to = start + (size - start) * (rank + 1) / ranks;
    if (!first_of_slice(&first, l, from, to, comm, e))
        return false;
    Err broken = { 0 };
    LlavaIndex mine = { 0 };
    LlavaPart *part = room(ranks, sizeof *part);
    int parts = index_parts(part, &mine, l, first, to, to_bad, comm, &broken);
    if (!parts) {                      /* something is wrong with the file: one rank says what */
        broken = (Err){ 0 };
        parts = index_parts(part, &mine, l, rank == 0 ? start : -1, size, to_bad, comm, &broken);
    }
    gather_index(x, part, parts, &mine, comm);
    if (!parts && rank == 0) {
        err_set(&broken, EXIT_DATA, llava_scan(l)->name, "", "the file changed while it was read");
        *e = broken;
    } else if (parts && part[parts - 1].bad && rank == 0) {
        say_bad(x, l, e);
    }
    llava_index_free(&mine);
    free(part);
    return agreed(comm, e);
}

bool records_hash(uint64_t *hash, Llava *l, MPI_Comm comm, Err *e)
{
    const int64_t block = 16 << 20, rank = comm_rank(comm), ranks = comm_size(comm);
    int64_t size = llava_scan(l)->size;
    comm_bcast(comm, &size, sizeof size, 0);
    const int64_t blocks = ceil_div(size, block);
    uint64_t *each = room(blocks, sizeof *each);
    uint8_t *bytes = room(block, 1);
    for (int64_t i = blocks * rank / ranks; i < blocks * (rank + 1) / ranks && !e->code; i++) {
        const int64_t n = min64(block, size - i * block);
        const int64_t got = file_pread(llava_scan(l)->fd, bytes, n, i * block);
        if (got == n)
            each[i] = XXH64(bytes, (size_t)n, 0);
        else if (got < 0)
            file_error(e, llava_scan(l)->name, "read the JSON file");
        else
            err_set(e, EXIT_DATA, llava_scan(l)->name, "", "the file became shorter while it was read");
    }
    comm_sum_u64(comm, each, blocks);
    *hash = XXH64(each, (size_t)blocks * sizeof *each, 0);
    free(bytes);
    free(each);
    return agreed(comm, e);
}

void records_free(Records *x)
{
    free(x->offset);
    free(x->kind);
    free(x->held);
    *x = (Records){ 0 };
}

/* ---- drawing ---- */

/* share[k] of `wanted` in proportion to count[k], by largest remainders; they sum to wanted <= the sum of count. */
static void shares(int64_t share[KINDS], const int64_t count[KINDS], int64_t wanted)
{
    int64_t all = 0, rest[KINDS], left = wanted;
    for (int k = 0; k < KINDS; k++)
        all += count[k];
    for (int k = 0; k < KINDS; k++) {
        share[k] = all ? wanted * count[k] / all : 0;
        rest[k]  = all ? wanted * count[k] % all : 0;
        left -= share[k];
    }
    for (; left > 0; left--) {
        int most = 0;
        for (int k = 1; k < KINDS; k++)
            most = rest[k] > rest[most] ? k : most;
        share[most]++;
        rest[most] = 0;
    }
}

void records_draw(Records *x, int64_t wanted, uint64_t seed)
{
    int64_t count[KINDS + 1] = { 0 }, share[KINDS];
    for (int64_t r = 0; r < x->n; r++)
        count[x->kind[r] & KIND_MASK]++;
    wanted = min64(wanted, (x->n - count[KIND_BAD]) / 2);
    shares(share, count, wanted);
    uint8_t *out = room(x->n, sizeof *out);
    int64_t *of = room(x->n, sizeof *of);
    for (int k = 0; k < KINDS; k++) {
        const uint64_t key = rng_bits(seed, rng_stream("pack.held"), (uint64_t)k);
        int64_t m = 0;
        for (int64_t r = 0; r < x->n; r++)
            if ((x->kind[r] & KIND_MASK) == k)
                of[m++] = r;
        for (int64_t i = 0; i < share[k]; i++)
            out[of[order_sample(m, key, i)]] = 1;
    }
    x->held = room(wanted, sizeof *x->held);
    for (int64_t r = 0; r < x->n; r++)
        if (out[r])
            x->held[x->n_held++] = r;
    free(of);
    free(out);
}

/* held[j] - j training records come before held[j]: those with at most i are passed over. */
int64_t records_training(const Records *x, int64_t i)
{
    int64_t low = 0, high = x->n_held;
    while (low < high) {
        const int64_t mid = (low + high) / 2;
        if (x->held[mid] - mid <= i)
            low = mid + 1;
        else
            high = mid;
    }
    return i + low;
}
