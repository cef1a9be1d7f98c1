#include "io/ckpt/saveplan.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_SHARE = 64 << 10 };        /* bytes below which a box is not divided */

/* A piece as the others need to know it. */
typedef struct { int32_t row, rows, col, cols; } Box;

/* What all ranks hold of one tensor: a holder is piece h % pieces of rank h / pieces; a group is those that hold the same box. */
typedef struct { Box box; int first, n; bool mine; } Group;
typedef struct {
    const Box *box;                     /* of piece k of rank r: box[r * stride + k] */
    int        ranks, stride, pieces;
    int       *holder;                  /* (ranks * pieces) by group, in it by rank */
    Group     *group;                   /* (ranks * pieces) */
    int        groups, holders;
    int64_t   *load;                    /* (ranks) floats to write so far */
} Holders;

static Box box_at(const Holders *h, int holder) { return h->box[(int64_t)(holder / h->pieces) * h->stride + holder % h->pieces]; }
static int rank_of(const Holders *h, int i) { return h->holder[i] / h->pieces; }

static void *room(int64_t n, size_t bytes)
{
    void *p = calloc((size_t)n + 1, bytes);
    CHECK(p, "no memory for the plan of a checkpoint");
    return p;
}

static void dims_of(const Slice *s, int64_t *rows, int64_t *cols)
{
    *rows = s->size[0], *cols = 1;
    for (int d = 1; d < s->dims; d++)
        *cols *= s->size[d];
}

/* Rows and columns of a piece; a tensor of more than two dims is a matrix of its first. */
static Box box_of(const Slice *s)
{
    int64_t rows, cols, wide = 1;
    dims_of(s, &rows, &cols);
    for (int d = 1; d < s->dims; d++)
        wide *= slice_extent(s, d);
    ASSERT(rows <= INT32_MAX && cols <= INT32_MAX && s->count[0] <= 1 && (s->dims == 2 ? s->count[1] <= 1 : s->dims < 2 || wide == cols));
    const int64_t high = slice_extent(s, 0);
    if (high == 0 || wide == 0)
        return (Box){ 0, 0, 0, 0 };
    return (Box){ (int32_t)s->start[0], (int32_t)high, (int32_t)(s->dims == 2 ? s->start[1] : 0), (int32_t)wide };
}

static Slice slice_of(const Slice *tensor, int64_t row, int64_t rows, int64_t col, int64_t cols)
{
    Slice s = slice_range(slice_whole(tensor->dims, tensor->size), 0, row, rows);
    return tensor->dims == 2 ? slice_range(s, 1, col, cols) : s;
}

static int compare(const void *a, const void *b, void *context)
{
    const Holders *h = context;
    const int x = *(const int *)a, y = *(const int *)b;
    const Box p = box_at(h, x), q = box_at(h, y);
    const int32_t order = p.row != q.row ? p.row - q.row : p.col != q.col ? p.col - q.col : p.rows != q.rows ? p.rows - q.rows : p.cols - q.cols;
    return order ? order : x - y;
}

static void find_groups(Holders *h, int rank)
{
    h->groups = h->holders = 0;
    for (int k = 0; k < h->ranks * h->pieces; k++)
        if (box_at(h, k).rows)
            h->holder[h->holders++] = k;
    qsort_r(h->holder, (size_t)h->holders, sizeof *h->holder, compare, h);
    for (int i = 0; i < h->holders; i++) {
        const Box b = box_at(h, h->holder[i]);
        if (h->groups && !memcmp(&h->group[h->groups - 1].box, &b, sizeof b))
            h->group[h->groups - 1].n++;
        else
            h->group[h->groups++] = (Group){ b, i, 1, false };
        h->group[h->groups - 1].mine |= rank_of(h, i) == rank;
    }
}

/* Distinct boxes cover a tensor just once if none meets another and their elements are all there are.  They are sorted by row:
   in a grid of boxes those above the last one that ends too early end earlier still. */
static bool covered(const Holders *h, const Piece *p, Err *e)
{
    int64_t rows, cols, sum = 0;
    bool apart = true;
    dims_of(&p->slice, &rows, &cols);
    for (int g = 0; g < h->groups; g++) {
        const Box a = h->group[g].box;
        sum += (int64_t)a.rows * a.cols;
        for (int k = g - 1; k >= 0 && apart && h->group[k].box.row + h->group[k].box.rows > a.row; k--) {
            const Box b = h->group[k].box;
            apart = a.col >= b.col + b.cols || b.col >= a.col + a.cols;
        }
    }
    if (apart && sum == rows * cols)
        return true;
    err_expected(e, "%" PRId64 " elements", rows * cols);
    err_got(e, "%" PRId64 "%s", sum, apart ? "" : ", some of them twice");
    return err_set(e, EXIT_INTERNAL, p->name, "", "what the ranks hold of tensor \"%s\" is not the whole of it", p->name);
}

static int by_load(const void *a, const void *b, void *load)
{
    const int x = *(const int *)a, y = *(const int *)b;
    const int64_t lx = ((const int64_t *)load)[x], ly = ((const int64_t *)load)[y];
    return lx < ly ? -1 : lx > ly ? 1 : x - y;
}

static int by_rank(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* The ranks that hold some of the boxes [first, first + n), each once, into `rank`; returns how many. */
static int ranks_of(const Holders *h, int first, int n, int *rank)
{
    int out = 0;
    for (int i = first; i < first + n; i++)
        rank[out++] = rank_of(h, i);
    qsort(rank, (size_t)out, sizeof *rank, by_rank);
    const int all = out;
    out = 0;
    for (int i = 0; i < all; i++)
        if (out == 0 || rank[i] != rank[out - 1])
            rank[out++] = rank[i];
    return out;
}

/* Chooses who of those that hold some of n boxes write rows x cols floats, into `chosen` (n), sorted by rank; returns how many. */
static int choose(Holders *h, int first, int boxes, int64_t rows, int64_t cols, int *chosen)
{
    const int n = ranks_of(h, first, boxes, chosen);
    const int writers = (int)max64(1, min64(min64(n, rows), rows * cols * 4 / LEAST_SHARE));
    if (writers < n)
        qsort_r(chosen, (size_t)n, sizeof *chosen, by_load, h->load);
    qsort(chosen, (size_t)writers, sizeof *chosen, by_rank);
    for (int k = 0; k < writers; k++)
        h->load[chosen[k]] += (rows * (k + 1) / writers - rows * k / writers) * cols;
    return writers;
}

/* ---- this rank's share of it ---- */

typedef struct { SavePlan *s; int rank, parts_room, sends_room, recvs_room; } Builder;

static SavePart *add_part(Builder *b, int tensor, Slice slice)
{
    SavePlan *s = b->s;
    if (s->parts == b->parts_room) {
        b->parts_room = 2 * b->parts_room + 64;
        s->part = realloc(s->part, (size_t)b->parts_room * sizeof *s->part);
        CHECK(s->part, "no memory for the plan of a checkpoint");
    }
    s->part[s->parts] = (SavePart){ tensor, slice, 0, NULL };
    return &s->part[s->parts++];
}

static void add_move(SaveMove **list, int *n, int *cap, SaveMove m)
{
    if (*n == *cap) {
        *cap = 2 * *cap + 64;
        *list = realloc(*list, (size_t)*cap * sizeof **list);
        CHECK(*list, "no memory for the plan of a checkpoint");
    }
    (*list)[(*n)++] = m;
}

/* The piece of this rank's that a group is of. */
static const Piece *piece_of(const Builder *b, const Holders *h, const Group *g, int first)
{
    for (int i = g->first; i < g->first + g->n; i++)
        if (rank_of(h, i) == b->rank)
            return &b->s->piece[first + h->holder[i] % h->pieces];
    return NULL;
}

/* Each group's box is divided among those that hold it: nothing crosses.  first: the tensor's first piece. */
static void divide(Builder *b, Holders *h, int tensor, int first, int *chosen)
{
    for (int g = 0; g < h->groups; g++) {
        const Box box = h->group[g].box;
        const int writers = choose(h, h->group[g].first, h->group[g].n, box.rows, box.cols, chosen);
        for (int k = 0; k < writers; k++) {
            const int64_t from = (int64_t)box.rows * k / writers, to = (int64_t)box.rows * (k + 1) / writers;
            if (chosen[k] != b->rank)
                continue;
            const Piece *p = piece_of(b, h, &h->group[g], first);
            add_part(b, tensor, slice_of(&p->slice, box.row + from, to - from, box.col, box.cols))->live = p->data + from * box.cols;
        }
    }
}

/* Who of a group sends to `rank`: itself, or the nearest. */
static int sender(const Holders *h, const Group *g, int rank)
{
    int best = rank_of(h, g->first);
    for (int i = g->first; i < g->first + g->n; i++)
        if (abs(rank_of(h, i) - rank) < abs(best - rank))
            best = rank_of(h, i);
    return best;
}

/* Whole rows are divided among all holders, who get the columns that they have not.  Who sends what to whom is asked only where
   this rank is one of them: of a thousand ranks all pairs would take minutes. */
static void gather(Builder *b, Holders *h, int tensor, int first, int *chosen)
{
    const Slice *whole = &b->s->piece[first].slice;
    int64_t rows, cols;
    dims_of(whole, &rows, &cols);
    const int writers = choose(h, 0, h->holders, rows, cols, chosen);
    for (int k = 0; k < writers; k++) {
        const int64_t from = rows * k / writers, to = rows * (k + 1) / writers;
        const int part = b->s->parts;
        if (chosen[k] == b->rank)
            add_part(b, tensor, slice_of(whole, from, to - from, 0, cols));
        for (int g = 0; g < h->groups; g++) {
            const Group *group = &h->group[g];
            const int64_t a = max64(from, group->box.row), z = min64(to, group->box.row + group->box.rows);
            if (a >= z || (chosen[k] != b->rank && !group->mine))
                continue;
            const int from_rank = sender(h, group, chosen[k]);
            const Slice s = slice_of(whole, a, z - a, group->box.col, group->box.cols);
            if (from_rank == b->rank)
                add_move(&b->s->send, &b->s->sends, &b->sends_room,
                         (SaveMove){ tensor, chosen[k], (int)(piece_of(b, h, group, first) - b->s->piece), -1, s });
            if (chosen[k] == b->rank)
                add_move(&b->s->recv, &b->s->recvs, &b->recvs_room, (SaveMove){ tensor, from_rank, -1, part, s });
        }
    }
}

/* One row's part is one run, however short: a piece has two such ends at most. */
static bool narrow(const Holders *h, int64_t cols)
{
    for (int g = 0; g < h->groups; g++)
        if (h->group[g].box.rows > 1 && h->group[g].box.cols < cols && (int64_t)h->group[g].box.cols * 4 < LONG_RUN)
            return true;
    return false;
}

/* Parts that are put together come first in the staging memory: without `all` no more of it is needed. */
static void place(SavePlan *s)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < s->parts; i++)
            if ((s->part[i].live != NULL) == (pass == 1)) {
                s->part[i].at = s->floats;
                s->floats += slice_total(&s->part[i].slice);
                s->crossing = pass ? s->crossing : s->floats;
            }
}

/* The most that one tensor's moves take. */
static void measure(SavePlan *s, int n)
{
    int64_t *sum = room(n, sizeof *sum);
    for (int i = 0; i < s->sends; i++)
        sum[s->send[i].tensor] += slice_total(&s->send[i].slice);
    for (int i = 0; i < s->recvs; i++)
        sum[s->recv[i].tensor] += slice_total(&s->recv[i].slice);
    for (int i = 0; i < n; i++)
        s->widest = max64(s->widest, sum[i]);
    free(sum);
}

static int most_pieces(const Piece *p, int n)
{
    int most = 0;
    for (int i = 0, next; i < n; most = next - i > most ? next - i : most, i = next)
        next = piece_next(p, n, i);
    return most;
}

bool saveplan_open(SavePlan *s, MPI_Comm comm, const Piece *p, int n, Err *e)
{
    Holders h = { 0 };
    Builder b = { .s = s };
    *s = (SavePlan){ .comm = comm, .piece = p };
    MPI_Comm_rank(comm, &b.rank);
    MPI_Comm_size(comm, &h.ranks);
    const int64_t holders = (int64_t)h.ranks * most_pieces(p, n);
    Box *all = room((int64_t)h.ranks * n, sizeof *all), *mine = room(n, sizeof *mine);
    int *chosen = room(holders, sizeof *chosen);
    for (int i = 0; i < n; i++)
        mine[i] = box_of(&p[i].slice);
    MPI_Allgather(mine, n * 4, MPI_INT32_T, all, n * 4, MPI_INT32_T, comm);
    h.holder = room(holders, sizeof *h.holder);
    h.group = room(holders, sizeof *h.group);
    h.load = room(h.ranks, sizeof *h.load);
    h.stride = n;
    bool ok = true;
    for (int i = 0, next, tensor = 0; i < n && ok; i = next, tensor++) {
        int64_t rows, cols;
        next = piece_next(p, n, i);
        h.box = all + i;
        h.pieces = next - i;
        dims_of(&p[i].slice, &rows, &cols);
        find_groups(&h, b.rank);
        ok = covered(&h, &p[i], e);
        if (ok && narrow(&h, cols))
            gather(&b, &h, tensor, i, chosen);
        else if (ok)
            divide(&b, &h, tensor, i, chosen);
    }
    place(s);
    measure(s, n);
    free(h.holder);
    free(h.group);
    free(h.load);
    free(all);
    free(mine);
    free(chosen);
    return ok;
}

void saveplan_close(SavePlan *s)
{
    free(s->part);
    free(s->send);
    free(s->recv);
    *s = (SavePlan){ 0 };
}

/* ---- a save ---- */

/* Tensor by tensor, so that the work memory is one tensor's. */
static void exchange(const SavePlan *s, float *stage, float *work)
{
    MPI_Request *r = room(s->sends + s->recvs, sizeof *r);
    for (int i = 0, o = 0; i < s->recvs || o < s->sends; ) {
        const int next_in = i < s->recvs ? s->recv[i].tensor : INT_MAX, next_out = o < s->sends ? s->send[o].tensor : INT_MAX;
        const int tensor = next_in < next_out ? next_in : next_out, first = i;
        float *at = work;
        int n = 0;
        for (; i < s->recvs && s->recv[i].tensor == tensor; at += slice_total(&s->recv[i++].slice))
            MPI_Irecv(at, (int)slice_total(&s->recv[i].slice), MPI_FLOAT, s->recv[i].peer, 0, s->comm, &r[n++]);
        for (; o < s->sends && s->send[o].tensor == tensor; at += slice_total(&s->send[o++].slice)) {
            const Piece *p = &s->piece[s->send[o].from];
            slice_copy(at, &s->send[o].slice, p->data, &p->slice, sizeof *at);
            MPI_Isend(at, (int)slice_total(&s->send[o].slice), MPI_FLOAT, s->send[o].peer, 0, s->comm, &r[n++]);
        }
        MPI_Waitall(n, r, MPI_STATUSES_IGNORE);
        at = work;
        for (int k = first; k < i; at += slice_total(&s->recv[k++].slice)) {
            const SavePart *to = &s->part[s->recv[k].to];
            slice_copy(stage + to->at, &to->slice, at, &s->recv[k].slice, sizeof *at);
        }
    }
    free(r);
}

void saveplan_stage(const SavePlan *s, float *stage, float *work, bool all)
{
    exchange(s, stage, work);
    if (!all)
        return;
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < s->parts; i++)
        if (s->part[i].live)
            memcpy(stage + s->part[i].at, s->part[i].live, (size_t)slice_total(&s->part[i].slice) * sizeof *stage);
}
