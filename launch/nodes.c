#include "launch/nodes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/comm.h"
#include "io/base/hosts.h"

enum { LINES = 12, LIST = 100, TEXT = 320 };

/* What a node has to say. */
typedef struct { Host host; int idle, cores; char line[TEXT], warn[TEXT]; } Node;
/* What a rank tells the first one of its node. */
typedef struct { CpuPlace place; int threads; } Member;

static const char *plural(int n) { return n == 1 ? "" : "s"; }

/* ---- what Slurm gave ---- */

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

/* Entry `at` of "72(x2),36": what the job has on that node; 0: nobody says. */
static int cpus_at(const char *list, int at)
{
    int cpus, times, n;
    for (const char *p = list; sscanf(p, "%d%n", &cpus, &n) == 1; p += *p == ',') {
        p += n;
        times = 1;
        if (sscanf(p, "(x%d)%n", &times, &n) == 1)
            p += n;
        if ((at -= times) < 0)
            return cpus;
        if (*p != ',')
            break;
    }
    return 0;
}

/* CPUs that the job has on this node; 0: nobody says. */
static int job_cpus(const Host host)
{
    int n, at = 0;
    Host *all = hosts_unfold(variable("SLURM_JOB_NODELIST"), &n);
    while (at < n && strcmp(all[at], host))
        at++;
    free(all);
    return at < n ? cpus_at(variable("SLURM_JOB_CPUS_PER_NODE"), at) : 0;
}

/* ---- one node ---- */

static void set(char out[TEXT], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void set(char out[TEXT], const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (!out[0])                                            /* the first is the worst */
        vsnprintf(out, TEXT, fmt, ap);
    va_end(ap);
}

static int share(const CpuPlace *p) { return (int)max64(1, p->cores / p->ranks); }

/* Ranks in each other's way. */
static void warn_shared(const Member *m, int n, char out[TEXT])
{
    for (int k = 0; k < n; k++) {
        const CpuPlace *p = &m[k].place;
        if (p->crosses)
            set(out, "the launcher gave its %d ranks cores that overlap in part: nobody is bound; let it give each its own, or all the same", n);
        else if (p->kind == PLACE_SHARED && p->ranks > p->cores)
            set(out, "%d ranks share %d core%s: give the job more cores, or start fewer ranks a node", p->ranks, p->cores, plural(p->cores));
        else if (p->kind == PLACE_SHARED && p->pinned)
            set(out, "OMP_PROC_BIND or OMP_PLACES pins the threads of %d ranks onto the same cores: unset them, and each rank is bound to its share",
                p->ranks);
    }
}

/* Numbers that contradict each other. */
static void warn_threads(const Config *c, const Member *m, int n, char out[TEXT])
{
    const char *const from = c->parallel.threads ? "parallel.threads" : "OMP_NUM_THREADS";
    const int omp = c->parallel.threads ? 0 : atoi(variable("OMP_NUM_THREADS")), slurm = atoi(variable("SLURM_CPUS_PER_TASK"));
    for (int k = 0; k < n; k++) {
        const CpuPlace *p = &m[k].place;
        const int cores = share(p), threads = m[k].threads;
        if (threads > cores && p->ranks <= p->cores)
            set(out, "a rank has %d threads (%s) and %d core%s", threads, from, cores, plural(cores));
        else if (!c->parallel.threads && omp <= 0 && slurm > (p->kind == PLACE_SHARED ? cores : p->cpus))
            set(out, "SLURM_CPUS_PER_TASK is %d, and a rank has %d core%s: %d thread%s (since Slurm 22.05 srun needs --cpus-per-task, too)",
                slurm, cores, plural(cores), threads, plural(threads));
        else if (omp > 0 && slurm > 0 && omp != slurm)
            set(out, "OMP_NUM_THREADS is %d and SLURM_CPUS_PER_TASK %d: the first counts; unset it, or set parallel.threads", omp, slurm);
    }
}

static const char *binding(const Member *m, int n)
{
    int own = 0, divided = 0;
    for (int k = 0; k < n; k++) {
        own += m[k].place.kind == PLACE_OWN;
        divided += m[k].place.kind == PLACE_DIVIDED;
    }
    if (n == 1)
        return "";
    return own == n ? ", bound by the launcher" : divided == n ? ", each rank bound to its share" : own + divided ? ", some ranks bound" : ", not bound";
}

/* By the first rank of a node, with what all of its ranks tell. */
static void describe(const Run *r, const Member *m, int n, Node *x)
{
    const CpuPlace *p = &m[0].place;
    int used = 0, least = m[0].threads, most = m[0].threads, cores = p->node.allowed;
    char threads[48];
    host_self(x->host);
    for (int k = 0; k < n; k++) {
        used += (int)min64(m[k].threads, m[k].place.cores);
        least = (int)min64(least, m[k].threads);
        most = (int)max64(most, m[k].threads);
    }
    const int busy = used;
    used = (int)min64(used, p->node.cores);
    const int given = job_cpus(x->host), threads_a_core = (int)max64(1, p->node.cpus / p->node.cores);
    if (given)
        cores = (int)max64(used, min64(cores, ceil_div(given, threads_a_core)));
    snprintf(threads, sizeof threads, least < most ? "%d to %d" : "%d", least, most);
    snprintf(x->line, TEXT, "%d rank%s x %s thread%s on %d of %d core%s, %d NUMA domain%s%s", n, plural(n), threads, plural(most), used, cores,
             plural(cores), p->node.domains, plural(p->node.domains), binding(m, n));
    x->cores = cores;
    x->idle = cores - used;
    warn_shared(m, n, x->warn);
    warn_threads(r->c, m, n, x->warn);
    if (busy > p->node.cores)                               /* each rank has CPUs of its own, and they are hardware threads of the same cores */
        set(x->warn, "%d ranks have %d threads on %d core%s: hardware threads of a core are not cores, let the launcher bind to cores", n, busy, p->node.cores,
            plural(p->node.cores));
}

/* ---- all nodes ---- */

/* Those whose text is that of the first one left, taken out of the list; false: there is none. */
static bool alike(const Node *all, int n, char *taken, bool warns, const char **text, char list[LIST])
{
    Host *same = malloc((size_t)n * sizeof *same);
    CHECK(same, "no memory for the names of %d nodes", n);
    int k = 0;
    *text = NULL;
    for (int i = 0; i < n; i++) {
        const char *of = warns ? all[i].warn : all[i].line;
        if (taken[i] || !*of || (*text && strcmp(*text, of)))
            continue;
        *text = of;
        taken[i] = 1;
        memcpy(same[k++], all[i].host, HOST_NAME);
    }
    if (k)
        hosts_fold(same, k, list, LIST);
    free(same);
    return k > 0;
}

static void tell(const Run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell(const Run *r, const char *fmt, ...)
{
    char text[LIST + TEXT + 64];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (r->log) {
        log_line(r->log, "%s", text);
        return;
    }
    printf("%s\n", text);
    fflush(stdout);
}

static void say_idle(const Run *r, const Node *all, int n)
{
    const int nodes = atoi(variable("SLURM_JOB_NUM_NODES"));
    int idle = 0, cores = 0, many, left = 0;
    char text[256] = "", list[LIST] = "";
    Host *given = hosts_unfold(variable("SLURM_JOB_NODELIST"), &many);
    for (int i = 0; i < n; i++)
        idle += all[i].idle, cores += all[i].cores;
    for (int k = 0; k < many; k++) {
        bool used = false;
        for (int i = 0; i < n && !used; i++)
            used = !strcmp(given[k], all[i].host);
        if (!used)
            memcpy(given[left++], given[k], HOST_NAME);
    }
    if (left && left == nodes - n)                          /* else the names are not Slurm's */
        hosts_fold(given, left, list, LIST);
    free(given);
    if (nodes > n)
        snprintf(text, sizeof text, "%d of %d nodes%s%s%s", nodes - n, nodes, *list ? " (" : "", list, *list ? ")" : "");
    if (idle && nodes)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d of %d cores%s", *text ? ", " : "", idle, cores, *text ? " on the others" : "");
    if (*text)
        tell(r, "left idle: %s", text);
}

static void say(const Run *r, const Node *all, int n)
{
    char list[LIST], line[LIST + TEXT + 4], *taken = calloc((size_t)n, 1);
    const char *text;
    CHECK(taken, "no memory for a list of %d nodes", n);
    for (int k = 0; alike(all, n, taken, false, &text, list); k++)
        if (k < LINES)
            tell(r, "%s: %s", list, text);
        else if (k == LINES)
            tell(r, "... and nodes of other kinds, %s and more", list);
    memset(taken, 0, (size_t)n);
    say_idle(r, all, n);
    for (int k = 0; k < LINES && alike(all, n, taken, true, &text, list); k++) {
        snprintf(line, sizeof line, "%s: %s", list, text);
        log_warn(line);
    }
    free(taken);
}

void nodes_say(const Run *r)
{
    const Grid *g = &r->grid;
    const Member mine = { r->place, r->threads };
    Member *all = malloc((size_t)g->node_size * sizeof *all);
    CHECK(all, "no memory to ask %d ranks", g->node_size);
    comm_gather(g->node, &mine, all, sizeof mine);
    MPI_Comm first = comm_split(g->world, g->node_rank > 0, g->rank);       /* one rank a node, and the others */
    if (g->node_rank == 0) {
        const int n = comm_size(first);
        Node x, *node = malloc((size_t)n * sizeof *node);
        CHECK(node, "no memory for the lines of %d nodes", n);
        memset(&x, 0, sizeof x);
        describe(r, all, g->node_size, &x);
        comm_gather(first, &x, node, sizeof x);
        if (g->rank == 0)
            say(r, node, n);
        free(node);
    }
    comm_free(&first);
    free(all);
}
