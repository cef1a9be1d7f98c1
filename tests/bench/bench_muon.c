/*
 * bench_muon.c -- Newton-Schulz of a batch of matrices, by PBLAS on the grid and by owners
 *
 *     mpirun -n P build/tests/bench/bench_muon [threads [largest side]]
 *
 * For every grid of P processes and every shape: milliseconds a matrix when a batch goes by GRID, when it goes by OWNER, and when
 * one matrix alone goes by OWNER; medians of rounds in which all of them take turns.  GF/s counts multiply-adds twice.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/ops.h"
#include "core/rng.h"
#include "dist/comm.h"
#include "dist/muon.h"
#include "dist/pblas.h"

enum { ROUNDS = 7, BATCH = 16 };

typedef struct { Muon *u; float *block[BATCH]; int n; double took[ROUNDS]; } Case;

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

/* Milliseconds a matrix. */
static double median(Case *c)
{
    qsort(c->took, ROUNDS, sizeof *c->took, ascending);
    return c->took[ROUNDS / 2] / c->n * 1e3;
}

static void bench(int pr, int pc, int rows, int cols, int n)
{
    const double s = rows < cols ? rows : cols, l = rows + cols - s, flops = 5 * 2 * (2 * s * s * l + s * s * s);
    const bool one = pr * pc == 1;
    Case c[] = { open_case(pr, pc, rows, cols, n, one ? MUON_LOCAL : MUON_GRID), open_case(pr, pc, rows, cols, n, MUON_OWNER),
                 open_case(pr, pc, rows, cols, 1, MUON_OWNER) };
    for (int i = 0; i < 3; i++)
        run(&c[i]);
    for (int r = 0; r < ROUNDS; r++)
        for (int i = 0; i < 3; i++)
            c[i].took[r] = run(&c[i]);
    double ms[3];
    for (int i = 0; i < 3; i++) {
        ms[i] = median(&c[i]);
        close_case(&c[i]);
    }
    if (rank == 0)
        printf("%d x %d  %5d x %-5d  batch %2d   %s %9.2f ms %6.1f GF/s   OWNER %9.2f ms %6.1f GF/s   alone %9.2f ms   OWNER/%s %.2f, alone %.2f\n",
               pr, pc, rows, cols, n, one ? "LOCAL" : "GRID ", ms[0], flops / ms[0] * 1e-6, ms[1], flops / ms[1] * 1e-6, ms[2],
               one ? "LOCAL" : "GRID", ms[1] / ms[0], ms[2] / ms[0]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    int level;
    comm_environment();
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level);
    ops_use(&OPS_CPU, argc > 1 ? atoi(argv[1]) : 1);
    rank = comm_rank(MPI_COMM_WORLD);
    const int size = comm_size(MPI_COMM_WORLD), largest = argc > 2 ? atoi(argv[2]) : 2048;
    const int shapes[][3] = { { 256, 256, 16 }, { 384, 384, 16 }, { 384, 1024, 16 }, { 512, 512, 16 }, { 1024, 1024, 4 },
                              { 1024, 2752, 4 }, { 2048, 2048, 2 }, { 4096, 4096, 2 } };
    for (int i = 0; i < 8; i++)
        for (int pr = 1; pr <= size && shapes[i][0] <= largest; pr++)
            if (size % pr == 0)
                bench(pr, size / pr, shapes[i][0], shapes[i][1], shapes[i][2]);
    MPI_Finalize();
    return EXIT_DONE;
}
