#include "dist/matrices.h"

#include <math.h>
#include <stdlib.h>

#include "core/ops.h"
#include "dist/comm.h"
#include "dist/muon.h"
#include "dist/regroup.h"

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
    Target *target;                     /* (table) */
    Regroup *regroup;
    Set     set[SETS];
    Arena   arena;
};

static bool copied(const Param *p) { return p->split >= 0 && p->copies > 1; }

/* What Newton-Schulz costs grows with the product of the sides and the smaller one. */
static double cost(const Param *p)
{
    return (double)p->rows * p->cols * (p->rows < p->cols ? p->rows : p->cols);
}

/* Whole matrices go, the most costly first, to the owner with the least to do so far; the same on all ranks. */
static void deal(Matrices *x)
{
    const Params *t = x->z->table;
    double *load = calloc((size_t)x->z->ranks, sizeof *load);
    CHECK(load, "no memory for the owners of Muon's matrices");
    for (;;) {
        int next = -1, least = 0;
        for (int i = 0; i < t->n; i++)
            if (x->target[i].way == WAY_WHOLE && x->target[i].owner < 0 && (next < 0 || cost(&t->p[i]) > cost(&t->p[next])))
                next = i;
        if (next < 0)
            break;
        for (int r = 1; r < x->z->ranks; r++)
            if (load[r] < load[least])
                least = r;
        x->target[next].owner = least;
        load[least] += cost(&t->p[next]);
    }
    free(load);
}

static void aim(Matrices *x)
{
    const Params *t = x->z->table;
    x->target = calloc((size_t)t->n + 1, sizeof *x->target);
    CHECK(x->target, "no memory for the owners of %d tensors", t->n);
    for (int i = 0; i < t->n; i++)
        if (x->muon[i])
            x->target[i] = x->canonical || copied(&t->p[i])            ? (Target){ WAY_WHOLE, -1 }
                         : t->p[i].split == 0 && t->tp_size > 1 ? (Target){ WAY_COLS, -1 } : (Target){ WAY_ROWS, -1 };
    deal(x);
}

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
    return x->muon[i] && (x->target[i].way != WAY_WHOLE || x->target[i].owner == x->z->rank);
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
            float *whole = copied(&t->p[i]) ? TAKE(a, float, (int64_t)t->p[i].rows * t->p[i].cols) : NULL;
            if (s->param) {
                s->param[s->n] = i;
                s->block[s->n] = whole;
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
    aim(x);
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
    for (int i = 0; t->leaves > 0 && i < all; i++)             /* bits are not to depend on tp */
        way[i] = s->pr * s->pc == 1 ? MUON_LOCAL : MUON_OWNER;
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
    x->regroup = regroup_open(z, x->target, g->dp);
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
    regroup_close(x->regroup);
    arena_free(&x->arena);
    free(x->target);
    free(x);
}

size_t matrices_memory(const Zero *z, const bool *muon, bool canonical)
{
    Matrices x;
    measure(&x, z, muon, canonical);
    size_t bytes = x.arena.size + regroup_memory(z, x.target);
    const Chosen c = room(z->table->n);
    for (int k = 0; k < SETS; k++) {
        const int n = choose(&x, k, c.shape, c.way);
        bytes += muon_bytes(c.shape, c.way, n, x.set[k].pr, x.set[k].pc);
    }
    free(c.shape);
    free(c.way);
    free(x.target);
    return bytes;
}

int64_t matrices_landed(const Zero *z, const bool *muon, bool canonical)
{
    Matrices x;
    measure(&x, z, muon, canonical);
    const int64_t n = regroup_landed(z, x.target);
    free(x.target);
    return n;
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
    b.dp += regroup_bytes(z, x.target);
    free(c.shape);
    free(c.way);
    free(x.target);
    return b;
}

/* The momentum takes in the gradient, and u = s g + mu m takes its place: of this rank's share of a section. */
static void blend(const Section *s, int rank, float *grads, float *m, const MatricesConf *c)
{
    const Range r = zero_share(s, rank);
    float *u = grads + r.at;
    op.blend(m, u, r.n, c->gscale, c->momentum);
    op.blend(u, m, r.n, c->momentum, c->gscale);
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

/* w <- w - lr (0.2 sqrt(max(rows,cols)) o + decay w), where o took u's place. */
static void apply(const Matrices *x, int i, float *weights, const float *grads, const MatricesConf *c)
{
    const Param *p = &x->z->table->p[i];
    const Range r = zero_part(x->z, i, x->z->rank);
    const float rate = c->lr * 0.2f * sqrtf((float)(p->rows > p->cols ? p->rows : p->cols));
    const float keep = p->flags & DECAY ? 1 - c->lr * c->decay : 1;
    op.blend(weights + p->offset + (r.at - p->grad), grads + r.at, r.n, -rate, keep);
}

static void orthogonalize(Matrices *x, Set *s, float *grads)
{
    const Params *t = x->z->table;
    for (int j = 0; j < s->n; j++) {
        const int i = s->param[j];
        if (copied(&t->p[i]))
            put_together(x, i, s->block[j], grads + t->p[i].grad);
        else
            s->block[j] = regroup_at(x->regroup, i, grads);
    }
    muon_orthogonalize(s->muon, s->block);
    for (int j = 0; j < s->n; j++) {
        const Param *p = &t->p[s->param[j]];
        if (copied(p))
            op.copy(grads + p->grad, s->block[j] + param_slice(t, s->param[j]).start[0] * p->cols, p->count);
    }
}

void matrices_step(Matrices *x, float *weights, float *grads, float *m, const int64_t *m_at, const MatricesConf *c)
{
    const Zero *z = x->z;
    for (int k = 0; k < z->sections; k++)
        if (z->section[k].muon)
            blend(&z->section[k], z->rank, grads, m + m_at[k], c);
    regroup_gather(x->regroup, grads);
    for (int k = 0; k < SETS; k++)
        orthogonalize(x, &x->set[k], grads);
    regroup_return(x->regroup, grads);
    for (int i = 0; i < z->table->n; i++)
        if (x->muon[i])
            apply(x, i, weights, grads, c);
}
