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

typedef struct {
    MuonShape s;
    MuonWay   way;
    int       owner;                    /* OWNER: the rank that has the work */
} Item;

struct Muon {
    MPI_Comm comm;
    int      pr, pc, rank, ranks, n;
    int      uses[3];                   /* matrices by MuonWay */
    Pblas    grid;                      /* open if a matrix goes by GRID */
    Item    *item;                      /* (n) */
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

static bool owned_here(const Muon *u, int i) { return u->item[i].way == MUON_OWNER && u->item[i].owner == u->rank; }

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

/* x <- alpha x + y */
static void blend(float *x, float alpha, const float *y, int64_t n)
{
    op.scale(x, n, alpha);
    op.add_fwd(x, x, y, n);
}

/* B <- c B + b A, where B holds A A; A is spent */
static void polynomial(float *b, float *a, int64_t n)
{
    op.scale(a, n, NS_B);
    blend(b, NS_C, a, n);
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
    op.scale(x, nx, inverse_norm(op.sumsq(x, nx)));
    for (int i = 0; i < STEPS; i++) {
        if (rows <= cols) {
            op.linear_fwd(w.a, x, x, NULL, s, cols, s);                     /* X X^T */
        } else {
            op.zero(w.a, na);
            op.linear_bwd(NULL, w.a, NULL, x, x, NULL, rows, s, s);         /* X^T X */
        }
        op.linear_fwd(w.b, w.a, w.a, NULL, s, s, s);
        polynomial(w.b, w.a, na);
        if (rows <= cols)
            op.linear_bwd(w.y, NULL, NULL, w.b, NULL, x, s, cols, s);       /* B X */
        else
            op.linear_fwd(w.y, x, w.b, NULL, rows, s, s);                   /* X B */
        blend(x, NS_A, w.y, nx);
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
        polynomial(w.b, w.a, na);
        pblas_gemm(&y, 'N', wide ? &b : &x, 'N', wide ? &x : &b, 1, 0);
        blend(block, NS_A, w.y, nx);
    }
    arena_release(&u->arena, m);
}

static void by_grid(Muon *u, float *const *block)
{
    for (int i = 0; i < u->n; i++)
        u->sumsq[i] = u->item[i].way == MUON_GRID ? op.sumsq(block[i], block_floats(u, &u->item[i].s)) : 0;
    comm_sum_f64(u->comm, u->sumsq, u->n);
    for (int i = 0; i < u->n; i++)
        if (u->item[i].way == MUON_GRID)
            orthogonalize_grid(u, &u->item[i].s, block[i], u->sumsq[i]);
}

/* ---- OWNER ---- */

/* The blocks that are here, in the order of their owners: all of them to `mine`, or back. */
static void pack(Muon *u, float *const *block, bool back)
{
    float *p = u->mine;
    for (int r = 0; r < u->ranks; r++)
        for (int i = 0; i < u->n; i++) {
            const Item *it = &u->item[i];
            if (it->way != MUON_OWNER || it->owner != r)
                continue;
            const int64_t n = block_floats(u, &it->s);
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
            orthogonalize_owned(u, &u->item[i].s);
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
        if (u->item[i].way == MUON_LOCAL)
            orthogonalize_here(block[i], u->item[i].s.rows, u->item[i].s.cols, &u->arena);
}

/* ---- who does what, and how much memory that takes ---- */

/* Multiply-adds of a step: X X^T and B X, A A. */
static double cost(const MuonShape *s)
{
    const double n = side(s), long_side = s->rows + s->cols - n;
    return 2 * n * n * long_side + n * n * n;
}

void muon_ways(MuonWay *way, const MuonShape *s, int n, int pr, int pc)
{
    for (int i = 0; i < n; i++)
        way[i] = pr * pc == 1 ? MUON_LOCAL : MUON_OWNER;
}

/* The costliest matrix first, each to the rank that has the least to do; of equals the first. */
static void choose_owners(Item *item, int n, int ranks)
{
    double *load = calloc((size_t)ranks, sizeof *load);
    CHECK(load, "no memory for %d ranks", ranks);
    for (int i = 0; i < n; i++)
        item[i].owner = -1;
    for (;;) {
        int next = -1, least = 0;
        for (int i = 0; i < n; i++)
            if (item[i].way == MUON_OWNER && item[i].owner < 0 && (next < 0 || cost(&item[i].s) > cost(&item[next].s)))
                next = i;
        if (next < 0)
            break;
        for (int r = 1; r < ranks; r++)
            least = load[r] < load[least] ? r : least;
        item[next].owner = least;
        load[least] += cost(&item[next].s);
    }
    free(load);
}

static void layout_item(Muon *u, int i)
{
    const MuonShape *s = &u->item[i].s, aa = square(s);
    const ArenaMark m = arena_mark(&u->arena);
    if (u->item[i].way == MUON_GRID) {
        take_work(&u->arena, block_floats(u, s), block_floats(u, &aa));
    } else if (u->item[i].way == MUON_LOCAL || owned_here(u, i)) {
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
        const MuonShape *s = &u->item[i].s;
        mine += u->item[i].way == MUON_OWNER ? block_floats(u, s) : 0;
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

/* Everything that needs no process: what goes which way, and to whom. */
static void plan(Muon *u, int pr, int pc, const MuonShape *s, const MuonWay *way, int n)
{
    *u = (Muon){ .pr = pr, .pc = pc, .ranks = pr * pc, .n = n, .arena.name = "Muon's work space" };
    u->item = calloc((size_t)n + 1, sizeof *u->item);
    CHECK(u->item, "no memory for %d matrices", n);
    for (int i = 0; i < n; i++) {
        ASSERT(s[i].rows > 0 && s[i].cols > 0 && (way[i] != MUON_LOCAL || u->ranks == 1));
        u->item[i] = (Item){ s[i], way[i], -1 };
        u->uses[way[i]]++;
    }
    choose_owners(u->item, n, u->ranks);
}

size_t muon_bytes(const MuonShape *s, const MuonWay *way, int n, int pr, int pc)
{
    Muon u;
    size_t most = 0;
    plan(&u, pr, pc, s, way, n);
    for (u.rank = 0; u.rank < u.ranks; u.rank++) {
        u.arena = (Arena){ .name = u.arena.name };
        layout(&u);
        most = u.arena.size > most ? u.arena.size : most;
    }
    free(u.item);
    return most;
}

int64_t muon_sent(const MuonShape *s, const MuonWay *way, int n, int pr, int pc, int rank, double *flops)
{
    Muon u;
    int64_t floats = 0;
    plan(&u, pr, pc, s, way, n);
    u.rank = rank;
    for (int i = 0; i < n; i++) {
        const int64_t mine = block_floats(&u, &s[i]), all = (int64_t)s[i].rows * s[i].cols;
        if (way[i] == MUON_OWNER)
            floats += owned_here(&u, i) ? all - mine : mine;
        if (way[i] == MUON_GRID || way[i] == MUON_LOCAL || owned_here(&u, i))
            *flops += 2 * STEPS * cost(&s[i]) / (way[i] == MUON_GRID ? u.ranks : 1);
    }
    free(u.item);
    return floats * (int64_t)sizeof(float);
}

Muon *muon_open(MPI_Comm comm, int pr, int pc, const MuonShape *s, const MuonWay *way, int n)
{
    CHECK(comm_size(comm) == pr * pc, "Muon on a grid of %d x %d processes: there are %d ranks", pr, pc, comm_size(comm));
    Muon *u = malloc(sizeof *u);
    CHECK(u, "no memory for Muon");
    plan(u, pr, pc, s, way, n);
    u->comm = comm;
    u->rank = comm_rank(comm);
    if (u->uses[MUON_GRID])
        pblas_open(&u->grid, comm, pr, pc);
    layout(u);
    arena_alloc(&u->arena);
    layout(u);
    for (int i = 0; i < n; i++) {
        if (way[i] == MUON_OWNER)
            u->away[u->item[i].owner] += block_floats(u, &s[i]);
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
    free(u->item);
    free(u);
}
