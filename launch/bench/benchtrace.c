#include "launch/bench/benchtrace.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/opspans.h"
#include "core/prof.h"
#include "dist/comm.h"

enum { RING = 1 << 17, NAME = 40, CLOCKS = 9 };

/* A span as it goes to rank 0. */
typedef struct { char name[NAME]; double begin, end; int64_t bytes; int axis, depth; } Sent;

static struct {
    ProfSpan *ring;
    int64_t   kept;                    /* spans before the present step */
    char    (*label)[NAME];            /* of each parameter: "decoder.3" */
    void    (*need)(Tp *tp, int first, int last);
    OnGrad    door;
    bool      inside;                  /* a block is open */
} trace;

bool trace_wanted(const Run *r) { return r->c->bench.trace[0] != 0; }

bool trace_open(Run *r, Err *e)
{
    const size_t n = strlen(r->c->bench.trace);
    if (!trace_wanted(r))
        return true;
    if (n < 6 || strcmp(r->c->bench.trace + n - 5, ".json"))
        return err_set(e, EXIT_CONFIG, "bench.trace", "beside X.json comes X.folded", "bench.trace = \"%s\" does not end in .json", r->c->bench.trace);
    trace.ring = calloc(RING, sizeof *trace.ring);
    CHECK(trace.ring, "no memory for %d spans", RING);
    return true;
}

/* "decoder.3.attn.wq" -> "decoder.3" */
static void make_labels(const Params *t)
{
    trace.label = calloc((size_t)t->n, sizeof *trace.label);
    CHECK(trace.label, "no memory for the names of %d tensors", t->n);
    for (int i = 0; i < t->n; i++) {
        const char *name = t->p[i].name, *dot = strchr(name, '.'), *second = dot ? strchr(dot + 1, '.') : NULL;
        snprintf(trace.label[i], NAME, "%.*s", (int)(second ? (size_t)(second - name) : strlen(name)), name);
    }
}

/* ---- blocks, by the doors ---- */

void trace_blocks(void)
{
    trace.inside = prof_on;
    prof_begin("begin");
}

void trace_blocks_end(void)
{
    prof_end();
    trace.inside = false;
}

static void need(Tp *tp, int first, int last)
{
    if (trace.inside && first < last) {
        prof_end();
        prof_begin(trace.label[first]);
    }
    trace.need(tp, first, last);
}

static void final(void *ctx, int first, int last)
{
    (void)ctx;
    trace.door.final(trace.door.ctx, first, last);
    if (trace.inside && first < last) {
        prof_is(trace.label[first]);
        prof_end();
        prof_begin("end");
    }
}

OnGrad trace_door(OnGrad door)
{
    if (!prof_on)
        return door;
    trace.door = door;
    return (OnGrad){ final, NULL };
}

void trace_begin(Run *r)
{
    if (!trace.label)
        make_labels(&r->model.table);
    trace.need = r->tp.need;
    r->tp.need = need;
    if (!prof_on)
        prof_keep(trace.ring, RING);
    ops_watch(OPS_SPANS);
}

void trace_end(Run *r)
{
    ops_watch(0);
    r->tp.need = trace.need;
}

/* ---- writing ---- */

/* What this rank's clock is ahead of rank 0's: all leave a barrier at about the same time; the middle of several. */
static double clock_ahead(const Run *r)
{
    double *all = malloc((size_t)r->grid.size * sizeof *all), ahead[CLOCKS];
    CHECK(all, "no memory for the clocks of %d ranks", r->grid.size);
    for (int i = 0; i < CLOCKS; i++) {
        comm_barrier(r->grid.world);
        const double t = now();
        comm_gather(r->grid.world, &t, all, sizeof t);
        ahead[i] = t - all[0];
        for (int k = i; k > 0 && ahead[k] < ahead[k - 1]; k--) {
            const double swap = ahead[k];
            ahead[k] = ahead[k - 1];
            ahead[k - 1] = swap;
        }
    }
    free(all);
    return ahead[CLOCKS / 2];
}

static int by_begin(const void *a, const void *b)
{
    const Sent *x = a, *y = b;
    return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin) : (x->depth > y->depth) - (x->depth < y->depth);
}

/* This rank's spans, each after those around it; to be freed. */
static Sent *own_spans(double ahead, int64_t *n)
{
    const int64_t kept = prof_kept();
    *n = min64(kept, RING);
    Sent *s = calloc((size_t)*n + 1, sizeof *s);
    CHECK(s, "no memory for %lld spans", (long long)*n);
    for (int64_t i = 0; i < *n; i++) {
        const ProfSpan *p = &trace.ring[(kept - *n + i) % RING];
        s[i] = (Sent){ .begin = p->begin - ahead, .end = p->end - ahead, .bytes = p->bytes, .axis = p->axis, .depth = p->depth };
        snprintf(s[i].name, NAME, "%s", p->name);
    }
    qsort(s, (size_t)*n, sizeof *s, by_begin);
    return s;
}

static void write_events(FILE *f, int rank, const char *host, const Sent *s, int64_t n, double zero)
{
    static const char *const AXIS[AXES] = { "", "world", "dp", "tp" };
    fprintf(f, "%s{\"name\": \"process_name\", \"ph\": \"M\", \"pid\": %d, \"args\": {\"name\": \"rank %d on %s\"}},\n", rank ? ",\n" : "", rank, rank, host);
    fprintf(f, "{\"name\": \"process_sort_index\", \"ph\": \"M\", \"pid\": %d, \"args\": {\"sort_index\": %d}},\n", rank, rank);
    fprintf(f, "{\"name\": \"thread_name\", \"ph\": \"M\", \"pid\": %d, \"tid\": 0, \"args\": {\"name\": \"main\"}}", rank);
    for (int64_t i = 0; i < n; i++) {
        fprintf(f, ",\n{\"name\": \"%s\", \"ph\": \"X\", \"pid\": %d, \"tid\": 0, \"ts\": %.3f, \"dur\": %.3f", s[i].name, rank,
                1e6 * (s[i].begin - zero), 1e6 * (s[i].end - s[i].begin));
        if (s[i].axis || s[i].bytes)
            fprintf(f, ", \"args\": {\"axis\": \"%s\", \"bytes\": %lld}", AXIS[s[i].axis], (long long)s[i].bytes);
        fputc('}', f);
    }
}

typedef struct { char *path; double seconds; } Fold;

static int by_path(const void *a, const void *b) { return strcmp(((const Fold *)a)->path, ((const Fold *)b)->path); }

/* What each place has for itself: a span's time less that of the spans right below it. */
static void write_folded(FILE *f, int rank, const Sent *s, int64_t n)
{
    Fold *fold = calloc((size_t)n + 1, sizeof *fold);
    int64_t open[PROF_DEPTH] = { 0 };
    CHECK(fold, "no memory for %lld spans", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        const int d = s[i].depth;
        const bool below = d > 0 && i > 0 && open[d - 1] < i && s[open[d - 1]].depth == d - 1 && s[open[d - 1]].end >= s[i].end;
        const char *above = below ? fold[open[d - 1]].path : NULL;
        CHECK((above ? asprintf(&fold[i].path, "%s;%s", above, s[i].name) : asprintf(&fold[i].path, "rank %d;%s", rank, s[i].name)) > 0,
              "no memory for the name of a span");
        fold[i].seconds += s[i].end - s[i].begin;
        if (below)
            fold[open[d - 1]].seconds -= s[i].end - s[i].begin;
        open[d] = i;
    }
    qsort(fold, (size_t)n, sizeof *fold, by_path);
    for (int64_t i = 0; i < n; ) {
        double sum = 0;
        const char *path = fold[i].path;
        int64_t next = i;
        for (; next < n && !strcmp(fold[next].path, path); next++)
            sum += fold[next].seconds;
        if (sum >= 0.5e-6)
            fprintf(f, "%s %.0f\n", path, 1e6 * sum);
        i = next;
    }
    for (int64_t i = 0; i < n; i++)
        free(fold[i].path);
    free(fold);
}

/* A file that is being written aside. */
typedef struct { char path[PATH_ROOM], aside[PATH_ROOM]; FILE *f; } Out;

static bool out_open(Out *o, const char *path, Err *e)
{
    char folder[PATH_ROOM];
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    if (!path_set(o->path, e, "%s", path) || !path_folder(folder, path, e) || !dir_make(folder, e) ||
        !path_set(o->aside, e, "%s/.tmp-%s", folder, name))
        return false;
    o->f = fopen(o->aside, "we");
    return o->f || file_error(e, o->aside, "write a trace to");
}

static bool out_close(Out *o, Err *e)
{
    if (!o->f)
        return false;
    const bool bad = ferror(o->f) || fflush(o->f) || !file_fsync(fileno(o->f));
    const bool ok = (!(fclose(o->f) || bad) || file_error(e, o->aside, "write a trace to")) && file_commit(o->aside, o->path, e);
    if (!ok)
        unlink(o->aside);
    o->f = NULL;
    return ok;
}

/* Each rank's spans in turn go to all, and rank 0 writes them. */
static void write_ranks(const Run *r, Out *json, Out *folded, double zero, Sent *own, int64_t n)
{
    for (int k = 0; k < r->grid.size; k++) {
        struct { int64_t n; char host[64]; } head = { .n = n };
        gethostname(head.host, sizeof head.host - 1);
        comm_bcast(r->grid.world, &head, sizeof head, k);
        Sent *s = k == r->grid.rank ? own : calloc((size_t)head.n + 1, sizeof *s);
        CHECK(s, "no memory for %lld spans", (long long)head.n);
        comm_bcast(r->grid.world, s, (size_t)head.n * sizeof *s, k);
        if (r->grid.rank == 0) {
            write_events(json->f, k, head.host, s, head.n, zero);
            write_folded(folded->f, k, s, head.n);
        }
        if (s != own)
            free(s);
    }
}

bool trace_write(Run *r, Err *e)
{
    static Out json, folded;
    char path[PATH_ROOM];
    const char *name = r->c->bench.trace;
    if (!trace_wanted(r))
        return true;
    prof_keep(NULL, 0);
    if (r->grid.rank == 0 && path_set(path, e, "%.*s.folded", (int)strlen(name) - 5, name) && out_open(&json, name, e))
        out_open(&folded, path, e);
    if (!run_agree(r, e))
        return false;
    int64_t n;
    const int64_t all = prof_kept();
    const double ahead = clock_ahead(r);
    Sent *own = own_spans(ahead, &n);
    double first = n ? -own[0].begin : -1e300;
    comm_max_f64(r->grid.world, &first, 1);
    if (r->grid.rank == 0)
        fputs("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n", json.f);
    write_ranks(r, &json, &folded, -first, own, n);
    if (r->grid.rank == 0) {
        fputs("\n]}\n", json.f);
        const bool ok = out_close(&json, e);
        if (out_close(&folded, ok ? e : &(Err){ 0 }) && ok)
            printf("trace      %s and %s: %d steps, %lld spans a rank%s\n", name, path, TRACED, (long long)n,
                   all > n ? ", of more: the first had no room" : "");
    }
    free(own);
    free(trace.ring);
    free(trace.label);
    return run_agree(r, e);
}
