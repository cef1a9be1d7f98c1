/*
 * bench_ckpt.c -- a save against the disk itself: MB/s of a whole save, and of one process that writes as much and syncs (what
 * `dd conv=fdatasync` does), in turns in one run
 *
 *     mpirun -n 4 build/tests/bench/bench_ckpt DIR [MB] [TIMES]        every rank holds everything, as replicas do
 *
 * Prints a line a round, and at the end medians, their ratio, what each rank wrote, and what the copy took.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/base/files.h"
#include "io/ckpt/saver.h"

enum { TENSORS = 32, MOST = 64 };

static int up(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }
static double median(double *x, int n) { qsort(x, (size_t)n, sizeof *x, up); return x[n / 2]; }

static double plain(const char *dir, const float *data, int64_t bytes)
{
    char path[PATH_ROOM];
    snprintf(path, sizeof path, "%s/plain", dir);
    const double from = now();
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    for (int64_t at = 0; at < bytes; at += 1 << 20)
        CHECK(file_pwrite(fd, (const char *)data + at, min64(1 << 20, bytes - at), at), "cannot write %s", path);
    CHECK(fdatasync(fd) == 0 && close(fd) == 0, "cannot sync %s", path);
    const double t = now() - from;
    unlink(path);
    return t;
}

int main(int argc, char **argv)
{
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    CHECK(argc > 1, "bench_ckpt DIR [MB] [TIMES]");
    const int64_t mb = argc > 2 ? atoll(argv[2]) : 256, cols = 1024, rows = mb * (1 << 18) / TENSORS / cols;
    const int times = argc > 3 ? (int)min64(atoll(argv[3]), MOST) : 5;
    const int64_t shape[] = { rows, cols }, bytes = 4 * rows * cols * TENSORS;
    static char name[TENSORS][CKPT_NAME];
    char dir[PATH_ROOM];
    float *data = malloc((size_t)bytes);
    Piece p[TENSORS];
    Err e = { 0 };
    CHECK(data, "no memory for %lld MB", (long long)mb);
    for (int64_t i = 0; i < bytes / 4; i++)
        data[i] = (float)i;
    for (int i = 0; i < TENSORS; i++) {
        snprintf(name[i], CKPT_NAME, "weights/part.%d.w", i);
        p[i] = (Piece){ name[i], slice_whole(2, shape), data + i * rows * cols, rank == 0 };
    }
    snprintf(dir, sizeof dir, "%s/bench-ckpt", argv[1]);
    Saver *s = saver_open(MPI_COMM_WORLD, dir, p, TENSORS, &(SaverConf){ .keep = 1, .async = true }, &e);
    CHECK(s, "%s", e.what);
    double save[MOST], copy[MOST], dd[MOST];
    for (int k = 0; k < times; k++) {
        MPI_Barrier(MPI_COMM_WORLD);
        dd[k] = rank == 0 ? plain(argv[1], data, bytes) : 0;
        MPI_Barrier(MPI_COMM_WORLD);
        const double from = now();
        CHECK(saver_start(s, &(CkptMeta){ .step = k + 1, .dp = size, .tp = 1, .stage = "bench" }, &e), "%s", e.what);
        copy[k] = now() - from;
        CHECK(saver_finish(s, SAVER_RUN, &e), "%s", e.what);
        save[k] = now() - from;
        if (rank == 0)
            printf("save %.0f MB/s  one process %.0f MB/s  ratio %.2f\n", 1e-6 * (double)bytes / save[k], 1e-6 * (double)bytes / dd[k], dd[k] / save[k]);
    }
    const double t = median(save, times), d = median(dd, times);
    for (int r = 0; r < size; r++) {
        MPI_Barrier(MPI_COMM_WORLD);
        if (r == rank)
            printf("rank %d wrote %.1f MB of %.1f, copy %.3f s\n", rank, 1e-6 * (double)saver_written(s), 1e-6 * (double)bytes, median(copy, times));
        fflush(stdout);
    }
    if (rank == 0)
        printf("median: save %.0f MB/s, one process %.0f MB/s, ratio %.2f\n", 1e-6 * (double)bytes / t, 1e-6 * (double)bytes / d, d / t);
    saver_close(s);
    if (rank == 0)
        dir_remove(dir, &e);
    free(data);
    MPI_Finalize();
    return 0;
}
