#include "io/set/frame.h"

#include <stdio.h>
#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "io/base/files.h"

void frame_open(Frame *f, int64_t capacity)
{
    *f = (Frame){ .z = ZSTD_createDCtx(), .stored = malloc((size_t)max64(capacity, 1)), .capacity = capacity };
    CHECK(f->z && f->stored, "no memory for a frame of %lld bytes", (long long)capacity);
}

void frame_close(Frame *f)
{
    ZSTD_freeDCtx(f->z);
    free(f->stored);
    *f = (Frame){ 0 };
}

static bool bad(Err *e, int code, const char *path, const H5Chunk *c, const char *what)
{
    char where[sizeof e->where];
    snprintf(where, sizeof where, "%s, dataset \"%s\", row %lld, byte offset %lld", path, c->dataset,
             (long long)c->row, (long long)c->offset);
    return err_set(e, code, where, "copy the shard again, or pack it again with `asvr pack`", "%s", what);
}

bool frame_load(Frame *f, int fd, const char *path, const H5Chunk *c, uint64_t *xxh64, Err *e)
{
    f->held = 0;
    if (c->size < 1 || c->size > f->capacity || c->offset < 0 || c->offset > INT64_MAX - c->size)
        return bad(e, EXIT_DATA, path, c, "a chunk's place in the file makes no sense");
    const int64_t n = file_pread(fd, f->stored, c->size, c->offset);
    if (n < 0) {
        err_got(e, "%m");
        return bad(e, EXIT_IO, path, c, "the shard cannot be read");
    }
    if (n < c->size)
        return bad(e, EXIT_DATA, path, c, "the shard is truncated");
    f->held = n;
    *xxh64 = XXH64(f->stored, (size_t)c->size, 0);
    return true;
}

bool frame_unpack(Frame *f, const char *path, const H5Chunk *c, void *raw, int64_t bytes, Err *e)
{
    if (ZSTD_getFrameContentSize(f->stored, (size_t)f->held) == (unsigned long long)bytes &&        /* it says so, and it is so */
        ZSTD_decompressDCtx(f->z, raw, (size_t)bytes, f->stored, (size_t)f->held) == (size_t)bytes)
        return true;
    return bad(e, EXIT_DATA, path, c, "a chunk is no zstd frame of the right size");
}

bool frame_read(Frame *f, int fd, const char *path, const H5Chunk *c, void *raw, int64_t bytes, Err *e)
{
    uint64_t is = 0;
    if (!frame_load(f, fd, path, c, &is, e))
        return false;
    if (is != c->xxh64) {
        err_expected(e, "XXH64 %016llx", (unsigned long long)c->xxh64);
        err_got(e, "XXH64 %016llx", (unsigned long long)is);
        return bad(e, EXIT_DATA, path, c, "the stored bytes of a chunk are not those that were written");
    }
    return frame_unpack(f, path, c, raw, bytes, e);
}
