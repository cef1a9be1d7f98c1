#include "launch/guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <xxhash.h>

#include "dist/comm.h"
#include "io/base/hosts.h"

enum { SLICES = 256, LEAST = 16384 /* elements of a slice: small models are seen in fewer steps */ };

static uint64_t hash_of(const Run *r, int64_t from, int64_t to, uint64_t seed)
{
    return XXH64(r->model.weights + from, (size_t)(to - from) * sizeof(float), seed);
}

static uint64_t tensor_hash(const Run *r, int i)
{
    const Param *p = &r->model.table.p[i];
    return hash_of(r, p->offset, p->offset + p->count, 0);
}

void guard_open(Run *r)
{
    const Params *t = &r->model.table;
    r->guard.frozen = calloc((size_t)t->n, sizeof *r->guard.frozen);
    CHECK(r->guard.frozen, "no memory for %d hashes", t->n);
    for (int i = 0; i < t->n; i++)
        if (t->p[i].grad < 0)
            r->guard.frozen[i] = tensor_hash(r, i);
}

/* ---- copies ---- */

/* Of the tensors that c tensor-parallel ranks hold alike, what lies in [from, to). */
static uint64_t copies_hash(const Run *r, int c, int64_t from, int64_t to)
{
    const Params *t = &r->model.table;
    uint64_t sum = 0;
    for (int i = 0; i < t->n; i++) {
        const int64_t a = max64(from, t->p[i].offset), b = min64(to, t->p[i].offset + t->p[i].count);
        if (t->p[i].copies == c && a < b)
            sum = hash_of(r, a, b, sum);
    }
    return sum;
}

/* What the holder `k` of n adds for the low half of its hash: so many fit into the 53 bits of a double that it stays exact. */
static double term(uint64_t hash, int k, int n) { return (double)(hash & 0xffffffff) * (k ? 1 : 1 - n); }

/* This rank's part of the sum over [from, to). */
static double part_of(const Run *r, int64_t from, int64_t to)
{
    const Grid *g = &r->grid;
    double part = g->dp_size > 1 ? term(hash_of(r, from, to, 0), g->dp_rank, g->dp_size) : 0;
    for (int c = 2; c <= g->tp_size; c++)
        if (g->tp_size % c == 0)
            part += term(copies_hash(r, c, from, to), g->tp_rank % c, c);
    return part;
}

void guard_step(Run *r)
{
    const int64_t all = r->model.table.weights, size = max64(LEAST, ceil_div(all, SLICES));
    const int64_t from = r->step % ceil_div(all, size) * size;
    r->guard.part = part_of(r, from, min64(all, from + size));
}

double guard_part(const Run *r) { return r->guard.part; }

/* ---- who it is ---- */

/* In groups of n, the first that is not as most of its group are (of two the second); -1 where all are alike. */
static int odd_one(const uint64_t *hash, int all, int n)
{
    for (int first = 0; first < all; first += n) {
        int most = 0, common = first;
        for (int i = first; i < first + n; i++) {
            int same = 0;
            for (int k = first; k < first + n; k++)
                same += hash[k] == hash[i];
            if (same > most)
                most = same, common = i;
        }
        for (int i = first; i < first + n; i++)
            if (hash[i] != hash[common])
                return i;
    }
    return -1;
}

/* Is tensor i the same on the ranks of comm, which hold it in groups of n? */
static bool alike(const Run *r, MPI_Comm comm, int n, int i, const char *what, uint64_t *hash, Err *e)
{
    Host host = "";
    char where[192];
    const int all = comm_size(comm);
    int rank = r->grid.rank;
    comm_gather_u64(comm, tensor_hash(r, i), hash);
    const int odd = odd_one(hash, all, n);
    if (odd < 0)
        return true;
    host_self(host);
    comm_bcast(comm, host, sizeof host, odd);
    comm_bcast(comm, &rank, sizeof rank, odd);
    snprintf(where, sizeof where, "rank %d, host %s", rank, host);
    err_expected(e, "the bits of the other rank%s, which must hold the same", n > 2 ? "s" : "");
    err_got(e, n > 2 ? "others" : "others: which of the two is right cannot be told");
    return err_set(e, EXIT_INTERNAL, where, "start again from the last checkpoint; if it happens again, have that node's memory tested",
                   "a value in memory has changed: %s\"%s\", before step %lld", what, r->model.table.p[i].name, (long long)r->step + 1);
}

bool guard_same(Run *r, double sum, Err *e)
{
    const Params *t = &r->model.table;
    if (sum == 0)
        return true;
    uint64_t *hash = calloc((size_t)r->grid.size, sizeof *hash);
    CHECK(hash, "no memory for %d hashes", r->grid.size);
    optim_settle(&r->optim);
    bool same = true;
    for (int i = 0; i < t->n && same; i++)
        same = alike(r, r->grid.dp, r->grid.dp_size, i, "", hash, e);
    same = true;
    for (int i = 0; i < t->n && same; i++)
        if (t->p[i].copies > 1)
            same = alike(r, r->grid.tp, t->p[i].copies, i, t->p[i].grad < 0 ? "" : "it has spread in a replica to ", hash, e);
    free(hash);
    if (run_agree(r, e))                                    /* an owner's update has written over it since */
        err_set(e, EXIT_INTERNAL, r->c->run.dir, "start again from the last checkpoint; if it happens again, have the nodes' memory tested",
                "a value in memory had changed in step %lld: what ranks must hold alike was not alike", (long long)r->step);
    return false;
}

bool guard_copies(Run *r, Err *e)
{
    optim_settle(&r->optim);
    double sum = part_of(r, 0, r->model.table.weights);
    comm_sum_f64(r->grid.world, &sum, 1);
    return guard_same(r, sum, e);
}

/* ---- what may not change ---- */

bool guard_frozen(const Run *r, Err *e)
{
    const Params *t = &r->model.table;
    Host host = "";
    char where[192];
    for (int i = 0; i < t->n && !e->code; i++)
        if (t->p[i].grad < 0 && tensor_hash(r, i) != r->guard.frozen[i]) {
            host_self(host);
            snprintf(where, sizeof where, "rank %d, host %s", r->grid.rank, host);
            err_expected(e, "what it was at the start: it is frozen");
            err_set(e, EXIT_INTERNAL, where, "start again from the last checkpoint; if it happens again, have that node's memory tested",
                    "a value in memory has changed: \"%s\"; step %lld is not saved", t->p[i].name, (long long)r->step);
        }
    return run_agree(r, e);
}
