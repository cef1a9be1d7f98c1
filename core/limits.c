#include "core/limits.h"

#include "core/blas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 5, LEAST_RUNS = 2, ALIGN = 64 };

static const double ENOUGH = 0.25, SHORT = 1e-3;          /* seconds: of all runs; of one run at least */

int64_t limits_room(int64_t M, int64_t N, int64_t K) { return M * K + K * N + M * N; }

/* Where part i of n begins. */
static int64_t border(int64_t size, int i, int n) { return min64(size, ceil_div(ceil_div(size, 16) * i, n) * 16); }

typedef struct { float *a, *b, *c; int64_t M, N, K; bool ta, tb; } Gemm;

static void multiply(const Gemm *g, int64_t m0, int64_t m1, int64_t n0, int64_t n1)
{
    const int lda = (int)(g->ta ? g->M : g->K), ldb = (int)(g->tb ? g->K : g->N);
    if (m0 < m1 && n0 < n1)
        cblas_sgemm(CblasRowMajor, g->ta ? CblasTrans : CblasNoTrans, g->tb ? CblasTrans : CblasNoTrans, (int)(m1 - m0), (int)(n1 - n0),
                    (int)g->K, 1, g->a + (g->ta ? m0 : m0 * lda), lda, g->b + (g->tb ? n0 * ldb : n0), ldb, 0, g->c + m0 * g->N + n0, (int)g->N);
}

static void multiply_all(const void *job, int threads)
{
    const Gemm *g = job;
    const bool rows = g->M >= g->N;
    const int before = blas_alone_start();
#pragma omp parallel for schedule(static, 1) num_threads(threads) if (threads > 1)
    for (int i = 0; i < threads; i++)
        multiply(g, rows ? border(g->M, i, threads) : 0, rows ? border(g->M, i + 1, threads) : g->M,
                 rows ? 0 : border(g->N, i, threads), rows ? g->N : border(g->N, i + 1, threads));
    blas_alone_end(before);
}

/* The best time of one run of a job. */
static double best_time(void (*run)(const void *job, int threads), const void *job, int threads, int runs)
{
    double best = INFINITY, spent = 0;
    int64_t times = 1;
    for (int i = 0; i < runs && (i < LEAST_RUNS || spent < ENOUGH); i++) {
        const double t = now();
        for (int64_t k = 0; k < times; k++)
            run(job, threads);
        const double took = now() - t;
        spent += took;
        best = fmin(best, took / (double)times);
        if (took < SHORT)
            times = 1 + (int64_t)(SHORT * (double)times / fmax(took, 1e-7));
    }
    return best;
}

double limits_sgemm(float *room, int64_t M, int64_t N, int64_t K, bool ta, bool tb, int threads)
{
    const Gemm g = { room, room + M * K, room + M * K + K * N, M, N, K, ta, tb };
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < M * K + K * N; i++)
        room[i] = 1e-3f * (float)(i % 1009);
    return 2 * (double)M * (double)N * (double)K / best_time(multiply_all, &g, threads, RUNS);
}

typedef struct { char *to, *from; int64_t bytes; } Copy;

/* Its threads' parts. */
static int64_t part_at(int64_t bytes, int i, int threads) { return bytes / ALIGN * i / threads * ALIGN; }

static void copy_all(const void *job, int threads)
{
    const Copy *c = job;
#pragma omp parallel for schedule(static, 1) num_threads(threads) if (threads > 1)
    for (int i = 0; i < threads; i++) {
        const int64_t first = part_at(c->bytes, i, threads);
        memcpy(c->to + first, c->from + first, (size_t)(part_at(c->bytes, i + 1, threads) - first));
    }
}

double limits_copy(int64_t bytes, int threads)
{
    const int64_t half = max64(ALIGN, bytes / 2 / ALIGN * ALIGN);
    char *room = aligned_alloc(ALIGN, (size_t)(2 * half));
    CHECK(room, "no memory for a copy of %lld bytes", (long long)half);
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int i = 0; i < threads; i++)
        for (int k = 0; k < 2; k++) {
            const int64_t first = part_at(half, i, threads);       /* touched first by the thread that copies it */
            memset(room + k * half + first, k, (size_t)(part_at(half, i + 1, threads) - first));
        }
    const double best = best_time(copy_all, &(Copy){ room + half, room, half }, threads, 2 * RUNS);
    free(room);
    return 2 * (double)half / best;
}

typedef struct { const float *from; int64_t bytes; float *sum; } Reading;

/* Several sums at once, so that none waits for its last addition. */
static float total(const float *x, int64_t n)
{
    enum { SUMS = 64 };
    float sum[SUMS] = { 0 }, all = 0;
    for (int64_t i = 0; i + SUMS <= n; i += SUMS)
#pragma omp simd
        for (int k = 0; k < SUMS; k++)
            sum[k] += x[i + k];
    for (int k = 0; k < SUMS; k++)
        all += sum[k];
    return all;
}

static void read_all(const void *job, int threads)
{
    const Reading *r = job;
#pragma omp parallel for schedule(static, 1) num_threads(threads) if (threads > 1)
    for (int i = 0; i < threads; i++) {
        const int64_t first = part_at(r->bytes, i, threads), end = part_at(r->bytes, i + 1, threads);
        r->sum[i] = total(r->from + first / (int64_t)sizeof(float), (end - first) / (int64_t)sizeof(float));
    }
}

double limits_read(int64_t bytes, int threads)
{
    const int64_t all = max64(ALIGN, bytes / ALIGN * ALIGN);
    char *room = aligned_alloc(ALIGN, (size_t)all);
    float *sum = calloc((size_t)threads, sizeof *sum);
    CHECK(room && sum, "no memory for reading %lld bytes", (long long)all);
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int i = 0; i < threads; i++)
        memset(room + part_at(all, i, threads), 0, (size_t)(part_at(all, i + 1, threads) - part_at(all, i, threads)));
    const double best = best_time(read_all, &(Reading){ (const float *)room, all, sum }, threads, 2 * RUNS);
    free(room);
    free(sum);
    return (double)all / best;
}
