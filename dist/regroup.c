#include "dist/regroup.h"

#include <stdlib.h>

#include "core/ops.h"

enum { ROUND = 4 << 20 };           /* elements of a rank's share of a round, unless one matrix is more */

struct Regroup {
    const Zero *z;
    const Target *target;
    MPI_Comm dp;
    int      n;                     /* matrices */
    int     *param, *round;         /* (n) in the order in which they go; the round of each */
    float  **columns;               /* (table) the block of one that is cut by columns, or NULL */
    float   *shares, *blocks;       /* of a round: what is held flat, and in blocks; packed by the other rank */
    int64_t *nshares, *nblocks;     /* (ranks) */
    Arena    arena;
};

static void piece_dims(const Params *t, int i, int *rows, int *cols)
{
    const Slice s = param_slice(t, i);
    *rows = (int)slice_extent(&s, 0);
    *cols = s.dims > 1 ? (int)slice_extent(&s, 1) : 1;
}

/* Block `owner` of n things in equal blocks, the last ones shorter or empty: ScaLAPACK's one block a process. */
static void cut(int n, int owner, int ranks, int *first, int *count)
{
    const int each = (int)ceil_div(n, ranks);
    *first = (int)min64(n, (int64_t)owner * each);
    *count = (int)min64(each, n - *first);
}

Block regroup_block(const Zero *z, const Target *t, int i, int replica)
{
    Block b = { 0 };
    piece_dims(z->table, i, &b.rows, &b.cols);
    if (t[i].way == WAY_COLS)
        cut(b.cols, replica, z->ranks, &b.col, &b.cols);
    else if (t[i].way == WAY_ROWS)
        cut(b.rows, replica, z->ranks, &b.row, &b.rows);
    else if (t[i].way == WAY_NONE || t[i].owner != replica)
        b.rows = 0;
    return b;
}

static int64_t block_count(Block b) { return (int64_t)b.rows * b.cols; }

/* ---- what a share and a block have in common ---- */

/* One tensor's part of a share, counted from the tensor's first element, and a block of it. */
typedef struct { Range part; Block block; int cols; } Meeting;

static Meeting meet(const Regroup *x, int i, int share_of, int block_of)
{
    Meeting m = { zero_part(x->z, i, share_of), regroup_block(x->z, x->target, i, block_of), 0 };
    int rows;
    piece_dims(x->z->table, i, &rows, &m.cols);
    m.part.at -= x->z->table->p[i].grad;
    return m;
}

/* How many of the tensor's first e elements a block has. */
static int64_t before(const Meeting *m, int64_t e)
{
    const Block b = m->block;
    const int64_t row = e / m->cols - b.row, col = e % m->cols - b.col;
    const int64_t rows = max64(0, min64(row, b.rows)) * b.cols;
    return row >= 0 && row < b.rows ? rows + max64(0, min64(col, b.cols)) : rows;
}

static int64_t common(const Meeting *m) { return before(m, m->part.at + m->part.n) - before(m, m->part.at); }

/* The common elements, in their order: from the tensor in the flat buffer (flat) or from the block to a dense buffer, or back.
   Returns how many. */
static int64_t move(const Meeting *m, float *flat, float *block, float *dense, bool out)
{
    const Block b = m->block;
    const int64_t n = common(m), first = before(m, m->part.at);
    for (int64_t k = 0, run; k < n; k += run) {         /* element first + k of the block */
        const int64_t e = first + k, row = b.row + e / b.cols, col = b.col + e % b.cols;
        run = b.cols == m->cols ? n : min64(n - k, b.cols - e % b.cols);
        float *at = flat ? flat + row * m->cols + col : block + e;
        op.copy(out ? dense + k : at, out ? at : dense + k, run);
    }
    return n;
}

/* ---- the order ---- */

static bool goes(const Regroup *x, int i) { return x->target[i].way != WAY_NONE; }

/* Those with one owner first, the owners in turn. */
static void list(Regroup *x)
{
    const Params *t = x->z->table;
    int n = 0;
    for (int turn = 0, found = 1; found; turn++) {
        found = 0;
        for (int r = 0; r < x->z->ranks; r++)
            for (int i = 0, k = 0; i < t->n; i++)
                if (x->target[i].way == WAY_WHOLE && x->target[i].owner == r && k++ == turn) {
                    x->param[n++] = i;
                    found = 1;
                    break;
                }
    }
    for (int i = 0; i < t->n; i++)
        if (x->target[i].way == WAY_ROWS || x->target[i].way == WAY_COLS)
            x->param[n++] = i;
    ASSERT(n == x->n);
}

static void deal_rounds(Regroup *x)
{
    const int64_t most = (int64_t)ROUND * x->z->ranks;
    int64_t held = 0;
    for (int k = 0, round = 0; k < x->n; k++) {
        const int64_t count = x->z->table->p[x->param[k]].count;
        round += held > 0 && held + count > most;
        held = k && round == x->round[k - 1] ? held + count : count;
        x->round[k] = round;
    }
}

/* The most that a round takes in either buffer. */
static void measure_rounds(const Regroup *x, int64_t *shares, int64_t *blocks)
{
    int64_t s = 0, b = 0;
    *shares = *blocks = 0;
    for (int k = 0; k < x->n; k++) {
        const bool same = k && x->round[k] == x->round[k - 1];
        s = (same ? s : 0) + zero_part(x->z, x->param[k], x->z->rank).n;
        b = (same ? b : 0) + block_count(regroup_block(x->z, x->target, x->param[k], x->z->rank));
        *shares = max64(*shares, s);
        *blocks = max64(*blocks, b);
    }
}

static void prepare(Regroup *x, const Zero *z, const Target *target)
{
    *x = (Regroup){ .z = z, .target = target, .arena.name = "Muon's matrices under way" };
    for (int i = 0; i < z->table->n; i++)
        x->n += goes(x, i);
    x->param = calloc(2 * (size_t)x->n + 1, sizeof *x->param);
    CHECK(x->param, "no memory for a list of %d matrices", x->n);
    x->round = x->param + x->n;
    list(x);
    deal_rounds(x);
}

static void layout(Regroup *x)
{
    const Zero *z = x->z;
    int64_t shares, blocks;
    measure_rounds(x, &shares, &blocks);
    x->columns = TAKE(&x->arena, float *, z->table->n);
    x->nshares = TAKE(&x->arena, int64_t, z->ranks);
    x->nblocks = TAKE(&x->arena, int64_t, z->ranks);
    if (z->ranks == 1)
        return;
    x->shares = TAKE(&x->arena, float, shares);
    x->blocks = TAKE(&x->arena, float, blocks);
    for (int k = 0; k < x->n; k++) {
        const int i = x->param[k];
        float *block = x->target[i].way == WAY_COLS ? TAKE(&x->arena, float, block_count(regroup_block(z, x->target, i, z->rank))) : NULL;
        if (x->columns)
            x->columns[i] = block;
    }
}

Regroup *regroup_open(const Zero *z, const Target *target, MPI_Comm dp)
{
    Regroup *x = malloc(sizeof *x);
    CHECK(x, "no memory for Muon's matrices");
    prepare(x, z, target);
    layout(x);
    arena_alloc(&x->arena);
    layout(x);
    x->dp = dp;
    return x;
}

void regroup_close(Regroup *x)
{
    arena_free(&x->arena);
    free(x->param);
    free(x);
}

size_t regroup_memory(const Zero *z, const Target *target)
{
    Regroup x;
    prepare(&x, z, target);
    layout(&x);
    free(x.param);
    return x.arena.size;
}

int64_t regroup_landed(const Zero *z, const Target *target)
{
    const Regroup x = { .z = z, .target = target };
    int64_t n = 0;
    for (int i = 0; i < z->table->n && z->ranks > 1; i++)
        if (goes(&x, i) && target[i].way != WAY_COLS) {
            const Meeting m = meet(&x, i, z->rank, z->rank);
            n += block_count(m.block) - common(&m);
        }
    return n;
}

int64_t regroup_bytes(const Zero *z, const Target *target)
{
    const Regroup x = { .z = z, .target = target };
    int64_t n = 0;
    for (int i = 0; i < z->table->n && z->ranks > 1; i++)
        if (goes(&x, i)) {
            const Meeting m = meet(&x, i, z->rank, z->rank);
            n += m.part.n + block_count(m.block) - 2 * common(&m);
        }
    return n * (int64_t)sizeof(float);
}

/* ---- there and back ---- */

float *regroup_at(const Regroup *x, int i, float *grads)
{
    const Block b = regroup_block(x->z, x->target, i, x->z->rank);
    int rows, cols;
    piece_dims(x->z->table, i, &rows, &cols);
    return x->columns[i] ? x->columns[i] : grads + x->z->table->p[i].grad + (int64_t)b.row * cols;
}

/* The matrices [from, to) of the list: what this rank holds flat, by the rank that has it in blocks, or what it has in blocks, by the
   rank that holds it flat; into the buffer, or out of it. */
static void pack(Regroup *x, int from, int to, float *grads, bool flat, bool out)
{
    const int me = x->z->rank;
    float *dense = flat ? x->shares : x->blocks;
    int64_t *n = flat ? x->nshares : x->nblocks;
    for (int r = 0; r < x->z->ranks; r++) {
        n[r] = 0;
        for (int k = from; k < to; k++) {
            const int i = x->param[k];
            const Meeting m = meet(x, i, flat ? me : r, flat ? r : me);
            const int64_t moved = move(&m, flat ? grads + x->z->table->p[i].grad : NULL, regroup_at(x, i, grads), dense, out);
            dense += moved;
            n[r] += moved;
        }
    }
}

/* What a round brings to the buffer that is filled next. */
static void expect(Regroup *x, int from, int to, bool flat)
{
    const int me = x->z->rank;
    for (int r = 0; r < x->z->ranks; r++) {
        int64_t n = 0;
        for (int k = from; k < to; k++) {
            const Meeting m = meet(x, x->param[k], flat ? me : r, flat ? r : me);
            n += common(&m);
        }
        (flat ? x->nshares : x->nblocks)[r] = n;
    }
}

static void travel(Regroup *x, float *grads, bool back)
{
    for (int from = 0, to; from < x->n && x->z->ranks > 1; from = to) {
        for (to = from + 1; to < x->n && x->round[to] == x->round[from];)
            to++;
        pack(x, from, to, grads, !back, true);
        expect(x, from, to, back);
        if (back)
            comm_exchange_f32(x->dp, x->shares, x->nshares, x->blocks, x->nblocks);
        else
            comm_exchange_f32(x->dp, x->blocks, x->nblocks, x->shares, x->nshares);
        pack(x, from, to, grads, back, false);
    }
}

void regroup_gather(Regroup *x, float *grads) { travel(x, grads, false); }
void regroup_return(Regroup *x, float *grads) { travel(x, grads, true); }
