#include "dist/matrices.h"

#include <math.h>
#include <stdlib.h>

#include "core/ops.h"
#include "dist/comm.h"
#include "dist/muon.h"

/* Who works on a matrix together. */
enum { TOGETHER /* a 1 x tp or dp x tp grid */, ROWS /* dp x 1 */, ALONE, SETS };

typedef struct {
    int     n, pr, pc;
    int    *param;
    float **block;
    Muon   *muon;
} Set;

struct Matrices {
    const Zero *z;
    const bool *muon;
    const Grid *g;
    bool    canonical;
    Set     set[SETS];
    Arena   arena;
};

static bool copied(const Param *p) { return p->split >= 0 && p->copies > 1; }

static int set_of(const Matrices *x, int i)
{
    const Param *p = &x->z->table->p[i];
    if (copied(p))
        return ALONE;
    if (p->split < 0 && x->z->table->tp_size > 1)
        return x->canonical ? ALONE : ROWS;
    return TOGETHER;
}

/* Has this rank a block of it?  Of a matrix with one owner only its ranks work on it. */
static bool has(const Matrices *x, int i)
{
    return x->muon[i] && (x->z->cut[i] != CUT_WHOLE || x->z->owner[i] == x->z->rank);
}

static int row_length(const Params *t, int i)
{
    const Slice s = param_slice(t, i);
    return (int)slice_extent(&s, 1);
}

/* Its rows lie one behind the other in the gradient: u can take its place. */
static bool together(const Matrices *x, int i)
{
    return x->z->cut[i] != CUT_COLS && !copied(&x->z->table->p[i]);
}

static void layout(Matrices *x)
{
    const Params *t = x->z->table;
    Arena *a = &x->arena;
    for (int k = 0; k < SETS; k++) {
        Set *s = &x->set[k];
        s->n = 0;
        s->param = TAKE(a, int, t->n);
        s->block = TAKE(a, float *, t->n);
        for (int i = 0; i < t->n; i++) {
            if (!has(x, i) || set_of(x, i) != k)
                continue;
            const int64_t n = copied(&t->p[i]) ? (int64_t)t->p[i].rows * t->p[i].cols : share_count(zero_share(x->z, i, x->z->rank));
            float *block = together(x, i) ? NULL : TAKE(a, float, n);
            if (s->param) {
                s->param[s->n] = i;
                s->block[s->n] = block;
            }
            s->n++;
        }
    }
    x->set[TOGETHER].pr = x->canonical ? 1 : x->z->ranks;
    x->set[TOGETHER].pc = t->tp_size;
    x->set[ROWS].pr = x->z->ranks;
    x->set[ROWS].pc = x->set[ALONE].pr = x->set[ALONE].pc = 1;
}

static void measure(Matrices *x, const Zero *z, const bool *muon, bool canonical)
{
    *x = (Matrices){ .z = z, .muon = muon, .canonical = canonical, .arena.name = "Muon's blocks" };
    layout(x);
}

/* Shapes and ways of a set's matrices, this rank's alone.  The ways are chosen among all of the set, whoever owns them, so
   that they, and with them the bits, do not depend on the number of replicas. */
static int choose(const Matrices *x, int k, MuonShape *shape, MuonWay *way)
{
    const Params *t = x->z->table;
    const Set *s = &x->set[k];
    int all = 0, n = 0;
    for (int i = 0; i < t->n; i++)
        if (x->muon[i] && set_of(x, i) == k)
            shape[all++] = (MuonShape){ t->p[i].rows, t->p[i].cols, k == TOGETHER && t->tp_size > 1 && t->p[i].split == 0 };
    muon_ways(way, shape, all, s->pr, s->pc);
    all = 0;
    for (int i = 0; i < t->n; i++)
        if (x->muon[i] && set_of(x, i) == k) {
            if (has(x, i)) {
                shape[n] = shape[all];
                way[n++] = way[all];
            }
            all++;
        }
    return n;
}

typedef struct { MuonShape *shape; MuonWay *way; } Chosen;

static Chosen room(int n)
{
    const Chosen c = { calloc((size_t)n + 1, sizeof *c.shape), calloc((size_t)n + 1, sizeof *c.way) };
    CHECK(c.shape && c.way, "no memory for the shapes of %d matrices", n);
    return c;
}

Matrices *matrices_open(const Zero *z, const bool *muon, const Grid *g, bool canonical)
{
    Matrices *x = malloc(sizeof *x);
    CHECK(x, "no memory for Muon's matrices");
    measure(x, z, muon, canonical);
    arena_alloc(&x->arena);
    layout(x);
    x->g = g;
    const MPI_Comm comm[SETS] = { canonical ? g->tp : g->world, g->dp, MPI_COMM_SELF };
    const Chosen c = room(z->table->n);
    for (int k = 0; k < SETS; k++) {
        Set *s = &x->set[k];
        const int n = choose(x, k, c.shape, c.way);
        ASSERT(n == s->n);
        s->muon = muon_open(comm[k], s->pr, s->pc, c.shape, c.way, n);
    }
    free(c.shape);
    free(c.way);
    return x;
}

void matrices_close(Matrices *x)
{
    if (!x)
        return;
    for (int k = 0; k < SETS; k++)
        muon_close(x->set[k].muon);
    arena_free(&x->arena);
    free(x);
}

size_t matrices_memory(const Zero *z, const bool *muon, bool canonical)
{
    Matrices x;
    measure(&x, z, muon, canonical);
    size_t bytes = x.arena.size;
    const Chosen c = room(z->table->n);
    for (int k = 0; k < SETS; k++) {
        const int n = choose(&x, k, c.shape, c.way);
        bytes += muon_bytes(c.shape, c.way, n, x.set[k].pr, x.set[k].pc);
    }
    free(c.shape);
    free(c.way);
    return bytes;
}

MatricesBytes matrices_bytes(const Zero *z, const bool *muon, bool canonical)
{
    const Params *t = z->table;
    MatricesBytes b = { 0 };
    Matrices x;
    measure(&x, z, muon, canonical);
    const Chosen c = room(t->n);
    for (int k = 0; k < SETS; k++) {
        const Set *s = &x.set[k];
        const int n = choose(&x, k, c.shape, c.way);
        const int rank = k == ALONE ? 0 : k == ROWS ? z->rank : canonical ? t->tp_rank : z->rank * t->tp_size + t->tp_rank;
        *(k == ROWS ? &b.dp : canonical ? &b.tp : &b.world) += muon_sent(c.shape, c.way, n, s->pr, s->pc, rank, &b.flops);
    }
    for (int i = 0; i < t->n; i++)
        if (has(&x, i) && copied(&t->p[i]))
            b.tp += comm_sum_bytes((int64_t)t->p[i].rows * t->p[i].cols * (int64_t)sizeof(float), t->tp_size);
    free(c.shape);
    free(c.way);
    return b;
}

/* The momentum takes in the gradient, and u = s g + mu m takes its place or goes to the block. */
static float *blend(const Matrices *x, int i, float *block, float *grads, float *m, const MatricesConf *c)
{
    const Params *t = x->z->table;
    const Share s = zero_share(x->z, i, x->z->rank);
    const int64_t n = share_count(s);
    float *piece = grads + t->p[i].grad, *u = block;
    if (together(x, i) || copied(&t->p[i]))
        u = piece + (int64_t)s.row * row_length(t, i);
    else
        zero_pack(u, x->z, i, x->z->rank, piece, 0, n);
    op.blend(m, u, n, c->gscale, c->momentum);
    op.blend(u, m, n, c->momentum, c->gscale);
    return u;
}

/* A matrix whose pieces several ranks hold: whole, on each rank of the tp group. */
static void put_together(const Matrices *x, int i, float *whole, const float *u)
{
    const Param *p = &x->z->table->p[i];
    const int64_t n = (int64_t)p->rows * p->cols;
    op.zero(whole, n);
    if (params_speak(x->z->table, i))
        op.copy(whole + param_slice(x->z->table, i).start[0] * p->cols, u, p->count);
    comm_sum_f32(x->g->tp, whole, n);
}

/* w <- w - lr (0.2 sqrt(max(rows,cols)) o + decay w) */
static void apply(const Matrices *x, int i, float *weights, const float *o, const MatricesConf *c)
{
    const Params *t = x->z->table;
    const Param *p = &t->p[i];
    const Share s = zero_share(x->z, i, x->z->rank);
    const int ld = row_length(t, i);
    const float rate = c->lr * 0.2f * sqrtf((float)(p->rows > p->cols ? p->rows : p->cols));
    const float keep = p->flags & DECAY ? 1 - c->lr * c->decay : 1;
    const int64_t run = s.cols == ld ? share_count(s) : s.cols, runs = s.cols == ld ? 1 : s.rows;
    if (copied(p))
        o += param_slice(t, i).start[0] * p->cols;
    for (int64_t r = 0; r < runs; r++)
        op.blend(weights + p->offset + (s.row + r) * ld + s.col, o + r * run, run, -rate, keep);
}

void matrices_step(Matrices *x, float *weights, float *grads, float *m, const int64_t *m_at, const MatricesConf *c)
{
    for (int k = 0; k < SETS; k++) {
        Set *s = &x->set[k];
        float **block = s->block;
        for (int j = 0; j < s->n; j++) {
            const int i = s->param[j];
            float *u = blend(x, i, block[j], grads, m + m_at[i], c);
            if (copied(&x->z->table->p[i]))
                put_together(x, i, block[j], u);
            else
                block[j] = u;
        }
        muon_orthogonalize(s->muon, block);
        for (int j = 0; j < s->n; j++)
            apply(x, s->param[j], weights, block[j], c);
    }
}
