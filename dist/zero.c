#include "dist/zero.h"

#include <stdlib.h>
#include <string.h>

#include "core/ops.h"

/* ---- who owns what ---- */

/* This rank's piece of a tensor: rows and cols; a vector is (rows,1). */
static void piece_dims(const Params *t, int i, int *rows, int *cols)
{
    const Slice s = param_slice(t, i);
    *rows = (int)slice_extent(&s, 0);
    *cols = s.dims > 1 ? (int)slice_extent(&s, 1) : 1;
}

/* What Newton-Schulz costs grows with the product of the sides and the smaller one. */
static double muon_cost(const Params *t, int i)
{
    const double rows = t->p[i].rows, cols = t->p[i].cols;
    return rows * cols * (rows < cols ? rows : cols);
}

/* Whole matrices go, the most costly first, to the owner with the least to do so far; the same on all ranks. */
static void deal(Zero *z)
{
    const Params *t = z->table;
    double *load = calloc((size_t)z->ranks, sizeof *load);
    bool *dealt = calloc((size_t)t->n, sizeof *dealt);
    CHECK(load && dealt, "no memory for the owners of %d tensors", t->n);
    for (;;) {
        int next = -1, least = 0;
        for (int i = 0; i < t->n; i++)
            if (z->cut[i] == CUT_WHOLE && !dealt[i] && (next < 0 || muon_cost(t, i) > muon_cost(t, next)))
                next = i;
        if (next < 0)
            break;
        for (int r = 1; r < z->ranks; r++)
            if (load[r] < load[least])
                least = r;
        z->owner[next] = least;
        load[least] += muon_cost(t, next);
        dealt[next] = true;
    }
    free(load);
    free(dealt);
}

void zero_open(Zero *z, const Params *t, int dp_rank, int dp_size, const ZeroConf *c)
{
    *z = (Zero){ .table = t, .ranks = dp_size, .rank = dp_rank };
    z->cut = calloc((size_t)t->n + 1, sizeof *z->cut);
    z->owner = calloc((size_t)t->n + 1, sizeof *z->owner);
    z->mine = calloc((size_t)t->n + 1, sizeof *z->mine);
    CHECK(z->cut && z->owner && z->mine, "no memory for the owners of %d tensors", t->n);
    for (int i = 0; i < t->n; i++) {
        const Param *p = &t->p[i];
        const bool muon = c->muon && c->muon[i], shared = p->split >= 0 && p->copies > 1;
        z->cut[i] = muon && (c->whole || shared) ? CUT_WHOLE
                  : p->split == 0 && p->cols > 1 && t->tp_size > 1 ? CUT_COLS : CUT_ROWS;
        z->mine[i] = p->grad >= 0 && (muon || (c->zero1 && !(p->flags & STATE)));
        z->any |= z->mine[i] && dp_size > 1;
    }
    deal(z);
}

void zero_close(Zero *z)
{
    free(z->cut);
    free(z->owner);
    free(z->mine);
    *z = (Zero){ 0 };
}

/* Block `owner` of n things in equal blocks, the last ones shorter or empty: ScaLAPACK's one block a process. */
static void block(int n, int owner, int ranks, int *first, int *count)
{
    const int each = (int)ceil_div(n, ranks);
    *first = (int)min64(n, (int64_t)owner * each);
    *count = (int)min64(each, n - *first);
}

Share zero_share(const Zero *z, int i, int owner)
{
    Share s = { 0 };
    piece_dims(z->table, i, &s.rows, &s.cols);
    if (z->cut[i] == CUT_COLS)
        block(s.cols, owner, z->ranks, &s.col, &s.cols);
    else if (z->cut[i] == CUT_ROWS)
        block(s.rows, owner, z->ranks, &s.row, &s.rows);
    else if (z->owner[i] != owner)
        s.rows = 0;
    return s;
}

Slice zero_slice(const Zero *z, int i, int owner)
{
    const Share s = zero_share(z, i, owner);
    const Slice piece = param_slice(z->table, i);
    Slice mine = slice_range(piece, 0, piece.start[0] + s.row, s.rows);
    return piece.dims > 1 ? slice_range(mine, 1, piece.start[1] + s.col, s.cols) : mine;
}

/* Calls op.copy for each run of a share's elements [from, to) that lies together in the piece. */
static void move(float *dense, float *piece, const Zero *z, int i, int owner, int64_t from, int64_t to, bool out)
{
    const Share s = zero_share(z, i, owner);
    int rows, cols;
    piece_dims(z->table, i, &rows, &cols);
    const int64_t run = s.cols == cols ? share_count(s) : s.cols;
    for (int64_t e = from, n; e < to; e += n) {
        float *at = piece + (s.row + e / s.cols) * cols + s.col + e % s.cols;
        n = min64(to - e, run - e % run);
        op.copy(out ? dense + (e - from) : at, out ? at : dense + (e - from), n);
    }
}

void zero_pack(float *out, const Zero *z, int i, int owner, const float *piece, int64_t from, int64_t to)
{
    move(out, (float *)piece, z, i, owner, from, to, true);
}

void zero_unpack(float *piece, const Zero *z, int i, int owner, const float *in, int64_t from, int64_t to)
{
    move((float *)in, piece, z, i, owner, from, to, false);
}

/* ---- lots ---- */

typedef bool Want(const Zero *z, int i);

/* The elements of an owner's share of tensor i that a lot takes. */
static void range(const Zero *z, const Lot *l, int i, int owner, int64_t *from, int64_t *to)
{
    const int64_t n = share_count(zero_share(z, i, owner));
    *from = n * l->part / l->parts;
    *to = n * (l->part + 1) / l->parts;
}

int zero_lots(const Zero *z, Want *want, int64_t span, Lot *out)
{
    const Params *t = z->table;
    int n = 0;
    Lot l = { 0, 0, 0, 1 };
    int64_t held = 0;
    for (int i = 0; i <= t->n; i++) {
        const bool end = i == t->n;
        const int64_t count = !end && want(z, i) ? t->p[i].count : 0;
        if (held > 0 && (end || held + count > span)) {        /* the lot is full before this tensor */
            l.last = i;
            if (out)
                out[n] = l;
            n++;
            l.first = i;
            held = 0;
        }
        const int parts = (int)ceil_div(count, span);
        for (int k = 0; parts > 1 && k < parts; k++, n++)
            if (out)
                out[n] = (Lot){ i, i + 1, k, parts };
        if (parts > 1)
            l.first = i + 1;
        else
            held += count;
    }
    return n;
}

int64_t zero_lot_count(const Zero *z, Want *want, const Lot *l, int owner)
{
    int64_t n = 0, from, to;
    for (int i = l->first; i < l->last; i++)
        if (want(z, i)) {
            range(z, l, i, owner, &from, &to);
            n += to - from;
        }
    return n;
}

static int64_t base(const Param *p, int of) { return of == OF_WEIGHTS ? p->offset : p->grad; }

void zero_lot_pack(float *out, const Zero *z, Want *want, const Lot *l, int owner, const float *flat, int of)
{
    int64_t from, to;
    for (int i = l->first; i < l->last; i++)
        if (want(z, i)) {
            range(z, l, i, owner, &from, &to);
            zero_pack(out, z, i, owner, flat + base(&z->table->p[i], of), from, to);
            out += to - from;
        }
}

void zero_lot_unpack(float *flat, const Zero *z, Want *want, const Lot *l, int owner, const float *in, int of)
{
    int64_t from, to;
    for (int i = l->first; i < l->last; i++)
        if (want(z, i)) {
            range(z, l, i, owner, &from, &to);
            zero_unpack(flat + base(&z->table->p[i], of), z, i, owner, in, from, to);
            in += to - from;
        }
}
