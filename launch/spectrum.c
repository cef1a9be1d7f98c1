/* spectrum.c -- `asvr spectrum`: singular values of a checkpoint's matrices and of what pictures look like in the model */
#include "launch/spectrum/spectrum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/ops.h"
#include "dist/comm.h"
#include "launch/verbs.h"

enum { GROUP = 1 << 24 /* elements of matrices dealt whole that a rank holds at once, on average */ };

static const char WEIGHTS[] = "weights/", TABLE[] = ".table", SUM[] = ".sum";

/* ---- what is asked for ---- */

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), k = strlen(end);
    return n > k && !strcmp(s + n - k, end);
}

/* "decoder.1.attn.wq" of a tensor that is a weight, else NULL. */
static const char *weight_name(const CkptTensor *t)
{
    return strncmp(t->name, WEIGHTS, sizeof WEIGHTS - 1) ? NULL : t->name + sizeof WEIGHTS - 1;
}

static bool in_part(const char *name, const char *part, size_t n)
{
    return !strncmp(name, part, n) && name[n] == '.';
}

/* Is the part one of a list like "decoder,head"?  An empty list has all. */
static bool wanted(const char *list, const char *name, size_t n)
{
    static const char between[] = ", ";
    const char *at = list + strspn(list, between);
    if (!*at)
        return true;
    for (; *at; at += strspn(at, between)) {
        const size_t k = strcspn(at, between);
        if (k == n && !strncmp(at, name, n))
            return true;
        at += k;
    }
    return false;
}

/* "vision, projector, decoder": of the checkpoint, in its order. */
static void parts_of(const Spectrum *s, char *out, size_t cap)
{
    const char *last = "";
    *out = 0;
    for (int i = 0; i < s->tensors; i++) {
        const char *name = weight_name(&s->tensor[i]);
        const size_t n = name ? strcspn(name, ".") : 0, at = strlen(out);
        if (!name || in_part(last, name, n))
            continue;
        snprintf(out + at, cap - at, "%s%.*s", at ? ", " : "", (int)n, name);
        last = name;
    }
}

/* Every part of the list exists. */
static bool check_parts(const Spectrum *s, const char *list, Err *e)
{
    char have[256];
    parts_of(s, have, sizeof have);
    for (const char *at = list + strspn(list, ", "); *at; at += strspn(at, ", ")) {
        const size_t n = strcspn(at, ", ");
        if (!wanted(have, at, n) && (n != 8 || strncmp(at, "features", n))) {
            err_expected(e, "%s, features", have);
            err_got(e, "\"%.*s\"", (int)min64((int64_t)n, 100), at);
            return err_set(e, EXIT_CONFIG, "spectrum.parts", "", "the checkpoint has no such part");
        }
        at += n;
    }
    return true;
}

int spectrum_add(Spectrum *s, const char *part, const char *name, int64_t rows, int64_t cols)
{
    const int64_t n = min64(rows, cols);
    s->matrix = realloc(s->matrix, (size_t)(s->n + 1) * sizeof *s->matrix);
    s->values = realloc(s->values, (size_t)(s->used + n) * sizeof *s->values);
    CHECK(s->matrix && s->values, "no memory for the singular values of %d matrices", s->n + 1);
    Matrix *m = &s->matrix[s->n];
    *m = (Matrix){ .rows = rows, .cols = cols, .n = (int)n, .at = s->used };
    snprintf(m->part, sizeof m->part, "%s", part);
    snprintf(m->name, sizeof m->name, "%s", name);
    memset(s->values + s->used, 0, (size_t)n * sizeof *s->values);
    s->used += n;
    return s->n++;
}

static void add_book(Spectrum *s, const char *name, const CkptTensor *t)
{
    s->book = realloc(s->book, (size_t)(s->books + 1) * sizeof *s->book);
    CHECK(s->book, "no memory for %d codebooks", s->books + 1);
    Book *b = &s->book[s->books++];
    *b = (Book){ .vectors = t->size[0], .width = t->size[1] };
    snprintf(b->name, sizeof b->name, "%.*s", (int)(strlen(name) - strlen(TABLE)), name);
}

/* Matrices and codebooks of the parts that are wanted.  The codebooks' running sums are no weights. */
static void list_matrices(Spectrum *s, const char *list)
{
    for (int i = 0; i < s->tensors; i++) {
        const CkptTensor *t = &s->tensor[i];
        const char *name = weight_name(t);
        const size_t n = name ? strcspn(name, ".") : 0;
        char part[PARAM_NAME];
        if (!name || t->dims != 2 || t->size[0] < 2 || t->size[1] < 2 || !wanted(list, name, n))
            continue;
        const bool codes = in_part(name, "codes", 5) || in_part(name, "app_codes", 9);
        if (codes && ends_with(name, SUM))
            continue;
        snprintf(part, sizeof part, "%.*s", (int)n, name);
        spectrum_add(s, part, name + n + 1, t->size[0], t->size[1]);
        if (codes && ends_with(name, TABLE))
            add_book(s, name, t);
    }
    s->weights = s->n;
}

/* ---- weights ---- */

static int64_t elements(const Matrix *m) { return m->rows * m->cols; }

/* Flops: the covariance, then its eigenvalues. */
static double cost(const Matrix *m)
{
    const double n = m->n, longer = (double)max64(m->rows, m->cols);
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
        memset(to, 0, (size_t)m->n * sizeof *to);      /* every rank has them: rank 0's go into the sum */
}

/* Matrices [first, last): loads of each what this rank holds, and leaves its singular values there.  owner NULL: in slabs. */
static bool weights_group(Spectrum *s, int first, int last, const int *owner, Err *e)
{
    const int n = last - first;
    Piece *p = calloc((size_t)n, sizeof *p);
    char (*names)[CKPT_NAME] = calloc((size_t)n, sizeof *names);
    CHECK(p && names, "no memory for a list of %d matrices", n);
    for (int i = 0; i < n; i++) {
        const Matrix *m = &s->matrix[first + i];
        const int64_t size[2] = { m->rows, m->cols };
        const Slice whole = slice_whole(2, size);
        snprintf(names[i], CKPT_NAME, "%s%.30s.%.56s", WEIGHTS, m->part, m->name);
        p[i].name = names[i];
        p[i].slice = !owner ? svd_slab(&s->svd, m->rows, m->cols) : owner[i] == s->r.grid.rank ? whole : slice_range(whole, 0, 0, 0);
        p[i].data = malloc((size_t)slice_total(&p[i].slice) * sizeof(float) + 1);
        CHECK(p[i].data, "no memory for %lld elements of %s", (long long)slice_total(&p[i].slice), names[i]);
    }
    const bool ok = ckpt_fill(s->ckpt, p, n, CKPT_WANTED, e);
    for (int i = 0; i < n; i++) {
        if (ok && (!owner || owner[i] == s->r.grid.rank))
            values_of(s, owner ? NULL : &s->svd, &s->matrix[first + i], &p[i]);
        free(p[i].data);
    }
    free(names);
    free(p);
    return ok;
}

static bool weights_look(Spectrum *s, Err *e)
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
        ok = weights_group(s, first, last, slabs ? NULL : owner, e);
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
        snprintf(names[0], CKPT_NAME, "%s%.76s%s", WEIGHTS, b->name, TABLE);
        snprintf(names[1], CKPT_NAME, "%s%.76s.count", WEIGHTS, b->name);
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
    s->n = s->weights = s->books = 0;
    s->used = 0;
    check_parts(s, list, e);
    if (!run_agree(&s->r, e))
        return false;
    list_matrices(s, list);
    return weights_look(s, e) && books_look(s, e);
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
    s->features = wanted(list, "features", 8);
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
