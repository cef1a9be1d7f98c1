/* verify.c -- `asvr verify PATH`: is this data set, this shard or this checkpoint whole? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "dist/comm.h"
#include "io/base/agree.h"
#include "io/base/files.h"
#include "io/base/log.h"
#include "io/ckpt/ckptread.h"
#include "io/set/catalogue.h"
#include "launch/verbs.h"

enum { DATA_SET, SHARD, CHECKPOINT };

/* Rank 0 looks at what PATH is; the others might see an older state of a shared file system. */
static int kind_of(const char *path, Err *e)
{
    static const char HDF5[] = "\x89HDF";
    char inside[PATH_ROOM], head[4] = "";
    struct stat st;
    int kind = DATA_SET;
    if (comm_rank(MPI_COMM_WORLD) == 0) {
        FILE *f = NULL;
        if (stat(path, &st) != 0)
            err_set(e, EXIT_DATA, path, "name a data set's index, a shard, or a checkpoint's folder", "there is no such file or folder");
        else if (S_ISDIR(st.st_mode))
            kind = path_set(inside, e, "%s/index.set", path) && stat(inside, &st) == 0 ? DATA_SET : CHECKPOINT;
        else if ((f = fopen(path, "rb")) && fread(head, 1, sizeof head, f) == sizeof head && !memcmp(head, HDF5, sizeof head))
            kind = SHARD;
        if (f)
            fclose(f);
    }
    comm_bcast(MPI_COMM_WORLD, &kind, sizeof kind, 0);
    return kind;
}

/* All ranks read, each its share of the index and of every shard. */
static bool verify_set(const char *path, Err *e)
{
    const int rank = comm_rank(MPI_COMM_WORLD), ranks = comm_size(MPI_COMM_WORLD);
    const double began = now();
    int64_t bytes = 0;
    Index *x = index_open(path, e);
    if (err_agree(MPI_COMM_WORLD, x && index_verify(x, rank, ranks, &bytes, e), e)) {
        for (int i = 0; i < x->n && !e->code; i++)
            index_verify_shard(x, i, rank, ranks, &bytes, e);
        err_agree(MPI_COMM_WORLD, !e->code, e);
    }
    comm_sum_i64(MPI_COMM_WORLD, &bytes, 1);
    if (rank == 0 && !e->code) {
        const double t = now() - began;
        printf("ok %016" PRIx64 " %s\n", x->hash, x->path);
        printf("   %d shard%s, %lld samples, %.1f MB read in %.2f s: %.2f GB/s\n", x->n, x->n == 1 ? "" : "s", (long long)x->meta.samples,
               1e-6 * (double)bytes, t, 1e-9 * (double)bytes / t);
    }
    index_close(x);
    return !e->code;
}

/* All ranks read, each its share of the blocks. */
static bool verify_checkpoint(const char *path, Err *e)
{
    const double began = now();
    Ckpt *c = ckpt_open(MPI_COMM_WORLD, path, e);
    if (c && ckpt_verify(c, e)) {
        int64_t read = ckpt_read_bytes;
        comm_sum_i64(MPI_COMM_WORLD, &read, 1);
        const double t = now() - began;
        int tensors;
        ckpt_tensors(c, &tensors);
        if (comm_rank(MPI_COMM_WORLD) == 0) {
            printf("ok %016" PRIx64 " %s\n", ckpt_meta(c)->fingerprint, path);
            printf("   step %lld, %d tensors, %.1f MB read in %.2f s: %.2f GB/s\n", (long long)ckpt_meta(c)->step, tensors,
                   1e-6 * (double)read, t, 1e-9 * (double)read / t);
            if (ckpt_meta(c)->base[0])
                printf("   low-rank pairs of rank %d; the rest is in %s, which has not been read\n", ckpt_meta(c)->lora_rank, ckpt_meta(c)->base);
        }
    }
    ckpt_close(c);
    return !e->code;
}

static void verify_shard(const char *path, Err *e)
{
    uint64_t fingerprint = 0;
    if (shards_verify(path, &fingerprint, e))
        printf("ok %016" PRIx64 " %s\n", fingerprint, path);
}

int verify_main(const char *path)
{
    Err e = { 0 };
    const int rank = comm_rank(MPI_COMM_WORLD), kind = kind_of(path, &e);
    if (err_agree(MPI_COMM_WORLD, !e.code, &e)) {
        if (kind == DATA_SET)
            verify_set(path, &e);
        else if (kind == CHECKPOINT)
            verify_checkpoint(path, &e);
        else if (rank == 0)
            verify_shard(path, &e);
    }
    if (rank == 0 && e.code)
        log_error(&e);
    comm_bcast(MPI_COMM_WORLD, &e.code, sizeof e.code, 0);
    return e.code;
}
