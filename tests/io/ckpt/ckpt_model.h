/*
 * ckpt_model.h -- a small model for the tests of checkpoints: six tensors, one of them longer than a block of hashes;
 * and how to damage what was saved
 */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/ckpt/ckptread.h"

static int rank, size;              /* of all ranks of the test */

enum { TENSORS = 6 };
static const struct { const char *name; int dims; int64_t size[2]; } TABLE[TENSORS] = {
    { "weights/decoder.0.attn.wq", 2, { 12, 8 } }, { "weights/decoder.0.attn.norm", 1, { 12 } },
    { "weights/head.in", 2, { 640, 600 } }, { "weights/logit_scale", 1, { 1 } },
    { "m/decoder.0.attn.wq", 2, { 12, 8 } }, { "v/decoder.0.attn.wq", 2, { 12, 8 } },
};

typedef struct { Piece p[TENSORS]; } Model;

/* Rank r of n holds its part along `dim` where the tensor divides, else all of it (and rank 0 writes). */
static inline Model model_new(int r, int n, int dim)
{
    Model m;
    for (int i = 0; i < TENSORS; i++) {
        Slice s = slice_whole(TABLE[i].dims, TABLE[i].size);
        bool split = dim < TABLE[i].dims && TABLE[i].size[dim] % n == 0;
        if (split)
            s = slice_part(s, dim, r, n);
        m.p[i] = (Piece){ TABLE[i].name, s, calloc((size_t)slice_total(&s) + 1, sizeof(float)), split || r == 0 };
    }
    return m;
}

static inline void model_free(Model *m)
{
    for (int i = 0; i < TENSORS; i++)
        free(m->p[i].data);
}

/* What element g of tensor i is at a step: no two are alike. */
static inline float value(int i, int64_t g, int64_t step)
{
    return (float)(g % 1000003 + 1000003 * i % 7919) + 0.25f * (float)step + 1e3f * (float)i;
}

/* Fills, or compares with, what the global arrays hold at this step. */
static inline bool model_visit(Model *m, int64_t step, bool fill)
{
    bool same = true;
    for (int i = 0; i < TENSORS; i++) {
        Slice whole = slice_whole(TABLE[i].dims, TABLE[i].size), *s = &m->p[i].slice;
        int64_t n = slice_total(&whole), mine = slice_total(s);
        float *all = malloc((size_t)n * sizeof *all), *part = calloc((size_t)mine + 1, sizeof *part);
        for (int64_t g = 0; g < n; g++)
            all[g] = value(i, g, step);
        assert_int_equal(slice_copy(part, s, all, &whole, sizeof *all), mine);
        if (fill)
            memcpy(m->p[i].data, part, (size_t)mine * sizeof *part);
        else
            same = same && !memcmp(m->p[i].data, part, (size_t)mine * sizeof *part);
        free(all);
        free(part);
    }
    return same;
}

static inline CkptMeta meta_of(int64_t step)
{
    Model whole = model_new(0, 1, 0);
    model_visit(&whole, step, true);
    const CkptSums sums = ckpt_sums(whole.p, TENSORS);
    model_free(&whole);
    return (CkptMeta){ .step = step, .seed = 0xfedcba9876543210u, .config_hash = 7, .version = CKPT_VERSION, .fingerprint = sums.weights,
                       .moments = sums.moments, .dp = 2, .tp = 1, .stage = "instruct", .data = "val \"1\" / caf\xc3\xa9", .global_batch = 32, .samples = 5000 };
}

/* Saves the model of this step, divided along dim, into `into`. */
static inline bool model_save(MPI_Comm comm, const char *into, int64_t step, int dim, int keep, Err *e)
{
    int r, n;
    MPI_Comm_rank(comm, &r);
    MPI_Comm_size(comm, &n);
    Model m = model_new(r, n, dim);
    CkptMeta meta = meta_of(step);
    model_visit(&m, step, true);
    bool ok = ckpt_save(comm, into, &meta, m.p, TENSORS, keep, e);
    model_free(&m);
    return ok;
}

/* ---- damage ---- */

static inline void sync_ranks(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
}

static inline int64_t bytes_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

/* Rank 0 flips one bit; the same call flips it back. */
static inline void flip(const char *path, int64_t bit)
{
    sync_ranks();
    if (rank == 0) {
        unsigned char c;
        int fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(pread(fd, &c, 1, bit / 8), 1);
        c ^= (unsigned char)(1 << bit % 8);
        assert_int_equal(pwrite(fd, &c, 1, bit / 8), 1);
        close(fd);
    }
    sync_ranks();
}
