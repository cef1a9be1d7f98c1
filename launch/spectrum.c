/* spectrum.c -- `asvr spectrum`: singular values of a checkpoint's matrices and of what pictures look like in the model */
#include "launch/spectrum/spectrum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops.h"
#include "dist/comm.h"
#include "launch/bases.h"
#include "launch/verbs.h"

enum { GROUP = 1 << 24 /* elements of matrices dealt whole that a rank holds at once, on average */ };

/* ---- weights ---- */

static int64_t elements(const Matrix *m) { return m->rows * m->cols; }

/* Flops: the covariance, then its eigenvalues. */
static double cost(const Matrix *m)
{
    const double n = (double)min64(m->rows, m->cols), longer = (double)max64(m->rows, m->cols);
    return n * n * (longer + 4.0 / 3 * n);
}

static int dearer(const void *a, const void *b)
{
    const Matrix *x = *(const Matrix *const *)a, *y = *(const Matrix *const *)b;
    return cost(x) != cost(y) ? (cost(x) < cost(y) ? 1 : -1) : x < y ? -1 : 1;
}

/* owner[i] of the matrices [first, last). */
static void deal(const Spectrum *s, int first, int last, int *owner)
{
    const int n = last - first, ranks = s->r.grid.size;
    const Matrix **order = calloc((size_t)n, sizeof *order);
    double *load = calloc((size_t)ranks, sizeof *load);
    CHECK(order && load, "no memory for a list of %d matrices", n);
    for (int i = 0; i < n; i++)
        order[i] = &s->matrix[first + i];
    qsort(order, (size_t)n, sizeof *order, dearer);
    for (int i = 0; i < n; i++) {
        int least = 0;
        for (int r = 1; r < ranks; r++)
            least = load[r] < load[least] ? r : least;
        owner[order[i] - (s->matrix + first)] = least;
        load[least] += cost(order[i]);
    }
    free(order);
    free(load);
}

static void values_of(Spectrum *s, const Svd *svd, const Matrix *m, const Piece *p)
{
    double *to = s->values + m->at;
    const int64_t rows = slice_extent(&p->slice, 0), cols = slice_extent(&p->slice, 1);
    if (!svd_values(svd, to, p->data, rows, cols, svd_dim(m->rows, m->cols)))
        to[0] = NAN;
    if (svd && s->r.grid.rank != 0)
        memset(to, 0, (size_t)min64(m->rows, m->cols) * sizeof *to);      /* every rank has them: rank 0's go into the sum */
}

/* What of a pair belongs to this rank's rows and columns of w. */
static void pair_pieces(Piece p[2], const Matrix *m, const Slice *w)
{
    const CkptTensor *const half[2] = { m->a, m->up };
    for (int k = 0; k < 2; k++) {
        const int dim = k == 0;                                     /* a has w's columns, up its rows */
        const bool none = slice_total(w) == 0;
        p[k].name = half[k]->name;
        p[k].slice = slice_range(slice_whole(2, half[k]->size), dim, none ? 0 : w->start[dim], none ? 0 : slice_extent(w, dim));
        p[k].data = malloc((size_t)slice_total(&p[k].slice) * sizeof(float) + 1);
        CHECK(p[k].data, "no memory for a half of a low-rank pair");
    }
}

/* w += s up a, of this rank's rows and columns. */
static void add_pair(const Spectrum *s, const Piece *w, const Piece p[2])
{
    const int rank = (int)p[0].slice.size[0], cols = (int)slice_extent(&w->slice, 1);
    if (slice_total(&w->slice))
        op.product(w->data, cols, p[1].data, rank, false, p[0].data, cols, false, slice_extent(&w->slice, 0), cols, rank, (float)(s->meta.lora_alpha / rank), 1);
}

/* Matrices [first, last): loads of each what this rank holds, and leaves its singular values there.  owner NULL: in slabs. */
static bool weights_group(Spectrum *s, Bases *b, int first, int last, const int *owner, Err *e)
{
    const int n = last - first;
    Piece *p = calloc((size_t)n, 4 * sizeof *p), *load = p + n;        /* load: matrices and halves of pairs */
    char (*names)[CKPT_NAME] = calloc((size_t)n, sizeof *names);
    int loads = 0;
    CHECK(p && names, "no memory for a list of %d matrices", n);
    for (int i = 0; i < n; i++) {
        const Matrix *m = &s->matrix[first + i];
        const int64_t size[2] = { m->rows, m->cols };
        const Slice whole = slice_whole(2, size);
        snprintf(names[i], CKPT_NAME, "%s%.30s.%.56s", SPECTRUM_WEIGHTS, m->part, m->name);
        p[i].name = names[i];
        p[i].slice = !owner ? svd_slab(&s->svd, m->rows, m->cols) : owner[i] == s->r.grid.rank ? whole : slice_range(whole, 0, 0, 0);
        p[i].data = calloc((size_t)slice_total(&p[i].slice) + 1, sizeof(float));
        CHECK(p[i].data, "no memory for %lld elements of %s", (long long)slice_total(&p[i].slice), names[i]);
        if (!m->update)
            load[loads++] = p[i];
        if (m->a)
            pair_pieces(&load[loads], m, &p[i].slice), loads += 2;
    }
    const bool ok = bases_fill(b, load, loads, CKPT_WANTED, e);
    for (int i = 0, at = 0; i < n; i++) {
        const Matrix *m = &s->matrix[first + i];
        at += !m->update;
        if (ok && m->a)
            add_pair(s, &p[i], &load[at]);
        if (ok && (!owner || owner[i] == s->r.grid.rank))
            values_of(s, owner ? NULL : &s->svd, m, &p[i]);
        free(p[i].data);
        for (int k = 0; m->a && k < 2; k++)
            free(load[at++].data);
    }
    free(names);
    free(p);
    return ok;
}

static bool weights_look(Spectrum *s, Bases *b, Err *e)
{
    const int64_t most = (int64_t)GROUP * s->r.grid.size, whole = s->r.c->spectrum.whole;
    bool ok = true;
    int *owner = calloc((size_t)s->weights + 1, sizeof *owner);
    CHECK(owner, "no memory for a list of %d matrices", s->weights);
    for (int first = 0, last; first < s->weights && ok; first = last) {
        int64_t held = 0;
        for (last = first; last < s->weights; last++) {
            const int64_t more = elements(&s->matrix[last]);
            if (more > whole || (held && held + more > most))
                break;
            held += more;
        }
        const bool slabs = held == 0;
        if (slabs)
            last++;
        else
            deal(s, first, last, owner);
        ok = weights_group(s, b, first, last, slabs ? NULL : owner, e);
    }
    free(owner);
    return ok;
}

/* ---- codebooks ---- */

BookUse spectrum_use(const float *count, int S)
{
    BookUse u = { 0 };
    for (int j = 0; j < S; j++)
        u.total += count[j];
    for (int j = 0; j < S; j++)
        u.used += count[j] > USED * u.total / S;
    double entropy;
    op.entropy(&entropy, count, S, u.total);
    u.perplexity = u.total > 0 ? exp(entropy) : 0;
    return u;
}

/* e (S,C): how many have another that is as good as the same. */
static double copies(const float *e, int S, int C)
{
    enum { M = 2 };
    double n = 0;
    int32_t *id = malloc((size_t)S * M * sizeof *id);
    float *d = malloc((size_t)S * M * sizeof *d);
    CHECK(id && d, "no memory for the distances of %d codes", S);
    op.nearest_m(id, d, e, S, C, M);
    for (int j = 0; j < S; j++) {
        double size;
        op.sumsq(&size, e + (int64_t)j * C, C);
        n += d[j * M + 1] <= COPY * COPY * size;
    }
    free(id);
    free(d);
    return n;
}

static bool books_look(Spectrum *s, Err *e)
{
    bool ok = true;
    for (int i = 0; i < s->books && ok; i++) {
        Book *b = &s->book[i];
        const bool mine = i % s->r.grid.size == s->r.grid.rank;
        const int64_t size[2] = { b->vectors, b->width };
        Slice table = slice_whole(2, size), count = slice_whole(1, size);
        char names[2][CKPT_NAME];
        snprintf(names[0], CKPT_NAME, "%s%.76s%s", SPECTRUM_WEIGHTS, b->name, SPECTRUM_TABLE);
        snprintf(names[1], CKPT_NAME, "%s%.76s.count", SPECTRUM_WEIGHTS, b->name);
        if (!mine) {
            table = slice_range(table, 0, 0, 0);
            count = slice_range(count, 0, 0, 0);
        }
        float *vectors = malloc((size_t)slice_total(&table) * sizeof *vectors + 1);
        float *often = malloc((size_t)slice_total(&count) * sizeof *often + 1);
        CHECK(vectors && often, "no memory for a codebook of %lld x %lld", (long long)b->vectors, (long long)b->width);
        const Piece p[2] = { { names[0], table, vectors, false }, { names[1], count, often, false } };
        const int n = ckpt_find(s->ckpt, names[1]) ? 2 : 1;
        ok = ckpt_fill(s->ckpt, p, n, CKPT_WANTED, e);
        if (ok && mine)
            b->copies = copies(vectors, (int)b->vectors, (int)b->width);
        if (ok && mine && n == 2)
            b->counted = spectrum_use(often, (int)b->vectors);
        free(vectors);
        free(often);
    }
    for (int i = 0; i < s->books && ok; i++) {
        comm_sum_f64(s->r.grid.world, &s->book[i].copies, 1);
        comm_sum_f64(s->r.grid.world, (double *)&s->book[i].counted, sizeof s->book[i].counted / sizeof(double));
    }
    return ok;
}

/* ---- the verb ---- */

/* Begins anew each time, since a checkpoint may turn out damaged and an older one be tried. */
static bool use_checkpoint(void *with, Ckpt *c, Err *e)
{
    Spectrum *s = with;
    const char *list = s->r.c->spectrum.parts;
    s->ckpt = c;
    snprintf(s->path, sizeof s->path, "%s", ckpt_path(c));
    s->meta = *ckpt_meta(c);
    s->tensor = ckpt_tensors(c, &s->tensors);
    s->n = s->weights = s->books = s->merged = 0;
    s->used = 0;
    spectrum_parts(s, list, e);
    if (!run_agree(&s->r, e))
        return false;
    spectrum_list(s, list);
    Bases b = { { c }, 1 };
    const bool ok = (!s->merged || bases_open(&b, &s->r, c, e)) && weights_look(s, &b, e) && books_look(s, e);
    bases_close(&b);
    return ok;
}

static bool look(Spectrum *s, Err *e)
{
    const Config *c = s->r.c;
    const char *from = c->spectrum.from[0] ? c->spectrum.from : c->run.dir, *list = c->spectrum.parts;
    Ckpt *used = run_ckpt(&s->r, from, use_checkpoint, s, e);
    ckpt_close(used);
    s->ckpt = NULL;
    s->tensor = NULL;
    if (!used)
        return false;
    comm_sum_f64(s->r.grid.world, s->values, s->used);
    s->features = spectrum_wanted(list, "features", 8);
    return !s->features || features_look(s, list[strspn(list, ", ")], e);
}

int spectrum_main(const Config *c)
{
    const double start = now();
    Spectrum *s = calloc(1, sizeof *s);
    Err e = { 0 };
    CHECK(s, "no memory for a spectrum");
    run_open(&s->r, c, c->parallel.tp);
    svd_open(&s->svd, s->r.grid.world);
    bool ok = look(s, &e);
    if (ok && s->r.grid.rank == 0)
        spectrum_report(s, now() - start, &e);
    ok = ok && run_agree(&s->r, &e);
    if (!ok && s->r.grid.rank == 0)
        log_error(&e);
    free(s->matrix);
    free(s->values);
    free(s->book);
    svd_close(&s->svd);
    run_close(&s->r);
    free(s);
    return ok ? EXIT_DONE : e.code;
}
