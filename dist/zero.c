#include "dist/zero.h"

#include <limits.h>
#include <stdlib.h>

#include "core/ops.h"

/* ---- the cut ---- */

typedef struct { bool owned, state, muon; } Kind;

static Kind kind_of(const Param *p, int i, const ZeroConf *c)
{
    const bool state = p->flags & STATE, muon = c->muon && c->muon[i];
    return (Kind){ muon || (c->zero1 && !state), state, muon };
}

/* Does tensor i go on where the section ends, in both buffers, alike, and small enough? */
static bool joins(const Section *s, const Param *p, Kind k, int i, int64_t most)
{
    return s->last == i && s->owned == k.owned && s->state == k.state && s->muon == k.muon &&
           p->grad - s->at == p->offset - s->weights && p->grad + p->count - s->at <= most;
}

static void close_section(Section *s, const Params *t, int ranks)
{
    const Param *end = &t->p[s->last - 1];
    s->n = end->grad + end->count - s->at;
    CHECK(s->n <= INT_MAX, "%s: %lld elements are more than an int counts", end->name, (long long)s->n);
    s->each = ceil_div(ceil_div(s->n + s->at % GRAIN, ranks), GRAIN) * GRAIN;
}

void zero_open(Zero *z, const Params *t, int dp_rank, int dp_size, const ZeroConf *c)
{
    const int64_t most = c->bytes / (int64_t)sizeof(float);
    *z = (Zero){ .table = t, .ranks = dp_size, .rank = dp_rank, .levels = c->levels.n ? c->levels : levels_one(dp_size) };
    ASSERT(z->levels.replicas == dp_size);
    z->section = calloc((size_t)t->n + 1, sizeof *z->section);
    z->of = calloc((size_t)t->n + 1, sizeof *z->of);
    z->owner = calloc((size_t)dp_size, sizeof *z->owner);
    CHECK(z->section && z->of && z->owner, "no memory for the sections of %d tensors and the shares of %d replicas", t->n, dp_size);
    for (int place = 0; place < dp_size; place++)
        z->owner[place] = levels_owner(&z->levels, place);
    for (int i = 0; i < t->n; i++) {
        const Param *p = &t->p[i];
        const Kind k = kind_of(p, i, c);
        z->of[i] = -1;
        if (p->grad < 0)
            continue;
        if (z->sections == 0 || !joins(&z->section[z->sections - 1], p, k, i, most))
            z->section[z->sections++] = (Section){ .first = i, .at = p->grad, .weights = p->offset, .owned = k.owned, .state = k.state,
                                                   .muon = k.muon };
        z->of[i] = z->sections - 1;
        z->section[z->of[i]].last = i + 1;
        z->any |= k.owned && dp_size > 1;
    }
    for (int k = 0; k < z->sections; k++)
        close_section(&z->section[k], t, dp_size);
}

void zero_close(Zero *z)
{
    free(z->section);
    free(z->of);
    free(z->owner);
    *z = (Zero){ 0 };
}

Range zero_piece(const Section *s, int owner, int64_t from, int64_t n)
{
    const int64_t begin = s->at / GRAIN * GRAIN + owner * s->each;
    return range_meet((Range){ s->at, s->n }, (Range){ begin + from, max64(0, min64(n, s->each - from)) });
}

Range zero_share(const Section *s, int owner) { return zero_piece(s, owner, 0, s->each); }

Range zero_part(const Zero *z, int i, int owner)
{
    const Param *p = &z->table->p[i];
    if (z->of[i] < 0)
        return (Range){ 0 };
    return range_meet(zero_share(&z->section[z->of[i]], owner), (Range){ p->grad, p->count });
}

Range zero_held(const Zero *z, const Section *s)
{
    return s->owned ? zero_share(s, z->rank) : (Range){ s->at, s->n };
}

/* Rows [row, row + rows) and columns [col, col + cols) of this rank's piece. */
static Slice box(const Slice *piece, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    const Slice s = slice_range(*piece, 0, piece->start[0] + row, rows);
    return s.dims > 1 ? slice_range(s, 1, piece->start[1] + col, cols) : s;
}

void zero_slices(const Zero *z, int i, Range r, Slice out[ZERO_SLICES])
{
    const Slice piece = param_slice(z->table, i);
    const int64_t wide = piece.dims > 1 ? slice_extent(&piece, 1) : 1, at = r.n ? r.at - z->table->p[i].grad : 0, end = at + r.n;
    const int64_t first = min64(end, ceil_div(at, wide) * wide), last = max64(first, end / wide * wide);
    out[0] = box(&piece, at / wide, first > at, at % wide, first - at);
    out[1] = box(&piece, first / wide, (last - first) / wide, 0, wide);
    out[2] = box(&piece, last / wide, end > last, last % wide, end - last);
}

/* ---- rounds ---- */

int zero_rounds(const Section *s, int ranks, int64_t bytes, int64_t *n)
{
    const int64_t most = max64(16, bytes / (int64_t)sizeof(float) / ranks);
    const int64_t rounds = ceil_div(s->each, most);
    *n = ceil_div(ceil_div(s->each, rounds), 16) * 16;
    return (int)ceil_div(s->each, *n);
}

/* A decoder block's gradients, which become final within a short time, and its weights are about a sixteenth of a small model's; of a large
   one this much must do. */
int zero_ring(int rounds, int least, int64_t all, int64_t bytes)
{
    enum { SHARE = 16, MOST_BYTES = 512 << 20 };
    const int64_t n = ceil_div(min64(MOST_BYTES, all / SHARE), bytes);
    return (int)max64(1, min64(rounds, max64(least, n)));
}

Pieces pieces_take(Arena *a, int ranks)
{
    return (Pieces){ TAKE(a, int, ranks), TAKE(a, int, ranks), TAKE(a, int, ranks + 1) };
}

void pieces_of(const Pieces *p, const Zero *z, Round r)
{
    const Section *s = &z->section[r.section];
    p->packed[0] = 0;
    for (int k = 0; k < z->ranks; k++) {
        const Range piece = zero_piece(s, z->owner[k], r.from, r.n);
        p->count[k] = (int)piece.n;
        p->at[k] = piece.n ? (int)(piece.at - s->at) : 0;
        p->packed[k + 1] = p->packed[k] + p->count[k];
    }
}

void pieces_unpack(const Pieces *p, int ranks, float *section, const float *packed)
{
    for (int k = 0; k < ranks; k++)
        op.copy(section + p->at[k], packed + p->packed[k], p->count[k]);
}
