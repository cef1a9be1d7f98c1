#include "launch/room.h"
#include "launch/eval/generate.h"
#include "launch/save.h"
#include "launch/stepeval.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/vectors.h"
#include "dist/comm.h"
#include "io/base/files.h"
#include "launch/plan/plan.h"

static const double GIB = 1 << 30;

/* Everybody's `each` bytes, of the ranks of a node.  To be freed. */
static void *of_node(const Grid *g, const void *mine, size_t each)
{
    char *all = malloc((size_t)g->node_size * each);
    int64_t *bytes = malloc((size_t)g->node_size * sizeof *bytes);
    CHECK(all && bytes, "no memory to ask %d ranks", g->node_size);
    for (int r = 0; r < g->node_size; r++)
        bytes[r] = (int64_t)each;
    comm_gather_bytes(g->node, all, mine, bytes);
    free(bytes);
    return all;
}

/* ---- threads ---- */

static int positive(const char *variable)
{
    const char *text = getenv(variable);
    const long n = text ? strtol(text, NULL, 10) : 0;
    return (int)max64(0, min64(n, 512));
}

static int wanted(const Run *r, const char **from)
{
    const int set = r->c->parallel.threads, omp = positive("OMP_NUM_THREADS"), slurm = positive("SLURM_CPUS_PER_TASK");
    const int cores = (int)min64(place_threads(&r->place), 512);
    *from = set ? "parallel.threads" : omp ? "OMP_NUM_THREADS" : slurm && slurm <= cores ? "SLURM_CPUS_PER_TASK" : "the node's cores";
    return set ? set : omp ? omp : slurm ? (int)min64(slurm, cores) : cores;
}

static void *wait_for_gate(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* Starts n threads while the other ranks of the node start theirs; returns how many there were, and why no more.  Collective over world. */
static int try_threads(const Grid *g, int n, int *why)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *thread = malloc((size_t)n * sizeof *thread + 1);
    int got = 0;
    CHECK(thread, "no memory for a list of %d threads", n);
    pthread_mutex_lock(&gate);
    while (got < n && !(*why = pthread_create(&thread[got], NULL, wait_for_gate, &gate)))
        got++;
    comm_barrier(g->world);
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < got; i++)
        pthread_join(thread[i], NULL);
    free(thread);
    return got;
}

void room_threads(Run *r)
{
    const Grid *g = &r->grid;
    const char *from;
    const int n = wanted(r, &from), beside = r->c->data.threads;        /* the loader's */
    int why = 0, all = 0;
    const int got = try_threads(g, n - 1 + beside, &why);
    int *each = of_node(g, &got, sizeof got);
    for (int i = 0; i < g->node_size; i++)
        all += each[i];
    free(each);
    r->threads = n;
    if (got < n - 1 + beside) {
        const int fit = (int)max64(1, all / g->node_size + 1 - beside);
        char host[64] = "";
        gethostname(host, sizeof host - 1);
        err_expected(&r->refused, "%d a rank at most: %s lets its %d rank%s start %d in all", fit, host, g->node_size,
                     g->node_size == 1 ? "" : "s", all + g->node_size);
        err_got(&r->refused, "%d, from %s, and %d to read data; number %d: %s", n, from, beside, got + 2, strerror(why));
        char hint[128];
        snprintf(hint, sizeof hint, "--set parallel.threads=%d, or raise the limit on processes (ulimit -u, pids.max)", fit);
        err_set(&r->refused, EXIT_CONFIG, from, hint, "the threads of a rank cannot be had");
        r->threads = 1;
    }
    double most[3] = { r->threads, -r->threads, -vectors_levels() };
    comm_max_f64(g->world, most, 3);
    vectors_limit((int)-most[2]);                   /* bits differ between vectors: all take what the poorest node has */
    const size_t cap = sizeof r->threads_text;
    if (most[0] == -most[1])
        snprintf(r->threads_text, cap, "%d thread%s, vectors %s", r->threads, r->threads == 1 ? "" : "s", OPS_CPU.name);
    else
        snprintf(r->threads_text, cap, "%.0f to %.0f threads, vectors %s", -most[1], most[0], OPS_CPU.name);
}

/* ---- memory: what there is ---- */

/* The number behind a word that begins a line of a file of the kernel; -1 if there is none. */
static double number_in(const char *path, const char *word)
{
    char line[256];
    double found = -1, x;
    FILE *f = fopen(path, "re");
    const size_t n = strlen(word);
    while (f && found < 0 && fgets(line, sizeof line, f))
        if (!strncmp(line, word, n) && sscanf(line + n, "%lf", &x) == 1)        /* "max" is no number: no limit */
            found = x;
    if (f)
        fclose(f);
    return found;
}

/* Of a cgroup and of those above it, version 1 or 2: the one that leaves least, and how much; what files are cached can be given back. */
typedef struct { char path[PATH_ROOM]; double left; } Cgroup;

static void cgroup_look(Cgroup *least, const char *root, char *path, bool v2)
{
    char file[3][PATH_ROOM];
    for (;;) {
        const char *name[] = { v2 ? "memory.max" : "memory.limit_in_bytes", v2 ? "memory.current" : "memory.usage_in_bytes", "memory.stat" };
        Err e = { 0 };
        for (int i = 0; i < 3; i++)
            path_set(file[i], &e, "%s%s/%s", root, path, name[i]);
        const double limit = e.code ? -1 : number_in(file[0], ""), used = number_in(file[1], "");
        const double cached = number_in(file[2], v2 ? "file " : "total_cache "), shared = number_in(file[2], v2 ? "shmem " : "total_shmem ");
        if (limit >= 0 && limit < 0x1p60 && used >= 0 && limit - used + fmax(0, cached - fmax(0, shared)) < least->left) {
            least->left = fmax(0, limit - used + fmax(0, cached - fmax(0, shared)));
            snprintf(least->path, sizeof least->path, "%s", file[0]);
        }
        char *slash = strrchr(path, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

static Cgroup cgroup(void)
{
    Cgroup least = { .left = INFINITY };
    char line[PATH_ROOM];
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *kinds = strchr(line, ':'), *path = kinds ? strchr(kinds + 1, ':') : NULL;
        if (!path || strstr(path, ".."))
            continue;
        *path++ = 0;
        if (!strcmp(kinds, ":"))
            cgroup_look(&least, "/sys/fs/cgroup", path, true);
        else if (strstr(kinds, "memory"))
            cgroup_look(&least, "/sys/fs/cgroup/memory", path, false);
    }
    if (f)
        fclose(f);
    return least;
}

double room_left(void)
{
    const double available = number_in("/proc/meminfo", "MemAvailable:");
    return fmin(available >= 0 ? 1024 * available : INFINITY, cgroup().left);
}

/* What this process may still map. */
static double address_left(void)
{
    struct rlimit l;
    double pages = number_in("/proc/self/statm", "");
    if (getrlimit(RLIMIT_AS, &l) || l.rlim_cur == RLIM_INFINITY)
        return INFINITY;
    return fmax(0, (double)l.rlim_cur - pages * (double)sysconf(_SC_PAGESIZE));
}

/* ---- memory: what is wanted ---- */

/* The asked-for sizes, then half the answers and half again, then half the micro-batch, then half the rows. */
enum { TRIES = 32 };
typedef struct { int answers, micro_batch, max_len; double bytes, tape, kept /* keys, values and rows of answers */; } Size;
typedef struct { Size size[TRIES]; double address, node; Cgroup group; } Wish;

/* What the gradient takes at a time. */
static double gradients(const Model *m, const Optim *o, const BucketConf *b)
{
    int64_t shares;
    Dry dry = { 0 };
    if (b->drop && m->c.stage >= STAGE_PRETRAIN)
        dry_run(&dry, &m->c, m->tp);
    const int64_t n = plan_gradients(m, o, b, &dry.backward, &shares);
    dry_close(&dry);
    return (double)sizeof(float) * (double)n;
}

/* What arenas of that size take here. */
static void measure(const Run *r, const ModelConf *conf, Size *s)
{
    static Model m;                                 /* large structures */
    static Tape t;
    static Optim o;
    const Config *c = r->c;
    ModelConf small = *conf;
    BucketConf b = run_buckets(c, &r->grid.levels);
    Tp tp = r->tp;
    small.max_images = conf->max_images / conf->micro_batch * s->micro_batch;
    small.micro_batch = s->micro_batch;
    small.max_len = s->max_len;
    b.leaves = (int)ceil_div(c->train.global_batch, (int64_t)s->micro_batch * r->grid.dp_size);
    if (model_measure(&m, &small, &tp)) {
        tape_measure(&t, &m);
        s->tape = (double)tape_bytes(&t, &m);
        s->kept = s->answers ? (double)generate_bytes(&m, &(GeneratorShape){ .slots = s->answers, .max_len = c->model.decoder.max_len }) : 0;
        s->bytes = s->tape + s->kept + (double)m.weight_arena.size;
        if (conf->train && !conf->bare) {
            size_t coming, muon;
            const OptimSetup setup = run_optim(c, &r->grid.levels);
            optim_measure(&o, &m.table, r->grid.dp_rank, r->grid.dp_size, &setup);
            optim_memory(&o, &coming, &muon);
            s->bytes += gradients(&m, &o, &b) + (double)(o.arena.size + coming + muon + buckets_memory(&o.zero, &b));
            s->bytes += c->ckpt.async ? save_copy(&o, r->grid.dp_size) : 0;
            s->bytes += stepeval_bytes(c, &m);
            optim_close(&o);
        }
        tape_close(&t);
    }
    model_close(&m);
}

static bool smaller(Size *s, const ModelConf *conf)
{
    const int side = conf->image / conf->patch, least = side * side + 2;        /* a picture and a word */
    if (s->answers > 1)
        s->answers /= 2;
    else if (s->micro_batch % 2 == 0)
        s->micro_batch /= 2;                                                    /* still divides what it divided */
    else if (s->max_len / 2 >= least)
        s->max_len /= 2;
    else
        return false;
    return true;
}

/* ---- memory: the verdict ---- */

typedef struct { double asked, left; const char *where; int ranks; } Lack;

/* Does size k of all ranks of the node find room?  If not, which limit is in the way. */
static bool fits(const Grid *g, const Wish *all, int k, Lack *lack)
{
    const Wish *me = &all[g->node_rank];
    Lack node = { 0, INFINITY, "this node: MemAvailable and swap", g->node_size };
    Lack group = { 0, INFINITY, me->group.path, 0 };
    const Lack own = { me->size[k].bytes, me->address, "RLIMIT_AS of a rank (ulimit -v)", 1 };
    for (int r = 0; r < g->node_size; r++) {
        node.asked += all[r].size[k].bytes;
        node.left = fmin(node.left, all[r].node);
        if (!strcmp(all[r].group.path, me->group.path)) {
            group.asked += all[r].size[k].bytes;
            group.left = fmin(group.left, all[r].group.left);
            group.ranks++;
        }
    }
    *lack = own.asked > own.left ? own : group.asked > group.left ? group : node;
    return lack->asked <= lack->left;
}

static void refuse(const Run *r, const Wish *all, const Lack *lack, int fit, const RunShape *shape, Err *e)
{
    const Size *asked = &all[r->grid.node_rank].size[0], *ok = &all[r->grid.node_rank].size[fit];
    char host[64] = "", hint[256] = "more nodes; parallel.tp and parallel.zero = 2 divide what a rank holds, train.recompute and parallel.sequence shorten the tape";
    gethostname(host, sizeof host - 1);
    if (fit && ok->micro_batch == asked->micro_batch && ok->max_len == asked->max_len)
        snprintf(hint, sizeof hint, "%s = %d takes %.1f GiB a rank, which fits; or lower model.decoder.max_len", shape->answers_by, ok->answers, ok->bytes / GIB);
    else if (shape->answers)
        snprintf(hint, sizeof hint, "lower model.decoder.max_len; chat and eval divide a model among ranks, too (parallel.tp)");
    else if (fit && ok->max_len == asked->max_len)
        snprintf(hint, sizeof hint, "train.micro_batch = %d takes %.1f GiB a rank, which fits; or lower model.decoder.max_len",
                 ok->micro_batch, ok->bytes / GIB);
    else if (fit)
        snprintf(hint, sizeof hint, "train.micro_batch = %d and model.decoder.max_len = %d take %.1f GiB a rank, which fits", ok->micro_batch,
                 ok->max_len, ok->bytes / GIB);
    err_expected(e, "%.1f GiB at most: what is left of %s", lack->left / GIB, lack->where);
    const char *many = lack->ranks == 1 ? "" : "s";
    if (shape->answers)
        err_got(e, "%.1f GiB for %d rank%s of %s: %.1f GiB of weights and tape and %.1f GiB for %d answers at once each", lack->asked / GIB, lack->ranks,
                many, host, (asked->bytes - asked->kept) / GIB, asked->kept / GIB, asked->answers);
    else
        err_got(e, "%.1f GiB for %d rank%s of %s: %.1f GiB of weights, gradients, moments and buckets and %.1f GiB of tape each", lack->asked / GIB,
                lack->ranks, many, host, (asked->bytes - asked->tape) / GIB, asked->tape / GIB);
    char where[96];
    const char *by = shape->answers ? shape->answers_by : "train.micro_batch";
    snprintf(where, sizeof where, "%s%smodel.decoder.max_len", by ? by : "", by ? ", " : "");
    err_set(e, EXIT_CONFIG, where, hint, "the memory cannot be had");
}

/* The sizes that were asked for do not fit on some node: the first ones that do on all. */
static int first_that_fits(const Run *r, const ModelConf *conf, Wish *mine)
{
    double bad[TRIES] = { 0 };
    int n = 1;
    Size at = mine->size[0];
    Lack lack;
    for (; n < TRIES && smaller(&at, conf); n++) {
        mine->size[n] = at;
        measure(r, conf, &mine->size[n]);
    }
    Wish *all = of_node(&r->grid, mine, sizeof *mine);
    for (int k = 0; k < n; k++)
        bad[k] = !fits(&r->grid, all, k, &lack);
    free(all);
    comm_max_f64(r->grid.world, bad, TRIES);
    for (int k = 1; k < n; k++)
        if (!bad[k])
            return k;
    return 0;
}

bool room_memory(Run *r, const ModelConf *conf, const RunShape *shape, Err *e)
{
    static Wish mine;
    Lack lack;
    if (r->refused.code)
        *e = r->refused;
    if (!run_agree(r, e))
        return false;
    memset(&mine, 0, sizeof mine);
    mine.size[0] = (Size){ .answers = shape->answers, .micro_batch = conf->micro_batch, .max_len = conf->max_len };
    measure(r, conf, &mine.size[0]);
    const double kib = number_in("/proc/meminfo", "MemAvailable:");
    mine.node = kib < 0 ? INFINITY /* a kernel that does not say */ : 1024 * (kib + fmax(0, number_in("/proc/meminfo", "SwapFree:")));
    mine.group = cgroup();
    mine.address = address_left();
    Wish *all = of_node(&r->grid, &mine, sizeof mine);
    double bad = !fits(&r->grid, all, 0, &lack);
    const bool here = bad > 0;
    comm_max_f64(r->grid.world, &bad, 1);
    if (bad > 0) {
        const int fit = first_that_fits(r, conf, &mine);
        all[r->grid.node_rank] = mine;
        if (here)
            refuse(r, all, &lack, fit, shape, e);
    }
    free(all);
    return run_agree(r, e);
}
