/*
 * flips.c -- single bits of a checkpoint or of a data set flip, one after the other: each must be found
 *
 *     flips N SEED PATH       PATH: a checkpoint's folder, or the index of a data set; it is changed and mended in place
 *
 * A quarter of the bits lie in the small file (manifest.json, the index), and an eighth in the first 4 KiB of the large ones.
 * Prints "N flips, M found" and each that was not; ends with 1 if one was not found, or the error does not name the file.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/rng.h"
#include "io/base/files.h"
#include "io/ckpt/ckptread.h"
#include "io/set/index.h"

enum { FILES = 64, HEAD = 4096 };

static char file[FILES][PATH_ROOM];     /* 0: the small one; of a data set i + 1 is shard i */
static int  files;
static bool set;

/* Whether what was changed in file k is taken for whole. */
static bool accepted(const char *path, int k, Err *e)
{
    int64_t bytes = 0;
    if (!set) {
        Ckpt *c = ckpt_open(MPI_COMM_NULL, path, e);
        const bool whole = c && ckpt_verify(c, e);
        ckpt_close(c);
        return whole;
    }
    Index *x = index_open(path, e);
    const bool ok = x && index_verify(x, 0, 1, &bytes, e) && (k == 0 || index_verify_shard(x, k - 1, 0, 1, &bytes, e));
    index_close(x);
    return ok;
}

static void flip(const char *path, int64_t bit)
{
    char c;
    int  fd = open(path, O_RDWR | O_CLOEXEC);
    CHECK(fd >= 0 && file_pread(fd, &c, 1, bit / 8) == 1, "cannot read %s", path);
    c ^= (char)(1 << bit % 8);
    CHECK(file_pwrite(fd, &c, 1, bit / 8), "cannot write %s", path);
    close(fd);
}

static void list_files(const char *path)
{
    Err e = { 0 };
    struct stat st;
    CHECK(stat(path, &st) == 0, "there is no %s", path);
    set = !S_ISDIR(st.st_mode);
    if (!set) {
        path_set(file[files++], &e, "%s/manifest.json", path);
        path_set(file[files++], &e, "%s/tensors.h5", path);
        return;
    }
    Index *x = index_open(path, &e);
    CHECK(x, "%s: %s", path, e.what);
    path_set(file[files++], &e, "%s", path);
    for (int i = 0; i < x->n && files < FILES; i++)
        index_shard_path(x, i, file[files++], PATH_ROOM, &e);
    index_close(x);
}

int main(int n, char **arg)
{
    CHECK(n == 4, "flips N SEED PATH");
    const int64_t times = atoll(arg[1]);
    Rng r = { .seed = (uint64_t)atoll(arg[2]) };
    int64_t found = 0;
    Err e = { 0 };
    list_files(arg[3]);
    for (int k = 0; k < files; k++)
        CHECK(accepted(arg[3], k, &e), "%s is not whole to begin with: %s", file[k], e.what);
    for (int64_t i = 0; i < times; i++) {
        struct stat st;
        const int k = rng_draw(&r, 4) == 0 ? 0 : 1 + (int)rng_draw(&r, files - 1);
        CHECK(stat(file[k], &st) == 0, "there is no %s", file[k]);
        const int64_t bytes = k && rng_draw(&r, 8) == 0 ? min64(HEAD, st.st_size) : st.st_size;
        const int64_t bit = rng_draw(&r, bytes * 8);
        Err why = { 0 };
        flip(file[k], bit);
        const bool ok = accepted(arg[3], k, &why);
        flip(file[k], bit);
        const char *slash = strrchr(file[k], '/');
        const bool named = strstr(why.where, slash ? slash + 1 : file[k]);
        found += !ok && named;
        if (ok || !named)
            printf("%s: bit %" PRId64 " of byte %" PRId64 " flips: %s%s%s\n", file[k], bit % 8, bit / 8, ok ? "accepted" : why.what,
                   ok ? "" : " at ", why.where);
    }
    printf("%lld flips, %lld found\n", (long long)times, (long long)found);
    return found != times;
}
