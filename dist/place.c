#include "dist/place.h"

#include <dirent.h>
#include <hwloc.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/comm.h"

/* ---- masks ---- */

static bool mask_has(const CpuMask *m, int cpu) { return CPU_ISSET(cpu % CPU_SETSIZE, &m->part[cpu / CPU_SETSIZE]); }

static void mask_set(CpuMask *m, long cpu)
{
    if (cpu >= 0 && cpu < MASK_CPUS)
        CPU_SET(cpu % CPU_SETSIZE, &m->part[cpu / CPU_SETSIZE]);
}

static bool mask_same(const CpuMask *a, const CpuMask *b) { return !memcmp(a, b, sizeof *a); }

static bool mask_meet(const CpuMask *a, const CpuMask *b)
{
    const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;
    for (size_t i = 0; i < sizeof *a; i++)
        if (x[i] & y[i])
            return true;
    return false;
}

static int places(void) { return omp_get_proc_bind() == omp_proc_bind_false ? 0 : omp_get_num_places(); }

CpuMask mask_own(void)
{
    CpuMask m = { 0 };
    if (sched_getaffinity(0, sizeof m, (cpu_set_t *)(void *)&m))
        for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++)
            mask_set(&m, cpu);
    for (int i = 0; i < places(); i++) {
        const int n = omp_get_place_num_procs(i);
        int *cpu = malloc((size_t)n * sizeof *cpu + 1);
        CHECK(cpu, "no memory for a place of %d processors", n);
        omp_get_place_proc_ids(i, cpu);
        for (int k = 0; k < n; k++)
            mask_set(&m, cpu[k]);
        free(cpu);
    }
    return m;
}

/* All threads of this process; those that they start inherit it. */
static bool mask_bind(const CpuMask *m)
{
    DIR *d = opendir("/proc/self/task");
    if (!d)
        return !sched_setaffinity(0, sizeof *m, (const cpu_set_t *)(const void *)m);
    bool ok = true;
    for (struct dirent *x; (x = readdir(d));)
        if (x->d_name[0] != '.' && sched_setaffinity((pid_t)atol(x->d_name), sizeof *m, (const cpu_set_t *)(const void *)m))
            ok = ok && atol(x->d_name) != (long)getpid();       /* another thread may have ended */
    closedir(d);
    return ok;
}

/* ---- the machine ---- */

/* Objects of one type, in the order of the machine: whose each CPU is. */
static int number(hwloc_topology_t t, hwloc_obj_type_t type, int16_t whose[])
{
    int n = 0;
    unsigned cpu;
    for (hwloc_obj_t o = NULL; (o = hwloc_get_next_obj_by_type(t, type, o)); n++)
        hwloc_bitmap_foreach_begin(cpu, o->cpuset)
            if (cpu < MASK_CPUS)
                whose[cpu] = (int16_t)n;
        hwloc_bitmap_foreach_end();
    return n;
}

void machine_read(Machine *m, const char *synthetic)
{
    hwloc_topology_t t;
    memset(m->core, -1, sizeof m->core);
    memset(m->domain, -1, sizeof m->domain);
    CHECK(hwloc_topology_init(&t) == 0, "hwloc does not start");
    hwloc_topology_set_flags(t, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED);      /* what this rank may not use another rank may */
    hwloc_topology_set_components(t, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, "x86");     /* it would visit every core */
    CHECK(!synthetic || hwloc_topology_set_synthetic(t, synthetic) == 0, "hwloc does not understand \"%s\"", synthetic);
    CHECK(hwloc_topology_load(t) == 0, "hwloc does not know this machine");
    m->cores = number(t, HWLOC_OBJ_CORE, m->core);
    if (m->cores == 0)                                                        /* some virtual machines say nothing of cores */
        m->cores = number(t, HWLOC_OBJ_PU, m->core);
    m->domains = number(t, HWLOC_OBJ_NUMANODE, m->domain);
    m->allowed = (CpuMask){ 0 };
    unsigned cpu;
    hwloc_bitmap_foreach_begin(cpu, hwloc_topology_get_allowed_cpuset(t))
        mask_set(&m->allowed, cpu);
    hwloc_bitmap_foreach_end();
    hwloc_topology_destroy(t);
}

/* CPUs that may be used and that hwloc has not told of are cores by themselves. */
static void complete(Machine *m, int n, const CpuMask *mask)
{
    for (int r = 0; r < n; r++)
        for (int cpu = 0; cpu < MASK_CPUS; cpu++)
            if (m->core[cpu] < 0 && mask_has(&mask[r], cpu))
                m->core[cpu] = (int16_t)m->cores++;
}

typedef struct { int n, cpus, domains; char has[MASK_CPUS]; } Cores;       /* by core: 1, one of its CPUs is there */

static void cores_of(const Machine *m, const CpuMask *mask, int n, Cores *c)
{
    char domain[MASK_CPUS] = { 0 };
    *c = (Cores){ 0 };
    for (int cpu = 0; cpu < MASK_CPUS; cpu++) {
        bool has = false;
        for (int r = 0; r < n && !has; r++)
            has = mask_has(&mask[r], cpu);
        if (!has)
            continue;
        c->cpus++;
        c->n += !c->has[m->core[cpu]];
        c->has[m->core[cpu]] = 1;
        if (m->domain[cpu] >= 0) {
            c->domains += !domain[m->domain[cpu]];
            domain[m->domain[cpu]] = 1;
        }
    }
}

/* ---- the plan ---- */

/* Part i of n of the mask's cores. */
static void cut(const Machine *m, CpuMask *mask, const Cores *c, int i, int n)
{
    const int from = (int)((int64_t)c->n * i / n), to = (int)((int64_t)c->n * (i + 1) / n);
    int nth[MASK_CPUS], k = 0;
    for (int core = 0; core < m->cores; core++) {
        nth[core] = k;
        k += c->has[core];
    }
    for (int cpu = 0; cpu < MASK_CPUS; cpu++)
        if (mask_has(mask, cpu) && (nth[m->core[cpu]] < from || nth[m->core[cpu]] >= to))
            CPU_CLR(cpu % CPU_SETSIZE, &mask->part[cpu / CPU_SETSIZE]);
}

/* Ranks with the mask of rank r, how many of them come before it, and how many others meet it. */
typedef struct { int n, before, others; bool pinned; } Set;

static Set set_of(const CpuMask *mask, int n, const CpuPlace *place, int r)
{
    Set s = { 0 };
    for (int k = 0; k < n; k++) {
        const bool same = mask_same(&mask[k], &mask[r]);
        s.n += same;
        s.before += same && k < r;
        s.pinned |= same && place[k].pinned;
        s.others += !same && mask_meet(&mask[k], &mask[r]);
    }
    return s;
}

void place_plan(const Machine *machine, bool bind, int n, CpuMask *mask, CpuPlace *place)
{
    static Machine m;                                       /* large structures */
    static Cores c, all, allowed;
    CpuMask *was = malloc((size_t)(n + 1) * sizeof *was);
    CHECK(was, "no memory for the masks of %d ranks", n);
    memcpy(was, mask, (size_t)n * sizeof *was);
    was[n] = machine->allowed;
    m = *machine;
    complete(&m, n + 1, was);
    cores_of(&m, was, n, &all);
    cores_of(&m, was, n + 1, &allowed);
    for (int r = 0; r < n; r++) {
        CpuPlace *p = &place[r];
        const Set s = set_of(was, n, place, r);
        cores_of(&m, &was[r], 1, &c);
        p->kind = s.n == 1 && !s.others ? PLACE_OWN : bind && !s.others && !s.pinned && c.n >= s.n ? PLACE_DIVIDED : PLACE_SHARED;
        p->ranks = p->kind == PLACE_SHARED ? s.n + s.others : 1;
        p->crosses = s.others > 0;
        if (p->kind == PLACE_DIVIDED) {
            cut(&m, &mask[r], &c, s.before, s.n);
            cores_of(&m, &mask[r], 1, &c);
        }
        p->cores = c.n;
        p->cpus = c.cpus;
        p->node.allowed = allowed.n;
        p->node.cores = all.n;
        p->node.domains = all.domains;
        p->node.cpus = all.cpus;
    }
    free(was);
}

int place_threads(const CpuPlace *p) { return (int)max64(1, p->cores / p->ranks); }

void place_open(CpuPlace *p, const Grid *g, bool bind)
{
    static Machine m;
    *p = (CpuPlace){ .pinned = places() > 0 };
    const CpuMask mine = mask_own();
    const size_t n = (size_t)g->node_size;
    CpuMask *mask = malloc(n * sizeof *mask);
    CpuPlace *place = malloc(n * sizeof *place);
    CHECK(mask && place, "no memory for the masks of %d ranks", g->node_size);
    comm_gather(g->node, &mine, mask, sizeof mine);
    comm_gather(g->node, p, place, sizeof *p);
    if (g->node_rank == 0) {
        machine_read(&m, NULL);
        place_plan(&m, bind, g->node_size, mask, place);
    }
    comm_bcast(g->node, mask, n * sizeof *mask, 0);
    comm_bcast(g->node, place, n * sizeof *place, 0);
    *p = place[g->node_rank];
    if (p->kind == PLACE_DIVIDED && !mask_bind(&mask[g->node_rank]))
        *p = (CpuPlace){ .kind = PLACE_SHARED, .ranks = 1, .cores = p->cores, .cpus = p->cpus, .node = p->node };
    free(place);
    free(mask);
}
