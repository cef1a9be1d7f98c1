#include "dist/muon.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/ops.h"
#include "dist/comm.h"
#include "dist/pblas.h"

enum { STEPS = 5 };
static const float NS_A = 3.4445f, NS_B = -4.7750f, NS_C = 2.0315f;
static const double EPS = 1e-7;

struct Muon {
    MPI_Comm comm;
    int      pr, pc, rank, ranks, n;
    int      uses[3];                   /* matrices by MuonWay */
    Pblas    grid;                      /* open if a matrix goes by GRID */
    MuonShape *shape;                   /* (n) */
    MuonWay *way;                       /* (n) */
    int     *owner;                     /* (n) OWNER: the rank that has the work */
    double  *sumsq;                     /* (n) GRID: squares of the blocks, then of the matrices */
    int64_t *away, *home, *at;          /* (ranks) OWNER: floats to each owner, floats from each rank, how far its share is read */
    float   *mine, *owned;              /* OWNER: the blocks here by owner; the blocks of what is owned here by rank */
    Arena    arena;
};

static int side(const MuonShape *s) { return s->rows < s->cols ? s->rows : s->cols; }

static Slice block_of(const Muon *u, const MuonShape *s, int rank)
{
    return pblas_slice(s->rows, s->cols, s->rows_over_c, u->pr, u->pc, rank);
}

/* Floats of this rank's block. */
static int64_t block_floats(const Muon *u, const MuonShape *s)
{
    const Slice b = block_of(u, s, u->rank);
    return slice_total(&b);
}

/* A and B: squares, placed like X. */
static MuonShape square(const MuonShape *s) { return (MuonShape){ side(s), side(s), s->rows_over_c }; }

static bool owned_here(const Muon *u, int i) { return u->way[i] == MUON_OWNER && u->owner[i] == u->rank; }

/* ---- the work space of one matrix ---- */

typedef struct { float *y, *a, *b; } Work;          /* B X, as large as X;  A and B */

static Work take_work(Arena *arena, int64_t nx, int64_t na)
{
    Work w;
    w.y = TAKE(arena, float, nx);
    w.a = TAKE(arena, float, na);
    w.b = TAKE(arena, float, na);
    return w;
}

static float inverse_norm(double sumsq) { return (float)(1 / (sqrt(sumsq) + EPS)); }

/* ---- LOCAL ---- */

/* x (rows,cols), in place.  A and B are symmetric, so either may stand where its transpose should. */
static void orthogonalize_here(float *x, int rows, int cols, Arena *arena)
{
    const int s = rows < cols ? rows : cols;
    const int64_t nx = (int64_t)rows * cols, na = (int64_t)s * s;
    const ArenaMark m = arena_mark(arena);
    const Work w = take_work(arena, nx, na);
    double sumsq;
    op.sumsq(&sumsq, x, nx);
    op.scale(x, nx, inverse_norm(sumsq));
    for (int i = 0; i < STEPS; i++) {
        op.gram(w.a, x, rows > cols, s, rows + cols - s);                   /* X X^T, or X^T X */
        op.gram(w.b, w.a, false, s, s);                                     /* A A = A A^T */
        op.blend(w.b, w.a, na, NS_B, NS_C);
        if (rows <= cols)
            op.linear_dx(w.y, TERMS({ w.b, &(Linear){ .w = x, .I = cols, .O = s } }), s, false);    /* B X */
        else
            op.linear_fwd(w.y, x, &(Linear){ .w = w.b, .I = s, .O = s }, rows);      /* X B */
        op.blend(x, w.y, nx, 1, NS_A);
    }
    arena_release(arena, m);
}

/* ---- GRID ---- */

static void orthogonalize_grid(Muon *u, const MuonShape *s, float *block, double sumsq)
{
    const bool wide = s->rows <= s->cols;
    const MuonShape aa = square(s);
    const int64_t nx = block_floats(u, s), na = block_floats(u, &aa);
    const ArenaMark m = arena_mark(&u->arena);
    const Work w = take_work(&u->arena, nx, na);
    const PblasMatrix x = pblas_matrix(&u->grid, block, s->rows, s->cols, s->rows_over_c);
    const PblasMatrix y = pblas_matrix(&u->grid, w.y, s->rows, s->cols, s->rows_over_c);
    const PblasMatrix a = pblas_matrix(&u->grid, w.a, aa.rows, aa.cols, aa.rows_over_c);
    const PblasMatrix b = pblas_matrix(&u->grid, w.b, aa.rows, aa.cols, aa.rows_over_c);
    op.scale(block, nx, inverse_norm(sumsq));
    for (int i = 0; i < STEPS; i++) {
        pblas_gemm(&a, wide ? 'N' : 'T', &x, wide ? 'T' : 'N', &x, 1, 0);
        pblas_gemm(&b, 'N', &a, 'N', &a, 1, 0);
        op.blend(w.b, w.a, na, NS_B, NS_C);
        pblas_gemm(&y, 'N', wide ? &b : &x, 'N', wide ? &x : &b, 1, 0);
        op.blend(block, w.y, nx, 1, NS_A);
    }
    arena_release(&u->arena, m);
}

static void by_grid(Muon *u, float *const *block)
{
    for (int i = 0; i < u->n; i++)
        if (u->way[i] == MUON_GRID)
            op.sumsq(&u->sumsq[i], block[i], block_floats(u, &u->shape[i]));
        else
            u->sumsq[i] = 0;
    comm_sum_f64(u->comm, u->sumsq, u->n);
    for (int i = 0; i < u->n; i++)
        if (u->way[i] == MUON_GRID)
            orthogonalize_grid(u, &u->shape[i], block[i], u->sumsq[i]);
}

/* ---- OWNER ---- */

/* The blocks that are here, in the order of their owners: all of them to `mine`, or back. */
static void pack(Muon *u, float *const *block, bool back)
{
    float *p = u->mine;
    for (int r = 0; r < u->ranks; r++)
        for (int i = 0; i < u->n; i++) {
            if (u->way[i] != MUON_OWNER || u->owner[i] != r)
                continue;
            const int64_t n = block_floats(u, &u->shape[i]);
            op.copy(back ? block[i] : p, back ? p : block[i], n);
            p += n;
        }
}

/* The rows of one block from the share of its rank to their places in the whole matrix, or back. */
static void place(float *whole, int cols, float *share, const Slice *b, bool back)
{
    const int64_t wide = slice_extent(b, 1);
    for (int64_t i = 0; i < slice_extent(b, 0); i++) {
        float *row = whole + (b->start[0] + i) * cols + b->start[1], *here = share + i * wide;
        op.copy(back ? here : row, back ? row : here, wide);
    }
}

/* One matrix that is owned here: out of the ranks' shares, and back into them. */
static void orthogonalize_owned(Muon *u, const MuonShape *s)
{
    const ArenaMark m = arena_mark(&u->arena);
    float *x = TAKE(&u->arena, float, (int64_t)s->rows * s->cols);
    for (int back = 0; back < 2; back++) {
        for (int r = 0; r < u->ranks; r++) {
            const Slice b = block_of(u, s, r);
            place(x, s->cols, u->owned + u->at[r], &b, back);
            if (back)
                u->at[r] += slice_total(&b);
        }
        if (!back)
            orthogonalize_here(x, s->rows, s->cols, &u->arena);
    }
    arena_release(&u->arena, m);
}

static void by_owner(Muon *u, float *const *block)
{
    pack(u, block, false);
    comm_exchange_f32(u->comm, u->owned, u->home, u->mine, u->away);
    for (int64_t r = 0, start = 0; r < u->ranks; start += u->home[r++])
        u->at[r] = start;
    for (int i = 0; i < u->n; i++)
        if (owned_here(u, i))
            orthogonalize_owned(u, &u->shape[i]);
    comm_exchange_f32(u->comm, u->mine, u->away, u->owned, u->home);
    pack(u, block, true);
}

void muon_orthogonalize(Muon *u, float *const *block)
{
    if (u->uses[MUON_OWNER])
        by_owner(u, block);
    if (u->uses[MUON_GRID])
        by_grid(u, block);
    for (int i = 0; i < u->n; i++)
        if (u->way[i] == MUON_LOCAL)
            orthogonalize_here(block[i], u->shape[i].rows, u->shape[i].cols, &u->arena);
}

/* ---- what lies where ---- */

static void layout_item(Muon *u, int i)
{
    const MuonShape *s = &u->shape[i], aa = square(s);
    const ArenaMark m = arena_mark(&u->arena);
    if (u->way[i] == MUON_GRID) {
        take_work(&u->arena, block_floats(u, s), block_floats(u, &aa));
    } else if (u->way[i] == MUON_LOCAL || owned_here(u, i)) {
        const int64_t nx = (int64_t)s->rows * s->cols;
        if (owned_here(u, i))
            TAKE(&u->arena, float, nx);
        take_work(&u->arena, nx, (int64_t)aa.rows * aa.cols);
    }
    arena_release(&u->arena, m);
}

static void layout(Muon *u)
{
    int64_t mine = 0, owned = 0;
    for (int i = 0; i < u->n; i++) {
        const MuonShape *s = &u->shape[i];
        mine += u->way[i] == MUON_OWNER ? block_floats(u, s) : 0;
        owned += owned_here(u, i) ? (int64_t)s->rows * s->cols : 0;
    }
    u->sumsq = TAKE(&u->arena, double, u->n);
    u->away = TAKE(&u->arena, int64_t, u->ranks);
    u->home = TAKE(&u->arena, int64_t, u->ranks);
    u->at = TAKE(&u->arena, int64_t, u->ranks);
    u->mine = TAKE(&u->arena, float, mine);
    u->owned = TAKE(&u->arena, float, owned);
    for (int i = 0; i < u->n; i++)
        layout_item(u, i);
}

static void *room(int n, size_t elem)
{
    void *p = calloc((size_t)n + 1, elem);
    CHECK(p, "no memory for %d matrices", n);
    return p;
}

/* Everything that needs no other process: what goes which way, and to whom. */
static Muon *plan(int pr, int pc, const MuonShape *s, const MuonWay *way, int n)
{
    Muon *u = room(1, sizeof *u);
    *u = (Muon){ .pr = pr, .pc = pc, .ranks = pr * pc, .n = n, .arena.name = "Muon's work space" };
    u->shape = room(n, sizeof *u->shape);
    u->way = room(n, sizeof *u->way);
    u->owner = room(n, sizeof *u->owner);
    for (int i = 0; i < n; i++) {
        ASSERT(s[i].rows > 0 && s[i].cols > 0 && (way[i] != MUON_LOCAL || u->ranks == 1));
        u->shape[i] = s[i];
        u->way[i] = way[i];
        u->uses[way[i]]++;
    }
    muon_owners(u->owner, s, way, n, u->ranks);
    return u;
}

static void drop(Muon *u)
{
    free(u->shape);
    free(u->way);
    free(u->owner);
    free(u);
}

size_t muon_bytes(const MuonShape *s, const MuonWay *way, int n, int pr, int pc)
{
    Muon *u = plan(pr, pc, s, way, n);
    size_t most = 0;
    for (u->rank = 0; u->rank < u->ranks; u->rank++) {
        u->arena.used = u->arena.size = 0;
        layout(u);
        most = u->arena.size > most ? u->arena.size : most;
    }
    drop(u);
    return most;
}

int64_t muon_sent(const MuonShape *s, const MuonWay *way, int n, int pr, int pc, int rank, double *flops)
{
    Muon *u = plan(pr, pc, s, way, n);
    int64_t floats = 0;
    u->rank = rank;
    for (int i = 0; i < n; i++) {
        const int64_t mine = block_floats(u, &s[i]), all = (int64_t)s[i].rows * s[i].cols;
        const double small = side(&s[i]), large = (double)all / small;
        if (way[i] == MUON_OWNER)
            floats += owned_here(u, i) ? all - mine : mine;
        if (way[i] == MUON_GRID)
            *flops += STEPS * 2 * (2 * small * small * large + small * small * small) / u->ranks;
        else if (way[i] == MUON_LOCAL || owned_here(u, i))          /* of A and of A A half */
            *flops += STEPS * (2 * small * small * large + small * (small + 1) * (large + small));
    }
    const int64_t norms = u->uses[MUON_GRID] ? comm_sum_bytes(n * (int64_t)sizeof(double), u->ranks) : 0;
    drop(u);
    return floats * (int64_t)sizeof(float) + norms;
}

Muon *muon_open(MPI_Comm comm, int pr, int pc, const MuonShape *s, const MuonWay *way, int n)
{
    CHECK(comm_size(comm) == pr * pc, "Muon on a grid of %d x %d processes: there are %d ranks", pr, pc, comm_size(comm));
    Muon *u = plan(pr, pc, s, way, n);
    u->comm = comm;
    u->rank = comm_rank(comm);
    if (u->uses[MUON_GRID])
        pblas_open(&u->grid, comm, pr, pc);
    layout(u);
    arena_alloc(&u->arena);
    layout(u);
    for (int i = 0; i < n; i++) {
        if (way[i] == MUON_OWNER)
            u->away[u->owner[i]] += block_floats(u, &s[i]);
        for (int r = 0; r < u->ranks && owned_here(u, i); r++) {
            const Slice b = block_of(u, &s[i], r);
            u->home[r] += slice_total(&b);
        }
    }
    return u;
}

void muon_close(Muon *u)
{
    if (u->uses[MUON_GRID])
        pblas_close(&u->grid);
    arena_free(&u->arena);
    drop(u);
}
