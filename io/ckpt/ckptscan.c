#include "io/ckpt/ckptinside.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { SCAN_BLOCKS = 8 };               /* a read, at most */

int64_t ckpt_read_bytes;

int64_t ckpt_bytes(const CkptTensor *t)
{
    int64_t n = 4;
    for (int d = 0; d < t->dims; d++)
        n *= t->size[d];
    return n;
}

int ckpt_ends_behind(const Ckpt *c, int from, int64_t at)
{
    for (; from < c->m.tensors; from++) {
        const CkptTensor *t = &c->m.tensor[c->by_offset[from]];
        if (t->offset + ckpt_bytes(t) > at)
            break;
    }
    return from;
}

/* "weights/decoder.3.attn.wq, weights/decoder.3.attn.wk and 4 more": what lies in [at, end). */
static void tensors_in(const Ckpt *c, int64_t at, int64_t end, char out[256])
{
    enum { NAMED = 2 };
    int found = 0, n = 0;
    for (int i = ckpt_ends_behind(c, 0, at); i < c->m.tensors; i++) {
        const CkptTensor *t = &c->m.tensor[c->by_offset[i]];
        if (t->offset >= end)
            break;
        if (t->offset + ckpt_bytes(t) <= at || ckpt_bytes(t) == 0)
            continue;
        if (found++ < NAMED)
            n += snprintf(out + n, 256 - (size_t)n, "%s%s", n ? ", " : "", t->name);
    }
    if (found > NAMED)
        snprintf(out + n, 256 - (size_t)n, " and %d more", found - NAMED);
    if (!found)
        snprintf(out, 256, "HDF5's own records");
}

static bool compare(const Ckpt *c, const char *bytes, int64_t block, int64_t n, Err *e)
{
    const uint64_t got = XXH64(bytes, (size_t)n, 0);
    const int64_t at = block * HASH_BLOCK;
    char where[256] = "";
    if (got == c->m.block[block])
        return true;
    tensors_in(c, at, at + n, where);
    err_expected(e, "XXH64 0x%016" PRIx64, c->m.block[block]);
    err_got(e, "0x%016" PRIx64, got);
    return err_set(e, EXIT_DATA, c->file, "take an older checkpoint", "damaged between byte %" PRId64 " and %" PRId64 ", in %s", at, at + n, where);
}

/* The next blocks side by side that are needed: the first one from `from` on, and how many. */
static int64_t next_run(const Ckpt *c, const unsigned char *need, int64_t from, int64_t *n)
{
    while (from < c->m.blocks && !need[from])
        from++;
    for (*n = 0; *n < SCAN_BLOCKS && from + *n < c->m.blocks && need[from + *n]; )
        ++*n;
    return from;
}

/* Bytes of n blocks. */
static int64_t bytes_of(const Ckpt *c, int64_t block, int64_t n)
{
    return min64((block + n) * HASH_BLOCK, c->m.bytes) - block * HASH_BLOCK;
}

static bool read_run(Ckpt *c, char *buf, int64_t block, int64_t n, Err *e)
{
    const int64_t at = block * HASH_BLOCK, want = bytes_of(c, block, n), got = file_pread(c->fd, buf, want, at);
    if (got < 0)
        return file_error(e, c->file, "read");
    ckpt_read_bytes += got;
    return got == want || err_set(e, EXIT_DATA, c->file, "", "the file ends at byte %" PRId64 ", it should have %" PRId64, at + got, c->m.bytes);
}

static void keep(Ckpt *c, const char *bytes, int64_t block)
{
    if (!c->kept)
        c->kept = malloc(HASH_BLOCK);
    CHECK(c->kept, "no memory for %d bytes of a checkpoint", HASH_BLOCK);
    memcpy(c->kept, bytes, (size_t)bytes_of(c, block, 1));
    c->kept_block = block;
}

/* While one run is compared and copied, the system reads the next. */
bool ckpt_scan(Ckpt *c, const unsigned char *need, ScanTake *take, void *with, Err *e)
{
    int64_t n, more, block = next_run(c, need, 0, &n), next;
    if (ckpt_hurt(CKPT_AT_READ, e))
        return false;
    if (block < c->m.blocks && block == c->kept_block) {
        take(with, c->kept, block * HASH_BLOCK, bytes_of(c, block, 1));
        block = next_run(c, need, block + 1, &n);
    }
    if (block >= c->m.blocks)
        return true;
    char *buf = malloc((size_t)SCAN_BLOCKS * HASH_BLOCK);
    CHECK(buf, "no memory for %d bytes of a checkpoint", SCAN_BLOCKS * HASH_BLOCK);
    bool ok = true;
    for (; ok && n > 0; block = next, n = more) {
        next = next_run(c, need, block + n, &more);
        ok = read_run(c, buf, block, n, e);
        if (ok && more)
            posix_fadvise(c->fd, next * HASH_BLOCK, bytes_of(c, next, more), POSIX_FADV_WILLNEED);
        for (int64_t b = 0; ok && b < n; b++) {
            const char *at = buf + b * HASH_BLOCK;
            const int64_t bytes = bytes_of(c, block + b, 1);
            ok = compare(c, at, block + b, bytes, e);
            if (ok)
                take(with, at, (block + b) * HASH_BLOCK, bytes);
        }
        if (ok && !more)
            keep(c, buf + (n - 1) * HASH_BLOCK, block + n - 1);
    }
    free(buf);
    return ok;
}
