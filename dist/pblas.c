#include "dist/pblas.h"

#include "core/ops.h"
#include "core/prof.h"
#include "dist/comm.h"

/* What Cblacs_set sets, from BLACS' Bdef.h: combine in an order that is the same every time; leave all with the same bits. */
enum { BLACS_REPEAT = 15, BLACS_COHERENT = 16 };

static int grid_context(int system, const char *order, int rows, int cols)
{
    int context = system;
    Cblacs_gridinit(&context, order, rows, cols);
    Cblacs_set(context, BLACS_REPEAT, &(int){ 1 });
    Cblacs_set(context, BLACS_COHERENT, &(int){ 1 });
    return context;
}

void pblas_open(Pblas *p, MPI_Comm comm, int pr, int pc)
{
    CHECK(pr > 0 && pc > 0 && comm_size(comm) == pr * pc, "a grid of %d x %d processes on %d ranks", pr, pc, comm_size(comm));
    p->pr = pr;
    p->pc = pc;
    p->rank = comm_rank(comm);
    p->comm = comm_split(comm, 0, p->rank);
    CHECK(MPI_Comm_set_errhandler(p->comm, MPI_ERRORS_ARE_FATAL) == MPI_SUCCESS, "MPI_Comm_set_errhandler");
    p->system = Csys2blacs_handle(p->comm);
    /* Rank r * pc + c is process (c,r) of the one and (r,c) of the other. */
    p->context[0] = grid_context(p->system, "Col", pc, pr);
    p->context[1] = grid_context(p->system, "Row", pr, pc);
}

void pblas_close(Pblas *p)
{
    Cblacs_gridexit(p->context[1]);
    Cblacs_gridexit(p->context[0]);
    Cfree_blacs_system_handle(p->system);
    comm_free(&p->comm);
}

/* The at-th of `parts` blocks along dim. */
static Slice cut(Slice s, int dim, int at, int parts)
{
    const int64_t n = s.size[dim], block = ceil_div(n, parts), start = min64(n, at * block);
    return slice_range(s, dim, start, min64(n - start, block));
}

Slice pblas_slice(int rows, int cols, bool rows_over_c, int pr, int pc, int rank)
{
    const int r = rank / pc, c = rank % pc;
    const Slice whole = slice_whole(2, (int64_t[]){ rows, cols });
    if (rows_over_c)
        return cut(cut(whole, 0, c, pc), 1, r, pr);
    return cut(cut(whole, 0, r, pr), 1, c, pc);
}

PblasMatrix pblas_matrix(const Pblas *p, float *block, int rows, int cols, bool rows_over_c)
{
    PblasMatrix m = { .block = block, .rows = rows, .cols = cols, .rows_over_c = rows_over_c };
    m.slice = pblas_slice(rows, cols, rows_over_c, p->pr, p->pc, p->rank);
    const int mb = (int)ceil_div(cols, rows_over_c ? p->pr : p->pc), nb = (int)ceil_div(rows, rows_over_c ? p->pc : p->pr);
    const int lld = (int)max64(1, slice_extent(&m.slice, 1)), zero = 0;
    int info;
    descinit_(m.desc, &cols, &rows, &mb, &nb, &zero, &zero, &p->context[rows_over_c], &lld, &info);
    CHECK(info == 0, "ScaLAPACK refuses argument %d of the descriptor of a (%d,%d) matrix", -info, rows, cols);
    return m;
}

void pblas_gemm(const PblasMatrix *out, char ta, const PblasMatrix *a, char tb, const PblasMatrix *b, float alpha, float beta)
{
    const int m = out->rows, n = out->cols, k = ta == 'N' ? a->cols : a->rows, one = 1;
    ASSERT(m == (ta == 'N' ? a->rows : a->cols) && n == (tb == 'N' ? b->cols : b->rows) && k == (tb == 'N' ? b->rows : b->cols));
    ASSERT(out->desc[1] == a->desc[1] && out->desc[1] == b->desc[1]);
    /* This rank's share of 2 m n k flops: its part of out, the whole of k. */
    prof_gemm(slice_extent(&out->slice, 0), slice_extent(&out->slice, 1), k);
    /* out^T = op(b)^T op(a)^T, and transposes are what the descriptors describe. */
    psgemm_(&tb, &ta, &n, &m, &k, &alpha, b->block, &one, &one, b->desc, a->block, &one, &one, a->desc, &beta, out->block, &one, &one,
            out->desc);
}

/* What PBLAS multiplies blocks with, in OpenBLAS' place: its threads would give other bits for other numbers of them.  The program
   comes before all libraries where names are looked up.  Column-major: c^T = op(b)^T op(a)^T. */
void sgemm_(const char *ta, const char *tb, const int *m, const int *n, const int *k, const float *alpha, const float *a, const int *lda,
            const float *b, const int *ldb, const float *beta, float *c, const int *ldc)
{
    const bool a_turned = *ta != 'N' && *ta != 'n', b_turned = *tb != 'N' && *tb != 'n';
    if (*m > 0 && *n > 0)
        op.product(c, *ldc, b, *ldb, b_turned, a, *lda, a_turned, *n, *m, *k, *alpha, *beta);
}
