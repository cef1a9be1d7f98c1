#include "launch/scaling/series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/place.h"
#include "launch/bench/synthetic.h"

enum { LIST = 64, BATCH_MOST = 1 << 24 /* train.global_batch */ };

typedef struct { int n, x[LIST]; } List;

/* "1,2, 4"; empty: the one number that holds anyway. */
static bool list_parse(List *l, const char *key, const char *text, int least, int most, int plain, Err *e)
{
    *l = (List){ 0 };
    for (const char *at = text; *at; ) {
        char *end;
        const long x = strtol(at, &end, 10);
        const char *next = end + strspn(end, " \t");
        if (end == at || (*next && *next != ',') || x < least || x > most || l->n == LIST) {
            err_expected(e, "up to %d numbers from %d to %d, with commas", LIST, least, most);
            err_got(e, "\"%s\"", text);
            return err_set(e, EXIT_CONFIG, key, "as in  --set scaling.ranks=1,2,4", "%s is no list of numbers", key);
        }
        l->x[l->n++] = (int)x;
        at = *next ? next + 1 : next;
    }
    if (l->n == 0)
        l->x[l->n++] = plain;
    return true;
}

static int ascending(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* ---- where it runs ---- */

/* SLURM_JOB_CPUS_PER_NODE = "72(x2),36": the fewest of a node. */
static int slurm_cpus(void)
{
    const char *at = getenv("SLURM_JOB_CPUS_PER_NODE");
    int least = 0;
    while (at && *at) {
        const int n = atoi(at);
        least = least == 0 || (n > 0 && n < least) ? n : least;
        at = strchr(at, ',');
        at = at ? at + 1 : NULL;
    }
    return least;
}

/* Cores: Slurm counts hardware threads, and gives other nodes as many a core as this one has. */
static void look_around(Series *s)
{
    static Machine m;
    const char *nodes = getenv("SLURM_JOB_NUM_NODES");
    const CpuMask own = mask_own();
    static bool mine[MASK_CPUS];
    int cpus = 0, cores = 0;
    machine_read(&m, NULL);
    for (int i = 0; i < MASK_CPUS; i++) {
        if (!CPU_ISSET(i % CPU_SETSIZE, &own.part[i / CPU_SETSIZE]))
            continue;
        cpus++;
        if (m.core[i] >= 0)
            cores += !mine[m.core[i]], mine[m.core[i]] = true;
    }
    s->nodes = nodes ? (int)max64(1, atoi(nodes)) : 1;
    s->cores = nodes && slurm_cpus() && cpus && cores ? (int)((int64_t)slurm_cpus() * cores / cpus) : cores ? cores : cpus;
    s->cores = (int)max64(1, s->cores);
}

/* Threads of a rank must be the same in all points, so they do not follow from how many ranks there are. */
static int usual_threads(const Config *c)
{
    static const char *const from[] = { "OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK" };
    if (c->parallel.threads)
        return c->parallel.threads;
    for (size_t i = 0; i < 2; i++)
        if (getenv(from[i]) && atoi(getenv(from[i])) > 0)
            return (int)min64(512, atoi(getenv(from[i])));
    return 1;
}

/* ---- the points ---- */

static Point *add(Series *s, const Point *p)
{
    s->p = realloc(s->p, (size_t)(s->n + 1) * sizeof *s->p);
    CHECK(s->p, "no memory for %d points", s->n + 1);
    Point *to = &s->p[s->n++];
    *to = *p;
    to->shared = (double)p->ranks * p->threads / ((double)s->nodes * s->cores);
    if (p->ranks * p->threads <= s->cores)
        to->shared = (double)p->ranks * p->threads / s->cores;
    snprintf(to->name, sizeof to->name, "%sr%d-tp%d-zero%d-mb%d-th%d-gb%d", p->kind == SCALING_BOTH ? "rates-" : "", p->ranks, p->tp, p->zero,
             p->micro_batch, p->threads, p->global_batch);
    return to;
}

/* Why a point cannot be. */
static bool fits(const Series *s, const Point *p, char why[400])
{
    char trainable[CONFIG_STRING];
    static Config c;
    point_config(s, p, &c);
    const RunShape shape = synthetic_shape(&c);
    const ModelConf m = run_conf(&c, &shape, trainable);
    if (p->ranks % p->tp) {
        snprintf(why, 400, "%d rank%s cannot be divided into groups of %d", p->ranks, p->ranks == 1 ? "" : "s", p->tp);
        return false;
    }
    if (p->global_batch % ((int64_t)p->micro_batch * (p->ranks / p->tp))) {
        snprintf(why, 400, "%d samples a step are no multiple of %d x %d replica%s", p->global_batch, p->micro_batch, p->ranks / p->tp,
                 p->ranks / p->tp == 1 ? "" : "s");
        return false;
    }
    return model_divides(&m, p->tp, why, 400);
}

typedef struct { List ranks, tp, zero, micro_batch, threads; } Lists;

static bool lists_read(Lists *l, const Series *s, Err *e)
{
    const Config *c = s->c;
    if (!list_parse(&l->threads, "scaling.threads", c->scaling.threads, 1, 512, usual_threads(c), e) ||
        !list_parse(&l->ranks, "scaling.ranks", c->scaling.ranks, 1, 1 << 20, 1, e) ||
        !list_parse(&l->tp, "scaling.tp", c->scaling.tp, 1, 4096, c->parallel.tp, e) ||
        !list_parse(&l->zero, "scaling.zero", c->scaling.zero, 0, 2, c->parallel.zero, e) ||
        !list_parse(&l->micro_batch, "scaling.micro_batch", c->scaling.micro_batch, 1, 65536, c->train.micro_batch, e))
        return false;
    for (int n = 2; !c->scaling.ranks[0] && (int64_t)n * l->threads.x[0] <= (int64_t)s->nodes * s->cores; n *= 2)
        l->ranks.x[l->ranks.n++] = n;
    qsort(l->ranks.x, (size_t)l->ranks.n, sizeof(int), ascending);
    return true;
}

/* The smallest grid of the series that needs messages over these axes, or -1; with the series' first settings. */
static int smallest(const Series *s, bool dp, bool tp)
{
    int best = -1;
    for (int i = 0; i < s->n; i++) {
        const Point *p = &s->p[i], *b = best < 0 ? NULL : &s->p[best];
        if ((dp && p->ranks == p->tp) || (tp && p->tp == 1))
            continue;
        if (!b || p->ranks < b->ranks || (p->ranks == b->ranks && p->tp < b->tp))
            best = i;
    }
    return best;
}

/* In front of the series: what sets its rates, for each number of threads.  One micro-batch a step: no point is its own prediction. */
static void add_rates(Series *s, const Lists *l)
{
    Series rates = { .c = s->c, .nodes = s->nodes, .cores = s->cores };
    for (int t = 0; t < l->threads.n; t++)
        for (int k = 0; k < 3; k++) {
            const int i = smallest(s, k == 1, k == 2);
            if (i < 0)
                continue;
            Point p = s->p[i];
            p.kind = SCALING_BOTH;
            p.threads = l->threads.x[t];
            p.zero = l->zero.x[0];
            p.micro_batch = l->micro_batch.x[0];
            p.global_batch = p.micro_batch * (p.ranks / p.tp);
            bool there = false;
            for (int j = 0; j < rates.n; j++)
                there |= rates.p[j].ranks == p.ranks && rates.p[j].tp == p.tp && rates.p[j].threads == p.threads;
            if (!there)
                add(&rates, &p);
        }
    const int n = rates.n;
    for (int i = 0; i < s->n; i++)
        add(&rates, &s->p[i]);
    free(s->p);
    s->p = rates.p;
    s->n = rates.n;
    s->first = n;
}

static void add_kind(Series *s, const Lists *l, int kind)
{
    const Config *c = s->c;
    for (int a = 0; a < l->ranks.n; a++)
        for (int b = 0; b < l->tp.n * l->zero.n * l->micro_batch.n * l->threads.n; b++) {
            int left = b;
            char why[400];
            Point p = { .kind = kind, .ranks = l->ranks.x[a] };
            p.tp = l->tp.x[left % l->tp.n], left /= l->tp.n;
            p.zero = l->zero.x[left % l->zero.n], left /= l->zero.n;
            p.micro_batch = l->micro_batch.x[left % l->micro_batch.n], left /= l->micro_batch.n;
            p.threads = l->threads.x[left];
            const int64_t batch = c->train.global_batch * (kind == SCALING_WEAK ? max64(1, p.ranks / p.tp) : 1);
            p.global_batch = (int)min64(batch, INT32_MAX);
            snprintf(why, sizeof why, "%lld samples a step are too many", (long long)batch);
            if (batch <= BATCH_MOST && fits(s, &p, why))
                add(s, &p);
            else
                printf("left out   %s, %d rank%s, tp %d, micro-batches of %d: %s\n", kind == SCALING_WEAK ? "weak" : "strong", p.ranks,
                       p.ranks == 1 ? "" : "s", p.tp, p.micro_batch, why);
        }
}

bool series_open(Series *s, const Config *c, Err *e)
{
    Lists l;
    char *text;
    size_t n;
    *s = (Series){ .c = c };
    look_around(s);
    if (c->train.stage < STAGE_PRETRAIN)
        return err_set(e, EXIT_CONFIG, "train.stage", "", "bench, which scaling runs, measures the stages pretrain and instruct");
    if (c->scaling.dir[0] ? !path_set(s->dir, e, "%s", c->scaling.dir) : !path_set(s->dir, e, "%s/scaling", c->run.dir))
        return false;
    if (!file_read("/proc/self/exe", 1u << 30, &text, &n, e))
        return false;
    s->program = series_hash(text, n);
    free(text);
    if (!lists_read(&l, s, e))
        return false;
    for (int kind = 0; kind < SERIES_KINDS; kind++)
        if (c->scaling.kind == kind || c->scaling.kind == SCALING_BOTH)
            add_kind(s, &l, kind);
    if (s->n == 0)
        return err_set(e, EXIT_CONFIG, "scaling.ranks", "`asvr plan` says which grids divide", "no point of the series can be run");
    add_rates(s, &l);
    return true;
}

void series_close(Series *s) { free(s->p); }

bool series_varies(const Series *s, size_t at)
{
    for (int i = s->first + 1; i < s->n; i++)
        if (memcmp((const char *)&s->p[i] + at, (const char *)&s->p[s->first] + at, sizeof(int)))
            return true;
    return false;
}

const char *series_label(const Series *s, const Point *p)
{
    static char out[200];
    static const struct { const char *name; size_t at; } part[] = {
        { "tp", offsetof(Point, tp) }, { "ZeRO", offsetof(Point, zero) }, { "micro-batch", offsetof(Point, micro_batch) },
        { "threads", offsetof(Point, threads) } };
    static const char *const kind[] = { "weak", "strong", "rates" };
    int at = snprintf(out, sizeof out, "%s, %d rank%s", kind[p->kind], p->ranks, p->ranks == 1 ? "" : "s");
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        if (series_varies(s, part[i].at) || (i == 0 && p->tp > 1))
            at += snprintf(out + at, sizeof out - (size_t)at, ", %s %d", part[i].name, *(const int *)((const char *)p + part[i].at));
    return out;
}
