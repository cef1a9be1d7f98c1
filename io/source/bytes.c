#include "io/source/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <zlib.h>
#include <zstd.h>

#include "io/base/files.h"

enum { BLOCK = 1 << 17, PLAIN = 0, GZIP, ZSTD };

struct Bytes {
    int       kind, fd;
    char      path[PATH_ROOM];
    uint8_t  *in;                  /* (BLOCK) */
    int64_t   at, have, base;      /* at <= have bytes of in, which begin at `base` of the file */
    bool      last, between;       /* the file has no more; a member or frame has ended and no other has begun */
    z_stream  z;
    ZSTD_DStream *zs;
};

static const char *const kinds[] = { "", "gzip", "zstd" };

const char *bytes_packed(const Bytes *b) { return kinds[b->kind]; }

/* More of the file in `in`, where all before is used up. */
static bool refill(Bytes *b, Err *e)
{
    if (b->at < b->have || b->last)
        return true;
    b->base += b->have;
    b->at = b->have = 0;
    const int64_t n = file_pread(b->fd, b->in, BLOCK, b->base);
    if (n < 0)
        return file_error(e, b->path, "read on");
    b->have = n;
    b->last = n < BLOCK;
    return true;
}

static int64_t broken(const Bytes *b, Err *e, const char *what, const char *why)
{
    char where[400];
    snprintf(where, sizeof where, "%.340s: byte %lld", b->path, (long long)(b->base + b->at));
    if (why && why[0])
        err_got(e, "%s", why);
    err_set(e, EXIT_DATA, where, "copy it again", "%s", what);
    return -1;
}

Bytes *bytes_open(const char *path, Err *e)
{
    struct stat st = { 0 };
    Bytes *b = calloc(1, sizeof *b);
    CHECK(b && (b->in = malloc(BLOCK)), "no memory to read a file");
    snprintf(b->path, sizeof b->path, "%s", path);
    b->fd = file_open(path, O_RDONLY | O_NONBLOCK);
    const bool ok = b->fd >= 0 && fstat(b->fd, &st) == 0 && S_ISREG(st.st_mode);
    if (!ok)
        err_set(e, EXIT_DATA, path, "", "cannot read the file: %s", b->fd < 0 ? strerror(errno) : S_ISDIR(st.st_mode) ? "a folder" : "not a file");
    if (!ok || !refill(b, e)) {
        bytes_close(b);
        return NULL;
    }
    if (b->have >= 2 && b->in[0] == 0x1f && b->in[1] == 0x8b) {
        b->kind = GZIP;
        CHECK(inflateInit2(&b->z, 15 + 16) == Z_OK, "no memory for zlib");
    } else if (b->have >= 4 && (!memcmp(b->in, "\x28\xb5\x2f\xfd", 4) || ((b->in[0] & 0xf0) == 0x50 && !memcmp(b->in + 1, "\x2a\x4d\x18", 3)))) {
        b->kind = ZSTD;
        CHECK((b->zs = ZSTD_createDStream()) && !ZSTD_isError(ZSTD_initDStream(b->zs)), "no memory for zstd");
    }
    return b;
}

void bytes_close(Bytes *b)
{
    if (!b)
        return;
    if (b->fd >= 0)
        file_close(b->fd);
    if (b->kind == GZIP)
        inflateEnd(&b->z);
    ZSTD_freeDStream(b->zs);
    free(b->in);
    free(b);
}

static int64_t plain(Bytes *b, uint8_t *to, int64_t n)
{
    const int64_t k = min64(n, b->have - b->at);
    memcpy(to, b->in + b->at, (size_t)k);
    b->at += k;
    return k;
}

static int64_t gunzip(Bytes *b, uint8_t *to, int64_t n, Err *e)
{
    if (b->between && inflateReset(&b->z) != Z_OK)
        return broken(b, e, "the gzip file is damaged", "");
    b->between = false;
    b->z.next_in = b->in + b->at;
    b->z.avail_in = (uInt)(b->have - b->at);
    b->z.next_out = to;
    b->z.avail_out = (uInt)n;
    const int rc = inflate(&b->z, Z_NO_FLUSH);
    b->at = b->have - b->z.avail_in;
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return broken(b, e, "the gzip file is damaged", b->z.msg);
    b->between = rc == Z_STREAM_END;
    return n - b->z.avail_out;
}

static int64_t unzstd(Bytes *b, uint8_t *to, int64_t n, Err *e)
{
    ZSTD_inBuffer in = { b->in, (size_t)b->have, (size_t)b->at };
    ZSTD_outBuffer out = { to, (size_t)n, 0 };
    const size_t rc = ZSTD_decompressStream(b->zs, &out, &in);
    b->at = (int64_t)in.pos;
    if (ZSTD_isError(rc))
        return broken(b, e, "the zstd file is damaged", ZSTD_getErrorName(rc));
    b->between = rc == 0;
    return (int64_t)out.pos;
}

int64_t bytes_read(Bytes *b, void *to, int64_t n, Err *e)
{
    int64_t done = 0;
    while (done < n) {
        uint8_t *at = (uint8_t *)to + done;
        const int64_t room = min64(n - done, 1 << 30);
        if (!refill(b, e))
            return -1;
        const bool empty = b->at == b->have;       /* the file has ended; a packer may still hold some of its text */
        if (empty && (b->kind == PLAIN || b->between))
            return done;
        const int64_t k = b->kind == PLAIN ? plain(b, at, room) : b->kind == GZIP ? gunzip(b, at, room, e) : unzstd(b, at, room, e);
        if (k < 0)
            return -1;
        if (k == 0 && empty && !b->between)
            return broken(b, e, b->kind == GZIP ? "the gzip file ends in the middle" : "the zstd file ends in the middle", "");
        done += k;
    }
    return done;
}
