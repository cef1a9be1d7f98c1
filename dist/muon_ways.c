/* muon_ways.c -- which matrix goes which way, and who owns it */
#include <math.h>
#include <stdlib.h>

#include "dist/muon.h"

/* An owner holds the whole matrix twice, so beyond 256 MiB it goes by GRID. */
enum { OWNED_MOST = 1 << 26 /* floats */ };

typedef struct { double cost; int item, owner; } Job;

static int side(const MuonShape *s) { return s->rows < s->cols ? s->rows : s->cols; }

/* Multiply-adds of a step by one rank: of X X^T and A A one half, which is the other, and B X. */
static double cost(const MuonShape *s)
{
    const double n = side(s), length = s->rows + s->cols - n;
    return 0.5 * n * n * (length + n) + n * n * length;
}

/* PBLAS computes both halves. */
static double cost_of_both(const MuonShape *s)
{
    const double n = side(s), length = s->rows + s->cols - n;
    return n * n * (length + n) + n * n * length;
}

/* By GRID each rank has its share of that, and panels to send and to wait for.  They hold about n length / sqrt(ranks) floats, so
   beside the arithmetic, n^2 length / ranks, they weigh sqrt(ranks) / n; the factor is measured (docs/PERF.md). */
static double grid_cost(const MuonShape *s, int ranks)
{
    return cost_of_both(s) / ranks * (1 + 70 * sqrt(ranks) / side(s));
}

static int costliest_first(const void *a, const void *b)
{
    const Job *x = a, *y = b;
    return x->cost != y->cost ? (x->cost < y->cost ? 1 : -1) : x->item - y->item;
}

static void *room(int n, size_t elem)
{
    void *p = calloc((size_t)n + 1, elem);
    CHECK(p, "no memory for %d jobs", n);
    return p;
}

/* The matrices that go by OWNER, the costliest first; returns how many. */
static int collect(Job *job, const MuonShape *s, const MuonWay *way, int n)
{
    int jobs = 0;
    for (int i = 0; i < n; i++)
        if (way[i] == MUON_OWNER)
            job[jobs++] = (Job){ cost(&s[i]), i, 0 };
    qsort(job, (size_t)jobs, sizeof *job, costliest_first);
    return jobs;
}

/* Each job in turn to the rank that has the least to do, of equals the first; returns what the busiest has.  load (ranks). */
static double deal(Job *job, int n, double *load, int ranks)
{
    double most = 0;
    for (int r = 0; r < ranks; r++)
        load[r] = 0;
    for (int i = 0; i < n; i++) {
        int least = 0;
        for (int r = 1; r < ranks; r++)
            least = load[r] < load[least] ? r : least;
        job[i].owner = least;
        load[least] += job[i].cost;
        most = load[least] > most ? load[least] : most;
    }
    return most;
}

void muon_ways(MuonWay *way, const MuonShape *s, int n, int pr, int pc)
{
    const int ranks = pr * pc;
    for (int i = 0; i < n; i++) {
        const bool large = (int64_t)s[i].rows * s[i].cols > OWNED_MOST;
        way[i] = ranks == 1 ? MUON_LOCAL : large ? MUON_GRID : MUON_OWNER;
    }
    Job *job = room(n, sizeof *job);
    double *load = room(ranks, sizeof *load);
    const int jobs = collect(job, s, way, n);
    double grid = 0, least = deal(job, jobs, load, ranks);
    int best = 0;
    for (int k = 1; k <= jobs; k++) {               /* the k costliest by GRID */
        grid += grid_cost(&s[job[k - 1].item], ranks);
        const double all = grid + deal(job + k, jobs - k, load, ranks);
        if (all < least) {
            least = all;
            best = k;
        }
    }
    for (int k = 0; k < best; k++)
        way[job[k].item] = MUON_GRID;
    free(load);
    free(job);
}

void muon_owners(int *owner, const MuonShape *s, const MuonWay *way, int n, int ranks)
{
    Job *job = room(n, sizeof *job);
    double *load = room(ranks, sizeof *load);
    const int jobs = collect(job, s, way, n);
    for (int i = 0; i < n; i++)
        owner[i] = -1;
    deal(job, jobs, load, ranks);
    for (int k = 0; k < jobs; k++)
        owner[job[k].item] = job[k].owner;
    free(load);
    free(job);
}
