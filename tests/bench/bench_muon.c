/*
 * bench_muon.c -- Newton-Schulz of a batch of matrices, by PBLAS on the grid and by owners
 *
 *     mpirun -n P build/tests/bench/bench_muon [threads [least [most]]]
 *
 * For every grid of P processes and every shape whose side is from least to most: milliseconds a matrix when a batch goes by GRID,
 * when it goes by OWNER, and when one matrix alone does; the best of rounds in which they take turns, so that a busy machine counts
 * less, and ratios of the medians of the same rounds.  GF/s counts a multiply-add twice, and squares as if both halves were computed.
 * Beside them OWNER with squares that are computed whole: of these two the processor time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/ops.h"
#include "core/rng.h"
#include "dist/comm.h"
#include "dist/muon.h"
#include "dist/pblas.h"

enum { ROUNDS = 25, BATCH = 16 };

typedef struct { Muon *u; float *block[BATCH]; int n; double took[ROUNDS], cpu[ROUNDS]; } Case;

static int rank;

static Case open_case(int pr, int pc, int rows, int cols, int n, MuonWay way)
{
    Case c = { .n = n };
    MuonShape s[BATCH];
    MuonWay ways[BATCH];
    for (int i = 0; i < n; i++) {
        s[i] = (MuonShape){ rows, cols, false };
        ways[i] = way;
        const Slice b = pblas_slice(rows, cols, false, pr, pc, rank);
        const int64_t floats = slice_total(&b);
        c.block[i] = malloc((size_t)(floats + 1) * sizeof(float));
        CHECK(c.block[i], "no memory for %lld floats", (long long)floats);
        for (int64_t e = 0; e < floats; e++)
            c.block[i][e] = (float)rng_uniform(1, (uint64_t)(rank * BATCH + i), (uint64_t)e) - 0.5f;
    }
    c.u = muon_open(MPI_COMM_WORLD, pr, pc, s, ways, n);
    return c;
}

static void close_case(Case *c)
{
    muon_close(c->u);
    for (int i = 0; i < c->n; i++)
        free(c->block[i]);
}

/* The time of the slowest rank. */
static double run(Case *c)
{
    comm_barrier(MPI_COMM_WORLD);
    double t = now();
    muon_orthogonalize(c->u, c->block);
    t = now() - t;
    comm_max_f64(MPI_COMM_WORLD, &t, 1);
    return t;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Milliseconds a matrix: the best and the median of n rounds. */
typedef struct { double best, median; } Times;

static Times times(Case *c, int n)
{
    qsort(c->took, (size_t)n, sizeof *c->took, ascending);
    return (Times){ c->took[0] / c->n * 1e3, c->took[n / 2] / c->n * 1e3 };
}

static void whole_gram(float *c, const float *a, bool ta, int M, int K)
{
    const int ld = ta ? M : K;
    op.product(c, M, a, ld, ta, a, ld, !ta, M, M, K, 1, 0);
}

static double processor(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double round_of(Case *c, int round, bool whole)
{
    const Ops was = op;
    const double from = processor();
    op.gram = whole ? whole_gram : was.gram;
    c->took[round] = run(c);
    c->cpu[round] = processor() - from;
    op = was;
    return c->took[round];
}

static void bench(int pr, int pc, int rows, int cols, int n)
{
    const double s = rows < cols ? rows : cols, length = rows + cols - s, flops = 5 * 2 * (2 * s * s * length + s * s * s);
    const bool one = pr * pc == 1;
    Case c[] = { open_case(pr, pc, rows, cols, n, one ? MUON_LOCAL : MUON_GRID), open_case(pr, pc, rows, cols, n, MUON_OWNER),
                 open_case(pr, pc, rows, cols, 1, MUON_OWNER), open_case(pr, pc, rows, cols, n, MUON_OWNER) };
    int rounds = 0;
    double spent = 0;
    for (int i = 0; i < 4; i++)
        run(&c[i]);
    for (; rounds < ROUNDS && (rounds < 3 || spent < 5); rounds++)    /* spent is the same on all ranks */
        for (int i = 0; i < 4; i++)
            spent += round_of(&c[i], rounds, i == 3);
    Times t[4];
    for (int i = 0; i < 4; i++) {
        t[i] = times(&c[i], rounds);
        qsort(c[i].cpu, (size_t)rounds, sizeof *c[i].cpu, ascending);
        close_case(&c[i]);
    }
    if (rank == 0)
        printf("%d x %d %5d x %-5d batch %2d  %s %8.2f ms %6.1f GF/s  OWNER %8.2f ms %6.1f GF/s  alone %8.2f ms  "
               "OWNER/%s %.2f (median %.2f)  alone %.2f (median %.2f)  OWNER/whole squares %.2f (median %.2f)\n", pr, pc, rows, cols, n, one ? "LOCAL" : "GRID", t[0].best,
               flops / t[0].best * 1e-6, t[1].best, flops / t[1].best * 1e-6, t[2].best, one ? "LOCAL" : "GRID",
               t[1].best / t[0].best, t[1].median / t[0].median, t[2].best / t[0].best, t[2].median / t[0].median,
               c[1].cpu[0] / c[3].cpu[0], c[1].cpu[rounds / 2] / c[3].cpu[rounds / 2]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int level;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    ops_use(&OPS_CPU, argc > 1 ? atoi(argv[1]) : 1);
    rank = comm_rank(MPI_COMM_WORLD);
    const int size = comm_size(MPI_COMM_WORLD), least = argc > 2 ? atoi(argv[2]) : 1, most = argc > 3 ? atoi(argv[3]) : 2048;
    const int shapes[][3] = { { 64, 64, 16 }, { 128, 128, 16 }, { 256, 256, 16 }, { 384, 384, 16 }, { 384, 1024, 16 }, { 512, 512, 16 }, { 1024, 1024, 4 },
                              { 1024, 2752, 4 }, { 2048, 2048, 2 }, { 4096, 4096, 2 } };
    for (int i = 0; i < 10; i++)
        for (int pr = 1; pr <= size; pr++)
            if (size % pr == 0 && shapes[i][0] >= least && shapes[i][0] <= most)
                bench(pr, size / pr, shapes[i][0], shapes[i][1], shapes[i][2]);
    MPI_Finalize();
    return EXIT_DONE;
}
